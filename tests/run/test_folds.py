"""The splits a run knows by name: each plot held out once, places together, the map matched."""

import numpy as np
import pandas as pd
import pytest

from spatioformer.common.errors import EvaluationError
from spatioformer.config.evaluation import SplitSection
from spatioformer.config.file import load_config
from spatioformer.evaluation.distances import neighbour_distances
from spatioformer.geo.raster.stack import Layer, Mask, Stack, build_stack
from spatioformer.run.folds import PREDICTION_POINTS, all_splits, assign, prediction_points
from tests.helpers import landscape

KINDS = ("random", "tiles", "knndm", "regions")


def plots_at(places: np.ndarray, **columns) -> pd.DataFrame:
    return pd.DataFrame({"lon": places[:, 0], "lat": places[:, 1], **columns})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Configuration, stack and coordinates of a survey crowded into one corner."""
    folder = tmp_path_factory.mktemp("folds")
    config = load_config(landscape.write(folder))
    stack = folder / "imagery.tif"
    build_stack([Layer(folder / "image.tif", "image")], stack)
    rng = np.random.default_rng(0)
    places = rng.uniform([140.3, -26], [142.5, -24], (120, 2))
    places[::10] = rng.uniform([140.3, -26], [146, -20.5], (12, 2))
    places[50:55] = places[50]
    return config, stack, plots_at(places)


@pytest.mark.parametrize("kind", KINDS)
def test_every_plot_is_held_out_once_and_places_stay_together(run, kind):
    config, stack, places = run
    folds = assign(SplitSection(name="x", kind=kind, folds=4, size=1), config, places, stack)
    assert folds.shape == (120,)
    assert set(folds) == {0, 1, 2, 3}
    assert len(set(folds[50:55])) == 1
    again = assign(SplitSection(name="x", kind=kind, folds=4, size=1), config, places, stack)
    np.testing.assert_array_equal(folds, again)


def test_knndm_is_nearer_to_the_map_than_random_folds(run):
    config, stack, places = run
    target = prediction_points(stack, seed=5)
    W = {}
    for kind in ("random", "knndm"):
        folds = assign(SplitSection(name="x", kind=kind, folds=4, size=1), config, places, stack)
        pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(4)]
        W[kind] = neighbour_distances(places[["lon", "lat"]].to_numpy(), target, pairs).W
    assert W["knndm"] < 0.7 * W["random"]


def test_prediction_points_are_drawn_evenly_from_the_wanted_pixels(tmp_path):
    image = landscape.write_raster(tmp_path / "a.tif", landscape.imagery())
    classes = np.zeros((64, 64), np.uint8)
    classes[:, 32:] = 1
    cover = landscape.write_raster(tmp_path / "c.tif", classes)
    stack = tmp_path / "s.tif"
    build_stack([Layer(image, "a")], stack, masks=[Mask(Layer(cover, "c"), (1,))])
    points = prediction_points(stack, seed=0)
    assert points.shape == (PREDICTION_POINTS, 2)
    assert len(np.unique(points, axis=0)) == PREDICTION_POINTS
    with Stack(stack) as opened:
        rows, cols = opened.grid.pixel(*points.T)
    assert cols.max() < 32
    assert abs(rows.mean() - 31.5) < 1.5


def test_few_pixels_give_all_of_them(tmp_path, monkeypatch):
    image = landscape.write_raster(tmp_path / "a.tif", landscape.imagery()[:, :5, :7])
    build_stack([Layer(image, "a")], tmp_path / "s.tif")
    assert len(np.unique(prediction_points(tmp_path / "s.tif", seed=0), axis=0)) == 35


def test_too_few_plots_name_the_split(run):
    config, stack, places = run
    split = SplitSection(name="far", kind="knndm", folds=50)
    with pytest.raises(EvaluationError, match="far"):
        assign(split, config, places[:20], stack)


def test_the_curve_follows_the_configured_splits(run):
    config, _, _ = run
    splits = all_splits(config)
    assert [s.name for s in splits] == ["random", "tiles", "curve-0-5"]
    assert splits[2].folds == splits[1].folds
    at_random = config.evaluate.model_copy(update={"splits": config.evaluate.splits[:1]})
    assert all_splits(config.model_copy(update={"evaluate": at_random}))[-1].folds == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_never_straddles_folds(run, kind):
    config, stack, plots = run
    cells = (plots["lon"] / 0.35 + 0.4) // 1 + 100 * ((plots["lat"] / 0.35 + 0.4) // 1)
    grouped = plots.assign(group=cells.astype(str))
    grouped.loc[[0, 2, 3], "group"] = "apart"
    split = SplitSection(name="x", kind=kind, folds=3, size=0.5)
    folds = assign(split, config, grouped, stack)
    assert pd.Series(folds).groupby(grouped["group"]).nunique().max() == 1
    assert len(set(folds)) == 3
    alone = assign(split, config, plots, stack)
    assert pd.Series(alone).groupby(grouped["group"]).nunique().max() > 1  # the test can fail


def test_a_column_makes_the_folds(run):
    config, stack, plots = run
    realm = np.where(plots["lon"] < 141, "west", np.where(plots["lat"] < -24.8, "south", "north"))
    split = SplitSection(name="realms", kind="column", column="realm")
    folds = assign(split, config, plots.assign(fold=realm), stack)
    assert pd.crosstab(folds, realm).gt(0).to_numpy().sum() == 3
    grouped = plots.assign(fold=realm, group="all")
    with pytest.raises(EvaluationError, match=r"the group 'all' .* lie in 3 folds of the column"):
        assign(split, config, grouped, stack)


def test_a_column_split_needs_its_column():
    with pytest.raises(ValueError, match="belong together"):
        SplitSection(name="x", kind="column")
    with pytest.raises(ValueError, match="belong together"):
        SplitSection(name="x", kind="tiles", column="realm")
