"""The Earth's size, and points on a sphere: known places, and one home for each constant."""

import re
from pathlib import Path

import numpy as np
import pytest

import spatioformer
from spatioformer.common import earth

PACKAGE = Path(spatioformer.__file__).parent


def test_unit_vectors_of_known_places():
    lon, lat = [0, 90, -180, 12], [0, 0, 0, 90]
    np.testing.assert_allclose(
        earth.unit_vectors(lon, lat), [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-15
    )
    assert earth.unit_vectors(np.zeros((2, 5)), np.zeros((2, 5))).shape == (2, 5, 3)


@pytest.mark.parametrize("radius", [earth.MEAN_RADIUS_KM, earth.S2_RADIUS_M])
def test_points_on_a_sphere_are_its_radius_from_the_centre(radius):
    rng = np.random.default_rng(0)
    lonlat = np.column_stack([rng.uniform(-180, 180, 99), rng.uniform(-90, 90, 99)])
    points = earth.on_sphere(lonlat, radius)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), radius, rtol=1e-15)
    np.testing.assert_array_equal(points, radius * earth.unit_vectors(*lonlat.T))


@pytest.mark.parametrize("degrees", [1e-6, 1.0, 90.0, 179.0, 180.0])
def test_chord_and_arc_undo_each_other(degrees):
    ground = np.radians(degrees) * earth.S2_RADIUS_M
    a, b = earth.on_sphere(np.array([[0.0, 0.0], [degrees, 0.0]]), earth.S2_RADIUS_M)
    through = earth.chord(ground, earth.S2_RADIUS_M)
    assert through == pytest.approx(np.linalg.norm(a - b), rel=1e-9)
    assert earth.arc(through, earth.S2_RADIUS_M) == pytest.approx(ground, rel=1e-7)


def test_a_way_longer_than_half_round_the_earth():
    assert earth.chord(99.0, 1.0) == 2


def test_degrees_of_latitude():
    assert pytest.approx(np.radians(1) * earth.MEAN_RADIUS_KM, abs=5e-4) == earth.KM_PER_DEGREE
    assert pytest.approx(np.radians(1) * 6371.010, rel=1e-15) == earth.S2_KM_PER_DEGREE


def test_the_constants_stand_nowhere_else():
    figures = re.compile(r"(?<![\d.])637[18][\d_.]|6_37[18]|111\.19|111_19|0\.00669")
    elsewhere = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "common" / "earth.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if figures.search(line)
    ]
    assert elsewhere == []
