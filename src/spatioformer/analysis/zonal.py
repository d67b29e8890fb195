"""What a map says about areas: mean, quantiles and interval of richness in every polygon.

Errors of a map are alike at nearby places, so the mean over a park is not as sure as the root of
its number of pixels would have it. With weights w_i (shares of the polygon's mapped area),
half-widths h_i of the pixels' intervals and the correlation of errors
(`evaluation.correlation.ErrorCorrelation`), the half-width H of the mean is

    H^2 = scale^2 (1 - nugget_share) sum_ij w_i w_j h_i h_j exp(-d_ij / range)

for the mean of the expected richness: noise of single plots is none of its error. For the mean of
what one plot in each pixel would count, add scale^2 nugget_share sum_i (w_i h_i)^2. A polygon of
more than `PAIRED` pixels has the mean correlation of its pairs from so many pixels, drawn evenly;
all sums over single pixels are exact. docs/zonal.md has the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import ImageryError, ModelError, OutputError
from spatioformer.common.files import hash_file, writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.evaluation.correlation import ErrorCorrelation, mean_correlation
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.map_layers import TITLES, bands_of
from spatioformer.geo.vector import zones
from spatioformer.models.uncertainty import Uncertainty

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
KEPT = 200_000  # pixels of a polygon that are remembered for its quantiles
PAIRED = 2000  # of them, those whose pairs are looked at
FORMATS = (".csv", ".gpkg")
INTERVAL = ("lower", "upper", "half_width", "half_width_counts", "half_width_naive")


def summarise(
    map_: str | Path,
    polygons: str | Path | gpd.GeoDataFrame,
    correlation: ErrorCorrelation | None = None,
    *,
    name: str | None = None,
    layer: str | None = None,
    seed: int = 0,
    console: Console = SILENT,
) -> gpd.GeoDataFrame:
    """Richness by polygon; each polygon stands for itself, however they overlap.

    Args:
        map_: a map of `spatioformer map`, or a raster of one band.
        polygons: a vector file or a table, in any CRS.
        correlation: of the map's errors; None gives no intervals.
        name: field that names the polygons; None numbers them from 1.
        layer: of a file with several.
        seed: of the pixels drawn from large polygons.

    Returns:
        A row a polygon, in their order and CRS. `name`; `pixels`, those with a value; `taken` as
        "shares" of pixels, as the one pixel ("nearest") around a polygon smaller than that, or
        "none"; `area_km2` of the polygon and `mapped_km2` of what has values, both on the
        ellipsoid; area-weighted `mean` and quantiles `q05` ... `q95` of the pixels' values; with a
        correlation, `lower` and `upper` of the mean at the level of the map's own intervals,
        `half_width` of that, `half_width_counts` when one plot is counted in each pixel, and
        `half_width_naive`, as if errors of pixels had nothing to do with each other. NaN where
        there are no pixels.

    Raises:
        PlotError: polygons that cannot be read or used; see `geo.zones.read_polygons`.
        ImageryError: a map that cannot be read, or lacks the layers needed.
    """
    if isinstance(polygons, gpd.GeoDataFrame):
        polygons = zones.named_polygons(polygons, name)
    else:
        polygons = zones.read_polygons(polygons, name, layer)
    with _Map(map_, with_interval=correlation is not None) as source:
        shapes = zones.on_pixels(polygons.geometry, source.grid)
        rows = [
            _Sums.over(source, shape, seed).row(source.grid, correlation)
            for shape in console.track(shapes, "zonal", len(shapes))
        ]
    found = pd.DataFrame(rows)
    found.insert(0, "name", polygons["name"].to_numpy())
    found.insert(3, "area_km2", zones.polygon_areas(polygons.geometry))
    return gpd.GeoDataFrame(found, geometry=polygons.geometry.to_numpy(), crs=polygons.crs)


class _Map:
    """The layers of a map that are needed, in the target's unit."""

    def __init__(self, path: str | Path, with_interval: bool):
        self._dataset = _opened(path)
        try:
            self.grid = Grid.of(self._dataset)
            layers = ("mean", "lower", "upper") if with_interval else ("mean",)
            self._bands = [self._band(path, layer) for layer in layers]
        except ImageryError:
            self._dataset.close()
            raise

    def __enter__(self) -> "_Map":
        return self

    def __exit__(self, *_) -> None:
        self._dataset.close()

    def _band(self, path: str | Path, layer: str) -> int:
        known = bands_of(self._dataset)
        if layer in known:
            return known[layer]
        if layer == "mean" and self._dataset.count == 1:
            return 1
        remedy = "give a map of `spatioformer map`"
        if layer != "mean":
            remedy = (
                "map again with a model that was evaluated, or give --no-interval for means and "
                "quantiles only"
            )
        raise ImageryError(f"{path} has no layer {TITLES[layer]!r}; {remedy}")

    def read(self, window: Window) -> tuple[Floats, Floats]:
        """Mean and half-width (y, x) of the pixels' intervals, NaN without a value; 0 half-widths
        where none are wanted."""
        values = self._dataset.read(self._bands, window=window, masked=True)
        scale, offset = (
            np.array([of[i - 1] for i in self._bands])[:, None, None]
            for of in (self._dataset.scales, self._dataset.offsets)
        )
        mean, *ends = values.astype(np.float64).filled(np.nan) * scale + offset
        return mean, (ends[1] - ends[0]) / 2 if ends else np.zeros_like(mean)


