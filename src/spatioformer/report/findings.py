"""Sentences that a report draws from numbers: who is ahead, where, and by how much.

Every sentence is made from the scores it speaks of, so that it cannot claim what they do not say.
r2 is 1 - SSE/SST of pooled held-out predictions.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.schema import SplitSection
from spatioformer.evaluation.distances import NeighbourDistances

LEVEL = 0.005
"""Two r2 closer than this print alike to two decimals, and neither model is called ahead."""

TWINS = tuple(
    (name, entry.without_location)
    for name, entry in CATALOGUE.items()
    if entry.without_location is not None
)
"""Networks that differ in the geolocation encoding alone."""


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; 'n/a' where there is none."""
    if value is None or not math.isfinite(value):
        return "n/a"
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def length(metres: float) -> str:
    """A distance in the unit that suits it, such as '31 m', '7.4 km' or '130 km'."""
    if metres < 1000:
        return f"{metres:.0f} m"
    return f"{metres / 1000:,.{1 if metres < 100_000 else 0}f} km"


def sides(size: tuple[float, float]) -> str:
    """Width and height in metres, such as '6.6 km × 7.4 km'."""
    return " × ".join(length(side) for side in size)


def called(model: str) -> str:
    """What a sentence calls a model; unknown ones keep their name."""
    return CATALOGUE[model].title if model in CATALOGUE else model


def start(sentence: str) -> str:
    """The sentence with a capital letter; str.capitalize would lower the rest."""
    return sentence[:1].upper() + sentence[1:]


HELD_OUT = {
    "random": "on plots held out at random",
    "knndm": "on plots held out as far away as the map reaches (kNNDM)",
    "regions": "on held-out regions",
}


def where(split: SplitSection) -> str:
    """How a split holds plots out, as part of a sentence."""
    if split.kind == "tiles":
        return f"on held-out tiles of {side(split)}"
    return HELD_OUT[split.kind]


def side(split: SplitSection) -> str:
    """Side of a split's tiles with its unit, such as '1°' or '50 km'."""
    return f"{split.size:g}{'°' if split.unit == 'degrees' else ' km'}"


def leader(scores: pd.DataFrame) -> str | None:
    """Model with the highest r2 among rows indexed by model; None where none is a number."""
    known = scores["r2"].dropna()
    return None if known.empty else str(known.idxmax())


def folds_won(predictions: pd.DataFrame, one: str, other: str) -> tuple[int, int]:
    """In how many folds `one` has the smaller squared error than `other`, and of how many.

    Args:
        predictions: one split; columns model, fold, observed, predicted.
    """
    squared = (predictions["predicted"] - predictions["observed"]) ** 2
    error = squared.groupby([predictions["fold"], predictions["model"]]).mean().unstack()
    return int((error[one] < error[other]).sum()), len(error)


def compare(scores: pd.DataFrame, predictions: pd.DataFrame, one: str, other: str) -> str:
    """'A is ahead of B by 0.03 r2 (smaller error in 4 of 5 folds)', or level, or behind.

    Args:
        scores: one split, indexed by model, column r2.
        predictions: the same split, see `folds_won`.
    """
    gain = scores.loc[one, "r2"] - scores.loc[other, "r2"]
    if not math.isfinite(gain):
        return f"{called(one)} and {called(other)} cannot be compared: an r2 is not a number"
    won, folds = folds_won(predictions, one, other)
    in_folds = f"smaller error in {won} of {folds} folds"
    if abs(gain) < LEVEL:
        values = f"r2 {decimal(scores.loc[one, 'r2'])} and {decimal(scores.loc[other, 'r2'])}"
        return f"{called(one)} and {called(other)} are level ({values}; {in_folds} for the former)"
    side = "ahead of" if gain > 0 else "behind"
    return f"{called(one)} is {side} {called(other)} by {decimal(abs(gain))} r2 ({in_folds})"


def note(model: str, mapped: str) -> str:
    """What a table says under a model's name; `mapped` made the map."""
    said = CATALOGUE[model].note if model in CATALOGUE else ""
    return "; ".join(filter(None, (said, "it makes the map" if model == mapped else "")))


def who_is_ahead(
    scores: pd.DataFrame, predictions: pd.DataFrame, place: str, mapped: str
) -> list[str]:
    """Sentences on one split: the leader, the mapped model's place, and what location brings.

    Args:
        scores, predictions: as in `compare`.
        place: how plots were held out, see `where`.
        mapped: the model that made the map.
    """
    best = leader(scores)
    if best is None:
        return [f"{start(place)}, no model has an r2: the observed richness does not vary."]
    sentences, rival = [], None
    rivals = scores.drop(index=best)["r2"].dropna()
    if rivals.empty:
        r2 = decimal(scores.loc[best, "r2"])
        sentences.append(f"{start(place)}, {called(best)} reaches r2 {r2}; no rival was scored.")
    else:
        # Where the mapped model is not the leader, the reader wants to know how far it is behind.
        rival = mapped if mapped in rivals.index else str(rivals.idxmax())
        sentences.append(f"{start(place)}, {compare(scores, predictions, best, rival)}.")
    if scores.loc[best, "r2"] <= 0:
        sentences.append("No model predicts better there than the mean of all plots would.")
    for located, blind in TWINS:
        if located in scores.index and blind in scores.index and {located, blind} != {best, rival}:
            comparison = compare(scores, predictions, located, blind)
            sentences.append(f"What location brings: {comparison}.")
    return sentences


