"""Tiles: the numbers that they carry are those of the map, and a cache that stays bounded."""

import io

import numpy as np
import pytest
from PIL import Image

from spatioformer.common import palette
from spatioformer.viewer.cache import OVERHEAD, ByteCache
from spatioformer.viewer.catalogue import ALL
from spatioformer.viewer.layers import legend_of
from spatioformer.viewer.overview import bounding_tiles, mercator, overview
from spatioformer.viewer.tiles import MASKED, TRUSTED, VALUE, packed, picture, png, unpacked
from tests.helpers import viewed_run
from tests.helpers.linear_world import HALF, SHAPE


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def places(z: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """lon, lat (256, 256) of the pixel centres of a tile, by the definition of Web Mercator."""
    lon = (x + (np.arange(256) + 0.5) / 256) / 2**z * 360 - 180
    south = (y + (np.arange(256) + 0.5) / 256) / 2**z
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * south))))
    lon, lat = np.meshgrid(lon, lat)
    return lon, lat


def expected(run, band: np.ndarray, z: int, x: int, y: int) -> np.ndarray:
    """Values of the map's pixels under a tile's pixels; NaN outside."""
    rows, cols = run.map.grid.pixel(*places(z, x, y))
    inside = run.map.grid.holds(rows, cols)
    out = np.full(rows.shape, np.nan)
    out[inside] = band[rows[inside], cols[inside]]
    return out


def on_map(run, z: int) -> tuple[int, int]:
    """Column and row of the tile at the map's middle."""
    west, south, east, north = run.map.bounds
    x, y = mercator((west + east) / 2, (south + north) / 2)
    return int(x * 2**z), int(y * 2**z)


@pytest.mark.parametrize("z", [4, 5, 7])
@pytest.mark.parametrize("name", ["mean", "lower", "dissimilarity", "width"])
def test_a_tiles_numbers_are_those_of_the_map(client, run, folder, name, z):
    x, y = on_map(run, z)
    layer = run.catalogue.layers[name]
    bands = viewed_run.values(folder)
    named = {n: bands[number - 1] for n, number in run.map.bands.items()}
    band = named["upper"] - named["lower"] if name == "width" else named[layer.bands[0]]
    content = client.get(f"/tiles/{name}/all/{z}/{x}/{y}.png").content
    values, trusted = unpacked(pixels_of(content), layer.scale, layer.offset)
    wanted = expected(run, band, z, x, y)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(wanted))
    assert np.nanmax(np.abs(values - wanted)) <= layer.scale / 2 * (1 + 1e-6)
    inside = expected(run, named["inside"], z, x, y)
    np.testing.assert_array_equal(trusted, inside == 1)
    assert np.isfinite(values).any()


def test_years_are_apart_by_their_slope(client, run):
    x, y = on_map(run, 5)
    layer = run.catalogue.layers["mean"]
    first, last = (
        unpacked(
            pixels_of(client.get(f"/tiles/mean/{year}/5/{x}/{y}.png").content),
            layer.scale,
            layer.offset,
        )[0]
        for year in (2019, 2023)
    )
    rise = (last - first)[np.isfinite(last)]
    np.testing.assert_allclose(rise, 4 * viewed_run.SLOPE, atol=2 * layer.scale)


def test_the_change_is_hatched_where_the_scenario_is_outside(client, run):
    """The band of a scenario is 1 outside, that of a map is 1 inside; here 3 and -3."""
    layer = run.catalogue.layers["change-warmer"]
    assert layer.to_json()["hatch"] is True
    assert layer.to_json()["title"]["en"] == "Change: two degrees warmer"
    x, y = on_map(run, 5)
    pixels = pixels_of(client.get(f"/tiles/change-warmer/all/5/{x}/{y}.png").content)
    values, trusted = unpacked(pixels, layer.scale, layer.offset)
    assert set(np.unique(values[np.isfinite(values)]).round(6)) == {-3.0, 3.0}
    np.testing.assert_array_equal(trusted[np.isfinite(values)], (values < 0)[np.isfinite(values)])


def test_packing_round_trip():
    rng = np.random.default_rng(0)
    values = rng.uniform(-5, 80, (256, 256)).astype(np.float32)
    values[0, :3] = np.nan
    trust = rng.integers(0, 2, (256, 256)).astype(np.float32)
    scale, offset = 90 / 65535, -10.0
    back, trusted = unpacked(packed(values, trust, scale, offset), scale, offset)
    assert np.nanmax(np.abs(back - values)) <= scale / 2 + 1e-6
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    np.testing.assert_array_equal(trusted, (trust == 1) & np.isfinite(values))


def test_what_does_not_fit_the_range_has_no_value():
    values = np.array([[-1.0, 0.0, 65535.0, 65536.0]], np.float32)
    pixels = packed(values, None, 1.0, 0.0)
    assert pixels[0, :, 2].tolist() == [0, VALUE + TRUSTED, VALUE + TRUSTED, 0]
    assert pixels[0, 2].tolist() == [255, 255, 3]


@pytest.mark.parametrize("channels", [3, 4])
def test_png_holds_the_pixels(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, channels)).astype(np.uint8)
    np.testing.assert_array_equal(pixels_of(png(pixels)), pixels)
    assert png(pixels) == png(pixels.copy())


