"""A network taught on land without plots: which land, what it is told, what it learns."""

import html
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rasterio

from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.common.progress import Console
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.geo.raster.stack import Stack
from spatioformer.geo.unlabelled import cut_unlabelled, draw_pixels
from spatioformer.models.capabilities import FitContext
from spatioformer.models.distilled import (
    DistilledEstimator,
    network_for,
    reproduced,
    with_teacher_predictions,
)
from spatioformer.models.recipes import training_on
from spatioformer.models.registry import make
from spatioformer.models.stack_estimator import StackEstimator
from spatioformer.models.store import load
from tests.helpers import landscape
from tests.helpers.tiny_run import spatioformer, write_config

# --- which land -----------------------------------------------------------------------------------


@pytest.fixture
def holey(tmp_path):
    """40 x 40 pixels whose bands are row and column; the left half holds nothing."""
    rows, cols = np.mgrid[:40, :40].astype(np.float32)
    data = np.stack([rows, cols])
    data[:, :, :20] = np.nan
    return landscape.write_raster(tmp_path / "holey.tif", data, nodata=np.nan, names=("row", "col"))


@pytest.fixture
def small_tiles(monkeypatch):
    for module in ("cutting", "unlabelled"):
        monkeypatch.setattr(f"spatioformer.geo.{module}.TILE", 16)


@pytest.mark.usefixtures("small_tiles")
def test_pixels_are_drawn_evenly_from_those_to_predict(holey):
    drawn = Counter()
    with Stack(holey) as stack:
        for seed in range(60):
            places = list(zip(*draw_pixels(stack, 200, seed), strict=True))
            assert len(set(places)) == 200
            drawn.update(places)
        again, other = draw_pixels(stack, 200, 0), draw_pixels(stack, 200, 1)
        np.testing.assert_array_equal(again, draw_pixels(stack, 200, 0))
        assert not np.array_equal(again, other)
        assert len(draw_pixels(stack, 10_000, 0)[0]) == 800, "there are no more"
    rows, cols = np.array(list(drawn)).T
    assert cols.min() == 20
    # 60 draws of 200 among 800: 15 a pixel, sd 3.4 (binomial), whatever the tile's size.
    counts = np.array(list(drawn.values()))
    assert counts.std() == pytest.approx(3.4, abs=0.4)
    for band in (rows < 16, rows >= 32, cols < 32, cols >= 32):
        assert counts[band].mean() == pytest.approx(15, abs=0.8)


@pytest.mark.usefixtures("small_tiles")
def test_of_a_large_raster_some_tiles_are_looked_at(holey, monkeypatch):
    monkeypatch.setattr("spatioformer.geo.unlabelled.MOST_TILES", 5)
    seen = []
    read = Stack.read

    def spied(self, window):
        seen.append(window)
        return read(self, window)

    monkeypatch.setattr(Stack, "read", spied)
    with Stack(holey) as stack:
        for seed in range(8):
            draw_pixels(stack, 50, seed)
    assert len(seen) == 8 * 5
    assert len({(w.row_off, w.col_off) for w in seen}) == 9, "not always the same"


@pytest.mark.usefixtures("small_tiles")
def test_chips_without_plots_are_whole(holey, tmp_path):
    count = cut_unlabelled(holey, 3, tmp_path / "land", count=300)
    store = open_chips(tmp_path / "land")
    assert len(store) == count
    assert 200 < count < 300, "those at the edge have no chip"
    half = np.arange(-1, 2)
    np.testing.assert_array_equal(
        store.chips[..., 0], (store.table["row"].to_numpy()[:, None] + half)[:, :, None] + 0 * half
    )
    assert store.chips[..., 1].min() == 20
    nothing = np.full((1, 9, 9), np.nan, np.float32)
    empty = landscape.write_raster(tmp_path / "empty.tif", nothing, nodata=np.nan)
    with pytest.raises(ImageryError, match="has no pixel to predict"):
        cut_unlabelled(empty, 1, tmp_path / "none")
    assert not (tmp_path / "none").exists()


# --- what it is told ------------------------------------------------------------------------------


SIZES = {"patch": 3, "width": 16, "heads": 2, "layers": 1, "dropout": 0.0}
TRAIN = TrainSection(epochs=10, validation_tile=0.5)


