"""Maps of the page: a drawing of the results with alternative text and caption."""

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from spatioformer.common import style
from spatioformer.evaluation.verdict import REFUSE
from spatioformer.models.target import PROPORTION
from spatioformer.report import ground, maps
from spatioformer.report.findings import amount, sides, title, where
from spatioformer.report.picture import (
    HALF,
    PHONE,
    THIRD,
    WIDE,
    WIDE_ZOOM,
    Picture,
    picture,
    pixels,
)
from spatioformer.report.results import Results

REFUSED = "Do not use to tell places apart"


def mean_map(results: Results) -> Picture:
    summary, target = results.map, results.config.target.name
    low = amount(summary["min"], results.unit, 0).split()[0]
    high = amount(summary["max"], results.unit, 0)
    dropout = " with dropout off" if results.is_network else ""
    outside, share = results.outside, results.map.get("inside_share")
    frame, limits = results.mean.frame, _shared_limits(results)
    refused = results.verdict.verdict == REFUSE

    def draw(width: float) -> Figure:
        figure = maps.draw_map(
            results.mean.values,
            frame,
            limits=limits,
            label=_unit(results),
            colours=maps.pale("viridis") if refused else "viridis",
            width=width,
            outside=outside,
        )
        if refused:  # copies of the picture say so too
            figure.axes[0].set_title(REFUSED, loc="left", color=style.BAD, fontsize=9.5)
        return figure

    trust = " All colours are pale, because of the verdict." if refused else ""
    if outside is not None and share is not None:
        look = "Hatched" if refused else "Pale and hatched"
        trust += (
            f" {look}: {1 - share:.0%} of the mapped land, outside the area of "
            "applicability. Conditions there are unlike those of all plots, so do not trust the "
            "map there."
        )
    return picture(
        results,
        "richness",
        draw(WIDE),
        f"Map of predicted {target}, from {low} to {high}."
        + (" Land outside the area of applicability is hatched." if outside is not None else ""),
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
        f"{middle}. An interval holds the value of a new plot with {level:.0%} probability. Wide "
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
        f"{_in_colours(results)}. {where_far}",
        plots.rename(columns={"richness": "observed"}),
    )


def _in_colours(results: Results) -> str:
    if not results.has_imagery:
        return ""
    pale = results.verdict.verdict == REFUSE
    return f", in the colours of the map{', which is pale' if pale else ''}"


def residual_map(results: Results) -> Picture:
    split, mean = results.judged, results.mean
    predictions = results.predicted(split)
    models = predictions["model"].unique().tolist()
    model = results.mapped if results.mapped in models else models[0]
    part = predictions[predictions["model"] == model]
    residual = part["observed"] - part["predicted"]
    drawing = maps.draw_residuals(
        mean.mapped,
        mean.frame,
        *mean.places(part["lon"].to_numpy(), part["lat"].to_numpy()),
        residual.to_numpy(),
        label=f"observed − predicted, {results.unit}",
        width=HALF,
    )
    plots = part[["lon", "lat", "observed", "predicted"]]
    return picture(
        results,
        "residuals",
        drawing,
        f"Map of the residuals of {title(model)}.",
        f"Residuals of {title(model)} {where(split)}: mean over the plots in each cell. Red: "
        f"{_excess(results)}. Large areas of one colour show spatially "
        "correlated errors.",
        plots.assign(residual=residual),
    )


def truth_maps(results: Results) -> list[Picture]:
    """Truth, prediction and their difference; virtual runs only."""
    truth, mean = results.truth, results.mean
    limits, frame = _shared_limits(results), mean.frame
    shown = np.where(mean.mapped, truth.values, np.nan)
    difference = mean.values - truth.values
    unit = "species"

    def draw(values: np.ndarray, label: str, **look: Any) -> Figure:
        look = {"limits": limits} | look
        return maps.draw_map(values, frame, label=label, width=THIRD, **look)

    return [
        picture(
            results,
            "true-richness",
            draw(shown, f"true, {unit}"),
            "Map of the true expected richness.",
            "Truth: expected number of species in a plot.",
            pixels(replace(truth, values=shown), "true"),
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
