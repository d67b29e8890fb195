"""Vector files whose CRS is none of the Earth are refused in one sentence, wherever they are read.

The message says the same for the outline of a map, the access of a survey and polygons of `zonal`.
"""

import re
import sqlite3
from pathlib import Path

import geopandas as gpd
import pytest
from rasterio.transform import from_origin
from shapely.geometry import box

from spatioformer.common.errors import ImageryError, PlotError
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.vector.access import read_access
from spatioformer.geo.vector.zones import named_polygons, read_polygons
from spatioformer.mapping.source import open_outline

GRID = Grid(LONLAT, from_origin(140, -20, 0.1, 0.1), 10, 10)
FAULTS = [
    ('LOCAL_CS["Undefined Cartesian SRS",UNIT["Meter",1]]', "is undefined"),
    ('LOCAL_CS["my grid",UNIT["Meter",1]]', "is neither geographic nor projected"),
    ("EPSG:4978", "is neither geographic nor projected"),
    ("IAU_2015:30100", "is of another celestial body than the Earth"),
    ("+proj=longlat +R=3396190 +no_defs", "is of another celestial body than the Earth"),
    ("+proj=airy", "has no inverse, so that its coordinates have no longitude and latitude"),
]
READERS = {
    "outline": (lambda path: open_outline(path, GRID), ImageryError),
    "near": (lambda path: read_access(near=path, within=1.0), PlotError),
    "exclude": (lambda path: read_access(exclude=path), PlotError),
    "zonal": (read_polygons, PlotError),
}


def squares(crs: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"n": [1]}, geometry=[box(140.2, -20.8, 140.7, -20.3)], crs=crs)


def refused(reader: str, path: Path, reason: str) -> None:
    read, kind = READERS[reader]
    with pytest.raises(kind) as error:
        read(path)
    assert re.fullmatch(
        rf"the coordinate reference system of {re.escape(str(path))} \([^\n]+\) {reason}; write "
        "the right one into the file, for example with ogr2ogr -a_srs EPSG:4326",
        str(error.value),
    ), str(error.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("crs", "reason"), FAULTS)
def test_geoparquet(tmp_path, reader, crs, reason):
    path = tmp_path / "a.parquet"
    squares(crs).to_parquet(path)
    refused(reader, path, reason)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("number", [-1, 0])
def test_geopackages_without_a_reference_system(tmp_path, reader, number):
    """The reference systems -1 and 0 of GeoPackages mean undefined."""
    path = tmp_path / "a.gpkg"
    squares("EPSG:4326").to_file(path, layer="a")
    with sqlite3.connect(path) as base:
        for table in ("gpkg_contents", "gpkg_geometry_columns"):
            base.execute(f"UPDATE {table} SET srs_id = ?", (number,))
    base.close()
    refused(reader, path, "is undefined")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3577", "EPSG:4283"])
def test_systems_of_the_earth(tmp_path, reader, crs):
    path = tmp_path / "a.gpkg"
    squares("EPSG:4326").to_crs(crs).to_file(path)
    assert READERS[reader][0](path) is not None


def test_tables_in_memory():
    with pytest.raises(PlotError, match="is of another celestial body than the Earth"):
        named_polygons(squares("IAU_2015:30100"))
