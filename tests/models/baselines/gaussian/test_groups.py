"""Order of plots in space, groups of the likelihood, blocks."""

import numpy as np
import pytest

from spatioformer.models.baselines.gaussian import groups


@pytest.fixture
def places() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(1000, 3)) * [1, 1, 0]


def test_neighbours_in_the_order_are_neighbours_in_space(places):
    order = groups.spatial_order(places)
    assert sorted(order) == list(range(1000))
    steps = np.linalg.norm(np.diff(places[order], axis=0), axis=1)
    assert np.median(steps) < 0.06  # of plots in any order: 0.5
    assert np.median(np.linalg.norm(np.diff(places, axis=0), axis=1)) > 0.4


def test_groups_are_near_scattered_and_clustered(places):
    found = groups.likelihood_groups(places)
    assert [len(set(rows)) for rows in found] == [groups.GROUP] * groups.GROUPS
    spread = np.array([np.sqrt(np.sum(np.var(places[rows], axis=0))) for rows in found])
    whole = np.sqrt(np.sum(np.var(places, axis=0)))
    assert spread[::3].max() < 0.9 * whole
    assert spread[1::3] == pytest.approx(whole, rel=0.05)
    assert spread[2::3] == pytest.approx(whole, rel=0.2)
    few = groups.likelihood_groups(places[: groups.WHOLE])
    np.testing.assert_array_equal(few, [np.arange(groups.WHOLE)])


def test_groups_of_plots_at_few_places():
    """All plots at one place, and two places, are no error."""
    for places in (np.zeros((1000, 3)), np.repeat(np.eye(3)[:2], 500, axis=0)):
        found = groups.likelihood_groups(places)
        assert [len(rows) for rows in found] == [groups.GROUP] * groups.GROUPS
        assert len(set(groups.blocks(places, 10))) == len(np.unique(places, axis=0))


def test_the_shortest_range_is_three_steps_of_a_grid_and_repeated_visits_do_not_count():
    step = np.arange(40) / 40
    grid = np.column_stack([np.repeat(step, 40), np.tile(step, 40), np.zeros(1600)])
    assert groups.shortest_range(grid) == pytest.approx(3 / 40)
    assert groups.shortest_range(np.vstack([grid, grid])) == pytest.approx(3 / 40)
    assert groups.shortest_range(grid[: groups.WHOLE]) is None
    assert groups.shortest_range(np.zeros((1600, 3))) is None


def test_blocks_are_compact_and_keep_a_place_together(places):
    places = np.vstack([places, places[:300]])
    block = groups.blocks(places, 10)
    np.testing.assert_array_equal(block[1000:], block[:300])
    assert set(block) == set(range(10))
    assert np.bincount(block[:1000]).max() == 100
    within = [np.sum(np.var(places[block == number], axis=0)) for number in range(10)]
    assert np.mean(within) < 0.25 * np.sum(np.var(places, axis=0))


def test_inducing_plots_are_spread(places):
    chosen = groups.inducing_plots(places, 100)
    assert len(set(chosen)) == 100
    counts = np.histogram2d(*places[chosen, :2].T, bins=4)[0]
    assert counts.min() >= 3
    np.testing.assert_array_equal(groups.inducing_plots(places, 2000), np.arange(1000))
