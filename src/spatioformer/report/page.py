"""The report's words and tables, and the page they go into."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spatioformer.config import RunConfig, SplitSection
from spatioformer.files import write_text
from spatioformer.report import findings, pictures
from spatioformer.report.figures import degrees
from spatioformer.report.findings import MAPPED, MODELS, called, decimal, length
from spatioformer.report.results import Results

METRICS = {"r": 3, "r2": 3, "rmse": 2, "mae": 2, "bias": 2}
"""Columns of a split in the table of scores, and their decimals."""

STAGES = ("plots", "imagery", "chips", "train", "evaluate", "map")
"""Stages whose time is told; that of the report itself is not known yet."""

SHOWN_REASONS = 12
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")


def write_report(folder: str | Path, config: RunConfig) -> Path:
    """Write report.html into a run folder whose other stages are finished.

    Args:
        folder: the run folder.
        config: its resolved configuration; with `truth` set, the report is labelled virtual.

    Returns:
        Path of the report.

    Raises:
        OutputError: a stage's result is missing, or the report cannot be written.
    """
    results = Results(folder, config)
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=config.title or findings.start(f"{config.target}: {config.name}"),
            name=config.name,
            version=results.provenance["spatioformer"],
            virtual=results.virtual,
            opening=_opening(results),
            maps=_maps(results),
            scores=_scores(results),
            agreement=_agreement(results),
            truth=_truth(results),
            data=_data(results),
            training={"picture": pictures.training_curve(results), "facts": _training(results)},
            limits=list(_limits(results)),
            provenance=_provenance(results),
        )
    )
    out = results.folder / "report.html"
    write_text(out, page)
    return out


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"decimal": decimal, "count": "{:,}".format}
    return environment


def _opening(results: Results) -> dict[str, Any]:
    """The finding in one sentence, and the few numbers worth knowing first."""
    spatial, random, pixels = results.spatial, results.random, results.map["pixels"]
    finding = findings.headline(
        target=results.config.target,
        plots=len(results.observed),
        extent=_area(results.mapped_area) if pixels else "",
        held_out=findings.where(spatial) if spatial else None,
        spatial=results.scores(spatial) if spatial else None,
        random=results.scores(random) if random else None,
        virtual=results.virtual,
    )
    facts = [(f"{len(results.observed):,}", "plots"), (f"{pixels:,}", "pixels mapped")]
    if pixels:
        facts.append((decimal(results.map["mean"], 1), "species in a plot, mean of the map"))
    for split in filter(None, (spatial, random)):
        if MAPPED in results.scores(split).index:
            r2 = decimal(results.r2(MAPPED, split))
            facts.append((r2, f"r2 of {called(MAPPED)} {findings.where(split)}"))
    return {"finding": finding, "facts": facts}


def _area(square_km: float) -> str:
    """Three digits of an area."""
    if square_km >= 1e6:
        return f"{square_km / 1e6:.3g} million km²"
    digits = 2 - math.floor(math.log10(max(square_km, 0.01)))
    return f"{round(square_km, digits):,.{max(0, digits)}f} km²"


def _maps(results: Results) -> dict[str, Any] | None:
    if not results.map["pixels"]:
        return None
    return {
        "mean": pictures.mean_map(results),
        "spread": pictures.spread_map(results) if results.has_spread else None,
        "plots": pictures.plot_map(results),
    }


def _scores(results: Results) -> dict[str, Any]:
    """The table of scores, a row a model, and who is ahead on each split."""
    splits = results.config.evaluate.splits
    tables = [results.scores(split) for split in splits]
    models = list(dict.fromkeys(model for table in tables for model in table.index))
    rows = [
        {
            "name": model,
            "note": MODELS.get(model, ("", ""))[1],
            "cells": [_cells(table, model) for table in tables],
        }
        for model in models
    ]
    return {
        "heads": [
            {"name": split.name, "about": f"{_about(split)}, n = {table['n'].max():,}"}
            for split, table in zip(splits, tables, strict=True)
        ],
        "rows": rows,
        "ahead": [
            findings.who_is_ahead(table, results.predicted(split), findings.where(split))
            for split, table in zip(splits, tables, strict=True)
        ],
        "ceiling": decimal(results.ceiling, 3) if results.virtual else None,
    }


def _about(split: SplitSection) -> str:
    if split.kind == "random":
        return f"{split.folds} folds at random"
    return f"{split.folds} folds of whole tiles of {findings.side(split)}"


def _cells(table: pd.DataFrame, model: str) -> list[tuple[str, bool]]:
    """A model's numbers on one split as text, and whether each is the best of its column."""
    cells = []
    for metric, digits in METRICS.items():
        column = table[metric]
        # Highest r and r2, lowest errors, bias nearest to 0; alone, nobody is best.
        merit = column if metric in ("r", "r2") else -column.abs()
        best = len(merit) > 1 and bool(merit[model] == merit.max())
        cells.append((decimal(column[model], digits), best))
    return cells


