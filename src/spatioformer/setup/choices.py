"""Choose models, splits, chips and the map by the plots and rasters at hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.evaluation import EvaluateSection
from spatioformer.config.learning import AUTO
from spatioformer.config.schema import WITHOUT_IMAGERY
from spatioformer.evaluation.sizes import Tile, usual_tile
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.geo.grid import Grid
from spatioformer.geo.land.countries import countries_of
from spatioformer.setup.draft import Draft
from spatioformer.setup.rasters import RasterFacts
from spatioformer.setup.spread import Spread, shown_km
from spatioformer.setup.tables import TableFacts
from spatioformer.setup.yaml_text import scalar

FEWEST = 10  # sites; fewer make no folds worth a score
FOLDS = 5
FEW = 150  # sites, below which a network learns less than a Gaussian process
ENOUGH = 500  # sites, from which networks that learn from plots are worth their time
MANY = 5000  # plots, above which training a network in each fold takes hours on a CPU
KNNDM_SITES = range(30, 10_001)  # beyond, its distance matrix no longer fits
MOST_COUNTED = 20_000  # plots from which the size of tiles is found, evenly over the table
REGION_SITES = 100
TO_THE_RANGE = "the run widens them to the range of the residuals"
LARGE_MAP = 2_000_000  # pixels, above which the Gaussian process maps too slowly
SD_MAP = 1_000_000  # pixels, above which the standard deviation is computed at every fourth
LOOKED_AT = 200  # rows and columns of which the countries are found
FOREIGN = 0.01  # share of the map in countries without plots from which it gets an outline
MARGIN = 0.1  # of the plots' extent, mapped around it
WIDER = 4.0  # times the plots' box, above which a raster is not mapped as a whole

FEW_MODELS = ("stack", "gaussian-process", "random-forest", "location-knn")
TABLE_MODELS = WITHOUT_IMAGERY
# A fit of the stack to 5,000 plots takes 45 s and 1.1 GiB, and both grow faster than the plots.
MANY_MODELS = ("spatioformer-distilled", "gaussian-process", "random-forest", "location-knn")
LARGE_MAP_MODELS = ("spatioformer-distilled", *FEW_MODELS)


def choose(
    draft: Draft, table: TableFacts, rasters: Sequence[RasterFacts], measured: Sequence[str] = ()
) -> None:
    """Put everything that follows from the plots and the rasters into the draft.

    Args:
        measured: bands whose values the table states, so that plots outside the rasters count.
    """
    assert table.spread is not None
    spread = table.spread
    if spread.sites < FEWEST:
        draft.findings.object(
            f"the plots lie at {spread.sites} different place{'s' * (spread.sites > 1)}, and folds "
            f"need at least {FEWEST}; add plots"
        )
        return
    counts = table.table["richness"]
    if counts.nunique() == 1:
        draft.findings.object(
            f"all plots have richness {counts.iloc[0]:g}, so that there is nothing to learn; check "
            "the column, or set plots.columns.richness"
        )
    draft.findings.decide("plots", f"{len(table.table):,} at {spread.sites:,} sites", where(spread))
    grids = [facts.grid for facts in rasters if facts.grid is not None]
    if measured:
        grid: Grid | None = grids[0]
        draft.decide("model.patch", 1, "a plot measures the values of one pixel")
        why = "the table's values at the plots; the map takes the rasters'"
        draft.decide("model.covariates", list(measured), why)
    else:
        grid = _mapped(draft, spread, grids[0]) if grids else None
        _patch(draft, spread, grids)
        _covariates(draft, table, rasters)
    if grid is not None:
        _outline(draft, table, grid)
    models = _models(draft, spread, len(table.table), grid, beyond=bool(measured))
    _splits(draft, table, has_rasters=grid is not None)
    _map(draft, models, grid)


def where(spread: Spread) -> str:
    """Extent and spacing of plots in words."""
    across = ", across 180 degrees" if spread.crosses_180 else ""
    return (
        f"in {spread}{across}; half of the sites have a neighbour within "
        f"{shown_km(spread.spacing_km)}"
    )


def _mapped(draft: Draft, spread: Spread, grid: Grid) -> Grid:
    """The grid of the map: that of the first raster, or its part around the plots."""
    west, east, south, north = grid.region
    w, e, s, n = spread.region
    box = max(e - w, 1e-9) * max(n - s, 1e-9)
    area = ((east - west) % 360 or 360) * (north - south)
    if spread.crosses_180 or west > east or area <= WIDER * box:
        return grid
    step = abs(grid.transform.a) if grid.crs.is_geographic else 0.0
    margins = (max(MARGIN * (e - w), 5 * step), max(MARGIN * (n - s), 5 * step))
    digits = int(np.clip(2 - np.floor(np.log10(min(margins))), 0, 6))
    region = [
        round(max(west, w - margins[0]), digits),
        round(min(east, e + margins[0]), digits),
        round(max(south, s - margins[1]), digits),
        round(min(north, n + margins[1]), digits),
    ]
    if not (region[0] < region[1] and region[2] < region[3]):
        return grid  # no plot lies on the raster
    draft.decide(
        "imagery.region",
        region,
        f"W, E, S, N of the plots and {MARGIN:.0%} more; the raster covers {area / box:,.0f} times "
        "that, where a map would be far from any plot",
        comment=f"W, E, S, N: the plots and {MARGIN:.0%} more; without it, the whole raster",
    )
    return grid.clip((region[0], region[1], region[2], region[3]))


def _outline(draft: Draft, table: TableFacts, grid: Grid) -> None:
    """Leave other countries out if the map would hold some of their land."""
    rows = np.linspace(0, grid.height - 1, min(grid.height, LOOKED_AT))[:, None]
    cols = np.linspace(0, grid.width - 1, min(grid.width, LOOKED_AT))[None]
    mapped = countries_of(*grid.lonlat(rows, cols))
    lon, lat = table.table[["lon", "lat"]].to_numpy(np.float64).T
    with_plots = set(countries_of(lon, lat)) - {""}
    others = sorted(set(mapped) - with_plots - {""})
    share = float(np.isin(mapped, others).mean())
    if with_plots and share >= FOREIGN:
        named = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        draft.decide(
            "imagery.outline",
            "auto",
            f"{share:.0%} of the raster is land of countries without plots ({named})",
            comment=f"auto: only the plots' countries are mapped, not {named}; none: all land",
        )


def _patch(draft: Draft, spread: Spread, grids: Sequence[Grid]) -> None:
    """Side of the chips, pixels."""
    if not grids:
        draft.put("model.patch", 1, "a plot has no pixels around it")
        return
    side = pixel_km(grids[0])
    if side > spread.spacing_km > 0:
        patch = 1
        why = f"a pixel of {shown_km(side)} is wider than the distance between neighbouring plots"
    elif spread.sites < FEW:
        patch, why = 1, f"fewer than {FEW} sites are few for chips of several pixels"
    else:
        patch, why = 3, f"a plot and the pixels around it, {shown_km(3 * side)} a side"
    draft.decide("model.patch", patch, why)


def pixel_km(grid: Grid) -> float:
    """Side of a pixel in the middle of a grid, km."""
    rows = np.array([grid.height / 2 - 1, grid.height / 2])
    cols = np.array([grid.width / 2 - 1, grid.width / 2])
    lon, lat = grid.lonlat(rows, cols)
    spread = Spread.of(np.column_stack([lon, lat]))
    return float(np.hypot(spread.width_km, spread.height_km) / np.sqrt(2))


def _covariates(draft: Draft, table: TableFacts, rasters: Sequence[RasterFacts]) -> None:
    """Columns of the table that models use beside the pixels."""
    names = list(table.recognised.covariates)
    areas = table.table["area_m2"].dropna()
    varies = areas.nunique() > 1
    if not rasters:
        shown = ", ".join([*names, *(["area_m2"] if varies else [])]) or "none"
        why = "all usable columns; or a list, without those computed from the species: [a, b]"
        draft.decide("model.covariates", "auto", why, shown=f"auto: {shown}")
    elif varies:
        usual = float(areas.median())
        draft.decide(
            "model.covariates",
            {"area_m2": int(usual) if usual.is_integer() else usual},
            f"plots have {areas.min():g} to {areas.max():g} m2; the map is for plots of the median "
            "area",
            shown=f"area_m2: {usual:g}",
            comment="the map is for plots of this area (the median)",
        )
    if rasters:
        _columns_as_bands(draft, names, {band for facts in rasters for band in facts.bands})
    _years(draft, table, bool(rasters))


def _years(draft: Draft, table: TableFacts, has_rasters: bool) -> None:
    """Say that the year can be a covariate, where plots are of several."""
    years = table.table["date"].dropna().dt.year
    if years.nunique() > 1:
        last = years.max()
        way = f"`--set model.covariates.year={last}`" if has_rasters else "`[a, b, year]`"
        draft.findings.decide(
            "year",
            "not used",
            f"plots are of {years.min()} to {last}; models use it with covariates {way}",
        )


def _columns_as_bands(draft: Draft, names: Sequence[str], bands: set[str]) -> None:
    """Say what becomes of the table's columns where rasters are given."""
    folded = {band.casefold() for band in bands}
    same = [name for name in names if name.casefold() in folded]
    others = [name for name in names if name.casefold() not in folded]
    if same:
        draft.findings.decide(
            "table columns", ", ".join(same), "not read: the bands of the same names are used"
        )
    if others:
        shown = ", ".join(others[:6]) + (", ..." if len(others) > 6 else "")
        draft.findings.decide(
            "table columns",
            f"{shown}: not used",
            "the pixels of the rasters are used; a map needs every covariate as a raster",
        )


