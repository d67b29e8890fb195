"""Sizes of tiles that fit a set of plots, for splits, validation and the curve of r2."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from spatioformer.common.earth import KM_PER_DEGREE, arc_of
from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.evaluation.units import joined, sites

TILES_ACROSS = 30
"""Number of tiles along the plots' extent; 1 degree in Australia, as published."""

SITES_IN_A_TILE = 1.5
"""Smallest mean number of sites in a tile. With fewer, holding tiles out is nearly the
same as holding plots out at random."""

FEWEST_TILES = 10
"""Smallest number of tiles that holds enough for five folds."""

TILES_OF_A_FOLD = 4
"""Smallest mean number of tiles in a fold, for tiles that are widened to the range of residuals."""

CURVE = (0.5, 1, 2, 4, 8)
"""Sides of the tiles of the curve, as multiples of the usual side."""

CURVE_FOLDS = 5
"""Number of folds of each split of the curve."""

KM_BELOW = 0.5
"""Side in degrees below which tiles are measured in kilometres."""


@dataclass(frozen=True)
class Tile:
    """Side of a square tile.

    Attributes:
        size: in `unit`.
    """

    size: float
    unit: Literal["degrees", "km"]

    @property
    def degrees(self) -> float:
        """The side in degrees of latitude."""
        return self.size if self.unit == "degrees" else self.size / KM_PER_DEGREE

    def times(self, factor: float) -> float:
        """A multiple of the side, in `unit`, at most 180 degrees."""
        longest = 180.0 if self.unit == "degrees" else 180 * KM_PER_DEGREE
        return float(f"{min(self.size * factor, longest):.6g}")

    def __str__(self) -> str:
        return f"{self.size:g}{'°' if self.unit == 'degrees' else ' km'}"


def usual_tile(lonlat: ArrayLike) -> Tile:
    """The side of tiles that fits plots: a 30th of their extent, and tiles with several sites each.

    It is 1, 2 or 5 times a power of ten. Plots in few clusters get smaller tiles, until there are
    enough to hold out.

    Args:
        lonlat: (n, 2), degrees.

    Raises:
        EvaluationError: no valid coordinates.
    """
    places = checks.coordinates(lonlat, "geographic")
    across = extent(places)
    unit: Literal["degrees", "km"] = "degrees" if across / TILES_ACROSS >= KM_BELOW else "km"
    factor = 1.0 if unit == "degrees" else KM_PER_DEGREE
    size = rounded(across / TILES_ACROSS * factor)
    count = len(np.unique(sites(places, None)))
    longest = across * factor / 2
    while size < longest and _tiles(places, size, unit) * SITES_IN_A_TILE > count:
        size = rounded(size * 2)
    while size > longest / 1000 and _tiles(places, size, unit) < min(FEWEST_TILES, count):
        size = rounded(size / 2)
    return Tile(size, unit)


@dataclass(frozen=True)
class TileChoice:
    """The tiles of a split by tiles, and why they have this side.

    Attributes:
        tile: the side.
        usual: the side by extent and spacing of the plots, `usual_tile`.
        range_km: range of the residuals' correlation; NaN if it is not known.
        across_km: the shorter side of a tile at the plots' middle latitude.
    """

    tile: Tile
    usual: Tile
    range_km: float
    across_km: float

    def __str__(self) -> str:
        if not np.isfinite(self.range_km):
            return f"{self.tile}, by the plots' extent; the range of the residuals is not known"
        reach = f"the residuals are correlated up to {float(f'{self.range_km:.2g}'):,g} km"
        if self.across_km < self.range_km:
            return f"{self.tile}; {reach}, but larger tiles would leave too few or too uneven folds"
        if self.tile == self.usual:
            return f"{self.tile}, by the plots' extent; {reach}"
        return f"{self.tile}, because {reach}; by the plots' extent alone {self.usual}"