def _agreement(results: Results) -> dict[str, Any]:
    """Predicted against observed, residuals, and what larger blocks do to the scores."""
    sizes, curves = results.curve_sizes, results.curves
    content = {
        "where": findings.where(results.judged),
        "panels": pictures.agreement(results),
        "residuals": pictures.residual_map(results),
        "curve": None,
        "distances": None,
    }
    if curves:
        content |= {
            "curve": pictures.block_curve(results),
            "curve_sentence": findings.block_curve(curves, sizes),
            "curve_models": list(curves),
            "curve_rows": [
                ("random", [decimal(random) for random, _ in curves.values()]),
                *(
                    (f"{size:g}°", [decimal(values[i]) for _, values in curves.values()])
                    for i, size in enumerate(sizes)
                ),
            ],
        }
    if results.map["pixels"]:
        content["distances"] = pictures.distances(results)
        content["distances_sentence"] = findings.resembles(results.distances)
    return content


def _truth(results: Results) -> dict[str, Any] | None:
    """The map against the known truth; None on real plots and where nothing was mapped."""
    if not (results.virtual and results.map["pixels"]):
        return None
    return {"pictures": pictures.truth_maps(results), "scores": results.map["truth"]}


def _data(results: Results) -> dict[str, Any]:
    imagery = results.imagery
    return {
        "plots": _plot_facts(results),
        "notes": results.plots["notes"],
        "histogram": pictures.histogram(results),
        "rejected": _rejected(results.rejected),
        "imagery": _imagery_facts(results),
        "bands": [(name, imagery["statistics"][name]) for name in imagery["bands"]],
    }


def _plot_facts(results: Results) -> list[tuple[str, str]]:
    plots, used = results.plots, len(results.observed)
    without = plots["kept"] - used
    facts = [
        ("Source", plots["source_file"]),
        ("Rows read", f"{plots['read']:,}"),
        ("Used", f"{used:,}" + (f" ({without:,} more have no imagery)" if without else "")),
        ("Rejected", f"{len(results.rejected):,}"),
        ("Plot area", _range(plots["area_m2"], "m²")),
        ("Dates", _dates(plots["dates"])),
        ("Locations", _locations(plots)),
    ]
    if plots["programmes"]:
        facts.append(("Programmes", _programmes(plots["programmes"])))
    return facts


def _range(spread: dict[str, Any], unit: str) -> str:
    if not spread["known"]:
        return "not stated"
    if spread["min"] == spread["max"]:
        return f"{spread['min']:,.10g} {unit}"
    return (
        f"{spread['min']:,.10g} to {spread['max']:,.10g} {unit}, median "
        f"{spread['median']:,.10g}, known of {spread['known']:,} plots"
    )


def _dates(dates: dict[str, Any]) -> str:
    if not dates["known"]:
        return "not stated"
    return f"{dates['first']} to {dates['last']}, known of {dates['known']:,} plots"


def _locations(plots: dict[str, Any]) -> str:
    if not plots["plots_sharing_a_location"]:
        return f"{plots['locations']:,}, none repeated"
    return (
        f"{plots['locations']:,}; {plots['plots_sharing_a_location']:,} plots share one with "
        "another plot and stay with it in one fold"
    )


def _programmes(programmes: dict[str, int]) -> str:
    ranked = sorted(programmes.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} ({count:,})" for name, count in ranked[:8])
    return shown + (f" and {len(ranked) - 8} more" if len(ranked) > 8 else "")


def _rejected(rejected: pd.DataFrame) -> dict[str, Any]:
    """Rejected rows counted by reason, the commonest first, each with its first row.

    A reason quotes the row's own values; reasons that differ in nothing else are one.
    """
    kind = rejected["reason"].str.replace(_QUOTED, "…", regex=True)
    rows = [
        {"count": len(part), **part.iloc[0][["stage", "source_line", "plot_id", "reason"]]}
        for _, part in rejected.groupby(kind, sort=False)
    ]
    rows.sort(key=lambda row: -row["count"])
    return {"rows": rows[:SHOWN_REASONS], "more": max(0, len(rows) - SHOWN_REASONS)}


