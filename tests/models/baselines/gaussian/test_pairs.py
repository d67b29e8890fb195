"""Compiled functions of pairs of plots against those of numpy, and the inverse by halves."""

import numpy as np
import pytest
from scipy.linalg import cholesky

from spatioformer.models.baselines.gaussian import kernel, likelihood
from spatioformer.models.baselines.gaussian.inverse import inverse_of
from spatioformer.models.baselines.gaussian.kernel import Hyperparameters, Inputs, covariance
from spatioformer.models.baselines.gaussian.likelihood import misfit
from tests.models.baselines.gaussian.plots import drawn, standard

pytest.importorskip("numba")

from spatioformer.models.baselines.gaussian import pairs

FEATURES = 3


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(kernel, "COMPILED_FROM", 0)


@pytest.fixture
def by_numpy(monkeypatch):
    """Calls a function without the compiled ones."""

    def call(function, *arguments, **named):
        with monkeypatch.context() as patched:
            patched.setattr(kernel, "COMPILED_FROM", np.inf)
            return function(*arguments, **named)

    return call


def without(fields: tuple[str, ...], effort: bool = False) -> Hyperparameters:
    found = drawn(FEATURES, seed=1, effort=effort)
    for position, value in found.held(fields, None).items():
        found.vector[position] = value
    return found


SETTINGS = [
    without(()),
    without((), effort=True),
    without(("place",)),
    without(("response",)),
    without(("local response",)),
    without(("place", "local response")),
    without(("response", "local response")),
]


@pytest.mark.parametrize("found", SETTINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 2e-7)])
def test_covariances_are_numpys(always, by_numpy, found, dtype, tolerance):
    inputs, _ = standard(70, FEATURES, effort=bool(found.effort))
    others, _ = standard(1100, FEATURES, seed=2, effort=bool(found.effort))  # more than a BLOCK
    inputs.places[5], inputs.features[5] = others.places[8], others.features[8]
    ours = covariance(inputs, others, found, dtype)
    theirs = by_numpy(covariance, inputs, others, found)
    assert ours.dtype == dtype
    # numpy's scaled distances have an error of 1e-8 where rows are equal, which counts squared.
    np.testing.assert_allclose(ours, theirs, atol=tolerance * theirs.max())
    assert not np.allclose(ours, by_numpy(covariance, inputs, others, drawn(FEATURES, seed=2)))


@pytest.mark.parametrize("found", SETTINGS)
@pytest.mark.parametrize("plots", [2, 90])
def test_misfit_and_gradient_are_numpys(always, by_numpy, found, plots):
    inputs, target = standard(plots, FEATURES, effort=bool(found.effort))
    inputs.places[0] = inputs.places[1]
    value, gradient = misfit(inputs, target, found)
    expected, slopes = by_numpy(misfit, inputs, target, found)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-10, atol=1e-10 * np.abs(slopes).max())


def test_few_plots_need_no_numba(monkeypatch):
    used = []
    monkeypatch.setattr(likelihood, "_misfit_by_numba", lambda *_: used.append("misfit"))
    monkeypatch.setattr(kernel, "_covariance_by_numba", lambda i, o, h, t: used.append("pairs"))
    monkeypatch.setattr(kernel, "_with_effort", lambda total, *_: total)
    inputs, target = standard(182, FEATURES)
    found = drawn(FEATURES, seed=1)
    misfit(inputs[:181], target[:181], found)  # 16,290 pairs
    covariance(inputs[:128], inputs[:127], found)
    assert used == []
    misfit(inputs, target, found)
    covariance(inputs[:128], inputs[:128], found)
    assert used == ["misfit", "pairs"]
    many = np.hstack([inputs.features] * 11)  # 33
    covariance(Inputs(many, inputs.places), Inputs(many, inputs.places), drawn(33, seed=1))
    assert len(used) == 2
    monkeypatch.setattr(kernel, "has_numba", lambda: False)
    misfit(inputs, target, found)
    covariance(inputs, inputs, found)
    assert len(used) == 2


def test_places_far_apart_have_no_covariance(always):
    inputs = Inputs(np.zeros((2, 1)), np.array([[0.0, 0, 0], [1e6, 0, 0]]))
    vector = Hyperparameters.usual(1).vector.copy()
    vector[1] = kernel.ABSENT
    matrix = covariance(inputs, inputs, Hyperparameters(vector, 1))
    assert matrix[0, 1] == pytest.approx(0, abs=1e-300)
    assert matrix[0, 0] == pytest.approx(0.6, rel=1e-15)


def test_the_exponential():
    x = -np.concatenate([np.linspace(0, 40, 4001), np.linspace(40, 700, 500), [0.0, 1e-300]])
    ours = np.array([pairs._exponential(value) for value in x])
    np.testing.assert_allclose(ours, np.exp(x), rtol=5e-16)
    assert pairs._exponential(-1e9) == pairs._exponential(-700.0)
    assert np.isnan(pairs._exponential(np.nan))


@pytest.mark.parametrize("count", [1, 64, 65, 130, 333])
def test_inverse_by_halves(count):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(count, count))
    matrix = root @ root.T + count * np.eye(count)
    factor = cholesky(matrix, lower=True)
    factor[np.triu_indices(count, 1)] = np.nan  # is not read
    before = factor.copy()
    inverse = np.tril(inverse_of(factor))
    np.testing.assert_allclose(inverse, np.tril(np.linalg.inv(matrix)), rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(factor, before)
