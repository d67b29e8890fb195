"""Order of plots by their values."""

import numpy as np

from spatioformer.models.baselines.order import canonical_order


def test_the_sorted_rows_do_not_depend_on_their_order():
    rng = np.random.default_rng(1)
    X, y = rng.integers(0, 3, (50, 4)).astype(float), rng.integers(0, 3, 50).astype(float)
    X[::7, 0] = np.nan
    once = canonical_order(X, y)
    shuffled = rng.permutation(50)
    again = shuffled[canonical_order(X[shuffled], y[shuffled])]
    np.testing.assert_array_equal(X[once], X[again])
    np.testing.assert_array_equal(y[once], y[again])
