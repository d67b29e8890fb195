"""Vector files of others reach no network and no file besides themselves (docs/security.md)."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import geopandas as gpd
import pyarrow.parquet
import pytest
import shapely

from spatioformer.common.errors import PlotError
from spatioformer.geo.vector.access import read_access
from spatioformer.geo.vector.opening import list_layers, read_vector
from spatioformer.geo.vector.zones import read_polygons
from tests.helpers.untrusted import one_sentence, traced

pytestmark = pytest.mark.integration

OGR = (
    '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/{}/a.csv</SrcDataSource>'
    "</OGRVRTLayer></OGRVRTDataSource>"
)
GML = (
    '<?xml version="1.0"?><ogr:FeatureCollection xmlns:ogr="{0}" xmlns:gml='
    '"http://www.opengis.net/gml" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="{0} {0}/a.xsd"></ogr:FeatureCollection>'
)
WFS = "<OGRWFSDataSource><URL>{}/wfs</URL></OGRWFSDataSource>"
ALGORITHM = '{{"type":"gdal_streamed_alg","command_line":"gdal vector pipeline ! read {}/a.json"}}'


@pytest.mark.parametrize("name", ["a.gpkg", "a.gml", "a.geojson", "a.shp", "a.parquet", "a.vrt"])
@pytest.mark.parametrize("content", [OGR, GML, WFS, ALGORITHM])
def test_a_vector_file_of_an_address_is_refused(folder, server, name, content):
    path = folder / name
    path.write_text(content.format(server))
    for read in (read_vector, read_polygons, lambda path: read_access(exclude=path)):
        with pytest.raises(PlotError) as caught:
            read(path)
        assert "give a GeoPackage, GeoJSON, shapefile or GeoParquet" in one_sentence(caught.value)


@pytest.fixture
def square() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:4326")


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW v AS SELECT gdal_get_pixel_value('/vsicurl/{0}/a.tif', 1, 'georef', 1, 2)",
        "CREATE VIEW v AS SELECT ogr_geocode('{0}')",
        "CREATE VIEW v AS SELECT load_extension('{0}')",
    ],
)
def test_a_geopackage_calls_no_function_that_reads(folder, server, square, sql):
    path = folder / "a.gpkg"
    square.to_file(path)
    with sqlite3.connect(path) as base:
        base.execute(sql.format(server))
    base.close()
    with pytest.raises(PlotError, match="its table 'v' reads other files"):
        read_vector(path)


def test_vectors_of_four_formats_are_read(folder, square):
    square.to_file(folder / "a.gpkg")
    square.to_file(folder / "a.geojson")
    square.to_file(folder / "a.shp")
    square.to_parquet(folder / "a.parquet")
    for name in ("a.gpkg", "a.geojson", "a.shp", "a.parquet"):
        assert list_layers(folder / name) == ["a"]
        read = read_vector(folder / name)
        assert read.crs == square.crs
        assert read.geometry.iloc[0].equals(square.geometry.iloc[0])


READ_VECTORS = """
import sys
from pathlib import Path
from spatioformer.common.errors import SpatioformerError
from spatioformer.geo.plots.table import read_plots
from spatioformer.geo.vector.access import read_access
from spatioformer.geo.vector.zones import read_polygons

def plots(path):
    read_plots(path, columns={"richness": "a"}, max_rejected=1.0)

for name in sys.argv[1:]:
    for read in (read_polygons, lambda path: read_access(exclude=path), plots):
        if read is plots and not name.endswith((".gpkg", ".parquet")):
            continue
        try:
            read(name)
            print("read", Path(name).name)
        except SpatioformerError as error:
            print("refused", Path(name).name, error)
"""
OLD = 'GEOGCS["x",DATUM["x",SPHEROID["Clarke",6378206.4,294.9786982]{}],PRIMEM["Greenwich",0],{}]'
DEGREE = 'UNIT["degree",0.0174532925199433]'


def crs_texts(grid: Path) -> dict[str, str]:
    """CRSs that make PROJ open a grid when places are converted, in three languages."""
    plain = OLD.format("", DEGREE)
    wgs = 'GEOGCRS["x",DATUM["x",ELLIPSOID["x",6378206.4,294.98]],CS[ellipsoidal,2],'
    wgs += 'AXIS["lat",north],AXIS["lon",east],ANGLEUNIT["degree",0.0174532925199433]]'
    return {
        "grids": OLD.format(f',EXTENSION["PROJ4_GRIDS","{grid}"]', DEGREE),
        "proj4": f'PROJCS["x",{plain},PROJECTION["custom_proj4"],UNIT["m",1],'
        f'EXTENSION["PROJ4","+proj=utm +zone=55 +ellps=clrk66 +nadgrids={grid}"]]',
        "bound": f"BOUNDCRS[SOURCECRS[{wgs}],TARGETCRS[{wgs}],ABRIDGEDTRANSFORMATION["
        f'"g",METHOD["NTv2",ID["EPSG",9615]],PARAMETERFILE["Latitude and longitude difference '
        f'file","{grid}"]]]',
        "plus": f"+proj=longlat +ellps=clrk66 +nadgrids={grid} +type=crs",
        "init": f"+init={grid}:1",
        "file": str(grid),
    }


def with_crs(path: Path, square: gpd.GeoDataFrame, text: object) -> Path:
    """A vector file that states its CRS by a text of one's choice."""
    if path.suffix == ".geojson":
        square.to_file(path)
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"crs": text}))
    elif path.suffix == ".shp":
        square.to_file(path)
        path.with_suffix(".prj").write_text(str(text))
    elif path.suffix == ".gpkg":
        square.to_file(path)
        with sqlite3.connect(path) as base:
            base.execute(
                "UPDATE gpkg_spatial_ref_sys SET definition = ?, organization = 'NONE', "
                "organization_coordsys_id = 77 WHERE srs_id = 4326",
                (text,),
            )
        base.close()
    else:
        square.to_parquet(path)
        table = pyarrow.parquet.read_table(path)
        geo = json.loads(table.schema.metadata[b"geo"])
        geo["columns"]["geometry"]["crs"] = text
        pyarrow.parquet.write_table(
            table.replace_schema_metadata({b"geo": json.dumps(geo).encode()}), path
        )
    return path


