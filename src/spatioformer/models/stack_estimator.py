"""Train a stack: fit the weights on held-out predictions, then each member on all plots."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatioformer.common.cache import Arrays
from spatioformer.evaluation.sizes import splittable
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
"""Number of folds of the held-out predictions."""

Advance = Callable[[int], None]
"""Reports that a number of trainings have finished."""


@dataclass(frozen=True)
class StackEstimator:
    """Estimator of a weighted mean of models; the weights depend on the distance to plots.

    Each member is trained once for each of FOLDS spatial folds, which it then predicts, and once on
    all plots. The weights depend on the training plots only.

    Attributes:
        members: name -> estimator.
        prior: name -> prior weight; they sum to 1.
        tile: side of a tile, the middle size of held-out areas, degrees; None: from the extent of
            the plots.
        seed: of the folds.
        strength: prior strength, in plots.
    """

    members: Mapping[str, Estimator]
    prior: Mapping[str, float]
    tile: float | None
    seed: int
    strength: float = PRIOR_STRENGTH

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> StackModel:
        """Fit the weights, then train the members on all `rows`.

        Args:
            context: its checkpoint is a folder with the held-out predictions so far.

        Raises:
            EvaluationError: all plots lie at one place.
        """
        cache = PredictionCache(context.checkpoint, context.resume)
        trainings = (FOLDS + 1) * len(self.members)
        if cache.names:
            context.console.say(f"  continuing after {len(cache.names)} of {trainings} trainings")
        with context.console.task("train", trainings) as advance:
            held_out, distance = self.held_out(store, rows, cache, advance)
            reach = Reach.of(distance)
            errors = held_out - store.richness[rows][:, None]
            prior = np.array([self.prior[name] for name in self.members])
            weights = convex_weights(errors, reach.share(distance), prior, self.strength)
            parts = {}
            for name, estimator in self.members.items():
                parts[name] = context.fitted.get(name) or estimator.fit(store, rows)
                advance(1)
        return StackModel(parts, weights, reach, store.coordinates[rows])

    def held_out(
        self,
        store: ChipStore,
        rows: np.ndarray,
        cache: "PredictionCache | None" = None,
        advance: Advance = lambda steps: None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Held-out predictions of the members.

        Args:
            cache: predictions that were computed before; new ones are added.
            advance: called with 1 after each member and fold.

        Returns:
            Species (n, members), and the distance (n,) of each plot to the nearest training plot of
            its fold, metres.
        """
        cache = PredictionCache() if cache is None else cache
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

                predictions[test, column] = cache.get(f"{number}-{column}", predict)
                advance(1)
        return predictions, distance

    def _folds(self, places: np.ndarray) -> np.ndarray:
        """Fold (n,) of each plot at lon, lat (n, 2), degrees.

        Raises:
            EvaluationError: all plots lie at one place.
        """
        tile = splittable(places, self.tile)
        piece = pieces(places, tile, self.seed)
        while piece.max() == 0:  # two tiles, but one block of tiles
            tile /= 2
            piece = pieces(places, tile, self.seed)
        sizes = np.bincount(piece)
        return deal(sizes, min(FOLDS, len(sizes)), self.seed)[piece]


class PredictionCache:
    """Cache of the members' held-out predictions in a folder.

    The folder is listed once, so that processes that train together agree on the missing ones.

    Attributes:
        names: names of the predictions that the folder held at the start.

    Args:
        folder: None caches nothing.
        resume: whether to use the content of the folder; otherwise it is removed.
    """

    def __init__(self, folder: Path | None = None, resume: bool = True):
        self._arrays = None if folder is None else Arrays(folder)
        self.names: set[str] = set()
        if self._arrays is not None and resume:
            self.names = self._arrays.names()
        elif folder is not None and distributed.leads():
            shutil.rmtree(folder, ignore_errors=True)

    def get(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The predictions called `name`, float64 (n,); they are computed and saved if missing."""
        cached = self._arrays.load(name) if self._arrays and name in self.names else None
        if cached is not None:
            return cached
        predictions = np.asarray(compute(), np.float64)
        if self._arrays is not None and distributed.leads():
            self._arrays.save(name, predictions)
        return predictions
