"""Sentences that a report makes from numbers: which model predicts best, where, and by how much.

Every sentence is made from the scores that it states, so that it cannot claim anything else.
r2 is 1 - SSE/SST of pooled held-out predictions.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.evaluation import SplitSection
from spatioformer.evaluation.distances import NeighbourDistances
from spatioformer.models.target import PROPORTION

LEVEL = 0.005
"""Smallest difference of r2 that a sentence calls a difference: smaller ones are equal to two
decimals."""

PAIRS = tuple(
    (entry.name, entry.without_location)
    for entry in CATALOGUE.values()
    if entry.without_location is not None
)
"""Models and the same models without location."""

FALL = 0.05
"""Smallest change of r2 from random folds to large tiles that a sentence calls a change."""


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; 'n/a' where there is none."""
    if value is None or not math.isfinite(value):
        return "n/a"
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def amount(value: float | None, unit: str, digits: int = 2) -> str:
    """A value of the target with its unit: '12.30 species'; '0.1230 (proportion)'.

    Args:
        digits: decimals of a number of species; a proportion has two more.
    """
    if unit == PROPORTION:
        return f"{decimal(value, digits + 2)} ({unit})"
    return f"{decimal(value, digits)} {unit}"


def length(metres: float) -> str:
    """A distance in a suitable unit, such as '31 m', '7.4 km' or '130 km'."""
    if metres < 1000:
        return f"{metres:.0f} m"
    return f"{metres / 1000:,.{1 if metres < 100_000 else 0}f} km"


def sides(size: tuple[float, float]) -> str:
    """Width and height in metres, such as '6.6 km × 7.4 km'."""
    return " × ".join(length(side) for side in size)


def title(model: str) -> str:
    """What a sentence calls a model; a model that the catalogue lacks keeps its name."""
    return CATALOGUE[model].title if model in CATALOGUE else model


def start(sentence: str) -> str:
    """The sentence with a capital letter; str.capitalize would change the other letters."""
    return sentence[:1].upper() + sentence[1:]


HELD_OUT = {
    "random": "on plots held out at random",
    "knndm": "on plots held out at the map's distances to the plots (kNNDM)",
    "regions": "on held-out regions",
}


UNITS = {"degrees": "°", "km": " km"}
"""What follows a number in a unit of tiles."""


def where(split: SplitSection) -> str:
    """How a split holds plots out, as part of a sentence."""
    if split.kind == "tiles":
        return f"on held-out tiles of {side(split)}"
    if split.kind == "column":
        return f"on held-out folds of the column {split.column}"
    return HELD_OUT[split.kind]


def side(split: SplitSection) -> str:
    """Side of a split's tiles with its unit, such as '1°' or '50 km'."""
    return f"{split.size:g}{UNITS[split.unit]}"


def score(scores: pd.DataFrame, model: str, metric: str) -> float:
    """One number of a table of scores that is indexed by model."""
    return float(scores[metric].to_numpy(np.float64)[scores.index.get_loc(model)])


def best_model(scores: pd.DataFrame) -> str | None:
    """Model with the highest r2 among rows indexed by model; None where no r2 is a number."""
    r2 = scores["r2"].dropna()
    return None if r2.empty else str(r2.idxmax())


def folds_won(predictions: pd.DataFrame, one: str, other: str) -> tuple[int, int]:
    """Number of folds in which `one` has a smaller squared error than `other`, and of all folds.

    Args:
        predictions: one split; columns model, fold, observed, predicted.
    """
    squared = (predictions["predicted"] - predictions["observed"]) ** 2
    error = squared.groupby([predictions["fold"], predictions["model"]]).mean().unstack()
    return int((error[one] < error[other]).sum()), len(error)


def compare(scores: pd.DataFrame, predictions: pd.DataFrame, one: str, other: str) -> str:
    """Whether one model predicts better than another, worse, or equally well, with the figures.

    Args:
        scores: one split, indexed by model, column r2.
        predictions: the same split, see `folds_won`.
    """
    r2, other_r2 = score(scores, one, "r2"), score(scores, other, "r2")
    gain = r2 - other_r2
    if not math.isfinite(gain):
        return f"{title(one)} and {title(other)} cannot be compared: an r2 is not a number"
    won, folds = folds_won(predictions, one, other)
    in_folds = f"smaller error in {won} of {folds} folds"
    if abs(gain) < LEVEL:
        return (
            f"{title(one)} and {title(other)} predict equally well (r2 {decimal(r2)} and "
            f"{decimal(other_r2)}; {title(one)} has the {in_folds})"
        )
    lost, _ = folds_won(predictions, other, one)
    against, which = (lost, "larger") if gain > 0 else (won, "smaller")
    if 2 * against > folds:
        return (
            f"{title(one)} and {title(other)} cannot be ranked: over all plots, the r2 of "
            f"{title(one)} is {'higher' if gain > 0 else 'lower'} by {decimal(abs(gain))}, but it "
            f"has the {which} error in {against} of {folds} folds"
        )
    better, higher = ("better", "higher") if gain > 0 else ("worse", "lower")
    return (
        f"{title(one)} predicts {better} than {title(other)} (r2 {higher} by "
        f"{decimal(abs(gain))}, {in_folds})"
    )


