"""Maps of models that are no network: as bundles, over chips and tiles, and in a run."""

import copy
import html
import json
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import sklearn

import landscape
from mapping_helpers import noise
from spatioformer.baselines import TABULAR, Kriging, chip_statistics
from spatioformer.bundle import Bundle, TabularBundle, load
from spatioformer.bundle.tabular import tile_statistics
from spatioformer.config import RunConfig
from spatioformer.errors import ModelError
from spatioformer.files import read_json, write_json
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.mapping import map_raster
from spatioformer.mapping.predictor import identity, open_predictor
from spatioformer.models import STACKED, make
from spatioformer.stacking import Reach, to_nearest
from spatioformer.tiles import PixelTile
from tiny_run import assert_refused, spatioformer, write_config

BANDS = ["a", "b"]
SMALL = {
    "random-forest": {"n_estimators": 8},
    "extra-trees": {"n_estimators": 8},
    "gradient-boosting": {"max_iter": 5},
    "lightgbm": {"n_estimators": 5},
    "forest-kriging": {"forest__n_estimators": 60},
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Forests of a few trees: the same code in a hundredth of the time."""
    for name, size in SMALL.items():
        whole = TABULAR[name]
        monkeypatch.setitem(TABULAR, name, lambda seed, m=whole, s=size: m(seed).set_params(**s))


def config(patch: int = 3, **model) -> RunConfig:
    return RunConfig(
        name="x", out="x", plots={"path": "x"}, imagery={"layers": [{"path": "x", "name": "x"}]},
        model={"patch": patch, "width": 8, "heads": 2, "layers": 1, **model},
        train={"epochs": 1, "validation_tile": 0.5},
    )  # fmt: skip


def scene(side: int = 30) -> tuple[np.ndarray, ...]:
    """Bands, where they hold data, and lon, lat of a raster; one pixel holds none."""
    rng = np.random.default_rng(3)
    data = rng.normal(50, 20, (2, side, side)).astype(np.float32)
    valid = np.ones((side, side), bool)
    valid[12, 20], data[:, 12, 20] = False, np.nan
    lat, lon = np.meshgrid(-20 - np.arange(side) * 0.1, 140 + np.arange(side) * 0.1, indexing="ij")
    return data, valid, lon, lat


def store(patch: int = 3, n: int = 90) -> ChipStore:
    """Plots on pixels of `scene`."""
    data, valid, lon, lat = scene()
    half, rng = patch // 2, np.random.default_rng(0)
    rows, cols = rng.integers(half, 30 - half, (2, n))
    around = np.arange(-half, half + 1)
    y, x = rows[:, None, None] + around[:, None], cols[:, None, None] + around
    whole = valid[y, x].all(axis=(1, 2))
    chips = data[:, y, x].transpose(1, 2, 3, 0)
    table = pd.DataFrame(
        {
            "plot_id": np.arange(n).astype(str),
            "lon": lon[rows, cols],
            "lat": lat[rows, cols],
            "row": rows - half,
            "col": cols - half,
            "area_m2": rng.choice([100.0, 400.0], n),
            "richness": rng.poisson(10 + 0.3 * np.nan_to_num(data[0, rows, cols]).clip(0)).astype(
                float
            ),
        }
    )
    keep = np.flatnonzero(whole)
    return ChipStore(
        np.ascontiguousarray(chips[keep]), lon[y, x][keep], lat[y, x][keep],
        table.iloc[keep].reset_index(drop=True), BANDS,
    )  # fmt: skip


def fitted(name: str, patch: int = 3, **model):
    """A model of that name, the plots it was fitted to, and the others."""
    plots = store(patch)
    train = np.arange(len(plots) - 20)
    model = make(name, config(patch, **model), 1)
    model.fit(plots, train)
    return model, plots, train, np.arange(len(plots))


def seen(plots: ChipStore) -> tuple:
    return plots.chips, plots.lon, plots.lat


@pytest.mark.parametrize("patch", [1, 3])
@pytest.mark.parametrize("name", TABULAR)
def test_a_tabular_model_comes_back_as_it_was(tmp_path, name, patch):
    model, plots, train, rows = fitted(name, patch)
    bundle = model.as_bundle(plots, train)
    again = load(bundle.save(tmp_path / "model"))
    expected = model.predict(plots, rows)
    assert again.predict(*seen(plots), bands=BANDS).dtype == np.float64
    np.testing.assert_allclose(again.predict(*seen(plots)), expected, rtol=0, atol=1e-9)
    assert np.ptp(expected) > 1
    assert (again.patch, again.bands, again.halo) == (patch, BANDS, patch // 2)
    assert not any((again.has_dropout, again.has_quantiles, again.is_dense, again.members))
    data, valid, lon, lat = scene()
    tile = again.predict_tile(data, valid, lon, lat)
    at = plots.table["row"], plots.table["col"]
    np.testing.assert_allclose(tile[at], expected, rtol=2e-7)  # float32
    assert np.isnan(tile).sum() == patch**2, "chips with the pixel that holds nothing"


@pytest.mark.parametrize("name", ["random-forest", "location-knn"])
def test_the_same_model_gives_the_same_bytes(tmp_path, name):
    for folder in ("one", "two"):
        model, plots, train, _ = fitted(name)
        model.as_bundle(plots, train).save(tmp_path / folder)
    one, two = ((tmp_path / f / "model.skops").read_bytes() for f in ("one", "two"))
    assert one == two
    other = fitted(name)[0].as_bundle(store(), np.arange(5))
    other.regressor.fit(np.random.default_rng(0).normal(size=(30, 8)), np.arange(30.0))
    assert (other.save(tmp_path / "other") / "model.skops").read_bytes() != one


def test_covariates_stand_before_the_statistics(tmp_path):
    model, plots, train, rows = fitted("extra-trees", covariates={"area_m2": None})
    bundle = load(model.as_bundle(plots, train).save(tmp_path / "model"))
    areas = plots.table["area_m2"].to_numpy()
    told = bundle.predict(*seen(plots), {"area_m2": areas})
    np.testing.assert_allclose(told, model.predict(plots, rows), rtol=0, atol=1e-9)
    usual = float(np.median(areas[train]))
    np.testing.assert_array_equal(
        bundle.predict(*seen(plots)), bundle.predict(*seen(plots), {"area_m2": usual})
    )
    at = plots.table["row"], plots.table["col"]
    np.testing.assert_array_equal(
        bundle.predict_tile(*scene())[at], bundle.predict(*seen(plots)).astype(np.float32)
    )
    with pytest.raises(ModelError, match="knows no covariate 'year'"):
        bundle.predict(*seen(plots), {"year": 2000})


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_statistics_of_a_tile_are_those_of_its_chips(patch, monkeypatch):
    monkeypatch.setattr("spatioformer.bundle.tabular.ROWS", 100)  # strips of a few rows
    plots = store(patch)
    tile = PixelTile.checked(*scene(), None, BANDS, patch)
    table = np.full((*tile.wanted.shape, len(BANDS) * (3 if patch > 1 else 1) + 2), np.nan)
    for at, rows in tile_statistics(tile):
        assert len(rows) <= 100
        table[at] = rows
    at = plots.table["row"], plots.table["col"]
    np.testing.assert_allclose(table[at], chip_statistics(*seen(plots)), rtol=1e-14, atol=1e-12)


@pytest.mark.parametrize("name", ["random-forest", "forest-kriging", "location-knn"])
def test_a_tile_does_not_depend_on_how_it_is_cut(name):
    model, plots, train, _ = fitted(name)
    bundle, (data, valid, lon, lat) = model.as_bundle(plots, train), scene()
    whole = bundle.predict_tile(data, valid, lon, lat)
    for rows, cols in ((slice(0, 9), slice(0, 30)), (slice(7, 30), slice(11, 24))):
        part = bundle.predict_tile(data[:, rows, cols], *(a[rows, cols] for a in (valid, lon, lat)))
        inner = whole[rows.start : rows.stop - 2, cols.start : cols.stop - 2]
        np.testing.assert_array_equal(part, inner)
    wanted = np.random.default_rng(0).random(whole.shape) < 0.2
    some = bundle.predict_tile(data, valid, lon, lat, wanted)
    np.testing.assert_array_equal(some, np.where(wanted, whole, np.nan))


def test_a_map_does_not_depend_on_its_tiles(tmp_path, monkeypatch):
    model, plots, train, _ = fitted("random-forest")
    folder = model.as_bundle(plots, train).save(tmp_path / "model")
    raster = noise(tmp_path / "a.tif", (75, 83))
    map_raster(folder, raster, tmp_path / "one.tif")
    monkeypatch.setattr("spatioformer.mapping.predictor.UNIT", 16)
    map_raster(folder, raster, tmp_path / "two.tif")
    with rasterio.open(tmp_path / "one.tif") as one, rasterio.open(tmp_path / "two.tif") as two:
        assert one.count == 1, "a mean, and no spread"
        np.testing.assert_array_equal(one.read(), two.read())
        assert one.tags()["MODEL_ID"] == two.tags()["MODEL_ID"]
    with pytest.raises(ModelError, match="the layer 'sd' needs"):
        open_predictor(folder, ("sd",), 20, 1, 0)


@pytest.fixture
def forest(tmp_path) -> Path:
    model, plots, train, _ = fitted("random-forest")
    return model.as_bundle(plots, train).save(tmp_path / "model")


def rewritten(folder: Path, change) -> Path:
    """The bundle with a changed `schema.json` in its skops file."""
    path = folder / "model.skops"
    with zipfile.ZipFile(path) as source:
        files = {name: source.read(name) for name in source.namelist()}
    files["schema.json"] = json.dumps(change(json.loads(files["schema.json"]))).encode()
    with zipfile.ZipFile(path, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return folder


def test_a_file_with_other_types_is_refused(forest, tmp_path):
    def other(schema):
        return schema | {"__module__": "spatioformer.files", "__class__": "Path"}

    with pytest.raises(ModelError, match="holds what no model of ours consists of"):
        load(rewritten(forest, other))
    ended = spatioformer("map", forest, noise(tmp_path / "a.tif", (9, 9)), "-o", tmp_path / "o.tif")
    assert ended.code == 2
    assert "spatioformer.files.Path" in ended.err
    assert ended.err.count("\n") == 1


def test_a_file_that_holds_no_regressor_is_refused(forest):
    def inner(schema):
        return schema["content"] | {k: schema[k] for k in ("protocol", "_skops_version")}

    with pytest.raises(ModelError, match=r"damaged or of another version \(a dict is no regressor"):
        load(rewritten(forest, inner))


def test_a_file_that_was_cut_is_refused(forest):
    path = forest / "model.skops"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged or of another version"):
        load(forest)
    path.unlink()
    with pytest.raises(ModelError, match=r"model\.skops is missing"):
        load(forest)


def test_another_scikit_learn_is_refused(forest):
    described = read_json(forest / "config.json")
    write_json(forest / "config.json", described | {"scikit-learn": "1.2.3"})
    with pytest.raises(ModelError, match=rf"1\.2\.3, and {sklearn.__version__} is installed"):
        load(forest)


@pytest.mark.parametrize(
    ("name", "field", "value", "words"),
    [
        ("random-forest", "left_child", 10**6, "leads out of itself"),
        ("random-forest", "left_child", 0, "leads out of itself"),
        ("random-forest", "feature", 8, "columns beyond the 8"),
        ("forest-kriging", "right_child", -7, "leads out of itself"),
        ("gradient-boosting", "left", 10**6, "leads out of itself"),
        ("gradient-boosting", "feature_idx", 8, "columns beyond the 8"),
    ],
)
def test_a_tree_that_leads_elsewhere_is_refused(tmp_path, name, field, value, words):
    """Compiled code would follow it into memory that is not the tree's."""
    model, plots, train, _ = fitted(name)
    bundle = model.as_bundle(plots, train)
    if name == "gradient-boosting":
        bundle.regressor._predictors[0][0].nodes[field][0] = value
    else:
        forest = getattr(bundle.regressor, "forest_", bundle.regressor)
        tree = forest.estimators_[0].tree_
        state = tree.__getstate__()
        state["nodes"][field][0] = value
        tree.__setstate__(state)
    with pytest.raises(ModelError, match=words):
        load(bundle.save(tmp_path / "model"))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_kriging_without_its_tree_grows_it_anew(again):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(140, 145, 80), rng.uniform(-30, -20, 80)])
    field = Kriging(range_km=200, nugget_share=0.2, neighbours=20).fit(X, np.sin(X[:, 0]))
    assert "tree_" not in field.__getstate__()
    np.testing.assert_array_equal(again(field).predict(X[:9] + 0.05), field.predict(X[:9] + 0.05))
    assert not hasattr(again(Kriging()), "tree_")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The stack, its plots, and its bundle's folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in SMALL.items():
            whole = TABULAR[name]
            patch.setitem(TABULAR, name, lambda seed, m=whole, s=size: m(seed).set_params(**s))
        model, plots, train, rows = fitted("spatioformer-stacked", dropout=0.0)
    bundle = model.as_bundle(plots, train)
    bundle.facts = {"name": "stack (x)"}
    return model, plots, rows, bundle.save(tmp_path_factory.mktemp("stack") / "model")


