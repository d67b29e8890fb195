"""Values of a configuration that depend on the plots: tiles, the curve, the loss, covariates."""

import numpy as np
import pytest

from spatioformer.common.errors import ConfigError
from spatioformer.config.schema import RunConfig
from spatioformer.models.resolved import resolved

PLACES = np.random.default_rng(0).uniform(0, 35, (2000, 2))
VALLEY = PLACES / 1000 + 40


def config(**sections):
    return RunConfig.model_validate(
        {
            "plots": {"path": "x/My plots (2).csv"},
            "model": {"covariates": "auto"},
            **sections,
        }
    )


def test_sizes_come_from_the_plots():
    wide = resolved(config(), PLACES)
    assert [(s.size, s.unit) for s in wide.evaluate.splits if s.kind == "tiles"] == [(1, "degrees")]
    assert wide.evaluate.curve_sizes == (0.5, 1, 2, 4, 8)
    assert wide.train.validation_tile == 1
    near = resolved(config(), VALLEY)
    tile = next(s for s in near.evaluate.splits if s.kind == "tiles")
    assert (tile.unit, near.evaluate.curve_unit) == ("km", "km")
    assert near.evaluate.curve_sizes == tuple(tile.size * k for k in (0.5, 1, 2, 4, 8))


def test_what_the_configuration_says_stays():
    chosen = config(
        evaluate={
            "splits": [{"name": "t", "kind": "tiles", "size": 3}],
            "curve_sizes": [7],
        },
        train={"validation_tile": 0.3, "loss": "log1p"},
    )
    kept = resolved(chosen, PLACES, target_kind="continuous")
    assert kept == chosen


@pytest.mark.parametrize(
    ("kind", "loss"), [("count", "poisson"), ("continuous", "mse"), ("proportion", "mse")]
)
def test_the_loss_fits_the_target(kind, loss):
    assert resolved(config(), PLACES, target_kind=kind).train.loss_name == loss


def test_a_loss_of_counts_is_refused_for_other_targets():
    with pytest.raises(ConfigError, match=r"`train\.loss` is poisson, a loss of counts"):
        resolved(config(train={"loss": "poisson"}), PLACES, target_kind="continuous")
    assert resolved(config(train={"loss": "poisson"}), PLACES).train.loss == "poisson"


def test_covariates_become_columns_of_numbers():
    usual = {"rain": None, "realm = a": 1.0}
    assert resolved(config(), PLACES, covariates=usual).model.usual == usual


def test_a_run_is_named_after_its_table():
    assert (config().name, config().out) == ("My plots -2", "runs/My plots -2")
    assert config(name="a b").out == "runs/a b"
    assert config(out="here").out == "here"


def test_without_imagery_no_model_that_needs_some_is_scored():
    own = config()
    assert own.map.model == "gaussian-process"
    assert "spatioformer-distilled" not in own.evaluate.models
    assert own.model.patch == 1
