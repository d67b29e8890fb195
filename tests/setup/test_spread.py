"""Extent and spacing of plots: known answers."""

import numpy as np
import pytest

from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.evaluation.sizes import Tile
from spatioformer.setup.choices import shown_tile
from spatioformer.setup.spread import Spread, shown_km


def square(km: float, side: int, lat: float = 0.0, lon: float = 10.0) -> np.ndarray:
    """lon, lat (side^2, 2) of a square lattice of `km` x `km`."""
    steps = np.linspace(0, km / KM_PER_DEGREE, side)
    x, y = np.meshgrid(lon + steps / np.cos(np.radians(lat)), lat + steps)
    return np.column_stack([x.ravel(), y.ravel()])


def test_spread_of_a_lattice():
    spread = Spread.of(square(10, 11))
    assert spread.sites == 121
    assert spread.width_km == pytest.approx(10, rel=1e-3)
    assert spread.height_km == pytest.approx(10, rel=1e-3)
    assert spread.spacing_km == pytest.approx(1, rel=1e-3)
    assert str(spread) == "10 km x 10 km"


def test_repeated_visits_are_one_site():
    lonlat = np.repeat([[10.0, 50.0], [10.1, 50.0]], 5, axis=0)
    spread = Spread.of(lonlat)
    assert spread.sites == 2
    assert spread.spacing_km == pytest.approx(0.1 * KM_PER_DEGREE * np.cos(np.radians(50)), 1e-3)


def test_spread_across_180_degrees():
    spread = Spread.of(np.array([[179.0, -17.0], [-179.0, -17.0], [178.0, -16.0]]))
    assert spread.region == pytest.approx((178.0, -179.0, -17.0, -16.0))
    assert spread.crosses_180
    assert spread.width_km == pytest.approx(3 * KM_PER_DEGREE * np.cos(np.radians(16.5)), 1e-3)


def test_one_site_has_no_spacing():
    spread = Spread.of(np.array([[10.0, 50.0]]))
    assert (spread.sites, spread.spacing_km, spread.width_km) == (1, 0, 0)


def test_words():
    assert shown_tile(Tile(1, "degrees")) == "1 degree"
    assert shown_tile(Tile(0.5, "degrees")) == "0.5 degrees"
    assert shown_tile(Tile(0.2, "km")) == "0.2 km"
    assert [shown_km(km) for km in (0.0312, 3.64, 36.4, 3640)] == [
        *("31 m", "3.6 km", "36 km", "3,640 km")
    ]
