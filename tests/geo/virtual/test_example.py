"""The files of `spatioformer example`."""

import json

import numpy as np
import pandas as pd
import pytest
import rasterio

from spatioformer.cli import main
from spatioformer.common.errors import ArgumentError, OutputError
from spatioformer.geo.virtual.example import NAMES, landscape, write_example


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example") / "made"
    assert write_example(folder, 200) == [folder / name for name in NAMES]
    return folder


def test_plots_are_counts_of_the_true_richness(folder):
    plots = pd.read_csv(folder / "plots.csv")
    assert list(plots) == ["site", "longitude", "latitude", "species", "date"]
    assert len(plots) == 200
    with rasterio.open(folder / "truth.tif") as truth:
        expected = np.array(list(truth.sample(plots[["longitude", "latitude"]].to_numpy())))[:, 0]
    error = plots["species"] - expected
    # A count is a sum of draws with p (1 - p) < p, so its variance is below the expectation.
    assert np.mean(error**2) < np.mean(expected)
    assert abs(error.mean()) < 3 * np.sqrt(np.mean(expected) / len(plots))
    assert np.corrcoef(plots["species"], expected)[0, 1] > 0.8


def test_rasters_are_named_in_units_that_plants_meet(folder):
    with rasterio.open(folder / "climate.tif") as climate:
        assert climate.descriptions == ("temperature", "precipitation")
        temperature, precipitation = climate.read()
    assert -10 < temperature.min() < temperature.max() < 25
    assert 100 < precipitation.min() < precipitation.max() < 6000
    with rasterio.open(folder / "landsat.tif") as landsat:
        assert landsat.descriptions == ("blue", "green", "red", "nir")
        _, _, red, nir = landsat.read()
    greenness = landscape(0)["greenness"]
    assert np.corrcoef(((nir - red) / (nir + red)).ravel(), greenness.ravel())[0, 1] > 0.95


def test_parks_and_places_lie_in_the_landscape(folder):
    parks = json.loads((folder / "parks.geojson").read_text(encoding="utf-8"))
    assert [park["properties"]["name"] for park in parks["features"]] == [
        "Coastal forest",
        "High valleys",
    ]
    places = pd.read_csv(folder / "places.csv")
    with rasterio.open(folder / "truth.tif") as truth:
        west, south, east, north = truth.bounds
    assert places["longitude"].between(west, east).all()
    assert places["latitude"].between(south, north).all()
    corners = np.array([p["geometry"]["coordinates"][0] for p in parks["features"]]).reshape(-1, 2)
    assert ((corners > (west, south)) & (corners < (east, north))).all()


def test_the_same_seed_gives_the_same_files(folder, tmp_path):
    write_example(tmp_path, 200)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
    other = landscape(1)["temperature"]
    assert not np.array_equal(other, landscape(0)["temperature"])


def test_what_a_user_can_do_wrong(tmp_path, capsys):
    with pytest.raises(ArgumentError, match="1 to 5,000 plots, not 0"):
        write_example(tmp_path, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_example(tmp_path / "file" / "folder")
    with pytest.raises(SystemExit) as ending:
        main(["example", str(tmp_path / "file"), "--quiet"])
    assert ending.value.code == 2
    assert "cannot be written" in capsys.readouterr().err
