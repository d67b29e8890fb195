"""Pictures: matplotlib axes in, the same axes out, with names and units."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray

import spatioformer as sf
from spatioformer.common.errors import ArgumentError
from spatioformer.common.style import SERIES


@pytest.fixture
def richness():
    axes = {"y": [-40.5, -41.5, -42.5], "x": [146.5, 147.5]}
    values = xarray.DataArray([[1.0, 2.0], [np.nan, 4.0], [5.0, 6.0]], axes, name="richness")
    values.attrs = {"long_name": "plant species richness", "units": "species"}
    return values.rio.write_crs("EPSG:4326")


@pytest.fixture
def scores(table):
    X, y = table
    models = {
        "with places": sf.GaussianProcessRegressor(coordinates=("lon", "lat")),
        "without": sf.GaussianProcessRegressor(),
    }
    splits = [sf.RandomKFold(3), sf.SpatialBlockKFold(3)]
    return sf.cross_validate(models, X, y, splits=splits)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_map(richness):
    ax = plt.subplots()[1]
    assert sf.plot.map(richness, ax, limits=(2, 6)) is ax
    (image,) = ax.images
    # West and east edge, then the edge of the first row, the north, and of the last.
    assert tuple(image.get_extent()) == (146.0, 148.0, -40.0, -43.0)
    assert image.get_array().mask.tolist() == [[False, False], [True, False], [False, False]]
    assert (ax.get_xlim(), ax.get_ylim()) == ((146.0, 148.0), (-43.0, -40.0))  # north is up
    upside_down = sf.plot.map(richness.isel(y=slice(None, None, -1)))
    assert upside_down.get_ylim() == (-43.0, -40.0)
    assert image.get_clim() == (2, 6)
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "plant species richness (species)"
    assert ax.xaxis.get_major_formatter()(147.0) == "147°E"
    assert ax.yaxis.get_major_formatter()(-42.0) == "42°S"
    ax.figure.canvas.draw()


def test_a_map_in_metres(richness):
    values = richness.rio.reproject("EPSG:3577")
    place = pd.DataFrame({"lon": [147.0], "lat": [-41.0]})
    ax = sf.plot.map(values, plots=place)
    ((x, y),) = ax.collections[0].get_offsets()
    (low, high), (south, north) = ax.get_xlim(), ax.get_ylim()
    assert low < x < high
    assert south < y < north
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("easting (km)", "northing (km)")
    assert ax.yaxis.get_major_formatter()(5_200_000) == "5200"
    assert ax.get_aspect() == 1.0


def test_observed_predicted(scores):
    ax = sf.plot.observed_predicted(scores, split="tiles")
    rows = scores.query("split == 'tiles'")
    expected = [f"{row.model}: r2 {row.r2:.2f}, RMSE {row.rmse:.1f}" for row in rows.itertuples()]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == expected
    drawn = ax.collections[0].get_offsets()
    part = scores.predictions.query("split == 'tiles' and model == 'with places'")
    np.testing.assert_array_equal(drawn, part[["observed", "predicted"]])
    assert ax.get_title() == "split: tiles"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("observed (species)", "predicted (species)")
    assert ax.get_xlim() == ax.get_ylim()


def test_folds(scores):
    ax = sf.plot.folds(scores)
    assert ax.get_title() == "split: random"
    assert [len(c.get_offsets()) for c in ax.collections] == [20, 20, 20]
    colours = {tuple(c.get_facecolor()[0]) for c in ax.collections}
    assert len(colours) == 3 <= len(SERIES)


def test_sentences(richness, scores, table):
    with pytest.raises(ArgumentError, match=r"choose one layer, for example richness\.sel"):
        sf.plot.map(richness.expand_dims("layer"))
    with pytest.raises(ArgumentError, match="there is no split 'knndm'; choose from random, tiles"):
        sf.plot.observed_predicted(scores, split="knndm")
    X, y = table
    model = sf.GaussianProcessRegressor()
    with pytest.raises(ArgumentError, match="have no places"):
        sf.plot.folds(sf.cross_validate(model, X, y, splits=sf.RandomKFold(2)))
