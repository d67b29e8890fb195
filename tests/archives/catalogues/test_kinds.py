"""Every kind of catalogue finds the same items for the same content."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatioformer.archives.catalogues import find, names
from spatioformer.archives.catalogues.query import Query, boxes_of, span_of
from spatioformer.archives.catalogues.tables import may_meet
from spatioformer.archives.collections import collection_of
from spatioformer.archives.search import empty_message, look_up
from spatioformer.common.errors import ImageryError
from tests.helpers.catalogues import (
    access_to,
    index_file,
    scene,
    source,
    stac_geoparquet,
    static_catalogue,
)
from tests.helpers.servers import FileServer

REGION = (10.2, 10.4, 40.2, 40.4)


@pytest.fixture(scope="module")
def catalogues(api, items, tmp_path_factory):
    """Endpoint of each kind."""
    folder = tmp_path_factory.mktemp("catalogues")
    for item in items:
        path = folder / "items" / f"{item['id']}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(item))
    collection = folder / "all.json"
    collection.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return {
        "stac-api": api,
        "stac-static": str(static_catalogue(folder / "static", items)),
        "one document": str(collection),
        "stac-geoparquet": str(stac_geoparquet(folder / "items.parquet", items)),
        "folder": str(folder / "items"),
    }


def looked_up(kind, endpoint, cache, region=REGION, year=2020, **values):
    kind = "stac-static" if kind == "one document" else kind
    section = source(kind=kind, endpoint=endpoint, **values)
    found = look_up(section, collection_of(section), region, year, access_to(cache))
    # Where the item itself lies differs.
    items = tuple(dataclasses.replace(item, href=None) for item in found.items)
    return dataclasses.replace(found, items=items)


KINDS = ["stac-static", "one document", "stac-geoparquet", "folder"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("region", "year"), [(REGION, 2020), ((179.5, -179, -17.9, -17.1), 2020), (REGION, 2022)]
)
def test_the_same_items(catalogues, kind, region, year, tmp_path):
    expected = looked_up("stac-api", catalogues["stac-api"], tmp_path, region, year)
    assert looked_up(kind, catalogues[kind], tmp_path, region, year) == expected
    assert bool(expected.items) == (year == 2020)


@pytest.mark.parametrize("kind", ["stac-api", *KINDS])
def test_names_of_collections(catalogues, kind, tmp_path):
    section = source(
        kind="stac-static" if kind == "one document" else kind, endpoint=catalogues[kind]
    )
    known = names(collection_of(section), access_to(tmp_path))
    assert known == ["landsat-c2-l1", "landsat-c2-l2"]


@pytest.mark.parametrize("kind", ["stac-static", "stac-geoparquet"])
def test_files_come_over_http(catalogues, items, kind, tmp_path):
    static_catalogue(tmp_path / "www", items)
    stac_geoparquet(tmp_path / "www" / "items.parquet", items)
    name = "catalog.json" if kind == "stac-static" else "items.parquet"
    with FileServer(tmp_path / "www") as server:
        found = looked_up(kind, f"{server.url}/{name}", tmp_path / "cache")
    assert found == looked_up("stac-api", catalogues["stac-api"], tmp_path / "cache")


def test_a_static_collection_outside_is_not_entered(items, tmp_path):
    path = static_catalogue(tmp_path, [item for item in items if "2020" in item["id"]])
    collection = path.parent / "landsat-c2-l2" / "collection.json"
    (path.parent / "landsat-c2-l2" / f"{items[0]['id']}.json").unlink()
    with pytest.raises(ImageryError, match=r"cannot be read|does not exist"):
        looked_up("stac-static", str(path), tmp_path / "cache")
    document = json.loads(collection.read_text())
    document["extent"]["temporal"]["interval"] = [["2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z"]]
    collection.write_text(json.dumps(document))
    assert looked_up("stac-static", str(path), tmp_path / "cache").items == ()


@pytest.mark.parametrize("form", ["list", "map", "text dates"])
def test_other_forms_of_stac_geoparquet(items, form, tmp_path):
    path = stac_geoparquet(tmp_path / "a.parquet", items)
    expected = looked_up("stac-geoparquet", str(path), tmp_path)
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        assets = {k: {"href": v["href"]} for k, v in row["assets"].items() if v is not None}
        if form == "list":
            row["assets"] = [{"key": key, **asset} for key, asset in assets.items()]
        elif form == "map":
            row["assets"] = list(assets.items())
        else:
            row["datetime"] = row["datetime"].isoformat()
            row["assets"] = assets
    schema = None
    if form == "map":
        asset = pa.map_(pa.string(), pa.struct([("href", pa.string())]))
        inferred = pa.Table.from_pylist([{**row, "assets": None} for row in rows]).schema
        schema = inferred.set(inferred.get_field_index("assets"), pa.field("assets", asset))
    other = tmp_path / "b.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), other)
    found = looked_up("stac-geoparquet", str(other), tmp_path)
    assert [item.assets for item in found.items] == [item.assets for item in expected.items]
    assert [item.start for item in found.items] == [item.start for item in expected.items]


def test_row_groups_elsewhere_are_not_read(tmp_path):
    items = [
        scene(
            f"LC08_L2SP_{i:06d}_20200301_20200310_02_T1", "2020-03-01", (i / 10, 0, i / 10 + 1, 1)
        )
        for i in range(1000)
    ]
    path = stac_geoparquet(tmp_path / "all.parquet", items)
    pq.write_table(pq.read_table(path), tmp_path / "many.parquet", row_group_size=25)
    with FileServer(tmp_path) as server:
        found = looked_up(
            "stac-geoparquet", f"{server.url}/many.parquet", tmp_path / "c", (10, 10.1, 0, 1)
        )
        assert len(found.items) == 10
        assert server.bytes < 0.5 * (tmp_path / "many.parquet").stat().st_size


def test_row_groups_that_may_hold_an_item_across_the_antimeridian():
    sides = ("w", "s", "e", "n")
    crossing = {"w": (179.0, 179.9), "s": (-20, -18), "e": (-179.9, -179.0), "n": (-17, -15)}
    fiji = Query(boxes_of((-179.5, -178, -18, -17)), *span_of(2020, None))
    assert may_meet(fiji, crossing, sides)
    europe = {"w": (3.0, 9.9), "s": (-20, -18), "e": (4.0, 10.9), "n": (-17, -15)}
    assert not may_meet(fiji, europe, sides)
    assert may_meet(fiji, {}, sides), "without statistics it may hold anything"
    north = {**crossing, "s": (10, 12), "n": (13, 14)}
    assert not may_meet(fiji, north, sides)


TILES = [
    {
        "path": f"s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual/{year}/{zone}/x{i}.tiff",
        "year": year,
        "crs": crs,
        "utm_west": 500000.0,
        "utm_south": 4000000.0,
        "utm_east": 581920.0,
        "utm_north": 4081920.0,
        "wgs84_west": west,
        "wgs84_south": -18.0,
        "wgs84_east": west + 1 if west < 179.5 else west - 359,
        "wgs84_north": -17.0,
    }
    for i, (year, zone, crs, west) in enumerate(
        [
            (2020, "60S", "EPSG:32760", 178.5),
            (2020, "60S", "EPSG:32760", 179.6),
            (2020, "01S", "EPSG:32701", -179.4),
            (2021, "60S", "EPSG:32760", 178.5),
            (2020, "31S", "EPSG:32731", 3.0),
        ]
    )
]


def test_an_index_of_tiles(tmp_path):
    path = index_file(tmp_path / "index.parquet", TILES)
    section = source("alphaearth", endpoint=str(path), years=(2020, 2021))
    collection, access = collection_of(section), access_to(tmp_path)
    found = look_up(section, collection, (179, -179, -17.9, -17.1), 2020, access)
    assert [item.id for item in found.items] == ["x0_2020", "x1_2020", "x2_2020"]
    first = found.items[0]
    assert first.assets["A00"].href == (
        "https://data.source.coop/tge-labs/aef/v1/annual/2020/60S/x0.tiff"
    )
    assert first.assets["A63"].number == 64
    assert (first.crs, first.properties["utm_west"]) == ("EPSG:32760", 500000.0)
    assert found.items[1].bbox == pytest.approx((179.6, -18, -179.4, -17))
    message = empty_message(section, collection, (0, 1, 40, 41), 2020, access, None)
    assert message.endswith("nor within 5 years; check `region`: [W, E, S, N] in degrees")


def test_paths_of_an_index_may_lie_beside_it(tmp_path):
    path = index_file(tmp_path / "index.parquet", [{**TILES[4], "path": "31S/x.tiff"}])
    section = source("alphaearth", endpoint=str(path))
    found = look_up(section, collection_of(section), (3, 4, -18, -17), 2020, access_to(tmp_path))
    assert found.items[0].assets["A00"].href == str(tmp_path / "31S" / "x.tiff")


@pytest.mark.parametrize(
    ("kind", "content", "sentence"),
    [
        ("index", {"path": ["a"], "year": [2020]}, "has no column 'wgs84_west' (its columns: path"),
        ("stac-geoparquet", {"path": ["a"]}, "has no STAC items (no column 'id'); give a stac-geo"),
        ("stac-geoparquet", b"no table", "cannot be read as a Parquet file"),
        ("stac-static", b"<html>", "is not a JSON object; check `endpoint` and `kind`"),
        ("stac-static", b'{"type": "Catalog"}', "is not a static STAC catalogue"),
        ("stac-static", b"\xff\xfe", "is not text; a catalogue consists of JSON documents"),
        ("folder", b"", "is not a folder; give in `endpoint` the folder that holds the scenes"),
    ],
)
def test_what_is_no_catalogue(kind, content, sentence, tmp_path):
    path = tmp_path / "content"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(pa.table(content), path)
    with pytest.raises(ImageryError) as error:
        looked_up(kind, str(path), tmp_path)
    assert sentence in str(error.value)
    assert str(error.value).startswith("imagery.sources[0]: ")


def test_a_server_that_is_no_api(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.json").write_text('{"type": "Catalog", "id": "a"}')
    with (
        FileServer(tmp_path / "www") as server,
        pytest.raises(ImageryError, match="does not answer as a STAC API"),
    ):
        looked_up("stac-api", f"{server.url}/index.json", tmp_path)


def test_a_store_of_zarr_has_no_items_to_search(tmp_path):
    section = source("tessera")
    query = Query(boxes_of(REGION), *span_of(2020, None))
    with pytest.raises(ImageryError, match="of the kind zarr has no items to search"):
        find(collection_of(section), query, access_to(tmp_path))


def test_items_come_once_from_two_boxes(api, tmp_path):
    wide = looked_up("stac-api", api, tmp_path, (178, -178.5, -18, -17))
    assert len({item.id for item in wide.items}) == len(wide.items) == 2
    assert np.all([item.end >= item.start for item in wide.items])
