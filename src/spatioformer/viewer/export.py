"""Write the map of a run as files for any plain web server, and in a reduced form for the disk.

The files have the names under which the server answers, and a tile has the bytes that it serves.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatioformer.common.errors import OutputError, SpatioformerError
from spatioformer.common.files import read_json, writing_folder
from spatioformer.common.progress import SILENT, Console
from spatioformer.viewer import ground, plots, style, terms, tiles
from spatioformer.viewer.answers import dumps
from spatioformer.viewer.app import PAGE
from spatioformer.viewer.explorer.run import RunExplorer
from spatioformer.viewer.layers import Layer
from spatioformer.viewer.overview import bounding_tiles, overview
from spatioformer.viewer.report_page import REPORT
from spatioformer.viewer.run import ViewedRun

MOST_TILES = 60_000
"""Largest number of tiles of an export; the largest zooms are left out of a larger one."""

Job = tuple[Layer, int | str, int, int, int]
"""A tile: layer, year, zoom, column, row."""


def export(
    run: ViewedRun, folder: str | Path, *, page: Path = PAGE, console: Console = SILENT
) -> dict[str, int]:
    """Write the page, its data and tiles into a folder; an export already there is replaced.

    Args:
        folder: new, empty, or an earlier export.
        page: folder of the page's files.

    Returns:
        `tiles`, number of tiles written, and `maxzoom`.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
        ImageryError: a raster is damaged.
    """
    folder = Path(folder)
    _check_free(folder)
    jobs, zoom = _jobs(run)
    if zoom < run.maxzoom:
        console.say(
            f"note: with zoom {run.maxzoom} the export would have more than {MOST_TILES:,} tiles; "
            f"its largest zoom is {zoom}, so a click gives the mean of several pixels"
        )
    with writing_folder(folder, synced=False) as part:
        for path in sorted(page.glob("*")):
            if path.is_file():
                shutil.copyfile(path, part / path.name)
        _write_data(run, part, zoom, console)
        written = 0
        empty = tiles.empty()  # so that a browser that asks for it reports no error
        for job, content in console.track(_made(run, jobs), "tiles", len(jobs)):
            layer, year, z, x, y = job
            _write(part / f"tiles/{layer.id}/{year}/{z}/{x}/{y}.png", content or empty)
            written += content is not None
        _write_overviews(run, part)
    return {"tiles": written, "maxzoom": zoom}


def _check_free(folder: Path) -> None:
    """Refuse a folder that holds something else than an export, which would be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    facts = folder / "api" / "run.json"
    try:
        is_export = facts.is_file() and read_json(facts).get("static") is True
    except (OSError, ValueError, AttributeError):
        is_export = False
    if not is_export:
        raise OutputError(
            f"{folder} exists and is no earlier export; name a new folder, so that nothing is lost"
        )


def _jobs(run: ViewedRun) -> tuple[list[Job], int]:
    """All tiles up to the largest zoom with at most MOST_TILES tiles, and that zoom."""
    jobs: list[Job] = []
    for zoom in range(run.maxzoom + 1):
        layers = run.catalogue.layers.values()
        more = [job for layer in layers for job in _of_zoom(layer, zoom, run.map.bounds)]
        if jobs and len(jobs) + len(more) > MOST_TILES:
            return jobs, zoom - 1
        jobs += more
    return jobs, run.maxzoom


def _of_zoom(layer: Layer, zoom: int, bounds: tuple[float, float, float, float]) -> Iterator[Job]:
    """Tiles of a layer at a zoom inside the bounds of the map, those that a page asks for."""
    for year, raster in layer.rasters.items():
        if raster.minzoom <= zoom <= layer.maxzoom:
            columns, rows = bounding_tiles(bounds, zoom)
            yield from ((layer, year, zoom, x, y) for x in columns for y in rows)


def _made(run: ViewedRun, jobs: list[Job]) -> Iterator[tuple[Job, bytes | None]]:
    """Tiles in the order of the jobs; a few are made in advance."""
    pool, ahead = run.rasters.pool, 32
    for start in range(0, len(jobs), ahead):
        batch = jobs[start : start + ahead]
        made = [pool.submit(tiles.tile, run.rasters, run.unmapped, *job) for job in batch]
        yield from zip(batch, (future.result() for future in made), strict=True)


def _write_data(run: ViewedRun, part: Path, zoom: int, console: Console) -> None:
    """The JSON files, and all of them in data.js, which a page from disk can read."""
    facts = run.to_json(static=True) | {"maxzoom": zoom}
    report = run.folder / REPORT
    if report.is_file():
        shutil.copyfile(report, part / REPORT)
    facts["links"] = {"report": facts["links"]["report"], "folder": None}
    data: dict[str, Any] = {
        "api/style.json": style.to_json(),
        "api/terms.json": terms.to_json(),
        "api/ground.json": ground.to_json(run.map.bounds),
    }
    for flag, name, make in (
        ("plots", "api/plots.json", plots.plots_json),
        ("sites", "api/sites.json", plots.sites_json),
    ):
        if facts[flag]:
            try:
                data[name] = make(run)
            except SpatioformerError as error:
                console.say(f"note: without {flag}: {error}")
                facts[flag] = False
    if facts["explorer"]:
        try:
            data |= RunExplorer(run).files()
        except SpatioformerError as error:
            console.say(f"note: without the model explorer: {error}")
            facts["explorer"] = False
    data["api/run.json"] = facts
    for name, content in data.items():
        _write(part / name, dumps(content))
    _write(part / "data.js", b"window.SPATIOFORMER = " + dumps(data) + b";\n")


def _write_overviews(run: ViewedRun, part: Path) -> None:
    """A coloured picture of each layer and year, which stands for its tiles on disk."""
    for layer in run.catalogue.layers.values():
        for year in layer.rasters:
            pixels = run.rasters.call(
                overview, run.rasters, run.unmapped, layer, year, run.map.bounds
            )
            content = tiles.png(pixels)
            _write(part / f"overview/{layer.id}_{year}.png", content)
            if not layer.years:
                _write(part / f"overview/{layer.id}.png", content)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