@dataclass
class _Sums:
    """Sums over the pixels of one polygon, and some of its pixels.

    A pixel is kept by a number drawn from its place and the seed: the kept ones do not depend on
    the windows, and the first of them are an even draw from all.

    Attributes:
        taken: see `summarise`.
        area: km2; `value`, `reach`, `reach2`: sums of mean x area, half-width x area and the
            squares of the latter.
        kept: (6, k): draw, row, column, mean, area, half-width; ascending by draw at the end.
    """

    taken: str = "none"
    pixels: int = 0
    area: float = 0.0
    value: float = 0.0
    reach: float = 0.0
    reach2: float = 0.0
    kept: Floats = field(default_factory=lambda: np.empty((6, 0)))
    _limit: float = np.inf  # draws from here on are too high to be kept

    @classmethod
    def over(cls, source: _Map, shape: shapely.Geometry, seed: int) -> Self:
        """Of the pixels under a polygon in pixel coordinates."""
        sums = cls()
        for window, shares in zones.pieces(shape, *source.grid.shape):
            if shares.any():
                sums.taken = "shares"
                sums._add(source, window, shares, seed)
        if sums.taken == "none":
            for window, shares in zones.nearest(shape, *source.grid.shape):
                sums.taken = "nearest"
                sums._add(source, window, shares, seed)
        sums._prune()
        return sums

    def _add(self, source: _Map, window: Window, shares: NDArray, seed: int) -> None:
        mean, reach = source.read(window)
        areas = shares * zones.pixel_areas(source.grid, window)
        at = np.nonzero((areas > 0) & np.isfinite(mean) & np.isfinite(reach))
        mean, reach, area = mean[at], reach[at], areas[at]
        self.pixels += len(mean)
        self.area += area.sum()
        self.value += area @ mean
        self.reach += area @ reach
        self.reach2 += area**2 @ reach**2
        rows, cols = at[0] + window.row_off, at[1] + window.col_off
        found = np.stack([_draw(rows, cols, seed), rows, cols, mean, area, reach])
        self.kept = np.concatenate([self.kept, found[:, found[0] < self._limit]], axis=1)
        if self.kept.shape[1] > 2 * KEPT:
            self._prune()

    def _prune(self) -> None:
        self.kept = self.kept[:, np.argsort(self.kept[0], kind="stable")[:KEPT]]
        if self.kept.shape[1] == KEPT:
            self._limit = self.kept[0, -1]

    def row(self, grid: Grid, correlation: ErrorCorrelation | None) -> dict:
        """The columns of `summarise` that come from pixels."""
        columns = [*(f"q{round(100 * q):02d}" for q in QUANTILES)]
        found = dict.fromkeys(["mean", *columns, *(INTERVAL if correlation else ())], np.nan)
        if self.pixels:
            _, _, _, mean, area, _ = self.kept
            found["mean"] = self.value / self.area
            found |= dict(zip(columns, weighted_quantiles(mean, area, QUANTILES), strict=True))
            if correlation is not None:
                found |= self._interval(grid, correlation, found["mean"])
        facts = {"pixels": self.pixels, "taken": self.taken, "mapped_km2": self.area}
        return facts | found

    def _interval(self, grid: Grid, correlation: ErrorCorrelation, mean: float) -> dict:
        _, rows, cols, _, area, reach = self.kept[:, :PAIRED]
        points = on_sphere(np.column_stack(grid.lonlat(rows, cols)))
        alike = mean_correlation(points, area * reach, correlation.range_km)
        own = self.reach2 / self.area**2  # sum_i (w_i h_i)^2
        shared = own + alike * max(0.0, (self.reach / self.area) ** 2 - own)
        nugget = correlation.nugget_share
        half_width = correlation.scale * np.sqrt((1 - nugget) * shared)
        counts = correlation.scale * np.sqrt((1 - nugget) * shared + nugget * own)
        naive = correlation.scale * np.sqrt(own)
        values = max(0.0, mean - half_width), mean + half_width, half_width, counts, naive
        return dict(zip(INTERVAL, values, strict=True))


