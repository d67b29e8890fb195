"""Covariates of a run: which columns of the plot table its models take, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.geo.chips import table_chips
from spatioformer.geo.covariates import LOGARITHMIC, Covariates, Usual
from spatioformer.run.context import RunContext
from spatioformer.run.plot_table import OF_PLOTS


def usual_of(run: RunContext) -> Usual:
    """The covariates of the run, with the value that the configuration gives for a map."""
    chosen = run.config.model.covariates
    if chosen != "auto":
        return chosen
    summary = read_json(run.folder / "plots.json")
    names = [*summary["covariates"], *(["area_m2"] if _differ(summary["area_m2"]) else [])]
    return dict.fromkeys(names)


def _differ(area: Mapping[str, Any]) -> bool:
    """Whether most plots state their area, and it is not the same for all."""
    return bool(area["known"] and area["min"] < area["max"])


def table_features(run: RunContext, table: pd.DataFrame) -> str:
    """Write the chips of a run without imagery, and return what they hold in words."""
    covariates = Covariates.of(table, usual_of(run), LOGARITHMIC)
    table_chips(table, covariates, run.folder / "chips", _facts(run))
    if not covariates.names:
        return "no covariates: models know the location alone"
    return f"{len(covariates.names)} covariates: {', '.join(covariates.names)}"


@dataclass(frozen=True)
class ImageryCovariates:
    """Covariates beside imagery.

    Attributes:
        table: the plots, with the columns of numbers that models take.
        measured: values (n, band) of covariates that have a band's name, NaN for none; None where
            no covariate has.
        facts: for the chip store.
    """

    table: pd.DataFrame
    measured: np.ndarray | None
    facts: Mapping[str, Any]


def imagery_covariates(
    run: RunContext, table: pd.DataFrame, bands: Sequence[str]
) -> ImageryCovariates:
    """The covariates of a run with imagery.

    A covariate with the name of a band is that band: models learn from the value that the table
    states for a plot, and a map takes the pixel's.

    Args:
        bands: names of the bands of the imagery.

    Raises:
        ModelError: a covariate has the name of a band, and chips are larger than a pixel or it
            holds text.
    """
    usual, bands = dict(usual_of(run)), list(bands)
    patch, shared = run.config.model.patch, [name for name in usual if name in bands]
    if patch > 1 and shared:
        if run.config.model.covariates != "auto":
            raise ModelError(
                f"the covariate {shared[0]!r} is a band of the imagery too, and chips have {patch} "
                f"x {patch} pixels, of which a plot measures one; set `model.patch: 1`, or leave "
                f"{shared[0]} out of `model.covariates`"
            )
        run.console.say(f"  note: {', '.join(shared)} are taken from the imagery, not the table")
    others = {name: value for name, value in usual.items() if name not in shared}
    covariates = Covariates.of(table, others)
    encoded = covariates.encoded(table)
    columns = {
        name: _for_map(covariates, others, name, value) for name, value in covariates.usual.items()
    }
    own = [name for name in encoded if name not in OF_PLOTS]
    plain = table.drop(columns=[name for name in covariates.names if name not in OF_PLOTS])
    measured = None
    if shared and patch == 1:
        measured = np.full((len(table), len(bands)), np.nan)
        for name in shared:
            if not pd.api.types.is_numeric_dtype(table[name]):
                raise ModelError(
                    f"the covariate {name!r} has the name of a band and holds text; rename its "
                    "column, or leave it out of `model.covariates`"
                )
            measured[:, bands.index(name)] = table[name].to_numpy(np.float64, na_value=np.nan)
    facts = _facts(run) | {"encoding": covariates.to_json(), "covariates": list(columns.items())}
    return ImageryCovariates(plain.join(encoded[own]), measured, facts)


def _for_map(covariates: Covariates, chosen: Usual, column: str, usual: float) -> float | None:
    """Value of a column of numbers for a map; None lets a model take its own plots' median."""
    return None if column in covariates.names and chosen[column] is None else usual


def _facts(run: RunContext) -> dict[str, Any]:
    return {"target_kind": read_json(run.folder / "plots.json").get("target_kind", "count")}
