"""Covariance, likelihood and search against scikit-learn's process and numerical slopes."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    DotProduct,
    Kernel,
    Matern,
    Product,
    WhiteKernel,
)

from spatioformer.models.baselines.gaussian import search
from spatioformer.models.baselines.gaussian.kernel import (
    Hyperparameters,
    Inputs,
    covariance,
    stretch,
)
from spatioformer.models.baselines.gaussian.likelihood import misfit
from spatioformer.models.baselines.gaussian.search import likeliest
from tests.models.baselines.gaussian.plots import drawn, standard


class On(Kernel):
    """A kernel that sees some of the columns only."""

    def __init__(self, kernel, columns):
        self.kernel, self.columns = kernel, columns

    def __call__(self, X, Y=None, eval_gradient=False):
        return self.kernel(X[:, self.columns], None if Y is None else Y[:, self.columns])

    def diag(self, X):
        return self.kernel.diag(X[:, self.columns])

    def is_stationary(self):
        return False


def oracle(found: Hyperparameters) -> GaussianProcessRegressor:
    """scikit-learn's process of the columns of `columns_of`."""
    features = found.features
    seen, place, area = [*range(features)], [*range(features, features + 3)], [features + 3]
    a, (r_1, r_3), (l_2, l_3) = found.variances, found.ranges, found.lengths
    kernel = (
        On(ConstantKernel(a[0]) * Matern(r_1, nu=0.5), place)
        + On(ConstantKernel(a[1]) * Matern(l_2, nu=2.5), seen)
        + Product(
            On(ConstantKernel(a[2]) * Matern(l_3, nu=2.5), seen), On(Matern(r_3, nu=0.5), place)
        )
        + WhiteKernel(found.noise)
    )
    if found.effort:
        shape = DotProduct(0, sigma_0_bounds="fixed") + Matern(1.0, nu=2.5)
        kernel += On(ConstantKernel(found.effort) * shape, area)
    return GaussianProcessRegressor(kernel, alpha=0, optimizer=None)


def columns_of(inputs: Inputs, found: Hyperparameters) -> np.ndarray:
    """Columns of the oracle: features, stretched places, area."""
    area = np.zeros(len(inputs)) if inputs.effort is None else inputs.effort
    return np.column_stack([inputs.features, found.stretched(inputs.places), area])


@pytest.mark.parametrize("effort", [False, True])
def test_likelihood_is_scikit_learns(effort):
    inputs, target = standard(40, 3, effort=effort)
    found = drawn(3, seed=1, effort=effort)
    theirs = oracle(found).fit(columns_of(inputs, found), target)
    constant = len(target) / 2 * np.log(2 * np.pi)
    value = misfit(inputs, target, found)[0]
    assert value + constant == pytest.approx(-theirs.log_marginal_likelihood_value_, rel=1e-11)


@pytest.mark.parametrize("effort", [False, True])
def test_gradient_is_the_slope(effort):
    inputs, target = standard(40, 3, effort=effort)
    inputs.places[5] = inputs.places[6]  # two plots at one place
    found = drawn(3, seed=2, effort=effort)
    slope = misfit(inputs, target, found)[1]
    steps = 1e-5 * np.eye(len(found.vector))
    ends = [
        [misfit(inputs, target, Hyperparameters(v, 3))[0] for v in found.vector + s * steps]
        for s in (1, -1)
    ]
    np.testing.assert_allclose(slope, np.subtract(*ends) / 2e-5, rtol=1e-6, atol=1e-7)


def test_the_search_ends_where_nothing_is_likelier():
    """With next to no prior the gradient is gone; a heavy one keeps what is usual."""
    inputs, _ = standard(60, 2)
    field = covariance(inputs, inputs, drawn(2, seed=3))
    target = np.linalg.cholesky(field + 0.3 * np.eye(60)) @ np.random.default_rng(4).normal(size=60)
    usual = Hyperparameters.usual(2)
    free = likeliest([(inputs, target)], prior=0.01)
    assert misfit(inputs, target, free)[0] < misfit(inputs, target, usual)[0]
    offset = (free.vector - usual.vector) / usual.prior_sd**2
    pull = misfit(inputs, target, free)[1] + 0.01 * offset
    assert np.abs(pull).max() < 0.1
    held = likeliest([(inputs, target)], prior=1e6)
    np.testing.assert_allclose(held.vector, usual.vector, atol=1e-4)


@pytest.mark.parametrize(("tilt", "ends"), [(4, [-1, -1]), (2, [-1, 1])])
def test_of_several_starts_the_likeliest_goes_on(tilt, ends, monkeypatch):
    """A loss with two minima along the first range; one that is 4 better does not replace one."""

    def two_valleys(inputs, target, found):
        x, slope = found.vector[4], np.zeros(len(found.vector))
        slope[4] = 80 * x * (x**2 - 1) + tilt
        return 20 * (x**2 - 1) ** 2 + tilt * x, slope

    monkeypatch.setattr(search, "misfit", two_valleys)
    group, usual = standard(5, 2), Hyperparameters.usual(2)
    starts = [Hyperparameters(usual.vector.copy(), 2) for _ in range(2)]
    starts[0].vector[4], starts[1].vector[4] = -0.8, 0.5
    found = [likeliest([group], 1e-6, order).vector[4] for order in (starts, starts[::-1])]
    np.testing.assert_allclose(found, ends, atol=0.04)


def test_misfits_of_groups_add_up():
    parts = [(inputs[rows], target[rows]) for inputs, target in [standard(60, 2)]
             for rows in (np.arange(30), np.arange(30, 60))]  # fmt: skip
    apart = likeliest(parts, prior=1.0)
    usual = Hyperparameters.usual(2)
    slopes = sum(misfit(*part, apart)[1] for part in parts)
    expected = (usual.vector - apart.vector) / usual.prior_sd**2
    np.testing.assert_allclose(slopes, expected, atol=0.1)


def test_a_stretch_is_an_exponential():
    """Its inverse undoes it, its area is 1, and twice the numbers are the matrix twice."""
    once = stretch(0.3, -0.2)
    np.testing.assert_allclose(once @ stretch(-0.3, 0.2), np.eye(3), atol=1e-12)
    assert np.linalg.det(once[:2, :2]) == pytest.approx(1)
    np.testing.assert_allclose(once @ once, stretch(0.6, -0.4), rtol=1e-12)
    np.testing.assert_array_equal(stretch(0.0, 0.0), np.eye(3))


def test_a_field_of_long_ranges_along_one_direction_is_stretched():
    """Ranges are four times longer from south-west to north-east than across."""
    rng = np.random.default_rng(0)
    places = np.column_stack([rng.uniform(-1.5, 1.5, (300, 2)), np.zeros(300)])
    inputs = Inputs(rng.normal(size=(300, 1)), places)
    made = Hyperparameters.usual(1).vector.copy()
    made[0], made[1:4] = np.log(1.0), np.log(0.01)
    made[-1] = -np.log(2)
    field = covariance(inputs, inputs, Hyperparameters(made, 1)) + 0.01 * np.eye(300)
    found = likeliest([(inputs, np.linalg.cholesky(field) @ rng.normal(size=300))], prior=1.0)
    east, diagonal = found.anisotropy
    assert diagonal == pytest.approx(-np.log(2), abs=0.25)
    assert abs(east) < 0.2
