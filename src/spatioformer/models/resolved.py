"""Fill in the values of a configuration that depend on the plots."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from spatioformer.common.errors import ConfigError
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.sizes import curve_of, usual_tile
from spatioformer.geo.chips import ChipStore

TargetKind = Literal["count", "continuous", "proportion"]

COUNT_LOSSES = ("poisson", "negative-binomial")
"""Losses whose likelihood is that of counts."""


def resolved(
    config: RunConfig,
    lonlat: np.ndarray,
    *,
    covariates: Mapping[str, float | None] | None = None,
    target_kind: TargetKind = "count",
) -> RunConfig:
    """The configuration with sizes, covariates and loss where it leaves them to the plots.

    Args:
        lonlat: of the plots that models learn from, (n, 2), degrees.
        covariates: the columns of numbers that models take, with the value for a map; None keeps
            those of the configuration.
        target_kind: what the plots count or measure.

    Raises:
        ConfigError: `train.loss` is of counts, and the target is none.
    """
    tile = usual_tile(lonlat)
    evaluate, train, model = config.evaluate, config.train, config.model
    splits = tuple(
        split.model_copy(update={"size": tile.size, "unit": tile.unit})
        if split.kind == "tiles" and split.size is None
        else split
        for split in evaluate.splits
    )
    changes: dict[str, Any] = {"splits": splits}
    if evaluate.curve_sizes is None:
        changes |= {"curve_sizes": curve_of(lonlat, tile), "curve_unit": tile.unit}
    if train.validation_tile is None:
        train = train.model_copy(update={"validation_tile": tile.degrees})
    if target_kind != "count" and train.loss in COUNT_LOSSES:
        raise ConfigError(
            f"`train.loss` is {train.loss}, a loss of counts, and the target is {target_kind}; "
            "choose mse, log1p or quantile, or leave `train.loss` out"
        )
    if train.loss is None and target_kind != "count":
        train = train.model_copy(update={"loss": "mse"})
    if covariates is not None:
        model = model.model_copy(update={"covariates": dict(covariates)})
    return config.model_copy(
        update={
            "evaluate": evaluate.model_copy(update=changes),
            "train": train,
            "model": model,
        }
    )


def resolved_with(config: RunConfig, store: ChipStore) -> RunConfig:
    """`resolved` with the plots of a chip store."""
    return resolved(
        config,
        store.coordinates,
        covariates=store.covariates,
        target_kind=store.target_kind,
    )
