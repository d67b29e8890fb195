"""Estimates of what is read, against counts by hand."""

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest
from pyproj import Transformer

from spatioformer.archives.collections import collection_of
from spatioformer.archives.items import Asset, Item
from spatioformer.archives.plan import Amount, Places, amounts
from tests.helpers.catalogues import source

DAY = datetime(2020, 3, 1, tzinfo=UTC)
LANDSAT = collection_of(source())
RED, NIR = LANDSAT.bands[2:4]
SQUARE = Item(
    "a",
    "landsat-c2-l2",
    DAY,
    DAY,
    (12, 40, 16, 44),
    {"red": Asset("red.tif"), "nir": Asset("nir.tif")},
    crs="EPSG:32633",
    transform=(10.0, 0.0, 400000.0, 0.0, -10.0, 4700000.0),
    shape=(2048, 1024),
)
ALL = (0, 30, 30, 50)


def test_all_of_a_file():
    whole, near = amounts([SQUARE, SQUARE], (RED, NIR), ALL)
    assert whole == Amount(2 * 2 * 2048 * 1024, 2 * 2 * 2048 * 1024 * 2, exact=False)
    assert near == Amount()


def test_part_of_a_file():
    # The middle of the file is x = 405120, and meridians are nearly upright there.
    lon, _ = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(
        405120, 4690000
    )
    placed = dataclasses.replace(SQUARE, bbox=(13.79, 42.26, 13.91, 42.45))
    whole, _ = amounts([placed], (RED,), (0, lon, 30, 50))
    assert whole.pixels == pytest.approx(2048 * 512, rel=0.03)


def test_files_whose_length_is_stated():
    stated = dataclasses.replace(
        SQUARE, assets={"red": Asset("red.tif", size=1000), "nir": Asset("nir.tif", size=500)}
    )
    assert amounts([stated], (RED, NIR), ALL)[0] == Amount(2 * 2048 * 1024, 1500, exact=True)
    one = dataclasses.replace(
        SQUARE, assets={"red": Asset("a.tif", 1, size=1000), "nir": Asset("a.tif", 2, size=1000)}
    )
    assert amounts([one], (RED, NIR), ALL)[0].bytes == 1000


def test_coarser_bands_have_fewer_pixels():
    coarse = dataclasses.replace(SQUARE, assets={"red": Asset("red.tif", pixel=20.0)})
    assert amounts([coarse], (RED,), ALL)[0].pixels == 1024 * 512


def test_blocks_of_plots():
    back = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    # Two plots in the first block, one in the last, one outside.
    x = np.array([400015, 405000, 410230, 395000.0])
    y = np.array([4699985, 4695000, 4679535, 4690000.0])
    plots = Places(*back.transform(x, y))
    _, near = amounts([SQUARE], (RED,), ALL, plots)
    assert near == Amount(2 * 512**2, 2 * 512**2 * 2, exact=False)
    half = dataclasses.replace(SQUARE, assets={"red": Asset("red.tif", size=800)})
    assert amounts([half], (RED,), ALL, plots)[1].bytes == 800 * 2 / 8


def test_items_without_a_grid():
    bare = dataclasses.replace(SQUARE, crs=None, transform=None, shape=None, bbox=(10, 0, 11, 1))
    whole, near = amounts([bare], (RED,), (10, 10.5, -10, 10), Places(*np.array([[10.2], [0.5]])))
    assert whole.pixels == pytest.approx((111_320 / 30) ** 2 / 2, rel=0.01)
    assert near.pixels == pytest.approx(512**2)
    strange = dataclasses.replace(bare, crs="no:crs", transform=SQUARE.transform, shape=(1, 1))
    assert amounts([strange], (RED,), (10, 10.5, -10, 10))[0] == whole


def test_across_the_antimeridian():
    bare = dataclasses.replace(
        SQUARE, crs=None, transform=None, shape=None, bbox=(179.5, -1, -179.5, 0)
    )
    whole, _ = amounts([bare], (RED,), (179, -179, -10, 10))
    assert whole.pixels == pytest.approx((111_320 / 30) ** 2, rel=0.01)
    half, _ = amounts([bare], (RED,), (179, 180, -10, 10))
    assert half.pixels == pytest.approx(whole.pixels / 2)
