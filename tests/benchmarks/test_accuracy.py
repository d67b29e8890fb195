"""The accuracy benchmark: what its cells see, its intervals, and its table of a small folder."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from benchmarks.accuracy import cells, config_of, key_of, run_cell
from benchmarks.accuracy_plan import (
    GRIDS,
    MODELS,
    NETWORK_CODE,
    OURS,
    TABULAR_CODE,
    Cell,
    why_not,
)
from benchmarks.accuracy_table import collect, interval, markdown, rows_of
from benchmarks.datasets import DataSet, cropped

from benchmarks import accuracy, accuracy_table
from spatioformer.config.learning import MODELS as KNOWN
from spatioformer.evaluation import scores
from spatioformer.evaluation.bootstrap import Bootstrap
from spatioformer.geo.chips import ChipStore
from spatioformer.models.baselines import TABULAR


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
    listed = list(cells(["tiny"], ["random", "regions"], ["random-forest", "spatioformer"], 2,
                        {"tiny": data}))  # fmt: skip
    seeds = pd.Series([cell.seed for cell in listed]).groupby([c.model for c in listed]).unique()
    assert seeds["random-forest"].tolist() == [0]
    assert seeds["spatioformer"].tolist() == [0, 1]
    assert len(listed) == (5 + 2) * 3
    assert [cell.seed for cell in listed] == sorted(cell.seed for cell in listed)
    no_regions = {"tiny": replace(data, regions=None)}
    assert not list(cells(["tiny"], ["regions"], ["random-forest"], 1, no_regions))
    assert why_not(data, "random", "cnn-published") == "tabular data: P = 1"
    assert why_not(survey(40, patch=7), "random", "cnn-published") is None


def test_every_model_is_known_and_gets_at_most_8_settings(data):
    assert set(MODELS) <= set(KNOWN)
    assert set(TABULAR) | set(OURS) <= set(MODELS)
    assert all(1 <= len(grid) <= 8 for grid in GRIDS.values())
    for name, grid in GRIDS.items():
        for settings in grid:
            if name in TABULAR:
                TABULAR[name](0).set_params(**settings)  # or it raises
            else:
                config_of(data, settings)


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
    original = accuracy.predicted

    def spy(name, data, settings, seed, training, test):
        asked.append((settings, training, test))
        return original(name, data, settings, seed, training, test)

    monkeypatch.setattr(accuracy, "predicted", spy)
    monkeypatch.setitem(GRIDS, "location-knn", [{"k": 1}, {"k": 8}])
    cell = Cell("tiny", "large-blocks", "location-knn", 0, 1)
    path = run_cell(cell, data, tmp_path, keep=False)
    dev, fold = np.flatnonzero(data.dev), data.folds("large-blocks")
    *tuning, (settings, training, test) = asked
    assert len(tuning) == 2 * 2 * accuracy.DEV_FOLDS
    assert all(np.isin(np.concatenate(rows), dev).all() for _, *rows in tuning)
    np.testing.assert_array_equal(training, np.flatnonzero(fold != 1))
    np.testing.assert_array_equal(test, np.flatnonzero((fold == 1) & ~data.dev))
    tried = json.loads(next(tmp_path.glob("tuned_*")).read_text())["tried"]
    best = max(tried, key=lambda t: sum(t["r2"].values()))
    assert settings == best["settings"] == {"k": 8}
    assert run_cell(cell, data, tmp_path, keep=False) == path
    assert len(asked) == len(tuning) + 1  # nothing is made twice
    monkeypatch.setitem(GRIDS, "location-knn", [{"k": 2}])
    assert run_cell(cell, data, tmp_path, keep=True) == path
    assert run_cell(cell, data, tmp_path, keep=False) != path


def test_every_pattern_of_code_matches_a_file():
    for pattern in (*TABULAR_CODE, *NETWORK_CODE):
        assert accuracy.code_files(pattern)


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
    assert len(table) == len(MODELS) * 4
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
    left = [m for m in MODELS if not (rows["status"] == "done").get(m)]
    of_tables = {
        "cnn-published": "tabular data: P = 1",
        "spatioformer-distilled": "tabular data: no pixels without plots",
    }
    reasons = [f"{m} ({of_tables.get(m, 'not run')})" for m in left]
    assert f"Not scored: {', '.join(reasons)}." in text
    assert "*1 seed*" in text
    assert f"- spatioformer: random {gain['ahead']:+.3f} [" in text
    assert text.endswith(f"- spatioformer-stacked: random {-gain['ahead']:+.3f} ["
                         f"{-gain['ahead_high']:+.3f}, {-gain['ahead_low']:+.3f}]\n")  # fmt: skip


def test_what_one_model_for_all_costs():
    r2 = {"a": [0.5, 0.6, 0.2], "b": [0.7, 0.5, 0.3], "c": [0.1, -0.4, None]}  # c sees imagery
    rows = [
        {"data": data, "split": "random", "model": model, "status": "done", "r2": value}
        for model, values in r2.items()
        for data, value in zip(("flora", "mongon", "table"), values, strict=True)
        if value is not None
    ]
    text = "\n".join(accuracy_table._beforehand(pd.DataFrame(rows)))
    assert "| model | 3 splits: mean | worst | 2 with imagery: mean | worst |" in text
    assert text.endswith(
        "| b | 0.033 | 0.100 | 0.050 | 0.100 |\n"
        "| a | 0.100 | 0.200 | 0.100 | 0.200 |\n"
        "| c | n/a | n/a | 0.800 | 1.000 |"
    )


def test_both_files_are_written(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(accuracy_table, "DATASETS", {"tiny": lambda: data})
    put(tmp_path, data, "random", "extra-trees", np.ones(len(data.wide)))
    accuracy_table.write_tables(tmp_path, tmp_path, "One seed.")
    table = pd.read_csv(tmp_path / "accuracy.csv").set_index(["split", "model"])
    assert table.loc[("random", "extra-trees"), "rmse"] == 1.0
    assert "\n\nOne seed.\n\n## tiny" in (tmp_path / "accuracy.md").read_text()
    assert "1 of 52 rows are there" in capsys.readouterr().out