def model_section(**changes) -> ModelSection:
    return ModelSection(**SIZES | changes)


def student(teacher) -> DistilledEstimator:
    return DistilledEstimator(teacher, "knowing", model_section(), TRAIN, 0)


def chips(n: int, seed: int, **columns) -> ChipStore:
    """Chips of noise on 10 x 10 degrees."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(140, 150, n), rng.uniform(-30, -20, n)
    around = 0.01 * np.arange(-1, 2)
    places = np.broadcast_arrays(lon[:, None, None] + around, lat[:, None, None] - around[:, None])
    seen = rng.normal(100, 30, (n, 3, 3, 2)).astype(np.float32)
    return ChipStore(seen, *places, pd.DataFrame({"lon": lon, "lat": lat} | columns), ["a", "b"])


def truth(store: ChipStore) -> np.ndarray:
    """What the first band means depends on the place."""
    band = (store.chips[:, 1, 1, 0] - 100.0) / 30
    return 30 + 5 * band * np.sin(store.coordinates[:, 0]) + store.coordinates[:, 1] + 25


class Knowing:
    """A teacher that knows the truth, and remembers what it was fitted to."""

    shift = 0.0

    def fit(self, store, rows, *, context):
        self.rows, self.context = rows, context
        return self

    def predict_rows(self, store, rows):
        return (truth(store) + self.shift)[rows]


def plots(n: int = 60) -> ChipStore:
    store = chips(n, 1, area_m2=np.arange(n) + 1.0)
    counted = np.random.default_rng(2).poisson(truth(store)).astype(float)
    store = replace(store, table=store.table.assign(richness=counted))
    return replace(store, unlabelled=chips(3000, 3))


def test_the_training_set_holds_the_teachers_predictions_of_land_without_plots():
    store, rows = plots(), np.arange(10, 40)
    taught = with_teacher_predictions(Knowing(), store, rows, seed=0)
    land = store.unlabelled
    np.testing.assert_array_equal(taught.richness, truth(land))
    np.testing.assert_array_equal(taught.coordinates, land.coordinates)
    assert taught.chips is land.chips
    known = set(taught.table["area_m2"])
    assert known == set(store.table["area_m2"].iloc[rows]), "of the plots of this training alone"
    negative = Knowing()
    negative.shift = -30.0
    clipped = with_teacher_predictions(negative, store, rows, seed=0).richness
    assert clipped.min() == 0 < (clipped == 0).mean() < 1


def test_chips_without_plots_are_needed():
    store = replace(plots(), unlabelled=None)
    with pytest.raises(
        ModelError, match="is trained on chips without plots, and the chip store has none; give"
    ):
        make("spatioformer-distilled", model_section(), TRAIN).fit(store, np.arange(60))


def test_what_stays_of_the_configuration():
    section, land = model_section(location_dropout=0.4, members=3), plots().unlabelled
    network = network_for(land, section)
    assert network.wavelengths == pytest.approx([20, 10, 5, 2.5, 1.25], rel=0.02)  # 10 degrees
    assert (network.network, network.members, network.location_dropout) == ("dense", 1, 0)
    for size in ("patch", "width", "heads", "layers", "mlp_hidden", "head_hidden", "dropout"):
        assert getattr(network, size) == getattr(section, size)
    for change in ({"wavelengths": (7.0,)}, {"location": "none"}, {"location": "paper"}):
        kept = model_section(**change)
        assert network_for(land, kept).wavelengths == kept.wavelengths
    few, many = (training_on(pixels, TRAIN) for pixels in (4_000, 20_000))
    assert (few.epochs, many.epochs) == (30, 6), "as many steps"
    assert few.patience == few.epochs
    assert (few.loss, few.validation_tile, few.device) == ("poisson", 0.5, "auto")


# --- what it learns -------------------------------------------------------------------------------


@pytest.fixture
def whatever_it_learns(monkeypatch):
    """The network is the model however little of its teacher it learned."""
    monkeypatch.setattr("spatioformer.models.distilled.SUFFICIENT_R2", -np.inf)


def test_the_share_of_the_teacher_that_a_network_reproduces():
    assert reproduced(np.array([0.0, 2.0, 0.0, 2.0]), 0.5) == 0.75
    assert reproduced(np.array([0.0, 2.0]), 2.0) == -3
    assert reproduced(np.full(5, 3.0), 0.0) == 0, "one value says nothing"


def test_where_the_network_fails_its_teacher_is_the_model(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("spatioformer.models.recipes.CHIPS_PROCESSED", 400)
    store, rows = replace(plots(), unlabelled=chips(300, 4)), np.arange(50)
    estimator = make("spatioformer-distilled", model_section(), TRAIN)
    teacher = estimator.teacher.fit(store, rows)
    context = FitContext(
        console=Console(interactive=False),
        fitted={"gaussian-process": teacher, "others": Knowing()},
    )
    model = estimator.fit(store, rows, context=context)
    r2 = model.facts["teacher_r2"]
    assert r2 < 0.95
    why = (
        f"the distilled network reproduces r2 {r2:.2f} of its teacher, below 0.95; the teacher, "
        "gaussian-process, maps"
    )
    assert model.facts == {"plots": 50, "teacher_r2": r2, "teacher_maps": why}
    printed = capsys.readouterr().err
    assert f"  {why}\n" in printed
    assert "is trained on" not in printed, "the teacher was fitted before"
    assert teacher.facts == {}
    everything = np.arange(60)
    expected = teacher.predict_rows(store, everything)
    np.testing.assert_array_equal(model.predict_rows(store, everything), expected)
    assert (model.draws, model.quantile_pair, model.histories) == (None, None, ())
    reopened = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(reopened.predict_rows(store, everything), expected)
    assert f"- Note: {why}" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_it_says_nearly_what_its_teacher_says(capsys):
    """And a network that has the plots alone does not."""
    store, rows, fresh = plots(), np.arange(60), chips(500, 9)
    everything = np.arange(500)
    teacher = Knowing()
    context = FitContext(console=Console(interactive=False))
    taught = student(teacher).fit(store, rows, context=context)
    alone = make("spatioformer", model_section(), TRAIN).fit(store, rows)
    known = truth(fresh)
    error = [np.mean((m.predict_rows(fresh, everything) - known) ** 2) for m in (taught, alone)]
    assert error[0] < 0.05 * np.var(known)
    r2 = taught.facts["teacher_r2"]  # held-out pixels are as many and as new as the fresh chips
    assert r2 == pytest.approx(1 - error[0] / np.var(known), abs=0.01)
    assert f"reproduces r2 {r2:.3f} of its teacher\n" in capsys.readouterr().err
    assert error[1] > 0.4 * np.var(known)
    np.testing.assert_array_equal(teacher.rows, rows)


@pytest.mark.slow
@pytest.mark.usefixtures("whatever_it_learns")
def test_the_same_seed_gives_the_same_network_and_the_teacher_is_the_configured_one(monkeypatch):
    monkeypatch.setattr("spatioformer.models.recipes.CHIPS_PROCESSED", 4_000)
    store = replace(plots(), unlabelled=chips(200, 4))
    trees = TRAIN.model_copy(update={"teacher": "extra-trees"})
    estimators = [
        make("spatioformer-distilled", model_section(), train) for train in (trees, trees, TRAIN)
    ]
    predictions = [
        estimator.fit(store, np.arange(60)).predict_rows(store, np.arange(60))
        for estimator in estimators
    ]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    assert np.abs(predictions[0] - predictions[2]).max() > 0.1
    assert estimators[0].teacher.name == "extra-trees"
    assert estimators[2].teacher.name == "gaussian-process"


def test_a_stack_that_teaches_goes_on_after_an_interrupt(tmp_path, monkeypatch, capsys):
    """Its answers lie beside the network's checkpoint, under a name of their own."""
    train = TRAIN.model_copy(update={"teacher": "spatioformer-stacked"})
    estimator = make("spatioformer-distilled", model_section(), train)
    contexts = []

    def interrupted(self, store, rows, *, context):
        contexts.append(context)
        raise KeyboardInterrupt

    monkeypatch.setattr(StackEstimator, "fit", interrupted)
    console = Console(interactive=False)
    context = FitContext(tmp_path / "train-1.checkpoint", resume=False, console=console)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(plots(), np.arange(60), context=context)
    kept = tmp_path / "train-1-teacher.checkpoint"
    assert contexts == [FitContext(kept, resume=False, console=console)]
    assert capsys.readouterr().err == "  spatioformer-stacked is trained on 60 plots\n"


