"""The benchmark on real tables: folds, reading, cells that are kept, and its summary."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import real_sets


class Nearest:
    """Predicts the response of the last training plot."""

    def get_params(self) -> dict:
        return {}

    def fit(self, X: np.ndarray, y: np.ndarray) -> None:
        self.last = y[-1]

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.full(len(X), self.last)


@pytest.fixture
def table(tmp_path) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    places = np.repeat(rng.uniform(0, 5, (30, 2)), 2, axis=0)  # two plots a site
    table = pd.DataFrame(places, columns=["lon", "lat"]).assign(
        response=np.arange(60), rain=rng.normal(size=60), same=1
    )
    table.to_csv(tmp_path / "one.csv", index=False)
    return table


def test_features_come_first_and_constant_ones_are_left_out(table, tmp_path):
    X, y = real_sets.read(tmp_path / "one.csv")
    np.testing.assert_allclose(X, table[["rain", "lon", "lat"]])
    assert y.tolist() == list(range(60))


def test_plots_of_a_site_share_their_fold(table):
    for split, fold in real_sets.folds_of(table[["lon", "lat"]].to_numpy()).items():
        assert len(np.unique(fold)) == (real_sets.REGIONS if split == "regions" else 3)
        np.testing.assert_array_equal(fold[::2], fold[1::2])


def test_a_cell_is_computed_once(table, tmp_path, monkeypatch):
    monkeypatch.setitem(real_sets.MODELS, "ET", lambda seed: Nearest())
    first = real_sets.r2_of(tmp_path, ["one"], tmp_path, ["ET"])
    fold = real_sets.folds_of(table[["lon", "lat"]].to_numpy())["random"]
    y = table["response"].to_numpy(float)
    last = np.array([y[fold != k][-1] for k in range(3)])
    expected = 1 - np.mean((last[fold] - y) ** 2) / y.var()
    assert first.loc[("one", "random"), "ET"] == pytest.approx(expected)
    monkeypatch.delitem(real_sets.MODELS, "ET")
    pd.testing.assert_frame_equal(real_sets.r2_of(tmp_path, ["one"], tmp_path, ["ET"]), first)


def test_the_summary_counts_losses_beyond_noise():
    keys = pd.MultiIndex.from_product([["a", "b", "c", "d"], ["random"]], names=["table", "split"])
    row = real_sets.summary(pd.Series([0.1, -0.004, -0.02, 0.02], keys)).loc["random"]
    assert row.to_dict() == {
        "mean": 0.024, "median": 0.008, "worst": -0.02, "above 0": 0.5, "below -.005": 0.25
    }  # fmt: skip
