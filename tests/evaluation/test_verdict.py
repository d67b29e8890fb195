"""The rules of the verdict, and the numbers that it rests on."""

from dataclasses import replace

import numpy as np
import pytest

from spatioformer.evaluation import NeighbourDistances, verdict
from spatioformer.evaluation.bootstrap import Bootstrap, central_interval
from spatioformer.evaluation.verdict import CARE, REFUSE, USE, Skill, decide, measure

GOOD = Skill(n=200, r2=0.6, r2_low=0.4, r2_high=0.7, mae=4.0, rmse=5.0, apart=11.0)
KNOWN = {"inside": 0.95, "coverage": 0.9, "level": 0.9, "reached": 0.95}


@pytest.mark.parametrize(
    ("skill", "known", "name", "broken"),
    [
        ({}, {}, USE, ()),
        ({}, {"inside": None, "coverage": None, "reached": None}, USE, ()),
        ({"r2": verdict.GOOD_SKILL, "r2_low": verdict.CERTAIN_SKILL}, {}, USE, ()),
        ({"r2": 0.49}, {}, CARE, ("low skill",)),
        ({"r2_low": 0.29}, {}, CARE, ("uncertain skill",)),
        ({}, {"inside": 0.79}, CARE, ("outside",)),
        ({}, {"coverage": 0.84}, CARE, ("coverage",)),
        ({}, {"coverage": 0.86}, USE, ()),
        ({}, {"in_space": False}, CARE, ("random folds",)),
        ({}, {"reached": 0.5}, CARE, ("distances",)),
        ({"r2": 0.2}, {"inside": 0.5}, CARE, ("low skill", "outside")),
        ({"r2": 0.0, "r2_low": -0.2, "r2_high": 0.09}, {}, REFUSE, ("no skill",)),
        ({"r2": -0.3, "r2_high": -0.1}, {"inside": 0.5}, REFUSE, ("no skill",)),
        ({"r2": -0.1, "r2_low": -0.5, "r2_high": 0.2}, {}, CARE, ("doubtful skill",)),
        ({"r2": 0.05, "r2_high": 0.09}, {}, REFUSE, ("unlikely skill",)),
        ({"r2": np.nan, "r2_low": np.nan, "r2_high": np.nan}, {}, REFUSE, ("no skill",)),
    ],
)
def test_each_rule(skill, known, name, broken):
    made = decide(replace(GOOD, **skill), **(KNOWN | known))
    assert made.verdict == name
    assert made.broken == broken


def test_a_model_that_was_not_scored_is_refused():
    made = decide(None, **KNOWN)
    assert (made.verdict, made.broken) == (REFUSE, ("unscored",))
    assert made.to_json()["skill"] is None


def test_json_has_no_nan():
    content = decide(replace(GOOD, r2=np.nan), **KNOWN).to_json()
    assert content["skill"]["r2"] is None
    assert content["skill"]["mae"] == 4.0
    assert content["verdict"] == REFUSE


def field(n: int, error: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lonlat = rng.uniform([115, -35], [150, -15], (n, 2))
    observed = rng.normal(30, 10, n)
    return observed, observed + rng.normal(0, error, n), lonlat


def test_measured_skill_is_that_of_the_predictions():
    observed, predicted, lonlat = field(600, 5.0)
    skill = measure(observed, predicted, lonlat, level=0.9)
    error = predicted - observed
    assert skill.n == 600
    assert skill.r2 == pytest.approx(
        1 - (error**2).sum() / ((observed - observed.mean()) ** 2).sum()
    )
    assert skill.r2_low < skill.r2 < skill.r2_high
    assert skill.mae == pytest.approx(np.abs(error).mean())
    # Errors of two plots are independent here, so that of a difference has sd 5 sqrt(2).
    assert skill.apart == pytest.approx(1.645 * 5 * 2**0.5, rel=0.07)
    assert skill == measure(observed, predicted, lonlat, level=0.9), "the seed fixes all draws"


def test_errors_that_neighbours_share_widen_the_interval():
    observed, _, lonlat = field(400, 0.0)
    block = verdict.blocks(lonlat)
    rng = np.random.default_rng(1)
    alone = observed + rng.normal(0, 6, 400)
    shared = observed + rng.normal(0, 6, block.max() + 1)[block]
    widths = [
        (s := measure(observed, predicted, lonlat, level=0.9)).r2_high - s.r2_low
        for predicted in (alone, shared)
    ]
    assert widths[1] > 1.5 * widths[0]
    assert len(np.unique(block)) == verdict.BLOCKS


def test_differences_of_all_pairs_and_of_a_sample_agree(monkeypatch):
    error = np.random.default_rng(0).normal(0, 3, 300)
    exact = verdict.least_difference(error, 0.9, np.random.default_rng(0))
    pairs = np.abs(error[:, None] - error)[np.triu_indices(300, 1)]
    assert exact == pytest.approx(np.quantile(pairs, 0.9))
    monkeypatch.setattr(verdict, "PAIRS", 20_000)
    assert verdict.least_difference(error, 0.9, np.random.default_rng(0)) == pytest.approx(
        exact, rel=0.05
    )
    assert np.isnan(verdict.least_difference(error[:1], 0.9, np.random.default_rng(0)))


@pytest.mark.parametrize(("count", "groups"), [(12, 12), (29, 29), (30, 6), (400, 30)])
def test_few_plots_are_drawn_one_by_one(count, groups):
    rng = np.random.default_rng(0)
    lonlat = rng.uniform(0, 10, (count, 2))
    assert len(np.unique(verdict.blocks(lonlat))) == groups
    observed = rng.normal(30, 8, count)
    skill = verdict.measure(observed, observed + rng.normal(0, 6, count), lonlat, level=0.9)
    assert skill.r2_low < skill.r2 - 0.04
    assert skill.r2_high > skill.r2 + 0.04


def test_few_plots_and_equal_counts_have_no_skill():
    observed = np.full(8, 5.0)
    lonlat = np.column_stack([np.arange(8.0), np.arange(8.0)])
    skill = measure(observed, observed + 1, lonlat, level=0.9)
    assert np.isnan([skill.r2, skill.r2_low, skill.r2_high]).all()
    assert decide(skill).verdict == REFUSE


def test_the_share_of_the_map_that_the_folds_test():
    held_out = np.append(np.linspace(1, 100, 100), np.nan)
    distances = NeighbourDistances(held_out, held_out, np.array([10.0, 50, 90, 200]), "m")
    assert verdict.reached(distances) == 0.75
    nothing = NeighbourDistances(held_out, np.array([np.nan]), np.array([1.0]), "m")
    assert verdict.reached(nothing) == 0


def test_draws_of_single_values_have_no_r2():
    observed = np.array([1.0, 1.0, 2.0, 2.0])
    bootstrap = Bootstrap(observed, [0, 0, 1, 1], np.random.default_rng(0), draws=50)
    draws = bootstrap.r2(np.full(4, 0.1))
    assert not np.isfinite(draws).all()
    assert np.isfinite(central_interval(draws, 0.9)).all()
    assert np.isnan(central_interval(np.array([np.nan]), 0.9)).all()
