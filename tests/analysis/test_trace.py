"""The chain from a place to its prediction, and the command `explain-location`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spatioformer.analysis.trace import chip_at, feature_names, trace_place
from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.models.store import load
from spatioformer.nn import PaperSpatioformer, Spatioformer
from tests.helpers.landscape import NORTH, STEP, WEST, write_raster
from tests.helpers.models import BANDS, fitted
from tests.helpers.pictures import PNG, blank
from tests.helpers.tiny_run import assert_refused, spatioformer

OLD = Path(__file__).parents[1] / "data" / "models-0.1"
LON, LAT = WEST + 4.6 * STEP, NORTH - 7.4 * STEP  # in column 4, row 7


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    data = np.random.default_rng(0).normal(50, 20, (2, 12, 10)).astype(np.float32)
    data[:, 0, 0] = -9999
    path = tmp_path_factory.mktemp("raster") / "scene.tif"
    return write_raster(path, data, nodata=-9999, names=tuple(BANDS)), data


@pytest.fixture(scope="module")
def model():
    fitted_model, _, _ = fitted("spatioformer", covariates=["area_m2"], location="sphere")
    fitted_model.network.film.linear.weight.data.normal_(0, 0.3)  # zero before any training
    return fitted_model


def test_the_chip_of_a_place(raster, model):
    path, data = raster
    chip, lon, lat = chip_at(model, path, LON, LAT)
    np.testing.assert_array_equal(chip, data[:, 6:9, 3:6].transpose(1, 2, 0))
    np.testing.assert_allclose(lon[0], WEST + (np.arange(3, 6) + 0.5) * STEP)
    np.testing.assert_allclose(lat[:, 0], NORTH - (np.arange(6, 9) + 0.5) * STEP)
    for place in ((WEST - 1, LAT), (WEST + 0.05, NORTH - 0.05)):
        with pytest.raises(ImageryError):
            chip_at(model, path, *place)


def test_a_spatioformer(raster, model):
    pixels = chip_at(model, raster[0], LON, LAT)
    virtual = model.with_facts(model.facts | {"virtual": "not a map of real plants"})
    assert trace_place(virtual, pixels).sentence.endswith("(not a map of real plants)")
    place = trace_place(model, pixels)
    assert place.species == pytest.approx(place.prediction, rel=1e-5)
    panels = {panel.title: panel for row in place.panels(1, 2) for panel in row}
    np.testing.assert_array_equal(panels["Pixels"].values, place.pixels[0].reshape(9, 2))
    waves = panels["Location features g_k"]
    wavelength = model.network.location.wavelengths[0]
    assert waves.rows[0] == f"sin x, {wavelength:.3g}°"
    lon, lat = place.lonlat
    x = np.cos(np.deg2rad(lat)) * np.cos(np.deg2rad(lon))
    expected = np.sin(2 * np.pi * np.rad2deg(x) / wavelength)
    assert waves.values[0, 0] == pytest.approx(expected, abs=1e-5)
    assert panels["Input of the first layer"].rows == [
        *("class", "NW", "N", "NE", "W", "centre", "E", "SW", "S", "SE", "area_m2")
    ]
    scale, shift = panels["What the location does to a token"].values
    tokens = place.trace["tokens"] * (1 + scale) + shift
    np.testing.assert_allclose(panels["Input of the first layer"].values, tokens, atol=1e-5)
    assert panels["Prediction"].values[0, 0] == place.species


@pytest.mark.parametrize("name", ["spatioformer-published", "spatioformer-dense", "ensemble"])
def test_saved_networks(name, raster):
    model = load(OLD / name)
    P, B = model.patch, len(model.bands)
    chip = np.random.default_rng(1).normal(100, 20, (P, P, B)).astype(np.float32)
    steps = np.arange(P) * 0.1
    lon, lat = np.tile(140 + steps, (P, 1)), np.tile(-21 - steps[:, None], (1, P))
    place = trace_place(model, (chip, lon, lat))
    assert place.prediction == model.predict(chip[None], lon[None], lat[None])[0]
    rows = place.panels(1, 1)
    values = rows[-1][-1].values[:, 0]
    if name == "ensemble":
        alone = [
            trace_place(load(OLD / name).__class__(m, model.bands, model.scaling, model.facts),
                        (chip, lon, lat)).species
            for m in model.members
        ]  # fmt: skip
        assert values[0] == pytest.approx(alone[0])
        assert values[1] == pytest.approx(np.mean(alone), rel=1e-5)
        assert "the mean of" in place.sentence
    else:
        np.testing.assert_allclose(values, place.prediction, rtol=1e-4)


def test_names_of_features():
    paper = PaperSpatioformer(3, 2, 8, 2, 1, 10, 6)
    assert feature_names(paper, 4) == ["0: sin", "1: cos", "2: sin", "3: cos"]
    waves = {"name": "fourier", "wavelengths": (9.0,), "width": 4}
    fourier = Spatioformer(3, 2, width=8, heads=2, location=waves)
    assert feature_names(fourier, 4) == ["0", "1", "2", "3"]


def test_other_models(raster):
    pixels = tuple(np.zeros((3, 3, 2))), np.zeros((3, 3)), np.zeros((3, 3))
    with pytest.raises(ModelError, match="a stack is a mean of models"):
        trace_place(load(OLD / "spatioformer-stacked"), pixels)
    with pytest.raises(ModelError, match="the class ExtraTreesRegressor, which has no tokens"):
        trace_place(load(OLD / "extra-trees"), pixels)


def test_the_command(raster, model, tmp_path):
    folder, out = tmp_path / "run" / "model", tmp_path / "place.png"
    model.save(folder)
    command = ("explain-location", LON, LAT, "--model", folder)
    with blank():
        ended = spatioformer(*command, "--imagery", raster[0], "-o", out, "--layer", 1)
    assert ended.code == 0, ended.err
    place = trace_place(model, chip_at(model, raster[0], LON, LAT))
    assert ended.out.splitlines()[-1] == place.sentence
    assert "Location features g_k" in ended.out
    assert out.read_bytes() == PNG
    ended = spatioformer(*command, "--imagery", raster[0], "--json")
    numbers = json.loads(ended.out)
    assert numbers["prediction"] == pytest.approx(place.prediction)
    assert numbers["steps"]["location"]["values"] == place.trace["location"].tolist()
    assert_refused(
        spatioformer(*command),
        f"{folder} is not in a run with a stack imagery.tif; give a raster with the model's bands: "
        "--imagery RASTER",
    )
    (tmp_path / "run" / "config.resolved.yaml").write_text("")
    shutil.copy(raster[0], tmp_path / "run" / "imagery.tif")
    ended = spatioformer("explain-location", LON, LAT, "--run", tmp_path / "run")
    assert ended.out.splitlines()[-1] == place.sentence
    assert_refused(
        spatioformer("explain-location", 40, 140, "-m", folder),
        "longitude 40, latitude 140 is no place on Earth; give degrees east (-180 to 180), then "
        "degrees north (-90 to 90)",
    )
    assert_refused(
        spatioformer(*command, "--imagery", raster[0], "--head", 9),
        "layer 1, head 9 do not exist; the model has 1 layers of 2 heads, both counted from 1",
    )