def headline(
    *,
    target: str,
    mapped: str,
    plots: int,
    extent: str,
    held_out: str | None,
    spatial: pd.DataFrame | None,
    random: pd.DataFrame | None,
    virtual: bool = False,
) -> str:
    """The report in one sentence.

    Args:
        target: what was mapped.
        mapped: the model that made the map.
        extent: how much was mapped, such as '7.6 million km2'; '' when nothing was.
        held_out: how plots were held out in space, such as 'on held-out tiles of 1 degree'.
        spatial, random: scores on that split and on random folds, indexed by model; or None.
        virtual: whether the plots are simulated.
    """
    done = f"was mapped over {extent}" if extent else "could be mapped nowhere"
    opening = f"From {plots:,} {'virtual ' if virtual else ''}plots, {target} {done}"
    scores = random if spatial is None else spatial
    best = None if scores is None else leader(scores)
    if best is None:
        return f"{opening}; no model could be scored on held-out plots."
    place = "on plots held out at random" if spatial is None else held_out
    return (
        f"{opening}; {place}, {_verdict(scores, best, mapped)}{_flattery(spatial, random, best)}."
    )


def _verdict(scores: pd.DataFrame, best: str, mapped: str) -> str:
    r2, rmse = scores.loc[best, "r2"], scores.loc[best, "rmse"]
    figures = f"r2 {decimal(r2)}, RMSE {decimal(rmse, 1)} species"
    if r2 <= 0:
        return f"no model beats the plain mean of the plots (the best is {called(best)}: {figures})"
    if best == mapped:
        role = "the model that made it" if len(scores) == 1 else f"the best of {len(scores)} models"
        return f"{called(best)}, {role}, reaches {figures}"
    verdict = f"{called(best)} predicts best ({figures})"
    if len(scores) == 1:
        verdict = f"{called(best)} reaches {figures}"
    if mapped not in scores.index:
        return f"{verdict}, while {called(mapped)}, which made the map, was not scored"
    own = decimal(scores.loc[mapped, "r2"])
    return f"{verdict}, and {called(mapped)}, which made the map, reaches r2 {own}"


def _flattery(spatial: pd.DataFrame | None, random: pd.DataFrame | None, best: str) -> str:
    if spatial is None:
        return ", a score that may flatter, for no plots were held out in space"
    if random is None or best not in random.index or not math.isfinite(random.loc[best, "r2"]):
        return ""
    r2, difference = random.loc[best, "r2"], random.loc[best, "r2"] - spatial.loc[best, "r2"]
    if abs(difference) < LEVEL:
        return "; random folds give the same r2"
    if difference > 0:
        return f"; random folds would have promised r2 {decimal(r2)}"
    return f"; random folds give less, r2 {decimal(r2)}"


def block_curve(curves: Mapping[str, tuple[float, Sequence[float]]], sizes: Sequence[float]) -> str:
    """What the curve of r2 against tile size says of random folds.

    Args:
        curves: model -> (r2 on random folds, r2 at each size).
        sizes: degrees, ascending.
    """
    parts, drops = [], []
    for model, (random, values) in curves.items():
        known = [(s, v) for s, v in zip(sizes, values, strict=True) if math.isfinite(v)]
        if not known or not math.isfinite(random):
            continue
        steps = [known[0], known[-1]] if len(known) > 1 else known
        path = " and ".join(f"{decimal(v)} on tiles of {s:g}°" for s, v in steps)
        parts.append(f"{called(model)} scores r2 {decimal(random)} on random folds, {path}")
        drops.append(random - steps[-1][1])
    if not parts:
        return ""
    return f"{start('; '.join(parts))}. {_curve_verdict(max(drops))}"


def _curve_verdict(drop: float) -> str:
    if drop > 0.05:
        return (
            "Random folds flatter: a plot held out at random keeps neighbours in training, which "
            "a pixel far from all plots does not have."
        )
    if drop < -0.05:
        return "Here random folds do not flatter: scores do not fall as the tiles grow."
    return "Here random folds hardly flatter: scores change little as the tiles grow."


def resembles(distances: Mapping[str, NeighbourDistances]) -> str:
    """Which way of holding plots out resembles the use of the map: the smallest W.

    W is the Wasserstein distance between how far held-out plots are from the plots learned from,
    and how far mapped pixels are from the plots (Linnenbrink et al. 2024, GMD 17:5897).

    Args:
        distances: split -> the distances, in metres.
    """
    pixels = np.median(next(iter(distances.values())).prediction)
    ways = " or ".join(
        f"{length(np.nanmedian(d.held_out))} (split {name})" for name, d in distances.items()
    )
    text = (
        f"Half of the mapped pixels lie more than {length(pixels)} from the nearest "
        f"plot; half of the held-out plots lie more than {ways} from the nearest plot learned from."
    )
    if len(distances) == 1:
        return text
    nearest = min(distances, key=lambda name: distances[name].W)
    return (
        f"{text} Of these splits, {nearest} is the most like using the map (smallest Wasserstein "
        f"distance between the two, W = {length(distances[nearest].W)})."
    )
