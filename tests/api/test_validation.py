"""Cross-validation through the Python door: folds and scores are a run's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import KFold, cross_val_predict

import spatioformer as sf
from spatioformer.common.errors import ArgumentError, EvaluationError
from spatioformer.config.file import load_config
from spatioformer.evaluation.metrics import scores as score
from spatioformer.run.runner import Run
from tests.api.conftest import SMALL
from tests.helpers import landscape


@pytest.mark.slow
def test_the_scores_of_a_run(tmp_path, plots, imagery):
    evaluate = landscape.settings(tmp_path)["evaluate"] | {
        "models": ["spatioformer", "gaussian-process"],
        "splits": [
            {"name": "random", "kind": "random", "folds": 2},
            {"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0},
            {"name": "knndm", "kind": "knndm", "folds": 2},
        ],
        "curve_sizes": [],
        "curve_models": [],
    }
    run = Run(load_config(landscape.write(tmp_path, evaluate=evaluate)))
    run.stage("evaluate")
    expected = pd.read_parquet(run.folder / "evaluation" / "predictions.parquet")
    models = {
        "spatioformer": sf.SpatioformerRegressor(validation_tile=0.5, **SMALL),
        "gaussian-process": sf.GaussianProcessRegressor(),
    }
    splits = [sf.RandomKFold(2), sf.SpatialBlockKFold(2, size=1), sf.KNNDM(2)]
    scores = sf.cross_validate(models, plots, imagery, splits=splits)
    keys = ["model", "split", "fold", "lon", "lat"]
    both = scores.predictions.merge(expected, on=keys, validate="1:1", suffixes=("", "_run"))
    assert len(both) == len(expected) == 2 * 3 * 150
    np.testing.assert_array_equal(both["predicted"], both["predicted_run"])
    saved = pd.read_csv(run.folder / "scores.csv").set_index(["split", "model"]).sort_index()
    pd.testing.assert_frame_equal(
        pd.DataFrame(scores).set_index(["split", "model"]).sort_index(), saved
    )
    assert scores["split"].drop_duplicates().tolist() == ["random", "tiles", "knndm"]


def test_a_table_and_any_estimator(table):
    X, y = table
    models = {
        "ours": sf.GaussianProcessRegressor(coordinates=("lon", "lat")),
        "forest": RandomForestRegressor(20, random_state=0),
    }
    tiles = sf.SpatialBlockKFold(3, size=0.5)
    scores = sf.cross_validate(models, X, y, splits={"half a degree": tiles})
    pairs = [*tiles.split(X[["lon", "lat"]])]
    for name, model in models.items():
        predictions = cross_val_predict(model, X, y, cv=pairs)
        row = scores[scores["model"] == name].iloc[0]
        expected = score(y, predictions)
        assert {k: row[k] for k in expected} == pytest.approx(expected, rel=1e-12)
        assert row["split"] == "half a degree"
    named = sf.cross_validate(models["forest"], X, y, splits=tiles, coordinates=("lon", "lat"))
    assert named["model"].tolist() == ["RandomForestRegressor"]
    assert named["rmse"][0] == scores.query("model == 'forest'")["rmse"].item()


def test_a_table_without_places(table):
    X, y = table
    features = X[["green", "wet"]].to_numpy()
    model = sf.GaussianProcessRegressor()
    splits = [sf.RandomKFold(3, seed=4), KFold(3), KFold(4)]
    scores = sf.cross_validate(model, features, y, splits=splits)
    assert scores["split"].tolist() == ["random", "KFold", "KFold-2"]
    assert scores["n"].tolist() == [60, 60, 60]
    assert scores.predictions.query("split == 'random'")["fold"].nunique() == 3
    assert scores.predictions["lon"].isna().all()
    expected = cross_val_predict(model, features, y, cv=KFold(3))
    np.testing.assert_array_equal(
        scores.predictions.query("split == 'KFold'")["predicted"], expected
    )


def test_scores_are_a_table(table, tmp_path):
    X, y = table
    scores = sf.cross_validate(
        sf.GaussianProcessRegressor(), X, y, splits=sf.RandomKFold(2), coordinates=None
    )
    assert scores.sort_values("rmse").predictions is scores.predictions
    assert len(pd.concat([scores, scores.copy()])) == 2
    scores.to_parquet(tmp_path / "scores.parquet")


def test_sentences(table, plots, imagery):
    X, y = table
    model = sf.GaussianProcessRegressor()
    with pytest.raises(ArgumentError, match="SpatialBlockKFold divides places, and the table has"):
        sf.cross_validate(model, X, y, splits=sf.SpatialBlockKFold(2))
    with pytest.raises(ArgumentError, match="KNNDM needs places of the map"):
        sf.cross_validate(model, X, y, splits=sf.KNNDM(2), coordinates=("lon", "lat"))
    with pytest.raises(ArgumentError, match="splits is empty"):
        sf.cross_validate(model, X, y, splits=[])
    with pytest.raises(ArgumentError, match="RandomForestRegressor cannot be fitted to imagery"):
        sf.cross_validate(RandomForestRegressor(), plots, imagery, splits=sf.RandomKFold(2))
    with pytest.raises(EvaluationError, match="kNNDM folds need places of the map"):
        sf.KNNDM(3).assign(plots[["lon", "lat"]])
