"""Read the plot table of a run, with the columns of its covariates, group and folds."""

from spatioformer.config.schema import RunConfig
from spatioformer.geo.plots import table
from spatioformer.geo.plots.source import quoted

MOST_NAMED = 12
"""Largest number of columns that a note names."""

OF_PLOTS = {"area_m2": "area_m2", "year": "date"}
"""Covariate that every plot table may have -> our name of its column."""


def read_with_covariates(config: RunConfig, first: int | None = None) -> table.PlotIntake:
    """Read the plot table of a run, with the columns of its covariates, group and folds.

    Args:
        first: number of rows to read, without covariates, for a look at a large table; None: all.

    Raises:
        PlotError: a file, setting or column that cannot be used.
        TooManyRejected: more rows were rejected than the configuration allows.
    """
    section = config.plots
    species = section.species.model_dump(exclude_none=True) if section.species else None
    kinds, notes = _kinds(config) if first is None else ({}, [])
    intake = table.read_plots(
        section.path,
        **section.model_dump(exclude={"path", "species"}),
        species=species,
        region=config.imagery.region if config.imagery else None,
        covariates=kinds,
        fold=config.fold_column,
        kind=config.target.kind,
        first=first,
    )
    intake.summary.setdefault("covariates", {})
    intake.summary["notes"] += notes
    return intake


def _kinds(config: RunConfig) -> tuple[dict[str, str], list[str]]:
    """Columns of the file to read as covariates -> "number" or "class"; notes on those found."""
    from spatioformer.geo.plots.columns import read_columns
    from spatioformer.geo.plots.files import open_source
    from spatioformer.geo.plots.recognise import recognise

    section, chosen = config.plots, config.model.covariates
    wanted = [name for name in chosen if name not in OF_PLOTS] if chosen != "auto" else []
    if chosen != "auto" and not wanted:
        return {}, []
    source = open_source(section.path, separator=section.separator, layer=section.layer)
    if chosen == "auto":
        columns = {str(k): v for k, v in (section.columns or {}).items()}
        counted = section.species is not None
        found = recognise(
            source, crs=section.crs, columns=columns, decimal=section.decimal, counted=counted
        )
        used = {section.group, config.fold_column}
        kinds = {name: kind for name, kind in found.covariates.items() if name not in used}
        return kinds, _notes(kinds, found.left_out)
    for name in wanted:
        source.position(name, f"model.covariates, {name}")
    of_name = {column.name: column for column in read_columns(source)}
    kinds = {name: "number" if of_name[name].has_numbers else "class" for name in wanted}
    return kinds, []


def _notes(kinds: dict[str, str], left_out: dict[str, str]) -> list[str]:
    """What was found to be a covariate, and why other columns are none."""
    notes = [f"covariates: {', '.join(kinds) or 'none'}"]
    if left_out:
        reasons = [f"{quoted(name)} ({why})" for name, why in left_out.items()]
        more = f" and {len(reasons) - MOST_NAMED} more" if len(reasons) > MOST_NAMED else ""
        notes.append(f"not covariates: {', '.join(reasons[:MOST_NAMED])}{more}")
    return notes
