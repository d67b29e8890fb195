"""A small invented landscape with plots of a virtual flora: files to try every command on.

Nothing in it is measured. The landscape is random, smooth fields on a grid of 0.02 degrees; the
plots are a survey of a virtual flora (`flora`), so the true richness is known at every pixel.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from spatioformer.common.errors import ArgumentError, OutputError
from spatioformer.common.files import write_json, writing
from spatioformer.common.streams import Stream, generator
from spatioformer.geo.raster.writing import write_errors
from spatioformer.geo.virtual.flora import VirtualFlora, simulate, survey

WEST, NORTH, PIXEL, SIDE = -72.0, -38.0, 0.02, 150
EDGE = 4  # pixels of the edge without plots, so that the chips of all plots are whole
MOST = 5000
NAMES = ("plots.csv", "climate.tif", "landsat.tif", "places.csv", "parks.geojson", "truth.tif")

Floats = NDArray[np.float64]


def write_example(folder: Path, plots: int = 300, seed: int = 0) -> list[Path]:
    """Write the files of the example.

    | file | what |
    |---|---|
    | plots.csv | site, longitude, latitude, species (number), date |
    | climate.tif | temperature (degrees Celsius) and precipitation (mm a year) |
    | landsat.tif | blue, green, red and nir reflectance, 0 to 1 |
    | places.csv | 20 places without a count, for `predict` |
    | parks.geojson | two polygons with a name, for `zonal` |
    | truth.tif | expected number of species of a plot at every pixel |

    Args:
        folder: made if it is not there; files of an earlier example are replaced.
        plots: number of plots, 1 to 5,000.
        seed: of the landscape, the flora and the survey.

    Raises:
        ArgumentError: the number of plots is outside its range.
        OutputError: the folder cannot be written.
    """
    if not 1 <= plots <= MOST:
        raise ArgumentError(f"an example has 1 to {MOST:,} plots, not {plots:,}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror}); choose another"
        ) from None
    fields = landscape(seed)
    flora = simulate(**fields, seed=seed)  # type: ignore[arg-type]
    rng = generator(seed, Stream.EXAMPLE_PLACES)
    _write_plots(folder / "plots.csv", flora, plots, rng)
    climate = {name: fields[name] for name in ("temperature", "precipitation")}
    _write_raster(folder / "climate.tif", climate)
    _write_raster(folder / "landsat.tif", _reflectances(fields, rng))
    _write_raster(folder / "truth.tif", {"expected species of a virtual flora": flora.truth})
    _write_places(folder / "places.csv", rng)
    write_json(folder / "parks.geojson", _parks())
    return [folder / name for name in NAMES]


def landscape(seed: int) -> dict[str, NDArray[Any]]:
    """Fields [y, x] of an invented landscape: mountains in the east, wetter in the west."""
    rng = generator(seed, Stream.EXAMPLE_LAND)
    rows, cols = np.mgrid[:SIDE, :SIDE].astype(float)
    relief = _smooth(rng, 10)
    height = np.clip(1500 * (cols / SIDE) ** 2 + 350 * relief, 0, None)  # metres
    lat = NORTH - PIXEL * (rows + 0.5)
    temperature = 14 - 0.0055 * height + 0.6 * (lat - NORTH) + 0.4 * _smooth(rng, 6)
    precipitation = np.exp(7.3 - 1.1 * cols / SIDE + 0.25 * _smooth(rng, 12))
    growth = (temperature - 4) / 10 + np.log(precipitation / 800)
    return {
        "lon": WEST + PIXEL * (cols + 0.5),
        "lat": lat,
        "land": np.ones((SIDE, SIDE), bool),
        "temperature": temperature,
        "precipitation": precipitation,
        "greenness": 1 / (1 + np.exp(-growth - 0.8 * _smooth(rng, 3))),
    }


def _smooth(rng: np.random.Generator, sigma: float) -> Floats:
    """A random field with mean 0 and standard deviation 1; `sigma` in pixels."""
    field = gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma, mode="wrap")
    scaled: Floats = (field - field.mean()) / field.std()
    return scaled


def _reflectances(fields: Mapping[str, Floats], rng: np.random.Generator) -> dict[str, Floats]:
    """Bands as of bare soil and green leaves, mixed by the greenness, with noise."""
    soil = {"blue": 0.10, "green": 0.15, "red": 0.20, "nir": 0.27}
    leaf = {"blue": 0.03, "green": 0.07, "red": 0.04, "nir": 0.42}
    share = fields["greenness"]
    noise = rng.normal(0, 0.008, (len(soil), SIDE, SIDE))
    return {
        name: np.clip(share * leaf[name] + (1 - share) * soil[name] + error, 0, 1)
        for name, error in zip(soil, noise, strict=True)
    }


def _write_raster(path: Path, bands: Mapping[str, NDArray[Any]]) -> None:
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": len(bands), "height": SIDE, "width": SIDE,
        "crs": "EPSG:4326", "transform": Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH),
        "nodata": np.nan, "compress": "deflate", "predictor": 3,
    }  # fmt: skip
    with writing(path) as part, write_errors(path), rasterio.open(part, "w", **profile) as out:
        for number, (name, values) in enumerate(bands.items(), start=1):
            out.write(values.astype(np.float32), number)
            out.set_band_description(number, name)
        out.update_tags(SOURCE="invented landscape of `spatioformer example`")


def _write_plots(path: Path, flora: VirtualFlora, plots: int, rng: np.random.Generator) -> None:
    inner = np.pad(np.ones((SIDE - 2 * EDGE,) * 2, bool), EDGE)
    table = survey(replace(flora, land=inner), plots, seed=flora.seed)
    days = rng.integers(0, 120, len(table))
    table["date"] = (np.datetime64("2021-10-01") + days).astype(str)
    table = table.round({"lon": 5, "lat": 5})
    names = {"plot_id": "site", "lon": "longitude", "lat": "latitude", "richness": "species"}
    with writing(path) as part:
        table.rename(columns=names)[[*names.values(), "date"]].to_csv(part, index=False)


def _write_places(path: Path, rng: np.random.Generator) -> None:
    reach = PIXEL * SIDE
    lon, lat = WEST + reach * rng.random(20), NORTH - reach * rng.random(20)
    lines = [f"place-{n},{x:.5f},{y:.5f}" for n, (x, y) in enumerate(zip(lon, lat, strict=True), 1)]
    with writing(path) as part:
        part.write_text("\n".join(["place,longitude,latitude", *lines]) + "\n", encoding="utf-8")


def _parks() -> dict[str, object]:
    """Two parks as GeoJSON: one in the wet west, one in the mountains."""
    corners = {"Coastal forest": (-71.8, -39.6), "High valleys": (-70.0, -40.4)}
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"name": name},
                "geometry": {"type": "Polygon", "coordinates": [_box(west, south, 0.7, 0.9)]},
            }
            for name, (west, south) in corners.items()
        ],
    }


def _box(west: float, south: float, width: float, height: float) -> list[list[float]]:
    east, north = round(west + width, 6), round(south + height, 6)
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]
