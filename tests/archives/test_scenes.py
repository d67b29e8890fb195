"""One scene on windows of the target grid: units, masks before resampling, no trace of windows."""

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.catalogues.convert import item_of
from spatioformer.archives.collections import Band, QualityMask
from spatioformer.archives.items import Asset
from spatioformer.archives.placement import Placement
from spatioformer.archives.scenes import SceneReader
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from tests.helpers.scenes import (
    COLLECTION,
    CORNER,
    UTM55,
    source,
    without_masks,
    write_raster,
    write_scene,
)

UTM = CRS.from_user_input(UTM55)
NATIVE = Grid(UTM, CORNER, 64, 64)


def numbers(seed: int, shape=(64, 64), low=100, high=4000) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint16)


def test_on_its_own_grid_a_scene_is_its_numbers_times_the_scale(tmp_path):
    red = numbers(1)
    red[3, 4] = 0  # nodata of the collection
    item = write_scene(tmp_path, "a", {"red": red}, scl=np.full((32, 32), 4))
    out = SceneReader(source([item], bands=["red"]), NATIVE).read(item, Window(0, 0, 64, 64))
    expected = (red * 0.0001).astype(np.float32)
    expected[3, 4] = np.nan
    np.testing.assert_array_equal(out[0], expected)


def test_a_mean_over_larger_pixels_is_that_of_the_clear_pixels(tmp_path):
    red, scl = numbers(2), np.full((32, 32), 4)
    scl[0, 0] = 9  # a cloud over four pixels of 10 m, a quarter of the first pixel of 40 m
    scl[2:4, 2:4] = 3  # a shadow over the whole pixel of 40 m in row 1, column 1
    item = write_scene(tmp_path, "a", {"red": red}, scl=scl)
    coarse = Grid(UTM, CORNER @ Affine.scale(4), 16, 16)
    out = SceneReader(source([item], bands=["red"]), coarse).read(item, Window(0, 0, 16, 16))[0]
    values = red.astype(float) * 0.0001
    values[:2, :2] = np.nan
    values[4:8, 4:8] = np.nan
    blocks = values.reshape(16, 4, 16, 4).transpose(0, 2, 1, 3).reshape(16, 16, 16)
    with np.errstate(invalid="ignore"):
        expected = np.nansum(blocks, -1) / np.isfinite(blocks).sum(-1)
    assert np.isnan(out[1, 1])
    assert np.isnan(expected[1, 1])
    np.testing.assert_allclose(out, expected, rtol=2e-6)
    assert abs(out[0, 0] - values[:4, :4][np.isfinite(values[:4, :4])].mean()) < 1e-7


def test_a_buffer_counts_pixels_of_the_scene(tmp_path):
    scl = np.full((64, 64), 4)
    scl[30, 30] = 9
    item = write_scene(tmp_path, "a", {"red": numbers(3)}, scl=scl)
    reader = SceneReader(source([item], bands=["red"], buffer=3), NATIVE)
    out = reader.read(item, Window(0, 0, 64, 64))[0]
    rows, cols = np.mgrid[:64, :64]
    np.testing.assert_array_equal(np.isnan(out), np.hypot(rows - 30, cols - 30) <= 3)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3577"])
@pytest.mark.parametrize("size", [None, 7])
def test_a_value_does_not_depend_on_the_window(tmp_path, crs, size):
    """`size`: side of the target's pixels in pixels of the scene; None: smaller ones."""
    rng = np.random.default_rng(4)
    scl = np.where(rng.random((50, 60)) < 0.1, 9, 4)
    bands = {name: numbers(i, (100, 120)) for i, name in enumerate(("red", "nir"))}
    item = write_scene(tmp_path, "a", bands, scl=scl)
    west, south, east, north = item.bbox
    step = 10.0 * (size or 0.8)
    if crs == "EPSG:4326":
        step /= 100_000
        bounds = (west - 3 * step, south, east, north + 2 * step)
    else:
        from rasterio.warp import transform_bounds

        bounds = transform_bounds("EPSG:4326", crs, west, south, east, north)
    grid = Grid.from_bounds(CRS.from_user_input(crs), bounds, (step, step))
    reader = SceneReader(source([item], bands=["red", "nir"], buffer=2), grid)
    whole = reader.read(item, Window(0, 0, grid.width, grid.height))
    assert 0.2 < np.isfinite(whole).mean() < 1
    for side in (23, 61):
        pieces = np.full_like(whole, np.nan)
        for w in grid.windows(side):
            part = (slice(w.row_off, w.row_off + w.height), slice(w.col_off, w.col_off + w.width))
            pieces[:, *part] = reader.read(item, w)
        np.testing.assert_array_equal(pieces, whole)


