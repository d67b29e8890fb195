import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.embeddings.source import EmbeddingSource
from spatioformer.archives.embeddings.tessera import TesseraZone, tessera_items, zones_of
from spatioformer.archives.remote import RemoteError
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from tests.archives.embeddings.imitations import (
    ALPHAEARTH,
    ROOT,
    TESSERA,
    local,
    tessera_vectors,
    tessera_zone,
)
from tests.helpers.servers import FileServer, first, only, status

BANDS = tuple(band.name for band in TESSERA.bands)
SHAPE = (40, 48)  # of more than one shard
WEST, NORTH = 600_000.0, -3_900_000.0  # southern Australia, by the axes of the northern half
REGION = (148.1, 148.2, -35.3, -35.2)


@pytest.fixture
def store(tmp_path):
    embeddings, scales = tessera_vectors(SHAPE, 1)
    scales[3, 4], scales[5, 6:9] = np.nan, np.inf
    folder = tmp_path / "store.zarr"
    tessera_zone(folder, 55, WEST, NORTH, {2020: (embeddings, scales)})
    return folder, embeddings, scales


def items_of(href, access, year=2020, region=REGION):
    return tessera_items(str(href), "tessera", BANDS, region, year, access)


def native(row=0, col=0, height=SHAPE[0], width=SHAPE[1]):
    corner = Affine(10, 0, WEST + 10 * col, 0, -10, NORTH - 10 * row)
    return Grid(CRS.from_epsg(32655), corner, height, width)


def values_of(embeddings, scales):
    """The formula of the documents, in float64."""
    return embeddings.astype(float) * np.where(np.isfinite(scales), scales, np.nan)


def test_zones_of_regions():
    assert zones_of((148.1, 148.2, -35, -34)) == [55]
    assert zones_of((149.95, 150.2, -35, -34)) == [55, 56]
    assert zones_of((-180, 180, -90, 90)) == list(range(1, 61))
    assert zones_of((177.0, -177.0, -20, -10)) == [1, 60]
    assert zones_of((179.95, -179.95, -20, -10)) == [1, 60]
    assert zones_of((-0.05, 0.05, 50, 51)) == [30, 31]


def test_an_item_for_each_zone_and_year(tmp_path, store):
    folder, _, _ = store
    (item,) = items_of(folder, local(tmp_path), region=(143, 155, -36, -35))
    assert item.id == "utm55-2020"
    assert (item.crs, item.shape) == ("EPSG:32655", SHAPE)
    assert item.transform == (10, 0, WEST, 0, -10, NORTH)
    assert list(item.assets) == list(BANDS)
    assert item.assets["T127"].number == 128
    west, south, east, north = item.bbox
    assert (west, east) == pytest.approx((143.9, 150.1))
    assert south < north
    assert (south, north) == pytest.approx((-35.24, -35.23), abs=0.02)


def test_values_are_numbers_times_scales(tmp_path, store):
    folder, embeddings, scales = store
    access = local(tmp_path)
    source = EmbeddingSource(TESSERA, items_of(folder, access), native(), access)
    window = Window(2, 1, 40, 35)
    values = source.read(window)
    expected = values_of(embeddings, scales)[:, 1:36, 2:42]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert np.isnan(values[:, 2, 2]).all()  # water
    assert np.isnan(values[:, 4, 4:7]).all()  # not computed


def test_a_larger_pixel_is_the_mean_and_keeps_its_length(tmp_path, store):
    folder, embeddings, scales = store
    access = local(tmp_path)
    grid = Grid(CRS.from_epsg(32655), Affine(40, 0, WEST, 0, -40, NORTH), 10, 12)
    values = EmbeddingSource(TESSERA, items_of(folder, access), grid, access).read(
        Window(0, 0, 12, 10)
    )
    means = np.nanmean(values_of(embeddings, scales).reshape(128, 10, 4, 12, 4), axis=(2, 4))
    np.testing.assert_allclose(values, means, rtol=1e-5, atol=1e-6)


def test_a_southern_grid_meets_negative_northings(tmp_path, store):
    folder, embeddings, scales = store
    access = local(tmp_path)
    grid = Grid(CRS.from_epsg(32755), Affine(10, 0, WEST + 50, 0, -10, NORTH + 1e7 - 100), 8, 8)
    values = EmbeddingSource(
        TESSERA, items_of(folder, access), grid, access, resampling="nearest"
    ).read(Window(0, 0, 8, 8))
    np.testing.assert_allclose(values, values_of(embeddings, scales)[:, 10:18, 5:13], rtol=1e-6)


