"""Stacking: weights with known answers, and that nothing but training plots decides them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spatioformer.common.errors import EvaluationError
from spatioformer.common.progress import Console
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models.baselines import TABULAR
from spatioformer.models.capabilities import FitContext
from spatioformer.models.registry import STACKED, make
from spatioformer.models.stack_estimator import StackEstimator
from spatioformer.models.stacking import (
    Reach,
    convex_weights,
    design_effect,
    pieces,
    to_nearest,
)
from spatioformer.models.store import load


def equal(count: int) -> np.ndarray:
    return np.full(count, 1 / count)


def near(predictions: np.ndarray, observed: np.ndarray) -> np.ndarray:
    errors = predictions - observed[:, None]
    return convex_weights(errors, np.zeros(len(observed)), equal(errors.shape[1]), 0)[0]


def plain(errors: np.ndarray, far: np.ndarray, weights: np.ndarray) -> float:
    blend = (1 - far)[:, None] * weights[0] + far[:, None] * weights[1]
    return float(np.sum(np.sum(errors * blend, axis=1) ** 2))


def test_the_design_effect_counts_independent_plots():
    rng = np.random.default_rng(0)
    errors, weights = rng.normal(size=(4000, 3)), equal(3)
    assert design_effect(errors, np.arange(4000), weights) == pytest.approx(1)
    assert design_effect(errors, np.arange(4000) // 20, weights) == pytest.approx(1, abs=0.2)
    copies = np.repeat(errors[:200], 20, axis=0)
    assert design_effect(copies, np.arange(4000) // 20, weights) == pytest.approx(20)
    assert design_effect(np.zeros((4, 2)), np.arange(4), equal(2)) == 1


def test_copies_of_plots_that_count_as_one_change_nothing():
    rng = np.random.default_rng(0)
    errors, far, prior = rng.normal(size=(50, 3)), rng.random(50), np.array([0.6, 0.3, 0.1])
    once = convex_weights(errors, far, prior, 40, np.ones((50, 3)) / 10)
    copies = (np.repeat(errors, 8, axis=0), np.repeat(far, 8))
    noise, eighth = np.ones((400, 3)) / 10, np.full(400, 1 / 8)
    same = convex_weights(*copies, prior, 40, noise, eighth)
    np.testing.assert_allclose(same, once, atol=1e-6)
    assert np.abs(convex_weights(*copies, prior, 40, noise) - once).max() > 0.02


def test_two_members_have_a_closed_form():
    rng = np.random.default_rng(0)
    y = rng.normal(size=50)
    P = np.column_stack([y + rng.normal(size=50), y + 2 * rng.normal(size=50)])
    a, b = (P - y[:, None]).T
    best = np.dot(b, b - a) / np.dot(a - b, a - b)
    np.testing.assert_allclose(near(P, y), [best, 1 - best], rtol=1e-6)
    assert 0.5 < best < 1


def test_near_and_far_are_fitted_apart():
    """Plots that are wholly near or wholly far make two problems, each with its own answer."""
    rng = np.random.default_rng(1)
    errors = rng.normal(size=(50, 2)) * [1, 2]
    errors[25:] = errors[25:, ::-1]
    found = convex_weights(errors, np.repeat([0.0, 1.0], 25), equal(2), 0)
    for part, weights in zip((errors[:25], errors[25:]), found, strict=True):
        a, b = part.T
        best = np.dot(b, b - a) / np.dot(a - b, a - b)
        np.testing.assert_allclose(weights, [best, 1 - best], rtol=1e-6)
    assert found[0, 0] > 0.5 > found[1, 0]


def test_the_better_of_two_alike_gets_all():
    y = np.arange(10.0)
    P = np.column_stack([y + 1, y + 3])
    np.testing.assert_allclose(near(P, y), [1, 0], atol=1e-7)


@pytest.mark.parametrize("belief", [0.5, 0.1])
def test_belief_has_a_closed_form_and_fades(belief):
    """Of two members, errors orthogonal: n (w^2 + 4 (1 - w)^2) + 2 x 40 (w - belief)^2."""
    for repeats in (4, 40, 40_000):
        errors = np.tile([[1.0, 2], [1, -2], [-1, 2], [-1, -2]], (repeats // 4, 1))
        best = (4 * repeats + 2 * 40 * belief) / (5 * repeats + 2 * 40)
        weights = convex_weights(errors, np.zeros(repeats), np.array([belief, 1 - belief]), 40)
        np.testing.assert_allclose(weights[0], [best, 1 - best], rtol=1e-6)
        np.testing.assert_allclose(weights[1], [belief, 1 - belief], rtol=1e-6)  # no plot is far
    assert best == pytest.approx(0.8, abs=1e-3)


def test_members_without_error_share():
    y = np.arange(5.0)
    np.testing.assert_array_equal(near(np.column_stack([y, y]), y), [0.5, 0.5])
    np.testing.assert_allclose(near(np.column_stack([y, y + 1]), y), [1, 0], atol=1e-7)


values = st.floats(-100, 100)


@settings(deadline=None, max_examples=50)
@given(arrays(float, (12, 3), elements=values), arrays(float, 12, elements=st.floats(0, 1)))
def test_no_compromise_is_better(errors, far):
    believed = np.array([0.2, 0.3, 0.5])
    weights = convex_weights(errors, far, believed, strength=15)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    belief = 15 * np.min(np.mean(errors**2, axis=0))

    def squared(errors, far, weights):
        return plain(errors, far, weights) + belief * np.sum((weights - believed) ** 2)

    reached = squared(errors, far, weights)
    others = np.random.default_rng(0).dirichlet(np.ones(3), (200, 2))
    for other in [*others, *(np.stack([one, two]) for one in np.eye(3) for two in np.eye(3))]:
        assert reached <= squared(errors, far, other) * (1 + 1e-6) + 1e-6


def test_far_is_measured_in_the_logarithm():
    reach = Reach(1_000.0, 100_000.0)
    distance = np.array([0, 500, 1_000, 10_000, 100_000, 1e6])
    np.testing.assert_allclose(reach.share(distance), [0, 0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(Reach.of(np.full(9, 7.0)).share(distance), np.zeros(6))
    assert Reach.of(np.arange(101.0)) == Reach(10.0, 90.0)


def test_pieces_are_sites_tiles_and_blocks():
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 12, (400, 2)) + [0, 2]  # nine blocks of 4 x 4 tiles, 1 degree each
    places = np.concatenate([places, places[:50]])  # sites that were visited twice
    piece = pieces(places, 1.0, seed=3)
    np.testing.assert_array_equal(piece[400:], piece[:50])
    kinds = {"tile": 0, "block": 0, "site": 0}
    block = np.floor((places - [0, 2]) / 4) @ [10, 1]
    for b in np.unique(block):
        here, tile = piece[block == b], np.floor(places[block == b]) @ [100, 1]
        plots = len(np.unique(places[block == b], axis=0))
        assert not set(here) & set(piece[block != b])
        if len(set(here)) == 1:
            kinds["block"] += 1
        elif len(set(here)) == plots:
            kinds["site"] += 1
        else:
            kinds["tile"] += 1
            assert len(set(here)) == len(set(tile)) == len({*zip(here, tile, strict=True)})
    assert kinds == {"tile": 3, "block": 3, "site": 3}


def store(n: int = 60) -> ChipStore:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(0, 6, n), rng.uniform(0, 1, n)
    table = pd.DataFrame({"lon": lon, "lat": lat, "richness": rng.normal(20, 5, n)})
    return ChipStore(
        rng.normal(size=(n, 1, 1, 2)).astype(np.float32),
        lon.reshape(n, 1, 1), lat.reshape(n, 1, 1), table, ["a", "b"],
    )  # fmt: skip


class Spy:
    """Predicts `offset` too much; notes what it was trained on and asked for."""

    covariates = None

    def __init__(self, offset: float, seen: list, trained: frozenset = frozenset()):
        self.offset, self.seen, self.trained = offset, seen, trained

    def fit(self, store, rows, *, context=None):
        trained = frozenset(rows.tolist())
        self.seen.append(("fit", trained))
        return type(self)(self.offset, self.seen, trained)

    def predict_rows(self, store, rows):
        self.seen.append(("predict", set(rows.tolist())))
        # Right by memory: weights from plots a member was trained on would all be its own.
        known = np.isin(rows, list(self.trained))
        return store.richness[rows] + np.where(known, 0, self.offset)


def stack_of(*members, tile: float = 1.0, strength: float = 0) -> StackEstimator:
    """A stack of members with equal prior weights, of no strength unless told otherwise."""
    named = {str(number): member for number, member in enumerate(members)}
    return StackEstimator(named, dict.fromkeys(named, 1 / len(named)), tile, 0, strength)


def test_weights_come_from_held_out_pieces_of_the_training_plots():
    plots, seen = store(), []
    rows, test = np.arange(45), np.arange(45, 60)
    stack = stack_of(Spy(1.0, seen), Spy(-3.0, seen)).fit(plots, rows)
    np.testing.assert_allclose(stack.shares, [[0.75, 0.25]] * 2)  # 0.75 * 1 - 0.25 * 3 = 0
    trained = [part for what, part in seen if what == "fit"]
    asked = [part for what, part in seen if what == "predict"]
    assert len(trained) == 2 * (3 + 1)
    assert all(part <= set(rows.tolist()) for part in trained + asked)
    assert set.union(*asked) == set(rows.tolist())
    piece = pieces(plots.coordinates[rows], 1.0, seed=0)
    for here, other in zip(trained[:6], asked, strict=True):
        assert not here & other
        assert not set(piece[[*here]]) & set(piece[[*other]])
    assert trained[-1] == set(rows.tolist())
    np.testing.assert_allclose(stack.predict_rows(plots, test), plots.richness[test], rtol=1e-6)


class Worn(Spy):
    """Is interrupted at its third training."""

    def fit(self, store, rows, *, context=None):
        model = super().fit(store, rows)
        if sum(what == "fit" for what, _ in self.seen) == 3:
            raise KeyboardInterrupt
        return model


@pytest.mark.parametrize("resume", [True, False])
def test_an_interrupted_training_goes_on_after_its_last_answer(tmp_path, capsys, resume):
    plots, rows = store(), np.arange(45)

    def stack(kind, seen):
        return stack_of(Spy(1.0, []), kind(-3.0, seen), strength=40)

    whole = stack(Spy, []).fit(plots, rows)
    kept = tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        stack(Worn, []).fit(plots, rows, context=FitContext(kept))
    assert sorted(path.name for path in kept.iterdir()) == [
        "0-0.npy", "0-1.npy", "1-0.npy", "1-1.npy", "2-0.npy"
    ]  # fmt: skip
    (kept / "2-1.part.npy").write_bytes(b"killed")  # while it was written
    seen = []
    context = FitContext(kept, resume, console=Console(interactive=False))
    again = stack(Spy, seen).fit(plots, rows, context=context)
    assert sum(what == "fit" for what, _ in seen) == (2 if resume else 4)
    assert ("continuing after 5 of 8" in capsys.readouterr().err) == resume
    np.testing.assert_array_equal(again.shares, whole.shares)


class Near(Spy):
    """Right within 10 km of what it was trained on, 10 too much at 100 km and beyond."""

    def predict_rows(self, store, rows):
        known = store.coordinates[[*self.trained]]
        km = to_nearest(store.coordinates[rows], known) / 1000
        return store.richness[rows] + 10 * np.log10(np.clip(km / 10, 1, 10))


def test_each_member_speaks_where_it_knows():
    plots = store(200)
    rows, test = np.arange(150), np.arange(150, 200)
    estimator = stack_of(Near(0, []), Spy(7.0, []), tile=0.5)
    stack = estimator.fit(plots, rows)
    assert stack.shares[0, 0] > 0.9
    assert stack.shares[1, 1] > 0.9
    stack = estimator.fit(plots, rows[plots.coordinates[rows, 0] < 3])
    far = plots.coordinates[test, 0] > 4
    error = stack.predict_rows(plots, test)[far] - plots.richness[test][far]
    np.testing.assert_allclose(error, stack.shares[1] @ [10, 7])


def test_tiles_become_smaller_until_plots_lie_in_two():
    seen = []
    stack_of(Spy(1.0, seen), tile=90.0).fit(store(), np.arange(60))
    assert sum(what == "fit" for what, _ in seen) >= 3


def test_one_place_cannot_be_held_out():
    plots = store()
    plots.table[["lon", "lat"]] = 10.0
    with pytest.raises(EvaluationError, match=r"60 plots lie at 1 place\(s\)"):
        stack_of(Spy(1.0, []), tile=90.0).fit(plots, np.arange(60))


def test_plots_in_two_tiles_make_two_folds():
    seen = []
    stack = stack_of(Spy(1.0, seen), tile=3.0, strength=40).fit(store(), np.arange(60))
    assert sum(what == "fit" for what, _ in seen) == 3
    np.testing.assert_allclose(stack.shares, [[1.0], [1.0]])


SECTIONS = (
    ModelSection(patch=1, width=8, heads=2, layers=1),
    TrainSection(epochs=2, validation_tile=0.5),
)


@pytest.mark.slow
@pytest.mark.usefixtures("small_forests")
def test_a_run_knows_the_stack_by_name(monkeypatch):
    sizes = {
        "extra-trees": {"n_estimators": 10},
        "gradient-boosting": {"steps": 5},
        "forest-kriging": {"forest__n_estimators": 10},
    }
    for name, size in sizes.items():
        whole = TABULAR[name]
        monkeypatch.setitem(TABULAR, name, lambda seed, m=whole, s=size: m(seed).set_params(**s))
    plots, rows, test = store(), np.arange(45), np.arange(45, 60)
    stack = make("spatioformer-stacked", *SECTIONS, seed=3).fit(plots, rows)
    np.testing.assert_allclose(stack.shares.sum(axis=1), 1)
    alone = []
    for name in STACKED:
        member = make(name, *SECTIONS, seed=3).fit(plots, rows)
        alone.append(member.predict_rows(plots, test))
    distance = to_nearest(plots.coordinates[test], plots.coordinates[rows])
    far = stack.reach.share(distance)[:, None]
    weights = stack.shares[0] * (1 - far) + stack.shares[1] * far
    expected = np.sum(np.column_stack(alone).astype(float) * weights, axis=1)
    np.testing.assert_allclose(stack.predict_rows(plots, test), expected, rtol=1e-6)


def test_factoformer_trains_and_comes_back_from_its_folder(tmp_path):
    plots, rows, test = store(), np.arange(45), np.arange(45, 60)
    section, train = SECTIONS
    members = section.model_copy(update={"members": 3})
    model = make("factoformer", members, train).fit(plots, rows)
    predictions = model.predict_rows(plots, test)
    again = load(model.save(tmp_path / "model"))
    assert type(again.network).__name__ == "FactoFormer"
    chips = (plots.chips[test], plots.lon[test], plots.lat[test])
    np.testing.assert_array_equal(again.predict(*chips), predictions)
    assert np.isfinite(predictions).all()
