"""The picture of docs/years.md: nine virtual years of the demo's map, with planted trends.

    make demo; python -m benchmarks.trends_picture runs/demo/map.tif docs/images/years_trend.png

Each year is the demo's map of a part of Australia with 2 species (sd) more or less, smooth over the
land, which goes on into the next year (rho 0.3). In two frames the land loses or gains a species a
year as well. So the truth of every trend is known.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

from spatioformer.analysis.trends import red_noise
from spatioformer.analysis.years import map_trend
from spatioformer.common.style import INK, MUTED, NOTHING, png, styled

YEARS = range(2015, 2024)
PART = Window(420, 300, 170, 150)  # column, row, width, height: south-east Australia
FRAMES = {-1.0: (20, 20, 45, 45), 1.0: (80, 60, 45, 45)}
"""Species a year, and where: column, row, width, height."""
SD, RHO, SMOOTH = 2.0, 0.3, 4.0


def write_years(source: Path, folder: Path) -> dict[int, Path]:
    """A map for each year."""
    with rasterio.open(source) as opened:
        mean = opened.read(1, window=PART)
        profile = {
            "driver": "GTiff", "dtype": "float32", "count": 1, "nodata": np.nan, "crs": opened.crs,
            "width": PART.width, "height": PART.height, "transform": opened.window_transform(PART),
        }  # fmt: skip
    shape = len(YEARS), PART.height, PART.width
    noise = red_noise(shape[0], shape[1] * shape[2], RHO, np.random.default_rng(0)).reshape(shape)
    noise = gaussian_filter(noise, (0, SMOOTH, SMOOTH)) * SMOOTH * np.sqrt(4 * np.pi)
    paths = {}
    for number, year in enumerate(YEARS):
        values = mean + SD * noise[number]
        for change, (col, row, width, height) in FRAMES.items():
            values[row : row + height, col : col + width] += change * number
        paths[year] = folder / f"{year}.tif"
        with rasterio.open(paths[year], "w", **profile) as target:
            target.write(values.astype(np.float32), 1)
    return paths


@styled
def draw(trend: Path, found: dict) -> Figure:
    with rasterio.open(trend) as source:
        mean, sd, _, slope, _, significant = source.read(range(1, 7))
        left, bottom, right, top = source.bounds
    limit = float(np.nanquantile(np.abs(slope), 0.995))
    panels = [
        (mean, "mean over years", "species", "viridis", (None, None)),
        (sd, "variability: sd over years", "species", "cividis", (0, np.nanquantile(sd, 0.995))),
        (slope, "Theil-Sen slope", "species a year", "RdBu", (-limit, limit)),
        (np.where(significant == 1, slope, np.nan), "significant slopes", "species a year", "RdBu",
         (-limit, limit)),
    ]  # fmt: skip
    figure = Figure(figsize=(8.6, 7.4), layout="constrained")
    for axes, (values, title, unit, colours, (low, high)) in zip(
        figure.subplots(2, 2, sharex=True, sharey=True).flat, panels, strict=True
    ):
        axes.imshow(
            np.where(np.isnan(mean), np.nan, 0), cmap=_plain(), extent=(left, right, bottom, top)
        )
        image = axes.imshow(
            values, cmap=colours, vmin=low, vmax=high, extent=(left, right, bottom, top)
        )
        figure.colorbar(image, ax=axes, label=unit, shrink=0.8, extend="max" if low == 0 else None)
        axes.set_title(title, fontsize=9)
        axes.set_aspect(1 / np.cos(np.radians((top + bottom) / 2)))
        for col, row, width, height in FRAMES.values():
            size = (right - left) / PART.width
            corner = left + col * size, top - (row + height) * size
            axes.add_patch(
                Rectangle(corner, width * size, height * size, fill=False, ec=INK, lw=1.2)
            )
        axes.xaxis.set_major_formatter("{x:g}°E")
        axes.yaxis.set_major_formatter(lambda y, _: f"{-y:g}°S")
    figure.suptitle(
        "Virtual flora, virtual years 2015-2023: trends planted in the two frames; "
        f"autocorrelation {found['autocorrelation']:.2f} allowed for",
        fontsize=9,
        color=MUTED,
    )
    return figure


def _plain():
    from matplotlib.colors import ListedColormap

    return ListedColormap([NOTHING]).with_extremes(bad="white")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = map_trend(write_years(options.map, folder), folder / "out")
        print(found)
        with rasterio.open(folder / "out" / "trend.tif") as source:
            significant = source.read(6)
        planted = np.zeros(significant.shape, bool)
        for col, row, width, height in FRAMES.values():
            planted[row : row + height, col : col + width] = True
        called, tested = significant == 1, np.isfinite(significant)
        print(
            f"planted pixels found: {called[planted & tested].mean():.3f}; found pixels that are "
            f"not planted: {(called & ~planted).sum() / max(1, called.sum()):.3f}"
        )
        options.picture.write_bytes(png(draw(folder / "out" / "trend.tif", found)))


if __name__ == "__main__":
    main()
