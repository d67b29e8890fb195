"""Compute the raster of the difference between today's map and the map of a scenario."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from spatioformer.analysis.trends import change_interval
from spatioformer.common.errors import ImageryError
from spatioformer.common.files import writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.version import __version__
from spatioformer.geo.covariates import AREA
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.cog import BLOCK, cog
from spatioformer.geo.raster.layers import unreadable
from spatioformer.geo.raster.map_layers import TITLES, bands_of
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.qml import RED_BLUE, write_style
from spatioformer.geo.raster.values import Values
from spatioformer.geo.raster.writing import check_written
from spatioformer.mapping.raster import profile

Floats = NDArray[np.float64]

BANDS = {
    "change": "difference, scenario less today",
    "lower": "lower end of the interval of the difference",
    "upper": "upper end of the interval of the difference",
    "rise": "interval of the difference above 0 (1) or not (0)",
    "fall": "interval of the difference below 0 (1) or not (0)",
    "today": "today",
    "scenario": "scenario",
    "di": "dissimilarity index of the scenario",
    "outside": "scenario outside the area of applicability (1) or not (0)",
}
"""Band of the raster, in order -> its title."""

AMOUNTS = ("change", "lower", "upper", "today", "scenario")
"""The bands in the unit of the map."""

NEEDED = {"today": ("mean", "lower", "upper"), "scenario": ("mean", "lower", "upper", "di")}
"""Layers that each of the two maps must have, and `inside` of the scenario's."""

KEPT_TAGS = ("TARGET", "GRAIN", "MODEL", "MODEL_ID", "VIRTUAL")
CACHE = 64 * 2**20  # size of GDAL's block cache, bytes


@dataclass
class Totals:
    """Totals over the compared pixels.

    Attributes:
        pixels: with a value in both maps.
        only_today, only_scenario: with a value in one of the two maps.
        changed: whose two values differ at all.
        change, today, scenario: means, in the unit of the map.
        rise, fall: share of the pixels whose interval lies above, below 0.
        outside: share outside the area of applicability, in the scenario.
    """

    pixels: int = 0
    only_today: int = 0
    only_scenario: int = 0
    changed: int = 0
    change: float = 0.0
    today: float = 0.0
    scenario: float = 0.0
    rise: float = 0.0
    fall: float = 0.0
    outside: float = 0.0

    def add(self, bands: dict[str, Floats]) -> None:
        """Add the pixels of a window; until `summary`, means and shares are sums."""
        today, scenario = (np.isfinite(bands[name]) for name in ("today", "scenario"))
        both = today & scenario
        self.pixels += int(both.sum())
        self.only_today += int((today & ~scenario).sum())
        self.only_scenario += int((scenario & ~today).sum())
        self.changed += int((bands["change"][both] != 0).sum())
        for name in ("change", "today", "scenario", "rise", "fall", "outside"):
            total = getattr(self, name) + float(bands[name][both].sum(dtype=np.float64))
            setattr(self, name, total)

    def summary(self) -> dict[str, Any]:
        """Counts; means and shares, None without a pixel."""
        values: dict[str, Any] = asdict(self)
        for name in ("change", "today", "scenario", "rise", "fall", "outside"):
            values[name] = values[name] / self.pixels if self.pixels else None
        return values


