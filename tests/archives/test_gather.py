"""Sums round places: numpy and numba agree to the last bit, and with values worked out by hand."""

import numpy as np
import pytest

from spatioformer.archives.gather import plain

compiled = pytest.importorskip("spatioformer.archives.gather.compiled")
BOTH = pytest.mark.parametrize("gather", [plain, compiled], ids=["numpy", "numba"])


def raster(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, 40, 50)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    return values


def places(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Places inside, at the edges, outside, and none."""
    rng = np.random.default_rng(seed)
    u = np.round(rng.uniform(-4, 54, (60, 70)) * 2**20) / 2**20
    v = np.round(rng.uniform(-4, 44, (60, 70)) * 2**20) / 2**20
    u[0, :5] = v[0, :5] = np.nan
    u[1, :8], v[1, :8] = [0, 0.5, 1, 49, 49.5, 50, -0.5, 25.5], 20.5
    return u, v


@pytest.mark.parametrize("name", ["nearest", "bilinear"])
def test_points_agree_bit_for_bit(name):
    arguments = raster(), *places()
    a, b = getattr(plain, name)(*arguments), getattr(compiled, name)(*arguments)
    assert a.dtype == b.dtype == np.float32
    np.testing.assert_array_equal(a, b)
    assert 0.3 < np.isfinite(a).mean() < 0.9


@pytest.mark.parametrize("size", [(1.0, 1.0), (1.75, 2.5), (4.0, 4.0), (7.3125, 3.25)])
def test_means_agree_bit_for_bit(size):
    width, height = size
    arguments = raster(), *places(), width, height, 0.5 * width * height
    a, b = plain.average(*arguments), compiled.average(*arguments)
    np.testing.assert_array_equal(a, b)
    assert np.isfinite(a).any()


@BOTH
def test_a_mean_over_a_rectangle_is_its_integral(gather):
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    u, v = np.array([[2.0]]), np.array([[1.5]])
    out = gather.average(values, u, v, 3.0, 1.0, 1.5)  # row 1, from column 0.5 to 3.5
    assert out[0, 0, 0] == pytest.approx((0.5 * 4 + 5 + 6 + 0.5 * 7) / 3)
    values[0, 1, 1] = np.nan
    out = gather.average(values, u, v, 3.0, 1.0, 1.5)
    assert out[0, 0, 0] == pytest.approx((0.5 * 4 + 6 + 0.5 * 7) / 2)
    assert np.isnan(gather.average(values, u, v, 3.0, 1.0, 2.5)[0, 0, 0])


@BOTH
def test_between_pixels_weights_are_distances_and_the_nearest_decides(gather):
    values = np.array([[[1, 2], [3, np.nan]]], np.float32)
    u, v = np.array([[0.75, 1.25, 1.25]]), np.array([[0.75, 1.25, 0.75]])
    out = gather.bilinear(values, u, v)[0, 0]
    weights = np.array([0.75 * 0.75, 0.25 * 0.75, 0.75 * 0.25])
    assert out[0] == pytest.approx(weights @ [1, 2, 3] / weights.sum())
    assert np.isnan(out[1])  # it lies in the pixel without a value
    assert out[2] == pytest.approx((0.25 * 0.75 * 1 + 0.75 * 0.75 * 2 + 0.25 * 0.25 * 3)
                                   / (0.25 * 0.75 + 0.75 * 0.75 + 0.25 * 0.25))  # fmt: skip


@BOTH
def test_the_middle_of_a_pixel_is_its_own_value(gather):
    values = raster(3)
    v, u = np.mgrid[:40, :50] + 0.5
    for out in (gather.nearest(values, u, v), gather.bilinear(values, u, v)):
        np.testing.assert_array_equal(out, values)