def _models(
    draft: Draft, spread: Spread, plots: int, grid: Grid | None, *, beyond: bool = False
) -> tuple[str, ...]:
    """Choose the models to compare.

    Args:
        beyond: whether plots lie outside the rasters, so that a network that is taught on the land
            of the rasters knows too little of them.
    """
    models, why = EvaluateSection().models, f"{plots:,} plots are enough for networks"
    if spread.sites < ENOUGH and grid is not None and grid.height * grid.width > LARGE_MAP:
        models = LARGE_MAP_MODELS
        why = f"{spread.sites:,} sites are few for networks that learn from plots alone"
    elif spread.sites < ENOUGH:
        models = FEW_MODELS
        why = (
            f"{spread.sites:,} sites are few for networks, which would take most of the time; "
            "docs/models.md lists all models"
        )
    elif plots > MANY:
        models, why = MANY_MODELS, f"with {plots:,} plots, more networks would train for hours"
    if grid is None:
        models = tuple(name for name in models if name in TABLE_MODELS)
    if grid is None and spread.sites >= ENOUGH and plots <= MANY:
        models = TABLE_MODELS
    if beyond:
        models = tuple(name for name in models if CATALOGUE[name].kind != "distilled")
        why += "; none is taught on the land of the rasters alone"
    draft.decide("evaluate.models", list(models), why)
    return models


