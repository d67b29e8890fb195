"""Read the plot table of a run, with the columns of its covariates, group and folds."""

from spatioformer.config.schema import RunConfig
from spatioformer.geo.plots import table

OF_PLOTS = {"area_m2": "area_m2", "year": "date"}
"""Covariate that every plot table may have -> our name of its column."""


def read_with_covariates(config: RunConfig) -> table.PlotIntake:
    """Read the plot table of a run, with the columns of its covariates, group and folds.

    Raises:
        PlotError: a file, setting or column that cannot be used.
        TooManyRejected: more rows were rejected than the configuration allows.
    """
    section = config.plots
    species = section.species.model_dump(exclude_none=True) if section.species else None
    intake = table.read_plots(
        section.path,
        **section.model_dump(exclude={"path", "species"}),
        species=species,
        region=config.imagery.region if config.imagery else None,
        covariates=_kinds(config),
        fold=config.fold_column,
        kind=config.target.kind,
    )
    intake.summary.setdefault("covariates", {})
    return intake


def _kinds(config: RunConfig) -> dict[str, str]:
    """Columns of the file to read as covariates -> "number" or "class"."""
    from spatioformer.geo.plots.columns import read_columns
    from spatioformer.geo.plots.files import open_source
    from spatioformer.geo.plots.recognise import recognise

    section, chosen = config.plots, config.model.covariates
    wanted = [name for name in chosen if name not in OF_PLOTS] if chosen != "auto" else []
    if chosen != "auto" and not wanted:
        return {}
    source = open_source(section.path, separator=section.separator, layer=section.layer)
    if chosen == "auto":
        columns = {str(k): v for k, v in (section.columns or {}).items()}
        counted = section.species is not None
        found = recognise(
            source, crs=section.crs, columns=columns, decimal=section.decimal, counted=counted
        ).covariates
        used = {section.group, config.fold_column}
        return {name: kind for name, kind in found.items() if name not in used}
    for name in wanted:
        source.position(name, f"model.covariates, {name}")
    of_name = {column.name: column for column in read_columns(source)}
    return {name: "number" if of_name[name].has_numbers else "class" for name in wanted}
