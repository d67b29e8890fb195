import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime

from spatioformer.config.learning import ModelSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models import store
from spatioformer.models.baselines import GaussianProcess, shares_of
from spatioformer.models.baselines.gaussian.embeddings import embeddings_among
from spatioformer.models.baselines.gaussian.kernel import (
    SCATTER,
    STRETCH_SD,
    Hyperparameters,
    Inputs,
)
from spatioformer.models.baselines.gaussian.likelihood import misfit
from spatioformer.models.baselines.gaussian.search import likeliest
from spatioformer.models.tabular import TabularEstimator

A = [f"A{i:02d}" for i in range(64)]


def test_bands_numbered_under_one_name_are_an_embedding():
    assert embeddings_among(A) == {"A": list(range(64))}
    assert embeddings_among(["elevation", *A[:32], "bio_1"]) == {"A": list(range(1, 33))}
    assert embeddings_among(A[:31]) == {}
    assert embeddings_among([f"bio_{i}" for i in range(1, 20)]) == {}
    two = [*A[:40], *[f"e_{i}" for i in range(40)]]
    assert {stem: len(places) for stem, places in embeddings_among(two).items()} == {
        "A": 40,
        "e_": 40,
    }


def test_groups_of_features():
    assert shares_of(("area",), ["red", "nir"], 3) is None
    bands = ["ndvi", *A[:32]]
    one = [0, *[1] * 32]
    assert shares_of((), bands, 1) == one
    assert shares_of(("area",), bands, 3) == [0, 1, *[2] * 32, 3, *[4] * 32, 5, *[6] * 32]
    assert shares_of(tuple(A[:32]), ["red"], 1) == [*[0] * 32, 1]


def plots(count=120, bands=40, seed=0):
    """Features of four latent numbers, location, and richness that depends on them."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(count, 4))
    features = latent @ rng.normal(size=(4, bands)) + rng.normal(scale=0.5, size=(count, bands))
    lonlat = rng.uniform([140, -38], [150, -30], (count, 2))
    richness = 30 + 4 * np.sin(latent).sum(axis=1) + rng.normal(scale=2, size=count)
    return np.hstack([features, lonlat]), richness


def test_with_a_group_for_each_feature_it_is_the_ordinary_process():
    X, y = plots(60, 5)
    plain, shared = GaussianProcess().fit(X, y), GaussianProcess(shares=range(5)).fit(X, y)
    np.testing.assert_allclose(plain.predict(X), shared.predict(X), rtol=1e-9)


def test_features_of_a_group_have_one_unit():
    X, y = plots(80, 6)
    model = GaussianProcess(shares=[0, 0, 0, 1, 1, 1]).fit(X, y)
    sds = X[:, :6].std(axis=0)
    assert model.scale_[0] == pytest.approx(np.sqrt(np.mean(sds[:3] ** 2)))
    assert model.scale_[4] == pytest.approx(np.sqrt(np.mean(sds[3:] ** 2)))


def test_a_gap_in_an_embedding_is_a_feature_of_its_own():
    X, y = plots(80, 6)
    X[:9, :3] = np.nan
    X[20:25, 4] = np.nan
    model = GaussianProcess(shares=[0, 0, 0, 1, 1, 1]).fit(X, y)
    assert model.features_.shape == (80, 8)
    np.testing.assert_array_equal(model._groups(8), [0, 0, 0, 1, 1, 1, 2, 3])
    assert np.isfinite(model.predict(X)).all()


def test_the_estimate_is_a_maximum_of_the_posterior():
    """The prior of a group's log lengths: covariance 1 between them, SCATTER^2 more each."""
    X, y = plots(70, 6, seed=2)
    features = (X[:, :6] - X[:, :6].mean(axis=0)) / X[:, :6].std(axis=0)
    inputs = Inputs(features, np.random.default_rng(0).normal(size=(70, 3)))
    target = (y - y.mean()) / y.std()
    shares = np.array([0, 0, 0, 1, 1, 2])
    covariance = np.equal.outer(shares, shares) * 1.0
    covariance[np.diag_indices(6)] += np.where(shares < 2, SCATTER**2, 0.0)
    precision = np.zeros((20, 20))
    precision[:6, :6] = np.eye(6)
    precision[6:12, 6:12] = precision[12:18, 12:18] = np.linalg.inv(covariance)
    precision[18:, 18:] = np.eye(2) / STRETCH_SD**2
    usual = Hyperparameters.usual(6).vector

    def loss(vector):
        offset = vector - usual
        likelihood = misfit(inputs, target, Hyperparameters(vector, 6))[0]
        return likelihood + offset @ precision @ offset / 2

    found = likeliest([(inputs, target)], 1.0, shares=shares).vector
    assert np.abs(approx_fprime(found, loss, 1e-6)).max() < 0.1
    assert np.abs(approx_fprime(usual, loss, 1e-6)).max() > 1


def test_an_embedding_predicts_better_than_as_many_independent_features():
    errors = {"shared": 0.0, "each": 0.0}
    for seed in range(3):
        X, y = plots(250, 64, seed=seed)
        models = {"shared": GaussianProcess(shares=[0] * 64), "each": GaussianProcess()}
        for name, model in models.items():
            predictions = model.fit(X[:150], y[:150]).predict(X[150:])
            errors[name] += float(np.mean((predictions - y[150:]) ** 2))
    assert errors["shared"] < 0.97 * errors["each"]


def chip_store(names, patch=3, count=50):
    rng = np.random.default_rng(1)
    chips = rng.normal(size=(count, patch, patch, len(names))).astype(np.float32)
    lon, lat = rng.uniform([140, -38], [150, -30], (count, 2)).T
    table = pd.DataFrame({"lon": lon, "lat": lat, "richness": rng.poisson(20, count)})
    whole = np.ones((1, patch, patch))
    return ChipStore(chips, lon[:, None, None] * whole, lat[:, None, None] * whole, table, names)


def test_the_catalogue_uses_it_for_embeddings_only(tmp_path):
    section = ModelSection(patch=3)
    rows = np.arange(50)
    few = TabularEstimator("gaussian-process", section, 0).fit(chip_store(A[:31]), rows)
    assert few.regressor.shares is None
    forest = TabularEstimator("extra-trees", section, 0, {"n_estimators": 3})
    assert forest.fit(chip_store(A), rows).architecture == "TunedForest"
    data = chip_store(["ndvi", *A])
    model = TabularEstimator("gaussian-process", section, 7, {"prior": 2.0}).fit(data, rows)
    assert (model.regressor.prior, model.regressor.seed) == (2.0, 7)
    assert model.regressor.shares == [0, *[1] * 64, 2, *[3] * 64, 4, *[5] * 64]
    model.save(tmp_path / "model")
    loaded = store.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_rows(data, rows), model.predict_rows(data, rows))
    assert len(model.summary) < 200
