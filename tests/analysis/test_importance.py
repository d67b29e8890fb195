"""Permutation importance of functions that use some inputs only."""

import numpy as np
import pytest

from spatioformer.analysis.importance import (
    groups_of,
    largest,
    pooled_rises,
    shuffled,
    shuffled_errors,
)
from tests.helpers.known import model, plots

RNG = np.random.default_rng(5)


def test_an_unused_band_has_importance_0_and_a_used_one_twice_its_variance():
    store = plots(RNG.normal(size=(3000, 2)))
    store.table["richness"] = 2 * store.chips[:, 0, 0, 0].astype(float)
    groups = groups_of(store)
    fitted = model(lambda x, *_: 2 * x[:, 0])
    errors = shuffled_errors(fitted, store, groups, RNG, repeats=3)
    assert [group.name for group in groups] == ["a", "b", "imagery", "location"]
    np.testing.assert_allclose(errors, [0, 8, 0, 8, 0], rtol=0.06, atol=1e-9)


def test_location_is_shuffled_in_chips_and_table_alike():
    """A stack reads places from the table, a network from the chips."""
    store = plots(RNG.normal(size=(50, 1)))
    other = shuffled(store, groups_of(store)[-1], RNG)
    np.testing.assert_array_equal(other.lat[:, 0, 0], other.table["lat"])
    np.testing.assert_array_equal(other.lon[:, 0, 0], other.table["lon"])
    assert sorted(other.table["lat"]) == sorted(store.table["lat"])
    assert (other.table["lat"] != store.table["lat"]).any()
    np.testing.assert_array_equal(other.chips, store.chips)
    np.testing.assert_array_equal(other.table["plot_id"], store.table["plot_id"])


def test_a_band_called_location_stays_a_band():
    store = plots(RNG.normal(size=(20, 2)))
    store.bands[:] = ["location", "imagery"]
    names = [group.name for group in groups_of(store)]
    assert names == ["band location", "band imagery", "imagery", "location"]


def test_folds_are_weighted_by_their_plots():
    folds = [(30, np.array([4.0, 9.0])), (10, np.array([16.0, 81.0]))]
    rmse, rows = pooled_rises(["a"], folds)
    assert rmse == pytest.approx(np.sqrt(0.75 * 4 + 0.25 * 16))
    assert rows == [{"group": "a", "rise": 0.75 * 1 + 0.25 * 5, "sd": pytest.approx(8**0.5)}]


def test_the_most_important_inputs():
    assert largest({"b": 1.0, "c": 2.0}, ["a", "b", "c", "d"], 3) == ["c", "b", "a"]
    assert largest({}, ["a", "b"], 1) == ["a"]