def _draw(rows: NDArray, cols: NDArray, seed: int) -> Floats:
    """A number in [0, 1) for each pixel (n,): the finaliser of SplitMix64 (Steele, Lea & Flood
    2014, OOPSLA) on its place."""
    state = rows.astype(np.uint64) << np.uint64(32) | cols.astype(np.uint64)
    state += np.uint64((seed * 2 + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return (state ^ (state >> np.uint64(31))) / 2.0**64


def weighted_quantiles(values: Floats, weights: Floats, shares: Sequence[float]) -> Floats:
    """Values (k,) below which `shares` of the weight lie, each value's own weight half below it.

    With equal weights, Hazen's quantiles (`np.quantile(..., method="hazen")`).
    """
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    below = (np.cumsum(weights) - weights / 2) / weights.sum()
    return np.interp(shares, below, values)


def correlation_of(map_: str | Path, run: str | Path | None = None) -> ErrorCorrelation:
    """How the errors of a map are correlated, as its model's evaluation found them.

    Args:
        run: folder of a run, or of its model; None looks beside the map, as it lies in a run.

    Raises:
        ImageryError: there is no such map.
        ModelError: there is no evaluated model, or the map was made by another one.
    """
    with _opened(map_) as dataset:  # before its model is looked for beside it
        made_by = dataset.tags().get("MODEL_ID")
    folder = Path(map_).parent if run is None else Path(run)
    model = next((f for f in (folder / "model", folder) if Uncertainty.is_in(f)), None)
    if model is None:
        raise ModelError(
            f"{folder} holds no evaluated model that tells how errors are correlated; give --run "
            "RUN, --range KM, or --no-interval for means and quantiles only"
        )
    _check_model(map_, made_by, model)
    known = Uncertainty.load(model).facts.get("correlation")
    if known is None:
        raise ModelError(
            f"{model} was evaluated by a version that did not look at the correlation of errors; "
            "evaluate it again with `spatioformer evaluate --force`, or give --range KM"
        )
    return ErrorCorrelation(**known)


def _opened(map_: str | Path) -> DatasetReader:
    try:
        return rasterio.open(map_)
    except RasterioIOError as error:
        raise ImageryError(f"{map_} cannot be read ({error}); give a map") from error


def _check_model(map_: str | Path, made_by: str | None, model: Path) -> None:
    weights = model / "model.safetensors"
    if made_by and weights.exists() and hash_file(weights)[: len(made_by)] != made_by:
        raise ModelError(
            f"{map_} was made by model {made_by}, which is not the one in {model}; give the run of "
            "that model"
        )


def write_zones(found: gpd.GeoDataFrame, out: str | Path) -> None:
    """Write what `summarise` gives, as CSV without outlines or as GeoPackage.

    Raises:
        OutputError: another suffix, or the file cannot be written.
    """
    out = Path(out)
    check_place(out)
    with writing(out) as part:
        if out.suffix == ".csv":
            found.drop(columns="geometry").to_csv(part, index=False, float_format="%.6g")
        else:
            found.to_file(part, driver="GPKG", layer="zones")


def check_place(out: str | Path, *inputs: str | Path) -> None:
    """Raises:
    OutputError: the suffix is none of FORMATS, or `out` is one of the inputs.
    """
    out = Path(out)
    if out.suffix not in FORMATS:
        raise OutputError(
            f"cannot write {out}: {out.suffix or 'no suffix'} is not known; name a file that ends "
            f"with {' or '.join(FORMATS)}"
        )
    for path in map(Path, inputs):
        if out.exists() and path.exists() and out.samefile(path):
            raise OutputError(f"cannot write {out}: it is an input; name another file")
