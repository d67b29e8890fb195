"""Imagery through the Python door: the stack is the run's."""

import gc

import numpy as np
import pytest
import rasterio
import xarray

import spatioformer as sf
from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.config.file import load_config
from spatioformer.run.runner import Run
from tests.helpers import landscape


def array(values, **others) -> xarray.DataArray:
    """Values on the landscape's grid."""
    height, width = values.shape[-2:]
    axes = {
        "y": landscape.NORTH - landscape.STEP * (np.arange(height) + 0.5),
        "x": landscape.WEST + landscape.STEP * (np.arange(width) + 0.5),
    }
    return xarray.DataArray(values, others | axes).rio.write_crs("EPSG:4326")


def test_the_same_bytes_as_a_run(folder, imagery):
    run = Run(load_config(folder / "tiny.yaml")).stage("imagery")
    assert imagery.path.read_bytes() == (run / "imagery.tif").read_bytes()
    assert imagery.bands == ["red", "green", "blue"]
    assert (imagery.shape, imagery.crs.to_epsg()) == ((64, 64), 4326)
    assert imagery.region == (140.0, 146.4, -26.4, -20.0)
    assert imagery.summary["statistics"]["red"]["valid_share"] == 1.0
    again = sf.read_imagery(run / "imagery.tif")  # opened where it lies
    assert again.path == run / "imagery.tif"
    assert again.summary["pixels_to_predict"] == imagery.summary["pixels_to_predict"] == 64 * 64
    assert repr(again).startswith("<Imagery: 3 bands (red, green, blue), 64 x 64 pixels, EPSG:4326")


def test_arrays_and_files_make_one_stack(folder):
    values = landscape.imagery().astype(np.float32)
    values[1, 0, 0] = np.nan
    bands = array(values[1:], band=["green", "blue"])
    imagery = sf.read_imagery(
        [{"path": folder / "image.tif", "bands": [1]}, bands], region=(140, 144, -26, -20)
    )
    assert imagery.bands == ["image", "green", "blue"]
    stack = imagery.to_xarray()
    assert stack.dims == ("band", "y", "x")
    assert stack["band"].to_numpy().tolist() == imagery.bands
    assert stack.rio.crs.to_epsg() == 4326
    expected = values[:, :60, :40]
    np.testing.assert_array_equal(stack.to_numpy(), expected)
    assert imagery.summary["pixels_to_predict"] == 60 * 40 - 1


@pytest.mark.slow
def test_a_temporary_file_goes_with_the_object_unless_arrays_read_it(folder):
    imagery = sf.read_imagery(folder / "image.tif")
    path = imagery.path
    del imagery
    gc.collect()
    assert not path.exists()
    stack = sf.read_imagery(folder / "image.tif").to_xarray()
    gc.collect()
    assert float(stack.isel(band=0).mean()) == pytest.approx(landscape.imagery()[0].mean())


def test_a_file_of_your_own(folder, tmp_path):
    imagery = sf.read_imagery(
        folder / "image.tif",
        region=(140, 146, -26, -20),
        grid={"crs": "EPSG:3577", "resolution": 20_000},
        out=tmp_path / "stack.tif",
    )
    assert imagery.path == tmp_path / "stack.tif"
    assert imagery.crs.to_epsg() == 3577
    with rasterio.open(imagery.path) as source:
        assert source.res == (20_000, 20_000)


def test_masks(folder, tmp_path):
    classes = np.zeros((64, 64), np.uint8)
    classes[:, :10] = 7
    landscape.write_raster(tmp_path / "cover.tif", classes)
    masks = [{"path": tmp_path / "cover.tif", "exclude": [7]}]
    imagery = sf.read_imagery(folder / "image.tif", masks=masks)
    assert imagery.summary["pixels_to_predict"] == 64 * 54
    assert np.isfinite(imagery.to_xarray().to_numpy()).all()  # masked, but not missing


@pytest.mark.parametrize(
    ("layers", "error", "sentence"),
    [
        (
            [{"path": "a.tif", "nme": 1}],
            ConfigError,
            "unknown key `layers.0.nme`; did you mean `name`",
        ),
        (
            [{"path": "a.tif", "scale": "x"}],
            ConfigError,
            "`layers.0.scale` is 'x': it must be a number",
        ),
        ([{"name": "a"}], ConfigError, "`layers.0.path` is missing"),
        ([], ConfigError, "it needs at least one entry"),
        ("absent.tif", ImageryError, "absent.tif does not exist"),
        ([3], ImageryError, "layer 0 is a int; give a path, a dict with a path, or an xarray"),
        (array(np.ones((3, 4))).drop_vars("spatial_ref"), ImageryError, "no CRS; give it one with"),
        (
            array(np.ones((2, 2, 3, 4)), time=[0, 1], step=[0, 1]),
            ImageryError,
            "reduce all but one",
        ),
        (xarray.DataArray(np.ones(3), dims="n"), ImageryError, r"give an array \(\[band,\] y, x\)"),
    ],
)
def test_sentences(layers, error, sentence):
    with pytest.raises(error, match=sentence):
        sf.read_imagery(layers)
