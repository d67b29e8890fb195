"""Maps of several years, and their mean, variability, trend and real changes.

`series.py` opens the years on one grid. `mapping` makes the maps. `trend.py` reads them window by
window. `years.json` in the folder records the inputs of each map and of `trend.tif`, and where the
imagery of each map lay.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from spatioformer.analysis.trends import FEWEST_YEARS, exact_p
from spatioformer.analysis.years.series import Series, check_one_grid, ordered, parse_years
from spatioformer.analysis.years.trend import Rule, TrendTotals, write_trend
from spatioformer.common.cache import Record
from spatioformer.common.errors import ConfigError, OutputError
from spatioformer.common.files import hash_file, hash_value
from spatioformer.common.progress import SILENT, Console
from spatioformer.mapping import Output, Resources, map_raster, task_of
from spatioformer.mapping.journal import locked, remove_stale_lock
from spatioformer.mapping.predictor import identity, open_predictor
from spatioformer.mapping.regrid import open_source
from spatioformer.mapping.stac import write_series
from spatioformer.models.base import Model

__all__ = ["imagery_of_map", "map_trend", "map_years", "parse_years"]

TREND = "trend.tif"
RECORD = "years.json"


def map_years(
    model: Model | str | Path,
    imagery: Mapping[int, str | Path],
    folder: str | Path,
    *,
    samples: int = 20,
    sd_step: int = 1,
    seed: int = 0,
    outline: str | Path | None = None,
    grid: str | Path | None = None,
    output: Output = Output(),
    stac: bool = False,
    resources: Resources = Resources(),
    fdr: float = 0.05,
    least: int | None = None,
    rho: float | None = None,
    overwrite: bool = False,
    console: Console = SILENT,
) -> dict:
    """Map every year (FOLDER/map_YEAR.tif), then compute their trend (FOLDER/trend.tif).

    Finished maps are kept: a killed run resumes in the year in which it was killed, and an
    additional year only adds its map.

    Args:
        model: a model or its folder.
        imagery: year -> raster with the model's bands, all on one grid.
        folder: folder of the maps, the trend and the record.
        grid: raster whose grid all maps have, for imagery on different grids.
        output: layers and file format of the maps; the year is set for each map.
        stac: write a STAC item beside each map and the trend, and FOLDER/collection.json.
        overwrite: replace maps made with another model, imagery or other options, and their trend.
        others: as `mapping.map_raster` and `map_trend`.

    Returns:
        `map_trend`'s summary.

    Raises:
        ConfigError: too few or too many years, or options that do not allow a trend.
        ImageryError, ModelError, OutputError: as `map_raster`; ImageryError if grids differ.
    """
    folder, imagery = Path(folder), ordered(imagery)
    rule = _checked(fdr, least, rho, len(imagery))
    predictor = open_predictor(model, output.layers, samples, sd_step, seed)
    if resources.shard is not None:
        raise ConfigError(
            "years cannot be mapped in shards; map each year in shards with `spatioformer map`, "
            "then give the maps"
        )
    if "mean" not in predictor.layers or output.separate:
        raise ConfigError(
            "years are compared by their mean layer; include the layer mean, in one file with the "
            "other layers"
        )
    tasks, grids = {}, {}
    for year, path in imagery.items():
        with open_source(path, predictor.model.bands, None, grid) as source:
            tasks[year] = task_of(predictor, source, model, outline)
            grids[year] = source.grid
    check_one_grid(grids, imagery, "give --grid RASTER, on whose grid to map all years")
    maps = {year: folder / f"map_{year}.tif" for year in imagery}
    _check_apart((*maps.values(), folder / TREND), imagery)
    with locked(folder / TREND):
        record = _Record(folder / RECORD)
        for year, out in maps.items():
            place = {"imagery": str(Path(imagery[year]).absolute())}
            if record.stands(out, tasks[year], overwrite):
                remove_stale_lock(out)
                record.finish(out, place)
                continue
            console.say(f"{year}: {imagery[year]}")
            record.begin(out, tasks[year])
            map_raster(
                model,
                imagery[year],
                out,
                samples=samples,
                sd_step=sd_step,
                seed=seed,
                outline=outline,
                grid=grid,
                output=replace(output, year=year),
                resources=resources,
                overwrite=overwrite,
                console=console,
            )
            record.finish(out, place)
        summary = _trend(maps, folder, record, rule, overwrite, console)
        if stac:
            write_series(folder, maps, folder / TREND, predictor.model, identity(model)[:16])
        return summary


def map_trend(
    maps: Mapping[int, str | Path],
    folder: str | Path,
    *,
    fdr: float = 0.05,
    least: int | None = None,
    rho: float | None = None,
    overwrite: bool = False,
    console: Console = SILENT,
) -> dict:
    """Compute mean, variability, trend and real changes of existing maps: FOLDER/trend.tif.

    Args:
        maps: year -> map, all on one grid.
        folder: folder of the trend and the record.
        fdr: share of the significant pixels that may be false discoveries, between 0 and 1.
        least: years that a pixel needs for a slope and a test; None: half of the years, at least 3.
        rho: autocorrelation of the noise from one year to the next, 0 <= rho < 1; 0 is the
            classical test, None estimates it from the maps.
        overwrite: replace an existing trend.

    Returns:
        Summary: pixels, those tested, the autocorrelation, mean slope, significant ones by sign,
        the largest p that is significant (None without one), and pixels with a change larger than
        its interval.

    Raises:
        ConfigError: too few or too many years, `fdr`, `least` or `rho` out of range.
        ImageryError: a map cannot be read, or grids differ.
        OutputError: the trend exists already, or cannot be written.
    """
    folder, maps = Path(folder), ordered(maps)
    rule = _checked(fdr, least, rho, len(maps))
    _check_apart([folder / TREND], maps)
    with locked(folder / TREND):
        return _trend(maps, folder, _Record(folder / RECORD), rule, overwrite, console)


def imagery_of_map(map_: str | Path) -> Path | None:
    """The imagery of a map of one year, if it lies where it lay and is still the same file.

    None also for maps of versions that did not record the place.
    """
    map_ = Path(map_)
    record = _Record(map_.parent / RECORD)
    made_of, facts = record.made_of(map_), record.facts(map_)
    place = facts.get("imagery") if isinstance(facts, dict) else None
    stated = made_of.get("imagery") if isinstance(made_of, dict) else None
    if not isinstance(place, str) or not isinstance(stated, list):
        return None
    path = Path(place)
    is_same = path.is_file() and stated[:3] == [path.name, *_dated(path)[1:]]
    return path if is_same else None


def _checked(fdr: float, least: int | None, rho: float | None, years: int) -> Rule:
    if not 0 < fdr < 1:
        raise ConfigError(
            f"--fdr {fdr} is not a share of false discoveries; give one between 0 and 1, such as "
            "0.05"
        )
    if rho is not None and not 0 <= rho < 1:
        raise ConfigError(f"--rho {rho} is not an autocorrelation; give 0 or more, below 1")
    if least is None:
        least = max(FEWEST_YEARS, -(-years // 2))
    if not FEWEST_YEARS <= least <= years:
        raise ConfigError(
            f"--least {least} is impossible with {years} years; give a number from "
            f"{FEWEST_YEARS} to {years}"
        )
    return Rule(fdr, least, rho)


def _check_apart(outs: Iterable[Path], rasters: Mapping[int, Path]) -> None:
    """Raise if an output is one of the rasters that are read."""
    for out in outs:
        for path in rasters.values():
            if out.exists() and path.exists() and out.samefile(path):
                raise OutputError(
                    f"cannot write {out}: it is one of the rasters to read; name another folder"
                )


def _trend(maps, folder: Path, record: "_Record", rule: Rule, overwrite, console) -> dict:
    out = folder / TREND
    with Series(maps) as series:
        inputs = _inputs(series, rule, _identity)
        recorded = record.made_of(out)
        stated = _inputs(series, rule, _dated) if _is_dated(recorded) else inputs
        if record.stands(out, stated, overwrite) and (summary := record.facts(out)):
            return summary
        smallest = exact_p(len(maps))[-1]
        if smallest > rule.fdr:
            console.say(
                f"  note: with {len(maps)} years the smallest possible p is {smallest:.2g}, so no "
                f"trend can be significant at {rule.fdr:g}"
            )
        for remark in series.remarks:
            console.say(f"  note: {remark}")
        record.begin(out, inputs)
        summary = _summary(write_trend(series, out, rule, console), series, rule)
    record.finish(out, summary)
    return summary


def _inputs(series: Series, rule: Rule, identity_of: Callable[[Path], list[Any]]) -> dict[str, Any]:
    """What a trend is made of."""
    maps = {str(year): identity_of(path) for year, path in series.paths.items()}
    return {"maps": maps, "test": asdict(rule)}


def _identity(path: Path) -> list[Any]:
    return [path.name, path.stat().st_size, hash_file(path)]


def _dated(path: Path) -> list[Any]:
    """How versions before 0.2 stated a map."""
    stat = path.stat()
    return [path.name, stat.st_size, stat.st_mtime_ns]


def _is_dated(made_of: Any) -> bool:
    maps = made_of.get("maps") if isinstance(made_of, dict) else None
    return isinstance(maps, dict) and all(
        isinstance(entry, list) and isinstance(entry[-1], int) for entry in maps.values()
    )


def _summary(totals: TrendTotals, series: Series, rule: Rule) -> dict:
    tested = totals.p.total
    summary = {
        "years": series.years.tolist(),
        "pixels": totals.pixels,
        "tested": tested,
        "least_years": rule.least,
        "autocorrelation": totals.rho,
        "fdr": rule.fdr,
        "p_threshold": totals.p_threshold if totals.p_threshold >= 0 else None,
        "mean_slope": totals.slopes / tested if tested else None,
        "rising": totals.rising,
        "falling": totals.falling,
    }
    return summary | ({"changed": totals.changed} if "lower" in series.layers else {})


class _Record(Record):
    """`years.json` of a folder: what each map and the trend were made of."""

    def stands(self, out: Path, made_of: dict, overwrite: bool) -> bool:
        """Whether `out` exists and was made of `made_of`, by this version or an older one.

        Raises:
            OutputError: it was made of something else, and must not be replaced.
        """
        if not out.exists():
            return False
        recorded, wanted_hash = self.made_of(out), hash_value(_lasting(made_of))
        # A map of an older version stays: to compute all years anew takes hours.
        if isinstance(recorded, dict) and hash_value(_lasting(recorded)) == wanted_hash:
            return True
        if not overwrite:
            raise OutputError(
                f"{out} stands and is of other rasters, another model or another choice; give "
                "--force to replace it, or name another folder"
            )
        return False


def _lasting(made_of: dict) -> dict:
    return {name: value for name, value in made_of.items() if name != "version"}
