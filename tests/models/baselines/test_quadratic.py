"""Ridge regression on features and their squares."""

import numpy as np
import pytest

from spatioformer.models.baselines.quadratic import QuadraticRidge, _normal


def plots(n=120, seed=0):
    """Two features, lon, lat; a response that is quadratic in the first, with negative values."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.uniform(-2, 2, (n, 2)), rng.uniform(0, 10, (n, 2))])
    return X, 3 * X[:, 0] ** 2 - 2 * X[:, 1] - 4 + 0.1 * rng.normal(size=n)


def test_it_learns_a_quadratic_response():
    X, y = plots(240)
    model = QuadraticRidge().fit(X[:160], y[:160], np.arange(160) // 4)
    assert (model.transform_, model.penalty_) == ("none", 1.0)
    assert np.mean((model.predict(X[160:]) - y[160:]) ** 2) < 0.02 * np.var(y)


@pytest.mark.parametrize("size", [1, 3, 40], ids=["single plots", "small blocks", "large blocks"])
def test_plots_left_out_are_those_of_refits(size):
    X, y = plots()
    block = np.arange(120) // size
    model = QuadraticRidge().fit(X, y, block)
    left_out = model.leave_out_each(X, y, [block])[:, 0]
    design = model._design(X)
    for number in range(3):
        rest = block != number
        weights = np.linalg.solve(_normal(design[rest], model.penalty_), design[rest].T @ y[rest])
        expected = np.clip(design[~rest] @ weights, y.min(), y.max())
        np.testing.assert_allclose(left_out[~rest], expected, rtol=1e-8)


def test_counts_are_fitted_as_square_roots_and_stay_in_their_range():
    X, _ = plots()
    counts = np.rint(np.exp(0.5 * X[:, 0] + 2))
    model = QuadraticRidge().fit(X, counts, np.arange(120))
    assert model.transform_ == "square-root"
    assert QuadraticRidge(counts=False).fit(X, counts, np.arange(120)).transform_ == "none"
    X[0, 0] = np.nan
    predictions = model.predict(X * 100)
    assert counts.min() <= predictions.min() <= predictions.max() <= counts.max()
