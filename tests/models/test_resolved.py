"""Values of a configuration that depend on the plots: tiles, the curve, the loss, covariates."""

import numpy as np
import pandas as pd
import pytest

from spatioformer.common.errors import ConfigError
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.sizes import Tile
from spatioformer.geo.chips import ChipStore
from spatioformer.models.resolved import choose_tiles, resolved, resolved_with

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


def store_of(richness: np.ndarray, covariate: np.ndarray, **facts) -> ChipStore:
    """A store of plots at PLACES with one band, which is the covariate."""
    chips = covariate.astype(np.float32)[:, None, None, None]
    lon, lat = (values[:, None, None] for values in PLACES.T)
    table = pd.DataFrame({"lon": PLACES[:, 0], "lat": PLACES[:, 1], "richness": richness})
    return ChipStore(chips, lon, lat, table, ["covariate"], **facts)


def test_tiles_are_as_wide_as_the_range_of_the_residuals():
    wave = np.sin(PLACES[:, 0] / 2) + np.sin(PLACES[:, 1] / 2)  # no covariate explains it
    noise = np.random.default_rng(1).normal(size=(2, len(PLACES)))
    richness = np.expm1(2 + wave + 0.1 * noise[0])
    unexplained, explained = store_of(richness, noise[1]), store_of(richness, wave)
    wide = choose_tiles(config(), unexplained)["tiles"]
    assert wide.range_km > 150
    assert wide.tile.size > 1
    assert choose_tiles(config(), explained)["tiles"].tile == Tile(1.0, "degrees")
    kept = resolved_with(config(), unexplained, {"tiles": wide.tile})
    assert kept.evaluate.splits[1].size == wide.tile.size
    assert kept.evaluate.curve_sizes == (0.5, 1, 2, 4, 8)  # by the extent alone
    assert kept.train.validation_tile == 1
    stated = config(evaluate={"splits": [{"name": "t", "kind": "tiles", "size": 3}]})
    assert choose_tiles(stated, unexplained) == {}


def test_missing_covariates_are_filled():
    richness = np.random.default_rng(0).poisson(20, len(PLACES)).astype(float)
    store = store_of(richness, np.ones(len(PLACES)), covariates={"area_m2": None})
    store.table["area_m2"] = np.where(np.arange(len(PLACES)) % 3, 100.0, np.nan)
    assert choose_tiles(config(), store)["tiles"].tile == Tile(1.0, "degrees")


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
    assert own.map.model == "auto"
    assert "spatioformer-distilled" not in own.evaluate.models
    assert own.model.patch == 1
