"""Normal scores of features with heavy tails, alone and in the models that need them."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from spatioformer.models.baselines import GaussianProcess, NormalScores
from spatioformer.models.baselines.tails import HEAVY, KNOTS
from spatioformer.models.skops_file import canonical, open_regressor


def skewed(n: int = 200, seed: int = 0) -> np.ndarray:
    return np.exp(1.5 * np.random.default_rng(seed).normal(size=n))


def table(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A skewed feature, a plain one, places; counts follow the logarithm of the first."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [skewed(n, seed), rng.normal(size=n), rng.uniform(115, 125, n), rng.uniform(-30, -20, n)]
    )
    return X, rng.poisson(np.exp(2.5 + 0.5 * np.log(X[:, 0]) / 1.5 + 0.2 * X[:, 1])).astype(float)


def test_scores_are_normal_quantiles_of_ranks() -> None:
    values = np.array([0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1e6])[:, None]
    scores = NormalScores().fit(values).transform(values)[:, 0]
    expected = norm.ppf([6.5 / 16, 13.5 / 16, 14.5 / 16, 15.5 / 16])
    np.testing.assert_allclose(scores[12:], expected, atol=1e-12)


def test_scores_of_many_values_are_interpolated() -> None:
    values = skewed(1001)[:, None]
    scaler = NormalScores().fit(values)
    scores = scaler.transform(values)[:, 0]
    ranks = np.argsort(np.argsort(values[:, 0]))
    assert np.abs(scores - norm.ppf((ranks + 0.5) / 1001)).mean() < 0.03
    assert (np.diff(scores[np.argsort(values[:, 0])]) >= 0).all()
    assert scaler.values_.shape == scaler.scores_.shape == (1, KNOTS)
    assert scaler.transform(np.array([[1e9], [-1e9]]))[:, 0].tolist() == [
        scores.max(),
        scores.min(),
    ]


def test_only_heavy_tails_are_replaced() -> None:
    rng = np.random.default_rng(0)
    rare = (rng.uniform(size=500) < 0.01).astype(float)  # kurtosis of about 100, two values
    X = np.column_stack([skewed(500), rng.normal(size=500), rng.uniform(size=500), rare])
    scaler = NormalScores().fit(X)
    assert scaler.columns_.tolist() == [0]
    np.testing.assert_array_equal(scaler.transform(X)[:, 1:], X[:, 1:])
    assert NormalScores([0]).fit(X).transform(X) is X
    assert np.mean((X[:, 0] - X[:, 0].mean()) ** 4) > HEAVY * X[:, 0].var() ** 2


def test_gaps_stay_and_huge_values_do_not_overflow() -> None:
    values = np.append(np.arange(50.0), [np.nan, 1e300])[:, None]
    scores = NormalScores().fit(values).transform(values)[:, 0]
    assert np.isnan(scores[50])
    assert np.isfinite(np.delete(scores, 50)).all()
    assert not len(NormalScores().fit(np.full((5, 1), np.nan)).columns_)


def test_a_process_sees_through_a_wrong_value_and_a_logarithm() -> None:
    (X, y), (X_new, y_new) = table(150, 1), table(300, 2)
    X[7, 0] = 1e6

    def r2(tails: bool) -> float:
        known, new = X.copy(), X_new.copy()
        if not tails:  # what a user would do by hand
            known[:, 0], new[:, 0] = (np.log(np.minimum(X[:, 0], 40)) for X in (X, X_new))
        model = GaussianProcess().fit(known, y)
        return float(1 - np.mean((model.predict(new) - y_new) ** 2) / y_new.var())

    assert r2(tails=True) > 0.55
    assert r2(tails=True) > r2(tails=False) - 0.05


def test_area_and_embeddings_keep_their_values() -> None:
    X = table(60, 3)[0]
    X[7, 0] = 1e6

    def scored(**settings: Any) -> list[int]:
        return GaussianProcess(**settings)._scores(X).columns_.tolist()

    assert scored() == scored(shares=[0, 1]) == [0]
    assert scored(effort=0) == scored(shares=[0, 0]) == []


def test_scores_are_left_where_the_response_is_linear() -> None:
    """A response that is the feature, of Student's t distribution with 2 degrees of freedom."""
    X, rng = table(200, 5)[0], np.random.default_rng(6)
    X[:, 0] = rng.standard_t(2, 200)
    y = 3 * X[:, 0] + 0.5 * rng.normal(size=200)
    assert len(NormalScores().fit(X[:, :-2]).columns_) == 1
    model = GaussianProcess(counts=False).fit(X, y)
    assert model.tails_ is None
    assert GaussianProcess(counts=False).fit_like(model, X, y).tails_ is None


def test_a_saved_process_keeps_its_scores(tmp_path: Path) -> None:
    X, y = table(60, 4)
    model = GaussianProcess().fit(X, y)
    (tmp_path / "model.skops").write_bytes(canonical(model))
    again = open_regressor(tmp_path / "model.skops", X.shape[1])
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
