"""Cross-validation folds for plots in space, in scikit-learn's protocol.

`X` is the plots' **coordinates**, (n, 2): longitude and latitude in degrees, or projected metres
with `space="projected"`. With scikit-learn's own tools pass the pairs, not the splitter, because
those hand their predictors to `split`: `cross_val_predict(model, X, y, cv=[*folds.split(lonlat)])`.

Plots at one location are one *site* and stay in one fold: a plot surveyed twice is not held out
while its twin is trained on. `groups` names further units that must not straddle, such as plots
with overlapping chips.
"""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spatioformer.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers

KM_PER_DEGREE = 6371.0088 * np.pi / 180
"""Length of one degree of latitude on the sphere of mean Earth radius (IUGG R1), kilometres."""


def sites(X: ArrayLike, groups: ArrayLike | None = None) -> Integers:
    """Number of the site of each row of `X`, (n,), from 0 in order of first appearance.

    Rows with equal coordinates share a site, rows with an equal entry in `groups` share a site,
    and so does whatever these two rules chain together.
    """
    X = checks.matrix(X, "coordinates")
    places = np.unique(X, axis=0, return_inverse=True)[1].reshape(-1)
    if groups is None:
        return _in_order(places)
    return joined(places, _group_numbers(groups, len(X)))


def joined(a: Integers, b: Integers) -> Integers:
    """The finest labels, (n,), under which rows equal in `a` or equal in `b` are together."""
    # Rows are edges between the nodes of `a` and those of `b`: what hangs together is one label.
    count = int(a.max()) + 1
    size = count + int(b.max()) + 1
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, count + b)), shape=(size, size))
    return _in_order(connected_components(graph, directed=False)[1][a])


def deal(sizes: ArrayLike, n_folds: int, seed: int) -> Integers:
    """Fold of each unit, (units,), balancing the folds' totals of `sizes`.

    Units are shuffled, ordered from large to small, and each goes to the fold that is smallest so
    far (longest-processing-time rule): totals differ by at most the largest unit.
    """
    sizes = np.asarray(sizes)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold = np.empty(len(sizes), dtype=np.int64)
    heap = [(0, number) for number in range(n_folds)]
    for unit in order:
        total, number = heap[0]
        fold[unit] = number
        heapq.heapreplace(heap, (total + int(sizes[unit]), number))
    return fold


@dataclass
class Splitter(ABC):
    """Folds from coordinates; a kind of fold says only how plots are assigned."""

    n_splits: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.n_splits, Integral) or self.n_splits < 2:
            raise EvaluationError(
                f"n_splits = {self.n_splits!r} is no number of folds; use a whole number from 2 up"
            )

    @abstractmethod
    def assign(self, X: ArrayLike, groups: ArrayLike | None = None) -> Integers:
        """Fold number of each row of `X`, (n,), 0 to n_splits - 1; every fold has a row.

        Raises:
            EvaluationError: coordinates that are not such, or too few units for the folds.
        """

    def split(
        self, X: ArrayLike, y: Any = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[Integers, Integers]]:
        """Yield (train, test) row numbers, fold by fold; `y` is not used."""
        fold = self.assign(X, groups)
        for number in range(self.get_n_splits(X, y, groups)):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.n_splits

    def _deal_units(self, unit: Integers, seed: int, what: str, remedy: str) -> Integers:
        """Fold of each row when the rows of one `unit` stay together."""
        sizes = np.bincount(unit)
        if len(sizes) < self.n_splits:
            raise EvaluationError(
                f"{len(unit)} plots make {len(sizes)} {what}, too few for n_splits = "
                f"{self.n_splits}; {remedy}"
            )
        return deal(sizes, self.n_splits, seed)[unit]


@dataclass
class RandomKFold(Splitter):
    """Random folds of whole sites, balanced in plots.

    The familiar k-fold: right for a probability sample of the mapped area, flattering for the
    clustered plots that surveys have (Wadoux et al. 2021, Ecol. Model. 457:109692).
    """

    seed: int = field(default=0, kw_only=True)

    def assign(self, X: ArrayLike, groups: ArrayLike | None = None) -> Integers:
        return self._deal_units(
            sites(X, groups), self.seed, "separate site(s)", "use fewer folds or more sites"
        )


