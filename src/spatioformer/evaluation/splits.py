"""Cross-validation folds for plots in space, in scikit-learn's protocol.

`X` is the plots' **coordinates**, (n, 2): longitude and latitude in degrees, or projected metres
with `space="projected"`. To scikit-learn's own tools pass the pairs, not the splitter, because
those tools pass predictors to `split`: `cross_val_predict(model, X, y, cv=[*folds.split(lonlat)])`.

Plots at one location are one *site* and stay in one fold: otherwise a plot surveyed twice would be
held out and trained on at once. `groups` names further units that must stay in one fold, such as
plots with overlapping chips (`units.overlapping`). kNNDM folds are in `knndm`.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from spatioformer.common.earth import S2_KM_PER_DEGREE
from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks, distances
from spatioformer.evaluation.checks import Floats, Integers, Space
from spatioformer.evaluation.clusters import kmeans
from spatioformer.evaluation.units import deal, in_order, joined, sites

SMALLEST_SHARE = 0.1
"""A fold with less than this share of the mean fold size is degenerate: its scores say little."""

LARGEST_SHARE = 0.5
"""A fold with more than this share of all plots is degenerate (two folds: 0.75): few are left to
train on."""


class DegenerateFolds(UserWarning):
    """Warning about folds that run but are too uneven to give reliable scores."""


class Splitter(ABC):
    """Base class: folds from coordinates; a subclass assigns plots to folds.

    Fields of all kinds: `n_splits`; `space`, the meaning of `X`; `strict`, whether degenerate folds
    raise an error instead of a warning.
    """

    n_splits: int
    space: Space
    strict: bool

    @abstractmethod
    def _assign(self, X: Floats, groups: ArrayLike | None) -> Integers: ...

    def assign(self, X: ArrayLike, groups: ArrayLike | None = None) -> Integers:
        """Fold number of each row of `X`, (n,), 0 to the number of folds - 1; no fold is empty.

        Warns with `DegenerateFolds` when folds are very uneven.

        Raises:
            EvaluationError: invalid coordinates, too few units for the folds, or, with `strict`,
                degenerate folds.
        """
        fold = self._assign(checks.coordinates(X, self.space), groups)
        counts = np.bincount(fold)
        even = len(fold) / len(counts)
        largest = max(LARGEST_SHARE, 1.5 / len(counts)) * len(fold)
        if counts.min() < SMALLEST_SHARE * even or counts.max() > largest:
            self._degenerate(
                f"folds of {', '.join(map(str, counts))} plots are uneven; use fewer folds"
            )
        return fold

    def split(
        self, X: ArrayLike, y: Any = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[Integers, Integers]]:
        """Yield (train, test) row numbers, fold by fold; `y` is not used."""
        fold = self.assign(X, groups)
        for number in range(int(fold.max()) + 1):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.n_splits

    def distances(
        self, X: ArrayLike, prediction_points: ArrayLike, groups: ArrayLike | None = None
    ) -> distances.NeighbourDistances:
        """Nearest-neighbour distances of these folds and of the mapped area, with their W."""
        pairs = self.split(X, groups=groups)
        return distances.neighbour_distances(X, prediction_points, pairs, self.space)

    def _degenerate(self, sentence: str) -> None:
        if self.strict:
            raise EvaluationError(sentence)
        warnings.warn(sentence, DegenerateFolds, stacklevel=3)


@dataclass
class SeededFolds(Splitter):
    """Base class of splitters that make their folds from a seed."""

    n_splits: int = 5
    _: KW_ONLY
    space: Space = "geographic"
    seed: int = 0
    strict: bool = False
    remedy: ClassVar[str] = "use fewer folds or more sites"

    def __post_init__(self) -> None:
        if not isinstance(self.n_splits, Integral) or self.n_splits < 2:
            raise EvaluationError(
                f"n_splits = {self.n_splits!r} is not a number of folds; use a whole number from "
                "2 up"
            )
        if self.space not in ("geographic", "projected", "feature"):
            raise EvaluationError(
                f"space {self.space!r} is unknown; use 'geographic', 'projected' or 'feature'"
            )

    def _deal_units(self, unit: Integers, what: str, remedy: str) -> Integers:
        """Fold of each row, (n,); rows of one `unit` (n,) stay together."""
        sizes = np.bincount(unit)
        self._require_units(len(sizes), len(unit), what, remedy)
        return deal(sizes, self.n_splits, self.seed)[unit]

    def require_sites(self, X: ArrayLike) -> None:
        """Raise if the plots `X` (n, 2) have fewer separate sites than folds.

        Raises:
            EvaluationError: they have.
        """
        site = sites(checks.coordinates(X, self.space))
        count = int(site.max()) + 1
        self._require_units(count, len(site), "separate site(s)", self.remedy)

    def _require_units(self, units: int, plots: int, what: str, remedy: str) -> None:
        if units < self.n_splits:
            raise EvaluationError(
                f"{plots} plots make {units} {what}, too few for {self.n_splits} folds; {remedy}"
            )


@dataclass
class RandomKFold(SeededFolds):
    """Random folds of whole sites, balanced in plots.

    Scores are right if the plots are a probability sample of the mapped area, and too optimistic if
    they are clustered, as in most surveys (Wadoux et al. 2021, Ecol. Model. 457:109692).
    `keep_sites=False` lets rows with equal coordinates fall into different folds, for comparison.
    """

    keep_sites: bool = field(default=True, kw_only=True)

    def _assign(self, X: Floats, groups: ArrayLike | None) -> Integers:
        if self.keep_sites:
            unit = sites(X, groups)
        else:
            unit = np.arange(len(X))
            unit = unit if groups is None else joined(unit, groups)
        return self._deal_units(unit, "separate site(s)", "use fewer folds or more sites")


@dataclass
class SpatialBlockKFold(SeededFolds):
    """Folds of whole tiles: all plots of a square tile are held out together, without a buffer.

    `size` is the side of a tile in `unit`:

    - `unit="degrees"` on lon/lat (the published protocol at 1 degree): tiles of `size` x `size`
      degrees, edges counted from longitude -180 and latitude -90.
    - `unit="km"` on lon/lat: rows `size` km tall counted from the equator, each cut from longitude
      -180 into the whole number of tiles whose width along the row's middle parallel is nearest
      `size` km. So tiles have equal area (to within 1/(2 x tiles in the row)) up to near the poles.
    - `unit="km"` with `space="projected"`: squares counted from the origin of the projection.

    Tiles are half-open (west and south edges belong to a tile). A unit of `groups` that lies in
    several tiles joins them. Tiles are dealt to folds by number of plots, see `units.deal`.
    """

    size: float = field(default=1.0, kw_only=True)
    unit: Literal["degrees", "km"] = field(default="degrees", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.size) and self.size > 0):
            raise EvaluationError(f"block size {self.size} must be a length above 0 {self.unit}")
        if self.unit not in ("degrees", "km"):
            raise EvaluationError(f"block unit {self.unit!r} is unknown; use 'degrees' or 'km'")
        if self.space == "feature":
            raise EvaluationError("space 'feature' has no tiles; use 'geographic' or 'projected'")
        if self.space == "projected" and self.unit == "degrees":
            raise EvaluationError(
                "block unit 'degrees' does not fit projected coordinates; use unit='km'"
            )

    def _assign(self, X: Floats, groups: ArrayLike | None) -> Integers:
        unit = self.tiles(X)
        if groups is not None:
            unit = joined(unit, groups)
        what = f"tile(s) of {self.size:g} {self.unit}"
        return self._deal_units(unit, what, "use smaller tiles or fewer folds")

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
        return in_order(np.unique(np.stack([column, row]), axis=1, return_inverse=True)[1])


@dataclass
class LeaveRegionOut(SeededFolds):
    """Leave-one-region-out folds: the error of the model in a region without plots.

    `groups` names the region of each plot (biome, state, island, survey programme) and then decides
    the number of folds. Without `groups`, k-means divides the sites into `n_splits` compact
    regions: on the sphere for lon/lat, seeded.
    """

    remedy: ClassVar[str] = "use fewer regions"

    def _assign(self, X: Floats, groups: ArrayLike | None) -> Integers:
        site = sites(X)
        if groups is None:
            self._require_units(int(site.max()) + 1, len(X), "separate site(s)", self.remedy)
            places = distances.placing(X, self.space)(X)[np.unique(site, return_index=True)[1]]
            return kmeans(places, self.n_splits, self.seed)[site]
        region = in_order(
            np.unique(checks.labels(groups, "groups", like=X), return_inverse=True)[1]
        )
        if region.max() == 0:
            raise EvaluationError(
                f"all {len(X)} plots lie in region {np.asarray(groups)[0]}; name at least 2 regions"
            )
        split_sites = np.flatnonzero(joined(region, site) != region)
        if len(split_sites):
            row = int(split_sites[0])
            raise EvaluationError(
                f"plots at {tuple(X[row].tolist())} lie in more than one region; give every "
                "location one region"
            )
        return region

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.n_splits if groups is None else len(np.unique(np.asarray(groups)))


@dataclass
class BufferedKFold(Splitter):
    """Buffered folds: those of another splitter, without training plots near the test plots.

    No training plot lies within `distance` km of a test plot (feature space: standard deviations);
    `folds` decides which plots are tested together; a number means `RandomKFold`. The buffer
    removes training plots, many if test plots are scattered: prefer compact folds.
    """

    folds: Splitter | int = 5
    _: KW_ONLY
    distance: float

    def __post_init__(self) -> None:
        if not isinstance(self.folds, Splitter):
            self.folds = RandomKFold(self.folds)
        if not (np.isfinite(self.distance) and self.distance > 0):
            raise EvaluationError(f"buffer distance {self.distance} must be a length above 0 km")
        self.n_splits, self.space = self.folds.n_splits, self.folds.space
        self.strict = self.folds.strict

    @property
    def _splitter(self) -> Splitter:
        """The other splitter."""
        assert isinstance(self.folds, Splitter)  # __post_init__ replaces a number
        return self.folds

    def _assign(self, X: Floats, groups: ArrayLike | None) -> Integers:
        return self._splitter._assign(X, groups)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self._splitter.get_n_splits(X, y, groups)

    def split(
        self, X: ArrayLike, y: Any = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[Integers, Integers]]:
        X = checks.coordinates(X, self.space)
        pairs = list(super().split(X, y, groups))
        points = distances.placing(X, self.space)(X)
        ground = self.distance if self.space == "feature" else 1000 * self.distance
        reach = distances.through_earth(ground, self.space)
        for number, (train, test) in enumerate(pairs):
            kept = train[distances.neighbours(KDTree(points[test]), points[train])[0] > reach]
            if len(kept) == 0:
                raise EvaluationError(
                    f"a buffer of {self.distance:g} leaves fold {number} no training plot; use a "
                    "shorter buffer or more compact folds"
                )
            if len(kept) < len(train) / 2:
                self._degenerate(
                    f"a buffer of {self.distance:g} leaves fold {number} only {len(kept)} of "
                    f"{len(train)} training plots; use a shorter buffer or more compact folds"
                )
            yield kept, test


def _kilometre_tiles(lonlat: Floats, size: float) -> tuple[Floats, Floats]:
    """Column and row of the near-square, near-equal-area tiles of `size` km, each (n,)."""
    height = size / S2_KM_PER_DEGREE  # degrees of latitude
    row = np.floor(lonlat[:, 1] / height)
    middle = np.clip((row + 0.5) * height, -90, 90)
    parallel = 360 * S2_KM_PER_DEGREE * np.cos(np.radians(middle))  # km around
    columns = np.maximum(1, np.rint(parallel / size))
    # The product can round up to `columns` itself just west of the antimeridian.
    column = np.minimum(np.floor(_eastward(lonlat[:, 0]) / 360 * columns), columns - 1)
    return column, row


def _eastward(lon: Floats) -> Floats:
    """Degrees east of longitude -180, 0 <= value < 360, the same for -180 and 180."""
    return np.where(lon >= 180, lon - 180, lon + 180)
