"""Charts of the page: a drawing of the results with alternative text and caption."""

import numpy as np
import pandas as pd

from spatioformer.common.drawing import Layouts
from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.evaluation.sizes import KM_BELOW
from spatioformer.models.parts import QUICK_FORMS, QUICK_TREES
from spatioformer.models.target import PROPORTION
from spatioformer.report import charts
from spatioformer.report.findings import amount, decimal, score, start, title
from spatioformer.report.picture import ZOOM, Picture, picture
from spatioformer.report.results import Results

OBSERVED = "observed richness, species a plot"
LARGE = 2
"""Scatterplots at full size: those of the mapped model and its best rival."""


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
        made = "map" if results.has_imagery else "predictions"
        role = f", which makes the {made}" if model == results.mapped else ""
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


def histogram(results: Results) -> Picture:
    richness = results.observed["richness"].to_numpy()
    values = "values" if results.unit == PROPORTION else "richness"
    return picture(
        results,
        "histogram",
        charts.draw_histogram(
            richness,
            label=("observed, proportion" if results.unit == PROPORTION else OBSERVED),
            is_whole=results.unit != PROPORTION,
        ),
        f"Histogram of {values}: {richness.min():g} to {richness.max():g} {results.unit}, median "
        f"{np.median(richness):g}.",
        f"Observed {values} of the {len(richness):,} plots.",
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
