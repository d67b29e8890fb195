"""Maps through the Python door: the values are those of the map stage."""

import numpy as np
import pytest
import rasterio

import spatioformer as sf
from spatioformer.common.errors import ImageryError, ModelError, OutputError
from spatioformer.config.file import load_config
from spatioformer.geo.raster.map_layers import bands_of
from spatioformer.run.runner import Run
from tests.api.conftest import SMALL


@pytest.fixture(scope="module")
def run(folder):
    run = Run(load_config(folder / "tiny.yaml"))
    return run.stage("map")


@pytest.mark.slow
def test_the_values_of_a_run(run, plots, imagery, tmp_path):
    with rasterio.open(run / "map.tif") as source:
        expected = source.read(1)
    model = sf.SpatioformerRegressor(validation_tile=0.5, **SMALL).fit(plots, imagery)
    for trained in (model, model.model_, run / "model"):
        richness = sf.predict_map(trained, imagery)
        np.testing.assert_array_equal(richness.to_numpy(), expected)
    assert (richness.name, richness.attrs["units"]) == ("richness", "species")
    assert richness.attrs["long_name"] == "plant species richness, mean"
    assert richness.dims == ("y", "x")
    assert richness.rio.crs.to_epsg() == 4326
    assert np.isnan(expected).sum() == 4 * 63  # the chips at the edge are not whole
    richness.rio.to_raster(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as source:
        np.testing.assert_array_equal(source.read(1), expected)
        assert np.isnan(source.nodata)


def test_layers(run, imagery, tmp_path):
    layers = ("mean", "sd", "lower", "inside")
    values = sf.predict_map(run / "model", imagery.path, layers=layers, samples=2, sd_step=2)
    assert values.dims == ("layer", "y", "x")
    assert values["layer"].to_numpy().tolist() == list(layers)
    with rasterio.open(run / "map.tif") as source:
        bands = bands_of(source)
        for layer in layers:
            expected = source.read(bands[layer])
            np.testing.assert_array_equal(values.sel(layer=layer).to_numpy(), expected)
        descriptions = source.descriptions
    values.rio.to_raster(tmp_path / "layers.tif")
    assert values["title"].sel(layer="lower") == "lower end of the 90 % interval"
    lower = sf.predict_map(run / "model", imagery.path, layers=("lower",), samples=2, sd_step=2)
    assert lower.attrs["long_name"] == descriptions[bands["lower"] - 1]
    assert lower.attrs["long_name"].endswith(", lower end of the 90 % interval")


def test_a_table_can_be_mapped(table, imagery):
    X, y = table
    X = X.rename(columns={"green": "red", "wet": "green"})
    model = sf.GaussianProcessRegressor(coordinates=("lon", "lat")).fit(X, y)
    richness = sf.predict_map(model, imagery)
    stack = imagery.to_xarray()
    row, col = 20, 30
    pixel = X.iloc[:1].assign(
        lon=float(stack.x[col]),
        lat=float(stack.y[row]),
        red=float(stack[0, row, col]),
        green=float(stack[1, row, col]),
    )
    assert float(richness[row, col]) == pytest.approx(max(0, model.predict(pixel)[0]), rel=1e-5)


def test_sentences(plots, imagery, folder):
    model = sf.GaussianProcessRegressor().fit(plots, imagery)
    with pytest.raises(OutputError, match="layer 'men' is unknown"):
        sf.predict_map(model, imagery, layers=("men",))
    with pytest.raises(ModelError, match="the layer 'sd' needs Monte Carlo dropout"):
        sf.predict_map(model, imagery, layers=("sd",))
    with pytest.raises(ImageryError, match="imagery is a list; give what"):
        sf.predict_map(model, [1])
    with pytest.raises(ImageryError, match="lacks 1 of the 3 bands"):
        sf.predict_map(
            model,
            sf.read_imagery({"path": folder / "image.tif", "band_names": ["red", "green", "x"]}),
        )
