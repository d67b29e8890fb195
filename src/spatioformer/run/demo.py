"""A complete run over Australia in one command, on rasters from installed packages.

The plots are the user's, or those of a virtual flora. Climate determines the virtual flora, and the
models are given imagery and location only. The true richness of a virtual flora is known at every
pixel, so the report states the map's real errors.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from spatioformer.common.cache import Record
from spatioformer.common.files import hash_file, writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.file import build_config
from spatioformer.run.fingerprint import code_hash
from spatioformer.run.runner import Run
from spatioformer.run.summary import print_summary

AUSTRALIA = (112.0, 154.0, -44.0, -10.0)
PLOTS = 3000
FULL_SCALE = 10000  # the published network expects reflectance x 10000
# The usual models and the published network, which the paper describes.
MODELS = [
    "spatioformer-distilled",
    "spatioformer",
    "spatioformer-published",
    "spatioformer-no-location",
    "random-forest",
    "gaussian-process",
    "location-knn",
]
# MODIS IGBP classes without a prediction, as in the paper's maps.
WATER, CROPLAND, BUILT_UP = 0, 12, 13


def settings(folder: Path, plots: Path | None, full: bool) -> dict[str, Any]:
    """The demo's configuration, before `--set`."""
    virtual = folder / "virtual"
    columns = {"lon": "lon", "lat": "lat", "richness": "richness"}
    if plots is None:
        columns |= {"plot_id": "plot_id", "programme": "programme"}
    raw: dict[str, Any] = {
        "name": "demo",
        "title": "Plant species richness of Australia"
        + (" (a virtual flora)" if plots is None else ""),
        "out": str(folder),
        "plots": {
            "path": str(plots.absolute() if plots else virtual.absolute() / "plots.csv"),
            "columns": columns,
        },
        "imagery": {
            "region": list(AUSTRALIA),
            "layers": [
                {
                    "name": "bluemarble",
                    "path": "pip:blue_marble",
                    "crs": "EPSG:4326",
                    "bounds": [-180, 180, -90, 90],
                    "band_names": ["red", "green", "blue"],
                    "scale": FULL_SCALE / 255,
                }
            ],
            "masks": [
                {
                    "name": "landcover",
                    "path": "pip:land_cover",
                    "crs": "EPSG:4326",
                    "exclude": [WATER, CROPLAND, BUILT_UP],
                    # As in version 0.1, whose figures the documents state; "mode" would exclude
                    # 5,892 pixels more of 155,747, at the edges of these classes.
                    "resampling": "bilinear",
                }
            ],
        },
        # Plots lie all over the land. There, location dropout and jitter cost .04 r2 on 1-degree
        # tiles of another flora (seed 1; docs/log.md, 2026-11-23).
        "model": {"patch": 9 if full else 3, "location_dropout": 0.0, "location_jitter": 0.0},
        "evaluate": {
            "models": MODELS,
            "splits": [
                {"name": "random", "kind": "random", "folds": 3},
                {"name": "tiles", "kind": "tiles", "folds": 3, "size": 1.0},
            ],
            "curve_sizes": [0.5, 1, 2, 4, 8],
        },
        "map": {"samples": 20, "sd_step": 4},
    }
    if plots is None:
        raw["truth"] = {
            "path": str((virtual / "truth.tif").absolute()),
            "noise_path": str((virtual / "noise.tif").absolute()),
        }
    return raw


def run_demo(
    folder: Path,
    *,
    plots: Path | None = None,
    full: bool = False,
    changes: list[str] | tuple[str, ...] = (),
    console: Console = SILENT,
) -> Path:
    """Run the demo, and print its scores unless the console is quiet; returns the run folder.

    Args:
        plots: the user's plot table; None simulates a virtual flora and surveys it.
        full: chips of 9 x 9 pixels, as published; slow.

    Raises:
        SpatioformerError: a mistake that the user can correct.
    """
    config = build_config(settings(Path(folder), plots, full), "the demo", Path.cwd(), changes)
    run = Run(config, console=console)
    with run.log.recording():
        if plots is None:
            run.prepare_evaluation()  # beside the simulation
            run.stage("imagery")
            _survey_virtual_flora(run)
        run.until("report")
        if not console.quiet:
            print_summary(run.folder, log=run.log.write)
    return run.folder


def _survey_virtual_flora(run: Run) -> None:
    """Imagery and climate -> plots.csv, truth.tif, noise.tif in virtual/, unless they are there."""
    folder = run.folder / "virtual"
    record = Record(folder / "made_of.json")
    made_of = {
        "imagery": run.fingerprint("imagery"),
        "seed": run.config.seed,
        "plots": PLOTS,
        "code": code_hash(_simulate),
    }
    outputs = [folder / name for name in ("plots.csv", "truth.tif", "noise.tif")]
    if all(record.matches(output, made_of) for output in outputs):
        run.console.say("flora     unchanged, kept")
        return
    run.console.say("flora     ...")
    for output in outputs:
        record.begin(output, made_of)
    with run.console.task("flora", 3) as advance:
        count, low, high = _simulate(run.folder / "imagery.tif", folder, run.config.seed, advance)
    for output in outputs:
        record.finish(output, {"sha256": hash_file(output)})
    run.console.say(
        f"flora     virtual: {count} species, {low:.0f} to {high:.0f} a plot, {PLOTS} plots"
    )


def _simulate(
    imagery: Path, folder: Path, seed: int, advance: Callable[[int], None]
) -> tuple[int, float, float]:
    from spatioformer.geo.raster.stack import Stack
    from spatioformer.geo.raster.writing import check_written, write_errors
    from spatioformer.geo.virtual.flora import simulate, survey
    from spatioformer.geo.virtual.pip_rasters import annual_climate, greenness

    with Stack(imagery, ["red", "green", "blue"]) as stack:
        grid = stack.grid
        rgb, _, land = stack.read(Window(0, 0, grid.width, grid.height))
    lon, lat = grid.lonlat(*np.mgrid[: grid.height, : grid.width])
    temperature, precipitation = annual_climate(lon, lat)
    advance(1)
    flora = simulate(
        lon, lat, land, temperature, precipitation, greenness(rgb * (255 / FULL_SCALE)), seed=seed
    )
    advance(1)
    table = survey(flora, PLOTS, seed=seed)
    advance(1)
    with writing(folder / "plots.csv") as part:
        columns = ["plot_id", "lon", "lat", "richness", "programme"]
        table[columns].to_csv(part, index=False)
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": 1,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs.to_wkt(),
        "transform": grid.transform,
        "nodata": np.nan,
        "compress": "deflate",
    }
    for name, values, text in (
        ("truth", flora.truth, "virtual flora: expected species in a plot"),
        ("noise", flora.noise_variance, "virtual flora: variance of a plot's count"),
    ):
        path = folder / f"{name}.tif"
        with writing(path) as part, write_errors(path):
            with rasterio.open(part, "w", **profile) as out:
                out.write(values, 1)
                out.set_band_description(1, text)
            check_written(part, path, [int(np.isfinite(values).sum())])
    return len(flora.species), float(np.nanmin(flora.truth)), float(np.nanmax(flora.truth))
