"""The choice of one of several models by held-out errors: known answers and an unbiased score."""

import numpy as np
import pytest

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation.choice import (
    CLEAR,
    Choice,
    choice_shares,
    scores_of_choice,
    standard_error,
)
from spatioformer.evaluation.metrics import scores


def test_the_smallest_error_where_nothing_is_tied():
    errors = np.column_stack([np.full(6, 2.0), np.full(6, 1.0), np.full(6, 3.0)])
    choice = Choice.of(errors, np.arange(6), [1, 3, 2], tolerance=2.9)
    assert (choice.chosen, choice.reference) == (1, 1)
    np.testing.assert_allclose(choice.behind, [3, 0, 8])
    np.testing.assert_array_equal(choice.standard_error, 0)  # every plot says the same
    np.testing.assert_array_equal(choice.tied, [False, True, False])


# Squared errors 4 and 1 in turn against 2.4: the second model is .1 better, with differences of
# 1.6 and -1.4, a standard error of 1.5 / sqrt(5) over six plots.
ALTERNATING = np.column_stack([np.tile([2.0, 1.0], 3), np.full(6, np.sqrt(2.4))])


SAME_FROM = 0.85
"""Tolerance t from which they are tied. Three plots lie 1.6 - t on the wrong side of the bound, and
three t + 1.4 on the right one. The 8 patterns that only reverse wrong ones reach the observed sum,
12.5 % of 64. One right and all wrong ones reversed do not if 2 (t + 1.4) is above 6 (1.6 - t);
otherwise 3 more patterns reach it, which makes 17 %."""


def test_a_tie_goes_to_the_fastest():
    choice = Choice.of(ALTERNATING, np.arange(6), [1, 2], SAME_FROM + 0.01)
    assert (choice.reference, choice.chosen) == (1, 0)
    np.testing.assert_allclose(choice.behind, [0.1, 0])
    np.testing.assert_allclose(choice.standard_error, [1.5 / np.sqrt(5), 0])
    assert Choice.of(ALTERNATING, np.arange(6), [1, 2], SAME_FROM - 0.01).chosen == 1
    assert Choice.of(ALTERNATING, np.arange(6), [2, 1], 1.0).chosen == 1
    assert Choice.of(ALTERNATING, np.arange(6), [1, 1], 1.0).chosen == 1, "equally fast: the better"


def test_the_usual_model_is_replaced_where_another_one_is_clearly_better():
    """Six units have to agree; of seven, one may contradict if it is smaller than the others."""
    choice = Choice.of(ALTERNATING, np.arange(6), [1, 2], 0, usual=0)
    assert (choice.reference, choice.chosen) == (0, 0), "better by .1, with a standard error of .67"
    np.testing.assert_allclose(choice.behind, [0, -0.1])
    for gains, expected in (
        ([1, 2, 3, 4, 5, 6], 1),
        ([1, 2, 3, 4, 5], 0),
        ([-0.1, 2, 3, 4, 5, 6], 0),
        ([-0.1, 2, 3, 4, 5, 6, 7], 1),
    ):
        errors = np.sqrt(np.column_stack([np.full(len(gains), 7.0), 7.0 - np.array(gains)]))
        assert Choice.of(errors, np.arange(len(gains)), [1, 2], 0, usual=0).chosen == expected


def test_five_regions_never_replace_the_usual_model_however_many_plots_they_hold():
    errors = np.tile([3.0, 1.0], (1000, 1))
    assert Choice.of(errors, np.arange(1000) % 5, [1, 1], 0, usual=0).chosen == 0
    assert Choice.of(errors, np.arange(1000) % 6, [1, 1], 0, usual=0).chosen == 1


def test_one_of_many_equal_models_looks_clearly_better_no_more_often_than_the_level():
    """One test for each of seven rivals would replace the usual model about five times as often."""
    rng, units, replaced, trials = np.random.default_rng(6), np.arange(40) // 2, 0, 1000
    for _ in range(trials):
        errors = 3 + rng.normal(size=(40, 8))
        replaced += Choice.of(errors, units, np.arange(8), 0, usual=0).chosen != 0
    assert replaced / trials == pytest.approx(CLEAR, abs=3 * np.sqrt(CLEAR / trials))


@pytest.mark.parametrize(("units", "tied"), [(1, False), (2, False), (3, True)])
def test_one_or_two_units_do_not_say_that_models_are_the_same(units, tied):
    errors = np.column_stack([np.full(12, 1.0), np.full(12, 1.001)])
    choice = Choice.of(errors, np.arange(12) % units, [2, 1], 0.1, usual=0)
    assert choice.tied[1] == tied
    assert choice.chosen == tied


@pytest.mark.parametrize("usual", [0, 1])
def test_a_faster_model_replaces_the_usual_one_where_they_are_certainly_as_good(usual):
    """A faster model that looks better is no exception, for it may be worse."""
    faster, units = 1 - usual, np.arange(6)
    order = [1 + (model == usual) for model in (0, 1)]
    assert Choice.of(ALTERNATING, units, order, SAME_FROM + 0.01, usual).chosen == faster
    assert Choice.of(ALTERNATING, units, order, SAME_FROM - 0.01, usual).chosen == usual


