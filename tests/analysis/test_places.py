"""Predictions at the places of a table: those of the model itself, with intervals and reasons."""

import numpy as np
import pandas as pd
import pytest

from spatioformer.analysis.places import predict_places
from spatioformer.common.errors import ImageryError, PlotError
from spatioformer.config.learning import ModelSection
from spatioformer.geo.chips import open_chips, table_chips
from spatioformer.geo.covariates import Covariates
from spatioformer.models.registry import make
from spatioformer.models.uncertainty import HeldOut, Uncertainty
from tests.helpers.models import shrink

pytestmark = pytest.mark.slow

COUNT = 120


@pytest.fixture(scope="module", autouse=True)
def _small_forests():
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        yield


@pytest.fixture(scope="module")
def plots():
    rng = np.random.default_rng(0)
    rain, realm = rng.uniform(0, 10, COUNT), rng.choice(["a", "b"], COUNT)
    return pd.DataFrame(
        {
            "plot_id": [f"p{i}" for i in range(COUNT)],
            "lon": rng.uniform(10, 14, COUNT),
            "lat": rng.uniform(45, 48, COUNT),
            "richness": np.round(5 + 2 * rain + 10 * (realm == "b")),
            "area_m2": np.full(COUNT, np.nan),
            "rain": np.where(rng.random(COUNT) < 0.1, np.nan, rain),
            "realm": realm,
        }
    )


@pytest.fixture(scope="module")
def folder(plots, tmp_path_factory):
    """A forest on the plot table alone, with intervals."""
    folder = tmp_path_factory.mktemp("table")
    covariates = Covariates.of(plots, {"rain": None, "realm": None})
    table_chips(plots, covariates, folder / "chips")
    store, rows = open_chips(folder / "chips"), np.arange(COUNT)
    fold = rows % 4
    predicted = np.empty(COUNT)
    for k in range(4):
        part = make("random-forest", ModelSection(patch=1)).fit(store, rows[fold != k])
        predicted[fold == k] = part.predict_rows(store, rows[fold == k])
    model = make("random-forest", ModelSection(patch=1)).fit(store, rows)
    model.facts = {"covariates": store.encoding.to_json()}
    model.save(folder / "model")
    pixels = np.asarray(store.chips[:, 0, 0], np.float64)
    lon, lat = store.coordinates.T
    held_out = HeldOut(pixels, lon, lat, store.richness, predicted, fold)
    Uncertainty.calibrate(held_out, store.bands)[0].save(folder / "model")
    return folder


def test_a_model_of_a_table_predicts_other_places(plots, folder):
    places = plots[["lon", "lat", "rain", "realm"]].copy()
    out = predict_places(folder / "model", places)
    store = open_chips(folder / "chips")
    model = make("random-forest", ModelSection(patch=1)).fit(store, np.arange(COUNT))
    want = model.predict_rows(store, np.arange(COUNT))
    np.testing.assert_allclose(out["predicted"], want)
    assert (out["lower"] <= out["predicted"]).all()
    assert (out["predicted"] <= out["upper"]).all()
    held = (out["lower"] <= plots["richness"]) & (plots["richness"] <= out["upper"])
    assert held.mean() > 0.9
    assert out["dissimilarity"].max() < 1e-6  # each place is a training plot
    assert out["inside"].all()
    assert (out["reason"] == "").all()
    assert "sd" not in out


def test_a_place_that_cannot_be_predicted_says_why(plots, folder):
    places = plots[["lon", "lat", "rain", "realm"]].head(4).copy()
    places.loc[1, "realm"] = "c"
    places.loc[2, "realm"] = ""
    out = predict_places(folder / "model", places)
    assert np.isfinite(out["predicted"]).tolist() == [True, False, False, True]
    assert "realm is 'c', a class that the training plots do not have" in out["reason"][1]
    assert "realm has no value" in out["reason"][2]
    with pytest.raises(PlotError, match="none of the 2 places can be predicted, the first because"):
        predict_places(folder / "model", places.iloc[1:3].reset_index(drop=True))
    far = places.head(1).assign(rain=500.0)
    assert not predict_places(folder / "model", far)["inside"].any()


def test_imagery_is_refused_by_a_model_without(plots, folder, tmp_path):
    with pytest.raises(ImageryError, match="learned from a plot table alone"):
        predict_places(folder / "model", plots.head(2), imagery=tmp_path / "x.tif")
