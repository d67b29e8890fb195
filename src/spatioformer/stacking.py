"""Several models as one: their predictions averaged by what each is worth in places not seen.

Source: Breiman 1996, "Stacked regressions", Machine Learning 24: weights that are not negative, by
least squares on predictions of held-out data; here held out in whole tiles, and with weights that
sum to 1, so that the stack is a compromise between its members and nothing else.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from scipy.optimize import nnls

from spatioformer.errors import EvaluationError
from spatioformer.evaluation.splits import DegenerateFolds, SpatialBlockKFold
from spatioformer.geo.chips import ChipStore

FOLDS = 3


class Member(Protocol):
    """A model of `models`."""

    def fit(self, store: ChipStore, rows: np.ndarray) -> object: ...

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray: ...


class StackedModel:
    """A weighted mean of models, the weights found on held-out tiles of the training plots alone.

    Each member is trained FOLDS times on the plots outside some tiles, which it then predicts, and
    a last time on all plots.

    Args:
        members: makers of models that are not fitted.
        tile: side of the tiles held out, degrees.
        seed: of the folds.

    Attributes:
        weights: (members,), each 0-1, sum 1, in the order of `members`; known after `fit`.
        fitted: the members trained on all plots.
    """

    def __init__(self, members: Sequence[Callable[[], Member]], tile: float, seed: int):
        self.members = members
        self.tile = tile
        self.seed = seed

    def fit(self, store: ChipStore, rows: np.ndarray) -> None:
        """Raises:
        EvaluationError: the plots lie in fewer than two tiles.
        """
        fold = self._folds(store.coordinates[rows])
        held_out = np.empty((len(rows), len(self.members)))
        for number in range(fold.max() + 1):
            test = fold == number
            for column, member in enumerate(self.members):
                model = member()
                model.fit(store, rows[~test])
                held_out[test, column] = model.predict(store, rows[test])
        self.weights = convex_weights(held_out, store.richness[rows])
        self.fitted = [member() for member in self.members]
        for model in self.fitted:
            model.fit(store, rows)

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """Species, float64 (n,)."""
        columns = [np.asarray(model.predict(store, rows), np.float64) for model in self.fitted]
        return np.column_stack(columns) @ self.weights

    def _folds(self, coordinates: np.ndarray) -> np.ndarray:
        tiles = len(np.unique(SpatialBlockKFold(2, size=self.tile).tiles(coordinates)))
        if tiles < 2:
            raise EvaluationError(
                f"`train.validation_tile` is {self.tile:g}: all {len(coordinates)} training plots "
                "lie in one such tile, and the weights of a stack need two; use smaller tiles"
            )
        splitter = SpatialBlockKFold(min(FOLDS, tiles), size=self.tile, seed=self.seed)
        with warnings.catch_warnings():
            # Predictions are pooled over the folds; how even those are does not matter.
            warnings.simplefilter("ignore", DegenerateFolds)
            return splitter.assign(coordinates)


def convex_weights(predictions: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Weights that are not negative, sum to 1 and give the least squared error.

    Args:
        predictions: (n, members); observed: (n,).

    Returns:
        float64 (members,).
    """
    errors = predictions - observed[:, None]
    scale = np.linalg.norm(errors)
    if scale == 0:
        return np.full(errors.shape[1], 1 / errors.shape[1])
    # min |E u|^2 + (1 - sum u)^2 over u >= 0 has its least |E w|, sum w = 1, in the direction w:
    # for u = t w the best t leaves |E w|^2 / (1 + |E w|^2), which grows with |E w|.
    system = np.vstack([errors / scale, np.ones(errors.shape[1])])
    solution = nnls(system, np.append(np.zeros(len(errors)), 1.0))[0]
    return solution / solution.sum()
