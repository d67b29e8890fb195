"""Several models as one: their predictions averaged by what each is worth, near plots and far.

Near a plot its neighbours tell most; far from all plots, what was learned of imagery does. So the
weights of the mean depend on the distance to the nearest training plot (feature-weighted linear
stacking: Sill et al. 2009, arXiv:0911.0460). They are found as in Breiman 1996, "Stacked
regressions", Machine Learning 24: not negative, by least squares on predictions of held-out plots;
here held out in pieces of three sizes, and with weights that sum to 1 everywhere, so that the stack
is a compromise between its members and nothing else. Few plots cannot tell which member is right:
weights are held near what was believed of the members before (ridge regression with a prior mean).
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.optimize import nnls

from spatioformer.common.errors import EvaluationError
from spatioformer.common.files import save_array, writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.evaluation.distances import nearest, placing
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.evaluation.units import deal, in_order, sites
from spatioformer.geo.chips import ChipStore
from spatioformer.training import distributed

FOLDS = 3
LARGE = 4  # sides of tiles in the side of a block
BELIEF = 40  # plots' worth of what is believed of the members before any plot is seen


class Member(Protocol):
    """A model of `models`."""

    def fit(self, store: ChipStore, rows: np.ndarray) -> object: ...

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray: ...


class StackedModel:
    """A mean of models, weighted by the distance to the nearest training plot.

    Each member is trained FOLDS times on the plots outside some pieces of land, which it then
    predicts, and a last time on all plots. Nothing but the training plots decides the weights.

    Args:
        members: makers of models that are not fitted.
        belief: the weight of each member before any plot is seen; they sum to 1.
        tile: side of the middle size of piece held out, degrees.
        seed: of the folds.

    Attributes:
        weights: (2, members), near and far; each 0-1, rows sum to 1; known after `fit`.
        reach: what near and far are; known after `fit`.
        fitted: the members trained on all plots.
    """

    def __init__(
        self,
        members: Sequence[Callable[[], Member]],
        belief: Sequence[float],
        tile: float,
        seed: int,
    ):
        self.members = members
        self.belief = np.asarray(belief, np.float64)
        self.tile = tile
        self.seed = seed

    def fit(
        self,
        store: ChipStore,
        rows: np.ndarray,
        *,
        checkpoint: Path | None = None,
        resume: bool = True,
        console: Console = SILENT,
    ) -> None:
        """Find the weights, then train the members on all `rows`.

        Args:
            checkpoint: folder that keeps what each member said of what was held out and, with
                `resume`, is read.

        Raises:
            EvaluationError: the plots lie in one tile.
        """
        known, trainings = Answers(checkpoint, resume), (FOLDS + 1) * len(self.members)
        if known.there:
            console.say(f"  continuing after {len(known.there)} of {trainings} trainings")
        with console.task("train", trainings) as advance:
            self._fit(store, rows, known, advance)

    def _fit(self, store: ChipStore, rows: np.ndarray, known: "Answers", advance: Callable) -> None:
        held_out, distance = self.held_out(store, rows, known, advance)
        self.reach = Reach.of(distance)
        errors = held_out - store.richness[rows][:, None]
        share = self.reach.share(distance)
        self.weights = convex_weights(errors, share, self.belief, BELIEF)
        self.known = store.coordinates[rows]
        self.fitted = [member() for member in self.members]
        for model in self.fitted:
            model.fit(store, rows)
            advance(1)

    def held_out(
        self,
        store: ChipStore,
        rows: np.ndarray,
        known: "Answers | None" = None,
        advance: Callable = lambda _: None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """What each member says of plots it has not seen: what the weights are found from.

        Args:
            known: what need not be asked again.
            advance: called with 1 after each answer.

        Returns:
            Species (n, members), and metres (n,) to the nearest plot that was seen.
        """
        known = Answers() if known is None else known
        places = store.coordinates[rows]
        fold = self._folds(places)
        predicted = np.empty((len(rows), len(self.members)))
        distance = np.empty(len(rows))
        for number in range(fold.max() + 1):
            test = fold == number
            distance[test] = to_nearest(places[test], places[~test])
            for column, member in enumerate(self.members):
                predicted[test, column] = known.of(
                    f"{number}-{column}", partial(_answer, member, store, rows[~test], rows[test])
                )
                advance(1)
        return predicted, distance

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """Species, float64 (n,)."""
        columns = [np.asarray(model.predict(store, rows), np.float64) for model in self.fitted]
        distance = to_nearest(store.coordinates[rows], self.known)
        return combine(np.column_stack(columns), self.reach.share(distance), self.weights)

    def _folds(self, places: np.ndarray) -> np.ndarray:
        unit = pieces(places, self.tile, self.seed)
        sizes = np.bincount(unit)
        if len(sizes) < 2:
            raise EvaluationError(
                f"`train.validation_tile` is {self.tile:g}: all {len(places)} training plots "
                "lie in one such tile, and the weights of a stack need two; use smaller tiles"
            )
        return deal(sizes, min(FOLDS, len(sizes)), self.seed)[unit]


def _answer(
    member: Callable[[], Member], store: ChipStore, seen: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    model = member()
    model.fit(store, seen)
    return model.predict(store, asked)


class Answers:
    """Members' answers about plots held out, kept in a folder as they come.

    What lies there is listed at once: processes that train together agree on what is left to do.

    Args:
        folder: None keeps nothing.
        resume: take up what lies there; else it is removed.
    """

    def __init__(self, folder: Path | None = None, resume: bool = True):
        self.folder = folder
        self.there: set[str] = set()
        if folder is not None and resume:
            self.there = {p.name for p in folder.glob("*.npy") if ".part" not in p.name}
        elif folder is not None and distributed.leads():
            shutil.rmtree(folder, ignore_errors=True)

    def of(self, name: str, ask: Callable[[], np.ndarray]) -> np.ndarray:
        """The answer called `name`, (n,), or that of `ask`, which then lies there."""
        file = f"{name}.npy"
        if file in self.there:
            return np.load(self.folder / file)
        answer = np.asarray(ask(), np.float64)
        if self.folder is not None and distributed.leads():
            with writing(self.folder / file) as part:
                save_array(part, answer)
        return answer


@dataclass(frozen=True)
class Reach:
    """How far is far: distances to the nearest training plot, metres, between which weights change.

    Attributes:
        near, far: a tenth of the held-out plots were nearer, and farther, than these.
    """

    near: float
    far: float

    @classmethod
    def of(cls, distance: np.ndarray) -> "Reach":
        near, far = np.quantile(distance, [0.1, 0.9])
        return cls(float(near), float(far))

    def share(self, distance: np.ndarray) -> np.ndarray:
        """0 up to `near`, 1 from `far` on, and linear in the logarithm between them."""
        floor = max(self.near, 1.0)  # plots share coordinates: no logarithm of 0
        if self.far <= floor:
            return np.zeros(len(distance))
        along = np.log(np.maximum(distance, floor) / floor) / np.log(self.far / floor)
        return np.minimum(along, 1.0)


def pieces(places: np.ndarray, tile: float, seed: int) -> np.ndarray:
    """Number (n,) of the piece of land that each plot is held out with.

    Blocks of LARGE x LARGE tiles are dealt in turn to three kinds: one piece a tile, one for the
    whole block, one a site. So held-out plots are as near to training as a random fold's, and as
    far as a block's.

    Args:
        places: lon, lat (n, 2), degrees.
    """
    small = SpatialBlockKFold(2, size=tile).tiles(places)
    block = SpatialBlockKFold(2, size=LARGE * tile).tiles(places)
    turn = np.random.default_rng(seed).permutation(block.max() + 1)
    kind = (turn % 3)[block]
    choice = np.stack([small, block, sites(places)])
    # `kind` first: a tile, a block and a site may have the same number.
    number = np.take_along_axis(choice, kind[None], axis=0)[0]
    return in_order(number * 3 + kind)


def to_nearest(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Great-circle metres (n,) from each place to the nearest of others (m, 2)."""
    on_sphere = placing(places, "geographic")
    return nearest(on_sphere(places), on_sphere(others), "geographic")


