"""The map of a scenario: its imagery on the grid of today's map, and the model's prediction."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from spatioformer.analysis.scenarios.units import check_units
from spatioformer.analysis.years.series import is_one_grid
from spatioformer.archives.answer import ask, with_answer
from spatioformer.archives.opening import sources_of
from spatioformer.common.cache import Record
from spatioformer.common.errors import ConfigError, OutputError
from spatioformer.common.files import read_json
from spatioformer.common.progress import Console
from spatioformer.common.related import related_files
from spatioformer.config.archives import STATIC
from spatioformer.config.file import load_config
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.scenario import ScenarioConfig
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.map_layers import bands_of
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.values import Values
from spatioformer.geo.raster.writing import write_errors
from spatioformer.mapping import Output, Resources, map_raster
from spatioformer.mapping.predictor import identity
from spatioformer.mapping.regrid import open_source
from spatioformer.models.store import load
from spatioformer.run.composites import Composites
from spatioformer.run.imagery import build_imagery

LAYERS = ("mean", "lower", "upper", "di", "inside")
IMAGERY, MAP, RECORD = "imagery.tif", "map.tif", "made_of.json"


@dataclass(frozen=True)
class Today:
    """Today's map and how it was made.

    Attributes:
        model: folder of the model.
        map: the map that the model made.
        samples, sd_step, seed: options of the map, which the scenario's map has too.
        verdict: the run's verdict on the map; None: not known.
    """

    model: Path
    map: Path
    samples: int = 20
    sd_step: int = 1
    seed: int = 0
    verdict: str | None = None

    @classmethod
    def of(cls, model: Path, run: Path | None, map_: Path | None = None) -> "Today":
        """The map of a finished run, or another map of a model.

        Args:
            model: folder of the model.
            run: folder of its run, if there is one.
            map_: today's map; None: that of the run.

        Raises:
            ConfigError: neither a run nor a map is given.
            OutputError: the run has no map yet.
        """
        if run is None:
            if map_ is None:
                raise ConfigError(
                    f"{model} is a model folder outside a run, so there is no map of today; give "
                    "one with --map, made with `spatioformer map`"
                )
            return cls(model, map_)
        folder = run
        if map_ is None and not (folder / MAP).is_file():
            raise OutputError(
                f"{folder} has no {MAP} yet, from which the difference is computed; run "
                "`spatioformer run` with its configuration first, or give today's map with --map"
            )
        config = load_config(folder / "config.resolved.yaml")
        verdict = None
        if map_ is None:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                verdict = read_json(folder / "verdict.json").get("verdict")
        section, path = config.map, map_ or folder / MAP
        return cls(model, path, section.samples, section.sd_step, config.seed, verdict)


def states_of(paths: Iterable[Path]) -> list[Any]:
    """Path, size and time of change of files and of those from which they are read."""
    files = [f for path in paths for f in (path, *related_files(path)) if f.is_file()]
    return [[str(f.absolute()), f.stat().st_size, f.stat().st_mtime_ns] for f in files]


def scenario_imagery(
    scenario: ScenarioConfig, folder: Path, today: Path, overwrite: bool, console: Console
) -> Path:
    """Layers and sources of a scenario on the grid of today's map; kept if nothing changed."""
    section, out, grid = scenario.imagery, folder / IMAGERY, _grid(today)
    for key in ("region", "grid"):
        if getattr(section, key) is not None:
            console.say(f"note: imagery.{key} is not used; the scenario has today's map's grid")
    files = [*(layer.path for layer in section.layers), *section.mask_paths]
    inputs = [Path(path) for path in (*files, section.collections) if path is not None]
    check_apart(out, inputs)
    made_of = [section.model_dump(mode="json"), states_of([*inputs, today]), _place(grid)]
    record = Record(folder / RECORD)
    if record.matches(out, made_of) and record.facts(out):  # finished, mask and all
        return out
    # A corrected scenario file replaces the imagery of the former one; foreign files stay.
    if out.exists() and record.made_of(out) is None and not overwrite:
        raise OutputError(
            f"{out} is no imagery of a scenario; give --force to replace it, or name another folder"
        )
    record.begin(out, made_of)
    used = section.model_copy(update={"region": None, "grid": None})
    used._folder = section.folder
    composite = _of_sources(used, grid, folder, console) if used.sources else None
    summary = build_imagery(used, out, console, onto=grid, composite=composite)
    _mask_by(out, today)
    record.finish(out, {"bands": summary["bands"]})
    return out


