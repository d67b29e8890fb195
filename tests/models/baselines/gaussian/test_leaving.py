"""Leave-block-out predictions in closed form against refits with the same hyperparameters."""

import numpy as np
import pytest
from scipy.stats import norm

from spatioformer.common.errors import ModelError
from spatioformer.models.baselines import GaussianProcess
from spatioformer.models.baselines.gaussian import posterior as module
from spatioformer.models.baselines.gaussian.kernel import JITTER, covariance
from spatioformer.models.baselines.gaussian.leaving import (
    LeftOut,
    leave_out_exact,
    leave_out_through,
    log_score,
    members,
)
from spatioformer.models.baselines.gaussian.posterior import exact, through_inducing
from tests.models.baselines.gaussian.plots import counts, drawn, standard


@pytest.fixture
def blocks() -> np.ndarray:
    return np.random.default_rng(5).choice(["a", "b", "c", "d", "alone"], 60, p=[0.24] * 4 + [0.04])


def test_exact_predictions_are_those_of_refits(blocks):
    inputs, target = standard(60, 3, effort=True)
    found = drawn(3, seed=1, effort=True)
    left_out = leave_out_exact(inputs, target, found, blocks)
    for name in np.unique(blocks):
        test, train = np.flatnonzero(blocks == name), np.flatnonzero(blocks != name)
        fitted = exact(inputs[train], target[train], found)
        shared = covariance(inputs[test], inputs[train], found)
        np.testing.assert_allclose(left_out.mean[test], shared @ fitted.weights, atol=1e-8)
        own = covariance(inputs[train], inputs[train], found) + found.noise * np.eye(len(train))
        variance = found.variance(inputs[test]) + found.noise
        variance -= np.sum(shared * np.linalg.solve(own, shared.T).T, axis=1)
        np.testing.assert_allclose(left_out.variance[test], variance, atol=1e-8)


def test_predictions_through_inducing_plots_are_those_of_refits(blocks, monkeypatch):
    """(K_uu + K_un K_nu / noise)^-1 of the plots that stay."""
    monkeypatch.setattr(module, "NOISE", np.inf)  # double precision
    inputs, target = standard(60, 3)
    found, chosen = drawn(3, seed=2), np.arange(0, 60, 4)
    left_out = leave_out_through(inputs, target, found, chosen, blocks)
    own = covariance(inputs[chosen], inputs[chosen], found) + JITTER * np.eye(15)
    for name in np.unique(blocks):
        test, train = np.flatnonzero(blocks == name), np.flatnonzero(blocks != name)
        known = covariance(inputs[chosen], inputs[train], found)
        new = covariance(inputs[test], inputs[chosen], found)
        posterior = np.linalg.inv(own + known @ known.T / found.noise)
        expected = new @ posterior @ known @ target[train] / found.noise
        np.testing.assert_allclose(left_out.mean[test], expected, atol=1e-8)
        variance = found.variance(inputs[test]) + found.noise
        variance -= np.sum(new * np.linalg.solve(own, new.T).T, axis=1)
        variance += np.sum(new * (new @ posterior), axis=1)
        np.testing.assert_allclose(left_out.variance[test], variance, atol=1e-8)


def test_all_plots_induced_is_nearly_exact(blocks):
    inputs, target = standard(60, 3)
    found = drawn(3, seed=3)
    one = leave_out_exact(inputs, target, found, blocks)
    other = leave_out_through(inputs, target, found, np.arange(60), blocks)
    np.testing.assert_allclose(other.mean, one.mean, atol=1e-4)
    np.testing.assert_allclose(other.variance, one.variance, atol=1e-4)


def test_variance_of_the_posterior_is_the_leave_out_variance(monkeypatch):
    """Of one more plot that nothing was fitted to, exactly and through inducing plots."""
    inputs, target = standard(61, 3)
    found, train, alone = drawn(3, seed=4), np.arange(60), np.array([60])
    block = np.arange(61)
    for left_out, fitted in (
        (leave_out_exact(inputs, target, found, block), exact(inputs[train], target[train], found)),
        (
            leave_out_through(inputs, target, found, train[::3], block),
            through_inducing(inputs[train], target[train], found, train[::3]),
        ),
    ):
        shared = covariance(inputs[alone], fitted.known, found)
        variance = found.variance(inputs[alone]) - np.sum((shared @ fitted.reduction) ** 2, axis=1)
        np.testing.assert_allclose(variance + found.noise, left_out.variance[alone], atol=1e-6)


def test_few_directions_hold_most_of_the_variance(monkeypatch):
    inputs, target = standard(200, 2)
    found = drawn(2, seed=0)
    shared = covariance(standard(50, 2, seed=1)[0], inputs, found)
    whole = np.sum((shared @ exact(inputs, target, found).reduction) ** 2, axis=1)
    monkeypatch.setattr(module, "RANK", 90)
    some = exact(inputs, target, found)
    assert some.reduction.shape == (200, 90)
    part = np.sum((shared @ some.reduction) ** 2, axis=1)
    assert (part <= whole + 1e-9).all()
    assert np.mean(whole - part) < 0.15 * found.noise


@pytest.mark.parametrize("inducing", [40, 4000])
def test_a_fitted_process_leaves_blocks_out_in_species(inducing):
    """The rows may come in any order; without noise in the blocks nothing else changes."""
    X, y = counts(90)
    block = (X[:, 2] // 2.5).astype(int)
    model = GaussianProcess(inducing=inducing, effort=0).fit(X, y)
    assert model.transform_ != "none"
    expected = model.leave_out(X, y, block)
    order = np.random.default_rng(0).permutation(90)
    shuffled = model.leave_out(X[order], y[order], block[order])
    np.testing.assert_allclose(shuffled, expected[order], rtol=1e-7)
    with pytest.raises(ModelError, match="these 89 plots are not those"):
        model.leave_out(X[1:], y[1:], block[1:])
    assert 0.5 < np.corrcoef(expected, y)[0, 1] < np.corrcoef(model.predict(X), y)[0, 1]


def test_log_score_is_the_normal_density():
    left_out = LeftOut(np.array([0.0, 1.0]), np.array([1.0, 4.0]))
    expected = norm.logpdf([0.5, -1.0], [0.0, 1.0], [1.0, 2.0])
    np.testing.assert_allclose(log_score(left_out, np.array([0.5, -1.0])), expected)


def test_members_of_blocks():
    parts = members(np.array(["b", "a", "b", "c"]))
    assert [part.tolist() for part in parts] == [[1], [0, 2], [3]]
