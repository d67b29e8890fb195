"""Scores of pooled held-out predictions: known answers, properties, agreement with a peer."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation.metrics import scores


def test_known_answer_by_hand():
    got = scores([1, 2, 3, 4], [2, 2, 2, 6])
    # errors 1, 0, -1, 2: SSE 6, SST 5; covariance sum 6, predicted spread 12
    assert got == pytest.approx(
        {
            "n": 4,
            "r": 6 / math.sqrt(5 * 12),
            "r2": 1 - 6 / 5,
            "rmse": math.sqrt(6 / 4),
            "mae": 1.0,
            "bias": 0.5,
        },
        rel=1e-15,
    )
    assert list(got) == ["n", "r", "r2", "rmse", "mae", "bias"]


def test_r2_is_not_the_square_of_r():
    got = scores([1, 2, 3], [11, 12, 13])
    assert got["r"] == pytest.approx(1, abs=1e-15)
    assert got["r2"] == 1 - 300 / 2


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_agrees_with_scikit_learn_and_numpy(seed):
    rng = np.random.default_rng(seed)
    observed = rng.gamma(3, 10, 40)
    predicted = observed + rng.normal(0, 8, 40)
    got = scores(observed, predicted)
    assert got["r"] == pytest.approx(np.corrcoef(observed, predicted)[0, 1], rel=1e-12)
    assert got["r2"] == pytest.approx(r2_score(observed, predicted), rel=1e-12)
    assert got["rmse"] == pytest.approx(root_mean_squared_error(observed, predicted), rel=1e-12)
    assert got["mae"] == pytest.approx(mean_absolute_error(observed, predicted), rel=1e-12)
    turned = scores(predicted, observed)
    assert turned["bias"] == -got["bias"]
    assert turned["r"] == pytest.approx(got["r"], rel=1e-12)


def test_constant_sides_have_no_correlation():
    # 0.1 summed and divided is not 0.1 again: a test by variance would miss this constant.
    flat = scores(np.full(7, 0.1), np.arange(7))
    assert math.isnan(flat["r"])
    assert math.isnan(flat["r2"])
    assert flat["rmse"] > 0
    mean_model = scores([1, 2, 3], [2, 2, 2])
    assert math.isnan(mean_model["r"])
    assert mean_model["r2"] == 0


def test_one_column_tables_count_as_columns():
    assert scores(np.array([[1.0], [3.0]]), np.array([1.0, 2.0]))["bias"] == -0.5


@pytest.mark.parametrize(
    ("observed", "predicted", "sentence"),
    [
        ([1, np.nan, 3], [1, 2, 3], "observed values hold 1 NaN .* row 1"),
        ([1, 2], [1, np.inf], "predicted values hold 1 NaN or infinite"),
        ([1, 2, 3], [1, 2], "predicted values have 2 rows where 3 are expected"),
        ([], [], "observed values are empty"),
        (["many"], [1], "observed values must be numbers"),
        (np.ones((2, 2)), [1, 2], "observed values must be one column"),
    ],
)
def test_bad_input_is_one_sentence(observed, predicted, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        scores(observed, predicted)


def test_parity_with_cast_global_validation(conformance_dir):
    folder = conformance_dir / "cast"
    held_out = pd.read_csv(folder / "cv_predictions.csv").groupby(["model", "cv"])
    expected = pd.read_csv(folder / "global_validation.csv").set_index(["model", "cv"])
    assert len(expected) == 8
    for name, row in expected.iterrows():
        pairs = held_out.get_group(name)
        got = scores(pairs["obs"], pairs["pred"])
        assert got["n"] == row["n_pred"]
        assert got["rmse"] == pytest.approx(row["RMSE"], rel=1e-12)
        assert got["mae"] == pytest.approx(row["MAE"], rel=1e-12)
        assert got["r2"] == pytest.approx(row["R2_1minusSSEoverSST"], rel=1e-12)
        assert got["r"] ** 2 == pytest.approx(row["Rsquared"], rel=1e-12)
