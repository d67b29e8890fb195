"""Hyperparameters chosen by areas of plots held out: known answers, and what must not decide."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from spatioformer.models.baselines import (
    TABULAR,
    ForestKriging,
    TunedBoosting,
    TunedForest,
    tuned_boosting,
)
from spatioformer.models.baselines.areas import divisions, held_out, parts
from spatioformer.models.baselines.kriging import out_of_bag
from spatioformer.models.baselines.order import in_canonical_order
from spatioformer.models.baselines.tuned_boosting import SETTINGS, _begun
from spatioformer.models.baselines.tuned_forest import Search
from spatioformer.models.store import load
from tests.helpers.models import fitted


def places(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(140, 150, n), rng.uniform(-30, -20, n)])


def exact(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A target without noise that a single feature explains."""
    X = np.hstack([np.random.default_rng(1).normal(size=(n, 2)), places(n)])
    return X, 10 * X[:, 0]


def noisy(n: int = 300, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """A target of noise alone."""
    return exact(n)[0], np.random.default_rng(seed).normal(size=n)


def repeated(times: int = 4, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """`noisy` plots, each visited several times: visits share place, features and most noise."""
    X, y = noisy(100, seed)
    visits = np.repeat(y, times) + 0.1 * np.random.default_rng(3).normal(size=times * len(y))
    return np.repeat(X, times, axis=0), visits


@pytest.mark.parametrize("kind", ["random", pytest.param("extra", marks=pytest.mark.soak)])
def test_leaves_of_one_plot_are_chosen_without_noise_and_not_for_noise(kind):
    fewer = TunedForest(kind, n_estimators=20)
    assert fewer.fit(*exact()).chosen_ == {"min_samples_leaf": 1, "max_features": 1.0}
    assert fewer.fit(*noisy()).chosen_["min_samples_leaf"] > 1


@pytest.mark.parametrize("kind", ["random", pytest.param("extra", marks=pytest.mark.soak)])
def test_repeated_plots_do_not_choose_small_leaves(kind):
    X, y = repeated()
    made = [in_canonical_order(*repeated(seed=seed)) for seed in (2, 3, 4)]
    leaves = [TunedForest(kind).chosen(*plots)["min_samples_leaf"] for plots in made]
    assert np.median(leaves) >= 5
    # If each visit were left out alone, the other visits of its plot would tell its noise.
    apart = Search(kind == "random", X, y, [np.arange(len(y))], 0)
    single, tens = (apart.squared_errors(leaf, 0.5).mean() for leaf in (1, 10))
    assert single < tens / 2


def test_the_forest_is_that_of_scikit_learn(monkeypatch):
    monkeypatch.setattr("spatioformer.models.baselines.tuned_forest.TREES_OF_PART", (2, 2))
    X, y = noisy()
    for kind, forest in (("random", RandomForestRegressor), ("extra", ExtraTreesRegressor)):
        model = TunedForest(kind, 30, random_state=5).fit(X, y)
        theirs = forest(30, random_state=5, **model.chosen_).fit(*in_canonical_order(X, y))
        np.testing.assert_array_equal(model.predict(X), theirs.predict(X))


def test_stated_settings_are_not_searched(monkeypatch):
    X, y = noisy(60)
    stated = TunedForest("extra", 5, min_samples_leaf=4, max_features=0.7)
    monkeypatch.setattr(Search, "squared_errors", None)
    assert stated.fit(X, y).chosen_ == {"min_samples_leaf": 4, "max_features": 0.7}


def test_stated_leaves_are_kept_while_the_features_are_searched():
    chosen = TunedForest("extra", 5, min_samples_leaf=4).fit(*noisy()).chosen_
    assert chosen["min_samples_leaf"] == 4
    assert chosen["max_features"] in (1.0, 1 / 2, 1 / 3)


def test_the_defaults_are_replaced_by_what_is_better_by_a_standard_error(monkeypatch):
    """Squared errors of 40 plots in 4 areas; those of the second setting differ by areas."""
    area = np.repeat(np.arange(4), 10)
    spread = np.array([3.0, -1, -1, -1])[area]  # sd 2 of the areas: a standard error of 1

    def errors(gain: float):
        rows = {1: np.full(40, 9.0), 2: 9 - gain + spread, 3: np.full(40, 8.9)}
        return lambda self, leaf, features: rows[leaf][None]

    search = Search(False, np.zeros((40, 3)), np.zeros(40), [area], 0)
    tried = [(1, 1.0), (2, 0.5)]
    for gain, leaf in ((0.99, 1), (1.01, 2), (-5, 1)):
        monkeypatch.setattr(Search, "squared_errors", errors(gain))
        assert search.best(tried)[0] == leaf
    monkeypatch.setattr(Search, "squared_errors", errors(0.99))
    assert search.best([*tried, (3, 0.5)]) == (3, 0.5), "a small gain without any spread"


def test_the_standard_error_of_areas_in_two_divisions():
    """It is no smaller than that of one division, for both hold the same plots."""
    area = np.repeat(np.arange(4), 10)
    values = np.array([3.0, -1, -1, -1])[area]
    for divisions_of in ([area], [area, area]):
        search = Search(False, np.zeros((40, 3)), np.zeros(40), divisions_of, 0)
        assert search.standard_error(np.array([values] * len(divisions_of))) == pytest.approx(1)


@pytest.mark.parametrize("name", ["random-forest", "extra-trees"])
def test_few_plots_and_gaps(name):
    X, y = noisy(40)
    X[::3, 0] = np.nan
    assert np.isfinite(TABULAR[name](0).set_params(n_estimators=5).fit(X, y).predict(X)).all()
    defaults = {"min_samples_leaf": 1, "max_features": 1.0}
    assert TABULAR[name](0).set_params(n_estimators=5).fit(X[:2], y[:2]).chosen_ == defaults


# --- areas ----------------------------------------------------------------------------------------


def test_divisions_are_sites_and_blocks():
    """Three clusters of two places; one place is visited twice."""
    lonlat = [(0, 0), (0.1, 0), (20, 0), (20.1, 0), (40, 0), (40.1, 0), (40.1, 0)]
    X = np.hstack([np.zeros((7, 1)), lonlat])
    site, block = divisions(X)
    assert site.tolist() == [0, 1, 2, 3, 4, 5, 5]
    assert len(set(block.tolist())) == 3
    assert block[[0, 2, 4]].tolist() == block[[1, 3, 5]].tolist()


def test_plots_at_one_place_are_divided_by_features():
    X = np.array([[1, 9, 9], [2, 9, 9], [2, 9, 9], [np.nan, 9, 9.0]])
    assert [len(set(division.tolist())) for division in divisions(X)] == [3]
    assert divisions(X[:2]) == []


def test_parts_hold_whole_areas_of_similar_number():
    division = np.repeat(np.arange(9), 4)
    part = parts(division, np.random.default_rng(0))
    assert all(len(set(part[division == area])) == 1 for area in range(9))
    assert np.bincount(part).tolist() == [12, 12, 12]


def test_of_many_plots_fewer_parts_are_held_out(monkeypatch):
    """As many as hold ENOUGH plots; the training plots are always two thirds."""
    division = np.repeat(np.arange(30), 10)
    for enough, count in ((50, 1), (100, 1), (101, 2), (300, 3), (2000, 3)):
        monkeypatch.setattr("spatioformer.models.baselines.areas.ENOUGH", enough)
        outs = held_out(division, np.random.default_rng(0))
        part = parts(division, np.random.default_rng(0))
        np.testing.assert_array_equal(outs, [part == number for number in range(count)])


def test_plots_that_no_tree_left_out_do_not_count(monkeypatch):
    """One of three parts is scored: 10 of 30 areas, whose standard error is that of 10."""
    monkeypatch.setattr("spatioformer.models.baselines.areas.ENOUGH", 1)
    X, y = noisy(300)
    area = np.repeat(np.arange(30), 10)
    search = Search(False, X, y, [area], 0)
    (scored,) = search.scored
    assert scored.sum() == 100
    errors = search.squared_errors(3, 0.5)
    assert np.isfinite(errors[0, scored]).all()
    assert np.isnan(errors[0, ~scored]).all()
    values = np.where(scored, np.arange(300.0), np.nan)[None]
    sums = np.array([values[0, area == number].sum() for number in np.unique(area[scored])])
    assert search.standard_error(values) == pytest.approx(
        np.sqrt(10 / 9 * np.sum((sums - sums.mean()) ** 2)) / 100
    )
    assert search.best([(1, 1.0), (10, 1 / 3)]) == (10, 1 / 3)


# --- boosting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["histogram", "lightgbm"])
def test_boosting_takes_few_steps_for_noise_and_many_without(kind):
    if kind == "lightgbm":
        pytest.importorskip("lightgbm")
    X, y = noisy(150)
    random = TunedBoosting(kind, steps=40).fit(X, y)
    assert random.chosen_["steps"] <= 20
    X, y = exact(150)
    known = TunedBoosting(kind, steps=40).fit(X, y)
    assert known.chosen_["steps"] > 50
    assert known.chosen_["learning_rate"] == 0.05
    assert np.mean((known.predict(X) - y) ** 2) < 0.1 * np.var(y)
    gaps = np.where(np.arange(len(y)) % 5 == 0, np.nan, X[:, 0])
    assert np.isfinite(known.predict(np.column_stack([gaps, X[:, 1:]]))).all()


def test_steps_are_doubled_while_the_error_falls(monkeypatch):
    tried = []

    class Falling:
        def squared_errors(self, steps):
            tried.append(steps)
            return np.abs(np.arange(steps) - 250.0)

    monkeypatch.setattr(tuned_boosting, "_begun", lambda *arguments: Falling())
    assert TunedBoosting().fit(*exact(30)).chosen_["steps"] == 2 * 251
    assert sorted(set(tried)) == [100, 200, 400]


@pytest.mark.parametrize("kind", ["histogram", "lightgbm"])
def test_a_fit_that_goes_on_has_the_errors_of_a_single_one(kind):
    """Also where LightGBM finds no leaf to split, and stops."""
    if kind == "lightgbm":
        pytest.importorskip("lightgbm")
    for X, y in (noisy(150), (exact(150)[0], np.zeros(150))):
        out = np.arange(150) % 3 == 0
        setting = SETTINGS[1]
        fits = [_begun(TunedBoosting(kind)._unfitted(setting, 30), X, y, out) for _ in range(2)]
        first = fits[0].squared_errors(10)
        longer, whole = fits[0].squared_errors(30), fits[1].squared_errors(30)
        np.testing.assert_array_equal(longer, whole)
        np.testing.assert_array_equal(first, whole[:10])
        alone = TunedBoosting(kind)._unfitted(setting, 30).fit(X[~out], y[~out])
        assert whole[-1] == pytest.approx(np.sum((alone.predict(X[out]) - y[out]) ** 2))


# --- what was chosen is written down --------------------------------------------------------------


def test_forest_kriging_has_the_forest_that_it_would_fit():
    X, y = noisy(150)
    forest = TunedForest("random", 60)
    model = ForestKriging(forest).fit(X, y)
    assert model.chosen_ == forest.fit(X, y).chosen_
    assert model.forest_.min_samples_leaf == model.chosen_["min_samples_leaf"]
    given = ForestKriging(forest).fit(X, y, forest)
    assert given.forest_ is forest.forest_
    np.testing.assert_array_equal(given.predict(X), model.predict(X))


@pytest.mark.parametrize("gaps", [False, True])
def test_out_of_bag_predictions_are_those_of_scikit_learn(gaps):
    X, y = noisy(80)
    if gaps:
        X[::3, 0] = np.nan
    forest = RandomForestRegressor(60, oob_score=True, random_state=0).fit(X, y)
    np.testing.assert_allclose(out_of_bag(forest, X, 0.0), forest.oob_prediction_, rtol=1e-12)
    single = RandomForestRegressor(1, random_state=0).fit(X, y)
    drawn = np.unique(single.estimators_samples_[0])
    assert (out_of_bag(single, X, 7.0)[drawn] == 7).all()


@pytest.mark.parametrize("name", ["random-forest", "forest-kriging", "gradient-boosting"])
@pytest.mark.usefixtures("small_forests")
def test_the_order_of_rows_changes_nothing(name):
    X, y = repeated(2)
    order = np.random.default_rng(4).permutation(len(y))
    models = [TABULAR[name](0).fit(X[rows], y[rows]) for rows in (np.arange(len(y)), order)]
    one, other = (model.predict(X) for model in models)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["extra-trees", "forest-kriging", "gradient-boosting"])
@pytest.mark.usefixtures("small_forests")
def test_facts_and_card_say_what_was_chosen(name, tmp_path):
    model = fitted(name)[0]
    first = next(iter(model.regressor.chosen_))
    assert model.facts["chosen"] == model.regressor.chosen_
    folder = model.save(tmp_path / "model")
    assert f"held out: {first}" in (folder / "README.md").read_text()
    again = load(folder)
    assert again.facts["chosen"] == again.chosen == model.facts["chosen"]
    assert "chosen" not in fitted("location-knn")[0].facts


# --- gaps and small values ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["histogram", "lightgbm"])
def test_boosting_ignores_a_feature_without_values_among_the_training_plots(kind):
    if kind == "lightgbm":
        pytest.importorskip("lightgbm")
    X, y = exact(60)
    blank, filled = X.copy(), X.copy()
    blank[:, 1], filled[:, 1] = np.nan, 0.0
    predictions = TunedBoosting(kind, steps=20).fit(blank, y).predict(X)
    np.testing.assert_array_equal(
        predictions, TunedBoosting(kind, steps=20).fit(filled, y).predict(filled)
    )


def test_boosting_and_kriging_predict_nothing_below_zero_where_no_plot_is():
    X, y = exact(60)
    for model in (
        TunedBoosting(steps=20),
        ForestKriging(RandomForestRegressor(10, random_state=0)),
    ):
        assert model.fit(X, y).predict(X).min() < -5
        below = model.predict(X)
        assert model.fit(X, np.maximum(y, 0)).floor_ == 0
        assert model.predict(X).min() >= 0
        model.fit(X, y).floor_ = 0.0
        np.testing.assert_array_equal(model.predict(X), np.maximum(below, 0))
