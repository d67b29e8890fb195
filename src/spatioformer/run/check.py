"""Check a whole configuration against the headers of its files, before any stage computes.

The readers of the stages find the problems; this module asks them all, so that a user corrects
everything at once. Only headers are read: values that are wrong are found by the stages.
"""

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spatioformer.common.errors import ConfigError, ModelError, SpatioformerError
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.messages import problems_message
from spatioformer.config.schema import RunConfig
from spatioformer.run.check_imagery import imagery_problems
from spatioformer.run.check_sources import date_problems
from spatioformer.run.problems import Problem, caught, is_whole

if TYPE_CHECKING:
    from spatioformer.geo.grid import Grid
    from spatioformer.geo.plots.source import Source

TABLES = (".gpkg", ".parquet", ".geoparquet")
SMALL = 300_000
"""Size in bytes up to which a plot table is read as a whole before the run: about 5,000 plots."""

FIRST = 5_000
"""Rows of a larger table that are read before the run; the others if these do not suffice."""

LEAST_MEMORY = 0.5  # GB, of the libraries and one worker's activations; `mapping.plan` is exact


def check_run(config: RunConfig, source: str, stages: Collection[str], folder: Path) -> None:
    """Raise if `stages`, which are about to run, cannot succeed by what the headers say.

    Args:
        source: where the configuration comes from, for the message.
        folder: the run folder.

    Raises:
        SpatioformerError: the problem, in the words of the stage that would meet it; of several a
            ConfigError that lists them, one a line.
    """
    problems = problems_of(config, stages, folder)
    if len(problems) == 1:
        raise problems[0][1]
    if problems:
        lines = [f"{key}: {error}" for key, error in problems]
        raise ConfigError(problems_message(source, lines))


def problems_of(config: RunConfig, stages: Collection[str], folder: Path) -> list[Problem]:
    """What `check_run` finds, each problem once."""
    return list(_distinct(_problems(config, stages, folder)))


def _problems(config: RunConfig, stages: Collection[str], folder: Path) -> Iterator[Problem]:
    if "plots" in stages:
        yield from _plots(config, stages)
    grid = None
    if "imagery" in stages or "search" in stages:
        grid = yield from imagery_problems(config, folder, stages)
    if "plots" in stages and "chips" in stages and config.imagery and config.imagery.sources:
        yield from _dates(config)
    if "plots" in stages and "evaluate" in stages:
        yield from _splits(config, grid)
    if "map" in stages:
        yield from _map(config)


def _distinct(problems: Iterator[Problem]) -> Iterator[Problem]:
    """The problems, of those with the same words the first."""
    known = set()
    for key, error in problems:
        if str(error) not in known:
            known.add(str(error))
            yield key, error


def _plots(config: RunConfig, stages: Collection[str]) -> Iterator[Problem]:
    """Files, columns and the CRS of the plot table and the species."""
    from spatioformer.geo.plots.checks import parse_crs
    from spatioformer.geo.plots.files import open_source
    from spatioformer.geo.plots.table import header_problems

    section, species = config.plots, config.plots.species
    source = None
    if not is_whole(section.path, *TABLES):
        try:
            source = open_source(section.path, separator=section.separator, layer=section.layer)
        except SpatioformerError as error:
            yield "plots.path", error
    if source is not None:
        if section.columns is not None:
            columns: dict[str, str | None] = {str(k): v for k, v in section.columns.items()}
            settings = species.model_dump(exclude_none=True) if species else None
            for name, problem in header_problems(source, columns, settings):
                yield f"plots.{name}", problem
        if source.crs is None and section.crs is not None:
            yield from caught("plots.crs", partial(parse_crs, section.crs))
        yield from _fold_columns(config, source)
    if "train" in stages or "evaluate" in stages:
        yield from _covariates(config, source)
    if species is None:
        return
    if species.path is not None:
        source = None
        if not is_whole(species.path, *TABLES):
            try:
                source = open_source(
                    species.path,
                    separator=species.separator,
                    layer=species.layer,
                    key="species.",
                )
            except SpatioformerError as error:
                yield "plots.species.path", error
    if source is not None:
        for key in ("plot_id", "species", "abundance"):
            if column := getattr(species, key):
                check = partial(source.position, column, f"species.{key}")
                yield from caught(f"plots.species.{key}", check)


