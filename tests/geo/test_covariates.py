"""Covariates of a plot table as columns of numbers: classes, missing values, logarithms."""

import numpy as np
import pandas as pd
import pytest

from spatioformer.common.errors import ModelError, PlotError
from spatioformer.geo.covariates import Covariate, Covariates

TABLE = pd.DataFrame(
    {
        "rain": [10.0, np.nan, 30.0, 50.0],
        "realm": ["b", "a", "", "b"],
        "soil": ["x", "y", "x", "x"],
        "area_m2": [100.0, 1000.0, 10.0, 1.0],
        "date": pd.to_datetime(["2001-05-01", "2002-01-01", None, "2004-01-01"]),
    }
)
NONE = dict.fromkeys(("rain", "realm", "soil"))


def test_numbers_classes_and_missing_values_have_columns_of_their_own():
    covariates = Covariates.of(TABLE, NONE)
    encoded = covariates.encoded(TABLE)
    assert list(encoded) == [
        *("rain", "rain is missing", "realm = a", "realm = b", "realm is missing"),
        *("soil = x", "soil = y"),
    ]
    assert encoded["rain"].tolist()[0::2] == [10, 30]
    assert np.isnan(encoded["rain"][1])
    assert encoded["rain is missing"].tolist() == [0, 1, 0, 0]
    assert encoded["realm = b"].tolist() == [1, 0, 0, 1]
    assert encoded["realm is missing"].tolist() == [0, 0, 1, 0]
    assert encoded[["soil = x", "soil = y"]].sum(axis=1).tolist() == [1, 1, 1, 1]


def test_a_map_takes_the_median_and_the_most_frequent_class():
    covariates = Covariates.of(TABLE, NONE)
    assert covariates.usual["rain"] == 30
    assert (covariates.usual["realm = b"], covariates.usual["realm = a"]) == (1, 0)
    assert covariates.usual["rain is missing"] == 0
    assert covariates.filled(TABLE)["rain"].tolist() == [10, 30, 30, 50]


def test_values_of_the_configuration_win():
    covariates = Covariates.of(TABLE, {"rain": 7.0, "realm": "a"})
    assert covariates.usual["rain"] == 7
    assert covariates.usual["realm = a"] == 1


def test_a_logarithm_is_taken_where_it_is_asked_for():
    covariates = Covariates.of(TABLE, {"area_m2": None}, ["area_m2"])
    assert covariates.columns == ["log10 area_m2"]
    assert covariates.encoded(TABLE)["log10 area_m2"].tolist() == pytest.approx([2, 3, 1, 0])


def test_the_year_is_that_of_the_date():
    encoded = Covariates.of(TABLE, {"year": None}).encoded(TABLE)
    assert encoded["year"].tolist()[:2] == [2001, 2002]
    assert encoded["year is missing"].tolist() == [0, 0, 1, 0]


def test_json_keeps_everything():
    covariates = Covariates.of(TABLE, NONE | {"area_m2": 400}, ["area_m2"])
    assert Covariates.from_json(covariates.to_json()) == covariates


def test_a_new_class_is_refused_and_so_is_a_gap_that_no_plot_had():
    realm = Covariate("realm", "a", ("a", "b"), False)
    with pytest.raises(PlotError, match="row 2: realm is 'c', a class that the training plots"):
        realm.encoded(["a", "c"])
    with pytest.raises(PlotError, match="row 1: realm has no value"):
        realm.encoded([""])
    with pytest.raises(PlotError, match="row 2: rain has no value"):
        Covariate("rain", 1.0, (), False).encoded([1.0, np.nan])


@pytest.mark.parametrize(
    ("usual", "message"),
    [
        ({"snow": None}, "no column 'snow'"),
        ({"rain": "much"}, "`model.covariates.rain` is 'much', and rain holds numbers"),
        ({"realm": "z"}, "is 'z', which is no class of that column; choose one of 'a', 'b'"),
        ({"realm": 3.0}, "is 3.0, which is no class"),
    ],
)
def test_what_cannot_be_a_covariate_is_refused(usual, message):
    with pytest.raises(ModelError, match=message):
        Covariates.of(TABLE, usual)


def test_text_with_very_many_classes_and_empty_columns_are_refused():
    many = pd.DataFrame({"name": [f"n{i}" for i in range(101)], "none": [np.nan] * 101})
    with pytest.raises(ModelError, match="101 different texts"):
        Covariates.of(many, {"name": None})
    with pytest.raises(ModelError, match="no plot has a value of the covariate 'none'"):
        Covariates.of(many, {"none": None})
