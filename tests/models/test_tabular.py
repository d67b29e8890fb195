"""Models that are no network as bundles: they come back as they were, over chips and tiles."""

import copy
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import sklearn

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json, write_json
from spatioformer.mapping import map_raster
from spatioformer.mapping.predictor import open_predictor
from spatioformer.models.baselines import TABULAR, Kriging, chip_statistics
from spatioformer.models.registry import make
from spatioformer.models.store import load
from spatioformer.models.tabular import tile_statistics
from spatioformer.models.tiles import PixelTile
from tests.helpers.maps import noise
from tests.helpers.models import BANDS, fitted, scene, sections, seen, store
from tests.helpers.tiny_run import spatioformer

pytestmark = pytest.mark.usefixtures("small_forests")


@pytest.mark.parametrize("patch", [pytest.param(1, marks=pytest.mark.soak), 3])
@pytest.mark.parametrize("name", TABULAR)
@pytest.mark.slow
def test_a_tabular_model_comes_back_as_it_was(tmp_path, name, patch):
    model, plots, _ = fitted(name, patch)
    again = load(model.save(tmp_path / "model"))
    expected = model.predict_rows(plots, np.arange(len(plots)))
    assert again.predict(*seen(plots), bands=BANDS).dtype == np.float64
    np.testing.assert_allclose(again.predict(*seen(plots)), expected, rtol=0, atol=1e-9)
    assert np.ptp(expected) > 1
    assert (again.patch, again.bands, again.halo) == (patch, BANDS, patch // 2)
    assert (again.draws, again.quantile_pair, again.attends) == (None, None, None)
    assert not again.is_dense
    data, valid, lon, lat = scene()
    tile = again.predict_tile(data, valid, lon, lat)
    at = plots.table["row"], plots.table["col"]
    np.testing.assert_allclose(tile[at], expected, rtol=2e-7)  # float32
    assert np.isnan(tile).sum() == patch**2, "chips with the pixel that holds nothing"


@pytest.mark.parametrize("name", ["random-forest", "location-knn"])
@pytest.mark.slow
def test_the_same_model_gives_the_same_bytes(tmp_path, name):
    for folder in ("one", "two"):
        fitted(name)[0].save(tmp_path / folder)
    one, two = ((tmp_path / f / "model.skops").read_bytes() for f in ("one", "two"))
    assert one == two
    other = fitted(name)[0]
    other.regressor.fit(np.random.default_rng(0).normal(size=(30, 8)), np.arange(30.0))
    assert (other.save(tmp_path / "other") / "model.skops").read_bytes() != one


def test_covariates_stand_before_the_statistics(tmp_path):
    model, plots, train = fitted("extra-trees", covariates={"area_m2": None})
    bundle, rows = load(model.save(tmp_path / "model")), np.arange(len(plots))
    areas = plots.table["area_m2"].to_numpy()
    told = bundle.predict(*seen(plots), {"area_m2": areas})
    np.testing.assert_allclose(told, model.predict_rows(plots, rows), rtol=0, atol=1e-9)
    usual = float(np.median(areas[train]))
    np.testing.assert_array_equal(
        bundle.predict(*seen(plots)), bundle.predict(*seen(plots), {"area_m2": usual})
    )
    at = plots.table["row"], plots.table["col"]
    np.testing.assert_array_equal(
        bundle.predict_tile(*scene())[at], bundle.predict(*seen(plots)).astype(np.float32)
    )
    with pytest.raises(ModelError, match="has no covariate 'year'; choose among"):
        bundle.predict(*seen(plots), {"year": 2000})


@pytest.mark.parametrize("name", [*TABULAR, "spatioformer-stacked"])
@pytest.mark.usefixtures("small_stacks")
@pytest.mark.slow
def test_some_plots_of_unknown_area_stop_no_model(name):
    plots, areas = store(), store().table["area_m2"].astype(float)
    areas.iloc[::3] = np.nan
    areas.iloc[1] = 0.0  # has no logarithm
    plots = replace(plots, table=plots.table.assign(area_m2=areas))
    estimator = make(name, *sections(covariates={"area_m2": None}))
    rows = np.arange(len(plots))
    assert np.isfinite(estimator.fit(plots, rows).predict_rows(plots, rows)).all()


def test_areas_are_seen_as_logarithms():
    """Plots of 1 to 10,000 m2: species grow by as many from 1 to 10 as from 1,000 to 10,000."""
    rng = np.random.default_rng(0)
    plots = store(n=120)
    areas = 10 ** rng.uniform(0, 4, len(plots))
    table = plots.table.assign(area_m2=areas, richness=10 + 10 * np.log10(areas))
    plots = replace(plots, table=table)
    estimator = make("gaussian-process", *sections(covariates={"area_m2": None}))
    rows = np.arange(len(plots))
    model = estimator.fit(plots, rows[:90])
    off = model.predict_rows(plots, rows[90:]) - plots.richness[90:]
    assert np.abs(off).max() < 1.5
    told = model.predict(*seen(plots), {"area_m2": areas})
    np.testing.assert_allclose(told[90:], plots.richness[90:] + off, rtol=1e-9)


def test_the_process_is_told_of_areas_and_of_other_targets():
    """A covariate `area_m2` beside bands, or the column of a plot table."""
    plots = store(n=40)
    plots = replace(plots, table=plots.table.assign(area_m2=10.0 ** (np.arange(40) % 4)))
    rows = np.arange(len(plots))
    estimator = make("gaussian-process", *sections(covariates={"year": 2000.0, "area_m2": None}))
    dated = replace(plots, table=plots.table.assign(date=pd.Timestamp("2000-05-01")))
    regressor = estimator.fit(dated, rows).regressor
    assert (regressor.effort, regressor.counts) == (1, True)
    columns = replace(plots, bands=["rain", "log10 area_m2"], target_kind="continuous")
    regressor = make("gaussian-process", *sections()).fit(columns, rows).regressor
    assert (regressor.effort, regressor.counts) == (1, False)
    assert make("gaussian-process", *sections()).fit(plots, rows).regressor.effort is None


def test_a_process_of_transformed_counts_is_saved_whole(tmp_path):
    """With areas, gaps and the variance that its means need."""
    rng = np.random.default_rng(0)
    plots = store(n=120)
    areas = 10 ** rng.uniform(0, 4, len(plots))
    richness = np.rint(3 * areas**0.4 * np.exp(0.2 * rng.normal(size=len(plots))))
    areas[::6] = np.nan
    table = plots.table.assign(area_m2=areas, richness=richness)
    plots = replace(plots, table=table)
    rows = np.arange(len(plots))
    estimator = make("gaussian-process", *sections(covariates={"area_m2": None}))
    model = estimator.fit(plots, rows)
    assert model.regressor.transform_ != "none"
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict_rows(plots, rows), model.predict_rows(plots, rows))
    assert again.identity() == model.identity()


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_statistics_of_a_tile_are_those_of_its_chips(patch, monkeypatch):
    monkeypatch.setattr("spatioformer.models.tabular.ROWS", 100)  # strips of a few rows
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
    bundle, (data, valid, lon, lat) = fitted(name)[0], scene()
    whole = bundle.predict_tile(data, valid, lon, lat)
    for rows, cols in ((slice(0, 9), slice(0, 30)), (slice(7, 30), slice(11, 24))):
        part = bundle.predict_tile(data[:, rows, cols], *(a[rows, cols] for a in (valid, lon, lat)))
        inner = whole[rows.start : rows.stop - 2, cols.start : cols.stop - 2]
        np.testing.assert_array_equal(part, inner)
    wanted = np.random.default_rng(0).random(whole.shape) < 0.2
    some = bundle.predict_tile(data, valid, lon, lat, wanted)
    np.testing.assert_array_equal(some, np.where(wanted, whole, np.nan))