def note(model: str, mapped: str, role: str = "it makes the map") -> str:
    """What a table says under a model's name; `mapped` has the role of the run's model."""
    about = CATALOGUE[model].note if model in CATALOGUE else ""
    return "; ".join(filter(None, (about, role if model == mapped else "")))


def ranking(scores: pd.DataFrame, predictions: pd.DataFrame, place: str, mapped: str) -> list[str]:
    """Sentences on one split: the best model, the mapped model's rank, and the effect of location.

    Args:
        scores, predictions: as in `compare`.
        place: how plots were held out, see `where`.
        mapped: the model that made the map.
    """
    best = best_model(scores)
    if best is None:
        return [f"{start(place)}, no model has an r2: the observed richness does not vary."]
    sentences, rival = [], None
    rivals = scores.drop(index=best)["r2"].dropna()
    if rivals.empty:
        r2 = decimal(score(scores, best, "r2"))
        sentences.append(
            f"{start(place)}, {title(best)} reaches r2 {r2}; no other model was scored."
        )
    else:
        # Where the mapped model is not the best one, the reader wants to know the difference.
        rival = mapped if mapped in rivals.index else str(rivals.idxmax())
        sentences.append(f"{start(place)}, {compare(scores, predictions, best, rival)}.")
    if score(scores, best, "r2") <= 0:
        sentences.append("There, no model predicts better than the mean of all plots.")
    for model, unlocated in PAIRS:
        compared = {model, unlocated} == {best, rival}
        if model in scores.index and unlocated in scores.index and not compared:
            sentences.append(
                f"Effect of location: {compare(scores, predictions, model, unlocated)}."
            )
    return sentences


def opening(*, target: str, plots: int, extent: str | None, virtual: bool = False) -> str:
    """What was made from how many plots, in one sentence.

    Args:
        target: what was mapped.
        extent: how much was mapped, such as '7.6 million km2'; '' when nothing was, and None where
            there was no imagery to map.
        virtual: whether the plots are simulated.
    """
    area = "could not be mapped at any pixel"
    if extent is None:
        area = "was modelled without imagery"
    elif extent:
        area = f"was mapped over {extent}"
    return f"From {plots:,} {'virtual ' if virtual else ''}plots, {target} {area}."


def block_curve(
    curves: Mapping[str, tuple[float, Sequence[float]]], sizes: Sequence[float], unit: str = "°"
) -> str:
    """What the curve of r2 against tile size says about random folds.

    Args:
        curves: model -> (r2 on random folds, r2 at each size).
        sizes: ascending.
        unit: what follows a size.
    """
    parts, falls = [], []
    for model, (random, values) in curves.items():
        points = [(s, v) for s, v in zip(sizes, values, strict=True) if math.isfinite(v)]
        if not points or not math.isfinite(random):
            continue
        steps = [points[0], points[-1]] if len(points) > 1 else points
        path = " and ".join(f"{decimal(v)} on tiles of {s:g}{unit}" for s, v in steps)
        parts.append(f"{title(model)} scores r2 {decimal(random)} on random folds, {path}")
        falls.append(random - steps[-1][1])
    if not parts:
        return ""
    return f"{start('; '.join(parts))}. {_curve_verdict(max(falls))}"


def _curve_verdict(fall: float) -> str:
    if fall > FALL:
        return (
            "Random folds are too optimistic here: a plot held out at random has close neighbours "
            "in the training set, and a pixel far from all plots has none."
        )
    if fall < -FALL:
        return "Random folds are not too optimistic here: r2 does not fall as the tiles grow."
    return (
        f"Random folds are hardly too optimistic here: r2 falls by at most {FALL:g} as the tiles "
        "grow."
    )


def resembles(distances: Mapping[str, NeighbourDistances]) -> str:
    """Which split resembles the use of the map: the one with the smallest W.

    W is the Wasserstein distance between the distances from held-out plots to their training plots
    and those from mapped pixels to the plots (Linnenbrink et al. 2024, GMD 17:5897).

    Args:
        distances: split -> the distances, in metres.
    """
    pixels = np.median(next(iter(distances.values())).prediction)
    medians = " or ".join(
        f"{length(float(np.nanmedian(d.held_out)))} (split {name})" for name, d in distances.items()
    )
    text = (
        f"The median distance from a mapped pixel to the nearest plot is {length(float(pixels))}. "
        f"The median distance from a held-out plot to the nearest training plot is {medians}."
    )
    if len(distances) == 1:
        return text
    nearest = min(distances, key=lambda name: distances[name].W)
    return (
        f"{text} The split {nearest} resembles the use of the map most: its distances differ least "
        f"from the map's (Wasserstein distance W = {length(distances[nearest].W)})."
    )
