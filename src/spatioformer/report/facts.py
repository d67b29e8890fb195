"""Facts about plots, imagery and training: terms with their values as text."""

import re
from typing import Any

import pandas as pd

from spatioformer.config.archives import span
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.models.recipes import PUBLISHED, in_words
from spatioformer.report.findings import amount, sides, title
from spatioformer.report.maps import degrees
from spatioformer.report.results import Results

Facts = list[tuple[str, str]]

REASONS = 12  # most kinds of rejection that are shown
SHOWN = ("stage", "source_line", "plot_id", "reason")  # columns of a rejected row
LENGTHS = {"metre": "m", "meter": "m", "foot": "ft", "US survey foot": "US ft"}
"""Unit of a projection -> how it is written."""
_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")
"""A quoted value or a number in the reason of a rejection."""


def plots(results: Results) -> Facts:
    """Source of the plots, how many were used, and their area, dates and locations."""
    plots, used = results.plots, len(results.observed)
    without = plots["kept"] - used
    facts = [
        ("Source", plots["source_file"]),
        ("Rows read", f"{plots['read']:,}"),
        ("Used", f"{used:,}" + (f" (imagery is missing for {without:,} more)" if without else "")),
        ("Rejected", f"{len(results.rejected):,}"),
        ("Plot area", _range(plots["area_m2"], "m²")),
        ("Dates", _dates(plots["dates"])),
        ("Locations", _locations(plots)),
    ]
    facts += [(f"Tiles of split {name}", tile["why"]) for name, tile in results.tiles.items()]
    if plots["programmes"]:
        facts.append(("Programmes", _programmes(plots["programmes"])))
    if results.years_apart is not None:
        facts.append(("Imagery of the plots", _years_apart(results.years_apart)))
    return facts


def _years_apart(years: pd.Series) -> str:
    """How far the years of the plots' imagery are from those of the plots, in words.

    Args:
        years: year of the imagery minus year of the plot; missing for a plot without a date.
    """
    apart = years.abs()
    counts = apart.value_counts().sort_index()
    phrases = []
    for gap, count in zip(counts.index.tolist(), counts.tolist(), strict=True):
        far = f"with {gap} year{'s' * (gap > 1)} between"
        phrases.append(f"{count:,} {far if gap else 'of the same year as the plot'}")
    if unknown := int(apart.isna().sum()):
        phrases.append(f"{unknown:,} of plots without a date")
    return "; ".join(phrases)


def _range(spread: dict[str, Any], unit: str) -> str:
    if not spread["known"]:
        return "not stated"
    if spread["min"] == spread["max"]:
        return f"{spread['min']:,.10g} {unit}"
    return (
        f"{spread['min']:,.10g} to {spread['max']:,.10g} {unit}, median "
        f"{spread['median']:,.10g}, known for {spread['known']:,} plots"
    )


def _dates(dates: dict[str, Any]) -> str:
    if not dates["known"]:
        return "not stated"
    return f"{dates['first']} to {dates['last']}, known for {dates['known']:,} plots"


def _locations(plots: dict[str, Any]) -> str:
    if not plots["plots_sharing_a_location"]:
        return f"{plots['locations']:,}, none repeated"
    return (
        f"{plots['locations']:,}; {plots['plots_sharing_a_location']:,} plots share a location "
        "with another plot and stay in the same fold"
    )


def _programmes(programmes: dict[str, int]) -> str:
    ranked = sorted(programmes.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} ({count:,})" for name, count in ranked[:8])
    return shown + (f" and {len(ranked) - 8} more" if len(ranked) > 8 else "")


def rejected(rejected: pd.DataFrame) -> dict[str, Any]:
    """Rejected rows counted by reason, the most frequent first, each with its first row.

    Reasons that differ only in the values that they quote are counted as one.
    """
    kind = rejected["reason"].str.replace(_VALUE, "…", regex=True)
    rows = [
        {"count": len(part), **{name: part[name].iloc[0] for name in SHOWN}}
        for _, part in rejected.groupby(kind, sort=False)
    ]
    rows.sort(key=lambda row: row["count"], reverse=True)
    return {"rows": rows[:REASONS], "more": max(0, len(rows) - REASONS)}


def imagery(results: Results) -> Facts:
    """Bands, grid and region of the imagery, and how much of it was predicted."""
    imagery = results.imagery
    west, east, south, north = imagery["region"]
    share = imagery["pixels_to_predict"] / imagery["pixels"]
    crs = results.grid.crs
    named = crs.axis_info[0].unit_name if crs.axis_info else "metre"
    unit = "°" if crs.is_geographic else f" {LENGTHS.get(named, named)}"
    resolution = " × ".join(f"{r:.4g}{unit}" for r in imagery["resolution"])
    return [
        ("Bands", f"{len(imagery['bands'])}"),
        ("Grid", f"{imagery['width']:,} × {imagery['height']:,} pixels, {imagery['crs']}"),
        ("Pixel", f"{resolution}, about {sides(results.pixel_size)} on the ground"),
        (
            "Region",
            f"{degrees(west, 'E', 'W')} to {degrees(east, 'E', 'W')}, "
            f"{degrees(south, 'N', 'S')} to {degrees(north, 'N', 'S')}",
        ),
        ("To predict", f"{imagery['pixels_to_predict']:,} pixels, {share:.0%} of the grid"),
        (
            "Predicted",
            f"{results.map['pixels']:,} pixels, those with data in every pixel of the chip",
        ),
        *_sources(results),
    ]


