"""The map: the same numbers as the model gives chip by chip, in a valid COG."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

import spatioformer
from spatioformer.common.errors import ImageryError, ModelError, OutputError
from spatioformer.geo.chips import open_chips
from spatioformer.geo.cutting import cut_chips
from spatioformer.geo.raster.stack import Stack
from spatioformer.models.network import NetworkModel
from spatioformer.models.store import load
from tests.helpers.landscape import write_raster
from tests.helpers.maps import Echo, read, small


@pytest.fixture
def scene(tmp_path):
    """61 x 75 pixels of two bands; a hole, and a mask over the eastern third."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2, 61, 75)).astype(np.float32)
    data[0, 30, 20] = np.nan
    path = write_raster(
        tmp_path / "scene.tif", data, nodata=np.nan, names=("a", "b"),
        transform=from_origin(140, -20, 0.1, 0.1),
    )  # fmt: skip
    mask = np.full((61, 75), 255, np.uint8)
    mask[:, 50:] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
        target.write_mask(mask)
    return path


def test_every_pixel_is_where_it_says(tmp_path, scene, monkeypatch):
    """A model that returns coordinates gives a raster of coordinates, for odd tile sizes too."""
    monkeypatch.setattr("spatioformer.mapping.predictor.UNIT", 16)
    out = tmp_path / "map.tif"
    summary = spatioformer.map_raster(NetworkModel(Echo(), ["a", "b"]), scene, out, samples=0)
    got = read(out)[0]
    with Stack(scene) as stack:
        lon, lat = stack.grid.lonlat(*np.mgrid[:61, :75])
    expected = np.full((61, 75), np.nan)
    inside = np.zeros((61, 75), bool)
    inside[1:-1, 1:50] = True  # a whole chip, and left by the mask
    inside[29:32, 19:22] = False  # the hole and its neighbours
    expected[inside] = (lon * 10 - lat)[inside]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert summary["pixels"] == inside.sum()
    # On a sphere of the same area, a pixel of this latitude differs by up to .5 %.
    area = (11.12 * np.cos(np.radians(lat[inside])) * 11.12).sum()
    assert summary["area_km2"] == pytest.approx(area, rel=0.01)


def test_the_map_is_what_chips_give(tmp_path, scene):
    import pandas as pd

    bundle = small()
    out = tmp_path / "map.tif"
    spatioformer.map_raster(bundle, scene, out, samples=4)
    rng = np.random.default_rng(1)
    rows, cols = rng.integers(33, 60, 40), rng.integers(23, 49, 40)
    with Stack(scene) as stack:
        lon, lat = stack.grid.lonlat(rows, cols)
    plots = pd.DataFrame({"plot_id": rows, "lon": lon, "lat": lat, "richness": 0.0})
    cut_chips(scene, plots, 3, tmp_path / "chips")
    store = open_chips(tmp_path / "chips")
    expected = bundle.predict(store.chips, store.lon, store.lat)
    np.testing.assert_allclose(read(out)[0][rows, cols], expected, rtol=1e-5)


def test_spread_of_a_block_is_that_of_one_of_its_pixels(tmp_path, scene):
    out = tmp_path / "map.tif"
    spatioformer.map_raster(small(), scene, out, samples=8, sd_step=4)
    mean, sd = read(out)
    assert np.array_equal(np.isfinite(mean), np.isfinite(sd))
    for row in range(0, 60, 4):
        for col in range(0, 48, 4):
            block = sd[row : row + 4, col : col + 4]
            assert len(np.unique(block[np.isfinite(block)])) <= 1
    assert np.nanmin(sd) > 0
    with rasterio.open(out) as source:
        method = source.tags(2)["METHOD"]
    assert method == (
        "Monte Carlo dropout, 8 samples, at one pixel of each 4 x 4 block; not the total error"
    )