def _imagery_facts(results: Results) -> list[tuple[str, str]]:
    imagery = results.imagery
    west, east, south, north = imagery["region"]
    share = imagery["pixels_to_predict"] / imagery["pixels"]
    unit = "°" if results.grid.crs.is_geographic else " m"
    resolution = " × ".join(f"{r:.4g}{unit}" for r in imagery["resolution"])
    return [
        ("Bands", f"{len(imagery['bands'])}"),
        ("Grid", f"{imagery['width']:,} × {imagery['height']:,} pixels, {imagery['crs']}"),
        ("Pixel", f"{resolution}, about {pictures.pixel_size(results)} on the ground"),
        (
            "Region",
            f"{degrees(west, 'E', 'W')} to {degrees(east, 'E', 'W')}, "
            f"{degrees(south, 'N', 'S')} to {degrees(north, 'N', 'S')}",
        ),
        ("To predict", f"{imagery['pixels_to_predict']:,} pixels, {share:.0%} of the grid"),
        ("Predicted", f"{results.map['pixels']:,} pixels, whose whole chip holds data"),
    ]


def _training(results: Results) -> list[tuple[str, str]]:
    model, train, log = results.config.model, results.config.train, results.training
    best = log.loc[log["validation_rmse"].idxmin()]
    return [
        ("Chips", f"{model.patch} × {model.patch} pixels, with the coordinates of each"),
        (
            "Network",
            f"layers {model.layers}, width {model.width}, heads {model.heads}, MLP "
            f"{model.mlp_hidden}, head {model.head_hidden}, dropout {model.dropout:g}",
        ),
        (
            "Recipe",
            f"AdamW, learning rate {train.learning_rate:g}, weight decay {train.weight_decay:g}, "
            f"batches of {train.batch}",
        ),
        (
            "Stopping",
            f"at most {train.epochs} epochs, or {train.patience} without a better validation RMSE",
        ),
        ("Epochs", f"{len(log)}, weights kept of epoch {best['epoch']:.0f}"),
        ("Validation", f"RMSE {decimal(best['validation_rmse'])} species"),
    ]


def _limits(results: Results) -> Iterator[tuple[str, str]]:
    """What the map does not say: a heading and a text each."""
    summary, area = results.map, results.plots["area_m2"]
    if results.virtual:
        yield (
            "A virtual flora.",
            "The plants are simulated over real imagery. The map shows what the method can do "
            "where the truth is known, and nothing about real plants.",
        )
    grain = "Richness grows with plot area: in larger or smaller plots other numbers hold."
    if not area["known"]:
        grain += " The plots do not state their area, so the map cannot state its own."
    elif area["min"] < area["max"]:
        grain += " The plots differ in area and are learned from as if they did not."
    yield f"Grain: {results.grain}.", grain
    yield "Extent.", _extent(results)
    yield (
        "Time.",
        (
            "Plots and imagery are taken as of one time; what changed between survey and image is "
            "part of the error."
        ),
    )
    yield (
        "Scores.",
        "Random folds flatter where plots cluster (Ploton et al. 2020). Whole tiles held out can "
        "be pessimistic where the map only has to fill gaps between plots, and their size is a "
        "choice (Wadoux et al. 2021). Only a probability sample of the mapped area gives an "
        "unbiased error of the map.",
    )
    if results.has_spread and summary["mean_sd"] is not None:
        yield "Spread is not error.", _spread(results)
    if summary["negative_set_to_0"]:
        share = summary["negative_set_to_0"] / summary["pixels"]
        yield (
            "Below zero.",
            (
                f"{summary['negative_set_to_0']:,} pixels ({share:.2%}) were predicted below 0 "
                "species and set to 0."
            ),
        )


def _extent(results: Results) -> str:
    text = (
        "The map holds for conditions like those of its plots; elsewhere it extrapolates, and "
        "location as a predictor can then mislead (Meyer et al. 2019)."
    )
    if not results.map["pixels"]:
        return text
    half, tenth = (length(d) for d in np.percentile(results.map_distance, (50, 90)))
    return (
        f"{text} Half of the mapped pixels lie more than {half} from the nearest plot, a tenth "
        f"more than {tenth}."
    )


def _spread(results: Results) -> str:
    spread = decimal(results.map["mean_sd"])
    text = (
        f"Monte Carlo dropout shows the network's own doubt, {spread} species on average over the "
        "map"
    )
    scores = results.scores(results.judged)
    if MAPPED not in scores.index:
        return f"{text}; it leaves out the noise of the counts and what the network cannot know."
    rmse = decimal(scores.loc[MAPPED, "rmse"])
    return f"{text}; the error {findings.where(results.judged)} is {rmse} species (RMSE)."


def _provenance(results: Results) -> dict[str, Any]:
    record = results.provenance
    return {
        "versions": [
            ("spatioformer", record["spatioformer"]),
            ("Python", record["python"]),
            ("system", record["system"]),
            *sorted(record["libraries"].items()),
        ],
        "seed": record["seed"],
        "inputs": sorted(record["inputs_sha256"].items()),
        "stages": [(n, record["stages"][n]["seconds"]) for n in STAGES if n in record["stages"]],
        "card": (results.folder / "model" / "README.md").read_text(encoding="utf-8"),
        "config": (results.folder / "config.resolved.yaml").read_text(encoding="utf-8"),
    }
