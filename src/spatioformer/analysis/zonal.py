"""Zonal statistics of a map: mean, quantiles and interval of richness in every polygon.

Errors of a map are correlated at nearby places. So the error of a park's mean is larger than that
of a mean of independent pixels. With weights w_i (shares of the polygon's mapped area), half-widths
h_i of the pixels' intervals and the correlation of errors
(`evaluation.correlation.ErrorCorrelation`), the half-width H of the mean is

    H^2 = scale^2 (1 - nugget_share) sum_ij w_i w_j h_i h_j exp(-d_ij / range)

for the mean of the expected richness, which excludes the noise of single plots. For the mean of
counts of one plot in each pixel, add scale^2 nugget_share sum_i (w_i h_i)^2. If a polygon has more
than `PAIRED` pixels, the mean correlation of its pairs is computed from a random sample of that
size. All sums over single pixels are exact. docs/zonal.md gives the accuracy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import ImageryError, ModelError, OutputError
from spatioformer.common.files import hash_file, writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.tables import write_csv
from spatioformer.evaluation.correlation import ErrorCorrelation, mean_correlation
from spatioformer.geo.geopackage import write_geopackage
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.areas import pixel_areas
from spatioformer.geo.raster.layers import unreadable
from spatioformer.geo.raster.map_layers import TITLES, bands_of
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.regular import remark_of
from spatioformer.geo.raster.values import Values, check_numbers, value_bands
from spatioformer.geo.vector import zones
from spatioformer.models.uncertainty import Uncertainty

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
KEPT = 200_000  # largest sample of a polygon's pixels for its quantiles
PAIRED = 2000  # largest sample of a polygon's pixels for the mean correlation of pairs
FORMATS = (".csv", ".gpkg")
INTERVAL = ("lower", "upper", "half_width", "half_width_counts", "half_width_naive")


def summarise(
    map_: str | Path,
    polygons: str | Path | gpd.GeoDataFrame,
    correlation: ErrorCorrelation | None = None,
    *,
    name: str | None = None,
    layer: str | None = None,
    bands: Mapping[str, int] | None = None,
    seed: int = 0,
    console: Console = SILENT,
) -> gpd.GeoDataFrame:
    """Summarise a map by polygon; polygons may overlap.

    Args:
        map_: a map of `spatioformer map`, or any raster with one band.
        polygons: a vector file or a GeoDataFrame, in any CRS.
        correlation: spatial correlation of the map's errors; None: no intervals.
        name: field with the polygons' names; None: numbers from 1.
        layer: name of the layer, for a file with several.
        bands: numbers of the bands that stand for the layers "mean", "lower" and "upper"; None:
            by the bands' descriptions.
        seed: random seed for the sample of pixels in large polygons.

    Returns:
        One row a polygon, in the order and CRS of `polygons`, with the columns: `name`; `pixels`,
        number with a value; `taken`, "shares" of pixels, "nearest" for the pixel around a polygon
        smaller than a pixel, or "none"; `area_km2` of the polygon and `mapped_km2` of the part with
        values, on the ellipsoid; area-weighted `mean` and quantiles `q05` ... `q95` of the pixels'
        values. With a correlation also `lower` and `upper` of the mean at the level of the map's
        intervals, their `half_width`, `half_width_counts` for counts of one plot in each pixel, and
        `half_width_naive` for independent pixels. NaN if there are no pixels.

    Raises:
        PlotError: polygons that cannot be read or used; see `geo.vector.zones.read_polygons`.
        ImageryError: a map that cannot be read, or lacks the layers needed.
    """
    if isinstance(polygons, gpd.GeoDataFrame):
        polygons = zones.named_polygons(polygons, name)
    else:
        polygons = zones.read_polygons(polygons, name, layer)
    with MapReader(map_, correlation is not None, bands) as source:
        if source.remark:
            console.say(f"note: {source.remark}")
        shapes = zones.on_pixels(polygons.geometry, source.grid)
        rows = [
            PixelSums.over(source, shape, seed).row(source.grid, correlation)
            for shape in console.track(shapes, "zonal", len(shapes))
        ]
    summary = pd.DataFrame(rows)
    summary.insert(0, "name", polygons["name"].to_numpy())
    summary.insert(3, "area_km2", zones.polygon_areas(polygons.geometry))
    return gpd.GeoDataFrame(summary, geometry=polygons.geometry.to_numpy(), crs=polygons.crs)


class MapReader:
    """Reader of a map's mean and, on request, interval layers, in the unit of the target."""

    def __init__(
        self, path: str | Path, with_interval: bool, numbers: Mapping[str, int] | None = None
    ):
        self._dataset = _opened(path)
        try:
            self.grid = Grid.of(self._dataset, str(path))
            layers = ("mean", "lower", "upper") if with_interval else ("mean",)
            stated = numbers or {}
            bands = tuple(stated.get(layer) or self._band(path, layer) for layer in layers)
            check_numbers(self._dataset, bands, str(path))
            self._values = Values(self._dataset, bands)
            self.remark = remark_of(self._dataset)
        except ImageryError:
            self._dataset.close()
            raise

    def __enter__(self) -> "MapReader":
        return self

    def __exit__(self, *_) -> None:
        self._dataset.close()

    def _band(self, path: str | Path, layer: str) -> int:
        bands = bands_of(self._dataset)
        if layer in bands:
            return bands[layer]
        values = value_bands(self._dataset)
        if layer == "mean" and len(values) == 1:
            return values[0]
        remedy = "give a map of `spatioformer map`"
        if layer != "mean":
            remedy = (
                "map again with an evaluated model, or give --no-interval for means and "
                "quantiles only"
            )
        raise ImageryError(f"{path} has no layer {TITLES[layer]!r}; {remedy}")

    def read(self, window: Window) -> tuple[Floats, Floats]:
        """Mean and half-width (y, x) of the pixels' intervals; NaN where there is no value.

        Half-widths are 0 if the map was opened without intervals.
        """
        try:
            mean, *ends = self._values.read(window, np.float64)
        except RasterioIOError as error:
            raise unreadable(self._dataset.name, error) from error
        return mean, (ends[1] - ends[0]) / 2 if ends else np.zeros_like(mean)


