"""Assemble finished tiles into Cloud Optimized GeoTIFFs. Reproducible bytes: no timestamps."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from shutil import disk_usage

import numpy as np

from spatioformer.common.errors import OutputError
from spatioformer.common.files import writing
from spatioformer.common.progress import Console
from spatioformer.common.version import __version__
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.cog import cog, cog_profile
from spatioformer.geo.raster.map_layers import title_of
from spatioformer.geo.raster.qml import CIVIDIS, VIRIDIS, write_style
from spatioformer.geo.raster.writing import check_written
from spatioformer.mapping.journal import Journal
from spatioformer.mapping.options import Output
from spatioformer.mapping.plan import MIB, Plan, shown
from spatioformer.mapping.predictor import Totals
from spatioformer.models.base import Model
from spatioformer.models.target import unit

SCALE = 0.01  # for uint16: values are stored in hundredths, 0 to 655.34
NODATA = 65535
UNITLESS = ("inside", "valid", "di")
# Copies on disk at once: tiles, assembled raster, final map with overviews (4/3). Compression
# hardly reduces float32, so no gain from it is assumed.
COPIES = 2 + 4 / 3


def files_of(out: Path, layers: Sequence[str], output: Output) -> dict[Path, tuple[str, ...]]:
    """Files of a map, and the layers in each."""
    if not output.separate:
        return {out: tuple(layers)}
    return {out.with_name(f"{out.stem}_{name}{out.suffix}"): (name,) for name in layers}


def check_space(out: Path, layers: int, pixels: float, used: int) -> None:
    """Raise if the map will not fit on the disk.

    Args:
        layers: number of float32 layers.
        pixels: estimated number of predicted pixels.
        held: bytes already used by finished tiles.

    Raises:
        OutputError: too little free space; the message states the estimate.
    """
    folder = next(p for p in (out.parent, *out.parent.absolute().parents) if p.is_dir())
    needed, free = pixels * layers * 4 * COPIES - used, disk_usage(folder).free
    if needed + MIB > free:
        raise OutputError(
            f"cannot write {out}: about {shown(needed)} are needed while the map is made and "
            f"{shown(free)} are free; free some space or write elsewhere"
        )


def assemble(
    out: Path, plan: Plan, journal: Journal, model: Model, layers: Sequence[str],
    output: Output, tags: dict[str, str], method: str, level: float | None, console: Console,
) -> Totals:  # fmt: skip
    """Write the map's files from the journal's tiles; all files appear at the end, or none.

    Beside each lies its QGIS style. `level` is the nominal coverage of the intervals.

    Raises:
        OutputError: no space, a folder that cannot be written, or a damaged tile.
    """
    files = files_of(out, layers, output)
    order = np.flatnonzero(journal.done).tolist()
    with ExitStack() as stack:
        for path, names in files.items():
            part = stack.enter_context(writing(path))
            chosen = [list(layers).index(name) for name in names]
            with cog(part, path, profile(plan.grid, len(names), output), output.compress) as raw:
                _describe(raw, names, model, output, tags, method, level)
                totals = Totals()
                for tile in console.track(order, "write"):
                    tile_totals, flat = journal.read(tile)
                    totals.add(tile_totals)
                    if flat is not None:
                        window = plan.window(tile)
                        shape = (len(layers), window.height, window.width)
                        values = flat.reshape(shape)[chosen]
                        raw.write(_encoded(values, names, output), window=window)
            expected = totals.pixels if output.dtype == "float32" else np.prod(plan.grid.shape)
            check_written(part, path, [int(expected)])
    for path, names in files.items():
        write_style(path, VIRIDIS if names[0] == "mean" else CIVIDIS)
    return totals


def _encoded(values: np.ndarray, names: Sequence[str], output: Output) -> np.ndarray:
    """Convert layers (layer, y, x) to the file's data type; `valid` is 0, not nodata, if False."""
    values = values.copy()
    if output.dtype == "float32":
        return values
    for layer, name in zip(values, names, strict=True):
        if name not in ("inside", "valid"):
            layer /= SCALE
    whole = np.clip(np.rint(values), 0, NODATA - 1)
    return np.where(np.isnan(values), NODATA, whole).astype(np.uint16)


def profile(grid: Grid, count: int, output: Output = Output()) -> dict:
    """rasterio profile of the temporary raster in which a map of `count` bands is assembled."""
    return cog_profile(grid, count, output.dtype, np.nan if output.dtype == "float32" else NODATA)


def _describe(
    raw, names, model: Model, output: Output, tags: dict, method: str, level: float | None
) -> None:
    target = model.facts.get("target", "plant species richness")
    for band, name in enumerate(names, start=1):
        raw.set_band_description(band, f"{target}, {title_of(name, level)}")
        if name not in UNITLESS:
            raw.set_band_unit(band, unit(model.facts.get("target_kind")))
        if name == "sd":
            raw.update_tags(band, METHOD=method)
    if output.dtype == "uint16":
        raw.scales = [1.0 if name in ("inside", "valid") else SCALE for name in names]
    if model.facts.get("virtual"):
        raw.update_tags(VIRTUAL=model.facts["virtual"])
    if output.year is not None:
        raw.update_tags(YEAR=str(output.year))
    stated = {
        "SOFTWARE": f"spatioformer {__version__}",
        "MODEL": model.name,
        "GRAIN": model.facts.get("grain", "plot size not stated"),
        "TARGET": target,
    }
    raw.update_tags(**stated | tags)


def summary(totals: Totals, layers: Sequence[str], samples: int, step: int) -> dict:
    """Summary of the map's totals, for map.json; see `map_raster`."""
    has_pixels = totals.pixels > 0
    values = {
        "pixels": totals.pixels,
        "area_km2": totals.area,
        "negative_set_to_0": totals.negative,
        "mean": totals.mean / totals.pixels if has_pixels else None,
        "min": max(0.0, totals.low) if has_pixels else None,
        "max": totals.high if has_pixels else None,
        "mean_sd": totals.sd / totals.pixels if samples and has_pixels else None,
        "samples": samples,
        "sd_step": step,
    }
    if "inside" in layers:
        values["inside_share"] = totals.inside / totals.area if totals.area else None
    return values