@dataclass
class SpatialBlockKFold(Splitter):
    """Folds of whole tiles: all plots of a square tile are held out together, without a buffer.

    `size` is the side of a tile in `unit`:

    - `unit="degrees"` on lon/lat (the published protocol at 1 degree): tiles of `size` x `size`
      degrees, edges counted from longitude -180 and latitude -90.
    - `unit="km"` on lon/lat: rows `size` km tall counted from the equator, each cut from longitude
      -180 into the whole number of tiles whose width along the row's middle parallel is nearest
      `size` km. So tiles keep their area (to within 1/(2 x tiles in the row)) up to near the poles.
    - `unit="km"` with `space="projected"`: squares counted from the origin of the projection.

    Tiles are half-open (west and south edges belong to a tile). A unit of `groups` that lies in
    several tiles joins them. Tiles are dealt to folds by number of plots, see `deal`.
    """

    size: float = field(default=1.0, kw_only=True)
    unit: Literal["degrees", "km"] = field(default="degrees", kw_only=True)
    space: Literal["geographic", "projected"] = field(default="geographic", kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.size) and self.size > 0):
            raise EvaluationError(f"block size {self.size} must be a length above 0 {self.unit}")
        if self.unit not in ("degrees", "km"):
            raise EvaluationError(f"block unit {self.unit!r} is unknown; use 'degrees' or 'km'")
        if self.space not in ("geographic", "projected"):
            raise EvaluationError(
                f"block space {self.space!r} is unknown; use 'geographic' or 'projected'"
            )
        if self.space == "projected" and self.unit == "degrees":
            raise EvaluationError(
                "block unit 'degrees' does not fit projected coordinates; use unit='km'"
            )

    def assign(self, X: ArrayLike, groups: ArrayLike | None = None) -> Integers:
        unit = self.tiles(X)
        if groups is not None:
            unit = joined(unit, _group_numbers(groups, len(unit)))
        remedy = "use smaller tiles or fewer folds"
        what = f"tile(s) of {self.size:g} {self.unit}"
        return self._deal_units(unit, self.seed, what, remedy)

    def tiles(self, X: ArrayLike) -> Integers:
        """Number of the tile of each row of `X`, (n,), from 0 in order of first appearance."""
        X = checks.coordinates(X, self.space)
        if self.space == "projected":
            column, row = np.floor(X / (1000 * self.size)).T
        elif self.unit == "degrees":
            column = np.floor(_eastward(X[:, 0]) / self.size)
            row = np.floor((X[:, 1] + 90) / self.size)
        else:
            column, row = _kilometre_tiles(X, self.size)
        return _in_order(np.unique(np.stack([column, row]), axis=1, return_inverse=True)[1])


def _kilometre_tiles(lonlat: Floats, size: float) -> tuple[Floats, Floats]:
    """Column and row of the near-square, near-equal-area tiles of `size` km, each (n,)."""
    height = size / KM_PER_DEGREE  # degrees of latitude
    row = np.floor(lonlat[:, 1] / height)
    middle = np.clip((row + 0.5) * height, -90, 90)
    parallel = 360 * KM_PER_DEGREE * np.cos(np.radians(middle))  # km around
    columns = np.maximum(1, np.rint(parallel / size))
    # The product can round up to `columns` itself just west of the antimeridian.
    column = np.minimum(np.floor(_eastward(lonlat[:, 0]) / 360 * columns), columns - 1)
    return column, row


def _eastward(lon: Floats) -> Floats:
    """Degrees east of longitude -180, 0 <= value < 360, the same for -180 and 180."""
    return np.where(lon >= 180, lon - 180, lon + 180)


def _group_numbers(groups: ArrayLike, n: int) -> Integers:
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise EvaluationError(
            f"groups of shape {groups.shape} do not match {n} plots; give one group per plot"
        )
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def _in_order(labels: Integers) -> Integers:
    """The same partition numbered 0, 1, 2... by first appearance."""
    labels = labels.reshape(-1)
    first, inverse = np.unique(labels, return_index=True, return_inverse=True)[1:]
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