def _splits(draft: Draft, table: TableFacts, has_rasters: bool) -> None:
    """Ways to hold plots out, and the sizes of tiles."""
    spread, lonlat = table.spread, table.lonlat
    assert spread is not None
    assert lonlat is not None
    splits: list[dict[str, Any]] = [{"name": "random", "kind": "random"}]
    reasons = ["random: new plots among the old ones"]
    tile = usual_tile(lonlat[:: 1 + len(lonlat) // MOST_COUNTED])
    tiles = tiles_of(lonlat, tile)
    if tiles >= FOLDS:
        splits.append({"name": "tiles", "kind": "tiles"})
        reasons.append(
            f"tiles of {shown_tile(tile)} or more, in which the plots make {tiles:,}: new plots "
            f"away from the old ones; {TO_THE_RANGE}"
        )
        size = f"size: {_number(tile.size)}, unit: {tile.unit}"
        draft.hint("evaluate.splits", f"tiles of one side: - {{name: tiles, kind: tiles, {size}}}")
    if has_rasters and spread.sites in KNNDM_SITES:
        splits.append({"name": "knndm", "kind": "knndm"})
        reasons.append("knndm: new plots as far from the old ones as the map's pixels are")
    elif spread.sites >= REGION_SITES or tiles < FOLDS:
        splits.append({"name": "regions", "kind": "regions"})
        reasons.append("regions: whole regions without plots")
    draft.put("evaluate.splits", splits, f"docs/evaluation.md; each has {FOLDS} folds")
    draft.findings.decide(
        "evaluate.splits", ", ".join(split["name"] for split in splits), "; ".join(reasons)
    )
    _folds_of_the_table(draft, table)


def tiles_of(lonlat: NDArray[np.float64], tile: Tile) -> int:
    """Number of tiles in which plots at lon, lat (n, 2), degrees, lie."""
    return int(SpatialBlockKFold(2, size=tile.size, unit=tile.unit).tiles(lonlat).max()) + 1


def shown_tile(tile: Tile) -> str:
    """The side of a tile in words."""
    unit = "degree" if tile.unit == "degrees" and tile.size == 1 else tile.unit
    return f"{tile.size:g} {unit}"


FOLD_WORDS = ("realm", "biome", "fold", "continent", "ecoregion", "region", "country")


def _folds_of_the_table(draft: Draft, table: TableFacts) -> None:
    """Hint at a column of the table that could make folds."""
    names = [name for name, kind in table.recognised.covariates.items() if kind == "class"]
    for word in FOLD_WORDS:
        for name in names:
            if word in name.casefold():
                draft.hint(
                    "evaluate.splits",
                    f"folds from a column: - {{name: {word}, kind: column, column: "
                    f"{scalar(name)}}}",
                )
                return


def _map(draft: Draft, models: Sequence[str], grid: Grid | None) -> None:
    """The model of the map, and how its standard deviation is computed."""
    role = "makes the map" if grid is not None else "predicts other places"
    draft.decide("map.model", AUTO, f"the scores choose the model that {role}; or name one")
    if grid is None or all(CATALOGUE[model].kind == "tabular" for model in models):
        return
    pixels = grid.height * grid.width
    draft.put("map.samples", 20, "for the standard deviation of a network; 0 leaves it out")
    if pixels > SD_MAP:
        draft.decide("map.sd_step", 4, f"{pixels:,} pixels: standard deviation at one of 4 x 4")


def _number(value: float) -> float | int:
    """1 instead of 1.0."""
    return int(value) if float(value).is_integer() else value
