"""Projection: the map of a model with rasters of another time or climate, against today's map."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rasterio.errors import RasterioIOError

from spatioformer.archives.opening import sources_of
from spatioformer.common.errors import ConfigError, ImageryError, ModelError, OutputError
from spatioformer.common.files import write_json
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.scenario import load_scenario
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.vector.zones import read_polygons
from spatioformer.mapping import Resources
from spatioformer.mapping.covariates import as_imagery, covariates_of_table, tags_of_map
from spatioformer.mapping.predictor import weights_hash
from spatioformer.models.uncertainty import Uncertainty
from spatioformer.run.scenario_map import (
    IMAGERY,
    MAP,
    Today,
    check_apart,
    map_scenario,
    other_archives,
    scenario_imagery,
    states_of,
)
from spatioformer.run.scenario_results import CHANGE, PICTURE, REGIONS, Regions, compare

__all__ = ["Rasters", "Regions", "Today", "project"]

SUMMARY = "project.json"


@dataclass(frozen=True)
class Rasters:
    """The rasters of the scenario: a scenario file, or a raster with the model's bands.

    Attributes:
        path: the scenario file (.yaml), or the raster.
        fixed: value of each covariate without a band, for a model of a plot table alone.
    """

    path: Path
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_file_of_scenario(self) -> bool:
        return self.path.suffix.lower() in (".yaml", ".yml")


def project(
    today: Today,
    rasters: Rasters,
    folder: str | Path,
    *,
    regions: Regions = Regions(),
    resources: Resources = Resources(),
    overwrite: bool = False,
    console: Console = SILENT,
) -> dict[str, Any]:
    """Map a scenario with the model of today's map, and compare the two maps.

    Writes into the folder: map.tif, the scenario's map on the grid of today's; change.tif
    (`analysis.scenarios.BANDS`); change.png and change.svg; regions.csv
    (`analysis.scenarios.region_table`); project.json; with a scenario file also imagery.tif. A
    killed call resumes.

    Args:
        today: today's map and its model.
        rasters: of the scenario; on another grid they are resampled as `map_raster` does.
        overwrite: replace the results of another call.

    Returns:
        The content of project.json.

    Raises:
        ConfigError: the scenario file cannot be used.
        ImageryError: a raster cannot be read, lacks a band, or has another unit.
        ModelError: the model was not evaluated, or did not make today's map.
        OutputError: results stand already, or cannot be written.
    """
    folder = Path(folder)
    uncertainty = _checked(today)
    _check_free(folder, overwrite, today, rasters)
    name, scenario = rasters.path.stem, None
    if rasters.is_file_of_scenario:
        scenario = load_scenario(rasters.path)
        name = scenario.name
    if regions.path is not None:
        read_polygons(regions.path, regions.name)  # what is wrong with them, before hours of maps
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write into {folder} ({error.strerror}); name another folder with -o"
        ) from error
    with contextlib.ExitStack() as stack:
        imagery = rasters.path
        if scenario is not None:
            for note in other_archives(scenario, today.model.parent):
                console.say(f"note: {note}")
            imagery = scenario_imagery(scenario, folder, today.map, overwrite, console)
        signature = [states_of([imagery]), dict(rasters.fixed)]
        covariates = covariates_of_table(today.model)
        tags: dict[str, str] = {}
        if covariates is not None:
            made = as_imagery(covariates, imagery, rasters.fixed, folder / MAP, console)
            imagery = stack.enter_context(made)
            tags = tags_of_map(covariates, rasters.fixed)
        elif rasters.fixed:
            raise ConfigError(
                "--fixed is for models that learned from a plot table alone, and "
                f"{today.model} takes the bands of imagery; leave it out"
            )
        map_scenario(today, imagery, folder / MAP, signature, tags, resources, overwrite, console)
    summary = compare(today, folder, name, uncertainty, regions, console)
    if scenario is not None and scenario.imagery.sources:
        summary["sources"] = [source.credit for source in sources_of(scenario.imagery)]
    write_json(folder / SUMMARY, summary)
    return summary


def _checked(today: Today) -> Uncertainty:
    """The model's uncertainty, if the model made today's map.

    Raises:
        ModelError: otherwise, or the model was not evaluated.
    """
    if not Uncertainty.is_in(today.model):
        raise ModelError(
            f"{today.model} was not evaluated, so neither the interval of the difference nor its "
            "area of applicability is known; run `spatioformer evaluate` first"
        )
    try:
        with open_raster(today.map) as dataset:
            made_by = dataset.tags().get("MODEL_ID")
    except (RasterioIOError, OSError) as error:
        raise ImageryError(f"{today.map} cannot be read ({error}); give a map") from error
    model = weights_hash(today.model)
    if made_by is None or not model.startswith(made_by):
        raise ModelError(
            f"{today.map} was made by {f'model {made_by}' if made_by else 'an unknown model'}, and "
            f"{today.model} is model {model[:16]}; the difference of two models is none of two "
            "times, so map again with `spatioformer map`"
        )
    return Uncertainty.load(today.model)


def _check_free(folder: Path, overwrite: bool, today: Today, rasters: Rasters) -> None:
    """Raise an OutputError if results stand in the folder, or an input does."""
    for name in (IMAGERY, MAP, CHANGE, PICTURE, REGIONS):
        path = folder / name
        check_apart(path, [today.map, rasters.path])
        if path.exists() and name not in (IMAGERY, MAP) and not overwrite:
            raise OutputError(f"{path} exists; give --force to replace it, or name another folder")
    if (folder / "config.resolved.yaml").exists():
        raise OutputError(f"{folder} is a run folder; name another folder with -o")
