"""The difference between two maps by region, with the interval of each region's mean."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
from shapely.geometry import box

from spatioformer.analysis.scenarios.change import BANDS
from spatioformer.analysis.zonal import summarise
from spatioformer.common.progress import SILENT, Console
from spatioformer.evaluation.correlation import ErrorCorrelation
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.vector.zones import read_polygons

COMMON_KM = 1e7
"""e-folding distance of errors that all of the Earth has in common, km."""
WHOLE = "whole map"
SHARES = ("rise", "fall", "outside")
"""Bands of 1 and 0, whose mean is the share of a region's area."""


def region_table(
    change: Path,
    polygons: str | Path | None,
    correlation: ErrorCorrelation | None,
    *,
    name: str | None = None,
    console: Console = SILENT,
) -> pd.DataFrame:
    """Summarise the raster of `write_change` by polygon.

    The interval of a region's mean difference follows `analysis.zonal`, with half of the width of
    the pixels' intervals of the difference as half-widths. The noise of single plots averages out
    in a region. The errors of the map do not: `lower` and `upper` take them to be common to all
    pixels of the region, because a wrong response to a new climate is. `lower_local` and
    `upper_local` take them to be correlated over the distance that held-out plots show, so that
    they average out too.

    Args:
        change: the raster.
        polygons: a vector file; None: the whole map is one region.
        correlation: of the map's errors; None: no interval.
        name: field with the polygons' names; None: numbers from 1.

    Returns:
        One row a polygon: `name`, `pixels`; `mapped_km2`, the area with values; area-weighted
        means `today`, `scenario` and `difference`; the ends `lower`, `upper`, `lower_local` and
        `upper_local` of the intervals of the mean difference, if `correlation` is given; and shares
        of the area, 0-1: `rise_share` and `fall_share`, where the interval of a pixel's difference
        lies above or below 0, and `outside_share`, outside the area of applicability. NaN without
        pixels.

    Raises:
        PlotError: the polygons cannot be read or used.
        ImageryError: the raster cannot be read.
    """
    shapes = _whole(change) if polygons is None else read_polygons(polygons, name)
    numbers = {band: number for number, band in enumerate(BANDS, start=1)}

    def summed(band: str, errors: ErrorCorrelation | None = None) -> gpd.GeoDataFrame:
        bands = {"mean": numbers[band], "lower": numbers["lower"], "upper": numbers["upper"]}
        return summarise(change, shapes, errors, name="name", bands=bands)

    difference = summed("change")
    means: dict[str, Any] = {band: summed(band)["mean"] for band in ("today", "scenario")}
    means["difference"] = difference["mean"]
    if correlation is not None:
        common = replace(correlation, range_km=COMMON_KM)
        for end, errors in (("", common), ("_local", correlation)):
            half = summed("change", errors)["half_width"]
            means[f"lower{end}"] = means["difference"] - half
            means[f"upper{end}"] = means["difference"] + half
    for band in console.track(SHARES, "regions"):
        means[f"{band}_share"] = summed(band)["mean"]
    table = pd.DataFrame(difference[["name", "pixels", "mapped_km2"]])
    return table.assign(**means)


def _whole(raster: Path) -> gpd.GeoDataFrame:
    """The outline of a raster as a polygon."""
    with open_raster(raster) as source:
        grid = Grid.of(source)
    return gpd.GeoDataFrame({"name": [WHOLE]}, geometry=[box(*grid.bounds)], crs=grid.crs)