def test_no_vector_file_opens_another(folder, tmp_path, secret, server, square):
    """Plots, outlines, zones: the kernel's record holds the named files and their parts alone."""
    grid = secret.with_suffix(".gsb")
    shutil.copy(secret, grid)
    hostile = [
        with_crs(folder / f"{name}.{ending}", square, text)
        for name, text in crs_texts(grid).items()
        for ending in ("gpkg", "shp", "parquet")
    ]
    links = [{"type": "link", "properties": {"href": f"{server}/crs", "type": "proj4"}}]
    links += [
        {"type": "name", "properties": {"name": name}}
        for name in (f"+init={secret}:1", crs_texts(grid)["plus"], str(secret), f"{server}/crs")
    ]
    hostile += [with_crs(folder / f"{i}.geojson", square, link) for i, link in enumerate(links)]
    for name in ("vrt.gpkg", "vrt.geojson", "vrt.shp", "vrt.parquet"):
        (folder / name).write_text(OGR.replace("/vsicurl/{}/a.csv", str(secret)))
        hostile.append(folder / name)
    good = [folder / f"good.{ending}" for ending in ("gpkg", "geojson", "shp", "parquet")]
    for path in good:
        square.to_parquet(path) if path.suffix == ".parquet" else square.to_file(path)

    printed, calls = traced(tmp_path / "log", READ_VECTORS, [*hostile, *good])
    lines = printed.splitlines()
    of_good = [line for line in lines if " good." in line]
    assert [line for line in of_good if line.startswith("read")] == [
        f"read {path.name}" for path in good for _ in range(2)
    ]
    # The square is no point, so that plots of it are refused after they were read.
    assert sum("are Polygons" in line for line in of_good) == 2
    others = [line for line in lines if line not in of_good]
    assert len(others) == 2 * len(hostile) + sum(p.suffix in (".gpkg", ".parquet") for p in hostile)
    assert all(line.startswith("refused") for line in others), others
    assert not any("AF_INET" in call for call in calls)
    opened = {Path(path) for call in calls for path in re.findall(r'"([^"]*)"', call)}
    inside = {path for path in opened if tmp_path in path.parents}
    assert {path.parent for path in inside} <= {folder}
    stems = {path.stem for path in (*hostile, *good)}
    assert {path.name.partition(".")[0] for path in inside} <= stems
    assert set(good) <= inside  # what is read is recorded


def geojson(folder: Path, member: str) -> Path:
    """A GeoJSON file of a square of 1,000,000 x 1,000,000, with one more member as text."""
    feature = {"type": "Feature", "properties": {"crs": "a text"}}
    feature["geometry"] = shapely.geometry.mapping(shapely.box(0, -4e6, 1e6, -3e6))
    path = folder / "a.geojson"
    path.write_text(
        f'{{"type": "FeatureCollection", {member} "features": [{json.dumps(feature)}]}}'
    )
    return path


@pytest.mark.parametrize(
    "member",
    [
        '"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3577"}},',
        '"crs": {"properties": {"name": "EPSG:3577"}, "type": "name"},',
        '"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG:6.9:3577"}},',
        '"crs": {"type": "EPSG", "properties": {"code": 3577}},',
        '"crs": {"type": "OGC", "properties": {"urn": "urn:ogc:def:crs:EPSG::3577"}},',
        '"CRS" : {"type": "name", "properties": {"name": "EPSG:3577"}},',
    ],
)
def test_a_geojson_names_its_crs(folder, member):
    frame = read_vector(geojson(folder, member))
    assert frame.crs.to_epsg() == 3577
    assert frame["crs"].tolist() == ["a text"]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ('"crs": {"type": "name", "properties": {"name": "EPSG:999999"}},', "'EPSG:999999'"),
        ('"crs": {"type": "name", "properties": {"name": "Albers"}},', "'Albers' is unknown"),
        ('"crs": {"type": "EPSG", "properties": {"code": 1}},', "'EPSG:1' is unknown"),
        ('"c\\u0072s": {"type": "link", "properties": {"href": "x"}},', "otherwise than by a name"),
        (
            '"crs": {"type": "name", "type": "link", "properties": {"name": "EPSG:4326"}},',
            "otherwise than by a name",
        ),
        ('"crs": {"type": "name", "properties": {"name": "EPSG:4326",,', "damaged"),
        ('"crs" /**/ : {"type": "link", "properties": {"href": "x"}},', "damaged"),
        ('"crs": "EPSG:3577",', "is the text 'EPSG:3577', which readers ignore"),
    ],
)
def test_a_crs_of_which_ogr_would_make_degrees(folder, member, reason):
    with pytest.raises(PlotError) as caught:
        read_vector(geojson(folder, member))
    assert reason in one_sentence(caught.value)


def test_a_crs_far_into_a_file_is_found(folder):
    member = f'"a": "{"x" * 200_000}", "crs": {{"type": "link", "properties": {{"href": "x"}}}},'
    with pytest.raises(PlotError, match="otherwise than by a name"):
        read_vector(geojson(folder, member))
