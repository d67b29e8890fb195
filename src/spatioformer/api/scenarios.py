"""Scenarios from Python: the map of another time or climate against today's."""

from pathlib import Path
from typing import Any

from spatioformer.api.archives import LazyImagery, of_year
from spatioformer.api.imagery import Imagery, opened
from spatioformer.common.errors import ConfigError
from spatioformer.common.progress import SILENT, Console
from spatioformer.run.project import Rasters, Regions, Today
from spatioformer.run.project import project as project_scenario


def project(
    run: str | Path,
    scenario: Imagery | LazyImagery | str | Path,
    folder: str | Path,
    *,
    today: str | Path | None = None,
    zones: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
    console: Console = SILENT,
) -> dict[str, Any]:
    """Map a scenario with a run's model, and compare it with the run's map.

    Does what `spatioformer project` does; docs/scenarios.md explains the files and what they mean.

    Args:
        run: folder of a finished run, or a model's folder together with `today`.
        scenario: a scenario file (.yaml), a raster with the model's bands, or what `read_imagery`
            gives; of archives its last year.
        folder: where the results are written.
        today: today's map; None: that of the run.
        zones: polygons of the table (a file); None: the whole map.
        name: field with the polygons' names.
        overwrite: replace results of another call.
        console: where progress is shown; silent unless one is given.

    Returns:
        The content of project.json: `totals`, `notes`, `assumptions`, and `alt`, the alternative
        text of the picture.

    Raises:
        ConfigError: the scenario file cannot be used, or there is no map of today.
        ImageryError: a raster cannot be read, lacks a band of the model, or has another unit.
        ModelError: the model was not evaluated, or did not make today's map.
        OutputError: the run has no map, or results stand in the folder.

    Examples:
        >>> import spatioformer as sf
        >>> sf.project("runs/absent", "warmer.yaml", "warmer")
        Traceback (most recent call last):
            ...
        spatioformer.common.errors.ConfigError: runs/absent is neither the folder of a run nor of \
a model; give one of the two
    """
    source = Path(run)
    is_run = (source / "config.resolved.yaml").is_file()
    if not is_run and not (source / "config.json").is_file():
        raise ConfigError(
            f"{source} is neither the folder of a run nor of a model; give one of the two"
        )
    path = Path(scenario) if isinstance(scenario, str | Path) else opened(of_year(scenario)).path
    return project_scenario(
        Today.of(
            source / "model" if is_run else source,
            source if is_run else None,
            None if today is None else Path(today),
        ),
        Rasters(path),
        folder,
        regions=Regions(None if zones is None else Path(zones), name),
        overwrite=overwrite,
        console=console,
    )
