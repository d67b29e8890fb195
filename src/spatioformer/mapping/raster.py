"""Finished tiles -> Cloud Optimized GeoTIFFs, in one order, with nothing of the clock in them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import disk_usage

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.io import DatasetWriter

from spatioformer import __version__
from spatioformer.common.errors import OutputError
from spatioformer.common.files import writing
from spatioformer.common.progress import Console
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.map_layers import TITLES
from spatioformer.geo.raster.stack import check_written, write_errors
from spatioformer.mapping.journal import Journal
from spatioformer.mapping.options import Output
from spatioformer.mapping.plan import MIB, Plan, shown
from spatioformer.mapping.predictor import Totals
from spatioformer.models.base import Model

BLOCK = 256
SCALE = 0.01  # of uint16: hundredths, 0 to 655.34
NODATA = 65535
UNITLESS = ("inside", "valid", "di")
# The tiles, the raster they are assembled in, the map with its overviews; deflate keeps most of a
# float's last bits, so no gain is counted on.
COPIES = 2 + 4 / 3


def files_of(out: Path, layers: Sequence[str], output: Output) -> dict[Path, tuple[str, ...]]:
    """The files of a map and the layers in each."""
    if not output.separate:
        return {out: tuple(layers)}
    return {out.with_name(f"{out.stem}_{name}{out.suffix}"): (name,) for name in layers}


def check_space(out: Path, layers: int, pixels: float, held: int) -> None:
    """Refuse a map that will not fit on the disk.

    Args:
        pixels: estimate of the pixels with a prediction.
        held: bytes that finished tiles take already.

    Raises:
        OutputError: too little space, with the estimate.
    """
    folder = next(p for p in (out.parent, *out.parent.absolute().parents) if p.is_dir())
    needed, free = pixels * layers * 4 * COPIES - held, disk_usage(folder).free
    if needed + MIB > free:
        raise OutputError(
            f"cannot write {out}: about {shown(needed)} are needed while the map is made and "
            f"{shown(free)} are free; free some space or write elsewhere"
        )


def assemble(
    out: Path, plan: Plan, journal: Journal, bundle: Model, layers: Sequence[str],
    output: Output, facts: dict[str, str], method: str, console: Console,
) -> Totals:  # fmt: skip
    """Write the map's files from the journal's tiles; all appear at the end, or none.

    Raises:
        OutputError: no space, an unwritable place, or a damaged tile.
    """
    files = files_of(out, layers, output)
    order = np.nonzero(journal.done)[0]
    with ExitStack() as stack:
        for path, names in files.items():
            part = stack.enter_context(writing(path))
            chosen = [list(layers).index(name) for name in names]
            with cog(part, path, profile(plan.grid, len(names), output), output) as raw:
                _describe(raw, names, bundle, output, facts, method)
                totals = Totals()
                for tile in console.track(order, "write"):
                    numbers, flat = journal.read(tile)
                    totals.add(numbers)
                    if flat is not None:
                        window = plan.window(tile)
                        shape = (len(layers), window.height, window.width)
                        values = flat.reshape(shape)[chosen]
                        raw.write(_encoded(values, names, output), window=window)
            expected = totals.pixels if output.dtype == "float32" else np.prod(plan.grid.shape)
            check_written(part, path, [int(expected)])
    return totals


def _encoded(values: np.ndarray, names: Sequence[str], output: Output) -> np.ndarray:
    """Layers (layer, y, x) as the file keeps them; `valid` is 0, not nodata, where it is False."""
    values = values.copy()
    if output.dtype == "float32":
        return values
    for layer, name in zip(values, names, strict=True):
        if name not in ("inside", "valid"):
            layer /= SCALE
    whole = np.clip(np.rint(values), 0, NODATA - 1)
    return np.where(np.isnan(values), NODATA, whole).astype(np.uint16)


def profile(grid: Grid, count: int, output: Output = Output()) -> dict:
    """Of the raster that a map is assembled in."""
    return {
        "driver": "GTiff",
        "dtype": output.dtype,
        "count": count,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs.to_wkt(),
        "transform": grid.transform,
        "nodata": np.nan if output.dtype == "float32" else NODATA,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "zlevel": 1,
        "sparse_ok": True,
        "bigtiff": "if_safer",
    }


def _describe(raw, names, bundle: Model, output: Output, facts: dict, method: str) -> None:
    target = bundle.facts.get("target", "plant species richness")
    for band, name in enumerate(names, start=1):
        raw.set_band_description(band, f"{target}, {TITLES[name]}")
        if name not in UNITLESS:
            raw.set_band_unit(band, "species")
        if name == "sd":
            raw.update_tags(band, METHOD=method)
    if output.dtype == "uint16":
        raw.scales = [1.0 if name in ("inside", "valid") else SCALE for name in names]
    if bundle.facts.get("virtual"):
        raw.update_tags(VIRTUAL=bundle.facts["virtual"])
    if output.year is not None:
        raw.update_tags(YEAR=str(output.year))
    raw.update_tags(
        SOFTWARE=f"spatioformer {__version__}",
        MODEL=bundle.name,
        GRAIN=bundle.facts.get("grain", "plot size not stated"),
        TARGET=target,
        **facts,
    )


@contextmanager
def cog(part: Path, out: Path, profile: dict, output: Output = Output()) -> Iterator[DatasetWriter]:
    """Yield a raster to fill; at the end it becomes the Cloud Optimized GeoTIFF `part`.

    Args:
        part: the file to write, as `files.writing` gives it; `out` is what messages call it.
        profile: of the raster to fill, as `profile` makes it.

    Raises:
        OutputError: no space, or an unwritable place.
    """
    base = part.with_name(f"{part.stem}.tiles.tif")
    base.unlink(missing_ok=True)
    try:
        with write_errors(out), rasterio.open(base, "w+", **profile) as raw:
            yield raw
        with write_errors(out):
            _to_cog(base, part, output)
    finally:
        base.unlink(missing_ok=True)


def _to_cog(base: Path, out: Path, output: Output) -> None:
    """Copy into a Cloud Optimized GeoTIFF; an overview's pixel is the mean of the valid below."""
    rasterio.shutil.copy(
        base,
        out,
        driver="COG",
        compress=output.compress.upper(),
        predictor="FLOATING_POINT" if output.dtype == "float32" else "STANDARD",
        blocksize=BLOCK,
        overview_resampling="AVERAGE",
        overviews="IGNORE_EXISTING",
        sparse_ok=True,
        bigtiff="if_safer",
    )


def summary(totals: Totals, layers: Sequence[str], samples: int, step: int) -> dict:
    """The map's totals as they go into map.json."""
    some = totals.pixels > 0
    found = {
        "pixels": totals.pixels,
        "negative_set_to_0": totals.negative,
        "mean": totals.mean / totals.pixels if some else None,
        "min": max(0.0, totals.low) if some else None,
        "max": totals.high if some else None,
        "mean_sd": totals.sd / totals.pixels if samples and some else None,
        "samples": samples,
        "sd_step": step,
    }
    if "inside" in layers:
        found["inside_share"] = totals.inside / totals.pixels if some else None
    return found
