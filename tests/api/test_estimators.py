"""The public estimators are thin: what they predict is what the internal ones predict."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import spatioformer as sf
from spatioformer.api.adapter import PlotRegressor, PlotsWithoutChip
from spatioformer.common.errors import ArgumentError, ImageryError, PlotError, SpatioformerError
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.file import load_config
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models import recipes
from spatioformer.models.base import OutsideExtent
from spatioformer.models.network_estimator import NetworkEstimator
from spatioformer.models.registry import make
from spatioformer.models.tabular import TabularEstimator
from spatioformer.run.runner import Run
from tests.api.conftest import SMALL
from tests.helpers import landscape
from tests.helpers.models import shrink, shrink_stacks

pytestmark = pytest.mark.slow

TABLES = {
    "spatioformer": sf.SpatioformerRegressor(validation_tile=0.5, **SMALL),
    "gaussian-process": sf.GaussianProcessRegressor(),
    "stack": sf.ClosedFormStackRegressor(),
    "forest-kriging": sf.ForestKrigingRegressor(n_estimators=60),
}


def pixels(X: pd.DataFrame, y: np.ndarray) -> ChipStore:
    """The table as a store of chips of one pixel, made by hand."""
    chips = X[["green", "wet"]].to_numpy(np.float32)[:, None, None]
    lon, lat = (X[name].to_numpy()[:, None, None] for name in ("lon", "lat"))
    return ChipStore(chips, lon, lat, X[["lon", "lat"]].assign(richness=y), ["green", "wet"])


def internal(name: str) -> object:
    model = ModelSection(patch=1, **{k: v for k, v in SMALL.items() if k != "epochs"})
    if name == "forest-kriging":
        return TabularEstimator(name, model, 0, {"forest__n_estimators": 60})
    return make(name, model, TrainSection(epochs=2, validation_tile=0.5))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_chips_of_one_pixel(name, table):
    X, y = table
    store = pixels(X, y)
    expected = internal(name).fit(store, np.arange(40)).predict_rows(store, np.arange(40, 60))
    named = clone(TABLES[name]).set_params(coordinates=("lon", "lat"))
    predictions = named.fit(X[:40], y[:40]).predict(X[40:])
    np.testing.assert_array_equal(predictions, expected)
    # The same places as an array, or as positions.
    features, lonlat = X[["green", "wet"]], X[["lon", "lat"]]
    given = clone(TABLES[name]).fit(features[:40], y[:40], coordinates=lonlat[:40])
    np.testing.assert_array_equal(given.predict(features[40:], coordinates=lonlat[40:]), expected)
    placed = clone(TABLES[name]).set_params(coordinates=(0, 2)).fit(X.to_numpy()[:40], y[:40])
    np.testing.assert_array_equal(placed.predict(X.to_numpy()[40:]), expected)
    assert placed.model_.bands == ["x1", "x3"]
    assert named.n_features_in_ == 4
    assert named.feature_names_in_.tolist() == ["lon", "green", "lat", "wet"]


def test_an_array_of_places_replaces_the_columns(table):
    X, y = table
    lonlat = X[["lon", "lat"]].to_numpy()
    model = sf.GaussianProcessRegressor(coordinates=("lon", "lat")).fit(X, y)
    moved = X.assign(lon=0.0, lat=0.0)
    np.testing.assert_array_equal(model.predict(moved, coordinates=lonlat), model.predict(X))
    features = X[["green", "wet"]]
    other = sf.GaussianProcessRegressor(coordinates=("lon", "lat"))
    other.fit(features, y, coordinates=lonlat)
    np.testing.assert_array_equal(other.predict(features, coordinates=lonlat), model.predict(X))


def test_without_places_the_network_takes_none(table):
    X, y = table
    features = X[["green", "wet"]]
    model = clone(TABLES["spatioformer"]).fit(features, y)
    assert model.model_.network.config["location"] is None
    assert model.model_.facts["validation_plots"] == 9  # a seventh, drawn at random
    assert model.model_.facts["name"] == "spatioformer-no-location"
    assert "region" not in model.model_.facts
    store = pixels(X.assign(lon=0.0, lat=0.0), y)
    section = ModelSection(patch=1, **{k: v for k, v in SMALL.items() if k != "epochs"})
    train = TrainSection(epochs=2, validation_tile=0.5)
    rows = np.arange(60)
    expected = NetworkEstimator("spatioformer-no-location", section, train, 0, "rows")
    np.testing.assert_array_equal(
        model.predict(features), expected.fit(store, rows).predict_rows(store, rows)
    )


def test_covariates_may_be_missing(table):
    X, y = table
    X = X.assign(area_m2=np.where(np.arange(60) % 2, 400.0, np.nan))
    model = sf.GaussianProcessRegressor(coordinates=("lon", "lat"), covariates={"area_m2": 400.0})
    predictions = model.fit(X, y).predict(X)
    store = pixels(X, y)
    store.table["area_m2"] = X["area_m2"]
    section = ModelSection(patch=1, covariates={"area_m2": 400.0})
    expected = make("gaussian-process", section).fit(store, np.arange(60))
    np.testing.assert_array_equal(predictions, expected.predict_rows(store, np.arange(60)))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.fit(X.assign(wet=np.nan), y)


def test_plots_on_imagery_are_a_run(folder, plots, imagery):
    run = Run(load_config(folder / "tiny.yaml"))
    run.stage("train")
    trained = sf.load(run.folder / "model")
    model = sf.SpatioformerRegressor(validation_tile=0.5, **SMALL).fit(plots, imagery)
    assert model.model_.identity() == trained.identity()
    differing = {"name", "area"}
    assert {k: v for k, v in model.model_.facts.items() if k not in differing} == {
        k: v for k, v in trained.facts.items() if k not in differing
    }
    store = open_chips(run.folder / "chips")
    np.testing.assert_array_equal(
        model.predict(plots, imagery), trained.predict_rows(store, np.arange(len(store)))
    )
    assert model.feature_names_in_.tolist() == ["red", "green", "blue"]


def test_the_distilled_network_is_a_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(recipes, "CHIPS_PROCESSED", 4000)  # chips: one epoch
    settings = landscape.settings(tmp_path)
    path = landscape.write(
        tmp_path,
        map={"model": "spatioformer-distilled", "samples": 0},
        train={"validation_tile": 0.5, "teacher": "gaussian-process"},
        evaluate=settings["evaluate"] | {"models": ["location-knn"]},
    )
    run = Run(load_config(path))
    run.stage("train")
    columns = {"plot_id": "plot", "area_m2": "area"}
    columns |= {name: name for name in ("lon", "lat", "richness")}
    sizes = {k: v for k, v in SMALL.items() if k != "epochs"}
    model = sf.DistilledRegressor(validation_tile=0.5, **sizes).fit(
        sf.read_plots(tmp_path / "plots.csv", columns=columns),
        sf.read_imagery(run.folder / "imagery.tif"),
    )
    assert model.model_.identity() == sf.load(run.folder / "model").identity()


def test_plots_without_a_chip(plots, imagery):
    model = sf.GaussianProcessRegressor().fit(plots, imagery)
    moved = plots.copy()
    moved.loc[moved.index[1], ["lon", "lat"]] = [140.01, -20.01]  # at the edge
    with pytest.warns(PlotsWithoutChip, match=r"1 of 150 plots have no whole chip .* hold no data"):
        predictions = model.predict(moved, imagery)
    assert np.flatnonzero(np.isnan(predictions)).tolist() == [1]
    np.testing.assert_allclose(  # products of matrices round by the number of rows
        np.delete(predictions, 1), np.delete(model.predict(plots, imagery), 1), rtol=1e-12
    )
    with pytest.warns(PlotsWithoutChip):
        assert model.fit(moved, imagery).model_.facts["plots"] == 149


def test_any_frame_with_places_will_do(plots, imagery):
    expected = sf.GaussianProcessRegressor().fit(plots, imagery).predict(plots, imagery)
    frame = pd.DataFrame(plots[["lon", "lat", "richness"]]).set_index(plots["plot_id"])
    frame["remarks"] = [None, 3, "wet"] * 50
    points = plots[["richness", "geometry"]].rename_geometry("place").to_crs("EPSG:3577")
    for other in (frame, points):
        model = sf.GaussianProcessRegressor().fit(other, imagery)
        np.testing.assert_allclose(model.predict(other, imagery), expected, rtol=1e-6)


def test_far_away_is_extrapolation(table):
    X, y = table
    model = sf.GaussianProcessRegressor(coordinates=("lon", "lat")).fit(X, y)
    with pytest.warns(OutsideExtent, match="km outside the extent of the training plots"):
        model.predict(X.assign(lon=150.0))


def test_save_and_load(table, tmp_path):
    X, y = table
    model = clone(TABLES["spatioformer"]).set_params(coordinates=("lon", "lat")).fit(X, y)
    loaded = sf.load(model.save(tmp_path / "model"))
    store = pixels(X, y)
    np.testing.assert_array_equal(
        loaded.predict(store.chips, store.lon, store.lat), model.predict(X)
    )
    assert loaded.facts["region"] == [
        round(float(v), 4) for v in (X.lon.min(), X.lon.max(), X.lat.min(), X.lat.max())
    ]
    assert (loaded.facts["name"], loaded.facts["grain"]) == ("spatioformer", "plot size not stated")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_scikit_learns_tools(table):
    X, y = table
    scale = ColumnTransformer(
        [("scale", StandardScaler(), ["green", "wet"])],
        remainder="passthrough", verbose_feature_names_out=False,
    ).set_output(transform="pandas")  # fmt: skip
    model = sf.GaussianProcessRegressor(coordinates=("lon", "lat"))
    predictions = cross_val_predict(make_pipeline(scale, model), X, y, cv=KFold(3))
    for train, test in KFold(3).split(X):
        scaled = clone(scale).fit(X.iloc[train])
        expected = clone(model).fit(scaled.transform(X.iloc[train]), y[train])
        np.testing.assert_array_equal(
            predictions[test], expected.predict(scaled.transform(X.iloc[test]))
        )
    search = GridSearchCV(model, {"prior": np.array([1.0, 1e4])}, cv=KFold(3)).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] != scores[1]
    assert search.best_params_["prior"] == [1.0, 1e4][int(scores.argmax())]
    # A grid's numpy numbers are hyperparameters too.
    sf.SpatioformerRegressor(**SMALL | {"epochs": np.int64(1)}).fit(X[["wet"]], y)


OTHER_MODELS = {"teacher", "published_recipe"}
"""Keys of a configuration that models without a class of their own take."""


def test_defaults_are_the_configurations():
    model, train = ModelSection(), TrainSection()
    for kind in (sf.SpatioformerRegressor, sf.StackRegressor, sf.DistilledRegressor):
        parameters = kind().get_params()
        for name, value in parameters.items():
            for section in (model, train):
                if name in type(section).model_fields and name != "covariates":
                    default = train.loss_name if name == "loss" else getattr(section, name)
                    assert value == default, name
    named = {*ModelSection.model_fields, *TrainSection.model_fields} - OTHER_MODELS
    assert set(sf.SpatioformerRegressor().get_params()) == named | {"coordinates", "seed"}
    for kind in PlotRegressor.__subclasses__():
        if hasattr(kind, "name"):
            assert kind.name in CATALOGUE


@pytest.mark.parametrize("name", ["spatioformer", "gaussian-process"])
def test_negative_counts(name, table):
    X, y = table
    with pytest.raises(
        ValueError, match=r"lowest is -3, and y counts species; give numbers from 0"
    ):
        TABLES[name].fit(X, y - y.min() - 3)


SENTENCES = {
    "no such column": (
        lambda X, y: sf.GaussianProcessRegressor(coordinates=("x", "lat")).fit(X, y),
        "X has no column 'x'; its columns are lon, green, lat, wet",
    ),
    "no names": (
        lambda X, y: sf.GaussianProcessRegressor(coordinates=("lon", "lat")).fit(X.to_numpy(), y),
        "X has no column names, and the column 'lon' is wanted; give a DataFrame",
    ),
    "one column": (
        lambda X, y: sf.GaussianProcessRegressor(coordinates="lonlat").fit(X, y),
        "coordinates is 'lonlat'; name two columns, longitude first",
    ),
    "no features": (
        lambda X, y: sf.GaussianProcessRegressor(coordinates=(0, 1)).fit(X[["lon", "lat"]], y),
        "X has no column besides lon, lat; give at least one feature",
    ),
    "swapped": (
        lambda X, y: sf.GaussianProcessRegressor(coordinates=("lat", "lon")).fit(X, y),
        "coordinates: .*latitude",
    ),
    "too few places": (
        lambda X, y: sf.GaussianProcessRegressor().fit(X, y, coordinates=[[1.0, 2.0]]),
        "coordinates has 1 rows and X has 60",
    ),
    "kriging without places": (
        lambda X, y: sf.ForestKrigingRegressor().fit(X, y),
        "kriges residuals from place to place, and X has no places",
    ),
    "a stack without places": (
        lambda X, y: sf.StackRegressor().fit(X, y),
        "weights its members by the distance to the nearest plot, and X has no places",
    ),
    "distilled from a table": (
        lambda X, y: sf.DistilledRegressor().fit(X, y),
        "learns from pixels without plots, which a table does not have",
    ),
    "predict without places": (
        lambda X, y: (
            sf.GaussianProcessRegressor().fit(X, y, coordinates=X[["lon", "lat"]]).predict(X)
        ),
        "fitted with coordinates, and predict got none; .* coordinates=\\('lon', 'lat'\\)",
    ),
    "predict with places": (
        lambda X, y: (
            sf.GaussianProcessRegressor().fit(X, y).predict(X, coordinates=X[["lon", "lat"]])
        ),
        "fitted without coordinates and cannot use any",
    ),
    "a hyperparameter": (
        lambda X, y: sf.SpatioformerRegressor(width=7).fit(X, y),
        "width 7 does not divide into 4 heads",
    ),
    "the year": (
        lambda X, y: sf.GaussianProcessRegressor(covariates={"year": None}).fit(X, y),
        "leave the year among the features",
    ),
    "too large": (
        lambda X, y: sf.GaussianProcessRegressor().fit(X * 1e60, y),
        "too large for 32-bit",
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_sentences(case, table):
    call, sentence = SENTENCES[case]
    with pytest.raises(ArgumentError, match=sentence) as raised:
        call(*table)
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, SpatioformerError)


def test_sentences_of_plots_and_imagery(plots, imagery, table):
    model = sf.GaussianProcessRegressor()
    with pytest.raises(NotFittedError):
        model.predict(plots, imagery)
    with pytest.raises(ArgumentError, match="coordinates is given together with imagery"):
        model.fit(plots, imagery, coordinates=[[1, 2]])
    with pytest.raises(PlotError, match="plots is a list; give the table of"):
        model.fit([1, 2], imagery)
    with pytest.raises(PlotError, match=r"plots have no column 'richness'; read them with"):
        model.fit(plots.drop(columns="richness"), imagery)
    with pytest.raises(
        PlotError, match=r"richness of plots has 1 values .* the first -1\.0 in row 0"
    ):
        model.fit(plots.assign(richness=np.where(plots.index == 0, -1.0, 5.0)), imagery)
    with pytest.raises(ImageryError, match="none of the 150 plots lies in the imagery"):
        model.fit(plots.assign(lat=10.0), imagery)
    model.fit(plots, imagery)
    with pytest.raises(ArgumentError, match=r"give it both: predict\(plots, imagery\)"):
        model.predict(table[0])


@pytest.mark.slow
def test_the_stack_is_a_thin_adapter_too(monkeypatch, table):
    shrink(monkeypatch)
    shrink_stacks(monkeypatch)
    X, y = table
    store, rows = pixels(X, y), np.arange(60)
    expected = internal("spatioformer-stacked").fit(store, rows)
    model = sf.StackRegressor(coordinates=("lon", "lat"), validation_tile=0.5, **SMALL)
    assert model.fit(X, y).model_.identity() == expected.identity()