def test_a_stack_comes_back_as_it_was(stack):
    model, plots, rows, folder = stack
    bundle = load(folder)
    assert list(bundle.parts) == list(STACKED)
    np.testing.assert_array_equal(bundle.shares, model.weights)
    np.testing.assert_array_equal(bundle.known, model.known)
    assert bundle.reach == model.reach
    expected = model.predict(plots, rows)
    np.testing.assert_allclose(bundle.predict(*seen(plots)), expected, rtol=0, atol=1e-9)
    tile = bundle.predict_tile(*scene())
    np.testing.assert_allclose(tile[plots.table["row"], plots.table["col"]], expected, rtol=1e-5)
    assert np.isnan(tile).sum() == 9
    assert not any((bundle.has_dropout, bundle.has_spread, bundle.is_dense, bundle.members))
    with pytest.raises(ModelError, match=r"stack \(x\) tells no spread; take a network"):
        bundle.spread(*seen(plots))


def test_every_weight_and_place_of_a_stack_matters(stack):
    """Were one of them lost on the way, the test before would see it."""
    _, plots, _, folder = stack
    bundle = load(folder)
    right = bundle.predict(*seen(plots))
    for change in (
        {"shares": bundle.shares[::-1]},
        {"known": bundle.known[:5]},
        {"reach": replace(bundle.reach, far=bundle.reach.far * 2)},
        {"parts": dict(reversed(bundle.parts.items()))},
    ):
        wrong = replace(bundle, **change).predict(*seen(plots))
        assert np.abs(wrong - right).max() > 1e-6, change


