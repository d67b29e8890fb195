"""Choose the model of the map by the scores of the evaluation, and score the choice itself.

The models compared are those of `evaluate.models`: all of them can map, and a report whose best
model did not make the map would need an excuse. The folds are those of the map-like split.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.files import write_json, writing
from spatioformer.common.streams import Stream, generator
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.evaluation import SplitSection
from spatioformer.config.learning import AUTO, CHOICE
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.choice import Choice, choice_shares, scores_of_choice
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.sizes import Tile, usual_tile
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.models.resolved import with_model
from spatioformer.run.context import RunContext

CANDIDATES = "evaluation/candidates.csv"
"""File of a run folder that compares the candidates, a row each."""

TOLERANCE = 0.01
"""Difference of r2 on the map-like split, of either sign, below which a faster model has to be."""

USUAL = "stack"
"""The candidate that is chosen unless another one is clearly better, or as good and faster."""


@dataclass(frozen=True)
class ModelChoice:
    """The model chosen for the map.

    Attributes:
        model: its name.
        reference: name of the candidate that the others are compared with: USUAL, or one that is
            clearly better; where USUAL is no candidate, the one with the highest r2.
        candidates: a row each, indexed by model: `r2` on the map-like split; `behind`, how far r2
            is below that of the reference; `standard_error` of `behind`; `tied`, whether
            |behind| is certainly below `TOLERANCE`; `map_rank`, see the catalogue; `share` of the
            samples of tiles that choose it.
        scores: of the choice as a model of its own, named auto: a row for each split, with the
            columns of the table of scores. Empty if there is only one candidate.
    """

    model: str
    reference: str
    candidates: pd.DataFrame
    scores: pd.DataFrame


def choose(
    run: RunContext, config: RunConfig, predictions: pd.DataFrame
) -> tuple[RunConfig, pd.DataFrame]:
    """Choose the model of the map where `map.model` is auto; write the choice, and say it.

    Args:
        config: resolved with the plots.
        predictions: held-out predictions of all models.

    Returns:
        The configuration with the name of the model, and the scores of the choice as a model of its
        own, no rows where there was none.

    Raises:
        OutputError: the choice cannot be written.
    """
    if config.map.model != AUTO:
        for name in (CHOICE, CANDIDATES):  # those of an earlier configuration
            (run.folder / name).unlink(missing_ok=True)
        return config, pd.DataFrame()
    choice = choose_model(predictions, config)
    run.console.say(f"  {sentence(choice, config)}")
    _write_choice(run, choice.model)
    with writing(run.folder / CANDIDATES) as part:
        choice.candidates.to_csv(part)
    return with_model(config, choice.model), choice.scores


def choose_ahead(run: RunContext, config: RunConfig, predictions: pd.DataFrame) -> RunConfig:
    """Choose the model of the map as `choose` does, before the other splits are predicted.

    Args:
        predictions: of the candidates on the map-like split.

    Returns:
        The configuration with the name of the model.

    Raises:
        OutputError: the choice cannot be written.
    """
    if config.map.model != AUTO:
        return config
    *_, judged = _judged(predictions, config)
    model = config.candidates[Choice.of(*judged).chosen]
    _write_choice(run, model)
    return with_model(config, model)


def _write_choice(run: RunContext, model: str) -> None:
    # The training reads this file; scores in it would train the same model again.
    write_json(run.folder / CHOICE, {"model": model})


def choose_model(predictions: pd.DataFrame, config: RunConfig) -> ModelChoice:
    """Choose the model of the map by its held-out predictions on the map-like split.

    Args:
        predictions: as from `evaluate.held_out_predictions`.
        config: resolved with the plots.
    """
    names = list(config.candidates)
    observed, predicted, judged = _judged(predictions, config)
    order, variance = judged[2], observed.var() or np.nan
    choice = Choice.of(*judged)
    scored, shares = [], np.ones((len(observed), 1))
    if len(names) > 1:
        shares = choice_shares(*judged, rng=generator(config.seed, Stream.CHOICE_SAMPLES))
        for other in config.evaluate.splits:
            _, values = _table(predictions, other.name, names)
            row = {"model": AUTO, "split": other.name}
            scored.append(row | scores_of_choice(observed, values, shares))
    table = pd.DataFrame(
        {
            "r2": [scores(observed, column)["r2"] for column in predicted.T],
            "behind": choice.behind / variance,
            "standard_error": choice.standard_error / variance,
            "tied": choice.tied,
            "map_rank": order,
            "share": shares.mean(axis=0),
        },
        index=pd.Index(names, name="model"),
    )
    return ModelChoice(names[choice.chosen], names[choice.reference], table, pd.DataFrame(scored))


def _judged(predictions: pd.DataFrame, config: RunConfig) -> tuple[NDArray, NDArray, tuple]:
    """What the candidates are judged by.

    Returns:
        Richness (n,) and predictions (n, candidates) of the plots of the map-like split, and the
        arguments of `Choice.of`.
    """
    names, split = list(config.candidates), config.evaluate.map_like
    plots, predicted = _table(predictions, split.name, names)
    observed = plots["observed"].to_numpy(np.float64)
    errors = predicted - observed[:, None]
    order = np.array([CATALOGUE[name].map_rank for name in names])
    tolerance = np.nan_to_num(TOLERANCE * (observed.var() or np.nan))
    usual = names.index(USUAL) if USUAL in names else None
    return observed, predicted, (errors, _tiles(plots, split), order, tolerance, usual)


def _table(
    predictions: pd.DataFrame, split: str, names: list[str]
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Plots of a split by plot_id (lon, lat, observed), and predictions of the models (n, m)."""
    rows = predictions[predictions["split"] == split]
    plots = rows.drop_duplicates("plot_id").set_index("plot_id").sort_index()
    predicted = rows.pivot(index="plot_id", columns="model", values="predicted")
    return plots, predicted.loc[plots.index, names].to_numpy(np.float64)


