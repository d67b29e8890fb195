"""Outlines: the countries of plots, files of polygons, and the pixels inside."""

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from shapely.geometry import LineString, Point, Polygon, box

from spatioformer.common.earth import MEAN_RADIUS_KM, arc, unit_vectors
from spatioformer.common.errors import PlotError
from spatioformer.geo.grid import Grid
from spatioformer.geo.outline import (
    Outline,
    auto_outline,
    on_globe,
    pixel_km,
    read_outline,
    require_plots,
    widened,
)

CANBERRA, CAIRNS, PORT_MORESBY, DARU = (149.1, -35.3), (145.7, -17.0), (147.2, -9.3), (143.0, -8.9)


def layer(path: Path, *shapes, crs: str | None = "EPSG:4326", **options) -> Path:
    gpd.GeoDataFrame(geometry=list(shapes), crs=crs).to_file(path, **options)
    return path


def auto(*places, **options) -> Outline:
    return auto_outline(*np.array(places).T, **options)


def test_the_countries_of_the_plots():
    outline = auto(CANBERRA, CAIRNS)
    assert outline.facts["countries"] == ["Australia"]
    inside = [CANBERRA, (131, -25), (147.3, -42.8), (142.2, -10.6)]  # Tasmania, Torres Strait
    assert outline.holds(*np.array(inside).T).all()
    outside = [PORT_MORESBY, DARU, (124.5, -9.5), (150, -45), (115, -20)]  # Timor, the sea
    assert not outline.holds(*np.array(outside).T).any()
    west, east, south, north = outline.region
    assert 112 < west < 114
    assert 158 < east < 160
    assert -55 < south < -54
    assert -10 < north < -9


def test_several_countries_are_joined_without_a_gap():
    both = auto((-8, 39.5), (-4, 40))
    assert both.facts["countries"] == ["Portugal", "Spain"]
    assert both.holds([-7.0, -6.95, -7.5], [38.5, 41.0, 37.5]).all()
    assert not both.holds([2.3], [48.8]).any()


def test_coasts_are_widened_and_borders_are_not():
    """By the larger of a pixel and the accuracy of the coast, 10 km."""
    for margin, km in ((0.0, 10.0), (40.0, 40.0)):
        outline = auto((-8, 39.5), margin_km=margin)
        assert outline.facts["margin_km"] == km
        at_sea = np.linspace(-9.6, -8.7, 400)  # off Leiria, where the coast runs north and south
        held = outline.holds(at_sea, np.full(400, 39.85))
        west = at_sea[held].min()
        plain = at_sea[shapely.intersects_xy(outline_of("Portugal"), at_sea, 39.85)].min()
        across = (plain - west) * 111.195 * np.cos(np.radians(39.85))
        assert km - 1 <= across <= 1.1 * km + 1
    spain = outline.holds(np.linspace(-6.8, -5, 50), np.full(50, 40.0))
    assert not spain.any()


def outline_of(name: str):
    from spatioformer.geo.land.countries import outline_of as of

    return of([name])


def test_a_plot_in_the_sea_keeps_its_surroundings_and_is_named():
    """100 km off Brisbane; and one so near a coast that it counts to the country."""
    outline = auto(CANBERRA, (154.6, -27.0))
    assert outline.facts["plots_in_no_country"] == 1
    assert outline.holds([154.6, 155.0], [-27.0, -27.0]).all()
    assert not outline.holds([155.2, 154.6], [-27.0, -27.6]).any()
    note = outline.notes[-1]
    assert note.startswith("1 of 2 plots lie in no country of the bundled outlines, up to ")
    assert "km from the nearest coast (Australia; lon 154.600, lat -27.000)" in note
    near = auto((147.45, -42.9))  # in the bay of Hobart
    assert near.facts == {"countries": ["Australia"], "margin_km": 10.0, "plots_in_no_country": 0}