NEAR, FAR = "location-knn", "extra-trees"


def test_a_member_without_a_share_is_not_computed(stack, monkeypatch):
    _, plots, _, folder = stack
    bundle = load(folder)
    bundle.shares = np.array([[n == NEAR for n in STACKED], [n == FAR for n in STACKED]], float)
    forest, near = (bundle.parts[name].predict(*seen(plots)) for name in (FAR, NEAR))
    far = bundle.reach.share(to_nearest(plots.coordinates, bundle.known))
    monkeypatch.delattr(Bundle, "over_chips")
    for name in {*STACKED} - {NEAR, FAR, "spatioformer"}:
        bundle.parts[name].regressor = None
    found = bundle.predict(*seen(plots))
    np.testing.assert_allclose(found, (1 - far) * near + far * forest, rtol=1e-12)


def test_a_member_is_asked_only_where_it_counts(stack, monkeypatch):
    """The nearest plots' mean near plots, trees far from them, and both between."""
    bundle, (data, valid, lon, lat), asked = load(stack[3]), scene(), {}
    bundle.shares = np.array([[n == NEAR for n in STACKED], [n == FAR for n in STACKED]], float)
    bundle.reach = Reach(5_000.0, 25_000.0)
    whole = TabularBundle.over_tile

    def spied(self, tile):
        asked[self.architecture] = tile.wanted
        return whole(self, tile)

    monkeypatch.setattr(TabularBundle, "over_tile", spied)
    found = bundle.predict_tile(data, valid, lon, lat)
    inner = (slice(1, -1), slice(1, -1))
    places = np.column_stack([lon[inner].ravel(), lat[inner].ravel()])
    far = bundle.reach.share(to_nearest(places, bundle.known)).reshape(28, 28)
    for name, counts in (("LocationKNN", far < 1), ("ExtraTreesRegressor", far > 0)):
        np.testing.assert_array_equal(asked[name], counts & valid[inner])
        assert 50 < counts.sum() < 750
    alone = bundle.parts[FAR].predict_tile(data, valid, lon, lat)
    np.testing.assert_array_equal(found[far == 1], alone[far == 1])