def test_errors_within_a_unit_do_not_count_as_independent():
    pairs = Choice.of(ALTERNATING, [0, 0, 1, 1, 2, 2], [1, 2], 0.09)
    assert pairs.standard_error[0] == pytest.approx(0, abs=1e-12)
    assert pairs.chosen == 1, "each unit alone finds the second model better by .1"
    opposed = Choice.of(ALTERNATING, [0, 1] * 3, [1, 2], 0)
    assert opposed.standard_error[0] == pytest.approx(1.5), "two units: (1.6 + 1.4) / 2"


def test_the_standard_error_is_that_of_a_mean_where_units_are_single():
    values = np.random.default_rng(0).normal(size=(50, 2))
    expected = values.std(axis=0, ddof=1) / np.sqrt(50)
    np.testing.assert_allclose(standard_error(values, np.ones(50, int)), expected)
    assert (standard_error(values[:1], np.ones(1, int)) == 0).all()


@pytest.mark.parametrize("units", [7, 30])
def test_a_unit_has_no_say_in_its_own_model(units):
    """A tenth of the units, or a single one, is predicted by the choice of all others."""
    rng = np.random.default_rng(3)
    errors, unit, order = rng.normal(size=(60, 4)), np.arange(60) % units, [3, 1, 2, 2]
    shares = choice_shares(errors, unit, order, 0.1, rng=np.random.default_rng(8), samples=1)
    np.testing.assert_array_equal(shares.sum(axis=1), 1)
    part = np.random.default_rng(8).permutation(units) % 10 if units > 10 else np.arange(units)
    for k in range(part.max() + 1):
        rest = (part != k)[unit]
        expected = Choice.of(errors[rest], unit[rest], order, 0.1)
        assert (shares[~rest, expected.chosen] == 1).all()


def test_six_units_that_agree_are_too_few_to_score_their_choice():
    """The choices without one of them are of five, which never replace the usual model."""
    errors, rng = np.tile([2.0, 1.0], (7, 1)), np.random.default_rng(0)
    for units, expected in ((6, [1, 0]), (7, [0, 1])):
        judged = errors[:units], np.arange(units), [1, 1], 0, 0
        assert Choice.of(*judged).chosen == 1
        shares = choice_shares(*judged, rng=rng)
        np.testing.assert_array_equal(shares, np.tile(expected, (units, 1)))


def test_two_units_choose_for_each_other():
    errors = np.array([[1.0, 2], [1, 2], [2, 1], [2, 1]])
    shares = choice_shares(errors, [0, 0, 1, 1], [1, 2], 0, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(shares, [[0, 1], [0, 1], [1, 0], [1, 0]])


def test_the_score_of_the_choice_is_unbiased_and_the_naive_one_is_not():
    """Ten models of the same quality: whichever is chosen, a new plot's squared error is 1."""
    rng = np.random.default_rng(5)
    naive, honest, observed = [], [], np.zeros(40)
    for _ in range(200):
        errors, unit, order = rng.normal(size=(40, 10)), np.arange(40) // 2, np.arange(10)
        chosen = Choice.of(errors, unit, order, 0).chosen
        naive.append((errors[:, chosen] ** 2).mean())
        shares = choice_shares(errors, unit, order, 0, rng=rng, samples=20)
        honest.append(scores_of_choice(observed, errors, shares)["rmse"] ** 2)
    assert np.mean(naive) < 0.75
    assert np.mean(honest) == pytest.approx(1, abs=3 * np.std(honest) / np.sqrt(200))


def test_scores_of_a_choice_that_never_changes_are_those_of_the_model():
    rng = np.random.default_rng(0)
    observed, predicted = rng.normal(size=30), rng.normal(size=(30, 2))
    shares = np.tile([0.0, 1.0], (30, 1))
    expected = scores(observed, predicted[:, 1])
    assert scores_of_choice(observed, predicted, shares) == pytest.approx(expected)
    # Shares of a half are as good as each plot twice, once with either model.
    both = scores(np.tile(observed, 2), predicted.T.ravel()) | {"n": 30}
    assert scores_of_choice(observed, predicted, np.full((30, 2), 0.5)) == pytest.approx(both)


def test_scores_of_a_constant_target_are_no_numbers():
    found = scores_of_choice(np.ones(4), np.ones((4, 1)), np.ones((4, 1)))
    assert np.isnan([found["r"], found["r2"]]).all()
    assert found["rmse"] == 0


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        (np.full((3, 2), np.nan), "errors hold 6 NaN or infinite value"),
        (np.empty((0, 2)), "errors are empty"),
        (np.ones((2, 2)), "units have 3 rows where 2 are expected"),
        (np.ones((3, 3)), "order of models have 2 rows where 3 are expected"),
    ],
)
def test_what_cannot_be_compared_is_refused(errors, message):
    with pytest.raises(EvaluationError, match=message):
        Choice.of(errors, [0, 1, 2], [1, 2], 0)


def test_one_unit_alone_gives_no_score():
    with pytest.raises(EvaluationError, match="all plots are of one unit"):
        choice_shares(np.ones((3, 2)), [7, 7, 7], [1, 2], 0, rng=np.random.default_rng(0))
