"""Sentences made from concocted numbers: they must say what the numbers say, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from spatioformer.config.schema import SplitSection
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


def test_forest_ahead_is_said_with_its_lead_and_its_folds():
    table = scores(spatioformer=0.40, random_forest=0.43)
    said = findings.who_is_ahead(
        table,
        predictions(spatioformer=[3, 3, 1, 3, 3], random_forest=[2, 2, 2, 2, 2]),
        TILES,
        "spatioformer",
    )
    assert said == [
        "On held-out tiles of 1°, the random forest is ahead of Spatioformer by 0.03 r2 (smaller "
        "error in 4 of 5 folds)."
    ]


def test_forest_behind_and_what_location_brings():
    table = scores(spatioformer=0.5, spatioformer_no_location=0.3, random_forest=0.46)
    errors = predictions(
        spatioformer=[1, 1], spatioformer_no_location=[2, 0.5], random_forest=[2, 2]
    )
    assert findings.who_is_ahead(table, errors, TILES, "spatioformer") == [
        "On held-out tiles of 1°, Spatioformer is ahead of the random forest by 0.04 r2 (smaller "
        "error in 2 of 2 folds).",
        "What location brings: Spatioformer is ahead of Spatioformer without location by 0.20 r2 "
        "(smaller error in 1 of 2 folds).",
    ]


def test_location_that_harms_is_said_to_harm():
    table = scores(spatioformer=0.2, spatioformer_no_location=0.3, random_forest=0.4)
    errors = predictions(spatioformer=[2], spatioformer_no_location=[1.5], random_forest=[1])
    assert findings.who_is_ahead(table, errors, TILES, "spatioformer")[1] == (
        "What location brings: Spatioformer is behind Spatioformer without location by 0.10 r2 "
        "(smaller error in 0 of 1 folds)."
    )


@pytest.mark.parametrize("lead", [0.0049, -0.0049, 0.0])
def test_a_tie_has_no_winner(lead):
    table = scores(spatioformer=0.43 + lead, random_forest=0.43)
    said = findings.who_is_ahead(
        table, predictions(spatioformer=[1, 2], random_forest=[2, 1]), TILES, "spatioformer"
    )
    assert len(said) == 1
    assert "are level" in said[0]
    assert "ahead" not in said[0]
    assert "behind" not in said[0]


def test_a_lead_of_half_a_hundredth_is_a_lead():
    table = scores(spatioformer=0.436, random_forest=0.43)
    errors = predictions(spatioformer=[1], random_forest=[2])
    assert "is ahead of" in findings.who_is_ahead(table, errors, TILES, "spatioformer")[0]


def test_models_worse_than_the_mean_are_said_to_be():
    table = scores(spatioformer=-0.1, random_forest=-0.3)
    said = findings.who_is_ahead(
        table, predictions(spatioformer=[1], random_forest=[2]), TILES, "spatioformer"
    )
    assert said[1] == "No model predicts better there than the mean of all plots would."


def test_one_model_and_no_number():
    assert findings.who_is_ahead(
        scores(spatioformer=0.4), pd.DataFrame(), TILES, "spatioformer"
    ) == ["On held-out tiles of 1°, Spatioformer reaches r2 0.40; no rival was scored."]
    nothing = scores(spatioformer=np.nan, random_forest=np.nan)
    assert findings.who_is_ahead(nothing, pd.DataFrame(), TILES, "spatioformer") == [
        "On held-out tiles of 1°, no model has an r2: the observed richness does not vary."
    ]


def headline(spatial=None, random=None, **more) -> str:
    fixed = {
        "target": "plant species richness",
        "plots": 3000,
        "extent": "7.69 million km²",
        "mapped": "spatioformer",
    }
    return findings.headline(
        **(fixed | more), held_out=TILES if spatial is not None else None, spatial=spatial,
        random=random,
    )  # fmt: skip


def test_headline_names_the_best_the_mapped_and_the_flattery():
    spatial = scores(spatioformer=0.40, random_forest=0.43)
    random = scores(spatioformer=0.47, random_forest=0.55)
    assert headline(spatial, random) == (
        "From 3,000 plots, plant species richness was mapped over 7.69 million km²; on held-out "
        "tiles of 1°, the random forest predicts best (r2 0.43, RMSE 9.0 species), and "
        "Spatioformer, which made the map, reaches r2 0.40; random folds would have promised r2 "
        "0.55."
    )


@pytest.mark.parametrize(
    ("random", "end"),
    [
        (0.55, "; random folds would have promised r2 0.55."),
        (0.502, "; random folds give the same r2."),
        (0.41, "; random folds give less, r2 0.41."),
    ],
)
def test_headline_compares_the_same_model_on_random_folds(random, end):
    spatial = scores(spatioformer=0.50, random_forest=0.43)
    said = headline(spatial, scores(spatioformer=random, random_forest=0.9))
    assert "Spatioformer, the best of 2 models, reaches r2 0.50, RMSE 9.0 species" in said
    assert said.endswith(end)


def test_headline_without_spatial_folds_warns():
    said = headline(random=scores(spatioformer=0.5), virtual=True)
    assert said.startswith("From 3,000 virtual plots, ")
    assert said.endswith(
        "on plots held out at random, Spatioformer, the model that made it, reaches r2 0.50, RMSE "
        "9.0 species, a score that may flatter, for no plots were held out in space."
    )


def test_headline_of_failures():
    bad = scores(spatioformer=-0.2, random_forest=-0.1)
    assert (
        "no model beats the plain mean of the plots (the best is the random forest: r2 −0.10"
        in (headline(bad))
    )
    assert "Spatioformer, which made the map, was not scored" in headline(scores(random_forest=0.3))
    nothing = headline(scores(spatioformer=np.nan), extent="")
    assert nothing == (
        "From 3,000 plots, plant species richness could be mapped nowhere; no model could be "
        "scored on held-out plots."
    )


@pytest.mark.parametrize(
    ("last", "verdict"),
    [(0.1, "Random folds flatter"), (0.4, "hardly flatter"), (0.5, "do not flatter")],
)
def test_block_curve(last, verdict):
    said = findings.block_curve({"random-forest": (0.42, [0.31, last])}, [0.5, 8])
    assert said.startswith(
        "The random forest scores r2 0.42 on random folds, 0.31 on tiles of 0.5° and "
        f"{last:.2f} on tiles of 8°. "
    )
    assert verdict in said


def test_block_curve_without_numbers_says_nothing():
    assert findings.block_curve({"random-forest": (np.nan, [0.3])}, [1]) == ""
    assert findings.block_curve({"random-forest": (0.4, [np.nan])}, [1]) == ""


def distances(held_out: float) -> NeighbourDistances:
    pixels = np.full(50, 60_000.0)
    return NeighbourDistances(pixels, np.full(9, held_out), pixels, "m")


def test_the_split_that_resembles_the_map_has_the_smallest_w():
    said = findings.resembles({"random": distances(5_000), "tiles": distances(52_000)})
    assert said == (
        "Half of the mapped pixels lie more than 60.0 km from the nearest plot; half of the "
        "held-out plots lie more than 5.0 km (split random) or 52.0 km (split tiles) from the "
        "nearest plot learned from. Of these splits, tiles is the most like using the map "
        "(smallest Wasserstein distance between the two, W = 8.0 km)."
    )
    assert "most like" not in findings.resembles({"random": distances(5_000)})


def test_where():
    km = SplitSection(name="a", kind="tiles", size=50, unit="km")
    assert findings.where(km) == "on held-out tiles of 50 km"
    random = SplitSection(name="b", kind="random")
    assert findings.where(random) == "on plots held out at random"
