"""Wall-to-wall prediction: imagery of any size, tile by tile, to Cloud Optimized GeoTIFFs.

`plan.py` cuts the raster into tiles that fit the memory. `engine.py` (this machine) or `cluster.py`
(dask.distributed) sends them through `predictor.py`. `journal.py` stores each finished tile, so
that a killed run can resume. `raster.py` assembles the map.
"""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from spatioformer.common.errors import ModelError, OutputError
from spatioformer.common.files import hash_file, hash_value
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.related import related_files
from spatioformer.common.version import __version__
from spatioformer.geo.raster.zarr_copy import check_zarr, write_zarr
from spatioformer.mapping import raster
from spatioformer.mapping.checks import compare_extent, compare_scale
from spatioformer.mapping.engine import compute_here
from spatioformer.mapping.journal import Journal, locked, tiles_folder, unfinished
from spatioformer.mapping.options import Output, Resources
from spatioformer.mapping.plan import make_plan
from spatioformer.mapping.predictor import Predictor, identity, open_predictor, weights_hash
from spatioformer.mapping.regrid import open_source
from spatioformer.mapping.source import Source
from spatioformer.mapping.stac import write_catalogue
from spatioformer.models.base import Model

__all__ = ["Output", "Resources", "map_raster"]


def map_raster(
    model: Model | str | Path,
    imagery: str | Path,
    out: str | Path,
    *,
    samples: int = 20,
    sd_step: int = 1,
    seed: int = 0,
    outline: str | Path | None = None,
    grid: str | Path | None = None,
    output: Output = Output(),
    resources: Resources = Resources(),
    overwrite: bool = False,
    tags: dict[str, str] | None = None,
    console: Console = SILENT,
) -> dict:
    """Predict every pixel of a raster and write the map.

    Layers are float32 in species. They are NaN where there is no prediction: outside the imagery's
    mask, outside the outline, or at pixels whose chip holds nodata that the model cannot handle.
    Negative means are set to 0 and counted. A killed run leaves its finished tiles in OUT.tiles;
    the same call resumes from them and writes the same bytes as an uninterrupted run.

    Args:
        model: a model or its folder.
        imagery: raster whose band descriptions name the model's bands.
        out: path of the map (GeoTIFF).
        samples: Monte Carlo dropout passes; 0, or at least 2.
        sd_step: block side k, pixels: the spread is computed at one pixel of each k x k block and
            used for the whole block. It is the predicted pixel nearest the block's centre.
        seed: random seed of the dropout passes.
        outline: vector file of polygons; pixels outside them are not predicted.
        grid: raster whose grid the map has; the imagery is resampled to it. None keeps the grid of
            the imagery.
        output: layers and file format.
        resources: memory, workers, cluster and shard.
        overwrite: replace an existing map, and delete tiles of another model or imagery.
        tags: additional GeoTIFF tags, or others in place of the model's.

    Returns:
        Summary for map.json: pixels predicted and their area, mean, minimum, maximum, mean spread,
        number of negative predictions set to 0, share of the area inside the area of applicability.
        For a shard: {"tiles": number of tiles computed by this call}.

    Raises:
        ImageryError: the raster cannot be read, lacks a band of the model, or has no valid CRS.
        ModelError: the folder is not a model folder, or the model cannot produce a requested layer.
        OutputError: the map exists already, cannot be written, or does not fit memory or disk.
    """
    out = Path(out)
    if output.zarr:
        check_zarr()
    predictor = open_predictor(model, output.layers, samples, sd_step, seed)
    _check_place(out, imagery, predictor.layers, output, overwrite)
    bands = predictor.model.bands
    with open_source(imagery, bands, outline, grid) as source, locked(out, resources.shard):
        if source.remark:
            console.say(f"  note: {source.remark}")
        if not predictor.model.is_dense:  # a dense network accepts any size
            source.check_size(predictor.model.patch)
        job = _Job(out, source, predictor, output, resources, model, outline, grid)
        with contextlib.ExitStack() as stack:
            stack.callback(job.tidy)
            job.prepare(overwrite, console)
            stack.enter_context(rasterio.Env(GDAL_CACHEMAX=job.budget.cache))
            return job.run(tags or {}, console)


def _check_place(out: Path, imagery, layers, output: Output, overwrite: bool) -> None:
    for path in raster.files_of(out, layers, output):
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder; remove it or name a file")
        if path.exists() and Path(imagery).exists() and path.samefile(imagery):
            raise OutputError(f"cannot write {path}: it is the imagery itself; name another file")
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists; give --force to replace it, or name another file")