def test_equal_calls_equal_files(tmp_path, scene):
    files = [tmp_path / "one.tif", tmp_path / "two.tif"]
    for out in files:
        spatioformer.map_raster(small(), scene, out, samples=3, seed=11)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_valid_cog_that_explains_itself(tmp_path):
    data = np.random.default_rng(0).normal(size=(2, 700, 600)).astype(np.float32)
    scene = write_raster(
        tmp_path / "big.tif", data, names=("a", "b"), transform=from_origin(140, -20, 0.01, 0.01)
    )
    out = tmp_path / "map.tif"
    bundle = NetworkModel(
        Echo(patch=1), ["a", "b"], None, {"grain": "plots of 400 m2", "name": "echo"}
    )
    spatioformer.map_raster(bundle, scene, out, samples=0, tags={"YEAR": "2019"})
    valid, errors, warnings = cog_validate(out, quiet=True)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(out) as source:
        assert source.overviews(1) == [2, 4]
        assert source.descriptions == ("plant species richness, mean",)
        assert source.units == ("species",)
        assert np.isnan(source.nodata)
        tags = source.tags()
        full = source.read(1)
        half = source.read(1, out_shape=(350, 300))
    assert tags["GRAIN"] == "plots of 400 m2"
    assert tags["MODEL"] == "echo"
    assert tags["YEAR"] == "2019"
    assert tags["SOFTWARE"].startswith("spatioformer ")
    np.testing.assert_allclose(half, full.reshape(350, 2, 300, 2).mean(axis=(1, 3)), rtol=1e-6)


def test_negative_means_become_zero_and_are_counted(tmp_path, scene):
    bundle = small()
    bundle.network.head[1].bias.data -= 5
    out = tmp_path / "map.tif"
    summary = spatioformer.map_raster(bundle, scene, out, samples=0)
    mean = read(out)[0]
    assert summary["negative_set_to_0"] == (mean == 0).sum() > 0
    assert np.nanmin(mean) == 0


def test_a_bundle_folder_works_too(tmp_path, scene):
    folder = small().save(tmp_path / "model")
    spatioformer.map_raster(folder, scene, tmp_path / "a.tif", samples=0)
    spatioformer.map_raster(load(folder), scene, tmp_path / "b.tif", samples=0)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(tmp_path / "b.tif"))
    with rasterio.open(tmp_path / "a.tif") as source:
        assert len(source.tags()["MODEL_ID"]) == 16


def test_bad_input_leaves_nothing_behind(tmp_path, scene):
    out = tmp_path / "out" / "map.tif"
    other = write_raster(tmp_path / "other.tif", np.ones((1, 5, 5), np.float32), names=("a",))
    with pytest.raises(ImageryError, match="lacks 1 of the 2 bands the model needs, among them"):
        spatioformer.map_raster(small(), other, out)
    with pytest.raises(ImageryError, match="does not exist"):
        spatioformer.map_raster(small(), tmp_path / "none.tif", out)
    with pytest.raises(ModelError, match="is not a model folder"):
        spatioformer.map_raster(tmp_path, scene, out)
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        spatioformer.map_raster(small(), scene, blocked / "map.tif")
    assert not out.exists()
    assert not list(tmp_path.rglob("*.part*"))
    assert not list(tmp_path.rglob("*.tiles.tif"))


def test_a_raster_cut_short_is_one_sentence(tmp_path):
    data = np.random.default_rng(0).normal(size=(2, 300, 300)).astype(np.float32)
    path = write_raster(tmp_path / "a.tif", data, names=("a", "b"), tiled=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageryError, match=r"is damaged or cut short|cannot be opened as a raster"):
        spatioformer.map_raster(small(), path, tmp_path / "map.tif", samples=0)
    assert not (tmp_path / "map.tif").exists()


def test_reading_windows_covers_no_more_than_asked(scene):
    with Stack(scene) as stack:
        data, _, wanted = stack.read(Window(10, 12, 5, 4), halo=2)
    assert data.shape == (2, 8, 9)
    assert wanted.shape == (4, 5)