# --- in a run -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("whatever_it_learns", "blank_pictures")
def test_a_run_whose_map_it_makes(tmp_path, monkeypatch):
    monkeypatch.setitem(cut_unlabelled.__kwdefaults__, "count", 300)
    monkeypatch.setattr("spatioformer.models.recipes.CHIPS_PROCESSED", 6_000)
    landscape.write(tmp_path)
    plain = [
        ("evaluate.curve_sizes", []),
        ("evaluate.splits", [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}]),
    ]
    run = tmp_path / "run"
    ended = spatioformer("chips", write_config(tmp_path, *plain), "--quiet")
    assert ended.code == 0, ended.err
    assert open_chips(run / "chips").unlabelled is None, "nobody asked for it"

    taught = "spatioformer-distilled"
    changes = [*plain, ("map.model", taught), ("evaluate.models", [taught, "gaussian-process"])]
    ended = spatioformer("run", write_config(tmp_path, *changes), "--quiet")
    assert (ended.code, ended.err) == (0, "")
    land = open_chips(run / "chips").unlabelled
    assert 200 < len(land) <= 300
    bundle = load(run / "model")
    assert bundle.is_dense
    assert bundle.facts["teacher"] == "gaussian-process"
    assert (bundle.facts["plots"], bundle.facts["pixels"]) == (150, len(land))
    with rasterio.open(run / "map.tif") as mapped:
        kinds = [title.split(", ")[1].split()[0] for title in mapped.descriptions]
        assert kinds[:2] == ["mean", "standard"]
        assert {"lower", "upper"} <= {*kinds}
    page = (run / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))
    for words in (
        "trained on the predictions of another model; it makes the map",
        f"the Gaussian process, on {len(land)} pixels without plots",
        "against its teacher's predictions. About 15% of the training pixels, drawn at random,",
        "r2 against the teacher",
        "species against the teacher's predictions",
        f"after {round(6_000 / len(land))} epochs, or after",
        f"Training pixels (without plots, predicted by the teacher): {len(land)}",
    ):
        assert words in text, words
    scores = pd.read_csv(run / "scores.csv").set_index("model")
    assert scores.loc[taught, "rmse"] < 1.3 * scores.loc["gaussian-process", "rmse"]

    ended = spatioformer("run", write_config(tmp_path, *changes))
    assert ended.code == 0
    assert ended.out.count("unchanged") + ended.err.count("unchanged") >= 6, ended.out + ended.err


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.usefixtures("blank_pictures")
def test_a_run_whose_map_the_teacher_makes(tmp_path, monkeypatch):
    """In the folds as in the map: scores, map and report are the teacher's, and each says so."""
    monkeypatch.setitem(cut_unlabelled.__kwdefaults__, "count", 300)
    monkeypatch.setattr("spatioformer.models.recipes.CHIPS_PROCESSED", 300)
    landscape.write(tmp_path)
    taught = "spatioformer-distilled"
    config = write_config(
        tmp_path,
        ("evaluate.curve_sizes", []),
        ("evaluate.splits", [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}]),
        ("map.model", taught),
        ("evaluate.models", [taught, "gaussian-process"]),
    )
    ended = spatioformer("run", config)
    assert ended.code == 0, ended.err
    note = "below 0.95; the teacher, gaussian-process, maps"
    assert note in ended.out + ended.err
    run = tmp_path / "run"
    model = load(run / "model")
    assert model.kind == "tabular"
    assert note in model.facts["teacher_maps"]
    assert not (run / "training.csv").exists()
    scores = pd.read_csv(run / "scores.csv").set_index("model")
    assert scores.loc[taught, "rmse"] == scores.loc["gaussian-process", "rmse"]
    page = re.sub(r"\s+", " ", html.unescape((run / "report.html").read_text(encoding="utf-8")))
    assert note in page
    with rasterio.open(run / "map.tif") as mapped:
        assert "standard" not in " ".join(mapped.descriptions)
