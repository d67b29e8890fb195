"""The bundled countries: places that are known, shapes that hold, lines that add up."""

import hashlib

import numpy as np
import pytest
import shapely
from pyproj import Geod

from spatioformer.geo.land import store
from spatioformer.geo.land.countries import (
    borders,
    coastlines,
    countries_of,
    land,
    nearest_countries,
    outline_of,
)

PLACES = {
    (149.1, -35.3): "Australia",
    (147.2, -9.3): "Papua New Guinea",
    (178.44, -18.0): "Fiji",  # west of the antimeridian
    (-179.97, -16.83): "Fiji",  # Taveuni, east of it
    (-175, 66.5): "Russia",  # Chukotka
    (179.5, 71.2): "Russia",  # Wrangel Island, on both sides
    (-179.5, 71.2): "Russia",
    (540.5 - 360, 71.2): "Russia",  # degrees of another turn
    (28.3, -29.6): "Lesotho",  # a hole in South Africa
    (12.46, 43.94): "San Marino",
    (10, -89.9): "Antarctica",
    (-109.35, -27.12): "Chile",  # Easter Island
    (158.87, -54.6): "Australia",  # Macquarie Island, of 1:10 million
    (150, -45): "",
    (0, 90): "",
}


def test_countries_of_known_places():
    lon, lat = np.array(list(PLACES)).T
    assert countries_of(lon, lat).tolist() == list(PLACES.values())


def test_the_antimeridian_is_no_gap():
    assert countries_of([180, -180], [67.5, 67.5]).tolist() == ["Russia", "Russia"]


@pytest.mark.parametrize(
    ("name", "million_km2"),
    # Areas of the CIA World Factbook; of Antarctica without its ice shelves.
    [
        ("Australia", 7.69),
        ("Fiji", 0.0183),
        ("Lesotho", 0.0304),
        ("New Zealand", 0.268),
        ("Russia", 17.0),
        ("Antarctica", 12.3),
    ],
)
def test_areas(name, million_km2):
    shape = shapely.orient_polygons(outline_of([name]))
    area = abs(Geod(ellps="WGS84").geometry_area_perimeter(shape)[0]) / 1e12
    assert area == pytest.approx(million_km2, rel=0.03)


def test_shapes_are_valid_and_apart():
    held = store.load()
    assert held.names == sorted(set(held.names))
    assert shapely.is_valid(held.shapes).all()
    assert shapely.area(held.shapes).sum() == pytest.approx(land().area, rel=1e-5)
    west, south, east, north = shapely.total_bounds(held.shapes)
    assert (west, east, south) == (-180, 180, -90)
    assert 83 < north < 84


def test_distance_to_the_nearest_country():
    """A degree north of the northernmost point of Iceland's coast is open sea."""
    shore = shapely.get_coordinates(outline_of(["Iceland"]))
    lon, lat = shore[shore[:, 1].argmax()]
    names, km = nearest_countries([lon], [lat + 1])
    assert names.tolist() == ["Iceland"]
    assert km[0] == pytest.approx(111.195, abs=1.5)


def test_borders_and_coasts_are_the_edges_of_all_countries():
    """A border has land on both sides and is drawn once; the cut at 180 degrees is no coast."""
    lines = shapely.multilinestrings([shapely.LineString(line) for line in borders()])
    portugal = outline_of(["Portugal"])
    with_spain = portugal.boundary.intersection(outline_of(["Spain"]))
    assert lines.intersection(portugal).length == pytest.approx(with_spain.length, rel=1e-6)
    assert not any((np.abs(line[:, 0]) == 180).all() for line in coastlines())
    middles = shapely.points([line[:2].mean(axis=0) for line in coastlines()])
    assert shapely.distance(middles, land().boundary).max() < 1e-9


def test_countries_are_dissolved():
    both = outline_of(["Portugal", "Spain"])
    apart = outline_of(["Portugal"]).length + outline_of(["Spain"]).length
    assert apart - both.length == pytest.approx(2 * 10, abs=4)  # the border is gone, twice


def test_the_file_is_the_one_that_was_checked(tmp_path):
    """A change of it changes stages of runs, so `store.SHA256` must change with it."""
    assert hashlib.sha256(store.FILE.read_bytes()).hexdigest() == store.SHA256
    assert store.FILE.stat().st_size < 600_000
    assert "Natural Earth" in store.FILE.with_name("LICENSE.txt").read_text(encoding="utf-8")


def test_packed_countries_are_read_back(tmp_path, monkeypatch):
    """With a hole, and steps too long for 16 bits."""
    ring = shapely.Polygon([(-90_000, 0), (90_000, 0), (90_000, 40), (-90_000, 40)])
    holed = ring.difference(shapely.box(5, 5, 9, 9))
    countries = store.Countries(
        ["a", "b"],
        [shapely.MultiPolygon([holed]), shapely.MultiPolygon([shapely.box(0, 50, 4, 60)])],
    )
    store.pack(countries, tmp_path / "c.npz")
    monkeypatch.setattr(store, "FILE", tmp_path / "c.npz")
    held = store.load.__wrapped__()
    assert held.names == ["a", "b"]
    for shape, packed in zip(held.shapes, countries.shapes, strict=True):
        scaled = shapely.transform(packed, lambda xy: xy * store.STEP)
        assert shapely.equals_exact(shapely.normalize(shape), shapely.normalize(scaled), 1e-9)