class Maps:
    """Today's map and the scenario's, open for reading by window; a context manager.

    Args:
        today, scenario: maps of `spatioformer map` on one grid, with the layers NEEDED.

    Attributes:
        grid: of both maps.
        unit: of the maps' values.
        tags: GeoTIFF tags that both maps share.

    Raises:
        ImageryError: a map cannot be read or lacks a layer, or the maps predict other plot sizes.
    """

    def __init__(self, today: str | Path, scenario: str | Path):
        self._paths = {"today": Path(today), "scenario": Path(scenario)}
        with ExitStack() as stack:
            self._open = {k: stack.enter_context(_opened(p)) for k, p in self._paths.items()}
            self._values = {name: self._values_of(name) for name in self._open}
            self.grid = Grid.of(self._open["today"], str(today))
            self.tags = self._shared_tags()
            self._close = stack.pop_all()
        self.unit: str = self._open["today"].units[0] or "species"

    def _shared_tags(self) -> dict[str, str]:
        today, scenario = (dataset.tags() for dataset in self._open.values())
        one, other = today.get("GRAIN"), scenario.get("GRAIN")
        if one != other:
            raise ImageryError(
                f"{self._paths['today']} predicts {one}, and the scenario {other}, so that their "
                "difference would be one of plot sizes; map both with one area, such as --fixed "
                f"{AREA}=400"
            )
        return dict(today.items() & scenario.items())

    def _values_of(self, name: str) -> Values:
        dataset, path = self._open[name], self._paths[name]
        bands, layers = bands_of(dataset), [*NEEDED[name]]
        if name == "scenario":
            layers.append("inside")
        missing = next((layer for layer in layers if layer not in bands), None)
        if missing is not None:
            raise ImageryError(
                f"{path} has no layer {TITLES[missing]!r}, which the difference needs; map again "
                "with an evaluated model, all layers in one file"
            )
        return Values(dataset, tuple(bands[layer] for layer in layers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close.close()

    def read(self, window: Window) -> dict[str, Floats]:
        """The BANDS of a window, (y, x) each.

        All are NaN where one of the two maps has no value; `today` and `scenario` keep the values
        of the map that has one.

        Raises:
            ImageryError: a map is damaged.
        """
        today, scenario = (self._read(name, window) for name in ("today", "scenario"))
        mean, lower, upper = np.stack([today[:3], scenario[:3]], axis=1)
        (change,), (low,), (high,) = change_interval(mean, lower, upper)
        both = np.isfinite(change)
        bands = {
            "change": change,
            "lower": low,
            "upper": high,
            "rise": low > 0,
            "fall": high < 0,
            "di": scenario[3],
            "outside": scenario[4] < 0.5,
        }
        bands = {name: np.where(both, values, np.nan) for name, values in bands.items()}
        return bands | {"today": mean[0], "scenario": mean[1]}

    def _read(self, name: str, window: Window) -> Floats:
        try:
            values: Floats = self._values[name].read(window, np.float64)
        except RasterioIOError as error:
            raise unreadable(self._paths[name], error) from error
        return values


def _opened(path: Path) -> DatasetReader:
    try:
        return open_raster(path)
    except RasterioIOError as error:
        raise ImageryError(f"{path} cannot be read ({error}); give a map") from error


def write_change(
    maps: Maps, out: Path, level: float, name: str, console: Console = SILENT
) -> dict[str, Any]:
    """Write the raster of BANDS, and its QGIS style.

    Args:
        out: path of the GeoTIFF.
        level: nominal coverage of the maps' intervals, 0-1.
        name: of the scenario, for the tags.

    Returns:
        Summary: the fields of `Totals`.

    Raises:
        ImageryError: a map is damaged.
        OutputError: no space, or a folder that cannot be written.
    """
    totals = Totals()
    shape = profile(maps.grid, len(BANDS)) | {"interleave": "band"}
    with writing(out) as part, rasterio.Env(GDAL_CACHEMAX=CACHE):
        with cog(part, out, shape) as raw:
            _describe(raw, maps, level, name)
            for window in console.track(list(maps.grid.windows(BLOCK)), "difference"):
                bands = maps.read(window)
                totals.add(bands)
                data = np.stack([bands[n] for n in BANDS]).astype(np.float32)
                data[:, ~np.isfinite(data[0])] = np.nan  # all bands cover the same pixels
                if np.isfinite(data[0]).any():
                    raw.write(data, window=window)
        check_written(part, out, [totals.pixels])
    write_style(out, RED_BLUE, centred=True)
    return totals.summary()


def _describe(raw: DatasetWriter, maps: Maps, level: float, name: str) -> None:
    target = maps.tags.get("TARGET", "plant species richness")
    for number, (band, title) in enumerate(BANDS.items(), start=1):
        title = title.replace("interval", f"{100 * level:g} % interval")
        raw.set_band_description(number, f"{target}, {title}")
        if band in AMOUNTS:
            raw.set_band_unit(number, maps.unit)
    raw.update_tags(
        SOFTWARE=f"spatioformer {__version__}",
        SCENARIO=name,
        **{tag: value for tag, value in maps.tags.items() if tag in KEPT_TAGS},
    )
