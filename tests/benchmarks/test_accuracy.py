"""The accuracy benchmark: what its cells see, its intervals, and its table of a small folder."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from benchmarks.accuracy import cells, config_of, key_of, neighbours, run_cell
from benchmarks.accuracy_plan import (
    AUTO,
    CANDIDATES,
    DEFAULTS,
    GRIDS,
    MODELS,
    NEIGHBOURS,
    NETWORK_CODE,
    OURS,
    SCORED,
    TABULAR_CODE,
    Cell,
    why_not,
)
from benchmarks.accuracy_ranks import alt_text, complete, diagram, ranks
from benchmarks.accuracy_table import collect, interval, rows_of, with_former
from benchmarks.accuracy_text import at_a_glance, markdown
from benchmarks.datasets import DataSet, cropped
from sklearn.ensemble import RandomForestRegressor

from benchmarks import accuracy, accuracy_ranks, accuracy_table
from spatioformer.config.learning import MODELS as KNOWN
from spatioformer.evaluation import scores
from spatioformer.evaluation.bootstrap import Bootstrap
from spatioformer.geo.chips import ChipStore
from spatioformer.models.baselines import TABULAR, TunedForest


def survey(n: int = 240, patch: int = 1, seed: int = 0) -> DataSet:
    """Plots on 12 x 6 degrees whose richness follows longitude and a band."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(140, 152, n), rng.uniform(-30, -24, n)
    chips = rng.normal(size=(n, patch, patch, 2)).astype(np.float32)
    middle = chips[:, patch // 2, patch // 2, 0]
    richness = np.rint(20 + 2 * (lon - 146) + 3 * middle + rng.normal(size=n)).clip(0)
    table = pd.DataFrame({"lon": lon, "lat": lat, "richness": richness})
    step = 0.01 * (np.arange(patch) - patch // 2)
    places = np.broadcast_arrays(
        lon[:, None, None] + step, lat[:, None, None] - step[:, None], chips[..., 0]
    )[:2]
    store = ChipStore(chips, *places, table, ["a", "b"])
    return DataSet(store, (1, 2), tile=1.0, regions=np.where(lon < 146, "west", "east"))


@pytest.fixture(scope="module")
def data() -> DataSet:
    return survey()


class Constant:
    """Stands for a network: predicts `epochs` species everywhere."""

    def __init__(self, name, model, train, seed):
        self.epochs, self.facts = train.epochs, {}

    def fit(self, store, rows, context):
        return self

    def predict_rows(self, store, rows):
        return np.full(len(rows), float(self.epochs))


def put(folder, data: DataSet, split: str, model: str, error: np.ndarray, seed: int = 0) -> None:
    """Files of all folds of a model that is off by `error` (n,)."""
    fold = data.folds(split)
    for number in range(fold.max() + 1):
        rows = np.flatnonzero((fold == number) & ~data.dev)
        out = (data.wide.richness + error)[rows]
        path = folder / f"tiny_{split}_{model}_{seed}_{number}_key.npz"
        np.savez(path, rows=rows, predicted=out, seconds=2.0, settings="{}")


# --- what is held out -----------------------------------------------------------------------------


def test_plots_for_tuning_are_whole_blocks_of_about_a_fifth(data):
    assert not set(data.blocks[data.dev]) & set(data.blocks[~data.dev])
    assert 0.2 <= data.dev.mean() < 0.3


def test_splits_hold_out_whole_blocks_and_regions(data):
    for split, size in (("small-blocks", 1), ("large-blocks", 2)):
        tile = np.floor(data.wide.coordinates / size)
        held = {name: data.folds(name) for name in (split, "random")}
        folds_of_tile = {
            name: pd.DataFrame(tile).assign(fold=fold).groupby([0, 1])["fold"].nunique()
            for name, fold in held.items()
        }
        assert folds_of_tile[split].max() == 1
        assert folds_of_tile["random"].max() > 1  # the check can fail
    regions = pd.Series(data.folds("regions")).groupby(data.regions).nunique()
    assert regions.tolist() == [1, 1]


def test_cells_are_those_that_apply(data):
    models = ["location-knn", "random-forest", "spatioformer"]
    listed = list(cells(["tiny"], ["random", "regions"], models, 2, {"tiny": data}))
    seeds = pd.Series([cell.seed for cell in listed]).groupby([c.model for c in listed]).unique()
    assert seeds["location-knn"].tolist() == [0]
    assert seeds["random-forest"].tolist() == [0, 1]
    assert seeds["spatioformer"].tolist() == [0, 1]
    assert len(listed) == (5 + 2) * 5
    assert [cell.seed for cell in listed] == sorted(cell.seed for cell in listed)
    no_regions = {"tiny": replace(data, regions=None)}
    assert not list(cells(["tiny"], ["regions"], ["random-forest"], 1, no_regions))
    assert why_not(data, "random", "cnn-published") == "tabular data: P = 1"
    assert why_not(survey(40, patch=7), "random", "cnn-published") is None


def test_cells_of_one_fold_follow_each_other_and_share_fits(data, tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy, "TREES", 60)
    models = ["forest-kriging", "location-knn", "random-forest"]
    listed = list(cells(["tiny"], ["random"], models, 1, {"tiny": data}))
    assert [(cell.fold, cell.model) for cell in listed[:4]] == [
        (0, "location-knn"),
        (0, "random-forest"),
        (0, "forest-kriging"),
        (1, "location-knn"),
    ]
    fits, fit = [], TunedForest.fit
    monkeypatch.setattr(TunedForest, "fit", lambda *given: fits.append(1) or fit(*given))
    shared: dict = {}
    paths = [run_cell(cell, data, tmp_path, False, shared) for cell in listed[1:3]]
    assert len(fits) == 1
    alone = run_cell(listed[2], data, tmp_path / "alone", False)
    np.testing.assert_array_equal(np.load(alone)["predicted"], np.load(paths[1])["predicted"])


def test_every_model_is_known_and_gets_at_most_8_settings(data):
    assert set(MODELS) - set(DEFAULTS) <= set(KNOWN)
    assert set(TABULAR) | set(OURS) <= set(SCORED)
    assert all(1 <= len(grid) <= 8 for grid in GRIDS.values())
    assert not set(TABULAR) & set(GRIDS)  # they choose in each fold
    for grid in GRIDS.values():
        for settings in grid:
            config_of(data, settings)  # or it raises


def test_networks_see_the_middle_of_wide_chips():
    wide = survey(5, patch=7).wide
    small = cropped(wide, 3)
    np.testing.assert_array_equal(small.chips, wide.chips[:, 2:5, 2:5])
    np.testing.assert_array_equal(small.lon[:, 1, 1], wide.lon[:, 3, 3])
    np.testing.assert_array_equal(small.coordinates, wide.coordinates)


# --- cells ----------------------------------------------------------------------------------------


def test_a_cell_is_tuned_on_the_plots_for_tuning_alone(data, tmp_path, monkeypatch):
    """A grid of two is judged by predictions within `dev`; the cell leaves its own fold out."""
    asked = []
    monkeypatch.setattr(accuracy, "NetworkEstimator", Constant)
    original = accuracy.predicted

    def spy(name, data, settings, seed, training, test, fitted=None):
        asked.append((settings, training, test))
        return original(name, data, settings, seed, training, test, fitted)

    monkeypatch.setattr(accuracy, "predicted", spy)
    network = "spatioformer"
    monkeypatch.setitem(GRIDS, network, [{"train__epochs": 2}, {"train__epochs": 20}])
    cell = Cell("tiny", "large-blocks", network, 0, 1)
    path = run_cell(cell, data, tmp_path, keep=False)
    dev, fold = np.flatnonzero(data.dev), data.folds("large-blocks")
    *tuning, (settings, training, test) = asked
    assert len(tuning) == 2 * 2 * accuracy.DEV_FOLDS
    assert all(np.isin(np.concatenate(rows), dev).all() for _, *rows in tuning)
    np.testing.assert_array_equal(training, np.flatnonzero(fold != 1))
    np.testing.assert_array_equal(test, np.flatnonzero((fold == 1) & ~data.dev))
    tried = json.loads(next(tmp_path.glob("tuned_*")).read_text())["tried"]
    best = max(tried, key=lambda t: sum(t["r2"].values()))
    assert settings == best["settings"] == {"train__epochs": 20}
    assert run_cell(cell, data, tmp_path, keep=False) == path
    assert len(asked) == len(tuning) + 1  # nothing is made twice
    monkeypatch.setitem(GRIDS, network, [{"train__epochs": 3}])
    assert run_cell(cell, data, tmp_path, keep=True) == path
    assert run_cell(cell, data, tmp_path, keep=False) != path


def test_every_pattern_of_code_matches_a_file():
    for pattern in (*TABULAR_CODE, *NETWORK_CODE):
        assert accuracy.code_files(pattern)


def test_neighbours_are_as_many_as_plots_left_out_want():
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 10, (300, 2))
    noise = rng.normal(size=300)
    assert neighbours(places, 20 + noise) == max(NEIGHBOURS)  # a mean of many is best
    slope = 20 + 10 * places.sum(axis=1) + 0.1 * noise
    assert neighbours(places, slope) == min(NEIGHBOURS)  # the nearest are best


def test_forests_by_defaults_are_those_of_scikit_learn(data):
    training, test = np.arange(200), np.arange(200, 240)
    store = data.store
    X = np.column_stack([store.chips[:, 0, 0], store.coordinates])
    forest = RandomForestRegressor(accuracy.TREES, random_state=3)
    expected = forest.fit(X[training], store.richness[training]).predict(X[test])
    out, chosen = accuracy.predicted("random-forest-defaults", data, {}, 3, training, test)
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    assert chosen == {}


def test_the_area_of_plots_is_a_covariate(data):
    table = data.wide.table.assign(area_m2=np.linspace(100, 1e4, 240))
    plots = replace(data, wide=replace(data.wide, table=table), covariates=("area_m2",))
    assert config_of(plots, {})[0].usual == {"area_m2": None}
    process = accuracy.build("gaussian-process", plots, {}, 0).fit(plots.store, np.arange(100))
    assert process.regressor.effort == 0
    assert config_of(data, {})[0].usual == {}


def test_a_set_without_plots_for_tuning_scores_all(data, tmp_path):
    whole = replace(data, dev_share=0)
    assert not whole.dev.any()
    assert (
        accuracy.tuned("spatioformer", "tiny", whole, tmp_path, False) == GRIDS["spatioformer"][0]
    )
    put(tmp_path, whole, "random", "lightgbm", np.ones(240))
    assert len(collect(tmp_path, "tiny", whole, "random", "lightgbm").squared) == 240


@pytest.mark.parametrize(
    ("name", "patterns"),
    [
        ("location-knn", "TABULAR_CODE"),
        ("spatioformer", "NETWORK_CODE"),
        ("spatioformer-stacked", "TABULAR_CODE"),
    ],
)
def test_a_pattern_without_a_file_is_an_error(name, patterns, monkeypatch):
    assert key_of(name, {}) == key_of(name, {}) != key_of(name, {"k": 1})
    monkeypatch.setattr(accuracy, patterns, ("nn/gone*.py",))
    with pytest.raises(FileNotFoundError, match=r"no file of .* matches 'nn/gone\*\.py'; correct"):
        key_of(name, {})


# --- the table ------------------------------------------------------------------------------------


def test_a_fold_that_is_missing_leaves_no_score(data, tmp_path):
    put(tmp_path, data, "random", "lightgbm", np.ones(len(data.wide)))
    found = collect(tmp_path, "tiny", data, "random", "lightgbm")
    np.testing.assert_allclose(found.squared, 1.0)
    assert len(found.squared) == (~data.dev).sum()
    assert found.seconds == 10.0
    (tmp_path / "tiny_random_lightgbm_0_3_key.npz").unlink()
    assert collect(tmp_path, "tiny", data, "random", "lightgbm") is None


def test_seeds_are_averaged_plot_by_plot(data, tmp_path):
    n = len(data.wide)
    for seed, error in enumerate((1.0, 3.0)):
        put(tmp_path, data, "random", "spatioformer", np.full(n, error), seed)
    found = collect(tmp_path, "tiny", data, "random", "spatioformer")
    np.testing.assert_allclose(found.squared, 5.0)
    np.testing.assert_allclose(found.absolute, 2.0)
    assert found.per_seed[0] > found.per_seed[1]


def test_bootstrap_draws_whole_blocks():
    rng = np.random.default_rng(0)
    y, error = rng.normal(size=60), rng.normal(size=60)
    block = np.repeat(np.arange(12), 5)
    bootstrap = Bootstrap(y, block, np.random.default_rng(0))
    for draw in (0, 7):
        rows = np.concatenate(
            [np.flatnonzero(block == b).repeat(t) for b, t in enumerate(bootstrap.times[draw])]
        )
        expected = scores(y[rows], y[rows] + error[rows])["r2"]
        assert bootstrap.r2(error**2)[draw] == pytest.approx(expected, rel=1e-12)
    same = Bootstrap(y, np.arange(60), np.random.default_rng(0))
    per_plot = np.diff(interval(same.r2(error**2)))
    together = error**2 * np.repeat(rng.uniform(0, 4, 12), 5)  # plots of a block err together
    in_blocks = np.diff(interval(bootstrap.r2(together)))
    assert in_blocks > np.diff(interval(same.r2(together)))
    assert per_plot > 0


def test_the_table_of_a_small_folder(data, tmp_path):
    n = len(data.wide)
    noise = np.random.default_rng(0).normal(size=n)
    put(tmp_path, data, "random", "random-forest", 2 * noise)
    put(tmp_path, data, "random", "lightgbm", 3 * noise)
    put(tmp_path, data, "random", "spatioformer", noise)
    put(tmp_path, data, "random", "spatioformer-stacked", 2 * noise)
    put(tmp_path, data, "random", "gaussian-process", noise)
    table = pd.DataFrame(rows_of(tmp_path, "tiny", data))
    assert len(table) == len(SCORED) * 4
    rows = table[table["split"] == "random"].set_index("model")
    scored = ~data.dev
    y = data.wide.richness[scored]
    expected = scores(y, y + noise[scored])
    for key in ("r2", "rmse", "mae"):
        assert rows.loc["spatioformer", key] == pytest.approx(expected[key], rel=1e-12)
    assert rows.loc["spatioformer", "best_baseline"] == "random-forest"
    gain = rows.loc["spatioformer"]
    assert 0 < gain["ahead_low"] < gain["ahead"] < gain["ahead_high"]
    alike = rows.loc["spatioformer-stacked", ["ahead", "ahead_low", "ahead_high"]]
    assert np.abs(alike.to_numpy(float)).max() == 0  # paired: the same errors differ by nothing
    # The Gaussian process is no baseline, but what the stack has to be ahead of besides.
    behind = rows.loc["spatioformer-stacked"]
    assert behind["ahead_alone"] == pytest.approx(-gain["ahead"], rel=1e-12)
    assert behind["ahead_alone_low"] == pytest.approx(-gain["ahead_high"], rel=1e-12)
    assert np.isnan(rows.loc["gaussian-process", "ahead_alone"])
    assert rows.loc["location-knn", "status"] == "not run"
    text = markdown(table)
    assert f"| spatioformer | **{expected['r2']:.3f}** [" in text
    left = [m for m in SCORED if not (rows["status"] == "done").get(m)]
    of_tables = {
        "cnn-published": "tabular data: P = 1",
        "spatioformer-distilled": "tabular data: no pixels without plots",
    }
    reasons = [f"{m} ({of_tables.get(m, 'not run')})" for m in left]
    assert f"Not scored: {', '.join(reasons)}." in text
    assert f"- spatioformer: random {gain['ahead']:+.3f} [" in text
    assert text.endswith(f"- spatioformer-stacked: random {-gain['ahead']:+.3f} ["
                         f"{-gain['ahead_high']:+.3f}, {-gain['ahead_low']:+.3f}]\n")  # fmt: skip


def test_auto_is_scored_by_plots_that_did_not_choose(data, tmp_path):
    """Of two models, each good in one half, the choice pays where its half did not choose."""
    rng = np.random.default_rng(1)
    for name in CANDIDATES[AUTO][1:]:
        put(tmp_path, data, "random", name, 5 + rng.normal(size=240))
    put(tmp_path, data, "random", "stack", rng.normal(size=240))
    rows = done(tmp_path, data)
    assert json.loads(rows.loc[AUTO, "settings"])["chosen"] == "stack"
    assert rows.loc[AUTO, "r2"] == pytest.approx(rows.loc["stack", "r2"], abs=1e-12)
    for column in ("coverage", "interval_score"):
        assert rows.loc[AUTO, column] == pytest.approx(rows.loc["stack", column])
    # Two models that are equally good, but not on the same plots: luck chooses, and is found out.
    luck = rng.normal(size=(2, 240)) * rng.uniform(0, 4, (2, 240))
    for name, error in zip(("stack", "random-forest"), luck, strict=True):
        put(tmp_path, data, "random", name, error)
    rows = done(tmp_path, data)
    assert rows.loc[AUTO, "r2"] < rows.loc[["stack", "random-forest"], "r2"].max()


def done(folder, data: DataSet) -> pd.DataFrame:
    table = pd.DataFrame(rows_of(folder, "tiny", data))
    return table[(table["status"] == "done") & (table["split"] == "random")].set_index("model")


def test_coverage_is_that_of_intervals_from_other_folds(data, tmp_path):
    error = np.random.default_rng(2).normal(size=240)
    put(tmp_path, data, "random", "stack", error)
    row = done(tmp_path, data).loc["stack"]
    assert row["coverage"] == pytest.approx(0.9, abs=0.04)
    put(tmp_path, data, "random", "stack", np.where(data.folds("random") == 0, 9.0, error))
    assert done(tmp_path, data).loc["stack", "coverage"] < 0.82  # fold 0 is not like the others


def test_former_rows_stay_where_nothing_newer_is(data, tmp_path):
    put(tmp_path, data, "random", "stack", np.ones(240))
    table = pd.DataFrame(rows_of(tmp_path, "tiny", data))
    former = pd.DataFrame(
        [
            {"data": "tiny", "split": "random", "model": model, "status": "done", "r2": 0.5,
             "ahead": 0.1, "settings": "{}", "seeds": 3}
            for model in ("stack", "spatioformer", "forgotten")
        ]
    )  # fmt: skip
    rows = with_former(table, former).set_index(["split", "model"])
    assert len(rows) == len(table)
    assert rows.loc[("random", "stack"), "status"] == "done"
    kept = rows.loc[("random", "spatioformer")]
    assert (kept["status"], kept["r2"], kept["measured"]) == ("former", 0.5, "2026-11-23")
    again = with_former(table, rows.reset_index()).set_index(["split", "model"])
    assert again.loc[("random", "spatioformer"), "measured"] == "2026-11-23"


def some_r2() -> pd.DataFrame:
    """Four splits; the stack wins all, the process is second twice, the forest twice."""
    r2 = {
        "stack": [0.5, 0.6, 0.7, 0.8],
        "gaussian-process": [0.4, 0.5, 0.4, 0.2],
        "random-forest": [0.3, 0.1, 0.6, 0.7],
        "lightgbm": [0.3, None, 0.1, 0.1],
    }
    return pd.DataFrame(
        [
            {"data": data, "split": split, "model": model, "status": "done", "r2": value,
             "cpu_seconds": 2.0, "coverage": 0.9}
            for model, values in r2.items()
            for (data, split), value in zip(
                [("a", "random"), ("a", "regions"), ("b", "random"), ("b", "regions")],
                values, strict=True,
            )
            if value is not None
        ]
    )  # fmt: skip


def test_ranks_are_those_of_splits_that_all_finished():
    r2 = complete(some_r2())
    assert list(r2.columns) == ["random-forest", "gaussian-process", "stack"]  # one split lacks
    found = ranks(r2)
    assert dict(found.mean) == {"stack": 1.0, "random-forest": 2.5, "gaussian-process": 2.5}
    # Demsar 2006, table 5: q = 2.343 for three models; CD = q sqrt(k (k + 1) / 6 N).
    assert found.critical == pytest.approx(2.343 * np.sqrt(3 * 4 / (6 * 4)), abs=1e-3)
    # Friedman: 12 N / (k (k + 1)) [sum R^2 - k (k + 1)^2 / 4] = 6, chi-squared with 2 degrees.
    assert found.p == pytest.approx(np.exp(-3), rel=1e-6)
    assert found.groups == [["stack", "random-forest", "gaussian-process"]]
    assert "stack 1.0" in alt_text(found)
    assert diagram(found).axes
    assert ranks(r2.iloc[:2]) is None
    assert complete(some_r2().query("model != 'stack'")).empty


def test_groups_are_the_largest_that_do_not_differ():
    found = accuracy_ranks.Ranks({"a": 1.0, "b": 1.5, "c": 2.4, "d": 4.0}, 9, 1.0, 0.1)
    assert found.groups == [["a", "b"], ["b", "c"]]


def test_the_glance_states_losses_against_the_best_single_model():
    table = some_r2()
    text = "\n".join(at_a_glance(table, ranks(complete(table))))
    assert "| stack | 1.0 | 0.000 | 0.000 | 4 | 0 | 0 |" in text.replace("|  |  |", "| 0 | 0 |")
    assert "| gaussian-process | 2.5 | 0.275 | 0.600 | 4 |" in text
    assert "| lightgbm |  |  |  | 3 |" in text
    assert "over 4 splits" in text


def test_both_files_are_written(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(accuracy_table, "DATASETS", {"tiny": lambda: data})
    put(tmp_path, data, "random", "extra-trees", np.ones(len(data.wide)))
    accuracy_table.write_tables(tmp_path, tmp_path, "One seed.")
    table = pd.read_csv(tmp_path / "accuracy.csv").set_index(["split", "model"])
    assert table.loc[("random", "extra-trees"), "rmse"] == 1.0
    assert "\n\nOne seed.\n\n## tiny" in (tmp_path / "accuracy.md").read_text()
    count = 4 * (len(SCORED) - 2)  # the CNN and the distilled network do not apply
    assert f"1 of {count} rows are there" in capsys.readouterr().out
