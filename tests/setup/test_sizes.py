"""Sizes of tiles from extent and spacing: known answers, and the folds that they must make."""

import numpy as np
import pytest

from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.setup.sizes import Size, Spread, curve_sizes, shown_km, size_of, tile_size


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
    assert (spread.sites, spread.spacing_km, spread.side_km) == (1, 0, 0)
    assert tile_size(np.array([[10.0, 50.0]]), spread, 5) is None


@pytest.mark.parametrize(
    ("km", "lat", "size"),
    [
        (0.29, 0, Size(0.3, "km")),
        (3.6 / 12, 45, Size(0.3, "km")),
        (13, 0, Size(10, "km")),
        (45, 0, Size(50, "km")),
        (111, 0, Size(1, "degrees")),
        (111, 65, Size(100, "km")),
        (400, 0, Size(3, "degrees")),
    ],
)
def test_sizes_are_round(km, lat, size):
    assert size_of(km, lat) == size


def test_a_local_study_has_sizes_in_km():
    lonlat = square(3.6, 10, lat=-9)
    size = tile_size(lonlat, Spread.of(lonlat), 5)
    assert size.unit == "km"
    assert 0.2 <= size.value <= 1
    assert size.tiles(lonlat) >= 20


def test_a_continent_has_sizes_in_degrees():
    rng = np.random.default_rng(0)
    lonlat = np.column_stack([rng.uniform(115, 150, 400), rng.uniform(-38, -12, 400)])
    size = tile_size(lonlat, Spread.of(lonlat), 5)
    assert size == Size(2, "degrees")


@pytest.mark.parametrize("seed", range(6))
def test_tiles_always_make_the_folds(seed):
    """Of any plots: uniform, clustered, a transect, from 30 m to a continent."""
    rng = np.random.default_rng(seed)
    n, extent = int(rng.integers(20, 300)), 10.0 ** rng.uniform(-4, 1.3)
    centres = rng.uniform(0, extent, (int(rng.integers(1, 20)), 2))
    lonlat = centres[rng.integers(0, len(centres), n)] + rng.normal(0, extent / 20, (n, 2))
    lonlat[:, 1] *= rng.choice([1, 0.01])
    lonlat += [rng.uniform(-170, 150), rng.uniform(-60, 40)]
    size = tile_size(lonlat, Spread.of(lonlat), 5)
    if size is not None:
        folds = SpatialBlockKFold(5, size=size.value, unit=size.unit).assign(lonlat)
        assert len(np.unique(folds)) == 5
        for other in curve_sizes(lonlat, size, 5):
            assert other.tiles(lonlat) >= 10


def test_two_clusters_make_no_tiles():
    lonlat = np.repeat([[0.0, 0.0], [10.0, 0.0]], 10, axis=0)
    assert tile_size(lonlat, Spread.of(lonlat), 5) is None


def test_words():
    assert str(Size(1, "degrees")) == "1 degree"
    assert str(Size(0.3, "km")) == "0.3 km"
    assert Size(0.3, "km").degrees == pytest.approx(0.0027)
    assert Size(2, "degrees").degrees == 2
    assert [shown_km(km) for km in (0.0312, 3.64, 36.4, 3640)] == [
        *("31 m", "3.6 km", "36 km", "3,640 km")
    ]
