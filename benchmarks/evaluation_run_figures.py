"""Pictures of docs/survey.md and docs/evaluation.md from a finished run.

    python -m benchmarks.evaluation_run_figures RUN docs/images

Wants `spatioformer run` and `spatioformer drivers` done in RUN. Sites lie in the countries of the
plots, as of `spatioformer survey RUN --outline auto`.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spatioformer.analysis.survey import propose, survey_outline
from spatioformer.common.files import read_json
from spatioformer.report.bands import read_band

SITES = 50
DI = 5
"""Band of map.tif with the dissimilarity index: after mean, sd, lower and upper."""


def draw_sites(run: Path, sites: pd.DataFrame, axes: Axes) -> None:
    """Plots and proposed sites over the dissimilarity index."""
    di = read_band(run / "map.tif", DI)
    lon, lat = di.lonlat
    extent = (lon[0, 0], lon[0, -1], lat[-1, 0], lat[0, 0])
    high = np.nanpercentile(di.values, 99)
    image = axes.imshow(di.values, cmap="cividis", vmin=0, vmax=high, extent=extent)
    axes.figure.colorbar(image, ax=axes, label="dissimilarity index", extend="max", shrink=0.8)
    plots = pd.read_parquet(run / "evaluation" / "intervals.parquet")
    axes.plot(plots["lon"], plots["lat"], ".", color="white", markersize=2.5, label="plots")
    axes.scatter(
        sites["lon"], sites["lat"], s=26, marker="^", color="#d55e00", edgecolor="white",
        linewidth=0.6, label=f"{SITES} proposed sites",
    )  # fmt: skip
    axes.set(xlabel="longitude, degrees", ylabel="latitude, degrees", facecolor="#dcdfdf")
    axes.legend(loc="lower left", fontsize=8, facecolor="#6b7478", labelcolor="white")


def draw_gain(sites: pd.DataFrame, axes: Axes) -> None:
    gains = [0, *(100 * sites["total_gain"])]
    axes.plot(range(SITES + 1), gains, color="#1f6f5c", linewidth=2)
    axes.set(xlabel="sites surveyed", ylabel="dissimilarity removed, %", ylim=(0, 100))


def draw_importance(found: dict, axes: Axes) -> None:
    rows = found["importance"]
    values = {name: [row[name] for row in rows] for name in ("group", "rise", "sd")}
    axes.barh(values["group"], values["rise"], xerr=values["sd"], color="#1f6f5c", ecolor="#6b7478")
    axes.axvline(0, color="#22282b", linewidth=0.7)
    axes.invert_yaxis()
    axes.set(xlabel="rise of the held-out RMSE, species")


def draw_sensitivity(found: dict, axes: Axes) -> None:
    curve = found["sensitivity"]
    axes.semilogx(curve["km"], curve["change"], "o-", color="#1f6f5c")
    axes.set(xlabel="place moved by, km", ylabel="change, species")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    sites = propose(options.run, SITES, outline=survey_outline(options.run, "auto"))
    draw_sites(options.run, sites, left)
    draw_gain(sites, right)
    figure.savefig(options.out / "survey_sites.png", dpi=90)
    found = read_json(options.run / "drivers.json")
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_importance(found, left)
    draw_sensitivity(found, right)
    figure.savefig(options.out / "evaluation_drivers.png", dpi=90)


if __name__ == "__main__":
    main()