def test_surroundings_hold_no_land_of_other_countries():
    outline = auto(CANBERRA, (142.3, -9.55))  # in the strait, 40 km from New Guinea
    held = outline.holds([142.3, 142.3], [-9.5, -9.12])
    assert held.tolist() == [True, False]


def test_plots_in_no_country_at_all_set_no_limit():
    outline = auto((-30.0, 0.0), (-31.0, 1.0))
    assert outline.holds([149.1, 0], [-35.3, 0]).all()
    assert outline.notes == (
        "none of the 2 plots lies in a country, so the outline limits nothing",
    )


def test_a_country_over_the_antimeridian():
    outline = auto((178.4, -18.0))
    assert outline.holds([178.4, -179.97, 179.99], [-18.0, -16.83, -16.8]).all()
    west, east, south, north = outline.region
    assert 174 < west < 175
    assert -179 < east < -177
    assert south < north
    grid = Grid(CRS.from_epsg(32760), Affine(1000, 0, 5e5, 0, -1000, 8.25e6), 420, 400)
    assert_pixelwise(outline, grid)


def assert_pixelwise(outline: Outline, grid: Grid) -> None:
    """Windows agree with the test of each pixel centre, and both kinds of pixel occur."""
    held = np.zeros(grid.shape, bool)
    for window in grid.windows(64):
        rows = slice(window.row_off, window.row_off + window.height)
        cols = slice(window.col_off, window.col_off + window.width)
        held[rows, cols] = outline.inside(window, grid)
    lon, lat = grid.lonlat(*np.mgrid[: grid.height, : grid.width])
    np.testing.assert_array_equal(held, outline.holds(lon, lat))
    assert 0 < held.mean() < 1


@pytest.mark.parametrize(
    "grid",
    [
        Grid(CRS.from_epsg(4326), Affine(0.05, 0, 141, 0, -0.05, -8), 200, 300),
        Grid(CRS.from_epsg(4326), Affine(0.5, 0, 0, 0, -0.5, 90), 360, 720),  # 0 to 360
        Grid(CRS.from_epsg(3577), Affine(9e3, 1e3, 6e5, 1e3, -9e3, -9e5), 150, 200),  # rotated
        Grid(CRS.from_epsg(3031), Affine(5e4, 0, -6e6, 0, -5e4, 6e6), 240, 240),  # the pole
    ],
    ids=["degrees", "world", "albers", "pole"],
)
def test_pixels(grid):
    assert_pixelwise(auto(CANBERRA, (10, -80)), grid)


def test_widened_by_kilometres_at_every_latitude():
    for lat in (0.0, 45.0, 70.0):
        around = shapely.union_all(list(widened(box(10, lat, 10.5, lat + 0.5), 20.0)))
        west, south, *_ = around.bounds
        middle, edge = unit_vectors([10.0, west], [lat + 0.25] * 2)
        km = float(arc(np.linalg.norm(edge - middle) * MEAN_RADIUS_KM, MEAN_RADIUS_KM))
        assert 19.9 < km < 22
        assert (lat - south) * 111.195 == pytest.approx(20, abs=0.1)


def test_longitudes_of_any_turn():
    shape = on_globe(box(170, 0, 200, 10))
    assert shape.area == pytest.approx(300)
    assert shape.bounds == (-180, 0, 180, 10)
    assert on_globe(box(350, 0, 370, 10)).bounds == (-10, 0, 10, 10)


def test_region_over_the_antimeridian():
    """Also where no polygon touches it; round the whole Earth it is no arc."""
    apart = Outline(shapely.union_all([box(170, 0, 175, 9), box(-178, 2, -170, 11)]), "a")
    assert apart.region == (170, -170, 0, 11)
    assert Outline(on_globe(box(170, 0, 200, 10)), "b").region == (170, -160, 0, 10)
    assert Outline(box(-100, 0, 100, 10), "c").region == (-100, 100, 0, 10)
    assert Outline(box(-180, 0, 180, 10), "d").region == (-180, 180, 0, 10)


