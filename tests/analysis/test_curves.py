"""Response curves of functions whose effects are known."""

import numpy as np
import pytest
import torch

from spatioformer.analysis.curves import PLOTS, STEPS, input_names, response_curve, some_plots
from tests.helpers.known import model, plots

RNG = np.random.default_rng(3)
INDEPENDENT = RNG.uniform(-1, 1, (4000, 2))
_SHARED = RNG.uniform(-1, 1, 4000)
CORRELATED = np.stack([_SHARED, _SHARED + RNG.uniform(-0.05, 0.05, 4000)], axis=1)


def centred(curve, term) -> np.ndarray:
    """A term at the values of a curve, without the offset that a curve does not have."""
    expected = term(curve.values)
    return expected - expected.mean() + curve.local.mean()


def test_both_curves_of_an_additive_function_are_its_terms():
    additive = model(lambda x, lon, lat: torch.sin(3 * x[:, 0]) + x[:, 1] ** 2 + lat)
    store = plots(INDEPENDENT)
    for name, term in (("a", lambda v: np.sin(3 * v)), ("b", np.square)):
        curve = response_curve(additive, store, name)
        assert len(curve.values) == STEPS
        np.testing.assert_allclose(curve.local, centred(curve, term), atol=1e-4)
        np.testing.assert_allclose(curve.partial, curve.local, atol=1e-4)
        low, high = np.quantile(store.chips[..., "ab".index(name)], (0.05, 0.95))
        assert (curve.values[[0, -1]] >= low).all()
        assert curve.values[-1] == pytest.approx(high, rel=0.01)
        assert curve.plots == 3600


def test_the_mean_of_a_curve_over_the_plots_is_0():
    """A plot counts as the middle of its interval, and intervals have equal numbers of plots."""
    curve = response_curve(model(lambda x, *_: torch.exp(x[:, 0])), plots(INDEPENDENT), "a")
    for effects in (curve.local, curve.partial):
        assert ((effects[1:] + effects[:-1]) / 2).mean() == pytest.approx(0, abs=1e-3)


def test_an_interaction_of_independent_bands_has_no_main_effect():
    curve = response_curve(model(lambda x, *_: x[:, 0] * x[:, 1]), plots(INDEPENDENT), "a")
    assert np.abs(curve.local).max() < 0.05
    assert np.abs(curve.partial).max() < 0.05


def test_an_interaction_of_equal_bands():
    """The local effect of x1 x2 with x2 = x1 is the integral of x, half of its square."""
    same = plots(np.stack([_SHARED, _SHARED], axis=1))
    curve = response_curve(model(lambda x, *_: x[:, 0] * x[:, 1]), same, "a")
    np.testing.assert_allclose(curve.local, centred(curve, lambda v: v**2 / 2), atol=0.02)
    assert np.abs(curve.partial).max() < 0.1, "partial dependence is x times the mean of x2"


def test_correlated_bands_mislead_partial_dependence_only():
    """Away from real chips, where bands differ by .2 or more, the function is wild."""
    wild = model(lambda x, *_: x[:, 0] + 30 * torch.relu((x[:, 0] - x[:, 1]).abs() - 0.2))
    curve = response_curve(wild, plots(CORRELATED), "a")
    np.testing.assert_allclose(curve.local, centred(curve, lambda v: v), atol=0.15)
    assert np.abs(curve.partial - curve.local).max() > 3


def test_an_unused_band_has_a_flat_curve():
    curve = response_curve(model(lambda x, *_: x[:, 0]), plots(INDEPENDENT), "b")
    assert np.abs(curve.local).max() == 0
    assert np.abs(curve.partial).max() == 0


def test_chips_move_as_a_whole_and_keep_their_pattern():
    store = plots(INDEPENDENT[:500], patch=3)
    store.chips[:, 0, 0, 0] += 9  # the mean of a chip lies 1 above its centre
    curve = response_curve(model(lambda x, *_: 2 * x[:, 0], patch=3), store, "a")
    np.testing.assert_allclose(curve.local, centred(curve, lambda v: 2 * v), atol=1e-4)
    before = store.chips.copy()
    np.testing.assert_array_equal(store.chips, before)


@pytest.mark.parametrize(("values", "expected"), [([0, 1], [0, 3]), ([5, 5], [0])])
def test_few_values(values, expected):
    """A band of zeros and ones has one interval; a constant one has no effect."""
    band = np.tile(values, 50)
    curve = response_curve(
        model(lambda x, *_: 3 * x[:, 0], bands=1), plots(band[:, None].astype(float)), "a"
    )
    np.testing.assert_array_equal(curve.values, np.unique(values))
    np.testing.assert_allclose(curve.local - curve.local[0], expected, atol=1e-6)


def test_a_sample_of_plots():
    store = plots(np.tile(INDEPENDENT, (2, 1)))
    few = some_plots(store, seed=1)
    assert len(few) == PLOTS
    ids = few.table["plot_id"].to_numpy()
    assert (np.diff(ids) > 0).all()
    np.testing.assert_array_equal(few.chips, store.chips[ids])
    assert input_names(few) == ["a", "b"]
