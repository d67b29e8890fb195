"""The HTML page: its sentences, tables and pictures, and the template that holds them."""

import contextlib
import gc
import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spatioformer.common import palette
from spatioformer.common.files import write_json, write_text, writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.workers import beside
from spatioformer.config.schema import RunConfig
from spatioformer.models.target import PROPORTION
from spatioformer.report import (
    chart_pictures,
    facts,
    findings,
    ground,
    map_pictures,
    sources,
)
from spatioformer.report.downloads import FIGURES, pictures_in, write_figures
from spatioformer.report.drivers import drivers
from spatioformer.report.explained import explained
from spatioformer.report.findings import decimal, length
from spatioformer.report.glossary import glossary, link_terms
from spatioformer.report.odmap import odmap
from spatioformer.report.results import Results
from spatioformer.report.scores import score_tables
from spatioformer.report.trust import trust
from spatioformer.report.verdict import verdict

STAGES = ("plots", "search", "imagery", "chips", "train", "evaluate", "map", "years")
"""Stages whose time the page states; the time of the report itself is not known yet."""


def write_report(folder: str | Path, config: RunConfig, console: Console = SILENT) -> Path:
    """Write the report into a run folder whose other stages are finished.

    That is report.html; verdict.json; CITATIONS.bib, if anything is to be cited; the folder figures
    with each figure as PNG and SVG and its data as CSV; and map.png, the first picture, for a slide
    or a README. map.png is not written where no pixel was predicted.

    Args:
        folder: the run folder.
        config: its resolved configuration; with `truth` set, the report is labelled virtual.

    Returns:
        Path of the report.

    Raises:
        OutputError: a stage's result is missing, or the report cannot be written.
    """
    results = Results(folder, config)
    several = config.evaluate.processes > 1
    with beside(partial(_apart, folder, config), wanted=several) as apart:
        here = _contents(results, [name for name in PARTS if name not in APART], console)
        there = apart()
    content = {name: (here | there)[name] for name in PARTS}
    entries = glossary(results)
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=config.title or findings.start(f"{config.target.name}: {config.name}"),
            name=config.name,
            version=results.provenance["spatioformer"],
            virtual=results.virtual,
            unit=results.unit,
            has_imagery=results.has_imagery,
            folder=shlex.quote(str(results.folder)),
            figures=FIGURES,
            ground=ground.SOURCE,
            glossary=entries,
            variables=palette.declarations(palette.REPORT),
            **content,
        )
    )
    out = results.folder / "report.html"
    write_text(out, link_terms(page, entries))
    write_json(results.folder / "verdict.json", content["opening"]["json"])
    write_figures(results.folder / FIGURES, pictures_in(content))
    sources.write_citations(results)
    picture = results.folder / "map.png"
    picture.unlink(missing_ok=True)  # that of an earlier run would show another map
    if content["maps"] is not None and content["maps"]["mean"] is not None:
        with writing(picture) as part:
            part.write_bytes(content["maps"]["mean"].png)
    return out


def _contents(results: Results, names: Sequence[str], console: Console = SILENT) -> dict[str, Any]:
    """Parts of the page by name."""
    with _without_old_objects():
        return {name: PARTS[name](results) for name in console.track(names, "report")}


def _apart(folder: str | Path, config: RunConfig) -> dict[str, Any]:
    """The parts that a worker process makes."""
    return _contents(Results(folder, config), APART)


COLLECT = 50_000
"""Objects made between two runs of the garbage collector while figures are drawn."""


