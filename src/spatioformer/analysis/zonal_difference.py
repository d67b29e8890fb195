"""Difference between the mean richness of two polygons, with its interval.

Errors of a map are correlated at nearby places, so the errors of two neighbouring means partly
cancel. With the half-widths H_a and H_b of the means (`zonal.py`), that of their difference is

    H^2 = H_a^2 + H_b^2 - 2 scale^2 (1 - nugget_share) sum_ij w_i w_j h_i h_j exp(-d_ij / range)

where i runs over the pixels of one polygon and j over those of the other.
"""

from pathlib import Path

import geopandas as gpd
import numpy as np

from spatioformer.analysis.zonal import MapReader, PixelSums
from spatioformer.common.errors import ArgumentError
from spatioformer.evaluation.correlation import ErrorCorrelation, mean_cross_correlation
from spatioformer.geo.vector import zones


def difference(
    map_: str | Path,
    summary: gpd.GeoDataFrame,
    correlation: ErrorCorrelation,
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Mean of the first polygon less that of the second, and its interval.

    Args:
        map_: a map of `spatioformer map` with intervals.
        summary: of two polygons, from `zonal.summarise` with the same arguments.
        correlation: spatial correlation of the map's errors.
        seed: random seed for the sample of pixels in large polygons.

    Returns:
        `mean`, `lower`, `upper` and `half_width` of the difference, at the level of the map's
        intervals; NaN if a polygon has no pixels.

    Raises:
        ArgumentError: there are not two polygons.
        ImageryError: as `zonal.summarise`.
    """
    if len(summary) != 2:
        raise ArgumentError(
            f"a difference is between two polygons, and there are {len(summary)}; give two"
        )
    if not (summary["pixels"] > 0).all():
        return dict.fromkeys(("mean", "lower", "upper", "half_width"), np.nan)
    with MapReader(map_, True) as source:
        grid = source.grid
        shapes = zones.on_pixels(summary.geometry, grid)
        first, second = (PixelSums.over(source, shape, seed) for shape in shapes)
    shared = mean_cross_correlation(*first.places(grid), *second.places(grid), correlation.range_km)
    cross = shared * first.reach / first.area * second.reach / second.area
    squares = float((summary["half_width"] ** 2).sum())
    squares -= 2 * correlation.scale**2 * (1 - correlation.nugget_share) * cross
    half_width = float(np.sqrt(max(0.0, squares)))
    mean = float(summary["mean"].iloc[0] - summary["mean"].iloc[1])
    return {
        "mean": mean,
        "lower": mean - half_width,
        "upper": mean + half_width,
        "half_width": half_width,
    }
