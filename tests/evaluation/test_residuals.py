"""Range of the residuals' correlation: known fields, no correlation, too few plots."""

import numpy as np
import pytest

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation.residuals import held_out_residuals, residual_range, sample

KM = 111.195


def field(places: np.ndarray, e_folding_km: float, seed: int) -> np.ndarray:
    """A Gaussian field with covariance exp(-d / e-folding distance) near the equator."""
    apart = np.linalg.norm(places[:, None] - places, axis=-1) * KM
    factor = np.linalg.cholesky(np.exp(-apart / e_folding_km) + 1e-9 * np.eye(len(places)))
    return factor @ np.random.default_rng(seed).normal(size=len(places))


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 10, (800, 2))


@pytest.mark.parametrize("e_folding", [20.0, 80.0])
def test_the_range_of_a_known_field(places, e_folding):
    ranges = [
        residual_range(places, np.empty((800, 0)), field(places, e_folding, seed), seed)
        for seed in range(3)
    ]
    assert np.median(ranges) == pytest.approx(e_folding * np.log(10), rel=0.6)


def test_what_covariates_explain_has_no_range(places):
    climate = field(places, 300.0, 1)
    noise = np.random.default_rng(0).normal(size=800)
    target = climate**2 - climate + noise
    assert residual_range(places, climate[:, None], target) < 40
    assert residual_range(places, np.empty((800, 0)), target) > 100


def test_no_range_without_plots_or_differences(places):
    assert np.isnan(residual_range(places[:29], np.zeros((29, 1)), np.arange(29.0)))
    assert np.isnan(residual_range(places, np.zeros((800, 1)), np.full(800, 7.0)))
    with pytest.raises(EvaluationError, match="are of different plots"):
        residual_range(places, np.zeros((799, 1)), np.arange(800.0))


def test_the_same_seed_gives_the_same_range(places):
    target = field(places, 50.0, 2)
    assert residual_range(places, places, target, 4) == residual_range(places, places, target, 4)


def test_a_quadratic_response_is_fitted_and_held_out():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 2))
    target = 3 * x[:, 0] ** 2 - x[:, 1] + 5
    residuals = held_out_residuals(x, target, np.arange(300) % 5)
    assert np.sqrt(np.mean(residuals**2)) < 0.05 * target.std()
    alone = held_out_residuals(np.empty((4, 0)), np.array([1.0, 2, 3, 6]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(alone, [1 - 4.5, 2 - 4.5, 3 - 1.5, 6 - 1.5])


def test_large_tables_are_sampled():
    rows = sample(20_000, 1)
    assert len(rows) == len(set(rows.tolist())) == 5000
    assert (np.diff(rows) > 0).all()
    assert sample(7, 0).tolist() == list(range(7))
