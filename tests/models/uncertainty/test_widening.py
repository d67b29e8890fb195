"""Intervals outside the area of applicability: known answers, coverage, what they rest on."""

from dataclasses import replace

import numpy as np
import pytest

from spatioformer.common.files import read_json, write_json
from spatioformer.evaluation import AreaOfApplicability
from spatioformer.models.uncertainty import HeldOut, Uncertainty
from spatioformer.models.uncertainty.harder import (
    NEIGHBOURS,
    HarderFolds,
    HarderPredictions,
    evidence_outside,
)
from spatioformer.models.uncertainty.kinds import CalibrationParameters, Intervals
from spatioformer.models.uncertainty.plots import Predictions
from spatioformer.models.uncertainty.widening import (
    LARGEST_RATIO,
    PRIOR_PLOTS,
    PRIOR_POWER,
    PRIOR_STEP,
    Evidence,
    Widening,
)
from tests.models.uncertainty.test_known import BANDS, held_out, place

NONE = Evidence.none()


def power_law(n: int, step: float, power: float, seed: int = 0) -> Evidence:
    """Stretches whose 90 % quantile is `step` times a power of the ratio."""
    rng = np.random.default_rng(seed)
    ratio = np.exp(rng.uniform(0.01, 2, n))
    error = np.abs(rng.normal(0, 1 / 1.645, n))  # 90 % below 1
    return Evidence(ratio, step * ratio**power * error)


def farther(n: int, seed: int = 0, *, growth: float = 1.0) -> HeldOut:
    """One predictor, few plots far out; errors there grow with a power of its size."""
    rng = np.random.default_rng(seed)
    far = rng.random(n) < 0.12
    size = np.where(far, rng.uniform(3, 8, n), rng.uniform(0, 2, n))
    pixels = np.column_stack([size * rng.choice([-1, 1], n), rng.normal(0, 1, n)])
    held = held_out(n, seed)
    error = rng.normal(0, 2, n) * np.maximum(size / 2, 1) ** growth
    return replace(held, pixels=pixels, observed=held.predicted + error)


def test_without_evidence_the_factor_is_the_prior():
    widening = Widening.fit(0.5, 0.9, NONE, NONE)
    assert (widening.step, widening.power) == (PRIOR_STEP, PRIOR_POWER)


def test_inside_the_factor_is_one_and_outside_it_grows_up_to_a_limit():
    widening = Widening(0.5, 1.2, 0.5)
    di = np.array([0, 0.3, 0.5, 0.5 + 1e-12, 2, 0.5 * LARGEST_RATIO, 1e9])
    expected = [1, 1, 1, 1.2, 2.4, 12, 12]
    np.testing.assert_allclose(widening.factor(di), expected, rtol=1e-9)


def test_a_threshold_of_zero_gives_finite_factors():
    widening = Widening.fit(0.0, 0.9, Evidence.outside(np.ones(3), np.ones(3), 0.0), NONE)
    assert np.isfinite(widening.factor(np.array([0.0, 1e-9, 1.0]))).all()
    assert widening.factor(np.zeros(1)) == 1


@pytest.mark.parametrize(("step", "power"), [(1.0, 0.0), (1.6, 0.3), (1.2, 0.8)])
def test_many_plots_give_the_power_law_back(step, power):
    widening = Widening.fit(1.0, 0.9, power_law(20_000, step, power), NONE)
    assert widening.step == pytest.approx(step, rel=0.06)
    assert widening.power == pytest.approx(power, abs=0.06)


def test_intervals_never_become_narrower_outside():
    assert Widening.fit(1.0, 0.9, power_law(20_000, 0.3, 0.0), NONE).step == 1


def test_as_many_plots_as_the_prior_have_half_the_weight():
    evidence = Evidence(np.full(PRIOR_PLOTS, 2.0), np.full(PRIOR_PLOTS, 3.0))
    widening = Widening.fit(1.0, 0.9, evidence, NONE)
    # All powers fit one ratio; the smallest one is taken.
    assert widening.power == pytest.approx(PRIOR_POWER / 2)
    assert widening.step == pytest.approx(np.sqrt(3.0 * PRIOR_STEP))


def test_harder_folds_together_have_the_weight_of_few_plots():
    harder = Evidence(np.full(5000, 2.0), np.full(5000, 3.0))
    few = Widening.fit(1.0, 0.9, NONE, harder)
    assert few.step == pytest.approx(np.sqrt(3.0 * PRIOR_STEP))
    plots = power_law(20_000, 1.0, 0.0)
    assert Widening.fit(1.0, 0.9, plots, harder).step == pytest.approx(1.0, abs=0.06)


def test_the_stretch_is_the_factor_that_reaches_the_observation():
    parameters = CalibrationParameters(np.array([[0.0], [1.0]]), None, np.empty((0, 2)))
    intervals = Intervals.restored("constant", parameters, 4.0, 0.9)
    mean = np.full(3, 50.0)
    at = Predictions(mean, np.full(3, 2.0), *np.zeros((2, 3)))
    observed = np.array([50.0, 58.0, 49.0])
    stretch = intervals.stretch(observed, at)
    np.testing.assert_allclose(stretch, [0, 2, 0.25])
    wider = replace(intervals, widening=Widening(1.0, 2.0, 0.0))(at)
    np.testing.assert_allclose(wider, [[42, 58]] * 3)
    inside = replace(at, di=np.ones(3))
    assert np.array_equal(
        replace(intervals, widening=Widening(1.0, 2.0, 0.0))(inside), intervals(inside)
    )


