"""A small finished run of the linear world, with years, a trend and a scenario, for the viewer.

The map's expected richness and its intervals are known everywhere: `linear_world.richness` and
`linear_world.HALF`. A row of pixels holds no data, a mask excludes a part of another row, and one
pixel lies outside the area of applicability.
"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
import yaml

from spatioformer.analysis.scenarios.change import BANDS as CHANGE
from spatioformer.analysis.years.trend import BANDS as TREND
from spatioformer.common.files import write_json
from spatioformer.geo.chips import open_chips, write_store
from spatioformer.mapping import map_raster
from tests.helpers import linear_world as linear
from tests.helpers.landscape import NORTH, STEP, WEST, write_raster

YEARS = (2019, 2020, 2021, 2022, 2023)
SLOPE = 1.5
"""Rise of the maps of years, species a year."""

PLOTS = 40
EMPTY_ROW = 5
MASKED = (1, slice(0, 15))
"""Row and columns that the mask "cropland" excludes."""

OUTSIDE = (10, 12)
"""Row and column of the pixel outside the area of applicability: far too warm."""


def write(folder: Path) -> Path:
    """Write the run into a folder; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    linear.model(folder / "model")
    climate = linear.climate()
    climate[:, EMPTY_ROW] = np.nan
    climate[0][OUTSIDE] = 30
    _write_imagery(folder / "imagery.tif", climate)
    map_raster(folder / "model", folder / "imagery.tif", folder / "map.tif")
    _write_facts(folder)
    _write_plots(folder)
    _write_years(folder)
    _write_change(folder / "warmer")
    return folder


def moved(folder: Path, target: Path, west: float, north: float) -> Path:
    """Copy a run to another place on Earth, without years and scenario; returns the copy.

    Args:
        west, north: edges of the copy, degrees.
    """
    left_out = shutil.ignore_patterns("years", "warmer", "chips")
    shutil.copytree(folder, target, ignore=left_out)
    for name in ("map.tif", "imagery.tif"):
        with rasterio.open(target / name, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
            raster.transform = rasterio.Affine(STEP, 0, west, 0, -STEP, north)
    store = open_chips(folder / "chips")
    lon = (store.lon + west - WEST + 180) % 360 - 180
    lat = store.lat + north - NORTH
    table = store.table.assign(lon=lon[:, 0, 0], lat=lat[:, 0, 0])
    write_store(target / "chips", np.asarray(store.chips), lon, lat, table, linear.BANDS)
    table.to_parquet(target / "plots.parquet")
    return target


def values(folder: Path, name: str = "map.tif") -> np.ndarray:
    """Bands (band, y, x) of a raster of the run, float64."""
    with rasterio.open(folder / name) as source:
        return source.read().astype(np.float64)


def centre(row: int, col: int) -> tuple[float, float]:
    """lon, lat of a pixel's centre, degrees."""
    return WEST + (col + 0.5) * STEP, NORTH - (row + 0.5) * STEP


def _write_facts(folder: Path) -> None:
    config = {
        "name": "linear",
        "title": "A linear world",
        "out": str(folder),
        "plots": {"path": "plots.csv"},
        "imagery": {
            "layers": [{"path": "image.tif", "name": "image"}],
            "masks": [{"path": "cover.tif", "name": "cropland", "exclude": [1]}],
        },
        "evaluate": {"models": ["random-forest"]},
        "map": {"model": "random-forest"},
    }
    (folder / "config.resolved.yaml").write_text(yaml.safe_dump(config))
    write_json(folder / "plots.json", {"target_kind": "count"})
    write_json(folder / "verdict.json", {"verdict": "use it"})
    (folder / "report.html").write_text("<!doctype html><title>report</title>")


def _write_plots(folder: Path) -> None:
    """Plots at the centres of pixels; each held-out prediction is 2 species too high."""
    rng, climate = np.random.default_rng(1), linear.climate()
    rows, cols = (rng.integers(0, n, PLOTS) for n in linear.SHAPE)
    lon, lat = centre(rows, cols)  # type: ignore[arg-type]
    lon = (lon + 180) % 360 - 180  # as tables of plots have it
    observed = np.rint(linear.richness(*climate[:, rows, cols]))
    table = pd.DataFrame(
        {
            "plot_id": [f"p{i}" for i in range(PLOTS)],
            "lon": lon,
            "lat": lat,
            "richness": observed,
            "area_m2": 400.0,
            "date": pd.Timestamp("2019-07-01"),
        }
    )
    chips = climate[:, rows, cols].T[:, None, None]
    places = (values[:, None, None] for values in (lon, lat))
    write_store(folder / "chips", chips, *places, table, linear.BANDS)
    table.to_parquet(folder / "plots.parquet")
    held = table.rename(columns={"richness": "observed"})[["plot_id", "observed"]]
    held = held.assign(predicted=observed + 2, model="random-forest", split="tiles", fold=0)
    (folder / "evaluation").mkdir()
    held.to_parquet(folder / "evaluation" / "predictions.parquet")


def _write_imagery(path: Path, climate: np.ndarray) -> None:
    wanted = np.isfinite(climate).all(axis=0)
    wanted[MASKED] = False
    linear.raster(path, climate)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
        target.write_mask(wanted)


def imagery_of(year: int) -> np.ndarray:
    """Climate (2, y, x) of a year: so much warmer that richness rises by SLOPE a year."""
    climate = linear.climate()
    climate[0] += SLOPE * (year - YEARS[0]) / 3
    return climate


def _write_years(folder: Path) -> None:
    """Maps of YEARS that rise by SLOPE a year, where their imagery lies, and their trend."""
    (folder / "years").mkdir()
    record = {}
    for year in YEARS:
        imagery = linear.raster(folder.with_name(f"{folder.name}_{year}.tif"), imagery_of(year))
        state = imagery.stat()
        record[f"map_{year}.tif"] = {
            "made_of": {"imagery": [imagery.name, state.st_size, state.st_mtime_ns]},
            "facts": {"imagery": str(imagery)},
        }
        path = shutil.copyfile(folder / "map.tif", folder / "years" / f"map_{year}.tif")
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
            for band in (1, 2, 3):  # mean, lower, upper
                target.write(target.read(band) + np.float32(SLOPE * (year - YEARS[0])), band)
                target.update_tags(band, STATISTICS_MINIMUM="", STATISTICS_MAXIMUM="")
    write_json(folder / "years" / "years.json", record)
    mean = values(folder)[0].astype(np.float32)
    bands = [np.where(np.isfinite(mean), np.float32(v), np.nan) for v in (0, 0, 5, SLOPE, 0.02, 1)]
    names = tuple(f"richness, {title}" for title, _ in TREND.values())
    write_raster(folder / "years" / "trend.tif", np.stack(bands), nodata=np.nan, names=names)


def _write_change(folder: Path) -> None:
    """A scenario that is 3 species richer in the east, and 3 poorer in the west."""
    change = np.full((len(CHANGE), *linear.SHAPE), 3, np.float32)
    change[:, :, : linear.SHAPE[1] // 2] = -3
    write_raster(folder / "change.tif", change, nodata=np.nan, names=tuple(CHANGE.values()))
    write_json(folder / "project.json", {"scenario": "two degrees warmer"})
