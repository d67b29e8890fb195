"""Products of the inducing plots' covariances with all plots, in single and double precision."""

from typing import Literal

import numpy as np
import pytest

from spatioformer.models.baselines.gaussian import posterior
from spatioformer.models.baselines.gaussian.kernel import (
    ABSENT,
    JITTER,
    Hyperparameters,
    Inputs,
    covariance,
)
from tests.models.baselines.gaussian.plots import drawn, standard


def with_noise(found: Hyperparameters, noise: float) -> Hyperparameters:
    vector = found.vector.copy()
    vector[3] = np.log(noise)
    return Hyperparameters(vector, found.features)


def smooth(features: int) -> Hyperparameters:
    """Long lengths and no field of place: the worst condition of the inducing plots."""
    vector = Hyperparameters.usual(features).vector
    vector[[0, 2]] = ABSENT
    vector[6 : 6 + 2 * features] += 1.5
    return Hyperparameters(vector, features)


def visits(n: int, features: int) -> tuple[Inputs, np.ndarray]:
    """Each place and its features 20 times; a response with noise."""
    inputs, noise = standard(n // 20, features)[0], np.random.default_rng(1).normal(size=n)
    inputs = inputs[np.arange(n) % (n // 20)]
    return inputs, np.sin(inputs.features[:, 0]) + 0.3 * noise


def predicted(
    monkeypatch: pytest.MonkeyPatch,
    precision: Literal["single", "double"],
    inputs: Inputs,
    target: np.ndarray,
    found: Hyperparameters,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and reduction of the variance, at other places."""
    monkeypatch.setattr(posterior, "NOISE", 0.0 if precision == "single" else np.inf)
    fitted = posterior.through_inducing(inputs, target, found, np.arange(0, len(target), 6))
    new = standard(100, inputs.features.shape[1], seed=9, effort=inputs.effort is not None)[0]
    shared = covariance(new, fitted.known, found)
    return shared @ fitted.weights, np.sum((shared @ fitted.reduction) ** 2, axis=1)


def test_normal_equations_are_those_of_the_inverse(monkeypatch):
    """L^-1 K_un K_nu L^-T + noise, in double precision; single differs by its rounding."""
    inputs, target = standard(300, 3, effort=True)
    found = drawn(3, seed=1, effort=True)
    inducing = inputs[np.arange(0, 300, 6)]
    factor = np.linalg.cholesky(covariance(inducing, inducing, found) + JITTER * np.eye(50))
    white = np.linalg.solve(factor, covariance(inducing, inputs, found))
    for noise, tolerance in ((np.inf, 1e-10), (0.0, 1e-4)):
        monkeypatch.setattr(posterior, "NOISE", noise)
        got = posterior.normal_equations(inputs, target, found, inducing)
        np.testing.assert_allclose(got[0], factor, atol=1e-10)
        np.testing.assert_allclose(got[1], white @ white.T + found.noise * np.eye(50), rtol=0,
                                   atol=tolerance * len(target))  # fmt: skip
        np.testing.assert_allclose(got[2], white @ target, rtol=0, atol=tolerance * len(target))
        np.testing.assert_array_equal(got[1], got[1].T)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("kind", ["drawn", "smooth"])
def test_single_precision_moves_predictions_little(kind, repeated, monkeypatch):
    """Also at the smallest noise of single precision, and with plots that coincide."""
    inputs, target = visits(1200, 5) if repeated else standard(1200, 5, effort=True)
    effort = inputs.effort is not None
    found = drawn(5, seed=2, effort=effort) if kind == "drawn" else smooth(5)
    found = with_noise(found, posterior.NOISE)
    single, double = (
        predicted(monkeypatch, precision, inputs, target, found)
        for precision in ("single", "double")
    )
    assert 0 < np.abs(single[0] - double[0]).max() < 0.01
    assert np.abs(single[1] - double[1]).max() < 1e-4


def test_with_little_noise_products_are_in_double_precision(monkeypatch):
    inputs, target = standard(300, 3)
    for noise, same in ((0.9 * posterior.NOISE, True), (1.1 * posterior.NOISE, False)):
        found = with_noise(drawn(3, seed=3), noise)
        usual = posterior.normal_equations(inputs, target, found, inputs[:50])[1]
        with monkeypatch.context() as patch:
            patch.setattr(posterior, "NOISE", np.inf)
            double = posterior.normal_equations(inputs, target, found, inputs[:50])[1]
        assert np.array_equal(usual, double) == same
