"""Baselines: known answers, agreement with scikit-learn, and what they must not see."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import ModelError
from spatioformer.config.learning import MODELS
from spatioformer.evaluation.correlation import apart, correlation, log_likelihood
from spatioformer.models.baselines import (
    TABULAR,
    ForestKriging,
    Kriging,
    chip_statistics,
    random_forest,
)
from spatioformer.models.baselines import kriging as kriging_module
from spatioformer.models.baselines.order import in_canonical_order

LOCATION_ONLY = {"location-knn"}


def places(n: int, seed: int = 0, degrees: float = 5.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(140, 140 + degrees, n), rng.uniform(-30, -25, n)])


def field(lonlat: np.ndarray, range_km: float, seed: int = 0) -> np.ndarray:
    """A draw from the process without noise, variance 1."""
    factor = np.linalg.cholesky(correlation(apart(on_sphere(lonlat)), range_km, 1e-9))
    return factor @ np.random.default_rng(seed).normal(size=len(lonlat))


def table(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, 4), lon and lat last, and counts that follow the first of them."""
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.normal(size=(n, 2)), places(n, seed)])
    return X, 20 + 5 * X[:, 0] + rng.normal(size=n)


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABULAR)
def test_every_baseline_is_a_regressor_of_its_seed(name, monkeypatch):
    monkeypatch.setattr("spatioformer.models.baselines.tuned_forest.TREES_OF_PART", (2, 2))
    X, y = table(300)
    model = TABULAR[name](3)
    few = {"n_estimators": 50, "steps": 20}
    fewer = {key: few[end] for key in model.get_params() for end in few if key.endswith(end)}
    predicted = model.set_params(**fewer).fit(X[:200], y[:200]).predict(X[200:])
    again = clone(model).fit(X[:200], y[:200]).predict(X[200:])
    np.testing.assert_array_equal(predicted, again)
    assert predicted.shape == (100,)
    error = np.mean((predicted - y[200:]) ** 2) / np.var(y[200:])
    assert (error < 0.35) == (name not in LOCATION_ONLY)


def test_a_run_knows_every_baseline_by_name():
    assert set(TABULAR) < set(MODELS)


def test_location_knn_sees_nothing_else():
    X, y = table(100)
    other = X.copy()
    other[:, :2] = 7.0
    knn = TABULAR["location-knn"](0)
    np.testing.assert_array_equal(knn.fit(X, y).predict(X), knn.fit(other, y).predict(other))


def test_without_lightgbm_its_name_asks_for_the_extra(monkeypatch):
    monkeypatch.setattr("spatioformer.models.baselines.trees.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'spatioformer\[boost\]'"):
        TABULAR["lightgbm"](0)


def test_chip_statistics_of_a_chip_known_by_heart():
    chips = np.arange(9.0, dtype=np.float32).reshape(1, 3, 3, 1)
    lon, lat = np.meshgrid([10.0, 11, 12], [3.0, 2, 1])
    row = chip_statistics(chips, lon[None], lat[None])
    np.testing.assert_allclose(row, [[4, 4, np.sqrt(60 / 9), 11, 2]], rtol=1e-7)
    single = chip_statistics(chips[:, 1:2, 1:2], lon[None, 1:2, 1:2], lat[None, 1:2, 1:2])
    np.testing.assert_array_equal(single, [[4, 11, 2]])


# --- kriging --------------------------------------------------------------------------------------


def test_kriging_goes_through_the_data_without_a_nugget():
    X = places(50)
    y = field(X, 200.0)
    kriging = Kriging(range_km=200.0, nugget_share=0.0).fit(X, y)
    np.testing.assert_allclose(kriging.predict(X), y, rtol=1e-9, atol=1e-9)
    noisy = Kriging(range_km=200.0, nugget_share=0.3).fit(X, y)
    assert np.abs(noisy.predict(X) - y).max() > 0.1


def test_kriging_is_the_gaussian_process():
    X, targets = places(60), places(30, seed=1)
    y = field(X, 150.0)
    sill, nugget = 3.0, 1.0
    kernel = ConstantKernel(sill) * Matern(150.0, nu=0.5) + WhiteKernel(nugget)
    oracle = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(on_sphere(X), y)
    ours = Kriging(range_km=150.0, nugget_share=nugget / (sill + nugget)).fit(X, y)
    theirs = oracle.predict(on_sphere(targets))
    assert np.abs(ours.predict(targets) - theirs).max() <= 1e-12 * np.abs(theirs).max()
    # The likelihood too, up to the constant, at the variance that is best for the kernel's shape.
    white = np.linalg.solve(
        np.linalg.cholesky(correlation(apart(on_sphere(X)), 150.0, 0.25)), y[:, None]
    )
    best = np.mean(white**2)
    scaled = ConstantKernel(0.75 * best) * Matern(150.0, nu=0.5) + WhiteKernel(0.25 * best)
    oracle = GaussianProcessRegressor(scaled, alpha=0, optimizer=None).fit(on_sphere(X), y)
    constant = -len(y) / 2 * (1 + np.log(2 * np.pi))
    ours = log_likelihood(apart(on_sphere(X))[None], y[None], 150.0, 0.25) + constant
    assert ours == pytest.approx(oracle.log_marginal_likelihood_value_, rel=1e-12)


def test_a_lone_plot_fades_with_distance():
    """One plot: exp(-d / range) of its value, shrunk by its own noise; d along the chord."""
    kriging = Kriging(range_km=100.0, nugget_share=0.2).fit([[10.0, 0.0]], [5.0])
    chord = 2 * 6371.0088 * np.sin(np.radians(1.0) / 2)
    expected = [0.8 * 5, 0.8 * np.exp(-chord / 100) * 5]
    np.testing.assert_allclose(kriging.predict([[10.0, 0.0], [11.0, 0.0]]), expected, rtol=1e-12)


