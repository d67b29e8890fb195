"""Figures of docs/evaluation_measured.md, from real data.

    SPATIOFORMER_DATA=... python -m benchmarks.evaluation_figures [FIGURE ...]

Writes docs/images/evaluation_*.png; without names, all of them.
"""

import itertools
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import rasterio
from benchmarks.evaluation_coverage import ausplots, held_out
from benchmarks.evaluation_scale import DATA, land_points, south_america
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import cross_val_predict

from spatioformer.evaluation import (
    KNNDM,
    AreaOfApplicability,
    BufferedKFold,
    Conformal,
    ExpectedError,
    LeaveRegionOut,
    RandomKFold,
    SpatialBlockKFold,
    calibration_curve,
    interval_scores_by,
    quantile_bins,
    scores,
)

IMAGES = Path(__file__).parents[1] / "docs" / "images"
AUSTRALIA = (112, 154, -44, -10)
RED, BLUE, GREY = "#b5452c", "#1f5f8b", "0.55"
mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "axes.titlelocation": "left",
        "legend.frameon": False,
    }
)


def forest() -> RandomForestRegressor:
    return RandomForestRegressor(100, min_samples_leaf=5, max_features=1 / 3, random_state=0)


def australian_splitters() -> dict[str, object]:
    target = land_points(2000, AUSTRALIA, 0)
    return {
        "random": RandomKFold(5),
        "tiles of 2 degrees": SpatialBlockKFold(5, size=2.0),
        "kNNDM": KNNDM(5, prediction_points=target),
        "leave region out": LeaveRegionOut(5),
        "tiles, buffer of 100 km": BufferedKFold(SpatialBlockKFold(5, size=2.0), distance=100),
    }


def folds() -> Figure:
    """Where the folds lie, and what the same forest scores with each, on AusPlots."""
    lonlat, X, y = ausplots(np.random.default_rng(0))
    named = list(australian_splitters().items())[:4]
    figure = Figure((9, 2.4), layout="constrained")
    for ax, (name, splitter) in zip(figure.subplots(1, 4, sharey=True), named, strict=True):
        predicted = cross_val_predict(forest(), X, y, cv=[*splitter.split(lonlat)])
        land = land_points(3000, AUSTRALIA, 1)
        ax.scatter(*land.T, s=3, color="0.93", linewidths=0)
        ax.scatter(*lonlat.T, s=7, c=splitter.assign(lonlat), cmap="Set1", vmax=8, linewidths=0)
        ax.set_title(f"{name}\nr2 = {scores(y, predicted)['r2']:.2f}")
        ax.set_aspect(1 / np.cos(np.radians(26)))
        ax.set(xlim=AUSTRALIA[:2], ylim=AUSTRALIA[2:])
        ax.set_axis_off()
    return figure


def distances() -> Figure:
    """The three distance distributions of three kinds of folds on AusPlots."""
    lonlat = ausplots(np.random.default_rng(0))[0]
    target = land_points(2000, AUSTRALIA, 0)
    figure = Figure((9, 2.8), layout="constrained")
    named = list(australian_splitters().items())[:3]
    for ax, (name, splitter) in zip(figure.subplots(1, 3, sharey=True), named, strict=True):
        splitter.distances(lonlat, target).plot(ax)
        ax.set_title(f"{name}, {ax.get_title(loc='left')}")
        ax.set_xlim(0, 900)
        if name != "random":
            ax.get_legend().remove()
    return figure


