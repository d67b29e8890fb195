"""The verdict on a map, in words: whether to use it, its typical error, where not, what next."""

import shlex
from typing import Any

import numpy as np

from spatioformer.config.evaluation import SplitSection
from spatioformer.evaluation import verdict as rules
from spatioformer.evaluation.verdict import Skill, Verdict
from spatioformer.models.target import PROPORTION
from spatioformer.report.findings import amount, decimal, length, start, title
from spatioformer.report.results import Results
from spatioformer.report.trust import region_places

MODES = {rules.USE: "use", rules.CARE: "care", rules.REFUSE: "refuse"}
"""Verdict -> its class in the page."""

COMMANDS = ("view", "survey", "drivers", "zonal")
"""Commands that may come next, in this order."""

LOW_COVERAGE = 0.1
"""By how much the coverage of a region has to fall below the nominal one to be named."""


def verdict(results: Results) -> dict[str, Any]:
    """The page's opening: verdict, reasons, error, where not to trust, what next, large numbers."""
    made = results.verdict
    return {
        "verdict": f"{start(rules.in_words(made.verdict, mapped=results.has_imagery))}.",
        "mode": MODES[made.verdict],
        "why": why(made, results),
        "error": error(made, results),
        "where_not": where_not(made, results),
        "next": next_steps(results),
        "key": key(made, results),
        "json": made.to_json()
        | {"split": results.judged.name, "unit": results.unit, "mapped": results.has_imagery},
    }


def held_out(split: SplitSection) -> str:
    """How plots were held out, in words without jargon."""
    return {
        "random": "plots drawn at random, which have close neighbours among the others",
        "tiles": "plots in whole tiles of land that the model had not seen",
        "knndm": (
            "plots that lie as far from the plots it was trained on as the map's pixels lie from "
            "plots"
        ),
        "regions": "plots in whole regions that the model had not seen",
        "column": f"plots of whole groups ({split.column}) that the model had not seen",
    }[split.kind]


def why(made: Verdict, results: Results) -> list[str]:
    """Sentences that give the reasons of the verdict."""
    skill, subject = made.skill, "map" if results.has_imagery else "model"
    if skill is None:
        if results.has_imagery and not results.map["pixels"]:
            return ["No pixel could be predicted, so there is no map."]
        return [
            f"{start(title(results.mapped))}, which makes the predictions, was not scored on "
            "held-out plots. So nothing is known of its error: add it to `evaluate.models`."
        ]
    tested = "map, its model" if results.has_imagery else "model, it"
    sentences = [
        f"To test the {tested} predicted {skill.n:,} {held_out(results.judged)}.",
        _skill(skill),
    ]
    reasons = {
        "unlikely skill": (
            "This is so little that it may be chance: even the upper end of the range is below "
            f"{rules.LIKELY_SKILL:.0%}."
        ),
        "doubtful skill": (
            "The plots are too few or too uneven to say whether the map is better: r2 may be as "
            f"high as {decimal(skill.r2_high)}."
        ),
        "low skill": f"A {subject} that can be used explains {rules.GOOD_SKILL:.0%} or more.",
        "uncertain skill": (
            f"The lower end of that range is below {rules.CERTAIN_SKILL:.0%}: the plots are too "
            "few or too uneven to be sure."
        ),
        "outside": _outside(made),
        "distances": (
            f"Only {made.reached or 0:.0%} of the mapped land is as near to plots as these plots "
            "were to the others, so they do not test the map far from plots."
        ),
        "coverage": (
            f"The {made.level:.0%} intervals held only {made.coverage or 0:.0%} of the held-out "
            "plots: they are too narrow."
        ),
        "random folds": (
            "No plots were held out in space, so the true error is probably larger. Add a split "
            "of the kind tiles or knndm."
        ),
    }
    return sentences + [reasons[name] for name in made.broken if name in reasons]


def _skill(skill: Skill) -> str:
    if not np.isfinite(skill.r2):
        return "All these plots have the same richness, so no skill can be measured."
    span = f"{decimal(skill.r2_low)} to {decimal(skill.r2_high)}"
    figures = f"r2 {decimal(skill.r2)}, {rules.INTERVAL:.0%} interval {span}"
    if skill.r2 <= rules.NO_SKILL:
        return (
            "The predictions were no better than giving every place the mean of all plots "
            f"({figures})."
        )
    return (
        f"The predictions explained {skill.r2:.0%} of the variation among them ({figures}); giving "
        "every place the mean of all plots explains 0%."
    )


def _outside(made: Verdict) -> str:
    return (
        f"{1 - (made.inside or 0):.0%} of the mapped land has conditions unlike those of all plots "
        "(outside the area of applicability)."
    )


def error(made: Verdict, results: Results) -> list[str]:
    """Typical error, and the smallest difference that tells two places apart."""
    skill = made.skill
    if skill is None:
        return []
    unit = results.unit
    sentences = [
        f"Typical error: a prediction misses {_of_a_plot(unit)} by {amount(skill.mae, unit, 1)} "
        "on average (mean absolute error)."
    ]
    if not skill.apart > 0:  # not a number, or nothing varies
        return sentences
    sentences.append(
        "Two places whose predictions differ by less than "
        f"{amount(skill.apart, unit, _digits(skill.apart))} cannot be told apart."
    )
    share = results.share_apart(skill.apart)
    if share is not None:
        sentences.append(f"On this map, {_share(share)} of all pairs of places differ by more.")
    return sentences