@dataclass
class PixelSums:
    """Sums over the pixels of one polygon, and a sample of its pixels.

    Each pixel has a pseudo-random number that depends on its place and the seed. The pixels with
    the
    smallest numbers are kept: the sample does not depend on the windows, and its first pixels are a
    random sample too.

    Attributes:
        taken: see `summarise`.
        area: km2.
        value, reach, reach2: sums of mean x area, half-width x area, and (half-width x area)^2.
        kept: (6, k): random number, row, column, mean, area, half-width; ascending by random
            number.
    """

    taken: str = "none"
    pixels: int = 0
    area: float = 0.0
    value: float = 0.0
    reach: float = 0.0
    reach2: float = 0.0
    kept: Floats = field(default_factory=lambda: np.empty((6, 0)))
    _limit: float = np.inf  # pixels with a random number of at least this are not kept

    @classmethod
    def over(cls, source: MapReader, shape: BaseGeometry, seed: int) -> Self:
        """Sum over the pixels under a polygon given in pixel coordinates."""
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

    def _add(self, source: MapReader, window: Window, shares: NDArray, seed: int) -> None:
        mean, reach = source.read(window)
        areas = shares * pixel_areas(source.grid, window)
        inside = np.nonzero((areas > 0) & np.isfinite(mean) & np.isfinite(reach))
        mean, reach, area = mean[inside], reach[inside], areas[inside]
        self.pixels += len(mean)
        self.area += area.sum()
        self.value += float(area @ mean)
        self.reach += float(area @ reach)
        self.reach2 += float(area**2 @ reach**2)
        rows, cols = inside[0] + window.row_off, inside[1] + window.col_off
        sample = np.stack([_draw(rows, cols, seed), rows, cols, mean, area, reach])
        self.kept = np.concatenate([self.kept, sample[:, sample[0] < self._limit]], axis=1)
        if self.kept.shape[1] > 2 * KEPT:
            self._prune()

    def _prune(self) -> None:
        self.kept = self.kept[:, np.argsort(self.kept[0], kind="stable")[:KEPT]]
        if self.kept.shape[1] == KEPT:
            self._limit = self.kept[0, -1]

    def row(self, grid: Grid, correlation: ErrorCorrelation | None) -> dict:
        """The columns of `summarise` that are computed from pixels."""
        columns = [*(f"q{round(100 * q):02d}" for q in QUANTILES)]
        statistics = dict.fromkeys(["mean", *columns, *(INTERVAL if correlation else ())], np.nan)
        if self.pixels:
            _, _, _, mean, area, _ = self.kept
            statistics["mean"] = self.value / self.area
            statistics |= dict(zip(columns, weighted_quantiles(mean, area, QUANTILES), strict=True))
            if correlation is not None:
                statistics |= self.interval(grid, correlation, statistics["mean"])
        facts = {"pixels": self.pixels, "taken": self.taken, "mapped_km2": self.area}
        return facts | statistics

    def places(self, grid: Grid) -> tuple[Floats, Floats]:
        """Points (n, 3), km, of at most PAIRED pixels, and area x half-width (n,) of each."""
        _, rows, cols, _, area, reach = self.kept[:, :PAIRED]
        return on_sphere(np.column_stack(grid.lonlat(rows, cols))), area * reach

    def interval(self, grid: Grid, correlation: ErrorCorrelation, mean: float) -> dict:
        """The columns of INTERVAL."""
        points, weights = self.places(grid)
        mean_pair_correlation = mean_correlation(points, weights, correlation.range_km)
        independent = self.reach2 / self.area**2  # sum_i (w_i h_i)^2
        shared = independent + mean_pair_correlation * max(
            0.0, (self.reach / self.area) ** 2 - independent
        )
        nugget = correlation.nugget_share
        half_width = correlation.scale * np.sqrt((1 - nugget) * shared)
        counts = correlation.scale * np.sqrt((1 - nugget) * shared + nugget * independent)
        naive = correlation.scale * np.sqrt(independent)
        values = max(0.0, mean - half_width), mean + half_width, half_width, counts, naive
        return dict(zip(INTERVAL, values, strict=True))