def test_the_identity_of_a_stack_is_of_all_its_files(stack):
    folder, before = stack[3], identity(stack[3])
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.suffix == ".md":
            continue
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert identity(folder) != before, path
        path.write_bytes(content)
    assert identity(folder) == before
    live = load(folder)
    assert live.identity() == load(folder).identity()
    parts = dict(live.parts) | {"location-knn": live.parts["extra-trees"]}
    assert replace(live, parts=parts).identity() != live.identity()


def test_a_stack_of_other_files_is_refused(stack, tmp_path):
    bundle = load(stack[3])
    folder = bundle.save(tmp_path / "model")
    described = read_json(folder / "config.json")
    write_json(folder / "config.json", described | {"members": list(STACKED)[:3]})
    with pytest.raises(ModelError, match=r"does not fit its config\.json"):
        load(folder)
    write_json(folder / "config.json", described | {"members": ["none"]})
    with pytest.raises(ModelError, match="is no model bundle"):
        load(folder)
    write_json(folder / "config.json", described | {"kind": "oracle"})
    with pytest.raises(ModelError, match="does not describe a model this version"):
        load(folder)
    write_json(folder / "config.json", described)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is damaged or cut short"):
        load(folder)


def words(report: Path) -> str:
    """What a page says, tags and configuration left out."""
    page = report.read_text(encoding="utf-8").split("<summary>Model card")[0]
    page = re.sub(r"<(style|script).*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def test_a_run_whose_map_a_stack_makes(tmp_path):
    landscape.write(tmp_path)
    changes = [
        ("map.model", "spatioformer-stacked"),
        ("evaluate.models", ["spatioformer-stacked", "location-knn"]),
        ("evaluate.splits", [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}]),
        ("evaluate.curve_sizes", []),
        ("train.epochs", 1),
    ]
    ended = spatioformer("run", write_config(tmp_path, *changes), "--quiet")
    assert (ended.code, ended.err) == (0, "")
    run = tmp_path / "run"
    bundle, plots = load(run / "model"), open_chips(run / "chips")
    expected = np.maximum(bundle.predict(*seen(plots)), 0)
    with rasterio.open(run / "map.tif") as mapped:
        places = plots.table["lon"].to_numpy(), plots.table["lat"].to_numpy()
        at = rasterio.transform.rowcol(mapped.transform, *places)
        found = mapped.read(1)[tuple(np.asarray(i, int) for i in at)]
        assert [title.split(", ")[1].split()[0] for title in mapped.descriptions] == [
            "mean", "lower", "upper", "dissimilarity", "inside",
        ]  # fmt: skip
        assert mapped.tags()["MODEL"] == "spatioformer-stacked (tiny)"
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    intervals = pd.read_parquet(run / "evaluation" / "intervals.parquet")
    held_out = pd.read_parquet(run / "evaluation" / "predictions.parquet")
    own = held_out[held_out["model"] == "spatioformer-stacked"]
    np.testing.assert_array_equal(intervals["predicted"], own["predicted"])
    said = words(run / "report.html")
    assert "weighted near plots and far; it makes the map" in said
    assert "Made by the stacked Spatioformer" in said
    assert re.search(r"Members near plots [a-z-]+ [01]\.\d\d.* \(up to [\d.]+ km\)", said)
    assert "Model: settings Made by: the stacked Spatioformer" in said
    for claim in ("dropout off", "network that makes", "Spatioformer, which made", "by epoch"):
        assert claim not in said
    assert not (run / "training.csv").exists()

    ended = spatioformer("survey", run, "-o", tmp_path / "sites.csv", "-n", 2, "--quiet")
    assert ended.code == 0, ended.err
    _then_a_forest(tmp_path, changes)


