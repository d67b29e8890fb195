"""Stages of a run whose imagery comes from archives: search, imagery, chips by year, years.

The search stage writes the answer of the catalogues. The other stages depend on that answer alone,
so a run is repeated with the same items, and a new search redoes only what differs.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from spatioformer.common.errors import ConfigError
from spatioformer.common.files import remove, write_json
from spatioformer.config.fields import is_address
from spatioformer.run.context import RunContext
from spatioformer.run.stage import Stage, no_inputs

if TYPE_CHECKING:
    from spatioformer.config.imagery import ImagerySection
    from spatioformer.config.schema import RunConfig

SEARCH, YEARS = "search", "years"
"""Stages that only runs with sources have."""

ORDER = (*("plots", SEARCH, "imagery", "chips", "train", "evaluate", "map", YEARS, "report"),)
"""All stages that a run may have, in order."""

ITEMS = "archives/items.json"
LEFT_OUT = "archives/chips_left_out.json"
"""Items that the chips stage could not read, and why, by source; absent if there are none."""


def search(run: RunContext) -> str:
    """Catalogues -> archives/items.json; no imagery is read."""
    from spatioformer.archives.answer import ask, changes, read_answer, write_answer
    from spatioformer.common.errors import ImageryError
    from spatioformer.run.sources import grid_of_sources

    section, path = _section(run), run.folder / ITEMS
    grid = grid_of_sources(section)
    needed = {year for year in (section.map_year, *run.config.map.every_year) if year}
    answer = ask(section, grid, section.years, needed, offline=run.offline, console=run.console)
    try:
        differences = changes(read_answer(section, path), answer)
    except ImageryError:  # there was no search before, or its answer is damaged
        differences = []
    for line in differences:
        run.console.say(f"  since the last search: {line}")
    write_answer(answer, section, path)
    counts = {name: sum(map(len, years.values())) for name, years in answer.items()}
    listed = ", ".join(f"{name}: {count:,}" for name, count in counts.items())
    of_years = f" of {len(section.years)} years" if section.years else ""
    return f"{sum(counts.values()):,} items{of_years} ({listed})"


def imagery(run: RunContext) -> str:
    """Composites of the map's year, and rasters -> imagery.tif, imagery.json, archives/."""
    from spatioformer.run.composites import Composites
    from spatioformer.run.imagery import build_imagery
    from spatioformer.run.outline import places_in
    from spatioformer.run.sources import FOLDER, stack_of

    section, year = _section(run), _section(run).stack_year
    stack, options = stack_of(run), run.config.map
    composites = Composites(
        run.folder / FOLDER,
        stack,
        workers=options.workers,
        scheduler=run.scheduler,
        memory=options.memory,
        console=run.console,
    )
    composite, facts = composites.year(year)
    out = run.folder / "imagery.tif"
    summary = build_imagery(
        section, out, run.console, composite=composite, masks=run.folder / FOLDER,
        offline=run.offline, places=places_in(run.folder / "plots.parquet"),
    )  # fmt: skip
    credits = [
        {
            **source.credit,
            "composite": source.composite,
            "years": list(source.section.every_year and section.years),
            "items": sum(map(len, source.items.values())),
            "items_of_year": len(source.of_year(year)),
        }
        for source in stack.sources
    ]
    more = {name: facts[name] for name in ("left_out", "offsets") if facts.get(name)}
    more |= {"sources": credits} | ({} if section.map_year is None else {"year": year})
    write_json(run.folder / "imagery.json", summary | more)
    height, width = summary["height"], summary["width"]
    return (
        f"{height} x {width} pixels, {len(summary['bands'])} bands"
        f"{'' if section.map_year is None else f' of {year}'}, "
        f"{summary['pixels_to_predict']:,} to predict"
    )


def chips(run: RunContext) -> str:
    """plots.parquet x imagery of each plot's year -> chips/, and the rejected plots.

    Windows around the plots are read. The stack of the map's year is read only for a model that is
    taught on land without plots.
    """
    from spatioformer.geo.cutting import cut_from
    from spatioformer.geo.plots.table import read_table
    from spatioformer.geo.yearly import YearlyChips, require_years, years_of_plots
    from spatioformer.run.chip_store import chips_message, reject, teach_elsewhere
    from spatioformer.run.covariates import imagery_covariates
    from spatioformer.run.sources import season_of, stack_of, year_stack

    section, table = _section(run), read_table(run.folder / "plots.parquet")
    years, refused = years_of_plots(
        table["date"], section.years, section.max_years, season_of(section)
    )
    require_years(refused, section.years)
    with year_stack(section, stack_of(run), run.console) as imagery:
        extra = imagery_covariates(run, table, imagery.bands)
        lost = cut_from(
            YearlyChips(imagery, years["composite_year"].fillna(0).to_numpy(int)),
            extra.table.join(years),
            run.config.model.patch,
            run.folder / "chips",
            refused=refused,
            measured=extra.measured,
            facts=extra.facts,
            console=run.console,
        )
    if imagery.left_out:
        write_json(run.folder / LEFT_OUT, imagery.left_out)
    else:
        (run.folder / LEFT_OUT).unlink(missing_ok=True)
    if run.config.distils:
        teach_elsewhere(run, extra.measured is not None)
    reject(run, lost)
    kept = years.drop(index=lost.index)
    apart = int((kept["years_apart"].fillna(0) != 0).sum())
    note = f", {apart:,} of another year than the plot's" if apart else ""
    return chips_message(run, len(table), len(lost), note)