def _draw(rows: NDArray, cols: NDArray, seed: int) -> Floats:
    """Pseudo-random number in [0, 1) of each pixel, (n,), from its row, column and the seed.

    Source: the finaliser of SplitMix64 (Steele, Lea & Flood 2014, OOPSLA).
    """
    state = rows.astype(np.uint64) << np.uint64(32) | cols.astype(np.uint64)
    state += np.uint64((seed * 2 + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return (state ^ (state >> np.uint64(31))) / 2.0**64


def weighted_quantiles(values: Floats, weights: Floats, shares: Sequence[float]) -> Floats:
    """Weighted quantiles, (k,), at `shares`; half of each value's weight counts as below it.

    With equal weights these are Hazen's quantiles (`np.quantile(..., method="hazen")`).
    """
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    below = (np.cumsum(weights) - weights / 2) / weights.sum()
    return np.interp(shares, below, values)


def correlation_of(map_: str | Path, run: str | Path | None = None) -> ErrorCorrelation:
    """Load the spatial correlation of a map's errors, estimated when its model was evaluated.

    Args:
        run: folder of a run, or of its model; None: the folder of the map.

    Raises:
        ImageryError: the map cannot be read.
        ModelError: there is no evaluated model, or another model made the map.
    """
    with _opened(map_) as dataset:  # check the map before searching its model beside it
        made_by = dataset.tags().get("MODEL_ID")
    folder = Path(map_).parent if run is None else Path(run)
    model = next((f for f in (folder / "model", folder) if Uncertainty.is_in(f)), None)
    if model is None:
        raise ModelError(
            f"{folder} holds no evaluated model with a correlation of errors; give --run "
            "RUN, --range KM, or --no-interval for means and quantiles only"
        )
    _check_model(map_, made_by, model)
    correlation = Uncertainty.load(model).facts.get("correlation")
    if correlation is None:
        raise ModelError(
            f"{model} was evaluated by a version that did not estimate the correlation of errors; "
            "evaluate it again with `spatioformer evaluate --force`, or give --range KM"
        )
    return ErrorCorrelation(**correlation)


def _opened(map_: str | Path) -> DatasetReader:
    try:
        return open_raster(map_)
    except RasterioIOError as error:
        raise ImageryError(f"{map_} cannot be read ({error}); give a map") from error


def _check_model(map_: str | Path, made_by: str | None, model: Path) -> None:
    weights = model / "model.safetensors"
    if made_by and weights.exists() and hash_file(weights)[: len(made_by)] != made_by:
        raise ModelError(
            f"{map_} was made by model {made_by}, which is not the one in {model}; give the run of "
            "that model"
        )


def write_zones(summary: gpd.GeoDataFrame, out: str | Path) -> None:
    """Write the table of `summarise`, as CSV without geometry or as GeoPackage.

    Raises:
        OutputError: the suffix is not in FORMATS, or the file cannot be written.
    """
    out = Path(out)
    check_place(out)
    if out.suffix == ".csv":
        with writing(out) as part:
            write_csv(summary.drop(columns="geometry"), part, float_format="%.6g")
    else:
        write_geopackage(summary, out, "zones")


def check_place(out: str | Path, *inputs: str | Path) -> None:
    """Check that `out` has a supported suffix and is none of the inputs.

    Raises:
        OutputError: otherwise.
    """
    out = Path(out)
    if out.suffix not in FORMATS:
        raise OutputError(
            f"cannot write {out}: {out.suffix or 'no suffix'} is not supported; name a file that "
            f"ends with {' or '.join(FORMATS)}"
        )
    for path in map(Path, inputs):
        if out.exists() and path.exists() and out.samefile(path):
            raise OutputError(f"cannot write {out}: it is an input; name another file")