def test_a_bound_on_the_wrong_side_of_the_mean_stays():
    parameters = CalibrationParameters(np.array([[0.0], [1.0]]), None, np.empty((0, 2)))
    quantiles = np.array([[52.0, 60.0]])
    at = Predictions(np.full(1, 50.0), np.full(1, 2.0), *np.zeros((2, 1)), quantiles=quantiles)
    intervals = Intervals.restored("quantiles", parameters, 0.0, 0.9, Widening(1.0, 3.0, 0.0))
    np.testing.assert_allclose(intervals(at), [[52, 80]])


def harder_of(held: HeldOut) -> HarderFolds:
    table = np.column_stack([held.pixels, held.lon, held.lat])
    area = AreaOfApplicability().fit(table, held.fold)
    return HarderFolds.of(held, area, table, np.arange(len(table)))


def test_harder_predictions_use_plots_of_other_groups_and_kept_plots_only():
    held = held_out(120)
    harder = harder_of(held)
    keep = held.fold != 2
    before = harder.predictions(keep)
    assert len(before.observed) == 2 * keep.sum()
    changed = replace(held, observed=np.where(keep, held.observed, 1e6))
    after = harder_of(changed).predictions(keep)
    assert np.array_equal(after.predictions.mean, before.predictions.mean)
    # By hand: the nearest kept plots of other groups.
    for way, left_out in enumerate(harder._left_out):
        rows = np.flatnonzero(keep)
        for position in (0, 31):
            plot = rows[position]
            others = rows[~left_out[plot, rows]]
            apart = np.linalg.norm(harder.points[others] - harder.points[plot], axis=1)
            nearest = others[np.argsort(apart)[:NEIGHBOURS]]
            at = way * len(rows) + position
            assert before.predictions.mean[at] == pytest.approx(held.observed[nearest].mean())
            assert before.predictions.di[at] == pytest.approx(apart.min())
            assert before.observed[at] == held.observed[plot]


def test_too_few_plots_have_no_harder_predictions():
    harder = harder_of(held_out(40)).predictions(np.arange(40) < 8)
    assert len(harder.observed) == 0


def test_the_facts_count_the_evidence():
    weight = {"prior_plots": PRIOR_PLOTS}
    facts = {"plots": 0, "harder": 0, "farthest": None}
    assert evidence_outside(NONE, NONE, 0.5) == facts | weight
    plots = Evidence.outside(np.array([0.2, 0.5, 0.6]), np.ones(3), 0.5)
    harder = Evidence.outside(np.array([0.2, 0.9, 1.5]), np.ones(3), 0.5)
    facts = {"plots": 1, "harder": 2, "farthest": 1.5}
    assert evidence_outside(plots, harder, 0.5) == facts | weight


def test_harder_errors_are_measured_in_units_of_those_inside():
    parameters = CalibrationParameters(np.array([[0.0], [1.0]]), None, np.empty((0, 2)))
    intervals = Intervals.restored("constant", parameters, 1.0, 0.9)
    di = np.repeat([0.5, 3.0], 50)
    at = Predictions(np.zeros(100), di, *np.zeros((2, 100)))
    evidence = HarderPredictions(at, np.repeat([7.0, 21.0], 50)).evidence(intervals, 1.0)
    np.testing.assert_allclose(evidence.stretch, 3)
    np.testing.assert_allclose(evidence.ratio, 3)
    few = HarderPredictions(at[40:], np.repeat([7.0, 21.0], [10, 50]))
    assert len(few.evidence(intervals, 1.0)) == 0


@pytest.mark.slow
def test_errors_that_grow_outside_are_covered_outside():
    before, after, inside = [], [], []
    for seed in range(4):
        weights = np.array([1.0, 0, 0, 0])
        held = farther(500, seed, growth=0.5)
        made, _, _ = Uncertainty.calibrate(held, BANDS, weights, kind="constant")
        new = farther(2000, seed + 100, growth=0.5)
        plain = replace(made, widening={}).layers(new.predicted, None, **place(new))
        wide = made.layers(new.predicted, None, **place(new))
        rows = wide["inside"]
        for name in ("lower", "upper"):
            assert np.array_equal(plain[name][rows], wide[name][rows])
        held_by = [
            (x["lower"] <= new.observed) & (new.observed <= x["upper"]) for x in (plain, wide)
        ]
        before.append(held_by[0][~rows].mean())
        after.append(held_by[1][~rows].mean())
        inside.append(held_by[1][rows].mean())
        assert made.facts["outside"]["plots"] > 0
    assert np.mean(before) < 0.8
    assert 0.86 < np.mean(after) < 0.95
    assert np.mean(inside) > 0.88


def test_files_of_the_format_before_have_the_intervals_of_then(tmp_path):
    made, _, _ = Uncertainty.calibrate(farther(200), BANDS, kind="constant")
    made.save(tmp_path)
    content = read_json(tmp_path / "uncertainty.json")
    assert content["format"] == 3
    del content["widening"], content["facts"]["outside"]
    write_json(tmp_path / "uncertainty.json", content | {"format": 2})
    opened = Uncertainty.load(tmp_path)
    new = farther(70, seed=2)
    expected = replace(made, widening={}).layers(new.predicted, None, **place(new))
    assert not expected["inside"].all()
    for name, values in opened.layers(new.predicted, None, **place(new)).items():
        assert np.array_equal(values, expected[name]), name
