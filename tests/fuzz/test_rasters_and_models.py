"""Rasters and model folders of any shape: read, or refused in a sentence."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy.io import netcdf_file

from spatioformer.geo.raster.stack import Layer, build_stack
from spatioformer.models.store import load
from tests.fuzz.harness import damaged, fuzz, pick

pytestmark = [
    pytest.mark.slow,
    # rasterio cannot decode some messages of GDAL to log them, and goes on.
    pytest.mark.filterwarnings("ignore:Exception ignored in. 'rasterio._env.log_error'"),
]

MODELS = Path(__file__).parents[1] / "data" / "models-0.1"
DTYPES = ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64", "int8", "complex64"]
CRSS = ["EPSG:4326", "EPSG:4326", "EPSG:3577", "EPSG:32755", "EPSG:3857", None, "IAU_2015:30100"]
NUMBERS = [0, 1, -1, 0.5, 255, -9999, 65535, 1e30, float("nan")]
TRANSFORMS = [
    Affine(0.1, 0.1, 140, 0.1, 0.1, -20),
    Affine(1e-15, 0, 140, 0, -1e-15, -20),
    Affine(1e9, 0, 140, 0, -1e9, -20),
    Affine(float("nan"), 0, 140, 0, -1, -20),
    Affine(0.1, 0, 140, 0, -0.1, -20),
    Affine(0.1, 0, 140, 0, -0.1, -20),
    Affine(0.1, 0, 140, 0, 0.1, -20),
    Affine(1000, 0, 1e6, 0, -1000, -2e6),
    Affine(0.1, 0.02, 140, 0.02, -0.1, -20),
    Affine.identity(),
]


def write_raster(rng: np.random.Generator, path: Path) -> None:
    """A small GeoTIFF of any profile, sometimes with damaged bytes."""
    dtype, count = pick(rng, DTYPES), int(rng.integers(1, 4))
    height, width = (int(n) for n in rng.integers(1, 40, 2))
    profile = {"dtype": dtype, "count": count, "height": height, "width": width}
    if rng.random() < 0.3:
        profile |= {"tiled": True, "blockxsize": 16, "blockysize": 16}
    if rng.random() < 0.3:
        profile["compress"] = pick(rng, ["deflate", "lzw"])
    if rng.random() < 0.3:
        profile["nodata"] = pick(rng, [0, 1, 100])
    data = (rng.random((count, height, width)) * 120).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", "GTiff", crs=pick(rng, CRSS), transform=pick(rng, TRANSFORMS), **profile
        ) as target:
            target.write(data)
            if rng.random() < 0.2:
                target.scales = [pick(rng, [0.1, 2.0, 1.0])] * count
            if rng.random() < 0.2:
                target.set_band_description(
                    1, pick(rng, ["red", "x y", "", "é", "a\nb", "x" * 700, "\u2028", "\x1b[31m"])
                )
    if rng.random() < 0.5:
        path.write_bytes(damaged(rng, path.read_bytes()))


def write_netcdf(rng: np.random.Generator, path: Path) -> None:
    """A small NetCDF file with axes of any kind, sometimes with damaged bytes."""
    sizes = {"time": 2, "lat": int(rng.integers(1, 20)), "lon": int(rng.integers(1, 20))}
    order = pick(rng, [("lat", "lon"), ("lat", "lon"), ("lon", "lat"), ("time", "lat", "lon")])
    with netcdf_file(path, "w") as out:
        for name in order:
            out.createDimension(name, sizes[name])
            axis = out.createVariable(name, pick(rng, ["f8", "f4", "i2"]), (name,))
            steps = np.arange(sizes[name]) ** pick(rng, [1, 1, 1.2, 0, 3])
            points = pick(rng, [0, 140, -20, 350]) + pick(rng, [1, -1, 0.1, 1e5, 1e20]) * steps
            axis[:] = np.clip(points, -32768, 32767) if axis.typecode() == "h" else points
            axis.units = pick(
                rng, [f"degrees_{'north' if name == 'lat' else 'east'}", "degrees", "m", "", "km"]
            )
            if rng.random() < 0.3:
                axis.standard_name = pick(
                    rng, [f"grid_{'latitude' if name == 'lat' else 'longitude'}", "time", "x"]
                )
        pole = out.createVariable("pole", "i4", ())
        pole.grid_mapping_name = pick(rng, ["rotated_latitude_longitude", "mercator", "x"])
        pole.grid_north_pole_latitude = pick(rng, [39.25, 90.0, 1e9, float("nan"), "north"])
        pole.grid_north_pole_longitude = pick(rng, [-162.0, 0.0])
        held = out.createVariable("t", pick(rng, ["f4", "i2", "f8"]), order)
        held[:] = rng.random(held.shape) * 100
        if rng.random() < 0.5:
            held.grid_mapping = "pole"
        for name in ("missing_value", "valid_min", "scale_factor", "flag_values"):
            if rng.random() < 0.1:
                setattr(held, name, pick(rng, [0, 50.0, "x", float("nan")]))
        out.Conventions = "CF-1.6"
    if rng.random() < 0.3:
        path.write_bytes(damaged(rng, path.read_bytes()))


def test_rasters(tmp_path):
    def case(rng: np.random.Generator) -> None:
        layers = []
        for i in range(int(rng.integers(1, 3))):
            netcdf = rng.random() < 0.3
            path = tmp_path / f"{i}.{'nc' if netcdf else 'tif'}"
            path.unlink(missing_ok=True)
            (write_netcdf if netcdf else write_raster)(rng, path)
            settings = {}
            for key, choices in {
                "bands": [(1,), (1, 2), (9,)],
                "band_names": [("a",), ("a", "b"), ("a", "a")],
                "resampling": ["nearest", "bilinear", "cubic", "average", "mode"],
                "nodata": NUMBERS,
                "scale": [1.0, 0.0, -2.0],
                "crs": ["EPSG:4326", "EPSG:3577", "x"],
                "bounds": [(140, 144, -24, -20), (0, 1, 0, 1)],
                "categorical": [True],
            }.items():
                if rng.random() < 0.15:
                    settings[key] = pick(rng, choices)
            if netcdf:
                settings["variable"] = pick(rng, ["t", "t", "t", "pole", None])
            layers.append(Layer(path, f"layer{i}", **settings))
        region = pick(rng, [None, None, (140, 142, -22, -20), (0, 1, 0, 1)])
        build_stack(layers, tmp_path / "out" / "stack.tif", region=region)

    assert fuzz(case, full=2_000) > 20


VALUES = [None, True, 0, -1, 1.5, 10**9, "", "x", [], [1], ["a", "b"], {}, {"a": 1}, "nan"]


def changed(rng: np.random.Generator, value):
    """JSON with one of its values replaced or removed."""
    entries = list(value.items() if isinstance(value, dict) else enumerate(value))
    if not entries:
        return pick(rng, VALUES)
    key, inner = pick(rng, entries)
    if isinstance(inner, dict | list) and rng.random() < 0.6:
        value[key] = changed(rng, inner)
    elif rng.random() < 0.3:
        del value[key]
    else:
        value[key] = pick(rng, VALUES)
    return value


def test_models(tmp_path):
    names = [
        *("spatioformer", "spatioformer-published", "ensemble", "covariates", "location-knn"),
    ]
    for name in names:  # imports the libraries
        load(MODELS / name)

    def case(rng: np.random.Generator) -> None:
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(MODELS / pick(rng, names), folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path = pick(rng, files)
        match int(rng.integers(4)):
            case 0 | 1:
                path = folder / "config.json"
                path.write_text(json.dumps(changed(rng, json.loads(path.read_text()))))
            case 2:
                path.write_bytes(damaged(rng, path.read_bytes()))
            case 3:
                path.unlink()
        load(folder)

    assert fuzz(case, full=2_000) > 20
