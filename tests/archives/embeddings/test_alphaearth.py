from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.windows import Window

from spatioformer.archives.embeddings.alphaearth import AlphaEarthTile, decode
from spatioformer.archives.embeddings.source import EmbeddingSource
from spatioformer.archives.remote import NotCached, RemoteError
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from tests.archives.embeddings.imitations import (
    ALPHAEARTH,
    alphaearth_file,
    alphaearth_item,
    decoded,
    local,
    unit,
    unit_vectors,
)
from tests.helpers.servers import FileServer, first, truncated

WEST, NORTH = 600_000.0, 6_100_000.0
SHAPE = (48, 32)


def utm(epsg: int, resolution: float, west: float, north: float, height: int, width: int) -> Grid:
    return Grid(
        CRS.from_epsg(epsg), Affine(resolution, 0, west, 0, -resolution, north), height, width
    )


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal to the last bit, NaN included."""
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.fixture
def tile(tmp_path):
    raw = unit_vectors(SHAPE, 1)
    alphaearth_file(tmp_path / "tile.tiff", raw, 32755, WEST, NORTH)
    return raw, alphaearth_item(str(tmp_path / "tile.tiff"), SHAPE, 32755, WEST, NORTH)


def test_numbers_are_decoded_as_documented():
    raw = np.full((1, 2, 64), 0, np.int8)
    raw[0, 0, :3] = 127, -127, 51
    raw[0, 1, 5] = -128
    values = decode(raw)
    assert values.dtype == np.float32
    assert values[0, 0, :4] == pytest.approx([(127 / 127.5) ** 2, -((127 / 127.5) ** 2), 0.16, 0])
    assert np.isnan(values[0, 1]).all()


def test_the_imitation_runs_from_south_to_north(tile):
    raw, item = tile
    with rasterio.open(next(iter(item.assets.values())).href) as file:
        assert file.transform.e > 0
        assert file.dtypes[0] == "int8"
        assert np.array_equal(file.read()[:, ::-1], raw)


@pytest.mark.parametrize("south_up", [True, False])
def test_pixels_of_a_file_lie_where_they_are(tmp_path, south_up):
    raw = unit_vectors(SHAPE, 2)
    raw[7, 5, 6] = -128
    alphaearth_file(tmp_path / "t.tiff", raw, 32755, WEST, NORTH, south_up=south_up)
    item = alphaearth_item(str(tmp_path / "t.tiff"), SHAPE, 32755, WEST, NORTH)
    grid = utm(32755, 10, WEST + 20, NORTH - 30, 20, 20)
    values = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path)).read(Window(1, 2, 10, 12))
    expected = unit(decoded(raw))[:, 5:17, 3:13]
    expected[:, 0, 3] = np.nan
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert np.isnan(values[:, 0, 3]).all()


def test_the_grid_of_a_file_is_read_where_the_catalogue_does_not_state_it(tmp_path, tile):
    raw, item = tile
    bare = alphaearth_item(item.assets["A00"].href, SHAPE, 32755, WEST, NORTH)
    bare.properties.clear()
    tile_of = AlphaEarthTile(bare, local(tmp_path))
    assert tile_of.grid == utm(32755, 10, WEST, NORTH, *SHAPE)
    np.testing.assert_allclose(
        tile_of.read(Window(3, 4, 1, 1))[0, 0], decoded(raw)[:, 4, 3], atol=1e-6
    )


def test_a_larger_pixel_is_the_mean_scaled_to_length_1(tmp_path, tile):
    raw, item = tile
    grid = utm(32755, 30, WEST, NORTH, 16, 10)
    values = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path)).read(Window(0, 0, 10, 16))
    means = decoded(raw)[:, :, :30].reshape(64, 16, 3, 10, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(values, unit(means), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(values.astype(float), axis=0), 1, atol=1e-6)


def test_pixels_many_times_as_large(tmp_path, tile):
    raw, item = tile
    raw[3, 10, 10] = -128
    alphaearth_file(tmp_path / "tile.tiff", raw, 32755, WEST, NORTH)
    grid = utm(32755, 160, WEST, NORTH, 3, 2)
    values = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path)).read(Window(0, 0, 2, 3))
    whole = np.where(np.isnan(decoded(raw)).any(axis=0), np.nan, decoded(raw))
    means = np.nanmean(whole.reshape(64, 3, 16, 2, 16), axis=(2, 4))
    np.testing.assert_allclose(values, unit(means), atol=1e-6)


def test_area_weights_of_pixels_that_are_shared(tmp_path, tile):
    raw, item = tile
    grid = utm(32755, 15, WEST, NORTH, 2, 2)
    values = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path)).read(Window(0, 0, 2, 2))
    v = decoded(raw)
    weights = np.outer([0.5, 1.0], [1.0, 0.5])
    np.testing.assert_allclose(
        values[:, 1, 0], unit((v[:, 1:3, 0:2] * weights).sum(axis=(1, 2))), atol=1e-6
    )


def test_missing_numbers_make_a_vector_missing_as_a_whole(tmp_path):
    raw = unit_vectors((6, 6), 3)
    raw[10, :3, :3] = -128  # one band of nine pixels
    raw[63, 3, 3] = -128
    alphaearth_file(tmp_path / "t.tiff", raw, 32755, WEST, NORTH)
    item = alphaearth_item(str(tmp_path / "t.tiff"), (6, 6), 32755, WEST, NORTH)
    grid = utm(32755, 30, WEST, NORTH, 2, 2)
    values = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path)).read(Window(0, 0, 2, 2))
    assert np.isnan(values[:, 0, 0]).all()
    v = decoded(raw)[:, 3:, 3:].reshape(64, 9)[:, 1:]
    np.testing.assert_allclose(values[:, 1, 1], unit(v.mean(axis=1)), atol=1e-6)


def test_bands_are_chosen_after_the_length_is_made_1(tmp_path, tile):
    _, item = tile
    grid = utm(32755, 30, WEST, NORTH, 16, 10)
    window = Window(2, 3, 4, 4)
    whole = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path))
    some = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path), bands=["A05", "A00"])
    assert some.bands == ("A05", "A00")
    assert same(some.read(window), whole.read(window)[[5, 0]])


def neighbours(tmp_path):
    """Tiles on both sides of the seam of zones 54 and 55, in two files each, rows either way."""
    items, seam = [], 144.0
    for zone, epsg in ((54, 32754), (55, 32755)):
        to_utm = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)
        x, y = (round(v / 10) * 10 for v in to_utm.transform(seam, -35.0))
        west = x - 640 if zone == 54 else x - 40  # they overlap by some pixels
        for part in range(2):
            raw = unit_vectors((32, 68), 10 * zone + part)
            raw[5, 3:6, 20:30] = -128
            north = y + 320 - 320 * part
            path = tmp_path / f"z{zone}-{part}.tiff"
            alphaearth_file(path, raw, epsg, west, north, south_up=part == 0)
            items.append(alphaearth_item(str(path), (32, 68), epsg, west, north))
    return items, (seam, -35.0)


GRIDS = {
    "degrees": (CRS.from_epsg(4326), 0.00027, 0.00027),
    "albers": (CRS.from_epsg(3577), 30.0, 30.0),
    "finer": (CRS.from_epsg(4326), 0.00007, 0.00007),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("resampling", [None, "nearest"])
def test_a_pixel_is_the_same_in_every_window(tmp_path, name, resampling):
    items, (lon, lat) = neighbours(tmp_path)
    crs, a, e = GRIDS[name]
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    grid = Grid(crs, Affine(a, 0, x - 20 * a, 0, -e, y + 18 * e), 36, 40)
    source = EmbeddingSource(ALPHAEARTH, items, grid, local(tmp_path), resampling=resampling)
    whole = source.read(Window(0, 0, 40, 36))
    assert 0.3 < np.isfinite(whole[0]).mean() <= 1
    assert (np.isfinite(whole).all(axis=0) == np.isfinite(whole).any(axis=0)).all()
    lengths = np.linalg.norm(whole.astype(float), axis=0)
    np.testing.assert_allclose(lengths[np.isfinite(lengths)], 1, atol=1e-6)
    for size in (1, 7, 25):
        pieces = np.full_like(whole, 9)
        for row in range(0, 36, size):
            if size == 1 and row % 12:
                pieces[:, row] = whole[:, row]
                continue
            for col in range(0, 40, size):
                window = Window(col, row, min(size, 40 - col), min(size, 36 - row))
                part = source.read(window)
                pieces[:, row : row + part.shape[1], col : col + part.shape[2]] = part
        assert same(pieces, whole)


def test_zones_that_overlap_are_weighted_by_area(tmp_path):
    """A target pixel half in one zone and half in the other is the mean of both halves."""
    left, right = unit_vectors((4, 4), 1), unit_vectors((4, 4), 2)
    alphaearth_file(tmp_path / "a.tiff", left, 32755, WEST, NORTH)
    # Another lattice of the same reference system stands for another zone.
    alphaearth_file(tmp_path / "b.tiff", right, 32755, WEST + 45, NORTH)
    items = [
        alphaearth_item(str(tmp_path / "a.tiff"), (4, 4), 32755, WEST, NORTH),
        alphaearth_item(str(tmp_path / "b.tiff"), (4, 4), 32755, WEST + 45, NORTH),
    ]
    grid = utm(32755, 20, WEST + 30, NORTH, 1, 1)
    values = EmbeddingSource(ALPHAEARTH, items, grid, local(tmp_path)).read(Window(0, 0, 1, 1))
    a, b = decoded(left)[:, :2, 3].sum(axis=1), decoded(right)[:, :2, 0].sum(axis=1) * 0.5
    np.testing.assert_allclose(values[:, 0, 0], unit(a + b), atol=1e-6)


def test_the_first_tile_counts_where_tiles_of_a_zone_overlap(tmp_path):
    first_raw, second_raw = unit_vectors((4, 4), 1), unit_vectors((4, 4), 2)
    first_raw[0, 0, 1] = -128
    alphaearth_file(tmp_path / "a.tiff", first_raw, 32755, WEST, NORTH)
    alphaearth_file(tmp_path / "b.tiff", second_raw, 32755, WEST, NORTH)
    items = [
        alphaearth_item(str(tmp_path / f"{name}.tiff"), (4, 4), 32755, WEST, NORTH) for name in "ab"
    ]
    grid = utm(32755, 10, WEST, NORTH, 4, 4)
    values = EmbeddingSource(ALPHAEARTH, items, grid, local(tmp_path)).read(Window(0, 0, 4, 4))
    expected = unit(decoded(first_raw))
    expected[:, 0, 1] = unit(decoded(second_raw))[:, 0, 1]
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_between_pixels_half_of_the_weight_must_be_valid(tmp_path):
    raw = unit_vectors((4, 4), 5)
    raw[:, :, 2:] = -128
    alphaearth_file(tmp_path / "t.tiff", raw, 32755, WEST, NORTH)
    item = alphaearth_item(str(tmp_path / "t.tiff"), (4, 4), 32755, WEST, NORTH)
    grid = utm(32755, 4, WEST, NORTH, 10, 10)
    values = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path)).read(Window(0, 0, 10, 10))
    assert np.isfinite(values[0, 4]).tolist() == [True] * 5 + [False] * 5
    v = decoded(raw)
    # The centre of column 2, row 4 lies at 10 m, 18 m: between columns 0 and 1, rows 1 and 2.
    weighted = 0.7 * v[:, 1, :2].mean(axis=1) + 0.3 * v[:, 2, :2].mean(axis=1)
    np.testing.assert_allclose(values[:, 4, 2], unit(weighted), atol=1e-6)


def test_a_grid_elsewhere_reads_nothing(tmp_path, tile):
    _, item = tile
    grid = Grid(CRS.from_epsg(4326), Affine(0.001, 0, 10, 0, -0.001, 50), 8, 8)
    values = EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path)).read(Window(0, 0, 8, 8))
    assert np.isnan(values).all()


def test_over_the_network_with_faults_and_then_offline(tmp_path, tile):
    raw, _ = tile
    served = tmp_path / "served"
    served.mkdir()
    alphaearth_file(served / "tile.tiff", raw, 32755, WEST, NORTH)
    grid, window = utm(32755, 30, WEST, NORTH, 16, 10), Window(0, 0, 10, 16)
    with FileServer(served, plan=first(1, truncated())) as server:
        access = server.access(tmp_path / "cache")
        item = alphaearth_item(f"{server.url}/tile.tiff", SHAPE, 32755, WEST, NORTH)
        values = EmbeddingSource(ALPHAEARTH, [item], grid, access).read(window)
    local_item = alphaearth_item(str(served / "tile.tiff"), SHAPE, 32755, WEST, NORTH)
    assert same(
        values, EmbeddingSource(ALPHAEARTH, [local_item], grid, local(tmp_path)).read(window)
    )
    offline = replace(access, offline=True)
    assert same(values, EmbeddingSource(ALPHAEARTH, [item], grid, offline).read(window))
    other = replace(offline, cache=tmp_path / "empty")
    with pytest.raises(NotCached):
        EmbeddingSource(ALPHAEARTH, [item], grid, other).read(window)


def refused(tmp_path, item, match, **options):
    grid = utm(32755, 30, WEST, NORTH, 16, 10)
    with pytest.raises(ImageryError, match=match):
        EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path), **options).read(
            Window(0, 0, 2, 2)
        )


def test_files_that_are_something_else_are_refused(tmp_path, tile):
    raw, item = tile
    refused(tmp_path, item, "no band 'B00'", bands=["B00"])
    refused(tmp_path, item, "resampling: cubic", resampling="cubic")
    elsewhere = alphaearth_item(item.assets["A00"].href, SHAPE, 32755, WEST + 10, NORTH)
    refused(tmp_path, elsewhere, "its catalogue says 600010")
    gone = alphaearth_item(str(tmp_path / "gone.tiff"), SHAPE, 32755, WEST, NORTH)
    refused(tmp_path, gone, "gone.tiff")
    few = str(tmp_path / "few.tiff")
    with rasterio.open(
        few, "w", driver="GTiff", dtype="int8", count=3, height=48, width=32, crs="EPSG:32755",
        transform=Affine(10, 0, WEST, 0, -10, NORTH), nodata=-128,
    ) as file:  # fmt: skip
        file.write(raw[:3])
    refused(tmp_path, alphaearth_item(few, SHAPE, 32755, WEST, NORTH), "3 bands of int8")


def test_bands_in_another_order_are_refused(tmp_path, tile):
    _, item = tile
    with rasterio.open(item.assets["A00"].href, "r+") as file:
        file.set_band_description(3, "A05")
    refused(tmp_path, item, "'A05' in the place of 'A02'")


def test_another_number_for_no_data_is_refused(tmp_path, tile):
    _, item = tile
    with rasterio.open(item.assets["A00"].href, "r+") as file:
        file.nodata = 0
    refused(tmp_path, item, "states 0 as no data")


def test_years_are_not_averaged(tmp_path, tile):
    _, item = tile
    other = alphaearth_item(item.assets["A00"].href, SHAPE, 32755, WEST, NORTH, year=2021)
    with pytest.raises(ImageryError, match="2020, 2021"):
        EmbeddingSource(
            ALPHAEARTH, [item, other], utm(32755, 30, WEST, NORTH, 4, 4), local(tmp_path)
        )


def test_a_very_coarse_grid_is_refused(tmp_path, tile):
    _, item = tile
    with pytest.raises(ImageryError, match="at most 200 times"):
        EmbeddingSource(ALPHAEARTH, [item], utm(32755, 5000, WEST, NORTH, 4, 4), local(tmp_path))


def test_a_host_that_is_not_listed_is_refused(tmp_path):
    item = alphaearth_item("https://elsewhere.example/t.tiff", SHAPE, 32755, WEST, NORTH)
    grid = utm(32755, 30, WEST, NORTH, 4, 4)
    with pytest.raises(RemoteError, match=r"elsewhere\.example"):
        EmbeddingSource(ALPHAEARTH, [item], grid, local(tmp_path)).read(Window(0, 0, 2, 2))
