"""Sentences made from known numbers: they must state these numbers, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.evaluation import SplitSection
from spatioformer.evaluation.distances import NeighbourDistances
from spatioformer.report import findings

TILES = "on held-out tiles of 1°"


def scores(**r2: float) -> pd.DataFrame:
    """Scores of one split; RMSE 9 for all. `_` in a name stands for `-`."""
    table = pd.DataFrame({"r2": r2, "rmse": 9.0})
    return table.rename(index=lambda name: name.replace("_", "-"))


def predictions(**errors: list[float]) -> pd.DataFrame:
    """One plot a fold: the prediction is off by the given error."""
    parts = [
        pd.DataFrame(
            {
                "model": name.replace("_", "-"),
                "fold": range(len(e)),
                "observed": 20.0,
                "predicted": 20 + np.array(e),
            }
        )
        for name, e in errors.items()
    ]
    return pd.concat(parts)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.456, 2, "0.46"),
        (-0.456, 2, "−0.46"),
        (-0.001, 2, "0.00"),
        (12345.6, 1, "12,345.6"),
        (float("nan"), 2, "n/a"),
        (None, 2, "n/a"),
    ],
)
def test_decimal(value, digits, text):
    assert findings.decimal(value, digits) == text


def test_a_better_model_is_named_with_its_gain_and_its_folds():
    table = scores(spatioformer=0.40, random_forest=0.43)
    sentences = findings.ranking(
        table,
        predictions(spatioformer=[3, 3, 1, 3, 3], random_forest=[2, 2, 2, 2, 2]),
        TILES,
        "spatioformer",
    )
    assert sentences == [
        "On held-out tiles of 1°, the random forest predicts better than Spatioformer (r2 higher "
        "by 0.03, smaller error in 4 of 5 folds)."
    ]


def test_a_worse_forest_and_the_effect_of_location():
    table = scores(spatioformer=0.5, spatioformer_no_location=0.3, random_forest=0.46)
    errors = predictions(
        spatioformer=[1, 1], spatioformer_no_location=[2, 0.5], random_forest=[2, 2]
    )
    assert findings.ranking(table, errors, TILES, "spatioformer") == [
        "On held-out tiles of 1°, Spatioformer predicts better than the random forest (r2 higher "
        "by 0.04, smaller error in 2 of 2 folds).",
        "Effect of location: Spatioformer predicts better than Spatioformer without location (r2 "
        "higher by 0.20, smaller error in 1 of 2 folds).",
    ]


def test_location_that_makes_predictions_worse():
    table = scores(spatioformer=0.2, spatioformer_no_location=0.3, random_forest=0.4)
    errors = predictions(spatioformer=[2], spatioformer_no_location=[1.5], random_forest=[1])
    assert findings.ranking(table, errors, TILES, "spatioformer")[1] == (
        "Effect of location: Spatioformer predicts worse than Spatioformer without location (r2 "
        "lower by 0.10, smaller error in 0 of 1 folds)."
    )


@pytest.mark.parametrize("lead", [0.0049, -0.0049, 0.0])
def test_a_tie_has_no_winner(lead):
    table = scores(spatioformer=0.43 + lead, random_forest=0.43)
    sentences = findings.ranking(
        table, predictions(spatioformer=[1, 2], random_forest=[2, 1]), TILES, "spatioformer"
    )
    names = ["Spatioformer", "the random forest"]
    r2 = [f"{0.43 + lead:.2f}", "0.43"]
    if lead < 0:
        names.reverse(), r2.reverse()
    assert sentences == [
        f"On held-out tiles of 1°, {names[0]} and {names[1]} predict equally well (r2 {r2[0]} and "
        f"{r2[1]}; {names[0]} has the smaller error in 1 of 2 folds)."
    ]


def test_a_gain_of_half_a_hundredth_is_a_gain():
    table = scores(spatioformer=0.436, random_forest=0.43)
    errors = predictions(spatioformer=[1], random_forest=[2])
    assert findings.ranking(table, errors, TILES, "spatioformer") == [
        "On held-out tiles of 1°, Spatioformer predicts better than the random forest (r2 higher "
        "by 0.01, smaller error in 1 of 1 folds)."
    ]


def test_models_worse_than_the_mean():
    table = scores(spatioformer=-0.1, random_forest=-0.3)
    sentences = findings.ranking(
        table, predictions(spatioformer=[1], random_forest=[2]), TILES, "spatioformer"
    )
    assert sentences[1] == "There, no model predicts better than the mean of all plots."


def test_one_model_and_no_number():
    assert findings.ranking(scores(spatioformer=0.4), pd.DataFrame(), TILES, "spatioformer") == [
        "On held-out tiles of 1°, Spatioformer reaches r2 0.40; no other model was scored."
    ]
    nothing = scores(spatioformer=np.nan, random_forest=np.nan)
    assert findings.ranking(nothing, pd.DataFrame(), TILES, "spatioformer") == [
        "On held-out tiles of 1°, no model has an r2: the observed richness does not vary."
    ]


def test_opening():
    fixed = {"target": "plant species richness", "plots": 3000}
    assert findings.opening(**fixed, extent="7.69 million km²") == (
        "From 3,000 plots, plant species richness was mapped over 7.69 million km²."
    )
    assert findings.opening(**fixed, extent="", virtual=True) == (
        "From 3,000 virtual plots, plant species richness could not be mapped at any pixel."
    )
    assert findings.opening(**fixed, extent=None).endswith("was modelled without imagery.")


@pytest.mark.parametrize("lead", [0.1, -0.1])
def test_a_lead_in_few_folds_is_no_lead(lead):
    """One large error decides r2; in two of three folds the other model is better."""
    table = scores(spatioformer=0.43 + lead, random_forest=0.43)
    errors = predictions(
        spatioformer=[1, 2, 2] if lead > 0 else [9, 1, 1],
        random_forest=[9, 1, 1] if lead > 0 else [1, 2, 2],
    )
    (sentence,) = findings.ranking(table, errors, TILES, "spatioformer")
    best = "Spatioformer" if lead > 0 else "the random forest"
    assert "cannot be ranked: over all plots" in sentence
    assert f"the r2 of {best} is higher by 0.10, but it has the larger error in 2 of 3" in sentence
    assert "better" not in sentence


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (
            0.1,
            "Random folds are too optimistic here: a plot held out at random has close neighbours "
            "in the training set, and a pixel far from all plots has none.",
        ),
        (
            0.4,
            "Random folds are hardly too optimistic here: r2 falls by at most 0.05 as the tiles "
            "grow.",
        ),
        (
            0.5,
            "Random folds are not too optimistic here: r2 does not fall as the tiles grow.",
        ),
    ],
)
def test_block_curve(last, verdict):
    sentences = findings.block_curve({"random-forest": (0.42, [0.31, last])}, [0.5, 8])
    assert sentences == (
        "The random forest scores r2 0.42 on random folds, 0.31 on tiles of 0.5° and "
        f"{last:.2f} on tiles of 8°. {verdict}"
    )


def test_block_curve_without_numbers_says_nothing():
    assert findings.block_curve({"random-forest": (np.nan, [0.3])}, [1]) == ""
    assert findings.block_curve({"random-forest": (0.4, [np.nan])}, [1]) == ""


def distances(held_out: float) -> NeighbourDistances:
    pixels = np.full(50, 60_000.0)
    return NeighbourDistances(pixels, np.full(9, held_out), pixels, "m")


def test_the_split_that_resembles_the_map_has_the_smallest_w():
    sentences = findings.resembles({"random": distances(5_000), "tiles": distances(52_000)})
    assert sentences == (
        "The median distance from a mapped pixel to the nearest plot is 60.0 km. The median "
        "distance from a held-out plot to the nearest training plot is 5.0 km (split random) or "
        "52.0 km (split tiles). The split tiles resembles the use of the map most: its distances "
        "differ least from the map's (Wasserstein distance W = 8.0 km)."
    )
    assert "resembles" not in findings.resembles({"random": distances(5_000)})


def test_where():
    km = SplitSection(name="a", kind="tiles", size=50, unit="km")
    assert findings.where(km) == "on held-out tiles of 50 km"
    random = SplitSection(name="b", kind="random")
    assert findings.where(random) == "on plots held out at random"


def test_every_model_that_lacks_location_alone_is_compared():
    """The pairs come from the catalogue."""
    pairs = [entry for entry in CATALOGUE.values() if entry.without_location]
    assert len(pairs) == 2
    for entry in pairs:
        table = pd.DataFrame(
            {"r2": [0.5, 0.4, 0.3], "rmse": 9.0},
            index=["random-forest", entry.name, entry.without_location],
        )
        errors = pd.DataFrame(
            [(model, 0, 20.0, 21.0) for model in table.index],
            columns=["model", "fold", "observed", "predicted"],
        )
        other = CATALOGUE[entry.without_location]
        assert findings.ranking(table, errors, TILES, "random-forest")[-1] == (
            f"Effect of location: {entry.title} predicts better than {other.title} (r2 higher by "
            "0.10, smaller error in 0 of 1 folds)."
        )


def test_titles_and_notes_of_the_catalogue():
    assert findings.title("random-forest") == "the random forest"
    assert findings.title("of-a-later-version") == "of-a-later-version"
    assert findings.note("of-a-later-version", "spatioformer") == ""
    for name, entry in CATALOGUE.items():
        assert findings.note(name, name) == f"{entry.note}; it makes the map"