def test_side_of_a_pixel():
    grid = Grid(CRS.from_epsg(4326), Affine(0.1, 0, 10, 0, -0.1, 60.05), 1, 1)
    assert pixel_km(grid) == pytest.approx(11.12, abs=0.02)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3577"])
@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".shp"])
def test_a_file_in_any_crs(tmp_path, crs, ending):
    if ending == ".geojson" and crs != "EPSG:4326":
        pytest.skip("GeoJSON is in degrees")
    shapes = gpd.GeoSeries([box(140, -30, 145, -25), box(144, -30, 150, -25)], crs="EPSG:4326")
    shapes = gpd.GeoSeries(shapely.segmentize(shapes.to_numpy(), 0.1), crs=4326).to_crs(crs)
    path = layer(tmp_path / f"park{ending}", *shapes, crs=crs)
    outline = read_outline(path)
    assert outline.region == pytest.approx((140, 150, -30, -25), abs=0.01)
    assert outline.holds([141, 144.5, 149], [-26, -27, -29]).all()
    assert not outline.holds([139.9, 150.1], [-26, -26]).any()
    assert outline.facts == {"file": path.name}


def test_a_file_in_metres_over_the_antimeridian(tmp_path):
    fiji = gpd.GeoSeries([box(177, -19, 182, -16)], crs="EPSG:4326").to_crs("EPSG:3832")
    outline = read_outline(layer(tmp_path / "fiji.gpkg", *fiji, crs="EPSG:3832"))
    assert outline.holds([177.5, -179.0], [-17, -17]).all()
    assert not outline.holds([0.0, 176.0, -177.0], [-17, -17, -17]).any()


@pytest.mark.parametrize(
    ("shapes", "crs", "sentence"),
    [
        ([box(0, 0, 1, 1)], None, "has no coordinate reference system; write one into the file"),
        ([], "EPSG:4326", "holds no polygon; give a layer of polygons"),
        ([Point(1, 1)], "EPSG:4326", "holds a Point (row 1) instead of a polygon; give a layer"),
        ([LineString([(0, 0), (1, 1)])], "EPSG:4326", "holds a LineString (row 1) instead of"),
        ([Polygon()], "EPSG:4326", "holds no polygon with an area; give a layer of polygons"),
        (
            [box(600_000, 7_000_000, 700_000, 7_100_000)],
            "EPSG:4326",
            "reaches W, E, S, N = 600000, 700000, 7e+06, 7.1e+06, which are no degrees of",
        ),
    ],
)
def test_a_file_that_is_no_outline_is_refused(tmp_path, shapes, crs, sentence):
    path = tmp_path / "a.gpkg"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without a CRS, or without a row
        gpd.GeoDataFrame(geometry=shapes, crs=crs).to_file(path)
    with pytest.raises(PlotError) as error:
        read_outline(path)
    assert str(error.value).startswith(f"{path} ")
    assert sentence in str(error.value)


def test_a_file_of_several_layers_is_refused(tmp_path):
    path = layer(tmp_path / "a.gpkg", box(0, 0, 1, 1), layer="one")
    layer(path, box(0, 0, 2, 2), layer="two")
    with pytest.raises(PlotError, match="has the layers 'one', 'two', and an outline is one layer"):
        read_outline(path)


def test_an_outline_and_the_plots():
    outline = Outline(box(140, -30, 150, -25), "park.gpkg")
    assert require_plots(outline, [141, 142], [-26, -26]) is None
    assert require_plots(outline, [141, 139, 142], [-26] * 3) == (
        "1 of 3 plots lie outside the outline park.gpkg; models learn from them, but their "
        "surroundings are not mapped"
    )
    with pytest.raises(PlotError) as error:
        require_plots(outline, [10.0, 11.0], [50.0, 50.0])
    assert str(error.value) == (
        "none of the 2 plots lies inside the outline park.gpkg (first: lon 10, lat 50; outline "
        "W, E, S, N = [140.0, 150.0, -30.0, -25.0]); give the outline of the plots' area, or "
        "correct its CRS"
    )
