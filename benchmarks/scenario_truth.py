"""Figures and picture of docs/scenarios.md: a scenario of a virtual flora against its truth.

    spatioformer demo; spatioformer run examples/virtual_climate.yaml
    spatioformer project runs/virtual_climate examples/scenarios/two_degrees.yaml \\
        -o runs/two_degrees
    python -m benchmarks.scenario_truth runs/demo runs/two_degrees docs/images/scenarios.png

The species of the virtual flora keep their niches and homes, and the temperature rises by 2 degrees
C. So the true change of the expected richness of a plot is known at every pixel. The counts of two
plots, one today and one in the scenario, are drawn from normal distributions with the true means
and variances.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from PIL import Image
from rasterio.windows import Window
from shapely.geometry import box

from spatioformer.analysis.scenarios import BANDS, region_table
from spatioformer.analysis.zonal import summarise
from spatioformer.common.files import read_json
from spatioformer.evaluation.correlation import ErrorCorrelation
from spatioformer.geo.raster.stack import Stack
from spatioformer.geo.virtual.flora import VirtualFlora, simulate
from spatioformer.geo.virtual.niches import chunks, presence
from spatioformer.geo.virtual.pip_rasters import annual_climate, greenness
from spatioformer.models.uncertainty import Uncertainty
from spatioformer.run.demo import FULL_SCALE

DEGREES = 2.0
SIDES = (2, 5, 10, 42)
"""Sides of square regions, degrees; the last holds the whole map."""
LEAST_PIXELS = 50
COLOURS = 256  # of the picture, which is then a third as large


def flora_of(demo: Path, seed: int) -> VirtualFlora:
    """The flora of the demo, as `run.demo` simulates it."""
    with Stack(demo / "imagery.tif", ["red", "green", "blue"]) as stack:
        grid = stack.grid
        rgb, _, land = stack.read(Window(0, 0, grid.width, grid.height))
    lon, lat = grid.lonlat(*np.mgrid[: grid.height, : grid.width])
    climate = annual_climate(lon, lat)
    return simulate(lon, lat, land, *climate, greenness(rgb * (255 / FULL_SCALE)), seed=seed)


def warmed(flora: VirtualFlora, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Expected richness and variance of a count [y, x] where all land is warmer; NaN off land."""
    places = flora.environment[flora.land]
    places = replace(places, temperature=places.temperature + degrees)
    mean, variance = np.empty(len(places.lon)), np.empty(len(places.lon))
    for part in chunks(len(mean)):
        p = presence(places[part], flora.species, flora.provinces)
        mean[part], variance[part] = p.sum(axis=1), (p * (1 - p)).sum(axis=1)
    fields = np.full((2, *flora.land.shape), np.nan)
    fields[:, flora.land] = mean, variance
    return fields[0], fields[1]


def figures(flora: VirtualFlora, change: Path) -> None:
    """Print how the projected difference compares with the true one."""
    with rasterio.open(change) as source:
        bands = dict(zip(BANDS, source.read().astype(float), strict=True))
    later, later_variance = warmed(flora, DEGREES)
    true = later - flora.truth
    rng = np.random.default_rng(0)
    sd = np.sqrt(flora.noise_variance + later_variance)
    counts = true + sd * rng.standard_normal(true.shape)
    mapped = np.isfinite(bands["change"]) & np.isfinite(true)
    print(
        "| pixels | share | true mean | projected | r | r2 | RMSE | covers counts | covers mean |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    outside = bands["outside"] > 0.5
    for name, rows in (
        ("all", mapped),
        ("inside", mapped & ~outside),
        ("outside", mapped & outside),
    ):
        a, b = true[rows], bands["change"][rows]
        low, high = bands["lower"][rows], bands["upper"][rows]
        covered = [((v >= low) & (v <= high)).mean() for v in (counts[rows], a)]
        error = b - a
        r2 = 1 - (error**2).sum() / ((a - a.mean()) ** 2).sum()
        print(
            f"| {name} | {rows.sum() / mapped.sum():.3f} | {a.mean():.2f} | {b.mean():.2f} | "
            f"{np.corrcoef(a, b)[0, 1]:.2f} | {r2:.2f} | "
            f"{np.sqrt((error**2).mean()):.2f} | {covered[0]:.3f} | {covered[1]:.3f} |"
        )
    certain = mapped & (bands["rise"] + bands["fall"] > 0)
    right = np.sign(true) == np.sign(bands["change"])
    print(f"larger than the interval: {certain.sum() / mapped.sum():.4f} of the pixels")
    print(f"right sign of the difference: {right[mapped].mean():.3f} of the pixels")


def regions(flora: VirtualFlora, change: Path, model: Path) -> None:
    """Print how often the intervals of means of regions cover the true mean difference."""
    true = warmed(flora, DEGREES)[0] - flora.truth
    with tempfile.TemporaryDirectory() as folder, rasterio.open(change) as source:
        profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "nodata": np.nan}
        place = {k: source.profile[k] for k in ("crs", "transform", "width", "height")}
        mapped = np.isfinite(source.read(1))
        path = Path(folder) / "true.tif"
        with rasterio.open(path, "w", **profile, **place) as target:
            target.write(np.where(mapped, true, np.nan).astype(np.float32), 1)
        left, bottom, right, top = source.bounds
        correlation = ErrorCorrelation(**Uncertainty.load(model).facts["correlation"])
        print("| side, degrees | regions | mean error | lower, upper | lower_local, upper_local |")
        print("|---|---|---|---|---|")
        for side in SIDES:
            corners = [(x, y) for x in np.arange(left, right, side)
                       for y in np.arange(bottom, top, side)]  # fmt: skip
            shapes = [box(x, y, x + side, y + side) for x, y in corners]
            zones = Path(folder) / f"{side}.gpkg"
            gpd.GeoDataFrame(geometry=shapes, crs=4326).to_file(zones)
            table = region_table(change, zones, correlation)
            truth = summarise(path, zones)["mean"]
            rows = table["pixels"] >= LEAST_PIXELS
            covered = [
                ((truth >= table[f"lower{end}"]) & (truth <= table[f"upper{end}"]))[rows].mean()
                for end in ("", "_local")
            ]
            error = (table["difference"] - truth)[rows].abs().mean()
            print(f"| {side} | {rows.sum()} | {error:.2f} | {covered[0]:.2f} | {covered[1]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    flora, change = flora_of(arguments.demo, arguments.seed), arguments.scenario / "change.tif"
    figures(flora, change)
    regions(flora, change, Path(read_json(arguments.scenario / "project.json")["model"]))
    if arguments.picture:
        with Image.open(arguments.scenario / "change.png") as picture:
            picture.convert("RGB").quantize(COLOURS, kmeans=2).save(
                arguments.picture, optimize=True
            )


if __name__ == "__main__":
    main()
