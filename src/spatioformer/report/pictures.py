"""Pictures of the page: a drawing of the results with alternative text and caption."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from spatioformer.common import style
from spatioformer.common.drawing import Layouts
from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.evaluation.sizes import KM_BELOW
from spatioformer.evaluation.verdict import REFUSE
from spatioformer.models.parts import QUICK_FORMS, QUICK_TREES
from spatioformer.models.target import PROPORTION
from spatioformer.report import charts, ground, maps
from spatioformer.report.findings import amount, decimal, score, sides, start, title, where
from spatioformer.report.picture import (
    HALF,
    PHONE,
    THIRD,
    WIDE,
    WIDE_ZOOM,
    ZOOM,
    Picture,
    picture,
    pixels,
)
from spatioformer.report.results import Results

REFUSED = "Do not use to tell places apart"
OBSERVED = "observed richness, species a plot"


def mean_map(results: Results) -> Picture:
    summary, target = results.map, results.config.target.name
    low = amount(summary["min"], results.unit, 0).split()[0]
    high = amount(summary["max"], results.unit, 0)
    dropout = " with dropout off" if results.is_network else ""
    outside, share = results.outside, results.map.get("inside_share")
    frame, limits = results.mean.frame, _shared_limits(results)

    def draw(width: float) -> Figure:
        figure = maps.draw_map(
            results.mean.values,
            frame,
            limits=limits,
            label=_unit(results),
            width=width,
            outside=outside,
        )
        if results.verdict.verdict == REFUSE:  # copies of the picture say so too
            figure.axes[0].set_title(REFUSED, loc="left", color=style.BAD, fontsize=9.5)
        return figure

    trust = ""
    if outside is not None and share is not None:
        trust = (
            f" Pale and hatched: {1 - share:.0%} of the mapped land, outside the area of "
            "applicability. Conditions there are unlike those of all plots, so do not trust the "
            "map there."
        )
    return picture(
        results,
        "richness",
        draw(WIDE),
        f"Map of predicted {target}, from {low} to {high}."
        + (" Land outside the area of applicability is hatched." if trust else ""),
        f"Predicted {target} at {summary['pixels']:,} pixels of {sides(results.pixel_size)}: from "
        f"{low} to {high}, {amount(summary['mean'], results.unit, 1)} on average. Each pixel is "
        f"predicted once{dropout}.{trust} Grey: no prediction, because imagery is missing or a "
        f"mask excludes the pixel. {ground.SOURCE}",
        pixels(results.mean, "predicted", **({} if outside is None else {"outside": outside})),
        zoom=WIDE_ZOOM,
        narrow=draw(PHONE),
    )


def width_map(results: Results) -> Picture | None:
    """Map of the width of the intervals; None where the map has none."""
    band, level = results.interval_width, results.level
    if band is None or not np.isfinite(band.values).any():
        return None
    middle = amount(float(np.nanmedian(band.values)), results.unit, 1)
    outside = results.outside
    drawing = maps.draw_map(
        band.values,
        band.frame,
        limits=maps.robust_limits(band.values),
        label=f"width of the {level:.0%} interval, {results.unit}",
        colours="cividis",
        outside=outside,
    )
    return picture(
        results,
        "interval-width",
        drawing,
        f"Map of the width of the {level:.0%} intervals, {middle} in the middle.",
        f"Width of the {level:.0%} interval of each pixel: half of the pixels have less than "
        f"{middle}. An interval holds the count of a new plot with {level:.0%} probability. Wide "
        "intervals mean that the map says little there.",
        pixels(band, "width"),
    )


def spread_map(results: Results) -> Picture:
    summary, step = results.map, results.map["sd_step"]
    grain = "every pixel" if step == 1 else f"one pixel of each {step} × {step} block"
    values = results.spread.values
    mean = amount(summary["mean_sd"], results.unit)
    drawing = maps.draw_map(
        values,
        results.spread.frame,
        limits=(0.0, maps.robust_limits(values)[1]),
        label=f"standard deviation, {results.unit}",
        colours="cividis",
        width=HALF,
    )
    return picture(
        results,
        "standard-deviation",
        drawing,
        f"Map of the standard deviation, {mean} on average.",
        f"Standard deviation of {summary['samples']} predictions with dropout on, computed at "
        f"{grain}: {mean} on average. It shows where the network is "
        "uncertain; it is not the error of the map.",
        pixels(results.spread, "standard deviation"),
    )


def plot_map(results: Results) -> Picture:
    mean, plots = results.mean, results.observed
    where_far = "Far from all plots, the map extrapolates."
    if not results.has_imagery:
        where_far = "Far from all plots, the model extrapolates."
    drawing = maps.draw_plots(
        mean.mapped,
        mean.frame,
        *mean.places(plots["lon"].to_numpy(), plots["lat"].to_numpy()),
        plots["richness"].to_numpy(),
        limits=_shared_limits(results),
        label=f"observed, {results.unit}",
        width=HALF,
    )
    return picture(
        results,
        "plots",
        drawing,
        f"Map of the {len(plots):,} plots, coloured by their observed richness.",
        f"The {len(plots):,} plots that the model was trained on"
        f"{', in the colours of the map' if results.has_imagery else ''}. {where_far}",
        plots.rename(columns={"richness": "observed"}),
    )


def agreement(results: Results) -> list[Picture]:
    """Predicted against observed on the judged split: mapped model and best rival first, large."""
    split = results.judged
    scores, predictions = results.scores(split), results.predicted(split)
    richness = predictions[["observed", "predicted"]].to_numpy(np.float64)
    low, high = float(np.nanmin(richness)), float(np.nanmax(richness))
    pictures: list[Picture] = []
    layouts: Layouts = {}
    for place, model in enumerate(results.models_mapped_first):
        part = predictions[predictions["model"] == model]
        r2 = decimal(score(scores, model, "r2"))
        rmse = amount(score(scores, model, "rmse"), results.unit).split()[0]
        large = place < LARGE
        drawing = charts.draw_agreement(
            part["observed"].to_numpy(),
            part["predicted"].to_numpy(),
            limits=(min(0.0, low), high),
            note=f"{start(title(model))}\nr2 {r2}, RMSE {rmse}",
            unit=results.unit,
            width=charts.LARGE if large else charts.SMALL,
            layouts=layouts,
        )
        role = ", which makes the map" if model == results.mapped else ""
        pictures.append(
            picture(
                results,
                f"agreement-{model}",
                drawing,
                f"Predicted against observed richness of {title(model)}: r2 {r2}, RMSE {rmse}.",
                f"{start(title(model))}{role}: {len(part):,} plots.",
                part[["plot_id", "lon", "lat", "fold", "observed", "predicted"]],
                zoom=ZOOM if large else 1.0,
            )
        )
    return pictures


LARGE = 2
"""Scatterplots at full size: those of the mapped model and its best rival."""


def residual_map(results: Results) -> Picture:
    split, mean = results.judged, results.mean
    predictions = results.predicted(split)
    models = predictions["model"].unique().tolist()
    model = results.mapped if results.mapped in models else models[0]
    part = predictions[predictions["model"] == model]
    drawing = maps.draw_residuals(
        mean.mapped,
        mean.frame,
        *mean.places(part["lon"].to_numpy(), part["lat"].to_numpy()),
        (part["predicted"] - part["observed"]).to_numpy(),
        label=f"predicted − observed, {results.unit}",
        width=HALF,
    )
    residuals = part[["lon", "lat", "observed", "predicted"]]
    return picture(
        results,
        "residuals",
        drawing,
        f"Map of the residuals of {title(model)}.",
        f"Residuals of {title(model)} {where(split)}: mean over the plots in each cell. Red: "
        f"{_excess(results)}. Large areas of one colour show spatially "
        "correlated errors.",
        residuals.assign(residual=part["predicted"] - part["observed"]),
    )


def block_curve(results: Results) -> Picture:
    sizes = results.curve_sizes
    drawing = charts.draw_block_curve(
        sizes,
        {start(title(model)): values for model, values in results.curves.items()},
        markers=_mapped_marker(results),
        ceiling=results.ceiling if results.virtual else None,
        unit=results.config.evaluate.curve_unit,
    )
    rows = [
        {"model": model, "tiles": tiles, "r2": r2}
        for model, (random, values) in results.curves.items()
        for tiles, r2 in zip(["random", *map(str, sizes)], [random, *values], strict=True)
    ]
    return picture(
        results,
        "tile-size",
        drawing,
        "r2 against the size of the held-out tiles; the table states the numbers.",
        "r2 of pooled held-out predictions against the side of the held-out tiles (log scale)."
        + (" Left: plots held out at random." if results.random else "")
        + _quick_forms(results),
        pd.DataFrame(rows),
    )


def _quick_forms(results: Results) -> str:
    """Which models of the curve are a cheaper form of themselves."""
    quick = [title(model) for model in results.curves if model in QUICK_FORMS]
    if not quick:
        return ""
    return (
        f" At sizes that no split of the scores has, {' and '.join(quick)} has "
        f"{QUICK_TREES} trees and is not tuned."
    )


def _mapped_marker(results: Results) -> dict[str, tuple[float, float, float]]:
    """The mapped model on random folds and on tiles, where the curve lacks it."""
    mapped, tiles, random = results.mapped, results.spatial, results.random
    if mapped in results.curves or tiles is None or random is None or tiles.size is None:
        return {}
    if tiles.unit != results.config.evaluate.curve_unit:
        return {}
    r2 = [results.r2(mapped, split) for split in (random, tiles)]
    return {start(title(mapped)): (r2[0], tiles.size, r2[1])} if np.isfinite(r2).all() else {}


def distances(results: Results) -> Picture:
    distances_km = {"mapped pixel to plot": results.map_distance / 1000}
    for name, metres in results.distances.items():
        held_out = metres.held_out[np.isfinite(metres.held_out)]
        distances_km[f"held-out to training plot: {name}"] = held_out / 1000
    return picture(
        results,
        "distances",
        charts.draw_distances(distances_km),
        "Cumulative distributions of the distance to the nearest plot.",
        "Distance from mapped pixels to the nearest plot (solid line), and from held-out plots to "
        "the nearest training plot (dashed lines). The scores of a split describe the map where "
        "its dashed line is close to the solid line.",
        pd.concat([pd.DataFrame({"of": name, "km": km}) for name, km in distances_km.items()]),
    )


def truth_maps(results: Results) -> list[Picture]:
    """Truth, prediction and their difference; virtual runs only."""
    truth, mean = results.truth, results.mean
    limits, frame = _shared_limits(results), mean.frame
    known = np.where(mean.mapped, truth.values, np.nan)
    difference = mean.values - truth.values
    unit = "species"

    def draw(values: np.ndarray, label: str, **look: Any) -> Figure:
        look = {"limits": limits} | look
        return maps.draw_map(values, frame, label=label, width=THIRD, **look)

    return [
        picture(
            results,
            "true-richness",
            draw(known, f"true, {unit}"),
            "Map of the true expected richness.",
            "Truth: expected number of species in a plot.",
            pixels(replace(truth, values=known), "true"),
        ),
        picture(
            results,
            "predicted-richness",
            draw(mean.values, f"predicted, {unit}"),
            "Map of the predicted richness.",
            "Prediction, in the colours of the truth.",
            pixels(mean, "predicted"),
        ),
        picture(
            results,
            "true-difference",
            draw(
                difference,
                f"predicted − true, {unit}",
                limits=maps.symmetric_limits(difference),
                colours=maps.DIFFERENCE,
            ),
            "Map of the difference between prediction and truth.",
            "Difference, predicted − true. Red: too many species predicted; blue: too few.",
            pixels(replace(mean, values=difference), "difference"),
        ),
    ]


def histogram(results: Results) -> Picture:
    richness = results.observed["richness"].to_numpy()
    return picture(
        results,
        "histogram",
        charts.draw_histogram(
            richness,
            label=("observed, proportion" if results.unit == PROPORTION else OBSERVED),
            is_whole=results.unit != PROPORTION,
        ),
        f"Histogram of richness: {richness.min():g} to {richness.max():g} {results.unit}, median "
        f"{np.median(richness):g}.",
        f"Observed richness of the {len(richness):,} plots.",
        {"observed": richness},
    )


def training_curve(results: Results) -> Picture:
    log, section = results.training, results.recipe
    best = results.best_epoch
    against, examples = "", f"plots, in whole tiles of {_tile(section.validation_tile)}"
    if results.is_taught:
        against, examples = (
            ", against its teacher's predictions",
            "training pixels, drawn at random",
        )
    return picture(
        results,
        "training",
        charts.draw_training(
            log["epoch"].to_numpy(),
            log["train_rmse"].to_numpy(),
            log["validation_rmse"].to_numpy(),
            results.unit,
        ),
        f"RMSE by epoch; best at epoch {best['epoch']:.0f} with {best['validation_rmse']:.2f}.",
        f"RMSE by epoch of the network that makes the map{against}. About "
        f"{section.validation_share:.0%} of the {examples}, are held out to choose the epoch of "
        f"the kept weights ({best['epoch']:.0f} of {len(log)}). The training RMSE is measured "
        "during the epoch "
        "(with dropout, if the network has it), so it can be higher than the validation RMSE.",
        log,
    )


def _tile(degrees: float | None) -> str:
    """Side of validation tiles in words."""
    if degrees is None:
        return "a size that fits the plots"
    small = degrees < KM_BELOW
    return f"{degrees * KM_PER_DEGREE:.3g} km" if small else f"{degrees:g}°"


def _unit(results: Results) -> str:
    return f"{results.unit} ({results.grain})"


def _excess(results: Results) -> str:
    """What red and what blue means in a map of differences from the prediction."""
    if results.unit == PROPORTION:
        return "predicted too high; blue: too low"
    return "too many species predicted; blue: too few"


def _shared_limits(results: Results) -> tuple[float, float]:
    """Ends of the colour bar that the mean, the truth and the plots share."""
    if not results.has_imagery:
        return maps.robust_limits(results.observed["richness"].to_numpy())
    truth = [results.truth.values[results.mean.mapped]] if results.virtual else []
    return maps.robust_limits(results.mean.values, *truth)