def applicability() -> Figure:
    """Dissimilarity, area and density over Chile; error against dissimilarity."""
    plots, cells = south_america()
    table = pd.read_csv(DATA / "south_america" / "plots.csv")
    lonlat, y = table[["lon", "lat"]].to_numpy(), table["Species_richness"].to_numpy(float)
    splitter = KNNDM(5, prediction_points=land_points(2000, (-75.7, -67, -55.6, -17.5), 0))
    fold = splitter.assign(lonlat)
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(5)]
    predicted = cross_val_predict(forest(), plots, y, cv=pairs)
    weights = forest().fit(plots, y).feature_importances_
    area = AreaOfApplicability(weights).fit(plots, fold)
    error = ExpectedError().fit(area.training_di_, y, predicted)
    di = area.di(cells)
    with rasterio.open(DATA / "south_america" / "predictors_chile.tif") as raster:
        valid = ~raster.read(masked=True).mask.any(axis=0)
        left, bottom, right, top = raster.bounds
    figure = Figure((9, 4), layout="constrained")
    axes = figure.subplots(1, 5, width_ratios=[1, 1, 1, 1, 4])
    inside = di <= area.threshold_
    maps = {
        "DI": (di, "viridis", np.quantile(di, 0.98)),
        "inside": (inside, "Blues", 1.3),
        "LPD": (area.lpd(cells), "magma", None),
        "RMSE": (np.where(inside, error.predict(di), np.nan), "viridis", None),
    }
    for ax, (name, (values, colours, most)) in zip(axes[:4], maps.items(), strict=True):
        picture = np.full(valid.shape, np.nan)
        picture[valid] = values
        extent = (left, right, bottom, top)
        image = ax.imshow(picture, cmap=colours, vmin=0, vmax=most, extent=extent, aspect=1.3)
        ax.set_title(name)
        ax.set_axis_off()
        if name != "inside":
            figure.colorbar(image, ax=ax, shrink=0.6, aspect=30, fraction=0.1)
    ax = axes[4]
    ax.plot(error.window_di_, error.window_rmse_, color=GREY, linewidth=0.8, label="50 plots")
    grid = np.linspace(0, error.window_di_.max(), 300)
    ax.plot(grid, error.predict(grid), color=RED, label="monotone fit")
    ax.axvline(area.threshold_, color=BLUE, linestyle="--", label="threshold")
    ax.set(xlabel="dissimilarity index", ylabel="RMSE (species)")
    ax.set_title(f"{inside.mean():.0%} of the cells lie inside")
    ax.legend()
    return figure


def intervals() -> Figure:
    """Calibration by random and by matched folds, and coverage by dissimilarity, on AusPlots."""
    lonlat, X, y = ausplots(np.random.default_rng(0))
    target = land_points(2000, AUSTRALIA, 0)
    fold = KNNDM(5, prediction_points=target).assign(lonlat)
    levels = np.arange(0.1, 1, 0.1).round(1)
    kinds = {"calibrated on random folds": (RED, None), "on kNNDM folds": (BLUE, fold)}
    figure = Figure((9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    di = AreaOfApplicability().fit(X, fold).training_di_
    bins, edges = quantile_bins(di, 5)
    for shift, (name, (colour, inner)) in zip((-0.15, 0.15), kinds.items(), strict=True):
        bounds = {level: np.empty((len(y), 2)) for level in levels}
        for number in range(5):
            test, rest = fold == number, fold != number
            folds = RandomKFold(5).assign(lonlat[rest]) if inner is None else inner[rest]
            calibration = held_out(X[rest], y[rest], folds, 0)[:, 0]
            new = forest().fit(X[rest], y[rest]).predict(X[test])
            for level in levels:
                kind = Conformal(level).calibrate(y[rest], calibration)
                bounds[level][test] = kind.interval(new)
        curve = calibration_curve(y, bounds)
        left.plot(curve["level"], curve["coverage"], "o-", ms=4, color=colour, label=name)
        rows = interval_scores_by(bins, y, bounds[0.9], 0.9)
        coverage = [rows[label]["coverage"] for label in rows]
        right.bar(np.array(list(rows)) + shift, coverage, 0.3, color=colour)
    left.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    left.set(xlabel="coverage meant", ylabel="coverage of held-out plots")
    left.legend()
    right.axhline(0.9, color=GREY, linewidth=0.8)
    right.set_xticks(range(5), [f"{a:.2g}-{b:.2g}" for a, b in itertools.pairwise(edges)])
    right.set(xlabel="dissimilarity index of the plot", ylabel="coverage of 90 % intervals")
    return figure


FIGURES = [folds, distances, applicability, intervals]


def main() -> None:
    names = sys.argv[1:] or [figure.__name__ for figure in FIGURES]
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in names:
        figure = globals()[name]()
        path = IMAGES / f"evaluation_{name}.png"
        figure.savefig(path, dpi=110, pil_kwargs={"optimize": True})
        print(path.relative_to(IMAGES.parents[1]), f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    with warnings.catch_warnings(action="default"):
        main()
