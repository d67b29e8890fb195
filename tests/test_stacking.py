"""Stacking: weights with known answers, and that nothing but training plots decides them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spatioformer import bundle
from spatioformer.baselines import TABULAR, random_forest
from spatioformer.config import RunConfig
from spatioformer.errors import EvaluationError
from spatioformer.geo.chips import ChipStore
from spatioformer.models import STACKED, make
from spatioformer.stacking import StackedModel, convex_weights


def squared(predictions: np.ndarray, observed: np.ndarray, weights: np.ndarray) -> float:
    return float(np.sum((predictions @ weights - observed) ** 2))


def test_two_members_have_a_closed_form():
    rng = np.random.default_rng(0)
    y = rng.normal(size=50)
    P = np.column_stack([y + rng.normal(size=50), y + 2 * rng.normal(size=50)])
    a, b = (P - y[:, None]).T
    best = np.dot(b, b - a) / np.dot(a - b, a - b)
    np.testing.assert_allclose(convex_weights(P, y), [best, 1 - best], rtol=1e-12)
    assert 0.5 < best < 1


def test_the_better_of_two_alike_gets_all():
    y = np.arange(10.0)
    P = np.column_stack([y + 1, y + 3])
    np.testing.assert_allclose(convex_weights(P, y), [1, 0], atol=1e-12)


def test_members_without_error_share():
    y = np.arange(5.0)
    np.testing.assert_array_equal(convex_weights(np.column_stack([y, y]), y), [0.5, 0.5])
    np.testing.assert_allclose(convex_weights(np.column_stack([y, y + 1]), y), [1, 0], atol=1e-12)


values = st.floats(-100, 100)


@settings(deadline=None, max_examples=50)
@given(arrays(float, (12, 3), elements=values), arrays(float, 12, elements=values))
def test_no_compromise_is_better(predictions, observed):
    weights = convex_weights(predictions, observed)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    reached = squared(predictions, observed, weights)
    others = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    for other in [*others, *np.eye(3)]:
        assert reached <= squared(predictions, observed, other) * (1 + 1e-9) + 1e-9


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

    def __init__(self, offset: float, seen: list):
        self.offset, self.seen = offset, seen

    def fit(self, store, rows):
        self.trained = set(rows.tolist())
        self.seen.append(("fit", self.trained))

    def predict(self, store, rows):
        self.seen.append(("predict", set(rows.tolist())))
        # Right by memory: weights from plots a member was trained on would all be its own.
        known = np.isin(rows, list(self.trained))
        return store.richness[rows] + np.where(known, 0, self.offset)


def test_weights_come_from_held_out_tiles_of_the_training_plots():
    plots, seen = store(), []
    rows, test = np.arange(45), np.arange(45, 60)
    stack = StackedModel([lambda: Spy(1.0, seen), lambda: Spy(-3.0, seen)], tile=1.0, seed=0)
    stack.fit(plots, rows)
    np.testing.assert_allclose(stack.weights, [0.75, 0.25])  # 0.75 * 1 - 0.25 * 3 = 0
    trained = [part for what, part in seen if what == "fit"]
    asked = [part for what, part in seen if what == "predict"]
    assert len(trained) == 2 * (3 + 1)
    assert all(part <= set(rows.tolist()) for part in trained + asked)
    assert set.union(*asked) == set(rows.tolist())
    tile = np.floor(plots.coordinates)
    for here, other in zip(trained[:6], asked, strict=True):
        assert not here & other
        assert not {*map(tuple, tile[[*here]])} & {*map(tuple, tile[[*other]])}
    assert trained[-1] == set(rows.tolist())
    np.testing.assert_allclose(stack.predict(plots, test), plots.richness[test])


def test_one_tile_is_too_few():
    stack = StackedModel([lambda: Spy(1.0, [])], tile=90.0, seed=0)
    with pytest.raises(EvaluationError, match="all 60 training plots lie in one such tile"):
        stack.fit(store(), np.arange(60))


def test_plots_in_two_tiles_make_two_folds():
    seen = []
    stack = StackedModel([lambda: Spy(1.0, seen)], tile=3.0, seed=0)
    stack.fit(store(), np.arange(60))
    assert sum(what == "fit" for what, _ in seen) == 3
    np.testing.assert_allclose(stack.weights, [1.0])


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(
        name="x", out="x", plots={"path": "x"}, imagery={"layers": [{"path": "x", "name": "x"}]},
        model={"patch": 1, "width": 8, "heads": 2, "layers": 1},
        train={"epochs": 2, "validation_tile": 0.5},
    )  # fmt: skip


def test_a_run_knows_the_stack_by_name(config, monkeypatch):
    small = lambda seed: random_forest(seed).set_params(n_estimators=10)  # noqa: E731
    monkeypatch.setitem(TABULAR, "random-forest", small)
    plots, rows, test = store(), np.arange(45), np.arange(45, 60)
    stack = make("spatioformer-stacked", config, 3)
    stack.fit(plots, rows)
    assert stack.weights.sum() == pytest.approx(1)
    alone = []
    for name in STACKED:
        member = make(name, config, 3)
        member.fit(plots, rows)
        alone.append(member.predict(plots, test))
    expected = np.column_stack(alone).astype(float) @ stack.weights
    np.testing.assert_allclose(stack.predict(plots, test), expected, rtol=1e-6)


def test_factoformer_trains_and_comes_back_from_its_bundle(config, tmp_path):
    plots, rows, test = store(), np.arange(45), np.arange(45, 60)
    members = config.model_copy(update={"model": config.model.model_copy(update={"members": 3})})
    model = make("factoformer", members, 0)
    model.fit(plots, rows)
    predicted = model.predict(plots, test)
    again = bundle.load(model.bundle.save(tmp_path / "model"))
    assert type(again.network).__name__ == "FactoFormer"
    chips = (plots.chips[test], plots.lon[test], plots.lat[test])
    np.testing.assert_array_equal(again.predict(*chips), predicted)
    assert np.isfinite(predicted).all()
