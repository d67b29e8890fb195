"""Sign-flip tests: known answers, and the level they promise, whatever the units."""

import itertools

import numpy as np
import pytest
from scipy.special import stdtr

from spatioformer.evaluation.sign_flips import EXHAUSTIVE, PATTERNS, p_values


def all_signs(units: int) -> np.ndarray:
    return np.array(list(itertools.product([1.0, -1.0], repeat=units)))


def test_three_units_by_hand():
    """The sums 3 + 1 - 1 = 3; of the eight patterns of 3, 1, 1 three reach 3: 5, 3, 3."""
    sums = np.array([[3.0, -3.0], [1.0, -1.0], [-1.0, 1.0]])
    np.testing.assert_array_equal(p_values(sums), [3 / 8, 7 / 8])


@pytest.mark.parametrize("units", [1, 2, 5, 6, EXHAUSTIVE])
def test_units_that_agree_reject_as_strongly_as_their_number_allows(units):
    sums = np.random.default_rng(0).uniform(0.1, 9, (units, 1))
    assert p_values(sums)[0] == 2.0**-units
    assert (p_values(sums)[0] <= 0.025) == (units >= 6)


def test_many_units_have_random_patterns_and_the_observed_one():
    assert p_values(np.ones((EXHAUSTIVE + 20, 1)))[0] == 1 / PATTERNS
    sums = np.random.default_rng(1).normal(0.1, 1, (300, 4))
    t = sums.mean(axis=0) / (sums.std(axis=0, ddof=1) / np.sqrt(300))
    np.testing.assert_allclose(p_values(sums), 1 - stdtr(299, t), atol=0.03)
    np.testing.assert_array_equal(p_values(sums), p_values(sums))


def test_the_size_of_the_values_does_not_matter():
    sums = np.random.default_rng(2).normal(size=(9, 3))
    for family in (False, True):
        expected = p_values(sums, family=family)
        np.testing.assert_array_equal(p_values(sums * [1e-6, 1, 1e9], family=family), expected)


def test_sums_of_zero_reject_nothing():
    sums = np.column_stack([np.zeros(8), np.ones(8)])
    np.testing.assert_array_equal(p_values(sums), [1, 2**-8])
    assert p_values(sums, family=True)[0] >= 0.5


def test_a_family_of_copies_is_one_test_and_one_of_others_is_stricter():
    rng = np.random.default_rng(3)
    sums = rng.normal(0.5, 1, (10, 1))
    np.testing.assert_array_equal(
        p_values(np.repeat(sums, 5, axis=1), family=True), np.repeat(p_values(sums), 5)
    )
    others = np.column_stack([sums, rng.normal(size=(10, 4))])
    alone, together = p_values(others), p_values(others, family=True)
    assert (together >= alone).all()
    assert together[0] > alone[0]
    assert (together <= 5 * alone).all(), "never stricter than Bonferroni's correction"


@pytest.mark.parametrize("shares", [np.ones(8), 3.0 ** np.arange(8)])
def test_the_level_holds_exactly_for_equal_and_for_very_unequal_units(shares):
    """Under the null hypothesis all patterns of signs are equally likely: count the rejections."""
    sums = np.random.default_rng(4).normal(size=(8, 3)) * shares[:, None]
    tests = [p_values(signs[:, None] * sums, family=True) for signs in all_signs(8)]
    for level in (0.025, 0.1, 0.5):
        rejected = np.mean([(p <= level).any() for p in tests])
        assert level - 2 / 2**8 <= rejected <= level