def years(run: RunContext) -> str:
    """model/ x imagery of each year of map.years -> years/: maps and their trend."""
    from spatioformer.analysis.years import map_years
    from spatioformer.mapping import Resources
    from spatioformer.run.composites import Composites, imagery_of_year
    from spatioformer.run.outline import places_in
    from spatioformer.run.sources import FOLDER, composite_path, stack_of

    section, options, folder = _section(run), run.config.map, run.folder / YEARS
    composites = Composites(
        run.folder / FOLDER,
        stack_of(run),
        workers=options.workers,
        scheduler=run.scheduler,
        memory=options.memory,
        console=run.console,
    )
    imagery: dict[int, str | Path] = {}
    for year in options.every_year:
        run.console.say(f"  imagery of {year}")
        composite, _ = composites.year(year)
        out = composite_path(folder, year)
        imagery[year] = imagery_of_year(
            section,
            composite,
            out,
            run.console,
            masks=run.folder / FOLDER,
            offline=run.offline,
            places=places_in(run.folder / "plots.parquet"),
        )
    summary = map_years(
        run.folder / "model",
        imagery,
        folder,
        samples=options.samples,
        sd_step=options.sd_step,
        seed=run.config.seed,
        resources=Resources(int(options.memory * 10**9), options.workers),
        overwrite=True,
        console=run.console,
    )
    write_json(folder / "summary.json", summary)
    for path in folder.glob("imagery_*"):  # made of composites, which are kept
        remove(path)
    slope = summary["mean_slope"]
    trend = "no pixel with a trend" if slope is None else f"{slope:+.3g} species a year on average"
    return f"{len(imagery)} maps, {trend}"


def check_scheduler(config: "RunConfig", scheduler: str) -> None:
    """Raise if a run cannot use a scheduler.

    Raises:
        ConfigError: it has no sources, which alone are computed there.
        ImageryError: the scheduler is neither threads, processes nor an address.
    """
    from spatioformer.archives.pools import scheduler_of

    scheduler_of(scheduler)
    if config.imagery is None or not config.imagery.sources:
        raise ConfigError(
            f"the scheduler {scheduler} is for imagery of archives, and the configuration has no "
            "`imagery.sources`; leave --scheduler out (`map MODEL RASTER` takes one too)"
        )


def refuse_stage(name: str, stages: Collection[str]) -> NoReturn:
    """Raise because a run has no stage `name`.

    Raises:
        ConfigError: always.
    """
    if name in (SEARCH, YEARS):
        key = "imagery.sources" if name == SEARCH else "map.years"
        raise ConfigError(f"the run has no `{key}`, and so no stage {name!r}; give `{key}`")
    raise ConfigError(f"there is no stage {name!r}; stages are {', '.join(stages)}")


def _section(run: RunContext) -> "ImagerySection":
    section = run.config.imagery
    assert section is not None  # else the run has no such stage
    return section


def _search_inputs(config: "RunConfig") -> list[str]:
    """Catalogues on this computer, more rows of the table, and the layer that gives the grid."""
    section = config.imagery
    assert section is not None
    local = [s.endpoint for s in section.sources if s.endpoint and not is_address(s.endpoint)]
    grid = [section.layers[0].path] if section.layers and section.grid is None else []
    return [*local, *([section.collections] if section.collections else []), *grid]


def _layer_inputs(config: "RunConfig") -> list[str]:
    """Layers, and more rows of the table of collections, which say what their numbers mean."""
    section = config.imagery
    assert section is not None
    more = [section.collections] if section.collections else []
    return [*(layer.path for layer in section.layers), *more]


def _mask_inputs(config: "RunConfig") -> list[str]:
    assert config.imagery is not None
    outline = config.imagery.outline_file
    return [*config.imagery.mask_paths, *([outline] if outline else [])]


def with_sources(stages: Mapping[str, Stage], config: "RunConfig") -> dict[str, Stage]:
    """The stages of a run whose imagery has sources, from those of a run without."""
    section = config.imagery
    assert section is not None
    from spatioformer.run.sources import composite_path

    composite = f"archives/{composite_path(Path(), section.stack_year).stem}"
    own = dict(stages)
    own[SEARCH] = Stage(search, (), ("imagery.search",), _search_inputs, (ITEMS,), of_imagery=True)
    own["imagery"] = replace(
        stages["imagery"],
        run=imagery,
        inputs=lambda config: [*_layer_inputs(config), *_mask_inputs(config)],
        outputs=(*stages["imagery"].outputs, f"{composite}.tif", f"{composite}.item.json"),
        reads=(ITEMS, *stages["imagery"].reads),
    )
    own["chips"] = replace(
        stages["chips"],
        run=chips,
        needs=("plots", *(["imagery"] if config.distils else [])),
        sections=(*stages["chips"].sections, "imagery.chips", "imagery.years", "imagery.max_years"),
        inputs=_layer_inputs,
        outputs=(*stages["chips"].outputs, LEFT_OUT),
        reads=(ITEMS,),
    )
    if any(split.kind == "knndm" for split in config.evaluate.splits):
        own["evaluate"] = replace(stages["evaluate"], needs=("chips", "imagery"))
    if config.map.years is not None:
        own[YEARS] = Stage(
            years,
            ("train", "imagery", "evaluate"),
            ("map.years", "map.samples", "map.sd_step", "seed", "licence"),
            no_inputs,
            (
                *(f"{YEARS}/map_{year}.tif" for year in config.map.every_year),
                *(f"{YEARS}/{name}" for name in ("trend.tif", "summary.json")),
            ),
            of_imagery=True,
            reads=(ITEMS,),
        )
        own["report"] = replace(stages["report"], needs=(*stages["report"].needs, YEARS))
    own["report"] = replace(own["report"], reads=(ITEMS,))
    return {name: own[name] for name in ORDER if name in own}