def test_nearest_plots_screen_off_the_rest():
    X, targets = places(200), places(20, seed=1)
    y = field(X, 100.0)
    exact = Kriging(100.0, 0.1, neighbours=200).fit(X, y).predict(targets)
    near = Kriging(100.0, 0.1, neighbours=48).fit(X, y).predict(targets)
    few = Kriging(100.0, 0.1, neighbours=3).fit(X, y).predict(targets)
    assert np.abs(near - exact).max() < 0.02
    assert np.abs(few - exact).max() > 0.1


@pytest.mark.parametrize("n", [150, 300])
def test_range_and_nugget_are_found(n):
    """Below and above the number of plots that are looked at all at once."""
    X = places(n)
    noise = np.random.default_rng(2).normal(size=n) * np.sqrt(0.3)
    found = Kriging().fit(X, np.sqrt(0.7) * field(X, 120.0) + noise)
    assert found.range_km_ == pytest.approx(120.0, rel=0.9)
    assert 0.1 <= found.nugget_share_ <= 0.5


def test_noise_alone_is_left_alone():
    X = places(300)
    kriging = Kriging().fit(X, np.random.default_rng(0).normal(size=300))
    assert kriging.nugget_share_ >= 0.95
    assert np.abs(kriging.predict(X)).max() < 0.3


def test_the_world_has_no_seam():
    X = places(40)
    X[:, 0] += 40 - 2.5  # 177.5 to 182.5 degrees
    y = field(X, 100.0)
    west = X.copy()
    west[:, 0] = np.where(X[:, 0] >= 180, X[:, 0] - 360, X[:, 0])
    expected = Kriging(100.0, 0.1).fit(X, y).predict(X)
    np.testing.assert_allclose(Kriging(100.0, 0.1).fit(west, y).predict(west), expected, rtol=1e-9)


def test_plots_that_coincide_need_a_nugget():
    X = np.vstack([places(10), places(10)[:1]])
    y = np.arange(11.0)
    with pytest.raises(ModelError, match="1 plots share coordinates"):
        Kriging(100.0, 0.0).fit(X, y)
    assert np.isfinite(Kriging(100.0, 0.1).fit(X, y).predict(X)).all()
    assert np.isfinite(Kriging().fit(X[:1], y[:1]).predict(X)).all()


def test_chunks_do_not_show(monkeypatch):
    X = places(90)
    kriging = Kriging(100.0, 0.1, neighbours=16).fit(X, field(X, 100.0))
    whole = kriging.predict(X)
    monkeypatch.setattr(kriging_module, "CHUNK", 7)
    monkeypatch.setattr(kriging_module, "SYSTEMS", 3)
    np.testing.assert_allclose(kriging.predict(X), whole, rtol=1e-12)


def test_a_system_is_solved_once_for_all_pixels_that_share_their_plots(monkeypatch):
    X = places(300, seed=13)
    model = Kriging(100.0, 0.1, neighbours=16).fit(X, field(X, 100.0))
    side = np.linspace(0, 0.5, 40)
    pixels = np.stack(np.meshgrid(X[0, 0] + side, X[0, 1] + side), axis=-1).reshape(-1, 2)
    alone = np.concatenate([model.predict(pixel[None]) for pixel in pixels])
    solved, solve = [], Kriging._solve

    def counting(self, sets):
        solved.append(len(sets))
        return solve(self, sets)

    monkeypatch.setattr(Kriging, "_solve", counting)
    np.testing.assert_array_equal(model.predict(pixels), alone)  # to the last digit
    assert sum(solved) < len(pixels) / 4


def test_forest_kriging_adds_what_place_explains():
    """A covariate the forest sees and a field it cannot follow: each part is found."""
    n = 500
    rng = np.random.default_rng(0)
    lonlat = places(n, degrees=3.0)
    X = np.hstack([rng.normal(size=(n, 1)), lonlat])
    y = 5 * X[:, 0] + 4 * field(lonlat, 60.0)
    train, test = np.arange(n) < 400, np.arange(n) >= 400
    model = ForestKriging(random_forest(0).set_params(n_estimators=40)).fit(X[train], y[train])
    forest_error = np.mean((model.forest_.predict(X[test]) - y[test]) ** 2)
    error = np.mean((model.predict(X[test]) - y[test]) ** 2)
    assert error < 0.85 * forest_error
    alone = model.kriging_.predict(X[test])
    np.testing.assert_array_equal(model.predict(X[test]), model.forest_.predict(X[test]) + alone)


def test_forest_kriging_reads_residuals_out_of_bag():
    """Those in the bag would be a fraction as large."""
    X, y = in_canonical_order(*table(200))
    forest = random_forest(0).set_params(n_estimators=40)
    model = ForestKriging(forest).fit(X, y)
    own = y - model.forest_.predict(X)
    out_of_bag = forest.set_params(oob_score=True).fit(X, y).oob_prediction_
    np.testing.assert_allclose(model.kriging_.values_, y - out_of_bag, rtol=1e-9)
    assert np.std(model.kriging_.values_) > 1.3 * np.std(own)


def test_nested_settings_reach_the_parts():
    model = TABULAR["forest-kriging"](0).set_params(forest__min_samples_leaf=9, kriging__seed=4)
    assert model.forest.min_samples_leaf == 9
    assert model.kriging.seed == 4
