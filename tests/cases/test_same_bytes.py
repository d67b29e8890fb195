"""Two runs that write the same outputs write the same bytes; a full disk leaves nothing."""

import os
import re
import time

import geopandas as gpd
import pytest
from shapely import Point

from spatioformer.common.errors import OutputError
from spatioformer.geo.geopackage import write_geopackage
from tests.helpers.maps import disk_of, noise, small
from tests.helpers.tiny_run import Ended, half_written, spatioformer

pytestmark = pytest.mark.integration


def table(rows: int = 3) -> gpd.GeoDataFrame:
    points = [Point(140 + i / 7, -30) for i in range(rows)]
    return gpd.GeoDataFrame({"mean": range(rows)}, geometry=points, crs="EPSG:4326")


def test_geopackages_of_two_times_are_equal(tmp_path):
    for name in ("a", "b"):
        write_geopackage(table(), tmp_path / f"{name}.gpkg", "zones")
        time.sleep(0.01)
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()
    assert len(gpd.read_file(tmp_path / "a.gpkg")) == 3
    assert sorted(os.listdir(tmp_path)) == ["a.gpkg", "b.gpkg"]


@pytest.mark.parametrize("left", [0, 100, 4096, 50_000, 0.5, 0.999])
def test_a_disk_that_fills_up_while_a_geopackage_is_written(tmp_path, left):
    out = tmp_path / "zones.gpkg"
    write_geopackage(table(2000), out, "zones")
    before, size = out.read_bytes(), out.stat().st_size
    with disk_of(int(left * size) if left < 1 else left), pytest.raises(OutputError) as refused:
        write_geopackage(table(2000), out, "zones")
    assert re.fullmatch(
        rf"cannot write {out}(: no space left; free some space and run again|"
        r" \(.*\); check that the disk has space and the folder can be written)",
        str(refused.value),
    )
    assert out.read_bytes() == before
    assert os.listdir(tmp_path) == ["zones.gpkg"]


@pytest.mark.integration
def test_years_of_two_folders_are_equal(tmp_path):
    model = small().save(tmp_path / "model")
    words = [f"{year}={noise(tmp_path / f'{year}.tif', (40, 40))}" for year in (2001, 2002, 2003)]
    for name in ("a", "b"):
        ended = spatioformer("years", model, *words, "-o", tmp_path / name, "-q", "--samples", 0)
        assert ended == Ended(0, "", "")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    assert not half_written(tmp_path)
