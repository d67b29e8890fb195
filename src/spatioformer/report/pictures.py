"""Results -> pictures for the page: a drawing, what it shows in words, how it was computed."""

import base64
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from spatioformer.common import style
from spatioformer.report import charts, maps
from spatioformer.report.findings import called, decimal, sides, start, where
from spatioformer.report.results import Band, Results

VIRTUAL = "VIRTUAL FLORA: SIMULATED PLANTS"
HALF, THIRD = 5.2, 3.9  # widths in inches; a hundred CSS pixels each
WIDE, ZOOM = 6.6, 1.3  # the large map: magnified, so that its letters stay legible on a phone


@dataclass(frozen=True)
class Picture:
    """A figure in the page: PNG, size in CSS pixels, alternative text and caption."""

    png: bytes
    width: int
    height: int
    alt: str
    caption: str

    @property
    def source(self) -> str:
        """The PNG as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def picture(results: Results, figure: Figure, alt: str, caption: str, zoom: float = 1.0) -> Picture:
    """The figure as it goes into the page, stamped where the plots are virtual."""
    if results.virtual:
        style.stamp(figure, VIRTUAL)
    width, height = (round(100 * zoom * inches) for inches in figure.get_size_inches())
    return Picture(style.png(figure, zoom), width, height, alt, caption)


def mean_map(results: Results) -> Picture:
    summary, target = results.map, results.config.target
    low, high = decimal(summary["min"], 0), decimal(summary["max"], 0)
    once = "predicted once, with dropout off" if results.is_network else "predicted once"
    drawing = maps.draw_map(
        results.mean.values,
        frame_of(results.mean),
        limits=_shared_limits(results),
        label=_unit(results),
        width=WIDE,
    )
    return picture(
        results,
        drawing,
        f"Map of predicted {target}, from {low} to {high} species.",
        f"Mean predicted {target} at {summary['pixels']:,} pixels of "
        f"{sides(results.pixel_size)}: from "
        f"{low} to {high} species, {decimal(summary['mean'], 1)} on average. Each pixel is "
        f"{once}. Grey: no prediction, because imagery is missing or a "
        "mask excludes the place.",
        zoom=ZOOM,
    )


def spread_map(results: Results) -> Picture:
    summary, step = results.map, results.map["sd_step"]
    grain = "every pixel" if step == 1 else f"one pixel of each {step} × {step} block"
    values = results.spread.values
    drawing = maps.draw_map(
        values,
        frame_of(results.spread),
        limits=(0.0, maps.robust_limits(values)[1]),
        label="standard deviation, species",
        colours="cividis",
        width=HALF,
    )
    return picture(
        results,
        drawing,
        f"Map of the Monte Carlo spread, {decimal(summary['mean_sd'])} species on average.",
        f"Spread: the standard deviation of {summary['samples']} predictions with dropout on, "
        f"computed at {grain}; {decimal(summary['mean_sd'])} species on average. It shows where "
        "the network doubts itself; it is not the error of the map.",
    )


def plot_map(results: Results) -> Picture:
    mean, plots = results.mean, results.observed
    drawing = maps.draw_plots(
        mean.mapped,
        frame_of(mean),
        *mean.places(plots["lon"].to_numpy(), plots["lat"].to_numpy()),
        plots["richness"].to_numpy(),
        limits=_shared_limits(results),
        label="observed, species",
        width=HALF,
    )
    return picture(
        results,
        drawing,
        f"Map of the {len(plots):,} plots, coloured by their observed richness.",
        f"The {len(plots):,} plots that the map is learned from, in the colours of the map. Far "
        "from any dot, the map extrapolates.",
    )


def agreement(results: Results) -> list[Picture]:
    """Predicted against observed, a picture a model, on the split that speaks for the map."""
    split = results.judged
    scores, predictions = results.scores(split), results.predicted(split)
    low, high = predictions[["observed", "predicted"]].stack().agg(["min", "max"])
    pictures = []
    for model in results.models:
        part = predictions[predictions["model"] == model]
        r2, rmse = decimal(scores.loc[model, "r2"]), decimal(scores.loc[model, "rmse"])
        drawing = charts.draw_agreement(
            part["observed"].to_numpy(),
            part["predicted"].to_numpy(),
            limits=(min(0.0, low), high),
            note=f"{start(called(model))}\nr2 {r2}, RMSE {rmse}",
        )
        pictures.append(
            picture(
                results,
                drawing,
                f"Predicted against observed richness of {called(model)}: r2 {r2}, RMSE {rmse}.",
                f"{start(called(model))}: {len(part):,} plots.",
            )
        )
    return pictures


def residual_map(results: Results) -> Picture:
    split, mean = results.judged, results.mean
    predictions = results.predicted(split)
    scored = predictions["model"]
    model = results.mapped if results.mapped in set(scored) else scored.iloc[0]
    part = predictions[predictions["model"] == model]
    drawing = maps.draw_residuals(
        mean.mapped,
        frame_of(mean),
        *mean.places(part["lon"].to_numpy(), part["lat"].to_numpy()),
        (part["predicted"] - part["observed"]).to_numpy(),
        label="predicted − observed, species",
        width=HALF,
    )
    return picture(
        results,
        drawing,
        f"Map of the residuals of {called(model)}.",
        f"Residuals of {called(model)} {where(split)}: mean of the plots in each cell. Red: too "
        "many species predicted; blue: too few. Patches of one colour are errors that neighbours "
        "share.",
    )


def block_curve(results: Results) -> Picture:
    sizes = results.curve_sizes
    drawing = charts.draw_block_curve(
        sizes,
        {start(called(model)): values for model, values in results.curves.items()},
        markers=_mapped_marker(results),
        ceiling=results.ceiling if results.virtual else None,
    )
    return picture(
        results,
        drawing,
        "r2 against the size of the tiles held out; the numbers are in the table below.",
        "r2 of pooled held-out predictions against the side of the tiles held out (log scale)"
        + ("; leftmost, single plots held out at random." if results.random else "."),
    )


def _mapped_marker(results: Results) -> dict[str, tuple[float, float, float]]:
    """The mapped model on random folds and on tiles, where the curve does not have it already."""
    mapped, tiles, random = results.mapped, results.spatial, results.random
    if mapped in results.curves or tiles is None or random is None or tiles.unit != "degrees":
        return {}
    r2 = [results.r2(mapped, split) for split in (random, tiles)]
    return {called(mapped): (r2[0], tiles.size, r2[1])} if np.isfinite(r2).all() else {}


def distances(results: Results) -> Picture:
    found = {"map pixel to plot": results.map_distance / 1000}
    for name, of in results.distances.items():
        held_out = of.held_out[np.isfinite(of.held_out)]
        found[f"held-out plot to training: {name}"] = held_out / 1000
    return picture(
        results,
        charts.draw_distances(found),
        "Cumulative distributions of the distance to the nearest plot.",
        "How far the map reaches from its plots, and how far each way of holding plots out does. "
        "A split speaks for the map where its dashed line runs along the solid one.",
    )


def truth_maps(results: Results) -> list[Picture]:
    """Truth, prediction and their difference; virtual runs only."""
    truth, mean = results.truth, results.mean
    limits, frame = _shared_limits(results), frame_of(mean)
    known = np.where(mean.mapped, truth.values, np.nan)
    difference = mean.values - truth.values
    unit = "species"

    def drawn(values: np.ndarray, label: str, **look) -> Figure:
        look = {"limits": limits} | look
        return maps.draw_map(values, frame, label=label, width=THIRD, **look)

    return [
        picture(
            results,
            drawn(known, f"true, {unit}"),
            "Map of the true expected richness.",
            "Truth: the expected number of species in a plot.",
        ),
        picture(
            results,
            drawn(mean.values, f"predicted, {unit}"),
            "Map of the predicted richness.",
            "Prediction, in the same colours.",
        ),
        picture(
            results,
            drawn(
                difference,
                f"predicted − true, {unit}",
                limits=maps.symmetric_limits(difference),
                colours=maps.DIFFERENCE,
            ),
            "Map of the difference between prediction and truth.",
            "Difference. Red: too many species predicted; blue: too few.",
        ),
    ]


def histogram(results: Results) -> Picture:
    richness = results.observed["richness"].to_numpy()
    return picture(
        results,
        charts.draw_histogram(richness, label="observed richness, species a plot"),
        f"Histogram of richness: {richness.min():g} to {richness.max():g} species, median "
        f"{np.median(richness):g}.",
        f"Observed richness of the {len(richness):,} plots.",
    )


def training_curve(results: Results) -> Picture:
    log, section = results.training, results.recipe
    best = log.loc[log["validation_rmse"].idxmin()]
    against, examples = "", "plots"
    if results.is_taught:
        against, examples = " against what its teacher says", "pixels it is taught on"
    return picture(
        results,
        charts.draw_training(
            *(log[name].to_numpy() for name in ("epoch", "train_rmse", "validation_rmse"))
        ),
        f"RMSE by epoch; best at epoch {best['epoch']:.0f} with {best['validation_rmse']:.2f}.",
        f"RMSE by epoch of the network that makes the map{against}. About "
        f"{section.validation_share:.0%} of the {examples}, in whole tiles of "
        f"{section.validation_tile:g}°, are held out to choose the epoch whose weights are kept "
        f"({best['epoch']:.0f} of {len(log)}). The training line is taken while the weights still "
        "change, and with dropout on where there is any, so it may lie above the other.",
    )


def frame_of(band: Band) -> maps.Frame:
    """Where a band's pixels lie, for a map."""
    return maps.Frame(*band.lonlat)


def _unit(results: Results) -> str:
    return f"species ({results.grain})"


def _shared_limits(results: Results) -> tuple[float, float]:
    """Ends of the colour bar that the mean, the truth and the plots share."""
    truth = [results.truth.values[results.mean.mapped]] if results.virtual else []
    return maps.robust_limits(results.mean.values, *truth)
