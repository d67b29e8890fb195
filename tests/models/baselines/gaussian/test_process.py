"""The Gaussian process of place and imagery: scikit-learn's in float64, gradients, known fields."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, Product, WhiteKernel

from spatioformer.models.baselines import GaussianProcess, random_forest
from spatioformer.models.baselines import gaussian as module
from spatioformer.models.baselines.gaussian import (
    JITTER,
    Hyperparameters,
    distances,
    fields,
    likeliest,
    misfit,
)


class On(Kernel):
    """A kernel that sees some of the columns only."""

    def __init__(self, kernel, columns):
        self.kernel, self.columns = kernel, columns

    def __call__(self, X, Y=None, eval_gradient=False):
        return self.kernel(X[:, self.columns], None if Y is None else Y[:, self.columns])

    def diag(self, X):
        return self.kernel.diag(X[:, self.columns])

    def is_stationary(self):
        return True


def drawn(features: int, seed: int) -> Hyperparameters:
    """Not the usual ones, so that no two numbers of them are alike."""
    usual = Hyperparameters.usual(features).vector
    return Hyperparameters(usual + 0.4 * np.random.default_rng(seed).normal(size=len(usual)))


def oracle(found: Hyperparameters, features: int) -> GaussianProcessRegressor:
    seen, place = list(range(features)), list(range(features, features + 3))
    a, (r_1, r_3), (l_2, l_3) = found.variances, found.ranges, found.lengths
    kernel = (
        On(ConstantKernel(a[0]) * Matern(r_1, nu=0.5), place)
        + On(ConstantKernel(a[1]) * Matern(l_2, nu=2.5), seen)
        + Product(
            On(ConstantKernel(a[2]) * Matern(l_3, nu=2.5), seen), On(Matern(r_3, nu=0.5), place)
        )
        + WhiteKernel(found.noise)
    )
    return GaussianProcessRegressor(kernel, alpha=0, optimizer=None)


def standard(n: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, features)), rng.normal(size=(n, 3)), rng.normal(size=n)


def table(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features, lon, lat; what the first means turns round from west to east."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=(n, 2)), rng.uniform(120, 150, n), rng.uniform(-40, 0, n)])
    return X, 30 + 6 * X[:, 0] * (X[:, 2] - 135) / 15 + rng.normal(size=n)


def test_likelihood_is_scikit_learns():
    features, places, target = standard(40, 3)
    found = drawn(3, seed=1)
    theirs = oracle(found, 3).fit(np.hstack([features, places]), target)
    constant = len(target) / 2 * np.log(2 * np.pi)
    value = misfit(features, places, target, found)[0]
    assert value + constant == pytest.approx(-theirs.log_marginal_likelihood_value_, rel=1e-11)


def test_gradient_is_the_slope():
    features, places, target = standard(40, 3)
    found = drawn(3, seed=2)
    slope = misfit(features, places, target, found)[1]
    steps = 1e-5 * np.eye(len(found.vector))
    ends = [
        [misfit(features, places, target, Hyperparameters(v))[0] for v in found.vector + s * steps]
        for s in (1, -1)
    ]
    np.testing.assert_allclose(slope, np.subtract(*ends) / 2e-5, rtol=1e-6, atol=1e-7)


def test_prediction_is_scikit_learns():
    X, y = table(80)
    other = table(30, seed=1)[0]
    ours = GaussianProcess().fit(X, y)
    seen = np.hstack(ours._standardised(X))
    theirs = oracle(Hyperparameters(ours.found_), 2).fit(seen, (y - y.mean()) / y.std())
    expected = y.mean() + y.std() * theirs.predict(np.hstack(ours._standardised(other)))
    np.testing.assert_allclose(ours.predict(other), expected, rtol=1e-9)


def test_the_search_ends_where_nothing_is_likelier():
    """With next to no prior the gradient is gone; a heavy one keeps what is usual."""
    features, places, _ = standard(60, 2)
    found = drawn(2, seed=3)
    field = sum(fields(*distances(features, places, features, places, found), found))
    target = np.linalg.cholesky(field + 0.3 * np.eye(60)) @ np.random.default_rng(4).normal(size=60)
    usual = Hyperparameters.usual(2)
    free = likeliest([(features, places, target)], prior=0.01)
    assert misfit(features, places, target, free)[0] < misfit(features, places, target, usual)[0]
    pull = misfit(features, places, target, free)[1] + 0.01 * (free.vector - usual.vector)
    assert np.abs(pull).max() < 0.05
    held = likeliest([(features, places, target)], prior=1e6)
    np.testing.assert_allclose(held.vector, usual.vector, atol=1e-4)


def test_an_answer_that_changes_with_place_needs_the_product():
    """What no forest of 300 plots learns, nor the process once its product is taken away."""
    X, y = table(400)
    train, test = np.arange(400) < 300, np.arange(400) >= 300
    model = GaussianProcess().fit(X[train], y[train])

    def missed(predicted):
        return np.mean((predicted - y[test]) ** 2) / np.var(y[test])

    assert missed(model.predict(X[test])) < 0.2
    forest = random_forest(0).set_params(n_estimators=50).fit(X[train], y[train])
    assert missed(forest.predict(X[test])) > 0.3
    model.found_[2] = -20.0
    model._solve(model._standardised(X[train]), (y[train] - model.mean_) / model.sd_, None)
    assert missed(model.predict(X[test])) > 0.5


def test_of_many_plots_groups_are_judged(monkeypatch):
    """Scattered and near, none of them all; and their misfits add up."""
    X, y = table(400)
    monkeypatch.setattr(module, "WHOLE", 399)
    monkeypatch.setattr(module, "GROUP", 40)
    whole, places = GaussianProcess(), GaussianProcess().fit(X, y).places_
    groups = module._groups(places, np.random.default_rng(0))
    assert [len(set(rows)) for rows in groups] == [40] * 12
    spread = [np.sqrt(np.sum(np.var(places[rows], axis=0))) for rows in groups]
    assert max(spread[:6]) < 0.5 < 0.8 < min(spread[6:])
    some = whole.fit(X, y).predict(X)
    monkeypatch.undo()
    every = GaussianProcess().fit(X, y).predict(X)
    assert 0 < np.mean((some - every) ** 2) / np.var(y) < 0.05
    parts = [tuple(part[rows] for part in standard(60, 2)) for rows in (range(30), range(30, 60))]
    apart = likeliest(parts, prior=1.0)
    usual = Hyperparameters.usual(2)
    slopes = sum(misfit(*part, apart)[1] for part in parts)
    np.testing.assert_allclose(slopes, usual.vector - apart.vector, atol=0.05)


def test_far_from_all_plots_it_says_the_mean():
    X, y = table(60)
    far = X[:5].copy()
    far[:, :2] += 1e4
    far[:, 2:] = [-60.0, 60.0]
    model = GaussianProcess().fit(X, y)
    model.found_[4:6] = np.log(0.05)
    np.testing.assert_allclose(model.predict(far), y.mean(), atol=1e-6)


def test_many_plots_teach_through_some():
    """Inducing all but one plot differs little from all; a third is better than a third alone."""
    X, y = table(150)
    new, truth = table(200, seed=1)
    exact = GaussianProcess().fit(X, y)
    error = {}
    for count in (149, 50):
        some = GaussianProcess(inducing=count).fit(X, y)
        np.testing.assert_array_equal(some.found_, exact.found_)
        assert len(some.weights_) == count
        error[count] = np.abs(some.predict(new) - exact.predict(new)).max() / y.std()
    assert error[149] < 0.05 < error[50]
    few = GaussianProcess().fit(X[:50], y[:50])
    assert np.mean((some.predict(new) - truth) ** 2) < np.mean((few.predict(new) - truth) ** 2)


def test_inducing_weights_are_the_equations():
    """(K_mn K_nm + noise K_mm)^-1 K_mn y: Rasmussen & Williams 2006, eq. 8.14."""
    X, y = table(50)
    model = GaussianProcess(inducing=12).fit(X, y)
    seen, known = model._standardised(X), (model.features_, model.places_)
    own = model._covariance(known, known) + JITTER * np.eye(12)
    shared = model._covariance(known, seen)
    noise = Hyperparameters(model.found_).noise
    target = (y - y.mean()) / y.std()
    expected = np.linalg.solve(shared @ shared.T + noise * own, shared @ target)
    np.testing.assert_allclose(model.weights_, expected, rtol=1e-6)


def test_chunks_do_not_show(monkeypatch):
    X, y = table(90)
    whole = [GaussianProcess(inducing=n).fit(X, y) for n in (30, 90)]
    monkeypatch.setattr(module, "CHUNK", 7 * 30)
    monkeypatch.setattr(module, "BLOCK", 7 * 30)
    for model in whole:
        again = GaussianProcess(inducing=model.inducing).fit(X, y)
        np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-9)


def test_plots_that_coincide_columns_that_are_constant_and_one_plot():
    X, y = table(30)
    X = np.hstack([np.ones((30, 1)), X])
    X, y = np.vstack([X, X[:5]]), np.append(y, y[:5] + 2)
    assert np.isfinite(GaussianProcess().fit(X, y).predict(X)).all()
    alone = GaussianProcess().fit(X[:1], y[:1])
    np.testing.assert_array_equal(alone.predict(X[:3]), np.full(3, y[0]))


def test_units_and_the_seam_of_longitude_do_not_matter():
    X, y = table(60)
    X[:, 2] += 45  # 165 to 195 degrees
    expected = GaussianProcess().fit(X, y).predict(X)
    other = X * [1000, 1, 1, 1] + [5, 0, 0, 0]
    other[:, 2] = np.where(X[:, 2] > 180, X[:, 2] - 360, X[:, 2])
    np.testing.assert_allclose(GaussianProcess().fit(other, y).predict(other), expected, rtol=1e-6)


def test_an_unknown_feature_is_taken_for_the_mean_of_the_known_ones():
    X, y = table(80)
    holes = np.random.default_rng(1).random((80, 2)) < 0.3
    told, filled = X.copy(), X.copy()
    told[:, :2][holes] = np.nan
    known = np.nanmean(told[:, :2], axis=0)
    filled[:, :2] = np.where(holes, known, X[:, :2])
    process = GaussianProcess().fit(told, y)
    np.testing.assert_allclose(process.centre_, known, rtol=1e-12)
    np.testing.assert_allclose(process.scale_, np.nanstd(told[:, :2], axis=0), rtol=1e-12)
    np.testing.assert_allclose(process.predict(told), process.predict(filled), rtol=1e-9)
    nothing = told.copy()
    nothing[:, 1] = np.nan
    alone = GaussianProcess().fit(nothing, y).predict(nothing)
    assert np.isfinite(alone).all()
    assert np.corrcoef(alone, y)[0, 1] > 0.8
