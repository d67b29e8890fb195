"""Arrays as they travel to the page."""

import base64

import numpy as np
import pytest

from spatioformer.viewer.explorer.packing import STEPS, packed, packed_floats, unpacked


def test_by_hand():
    entry = packed([[0.0, 1.0], [np.nan, 2.0]])
    assert entry["shape"] == [2, 2]
    assert (entry["scale"], entry["offset"]) == (2 / STEPS, 0.0)
    numbers = np.frombuffer(base64.b64decode(entry["data"]), "<u2")
    assert numbers.tolist() == [0, STEPS // 2, 65535, STEPS]


def test_round_trip():
    values = np.random.default_rng(0).normal(5, 100, (3, 4, 5))
    values[1, 2, 3] = np.nan
    entry = packed(values)
    back = unpacked(entry)
    assert np.isnan(back[1, 2, 3])
    np.testing.assert_allclose(back, values, atol=entry["scale"] / 2 * 1.001, equal_nan=True)


@pytest.mark.parametrize("values", [[3.5, 3.5], [np.nan, np.nan], []])
def test_without_a_range(values):
    np.testing.assert_array_equal(unpacked(packed(values)), values)


def test_floats_are_exact():
    values = np.float32([[1.1, -2.25e20, np.nan]])
    np.testing.assert_array_equal(unpacked(packed_floats(values)), values)