def test_a_picture_stretches_its_bands_and_is_clear_without_data():
    bands = np.array([[[0.0, 10, 20, np.nan]], [[5.0, 5, 5, 5]], [[1.0, 2, 3, 4]]], np.float32)
    pixels = picture(bands, ((0, 20), (0, 10), (1, 3)))
    assert pixels[0].tolist() == [
        [0, 128, 0, 255], [128, 128, 128, 255], [255, 128, 255, 255], [0, 0, 0, 0]
    ]  # fmt: skip


def test_imagery_is_a_picture_with_clear_pixels_outside(client, run):
    x, y = on_map(run, 4)
    pixels = pixels_of(client.get(f"/tiles/imagery-bands/all/4/{x}/{y}.png").content)
    assert pixels.shape == (256, 256, 4)
    assert set(np.unique(pixels[..., 3])) == {0, 255}


def test_outside_the_map_there_is_no_tile(client):
    assert client.get("/tiles/mean/all/4/0/0.png").status_code == 204
    assert client.get("/tiles/mean/all/4/0/0.png").content == b""


def test_a_tile_is_kept_by_the_browser(client, run):
    x, y = on_map(run, 4)
    first = client.get(f"/tiles/mean/all/4/{x}/{y}.png")
    again = client.get(
        f"/tiles/mean/all/4/{x}/{y}.png", headers={"if-none-match": first.headers["etag"]}
    )
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_the_cache_holds_the_last_used_within_its_size():
    cache = ByteCache(3 * (OVERHEAD + 100))
    for key in "abc":
        cache.put(key, bytes(100))
    assert cache.get("a") == bytes(100)
    cache.put("d", bytes(100))
    assert [key in cache for key in "abcd"] == [True, False, True, True]
    cache.put("e", bytes(10_000))
    assert (len(cache), cache.size) == (0, 0)
    cache.put("f", None)
    cache.put("f", None)
    assert (cache.get("f"), cache.size) == (None, OVERHEAD)


@pytest.mark.parametrize(
    ("values", "kind", "ends"),
    [
        (np.linspace(0.3, 99.7, 1001), "continuous", (0, 100)),
        (np.linspace(-2, 7, 1001), "diverging", (-7, 7)),
        (np.full(5, 8.000001), "continuous", (8, 9)),
        (np.full(5, np.nan), "continuous", (3, 4)),
    ],
)
def test_legend(values, kind, ends):
    assert legend_of(values.astype(np.float32), kind, (3.0, 4.0)) == pytest.approx(ends)


def test_bounding_tiles():
    assert bounding_tiles((112, -44, 154, -10), 0) == ([0], [0])
    assert bounding_tiles((112, -44, 154, -10), 3) == ([6, 7], [4, 5])
    assert bounding_tiles((170, -20, -170, -10), 3) == ([7, 0], [4])


def test_the_overview_is_coloured_and_striped_where_the_model_does_not_apply(run, folder):
    layer = run.catalogue.layers["mean"]
    pixels = run.rasters.call(overview, run.rasters, run.unmapped, layer, ALL, run.map.bounds)
    assert max(pixels.shape[:2]) == 1024
    assert pixels[..., 3].any()
    row, col = viewed_run.EMPTY_ROW, 3
    _, y = mercator(0, viewed_run.centre(row, col)[1])
    _, south, _, north = run.map.bounds
    (_, top), (_, bottom) = mercator(0, north), mercator(0, south)
    line = int((y - top) / (bottom - top) * pixels.shape[0])
    assert not pixels[line, :, 3].any()
    grey = tuple(bytes.fromhex(palette.MASKED[1:]))
    is_grey = (pixels[..., :3] == grey).all(axis=-1) & (pixels[..., 3] == 255)
    assert is_grey.mean() == pytest.approx(15 / (SHAPE[0] * SHAPE[1]), rel=0.3)
    assert set(np.unique(pixels[..., 3])) == {0, 255}


@pytest.mark.parametrize("z", [4, 7])
@pytest.mark.parametrize("name", ["mean", "applies", "slope"])
def test_masked_land_is_told_apart_from_what_has_no_data(client, run, z, name):
    x, y = on_map(run, z)
    pixels = pixels_of(client.get(f"/tiles/{name}/all/{z}/{x}/{y}.png").content)
    excluded, row = np.zeros(SHAPE), np.zeros(SHAPE)
    excluded[viewed_run.MASKED] = row[viewed_run.EMPTY_ROW] = 1
    wanted = expected(run, excluded, z, x, y) == 1
    assert wanted.any()
    is_masked = pixels[..., 2] == MASKED
    if name == "slope":  # made of maps before the mask
        assert not is_masked.any() or wanted[is_masked].all()
    else:
        np.testing.assert_array_equal(is_masked, wanted)
    assert not pixels[expected(run, row, z, x, y) == 1, 2].any()


def test_width_of_the_linear_world(run, folder):
    bands = viewed_run.values(folder)
    named = {n: bands[number - 1] for n, number in run.map.bands.items()}
    width = named["upper"] - named["lower"]
    np.testing.assert_allclose(width[np.isfinite(width)], 2 * HALF, rtol=1e-5)
    assert np.isnan(width[viewed_run.EMPTY_ROW]).all()
    assert width.shape == SHAPE