def _covariates(config: RunConfig, source: "Source | None") -> Iterator[Problem]:
    """Covariates that no column gives."""
    from spatioformer.run.plot_table import OF_PLOTS

    chosen, columns = config.model.covariates, config.plots.columns
    if chosen == "auto" or all(CATALOGUE[name].published for name in config.models):
        return
    for name in chosen:
        if name not in OF_PLOTS:
            if source is not None:
                check = partial(source.position, name, f"model.covariates, {name}")
                yield from caught(f"model.covariates.{name}", check)
        elif columns is not None and OF_PLOTS[name] not in columns:
            yield (
                f"model.covariates.{name}",
                ModelError(
                    f"no plot has a value of the covariate {name!r}; name its column in "
                    f"`plots.columns` ({OF_PLOTS[name]}: ...), or leave it out of "
                    "`model.covariates`"
                ),
            )


def _fold_columns(config: RunConfig, source: "Source") -> Iterator[Problem]:
    """Columns of splits that the table lacks."""
    for i, split in enumerate(config.evaluate.splits):
        if split.column is not None:
            key = f"evaluate.splits.{i}.column"
            yield from caught(key, partial(source.position, split.column, key))


def _dates(config: RunConfig) -> Iterator[Problem]:
    """Plots of a small table without imagery of their year."""
    from spatioformer.run.plot_table import read_with_covariates

    if _size(config) > SMALL:
        return
    try:
        intake = read_with_covariates(config)
    except SpatioformerError:  # found above, or left to the stage, which lists the rows
        return
    yield from date_problems(config, intake.table, len(intake.rejected))


def _size(config: RunConfig) -> int:
    """Bytes of the plot table and of the species beside it."""
    section = config.plots
    paths = [section.path, *([section.species.path] if section.species else [])]
    return sum(Path(path).stat().st_size for path in paths if path and Path(path).is_file())


def _splits(config: RunConfig, grid: "Grid | None") -> Iterator[Problem]:
    """Splits for which the plots are too few or too close.

    Places and tiles only become more with more plots. So a large table is read as a whole only if
    its first rows do not suffice; species in a large file are left to the stage. How kNNDM clusters
    the plots depends on the imagery too, and pixels may have no data: the stage knows.

    Args:
        grid: of the imagery, outside which plots do not count; None: not known, or none.
    """
    alone = config.plots.species is None
    if _size(config) <= SMALL or (alone and _problems_of_splits(config, grid, FIRST)):
        yield from _problems_of_splits(config, grid)


def _problems_of_splits(
    config: RunConfig, grid: "Grid | None", first: int | None = None
) -> list[Problem]:
    """What the first rows of the plot table, or all, do not suffice for; the first such split."""
    from spatioformer.models.resolved import resolved
    from spatioformer.run.folds import all_splits, check_split
    from spatioformer.run.plot_table import read_with_covariates

    try:
        table = read_with_covariates(config, first).table
        if grid is not None and config.model.patch > 1:  # else values of their own may do
            rows, cols = grid.pixel(table["lon"].to_numpy(), table["lat"].to_numpy())
            table = table[grid.holds(rows, cols)]
        if table.empty:  # the chips stage says why
            return []
        config = resolved(config, table[["lon", "lat"]].to_numpy())
    except SpatioformerError:  # found above, or left to the stage, which lists the rows
        return []
    for split in all_splits(config):
        problems = list(caught("evaluate", partial(check_split, split, config, table)))
        if problems:  # the plots are too few for the other splits too, or for one of them
            return problems
    return []


def _map(config: RunConfig) -> Iterator[Problem]:
    """The memory of the map, and the rasters of the truth."""
    if config.map.memory < LEAST_MEMORY:
        yield (
            "map.memory",
            ConfigError(
                f"`map.memory` is {config.map.memory:g} (GB): {1000 * config.map.memory:g}MB is "
                f"below what a map takes before it reads any imagery ({1000 * LEAST_MEMORY:g}MB); "
                "set `map.memory: 2`"
            ),
        )
    if config.truth is not None:
        for key in ("path", "noise_path"):
            yield from caught(f"truth.{key}", partial(_open_and_close, getattr(config.truth, key)))


def _open_and_close(truth: str) -> None:
    from spatioformer.geo.virtual.truth import open_truth

    open_truth(truth).close()
