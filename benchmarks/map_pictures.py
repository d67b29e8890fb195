"""Pictures of docs/mapping.md and docs/zonal.md from a finished run.

python -m benchmarks.map_pictures RUN docs/images [--centre 133 -24]
"""

import argparse
from pathlib import Path

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from shapely.geometry import Point

from spatioformer.analysis.zonal import correlation_of, summarise
from spatioformer.common.style import ACCENT, INK, MUTED, NOTHING, SERIES, styled
from spatioformer.report.bands import read_band

MEAN, LOWER, UPPER, DI, INSIDE = 1, 3, 4, 5, 6
"""Bands of map.tif; 2 is the spread."""

RADII = np.geomspace(10, 700, 12)
SHOWN = (3, 7, 11)  # of the discs, on the map


def show(axes: Axes, run: Path, values: np.ndarray, label: str, cmap: str = "viridis") -> None:
    lon, lat = read_band(run / "map.tif", MEAN).lonlat
    extent = (lon[0, 0], lon[0, -1], lat[-1, 0], lat[0, 0])
    low, high = np.nanpercentile(values, [1, 99])
    image = axes.imshow(values, cmap=cmap, vmin=low, vmax=high, extent=extent)
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.85, extend="both")
    axes.set(facecolor=NOTHING)


@styled
def layers(run: Path) -> Figure:
    """Mean, width of the interval, dissimilarity, area of applicability."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    band = {number: read_band(run / "map.tif", number).values for number in range(1, 7)}
    show(axes[0, 0], run, band[MEAN], "mean, species")
    show(axes[0, 1], run, band[UPPER] - band[LOWER], "width of the interval, species", "cividis")
    show(axes[1, 0], run, band[DI], "dissimilarity index", "cividis")
    lon, lat = read_band(run / "map.tif", MEAN).lonlat
    extent = (lon[0, 0], lon[0, -1], lat[-1, 0], lat[0, 0])
    two = ListedColormap([SERIES[1], ACCENT])
    axes[1, 1].imshow(band[INSIDE], cmap=two, vmin=0, vmax=1, extent=extent)
    axes[1, 1].set(facecolor=NOTHING)
    keys = [
        Patch(color=ACCENT, label="inside the area"),
        Patch(color=SERIES[1], label="outside"),
        Patch(facecolor=NOTHING, edgecolor=MUTED, label="no prediction"),
    ]
    above = {"loc": "upper center", "bbox_to_anchor": (0.5, 1.14)}
    axes[1, 1].legend(handles=keys, ncols=3, fontsize=7, **above)
    for one in axes[1]:
        one.set_xlabel("longitude, degrees")
    for one in axes[:, 0]:
        one.set_ylabel("latitude, degrees")
    return figure


@styled
def discs(run: Path, centre: tuple[float, float]) -> Figure:
    """Half-width of the mean of discs around a place, by their radius."""
    map_ = run / "map.tif"
    place = gpd.GeoSeries([Point(centre)], crs="EPSG:4326").to_crs("EPSG:3577")[0]
    rings = gpd.GeoDataFrame(geometry=[place.buffer(1000 * r) for r in RADII], crs="EPSG:3577")
    known = correlation_of(map_)
    found = summarise(map_, rings, known)
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
    show(left, run, read_band(map_, MEAN).values, "mean, species")
    rings.geometry.to_crs("EPSG:4326")[list(SHOWN)].boundary.plot(ax=left, color="white", lw=1.2)
    left.set(xlabel="longitude, degrees", ylabel="latitude, degrees")
    columns = (
        ("half_width_counts", "mean of one count a pixel", "s", SERIES[1], "--"),
        ("half_width", "mean of expected richness", "o", ACCENT, "-"),
        ("half_width_naive", "pixels taken as independent", "^", MUTED, ":"),
    )
    for column, label, marker, colour, line in columns:
        right.loglog(RADII, found[column], marker, ls=line, color=colour, label=label, ms=4)
    right.set(xlabel="radius, km", ylabel="half-width of the 90 % interval, species")
    right.legend(loc="lower left")
    right.set_title(
        f"range {known.range_km:.0f} km, plots' own share {known.nugget_share:.1f}",
        fontsize=8, color=INK,
    )  # fmt: skip
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--centre", type=float, nargs=2, default=(133.0, -24.0))
    options = parser.parse_args()
    layers(options.run).savefig(options.out / "mapping_layers.png", dpi=90)
    discs(options.run, tuple(options.centre)).savefig(options.out / "zonal_discs.png", dpi=90)


if __name__ == "__main__":
    main()