def task_of(
    predictor: Predictor,
    source: Source,
    model: Model | str | Path,
    outline: str | Path | None,
) -> dict[str, Any]:
    """Everything that determines a map's values, as a JSON object."""
    grid = source.grid
    return {
        "version": __version__,
        "model": identity(model),
        "imagery": [
            part
            for path in (source.path, *related_files(source.path))
            for part in (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        ],
        "grid": hash_value([grid.crs.to_wkt(), list(grid.transform), grid.shape]),
        "layers": list(predictor.layers),
        "samples": [predictor.samples, predictor.step, predictor.seed],
        "outline": hash_file(outline) if outline else None,
    }


@dataclass
class _Job:
    """State of one map run: its inputs, options, plan and journal."""

    out: Path
    source: Source
    predictor: Predictor
    output: Output
    resources: Resources
    model: Model | str | Path
    outline: str | Path | None
    template: str | Path | None

    def prepare(self, overwrite: bool, console: Console) -> None:
        """Plan the tiles, resume an unfinished run, and compare the imagery with training."""
        resources, layers = self.resources, self.predictor.layers
        task = task_of(self.predictor, self.source, self.model, self.outline)
        old = unfinished(self.out)
        if old is not None and old.get("asked") != task:
            if not overwrite:
                raise OutputError(
                    f"{tiles_folder(self.out)} holds the unfinished map of another model, raster "
                    "or choice of layers; repeat that command to finish it, or give --force "
                    "to begin anew"
                )
            shutil.rmtree(tiles_folder(self.out))
            old = None
        self.plan, self.budget = make_plan(
            self.source, self.predictor.model.halo, len(layers), self.predictor.unit,
            resources.memory, resources.threads, fixed=old["tile"] if old else None,
        )  # fmt: skip
        pixels, share = self.source.probe()
        compare_scale(self.predictor.model, pixels, console)
        compare_extent(self.predictor.model, self.source.grid.region, console)
        self._share = share
        self._signature = {"asked": task, "tile": [self.plan.rows, self.plan.cols]}

    def run(self, tags: dict[str, str], console: Console) -> dict:
        shard = self.resources.shard
        writer = "{}-of-{}".format(*(shard or (1, 1)))
        with Journal(self.out, self._signature, self.plan.count, writer) as journal:
            todo = self.plan.tiles(self.source.area, shard)
            todo = todo[~journal.done[todo]]
            self._check_space(journal, len(todo))
            computed = self._compute(journal, todo, console)
            if shard is not None:
                return {"tiles": computed}
            totals = self._assemble(journal, tags, console)
            journal.remove()
        predictor = self.predictor
        return raster.summary(totals, predictor.layers, predictor.samples, predictor.step)

    def _check_space(self, journal: Journal, todo: int) -> None:
        height, width = self.plan.rows, self.plan.cols
        whole = (todo + journal.done.sum()) * height * width
        pixels = min(whole, np.prod(self.plan.grid.shape)) * max(self._share, 0.01)
        raster.check_space(self.out, len(self.predictor.layers), pixels, journal.bytes())

    def _compute(self, journal: Journal, todo: np.ndarray, console: Console) -> int:
        numbers = self.plan.on_land(self.source, todo)
        windows = ((number, self.plan.window(number)) for number in numbers)
        if self.resources.scheduler is None:
            done = compute_here(
                self.predictor, self.source, windows, self.resources.threads, self.budget.waiting
            )
        else:
            done = self._compute_there(windows, console)
        computed = 0
        with contextlib.closing(done):
            for number, record in console.track(done, "map", len(todo)):
                journal.append(number, record)
                computed += 1
        return computed

    def _compute_there(self, windows, console: Console):
        from spatioformer.mapping.cluster import Remote, compute_there

        assert self.resources.scheduler is not None
        if not isinstance(self.model, str | Path):
            raise ModelError(
                "the workers of a cluster load the model from a folder; give map_raster that "
                "folder instead of the loaded model"
            )
        predictor, source = self.predictor, self.source
        remote = Remote(
            str(Path(self.model).absolute()), identity(self.model), str(source.path.absolute()),
            _absolute(self.outline), _absolute(self.template),
            predictor.layers, predictor.samples, predictor.step, predictor.seed, self.budget.cache,
        )  # fmt: skip
        return compute_there(
            self.resources.scheduler, remote, windows,
            worker_timeout=self.resources.worker_timeout, console=console,
        )  # fmt: skip

    def _assemble(self, journal: Journal, tags: dict[str, str], console: Console):
        all_tags = dict(tags)
        if isinstance(self.model, str | Path):
            all_tags["MODEL_ID"] = weights_hash(self.model)[:16]
        predictor = self.predictor
        totals = raster.assemble(
            self.out, self.plan, journal, predictor.model, predictor.layers, self.output,
            all_tags, _method(predictor), _level(predictor), console,
        )  # fmt: skip
        files = raster.files_of(self.out, predictor.layers, self.output)
        if self.output.stac:
            assert self.output.year is not None  # `Output` requires it for STAC
            write_catalogue(
                self.out, files, predictor.model, identity(self.model)[:16], self.output.year
            )
        if self.output.zarr:
            write_zarr(self.out, files)
        return totals

    def tidy(self) -> None:
        """Delete the tiles folder if the run failed before its first tile."""
        folder = tiles_folder(self.out)
        with contextlib.suppress(OSError):
            if not any(log.stat().st_size for log in folder.glob("*.log")):
                shutil.rmtree(folder)


def _absolute(path: str | Path | None) -> str | None:
    return str(Path(path).absolute()) if path else None


def _level(predictor: Predictor) -> float | None:
    return None if predictor.uncertainty is None else predictor.uncertainty.level


def _method(predictor: Predictor) -> str:
    k = predictor.step
    where = "at every pixel" if k == 1 else f"at one pixel of each {k} x {k} block"
    return f"Monte Carlo dropout, {predictor.samples} samples, {where}; not the total error"