def _digits(apart: float) -> int:
    """Decimals of a smallest difference: whole species, unless that is 0 or 1."""
    return 0 if apart >= 1.5 else 1


def _of_a_plot(unit: str) -> str:
    """What a plot states."""
    return "the value of a plot" if unit == PROPORTION else "the count of a plot"


def _share(share: float) -> str:
    if share == 0:
        return "none"
    return "less than 1%" if share < 0.01 else f"{share:.0%}"


def where_not(made: Verdict, results: Results) -> list[str]:
    """Where the map is not to be trusted."""
    sentences = []
    if made.inside is not None and made.inside < 1:
        share = 1 - made.inside
        sentences.append(
            f"On the hatched land, {_share(share)} of the mapped land: its conditions are unlike "
            f"those of all plots, and {_plots_outside(results)} how large the error is."
        )
    if results.uncertainty is None:
        sentences.append(
            "Wherever you need an interval: none were calibrated, so the error of a single place "
            "is not known, nor where the conditions are unlike those of all plots."
        )
    sentences += _weak_regions(made, results)
    if results.map["pixels"]:
        tenth = float(np.percentile(results.map_distance, 90))
        sentences.append(
            f"Far from plots: a tenth of the mapped pixels lie more than {length(tenth)} from the "
            "nearest plot."
        )
    return [*sentences, _grain(results)]


def _plots_outside(results: Results) -> str:
    """How many held-out plots lay outside the area of applicability, as the start of a clause."""
    uncertainty = results.uncertainty
    plots = 0 if uncertainty is None else uncertainty.facts.get("outside", {}).get("plots", 0)
    if not plots:
        return "no plot shows"
    return "only 1 held-out plot shows" if plots == 1 else f"only {plots:,} held-out plots show"


def _grain(results: Results) -> str:
    if results.grain == "plot size not stated":
        return "For any stated plot size: the plots do not state their area."
    if results.knows_area and not results.has_imagery:
        return (
            f"For plots of other sizes than those of the table, {results.grain}: the area is a "
            "predictor, and the model has seen no others."
        )
    return f"For plots of another size: the predictions hold for {results.grain}."


def _weak_regions(made: Verdict, results: Results) -> list[str]:
    """Regions whose held-out plots lay in their intervals much less often than they should."""
    uncertainty = results.uncertainty
    if uncertainty is None:
        return []
    groups = uncertainty.facts["kinds"][uncertainty.kind(results.has_spread)].get("groups", ())
    coverage = [group["coverage"] for group in groups if group["by"] == "region"]
    weak = [
        (share, place)
        for share, place in zip(coverage, region_places(groups), strict=True)
        if share < made.level - LOW_COVERAGE
    ]
    if not weak:
        return []
    weak.sort(key=lambda region: region[0])
    names = " and ".join(f"{place} ({share:.0%})" for share, place in weak[:3])
    return [
        f"Around {names}: there the {made.level:.0%} intervals held fewer of the held-out plots "
        "than they should (share in brackets)."
    ]


def next_steps(results: Results) -> list[tuple[str, str]]:
    """Commands that may come next with what they do, with the paths of this run."""
    run = shlex.quote(str(results.folder))
    steps = {
        "drivers": ("shows what drives the predictions", f"spatioformer drivers {run}"),
    }
    if results.map["pixels"]:
        sites = shlex.quote(str(results.folder / "sites.gpkg"))
        raster, zones = (shlex.quote(str(results.folder / n)) for n in ("map.tif", "zones.csv"))
        steps |= {
            "view": (
                "shows the map in a browser, and answers clicks and polygons",
                f"spatioformer view {run}",
            ),
            "survey": (
                "proposes the sites whose survey would improve the map most",
                f"spatioformer survey {run} --sites 20 -o {sites}",
            ),
            "zonal": (
                "gives mean richness of areas with its interval; it is more certain than pixels",
                f"spatioformer zonal {raster} PARKS.gpkg -o {zones}",
            ),
        }
    return [steps[name] for name in COMMANDS if name in steps and _exists(name, results)]


def _exists(command: str, results: Results) -> bool:
    """Whether the run has what the command needs."""
    if command == "survey":
        return results.dissimilarity is not None and results.uncertainty is not None
    if command == "zonal":
        return results.interval_width is not None
    return True


def key(made: Verdict, results: Results) -> list[tuple[str, str, str]]:
    """The large numbers: value, label, and the class of its colour."""
    skill, numbers = made.skill, []
    if skill is not None:
        bad = "bad" if not skill.r2 > rules.NO_SKILL else ""
        mean = "explained by the model on held-out plots (r2; the mean of all plots has 0)"
        numbers = [
            (decimal(skill.r2), f"of the variation {mean}", bad),
            (amount(skill.mae, results.unit, 1).split()[0], f"{results.unit}: typical error", ""),
        ]
        if skill.apart > 0:
            apart = amount(skill.apart, results.unit, _digits(skill.apart)).split()[0]
            numbers.append((apart, f"{results.unit}: smallest difference that counts", ""))
    if made.inside is not None:
        numbers.append((f"{made.inside:.0%}", "of the mapped land is like land with plots", ""))
    if made.coverage is not None:
        numbers.append(
            (
                f"{made.coverage:.0%}",
                f"of held-out plots lay in their {made.level:.0%} interval",
                "",
            )
        )
    numbers.append((f"{len(results.observed):,}", "plots", ""))
    return numbers
