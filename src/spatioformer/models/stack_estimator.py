"""Training of a stack: weights from held-out predictions, then every member on all plots."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatioformer.common.cache import Arrays
from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation.units import deal
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Estimator
from spatioformer.models.capabilities import FitContext
from spatioformer.models.stack import StackModel
from spatioformer.models.stacking import (
    PRIOR_STRENGTH,
    Reach,
    convex_weights,
    pieces,
    to_nearest,
)
from spatioformer.training import distributed

FOLDS = 3

Advance = Callable[[int], None]


@dataclass(frozen=True)
class StackEstimator:
    """A mean of models, weighted by the distance to the nearest training plot.

    Each member is trained FOLDS times on the plots outside some pieces of land, which it then
    predicts, and a last time on all plots. Nothing but the training plots decides the weights.

    Attributes:
        members: name -> estimator.
        prior: prior weight of each member; they sum to 1.
        tile: side of the middle size of piece held out, degrees.
        seed: of the folds.
        strength: of the prior weights, in plots.
    """

    members: Mapping[str, Estimator]
    prior: Mapping[str, float]
    tile: float
    seed: int
    strength: float = PRIOR_STRENGTH

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> StackModel:
        """Find the weights, then train the members on all `rows`.

        Args:
            context: its checkpoint is a folder that keeps the predictions of held-out plots.

        Raises:
            EvaluationError: the plots lie in one tile.
        """
        answers = Answers(context.checkpoint, context.resume)
        trainings = (FOLDS + 1) * len(self.members)
        if answers.names:
            context.console.say(f"  continuing after {len(answers.names)} of {trainings} trainings")
        with context.console.task("train", trainings) as advance:
            held_out, distance = self.held_out(store, rows, answers, advance)
            reach = Reach.of(distance)
            errors = held_out - store.richness[rows][:, None]
            prior = np.array([self.prior[name] for name in self.members])
            weights = convex_weights(errors, reach.share(distance), prior, self.strength)
            parts = {}
            for name, estimator in self.members.items():
                parts[name] = estimator.fit(store, rows)
                advance(1)
        return StackModel(parts, weights, reach, store.coordinates[rows])

    def held_out(
        self,
        store: ChipStore,
        rows: np.ndarray,
        answers: "Answers | None" = None,
        advance: Advance = lambda steps: None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of plots by members that were trained without them.

        Args:
            answers: predictions that were made before.
            advance: called with 1 after each member and fold.

        Returns:
            Species (n, members), and metres (n,) to the nearest plot that was learned from.
        """
        answers = Answers() if answers is None else answers
        places = store.coordinates[rows]
        fold = self._folds(places)
        predictions = np.empty((len(rows), len(self.members)))
        distance = np.empty(len(rows))
        for number in range(fold.max() + 1):
            test = fold == number
            distance[test] = to_nearest(places[test], places[~test])
            for column, estimator in enumerate(self.members.values()):

                def predict(
                    estimator: Estimator = estimator, test: np.ndarray = test
                ) -> np.ndarray:
                    return estimator.fit(store, rows[~test]).predict_rows(store, rows[test])

                predictions[test, column] = answers.get(f"{number}-{column}", predict)
                advance(1)
        return predictions, distance

    def _folds(self, places: np.ndarray) -> np.ndarray:
        piece = pieces(places, self.tile, self.seed)
        sizes = np.bincount(piece)
        if len(sizes) < 2:
            raise EvaluationError(
                f"`train.validation_tile` is {self.tile:g}: all {len(places)} training plots "
                "lie in one such tile, and the weights of a stack need two; use smaller tiles"
            )
        return deal(sizes, min(FOLDS, len(sizes)), self.seed)[piece]


class Answers:
    """Members' predictions of held-out plots, kept in a folder as they come.

    The folder is listed once: processes that train together agree on what is left to do.

    Args:
        folder: None keeps nothing.
        resume: use what the folder holds; else it is removed.
    """

    def __init__(self, folder: Path | None = None, resume: bool = True):
        self._arrays = None if folder is None else Arrays(folder)
        self.names: set[str] = set()
        if self._arrays is not None and resume:
            self.names = self._arrays.names()
        elif folder is not None and distributed.leads():
            shutil.rmtree(folder, ignore_errors=True)

    def get(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The predictions called `name`, float64 (n,); computed and kept where they are absent."""
        known = self._arrays.load(name) if self._arrays and name in self.names else None
        if known is not None:
            return known
        predictions = np.asarray(compute(), np.float64)
        if self._arrays is not None and distributed.leads():
            self._arrays.save(name, predictions)
        return predictions
