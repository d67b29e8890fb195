"""The protocol of models: estimators are pure, every name of the catalogue can be made."""

import copy

import numpy as np
import pytest

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.models.base import Model
from spatioformer.models.registry import make
from tests.helpers.models import sections, store

pytestmark = pytest.mark.usefixtures("small_forests", "small_stacks")

PURE = ["spatioformer", "extra-trees", "gaussian-process"]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_name_makes_an_estimator(name):
    assert hasattr(make(name, *sections()), "fit")


@pytest.mark.parametrize("name", [*PURE, "spatioformer-stacked"])
@pytest.mark.slow
def test_fit_leaves_the_estimator_unchanged(name):
    estimator = make(name, *sections(), seed=1)
    before = copy.deepcopy(estimator)
    plots = store(n=70)
    rows = np.arange(40)
    first = estimator.fit(plots, rows)
    assert isinstance(first, Model)
    assert estimator == before
    second = estimator.fit(plots, rows)
    assert first is not second
    np.testing.assert_array_equal(first.predict_rows(plots, rows), second.predict_rows(plots, rows))


@pytest.mark.parametrize("name", [*PURE, "spatioformer-stacked"])
@pytest.mark.slow
def test_rows_of_a_store_are_predicted_as_their_chips(name):
    plots, rows = store(n=70), np.arange(40, 60)
    model = make(name, *sections(), seed=1).fit(plots, np.arange(40))
    chips = plots.chips[rows], plots.lon[rows], plots.lat[rows]
    np.testing.assert_allclose(model.predict_rows(plots, rows), model.predict(*chips), rtol=1e-9)


def test_capabilities_follow_from_the_settings():
    plots, rows = store(n=70), np.arange(60)
    with_dropout = make("spatioformer", *sections(dropout=0.1)).fit(plots, rows)
    assert with_dropout.draws is with_dropout
    assert with_dropout.quantile_pair is None
    without = make("spatioformer", *sections(dropout=0.0)).fit(plots, rows)
    assert without.draws is None
    pair = make("spatioformer", *sections(dropout=0.0, members=2)).fit(plots, rows)
    assert pair.draws is pair
    section, train = sections()
    quantiles = train.model_copy(update={"loss": "quantile"})
    assert make("spatioformer", section, quantiles).fit(plots, rows).quantile_pair is not None