@contextlib.contextmanager
def _without_old_objects() -> Iterator[None]:
    """Let the garbage collector pass over what lives already, such as the modules of torch.

    Figures are made of many small objects, so it would run 900 times, for a twelfth of the time.
    It runs each `COLLECT` objects instead, once every few figures.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


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
    """The verdict, and what was made from how many plots."""
    sentence = findings.opening(
        target=results.config.target.name,
        plots=len(results.observed),
        extent=_extent_mapped(results),
        virtual=results.virtual,
    )
    return verdict(results) | {"made": sentence}


def _extent_mapped(results: Results) -> str | None:
    """The mapped area in words; None without imagery."""
    if not results.has_imagery:
        return None
    return _area(results.mapped_area) if results.map["pixels"] else ""


def _area(square_km: float) -> str:
    """An area with three significant digits."""
    if square_km >= 1e6:
        return f"{square_km / 1e6:.3g} million km²"
    digits = 2 - math.floor(math.log10(max(square_km, 0.01)))
    return f"{round(square_km, digits):,.{max(0, digits)}f} km²"


def _maps(results: Results) -> dict[str, Any] | None:
    if not results.has_imagery:
        return {
            "mean": None,
            "width": None,
            "spread": None,
            "plots": map_pictures.plot_map(results),
        }
    if not results.map["pixels"]:
        return None
    return {
        "mean": map_pictures.mean_map(results),
        "width": map_pictures.width_map(results),
        "spread": map_pictures.spread_map(results) if results.has_spread else None,
        "plots": map_pictures.plot_map(results),
    }


def _agreement(results: Results) -> dict[str, Any]:
    """Predicted against observed, residuals, and the scores by size of the held-out tiles."""
    sizes, curves = results.curve_sizes, results.curves
    panels = chart_pictures.agreement(results)
    content: dict[str, Any] = {
        "where": findings.where(results.judged),
        "panels": panels[: chart_pictures.LARGE],
        "small": panels[chart_pictures.LARGE :],
        "residuals": map_pictures.residual_map(results),
        "curve": None,
        "distances": None,
    }
    if curves:
        content |= {
            "curve": chart_pictures.block_curve(results),
            "curve_sentence": findings.block_curve(curves, sizes, _unit(results)),
            "curve_models": list(curves),
            "curve_rows": _curve_rows(sizes, curves, _unit(results)),
        }
    if results.map["pixels"]:
        content["distances"] = chart_pictures.distances(results)
        content["distances_sentence"] = findings.resembles(results.distances)
    return content


def _unit(results: Results) -> str:
    return findings.UNITS[results.config.evaluate.curve_unit]


def _curve_rows(
    sizes: list[float], curves: dict[str, tuple[float, list[float]]], unit: str
) -> list[tuple[str, list[str]]]:
    """r2 of each model on random folds, if the run has them, and at each size."""
    random = [r2 for r2, _ in curves.values()]
    rows = [("random", [decimal(r2) for r2 in random])] if np.isfinite(random).any() else []
    return rows + [
        (f"{size:g}{unit}", [decimal(values[i]) for _, values in curves.values()])
        for i, size in enumerate(sizes)
    ]


def _truth(results: Results) -> dict[str, Any] | None:
    """The map against the known truth; None for real plots and where nothing was mapped."""
    if not (results.virtual and results.map["pixels"]):
        return None
    return {"pictures": map_pictures.truth_maps(results), "scores": results.map["truth"]}


def _data(results: Results) -> dict[str, Any]:
    imagery = results.imagery
    return {
        "plots": facts.plots(results),
        "notes": results.plots["notes"],
        "sources": sources.panel(results),
        "histogram": chart_pictures.histogram(results),
        "rejected": facts.rejected(results.rejected),
        "imagery": facts.imagery(results) if results.has_imagery else [],
        "bands": [(name, imagery["statistics"][name]) for name in imagery["bands"]],
    }


def _training(results: Results) -> dict[str, Any]:
    curve = chart_pictures.training_curve(results) if results.is_network else None
    return {"picture": curve, "facts": facts.training(results)}


def _limits(results: Results) -> Iterator[tuple[str, str]]:
    """Limits of the map: a heading and a text each."""
    summary, area = results.map, results.plots["area_m2"]
    if results.virtual:
        yield (
            "A virtual flora.",
            "The plants are simulated over real imagery. The map tests the method where the truth "
            "is known; it says nothing about real plants.",
        )
    grain = "Richness increases with plot area: the map does not hold for other plot sizes."
    if results.unit == PROPORTION:
        grain = (
            "Large plots vary less than small ones: the scores do not hold for other plot sizes."
        )
    if not area["known"]:
        grain += " The plots do not state their area, so the plot size of the map is unknown."
    elif area["min"] < area["max"] and not results.knows_area:
        grain += " The plots differ in area, and the model does not know their area."
    elif results.knows_area and not results.has_imagery:
        grain = "The area of the plots is a predictor of the model."
    elif results.knows_area:
        grain += " The area of the plots is a predictor of the model; the map has one value of it."
    yield f"Grain: {results.grain}.", grain
    yield "Extent.", _extent(results)
    if results.has_imagery:
        yield (
            "Time.",
            (
                "The model treats plots and imagery as if they were of one time. Changes between "
                "survey and image are part of the error."
            ),
        )
    yield (
        "Scores.",
        "Random folds are too optimistic where plots are clustered (Ploton et al. 2020). Held-out "
        "tiles can be too pessimistic where the map only fills gaps between plots, and their size "
        "is a choice (Wadoux et al. 2021). Only a probability sample of the mapped area gives an "
        "unbiased estimate of the map's error.",
    )
    if results.has_spread and summary["mean_sd"] is not None:
        yield "The standard deviation is not the error.", _spread(results)
    if summary["negative_set_to_0"]:
        share = summary["negative_set_to_0"] / summary["pixels"]
        yield (
            "Below zero.",
            (
                f"{summary['negative_set_to_0']:,} pixels ({share:.2%}) were predicted below 0 "
                f"{results.unit} and set to 0."
            ),
        )


def _extent(results: Results) -> str:
    text = (
        "The map holds for conditions like those of its plots. Elsewhere it extrapolates, and "
        "location as a predictor can mislead the model there (Meyer et al. 2019)."
    )
    if not results.map["pixels"]:
        return text
    half, tenth = (length(float(d)) for d in np.percentile(results.map_distance, (50, 90)))
    return (
        f"{text} Half of the mapped pixels lie more than {half} from the nearest plot, and a tenth "
        f"more than {tenth}."
    )


def _spread(results: Results) -> str:
    mean = findings.amount(results.map["mean_sd"], results.unit)
    text = (
        "The standard deviation of the predictions with dropout on measures the network's own "
        f"uncertainty: {mean} on average over the map. It "
        "leaves out the noise of the counts and the errors that all these predictions share."
    )
    scores = results.scores(results.judged)
    if results.mapped not in scores.index:
        return text
    rmse = findings.amount(findings.score(scores, results.mapped, "rmse"), results.unit)
    return f"{text} The error {findings.where(results.judged)} is {rmse} (RMSE)."


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


PARTS: dict[str, Callable[[Results], Any]] = {
    "opening": _opening,
    "maps": _maps,
    "scores": score_tables,
    "agreement": _agreement,
    "trust": trust,
    "explained": explained,
    "drivers": drivers,
    "truth": _truth,
    "data": _data,
    "training": _training,
    "limits": lambda results: list(_limits(results)),
    "odmap": odmap,
    "provenance": _provenance,
}
"""Function that makes each part of the page."""

APART = ("agreement", "trust", "explained")
"""Parts that a worker process may make: about half of the time for figures."""