def _then_a_forest(folder: Path, changes: list) -> None:
    """The same run with another model: nothing of the stack is left in it."""
    changes = [*changes, ("map.model", "random-forest"), ("evaluate.models", ["random-forest"])]
    config_file, run = write_config(folder, *changes), folder / "run"
    ended = spatioformer("run", config_file, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert {path.name for path in (run / "model").iterdir()} == {
        "config.json", "model.skops", "README.md", "uncertainty.json", "uncertainty.npz",
    }  # fmt: skip
    assert "chip statistics and coordinates; it makes the map" in words(run / "report.html")
    ended = spatioformer("drivers", run, "--quiet")
    assert ended.code == 0, ended.err
    found = read_json(run / "drivers.json")
    assert found["model"] == "random-forest"
    assert found["attention"] is None
    assert "The random forest errs by" in words(run / "report.html")
    ended = spatioformer(
        "map", run / "model", run / "imagery.tif", "-o", folder / "o.tif", "--layers", "sd"
    )
    assert_refused(
        ended,
        "the layer 'sd' needs Monte Carlo dropout; give samples of 2 or more and a model with "
        "dropout, or leave the layer out",
    )


def test_a_map_model_that_is_not_scored_has_no_intervals(tmp_path):
    landscape.write(tmp_path)
    changes = [("map.model", "extra-trees"), ("evaluate.curve_sizes", [])]
    changes += [("evaluate.models", ["location-knn"])]
    ended = spatioformer("run", write_config(tmp_path, *changes), "--quiet")
    assert (ended.code, ended.err) == (0, "")
    with rasterio.open(tmp_path / "run" / "map.tif") as mapped:
        assert mapped.count == 1
    assert "the extremely randomised trees, which made the map, was not scored" in words(
        tmp_path / "run" / "report.html"
    )


@pytest.mark.parametrize("name", ["spatioformer-published", "factoformer"])
def test_other_networks_make_maps_too(tmp_path, name):
    landscape.write(tmp_path)
    changes = [("map.model", name), ("evaluate.models", [name]), ("evaluate.curve_sizes", [])]
    splits = [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}]
    changes += [("train.epochs", 1), ("evaluate.splits", splits)]
    ended = spatioformer("run", write_config(tmp_path, *changes), "--quiet")
    assert (ended.code, ended.err) == (0, "")
    with rasterio.open(tmp_path / "run" / "map.tif") as mapped:
        assert "standard deviation" in mapped.descriptions[1]
    said = words(tmp_path / "run" / "report.html")
    kind = {"spatioformer-published": "PaperSpatioformer", "factoformer": "FactoFormer"}[name]
    assert f"Network {kind} (patch 3" in said
    assert "RMSE by epoch of the network that makes the map" in said