def test_a_map_does_not_depend_on_its_tiles(tmp_path, monkeypatch):
    folder = fitted("random-forest")[0].save(tmp_path / "model")
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
    return fitted("random-forest")[0].save(tmp_path / "model")


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
        return schema | {"__module__": "spatioformer.common.files", "__class__": "Path"}

    with pytest.raises(ModelError, match="holds a type that is not trusted, so it is not loaded"):
        load(rewritten(forest, other))
    ended = spatioformer("map", forest, noise(tmp_path / "a.tif", (9, 9)), "-o", tmp_path / "o.tif")
    assert ended.code == 2
    assert "spatioformer.common.files.Path" in ended.err
    assert ended.err.count("\n") == 1


def test_a_file_that_holds_no_regressor_is_refused(forest):
    def inner(schema):
        return schema["content"] | {k: schema[k] for k in ("protocol", "_skops_version")}

    with pytest.raises(
        ModelError, match=r"damaged or of another version \(a dict is not a regressor"
    ):
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
    with pytest.raises(ModelError, match=rf"1\.2\.3, but {sklearn.__version__} is installed"):
        load(forest)


@pytest.mark.parametrize(
    ("name", "field", "value", "words"),
    [
        ("random-forest", "left_child", 10**6, "has a child node out of its range"),
        ("random-forest", "left_child", 0, "has a child node out of its range"),
        ("random-forest", "feature", 8, "uses a feature beyond the 8 features of the model"),
        ("forest-kriging", "right_child", -7, "has a child node out of its range"),
        ("gradient-boosting", "left", 10**6, "has a child node out of its range"),
        (
            "gradient-boosting",
            "feature_idx",
            8,
            "uses a feature beyond the 8 features of the model",
        ),
    ],
)
def test_a_tree_that_leads_elsewhere_is_refused(tmp_path, name, field, value, words):
    """Compiled code would follow it into memory that is not the tree's."""
    bundle = fitted(name)[0]
    if name == "gradient-boosting":
        bundle.regressor.booster_._predictors[0][0].nodes[field][0] = value
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