def test_rows_from_south_to_north_are_turned(tmp_path):
    red = numbers(5)
    south_up = CORNER @ Affine(1, 0, 0, 0, -1, 64)
    item = write_scene(tmp_path, "a", {"red": red[::-1]}, transform=south_up)
    reader = SceneReader(source([item], without_masks(), bands=["red"]), NATIVE)
    out = reader.read(item, Window(0, 0, 64, 64))[0]
    np.testing.assert_allclose(out, red * 0.0001, rtol=1e-6)


def test_saturation_spoils_its_own_band_alone(tmp_path):
    radsat = QualityMask(
        "radsat", ("radsat",), "bits", {"red": 2, "nir": 3}, ("red", "nir"), bands=("red", "nir"),
        platforms=("landsat-8",),
    )  # fmt: skip
    collection = replace(COLLECTION, masks=(radsat,))
    bands = {"red": numbers(6), "nir": numbers(7)}
    item = write_scene(tmp_path, "a", bands, properties={"platform": "landsat-8"})
    codes = np.zeros((64, 64), np.uint16)
    codes[0, 0], codes[0, 1], codes[0, 2], codes[0, 3] = 1 << 2, 1 << 3, (1 << 2) | (1 << 3), 1 << 1
    asset = Asset(str(write_raster(tmp_path / "radsat.tif", codes)))
    item = replace(item, assets={**item.assets, "radsat": asset})
    section = {"bands": ["red", "nir"]}
    out = SceneReader(source([item], collection, **section), NATIVE).read(item, Window(0, 0, 4, 1))
    np.testing.assert_array_equal(np.isnan(out[:, 0]), [[1, 0, 1, 0], [0, 1, 1, 0]])
    other = replace(item, properties={"platform": "landsat-7"})
    out = SceneReader(source([other], collection, **section), NATIVE).read(
        other, Window(0, 0, 4, 1)
    )
    assert np.isfinite(out).all()


def scaled(tmp_path, own: float, catalogue: float | None, table: float):
    item = write_scene(tmp_path, "a", {"red": numbers(8)})
    path = item.assets["red"].href
    import rasterio

    with rasterio.open(path, "r+") as raster:
        raster.scales = (own,)
    assets = {"red": Asset(path, scale=catalogue)}
    item = replace(item, assets=assets)
    collection = replace(without_masks(), bands=(Band("red", ("red",), scale=table, nodata=0),))
    return SceneReader(source([item], collection), NATIVE), item


@pytest.mark.parametrize(
    ("own", "catalogue", "table"),
    [(1, None, 0.0001), (0.0001, 0.0001, 0.0001), (0.0001, None, 1), (1, 0.0001, 1)],
)
def test_a_scale_stated_several_times_is_applied_once(tmp_path, own, catalogue, table):
    reader, item = scaled(tmp_path, own, catalogue, table)
    out = reader.read(item, Window(0, 0, 64, 64))[0]
    np.testing.assert_array_equal(out, (numbers(8) * 0.0001).astype(np.float32))


def test_scales_that_differ_are_refused(tmp_path):
    reader, item = scaled(tmp_path, 0.01, None, 0.0001)
    with pytest.raises(ImageryError, match=r"the collection states scale 0\.0001 .* the file sta"):
        reader.read(item, Window(0, 0, 8, 8))


def test_a_missing_band_is_named(tmp_path):
    item = write_scene(tmp_path, "a", {"red": numbers(9)}, scl=np.full((64, 64), 4))
    reader = SceneReader(source([item], bands=["red", "nir"]), NATIVE)
    with pytest.raises(ImageryError, match="item a has no band nir"):
        reader.read(item, Window(0, 0, 8, 8))


def test_without_its_quality_band_an_item_is_refused(tmp_path):
    item = write_scene(tmp_path, "a", {"red": numbers(9)})
    reader = SceneReader(source([item], bands=["red"]), NATIVE)
    with pytest.raises(ImageryError, match="item a has no quality band scl"):
        reader.read(item, Window(0, 0, 8, 8))


@pytest.mark.parametrize("left", [170.0, -190.0, 530.0])
def test_a_scene_over_the_antimeridian_lies_where_the_grid_counts_it(left):
    scene = Grid(CRS.from_epsg(32760), Affine(1000, 0, 800_000, 0, -1000, 8_000_000), 50, 100)
    grid = Grid(CRS.from_epsg(4326), Affine(0.01, 0, left, 0, -0.01, 0), 3000, 2000)
    lon, lat = scene.lonlat(np.array([25]), np.array([50]))
    (row,), (col,) = grid.pixel(lon, lat)
    u, v = Placement(scene, grid).positions(Window(int(col), int(row), 1, 1))
    np.testing.assert_allclose([u[0, 0], v[0, 0]], [50.5, 25.5], atol=1)