def _trend(summary: dict[str, Any]) -> str:
    """The summary of maps of years and their trend, in words."""
    significant = f"{summary['rising']:,} rising, {summary['falling']:,} falling"
    return (
        f"{span(summary['years'])}, in the folder years; of {summary['tested']:,} pixels with a "
        f"test {significant}, at {summary['fdr']:.0%} false discoveries"
    )


def _sources(results: Results) -> Facts:
    """Collections from which the imagery comes, and who is to be credited."""
    imagery = results.imagery
    facts = [("Year of the map", str(imagery["year"]))] if "year" in imagery else []
    for source in imagery.get("sources", []):
        years = source["years"]
        if not years:
            made = "the same in all years"
        elif source["composite"] == "none":
            made = f"as published for {span(years)}"
        else:
            made = f"{source['composite']} of each year, {span(years)}"
        of_year = f", {source['items_of_year']:,} of the map's year" if years else ""
        items = f"{source['items']:,} items{of_year}"
        credits = [source[key] for key in ("attribution", "citation") if source[key]]
        licence = [f"Licence: {source['licence']}"] if source["licence"] else []
        facts.append(
            (
                f"Source {source['source']}",
                ". ".join(
                    text.rstrip(".")
                    for text in (f"{source['title']}, {made}; {items}", *licence, *credits)
                )
                + ".",
            )
        )
    if results.trend is not None:
        facts.append(("Maps of years", _trend(results.trend)))
    for name, ids in imagery.get("left_out", {}).items():
        facts.append((f"Left out of {name}", f"{len(ids):,} items that could not be read"))
    for name, wrong in imagery.get("offsets", {}).items():
        facts.append(
            (
                f"Offset of {name}",
                f"the catalogue was wrong about {len(wrong):,} items; dark pixels decided",
            )
        )
    return facts


def training(results: Results) -> Facts:
    """The model that made the map, and how it was trained."""
    patch = results.config.model.patch
    location = "is" if results.uses_location else "is not"
    what = f"chips of {patch} × {patch} pixels"
    if not results.has_imagery:
        bands = results.imagery["bands"]
        what = f"{len(bands)} {'column' if len(bands) == 1 else 'columns'} of covariates"
    inputs = ("Inputs", f"{what}; location {location} an input")
    if not results.is_network:
        return [inputs, *model(results)]
    train, log = results.recipe, results.training
    best = results.best_epoch
    return [
        inputs,
        *model(results),
        (
            "Stopping",
            f"after {train.epochs} epochs, or after {train.patience} epochs without a lower "
            "validation RMSE",
        ),
        ("Epochs", f"{len(log)}; the weights of epoch {best['epoch']:.0f} are kept"),
        (
            "Validation",
            f"RMSE {amount(best['validation_rmse'], results.unit)}"
            + " against the teacher's predictions" * results.is_taught,
        ),
    ]


def model(results: Results) -> Facts:
    """The model that made the map: a network and its recipe, or what the model folder states."""
    section, train = results.config.model, results.recipe
    if not results.is_network:
        note = results.model.get("facts", {}).get("teacher_maps")
        notes = [("Note", str(note))] if note else []
        about = [("Class" if term == "Model" else term, text) for term, text in results.about]
        return [("Model", title(results.mapped)), *notes, *about]
    if results.about:
        network = results.about[0][1]
    else:  # a folder written before models described themselves
        network = (
            f"layers {section.layers}, width {section.width}, heads {section.heads}, MLP "
            f"{section.mlp_hidden}, head {section.head_hidden}, dropout {section.dropout:g}"
        )
    if CATALOGUE[results.mapped].published:
        # Earlier versions did not state it, and trained with the recipe of the paper.
        recipe = results.model.get("facts", {}).get("recipe", in_words(PUBLISHED))
    else:
        recipe = (
            f"{'AdamW' if results.mapped == 'factoformer' else 'Muon'}, learning rate "
            f"{train.learning_rate:g}, "
            f"weight decay {train.weight_decay:g}"
        )
    facts = [("Network", network), ("Recipe", f"{recipe}, batches of {train.batch}")]
    if results.is_taught:
        pixels = results.model["facts"]["pixels"]
        facts.append(("Teacher", f"{title(train.teacher)}, on {pixels:,} pixels without plots"))
        if (r2 := results.model["facts"].get("teacher_r2")) is not None:
            facts.append(("r2 against the teacher", f"{r2:.3f}, on held-out pixels"))
    return facts
