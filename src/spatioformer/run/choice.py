"""Choose the model of the map by the scores of the evaluation, and score the choice itself.

The models compared are those of `evaluate.models`: all of them can map, and a report whose best
model did not make the map would need an excuse. The folds are those of the map-like split.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.files import write_json, writing
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.learning import AUTO
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.choice import Choice, nested_choice
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.sizes import Tile, usual_tile
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.models.resolved import CHOICE, with_model
from spatioformer.run.context import RunContext

CANDIDATES = "evaluation/candidates.csv"
"""File of a run folder that compares the candidates, a row each."""


@dataclass(frozen=True)
class ModelChoice:
    """The model chosen for the map.

    Attributes:
        model: its name.
        candidates: a row each, indexed by model: `r2` on the map-like split; `behind`, how far r2
            is below that of the best candidate; `standard_error` of `behind`; `tied`, whether
            `behind` is at most its standard error; `map_rank`, see the catalogue; `folds`, number
            of folds without which it is chosen.
        nested: held-out predictions of the choice as a model of its own, named auto, on each split:
            those of the model that is chosen without the plots of the fold. Empty if there is only
            one candidate.
    """

    model: str
    candidates: pd.DataFrame
    nested: pd.DataFrame


def with_choice(
    run: RunContext, config: RunConfig, predictions: pd.DataFrame
) -> tuple[RunConfig, pd.DataFrame]:
    """Choose the model of the map where `map.model` is auto, and write and say which.

    Args:
        config: resolved with the plots.
        predictions: held-out predictions of all models.

    Returns:
        The configuration with the name of the model, and the predictions with those of the choice.

    Raises:
        OutputError: the choice cannot be written.
    """
    if config.map.model != AUTO:
        for name in (CHOICE, CANDIDATES):  # those of an earlier configuration
            (run.folder / name).unlink(missing_ok=True)
        return config, predictions
    choice = choose_model(predictions, config)
    run.console.say(f"  {sentence(choice, config)}")
    # The training reads this file; scores in it would train the same model again.
    write_json(run.folder / CHOICE, {"model": choice.model})
    with writing(run.folder / CANDIDATES) as part:
        choice.candidates.to_csv(part)
    everything = pd.concat([predictions, choice.nested], ignore_index=True)
    return with_model(config, choice.model), everything


def choose_model(predictions: pd.DataFrame, config: RunConfig) -> ModelChoice:
    """Choose the model of the map by its held-out predictions on the map-like split.

    Args:
        predictions: as from `evaluate.held_out_predictions`.
        config: resolved with the plots.
    """
    names, split = list(config.candidates), config.evaluate.map_like
    rows = predictions[predictions["split"] == split.name]
    plots = rows.drop_duplicates("plot_id").set_index("plot_id")
    predicted = rows.pivot(index="plot_id", columns="model", values="predicted")
    observed = plots["observed"].to_numpy(np.float64)
    errors = predicted.loc[plots.index, names].to_numpy(np.float64) - observed[:, None]
    tile = Tile(split.size, split.unit) if split.size else None
    unit = _tiles(plots[["lon", "lat"]].to_numpy(np.float64), tile)
    order = np.array([CATALOGUE[name].map_rank for name in names])
    choice = Choice.of(errors, unit, order)
    nested = {
        s.name: _chosen_without_fold(predictions, s.name, plots.index, (errors, unit, order))
        for s in config.evaluate.splits
    }
    of_fold = pd.Series(nested[split.name]).groupby(plots["fold"].to_numpy()).first()
    variance = observed.var() or np.nan
    table = pd.DataFrame(
        {
            "r2": [scores(observed, observed + e)["r2"] for e in errors.T],
            "behind": choice.behind / variance,
            "standard_error": choice.standard_error / variance,
            "tied": choice.tied,
            "map_rank": order,
            "folds": [int((of_fold == number).sum()) for number in range(len(names))],
        },
        index=pd.Index(names, name="model"),
    )
    parts = [
        _predictions_of(predictions[predictions["split"] == name], plots.index, chosen, names)
        for name, chosen in nested.items()
    ]
    together = pd.concat(parts if len(names) > 1 else [predictions[:0]], ignore_index=True)
    return ModelChoice(names[choice.chosen], table, together)


def _tiles(lonlat: NDArray[np.float64], tile: Tile | None) -> NDArray[np.int64]:
    """Number of the tile of each plot (n,); errors within a tile count as correlated."""
    tile = tile or usual_tile(lonlat)
    return SpatialBlockKFold(2, size=tile.size, unit=tile.unit).tiles(lonlat)


def _chosen_without_fold(
    predictions: pd.DataFrame, split: str, plots: pd.Index, judged: tuple[NDArray, ...]
) -> NDArray[np.int64]:
    """Number of the model that is chosen for each of `plots` without the plots of its fold, (n,).

    Args:
        split: whose folds count.
        judged: errors, units and order of `nested_choice`, of the map-like split.
    """
    rows = predictions[predictions["split"] == split].drop_duplicates("plot_id")
    fold = rows.set_index("plot_id")["fold"].loc[plots].to_numpy()
    return nested_choice(*judged, fold)


def _predictions_of(
    rows: pd.DataFrame, plots: pd.Index, chosen: NDArray[np.int64], names: list[str]
) -> pd.DataFrame:
    """Rows of one split, of each plot those of its chosen model, under the name auto."""
    model = rows["plot_id"].map(pd.Series(np.array(names, object)[chosen], plots))
    return rows[rows["model"] == model].assign(model=AUTO)


def sentence(choice: ModelChoice, config: RunConfig) -> str:
    """Which model maps, and why, with the figures."""
    split, table = config.evaluate.map_like, choice.candidates
    own, best = table.loc[choice.model], table["behind"].idxmin()
    place = f"the folds nearest to the map's use ({split.name}"
    start = f"map.model is auto: {choice.model}"
    if len(table) == 1:
        return f"{start} is the only model of evaluate.models that can make the map; it maps"
    if choice.model == best:
        text = f"{start} has the best score on {place} r2 {own['r2']:.3f}); it maps"
    else:
        text = (
            f"{start} maps faster than {best}, and their scores on {place} r2 {own['r2']:.3f} and "
            f"{table.loc[best, 'r2']:.3f}) differ by less than one standard error "
            f"({own['standard_error']:.3f}); it maps"
        )
    part = choice.nested[choice.nested["split"] == split.name]
    return (
        f"{text}; r2 of the choice itself {scores(part['observed'], part['predicted'])['r2']:.3f}"
    )