def test_positions_between_exact_ones_are_good_to_a_thousandth(tmp_path):
    scene = Grid(UTM, CORNER, 2000, 2000)
    lon, lat = scene.lonlat(np.array([0]), np.array([0]))
    for crs, step in (("EPSG:4326", 1e-4), ("EPSG:3577", 10.0)):
        target = CRS.from_user_input(crs)
        from pyproj import Transformer

        x, y = Transformer.from_crs(4326, target, always_xy=True).transform(lon[0], lat[0])
        grid = Grid.from_bounds(target, (x, y - 1000 * step, x + 1000 * step, y), (step, step))
        placement = Placement(scene, grid)
        window = Window(100, 200, 300, 300)
        u, v = placement.positions(window)
        rows, cols = 200 + np.arange(300) + 0.5, 100 + np.arange(300) + 0.5
        a, _, c, _, e, f = grid.transform[:6]
        x, y = np.broadcast_arrays(a * cols[None] + c, e * rows[:, None] + f)
        x, y = Transformer.from_crs(target, UTM, always_xy=True).transform(x, y)
        a, _, c, _, e, f = (~scene.transform)[:6]
        assert np.abs(u - (a * x + c)).max() < 1e-3
        assert np.abs(v - (e * y + f)).max() < 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_numbers_of_another_type_than_the_scale_is_for(tmp_path, dtype):
    """A copy with reflectances, or a picture of 8 bits, times the scale of digital numbers."""
    item = write_scene(tmp_path, "a", {"red": np.full((64, 64), 1, dtype)})
    reader = SceneReader(source([item], without_masks(), bands=["red"]), NATIVE)
    with pytest.raises(ImageryError, match=r"holds numbers of the type .* the scale 0.0001 of"):
        reader.read(item, Window(0, 0, 4, 4))
    signed = write_scene(tmp_path, "b", {"red": np.full((64, 64), 1000, np.int16)})
    reader = SceneReader(source([signed], without_masks(), bands=["red"]), NATIVE)
    np.testing.assert_allclose(reader.read(signed, Window(0, 0, 4, 4)), 0.1, rtol=1e-6)


def test_nodata_of_the_catalogue_and_of_the_collection_both_hold(tmp_path):
    red = numbers(9)
    red[0, :2] = 0, 65535
    item = write_scene(tmp_path, "a", {"red": red})
    for stated, missing in ((65535, [1, 1, 0]), (float("nan"), [1, 0, 0]), (None, [1, 0, 0])):
        own = replace(item, assets={"red": Asset(item.assets["red"].href, nodata=stated)})
        out = SceneReader(source([own], without_masks(), bands=["red"]), NATIVE).read(
            own, Window(0, 0, 3, 1)
        )
        np.testing.assert_array_equal(np.isnan(out[0, 0]), missing)


def test_a_scale_of_zero_is_none(tmp_path):
    reader, item = scaled(tmp_path, 1, 0.0, 1)
    with pytest.raises(ImageryError, match=r"states scale 0 and offset 0, which give no values"):
        reader.read(item, Window(0, 0, 4, 4))


def test_bands_that_a_catalogue_names_go_before_the_order_of_the_collection(tmp_path):
    """A copy of a file of three bands with red first, though the collection has it third."""
    values = np.stack([numbers(seed) for seed in (10, 11, 12)])
    path = write_raster(tmp_path / "a.tif", values)
    bands = tuple(
        Band(name, ("data",), scale=0.0001, nodata=0, number=number)
        for number, name in enumerate(("blue", "green", "red"), start=1)
    )
    collection = replace(without_masks(), bands=bands)
    described = [{"name": name} for name in ("red", "green", "blue")]
    for names, places in ((described, (2, 1, 0)), ([], (0, 1, 2))):
        raw = {
            "id": "a",
            "bbox": [10, 40, 11, 41],
            "properties": {"datetime": "2021-06-01T00:00:00Z"},
            "assets": {"data": {"href": str(path), "bands": names}},
        }
        item = item_of(raw, collection, "source s")
        out = SceneReader(source([item], collection), NATIVE).read(item, Window(0, 0, 64, 64))
        np.testing.assert_array_equal(out, (values[list(places)] * 0.0001).astype(np.float32))