def other_archives(scenario: ScenarioConfig, run: Path) -> list[str]:
    """Sentences on sources of a scenario that come from another archive than those of the run.

    Args:
        run: folder of the run; without its imagery.json nothing is known.
    """
    path = run / "imagery.json"
    known = read_json(path).get("sources", []) if path.exists() else []
    now = {credit["source"]: credit for credit in known}
    return [
        f"the source {name} is {later['title']}, and in the run it is {now[name]['title']}; the "
        "difference between two archives looks like a change"
        for name, later in ((s.section.name, s.credit) for s in sources_of(scenario.imagery))
        if name in now and now[name]["citation"] != later["citation"]
    ]


def _of_sources(section: ImagerySection, grid: Grid, folder: Path, console: Console) -> Path:
    """The bands of the sources of a scenario, in a file of its own.

    Raises:
        ConfigError: a collection, band or option is not known.
        ImageryError: a file cannot be read.
    """
    answer = ask(section, grid, (STATIC,), (STATIC,), console=console)
    stack = with_answer(section, grid, answer)
    return Composites(folder, stack, console=console).year(STATIC)[0]


def _mask_by(imagery: Path, today: Path) -> None:
    """Take the pixels without a value in today's map out of the mask of a stack on its grid.

    They have no difference, so a prediction there would be wasted.
    """
    with (
        open_raster(today) as map_,
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        write_errors(imagery),
        rasterio.open(imagery, "r+") as stack,
    ):
        mean = Values(map_, (bands_of(map_).get("mean", 1),))
        for _, window in list(stack.block_windows(1)):
            wanted = np.isfinite(mean.read(window)[0]) & (stack.dataset_mask(window=window) > 0)
            stack.write_mask(wanted, window=window)


def map_scenario(
    today: Today,
    imagery: Path,
    out: Path,
    signature: list[Any],
    tags: dict[str, str],
    resources: Resources,
    overwrite: bool,
    console: Console,
) -> None:
    """Map the scenario on the grid of today's map, and check the units of its bands.

    Args:
        signature: of the scenario's rasters; a map of the same ones is kept.
        tags: of the map, in place of the model's.
    """
    model = load(today.model)
    grid = _grid(today.map)
    # Imagery on the same grid is not resampled, so that equal rasters give equal maps.
    with open_source(imagery, model.bands, None, None) as source:
        template = None if is_one_grid(grid, source.grid) else today.map
    with open_source(imagery, model.bands, None, template) as source:
        check_units(model, source.probe()[0], imagery)
    made_of = [
        [identity(today.model), today.samples, today.sd_step, today.seed],
        signature,
        _place(grid),
    ]
    record = Record(out.with_name(RECORD))
    if record.matches(out, made_of):
        return
    if out.exists() and not overwrite:
        raise OutputError(
            f"{out} is of another scenario or model; give --force to replace it, or name another "
            "folder"
        )
    record.begin(out, made_of)
    map_raster(
        today.model,
        imagery,
        out,
        samples=today.samples,
        sd_step=today.sd_step,
        seed=today.seed,
        grid=template,
        output=Output(LAYERS),
        resources=resources,
        overwrite=overwrite,
        tags=tags,
        console=console,
    )


def check_apart(out: Path, inputs: Iterable[Path]) -> None:
    """Raise an OutputError if the output is one of the inputs."""
    if any(out.exists() and path.exists() and out.samefile(path) for path in inputs):
        raise OutputError(f"cannot write {out}: it is an input; name another folder with -o")


def _place(grid: Grid) -> list[Any]:
    return [grid.crs.to_wkt(), list(grid.transform), list(grid.shape)]


def _grid(raster: Path) -> Grid:
    with open_raster(raster) as dataset:
        return Grid.of(dataset, str(raster))