def split_tile(
    lonlat: ArrayLike, range_km: float, folds: int, groups: ArrayLike | None = None
) -> TileChoice:
    """The side of tiles of a split: `usual_tile`, widened to the range of the residuals.

    It is widened in steps of 1, 2 and 5 times a power of ten until a tile is as wide as the range.
    It stops before there are fewer than 4 tiles a fold, before a tile holds more plots than a fold
    should, and at half of the plots' extent.

    Args:
        lonlat: (n, 2), degrees.
        range_km: from `residuals.residual_range`; NaN keeps `usual_tile`.
        folds: number of folds.
        groups: (n,), units that may not be split; tiles that share one count as one tile.

    Raises:
        EvaluationError: no valid coordinates.
    """
    places = checks.coordinates(lonlat, "geographic")
    usual = tile = usual_tile(places)
    narrow = float(np.cos(np.radians((places[:, 1].min() + places[:, 1].max()) / 2)))

    def across(tile: Tile) -> float:
        return tile.size * KM_PER_DEGREE * narrow if tile.unit == "degrees" else tile.size

    while across(tile) < range_km:
        wider = Tile(rounded(tile.size * 2), tile.unit)
        if wider.degrees > extent(places) / 2 or not _is_even(places, wider, folds, groups):
            break
        tile = wider
    return TileChoice(tile, usual, range_km, across(tile))


def _is_even(places: np.ndarray, tile: Tile, folds: int, groups: ArrayLike | None) -> bool:
    """Whether tiles make folds of several tiles and of similar numbers of plots."""
    unit = SpatialBlockKFold(2, size=tile.size, unit=tile.unit).tiles(places)
    counts = np.bincount(unit if groups is None else joined(unit, groups))
    return len(counts) >= TILES_OF_A_FOLD * folds and counts.max() * folds <= counts.sum()


def curve_of(lonlat: ArrayLike, tile: Tile) -> tuple[float, ...]:
    """Sides of tiles for the curve of r2, in the unit of `tile`: multiples of its side.

    Sides of which the plots at lon, lat (n, 2), degrees, fill too few tiles for folds are left out.
    """
    places = checks.coordinates(lonlat, "geographic")
    sizes = dict.fromkeys(tile.times(factor) for factor in CURVE)
    return tuple(size for size in sizes if _tiles(places, size, tile.unit) >= CURVE_FOLDS)


def splittable(lonlat: ArrayLike, size: float | None) -> float:
    """Side of tiles, degrees, of which the plots fill two at least.

    Args:
        lonlat: (n, 2), degrees.
        size: wanted side, halved until two tiles hold plots; None: `usual_tile`.

    Raises:
        EvaluationError: all plots lie at one place.
    """
    places = checks.coordinates(lonlat, "geographic")
    count = len(np.unique(places, axis=0))
    if count < 2:
        raise EvaluationError(
            f"{len(places)} plots lie at {count} place(s), and validation holds whole places out; "
            "give plots at two places or more"
        )
    side = usual_tile(places).degrees if size is None else size
    while _tiles(places, side, "degrees") < 2:
        side /= 2
    return side


def extent(places: np.ndarray) -> float:
    """The longer side of the smallest box around lon, lat (n, 2), degrees of arc; at least 0.001.

    The box may straddle 180 degrees.
    """
    west, east = arc_of(places[:, 0])
    south, north = places[:, 1].min(), places[:, 1].max()
    width = (east - west) % 360 * np.cos(np.radians((south + north) / 2))
    return max(float(width), float(north - south), 0.001)


def rounded(value: float) -> float:
    """The nearest of 1, 2 and 5 times a power of ten, by ratio."""
    power = 10.0 ** np.floor(np.log10(value))
    steps = np.array([1, 2, 5, 10]) * power
    nearest = steps[np.argmin(np.abs(np.log(steps / value)))]
    return float(f"{nearest:.6g}")


def _tiles(places: np.ndarray, size: float, unit: Literal["degrees", "km"]) -> int:
    """Number of tiles that hold plots."""
    return len(np.unique(SpatialBlockKFold(2, size=size, unit=unit).tiles(places)))