def test_a_chunk_that_is_not_there_holds_no_data(tmp_path):
    embeddings, scales = tessera_vectors(SHAPE, 2)
    folder = tmp_path / "store.zarr"
    tessera_zone(folder, 55, WEST, NORTH, {2020: (embeddings, scales)})
    (folder / "utm55" / "embeddings" / "c" / "1" / "0" / "0" / "1").unlink()
    (folder / "utm55" / "scales" / "c" / "1" / "1" / "0").unlink()
    access = local(tmp_path)
    values = EmbeddingSource(TESSERA, items_of(folder, access), native(), access).read(
        Window(0, 0, 48, 40)
    )
    expected = values_of(embeddings, scales)
    expected[:, :32, 32:] = np.nan  # scales without embeddings
    expected[:, 32:, :32] = np.nan  # embeddings without scales
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_over_the_network_in_parts_with_faults_and_then_offline(tmp_path, store):
    folder, embeddings, scales = store
    with FileServer(tmp_path, plan=only("*/scales/c/*", first(1, status(503)))) as server:
        access = server.access(tmp_path / "cache")
        items = items_of(f"{server.url}/store.zarr", access)
        source = EmbeddingSource(TESSERA, items, native(), access)
        values = source.read(Window(0, 0, 8, 8))
        sent = server.bytes
    np.testing.assert_allclose(values, values_of(embeddings, scales)[:, :8, :8], rtol=1e-6)
    size = (folder / "utm55" / "embeddings" / "c" / "1" / "0" / "0" / "0").stat().st_size
    assert 0 < sent < 2 * size
    offline = replace(access, offline=True)
    items = items_of(f"{server.url}/store.zarr", offline)
    again = EmbeddingSource(TESSERA, items, native(), offline).read(Window(0, 0, 8, 8))
    assert again.tobytes() == values.tobytes()


def test_another_error_than_404_is_not_taken_for_a_missing_chunk(tmp_path, store):
    with FileServer(tmp_path) as server:
        access = replace(server.access(tmp_path / "cache"), attempts=1)
        items = items_of(f"{server.url}/store.zarr", access)
        source = EmbeddingSource(TESSERA, items, native(), access)
        server.plan = first(9, status(403))
        with pytest.raises(RemoteError):
            source.read(Window(0, 0, 8, 8))


def test_a_source_is_sent_to_another_process(tmp_path, store):
    folder, _, _ = store
    access = local(tmp_path)
    source = EmbeddingSource(TESSERA, items_of(folder, access), native(), access)
    window = Window(3, 3, 5, 5)
    before = source.read(window)
    assert pickle.loads(pickle.dumps(source)).read(window).tobytes() == before.tobytes()


def test_years_that_are_not_there(tmp_path, store):
    folder, _, _ = store
    with pytest.raises(ImageryError, match="no year 2016, but 2019, 2020, 2021"):
        items_of(folder, local(tmp_path), year=2016)
    # A year of the axis without data yet is without data.
    access = local(tmp_path)
    source = EmbeddingSource(TESSERA, items_of(folder, access, 2021), native(), access)
    assert np.isnan(source.read(Window(0, 0, 4, 4))).all()


def test_stores_that_say_something_else_are_refused(tmp_path, store):
    with pytest.raises(ImageryError, match="holds no Zarr store"):
        items_of(tmp_path / "nothing.zarr", local(tmp_path))
    for name, value, match in (
        ("geoemb:dimensions", 192, "states 192 for geoemb:dimensions"),
        ("geoemb:data_type", "float32", "'float32'"),
        ("geoemb:quantization", {"method": "signed_square"}, "'signed_square'"),
        ("geoemb:quantization", None, "method of geoemb:quantization"),
    ):
        folder = tmp_path / f"{match[:6]}{name[7:]}.zarr"
        tessera_zone(
            folder, 55, WEST, NORTH, {2020: tessera_vectors((8, 8), 1)}, root={**ROOT, name: value}
        )
        with pytest.raises(ImageryError, match=match):
            items_of(folder, local(tmp_path))


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("proj:code", "EPSG:32755", "by EPSG:32755"),
        ("spatial:registration", "node", "and node"),
        ("spatial:transform", [10, 0, 0, 0, 10, 0], "turned or mirrored"),
        ("spatial:transform", None, "is not placed"),
        ("spatial:shape", [40, 47], "places would be wrong"),
    ],
)
def test_zones_that_are_placed_otherwise_are_refused(tmp_path, store, name, value, match):
    folder, _, _ = store
    path = folder / "utm55" / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"][name] = value
    path.write_text(json.dumps(document))
    access = local(tmp_path)
    with pytest.raises(ImageryError, match=match):
        EmbeddingSource(TESSERA, items_of(folder, access), native(), access).read(
            Window(0, 0, 4, 4)
        )


def test_collections_of_other_sizes_are_refused(tmp_path, store):
    folder, _, _ = store
    access = local(tmp_path)
    items = items_of(folder, access)
    fewer = replace(TESSERA, bands=TESSERA.bands[:64])
    with pytest.raises(ImageryError, match="64 bands, and its vectors have 128"):
        EmbeddingSource(fewer, items, native(), access)
    with pytest.raises(ImageryError, match="none of alphaearth and tessera"):
        EmbeddingSource(replace(ALPHAEARTH, decode="linear"), [], native(), access)


def test_the_zone_of_an_item(tmp_path, store):
    folder, _, _ = store
    access = local(tmp_path)
    (item,) = items_of(folder, access)
    zone = TesseraZone.of(item, access)
    assert zone.years == [2019, 2020, 2021]
    assert zone.read(Window(0, 0, 2, 3)).shape == (3, 2, 128)