def _tiles(plots: pd.DataFrame, split: SplitSection) -> NDArray[np.int64]:
    """Number of the tile of each plot (n,); errors within a tile count as correlated."""
    lonlat = plots[["lon", "lat"]].to_numpy(np.float64)
    tile = Tile(split.size, split.unit) if split.size else usual_tile(lonlat)
    return SpatialBlockKFold(2, size=tile.size, unit=tile.unit).tiles(lonlat)


def sentence(choice: ModelChoice, config: RunConfig) -> str:
    """Which model maps, and why, with the figures."""
    split = config.evaluate.map_like.name
    r2 = {str(name): float(value) for name, value in choice.candidates["r2"].items()}
    start = f"map.model is auto: {choice.model}"
    if len(r2) == 1:
        return f"{start} is the only model of evaluate.models that can make the map; it maps"
    own = float(choice.scores.set_index("split")["r2"][split])
    return f"{start} {_reason(choice, r2, split)}; it maps; r2 of the choice itself {own:.3f}"


def _reason(choice: ModelChoice, r2: dict[str, float], split: str) -> str:
    """Why the chosen model maps, after its name."""
    model, reference, place = (
        choice.model,
        choice.reference,
        "on the folds nearest to the map's use",
    )
    best = max(r2, key=r2.__getitem__)
    if model != reference:
        return (
            f"maps faster than {reference}, and {place} their scores are as good "
            f"({split} r2 {r2[model]:.3f} and {r2[reference]:.3f})"
        )
    if model == best:
        return f"has the best score {place} ({split} r2 {r2[model]:.3f})"
    if model == USUAL:
        return (
            f"is the usual model, and {place} no other is clearly better "
            f"({split} r2 {r2[model]:.3f}; the highest is {r2[best]:.3f}, of {best})"
        )
    return (
        f"is clearly better than {USUAL} {place} ({split} r2 {r2[model]:.3f} and {r2[USUAL]:.3f})"
    )
