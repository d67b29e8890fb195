"""Fill in the values of a configuration that depend on the plots, or on the evaluation's choice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spatioformer.common.errors import ConfigError, OutputError
from spatioformer.common.files import read_json
from spatioformer.config.learning import AUTO, CHOICE
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.residuals import residual_range, sample
from spatioformer.evaluation.sizes import Tile, TileChoice, curve_of, split_tile, usual_tile
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
    tiles: Mapping[str, Tile] | None = None,
) -> RunConfig:
    """The configuration with sizes, covariates and loss where it leaves them to the plots.

    Args:
        lonlat: of the plots that models learn from, (n, 2), degrees.
        covariates: the columns of numbers that models take, with the value for a map; None keeps
            those of the configuration.
        target_kind: what the plots count or measure.
        tiles: name of a split by tiles without a size -> its tiles; others have `usual_tile`.

    Raises:
        ConfigError: `train.loss` is of counts, and the target is none.
    """
    tile = usual_tile(lonlat)
    evaluate, train, model = config.evaluate, config.train, config.model
    sizes = dict.fromkeys(open_tiles(config), tile) | dict(tiles or {})
    splits = tuple(
        split.model_copy(update={"size": sizes[split.name].size, "unit": sizes[split.name].unit})
        if split.name in sizes
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


def resolved_with(
    config: RunConfig, store: ChipStore, tiles: Mapping[str, Tile] | None = None
) -> RunConfig:
    """`resolved` with the plots of a chip store."""
    return resolved(
        config,
        store.coordinates,
        covariates=store.covariates,
        target_kind=store.target_kind,
        tiles=tiles,
    )


def open_tiles(config: RunConfig) -> dict[str, int]:
    """Name -> folds of the splits by tiles whose size the configuration leaves to the plots."""
    return {s.name: s.folds for s in config.evaluate.splits if s.kind == "tiles" and s.size is None}


def choose_tiles(config: RunConfig, store: ChipStore) -> dict[str, TileChoice]:
    """Tiles of the splits of `open_tiles`, by the plots' extent and the range of the residuals.

    The residuals are those of log(1 + richness), unless it is a proportion: richer plots have
    larger errors, and would decide alone.
    """
    folds = open_tiles(config)
    if not folds:
        return {}
    rows = sample(len(store), config.seed)
    target = store.richness if store.target_kind == "proportion" else np.log1p(store.richness)
    features = np.hstack(
        [store.chips[rows].mean(axis=(1, 2), dtype=np.float64), _columns(store, rows)]
    )
    reach = residual_range(store.coordinates[rows], features, target[rows], config.seed)
    groups = store.table["group"].to_numpy() if "group" in store.table else None
    return {
        name: split_tile(store.coordinates, reach, count, groups) for name, count in folds.items()
    }


def _columns(store: ChipStore, rows: np.ndarray) -> np.ndarray:
    """Covariates of plots, (rows, k); the median, or 0, replaces missing numbers."""
    table = store.table[list(store.covariates)].astype(np.float64)
    return table.fillna(table.median()).fillna(0.0).to_numpy()[rows]


def with_model(config: RunConfig, model: str) -> RunConfig:
    """The configuration with the name of the model that makes the map."""
    return config.model_copy(update={"map": config.map.model_copy(update={"model": model})})


def with_chosen_model(config: RunConfig, folder: str | Path) -> RunConfig:
    """The configuration with the evaluation's choice where `map.model` is auto.

    Args:
        folder: the run folder, in which the evaluation has finished.

    Raises:
        OutputError: the folder does not say which model was chosen.
    """
    if config.map.model != AUTO:
        return config
    path = Path(folder) / CHOICE
    try:
        model = read_json(path)["model"]
    except (OSError, ValueError, KeyError, TypeError):
        model = None
    if model not in config.candidates:
        raise OutputError(
            f"`map.model` is auto, and {path} does not name one of the models "
            f"{', '.join(config.candidates)}; run `spatioformer evaluate` to choose one"
        )
    return with_model(config, model)
