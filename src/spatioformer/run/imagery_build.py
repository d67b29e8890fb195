"""Write the imagery of several years into a folder, for maps of years with any model."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.archives.answer import ask, with_answer
from spatioformer.common.errors import ConfigError
from spatioformer.common.files import writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.archives import STATIC, span
from spatioformer.config.schema import RunConfig
from spatioformer.geo.raster.stack import Stack
from spatioformer.geo.raster.zarr_copy import check_zarr, write_zarr
from spatioformer.run.composites import Composites, imagery_of_year
from spatioformer.run.plot_table import read_with_covariates
from spatioformer.run.sources import composite_path, grid_of_sources

COMPOSITES = "composites"


def build_years(
    config: RunConfig,
    folder: Path,
    years: Iterable[int] | None = None,
    *,
    offline: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    memory: float = 2.0,
    zarr: bool = False,
    console: Console = SILENT,
) -> Path:
    """Write FOLDER/imagery_YEAR.tif for each year, and FOLDER/years.csv with their paths.

    Sources without years alone give FOLDER/imagery_static.tif.

    Composites that are there and would be the same are kept. If the configuration has layers,
    masks or an outline too, the composites lie in FOLDER/composites.

    Args:
        years: None: all that the sources have in common.
        zarr: also copy each year's imagery to FOLDER/imagery_YEAR.zarr.
        others: as `archives.write.write_year`.

    Returns:
        Path of years.csv; of the imagery itself where no source has years.

    Raises:
        ConfigError: there are no sources, or they do not have one of the years.
        ImageryError, OutputError: as `write_year`.
    """
    section = config.imagery
    if section is None or not section.sources:
        raise ConfigError(
            "the configuration has no `imagery.sources`, from which imagery of years is made; add "
            "them (docs/imagery.md)"
        )
    if zarr:
        check_zarr()
    if section.is_static and years is not None:
        raise ConfigError("none of the sources has years; leave --years out")
    wanted = tuple((section.years or (STATIC,)) if years is None else years)
    if missing := [year for year in wanted if year not in (*section.years, STATIC)]:
        raise ConfigError(
            f"the sources have no year {missing[0]}, but {span(section.years)}; give some of these"
        )
    grid = grid_of_sources(section)
    answer = ask(section, grid, wanted, wanted, offline=offline, console=console)
    mixed = bool(section.layers or section.masks or section.has_outline)
    composites = Composites(
        folder / COMPOSITES if mixed else folder,
        with_answer(section, grid, answer, offline=offline),
        workers=workers,
        scheduler=scheduler,
        memory=memory,
        console=console,
    )

    def places() -> NDArray[np.float64]:
        return read_with_covariates(config).table[["lon", "lat"]].to_numpy(np.float64)

    for year in wanted:
        composite, _ = composites.year(year)
        out = composite_path(folder, year)
        imagery_of_year(section, composite, out, console, offline=offline, places=places)
        if zarr:
            with Stack(out) as stack:
                bands = stack.bands
            write_zarr(out, {out: bands})
        when = f"{year}: " if year != STATIC else ""
        console.say(f"{when}{composite_path(folder, year)}")
    if section.is_static:
        return composite_path(folder, STATIC)
    table = pd.DataFrame({"year": wanted, "path": [composite_path(Path(), y) for y in wanted]})
    with writing(folder / "years.csv") as part:
        table.to_csv(part, index=False)
    return folder / "years.csv"