def combine(columns: np.ndarray, far: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The stack's prediction (n,) of its members' (n, members).

    Args:
        far: share of the far weights, (n,), 0-1.
        weights: (2, members), near and far.
    """
    near_weights, far_weights = weights
    share = far[:, None]
    return np.sum(columns * ((1 - share) * near_weights + share * far_weights), axis=1)


def convex_weights(
    errors: np.ndarray, far: np.ndarray, belief: np.ndarray, strength: float
) -> np.ndarray:
    """Weights near and far, none negative, each summing to 1, that give the least squared error.

    The error of the stack is sum over members of errors ((1 - far) w_near + far w_far). To its
    square is added `strength` times the best member's mean square, for each square of what a weight
    is away from its belief: beside a hundred plots much, beside ten thousand nothing.

    Args:
        errors: predicted - observed, (n, members).
        far: share of the far weights, (n,), 0-1.
        belief: (members,), sums to 1.
        strength: plots' worth of it.

    Returns:
        float64 (2, members).
    """
    count = errors.shape[1]
    scale = np.linalg.norm(errors)
    if scale == 0:
        return np.tile(belief, (2, 1))
    parts = np.hstack([errors * (1 - far)[:, None], errors * far[:, None]]) / scale
    hold = np.sqrt(strength * np.min(np.mean(errors**2, axis=0))) / scale
    held = hold * np.tile(belief, 2)
    # The sums of 1 are two more equations, which weigh so much that they hold.
    sums = HEAVY * np.kron(np.eye(2), np.ones(count))
    rows = np.vstack([parts, hold * np.eye(2 * count), sums])
    solution = nnls(rows, np.concatenate([np.zeros(len(errors)), held, [HEAVY, HEAVY]]))[0]
    weights = solution.reshape(2, count)
    return weights / weights.sum(axis=1, keepdims=True)


HEAVY = 1e4
"""Against errors of norm 1: sums off by 1e-8, before they are divided by themselves."""
