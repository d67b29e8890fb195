"""Plot tables for the Python door: a file or a DataFrame in, a checked GeoDataFrame out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd

from spatioformer.archives.plot_archives import PlotArchive, plot_archive
from spatioformer.common.errors import PlotError
from spatioformer.geo.grid import LONLAT
from spatioformer.geo.plots import table
from spatioformer.geo.plots.archives.importing import ImportOptions, import_plots
from spatioformer.geo.plots.archives.nested import NESTED, NestedRule
from spatioformer.geo.plots.archives.reading import is_archive
from spatioformer.geo.plots.archives.richness import RULES, TaxaRule
from spatioformer.geo.plots.files import open_source


def read_plots(
    source: str | Path | pd.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
    crs: object = None,
    separator: str | None = None,
    layer: str | None = None,
    species: Mapping[str, Any] | None = None,
    decimal: str | None = None,
    date_order: str | None = None,
    region: Sequence[float] | None = None,
    max_rejected: float = 0.1,
    archive: bool | None = None,
    accept_incomplete: bool = False,
    taxa: TaxaRule = "species",
    nested: NestedRule = "largest",
    offline: bool = False,
) -> geopandas.GeoDataFrame:
    """Read and check a table of vegetation plots, or import those of an archive.

    An archive is a .zip file, a folder, or a GBIF simple CSV: Darwin Core, GBIF, sPlotOpen,
    AusPlots or Turboveg, see docs/archives.md. Its plots have further columns, such as
    list_complete, and `attrs["imported"]` holds its origin, licences and effort.

    Rows that cannot be used are left out and kept with their reasons in `attrs["rejected"]`:
    `pandas.DataFrame(plots.attrs["rejected"])` shows them. `attrs["summary"]` holds counts, ranges
    and notes. Both are plain lists and dicts, since pandas can neither join nor save frames whose
    `attrs` hold a DataFrame.

    Args:
        source: a .csv, .tsv, .txt (also .gz), .xlsx, .parquet or .gpkg file; a DataFrame or
            GeoDataFrame, which is checked by the same rules; or an archive. The link of a file
            (https://...) or a GBIF download ("gbif:KEY", or its DOI) is fetched into the user's
            cache folder.
        columns: from plot_id, lon, lat, richness, area_m2, date, programme and zone to the columns
            of the table. None: the table calls them by these names; lon, lat and richness (or
            `species`) are needed, and the others are taken where the table has them. If it has no
            columns of the needed names, all are found by other usual names and by their values.
        crs: of lon and lat, anything pyproj reads. A table with point geometries brings its own.
            None: EPSG:4326, or found if the columns are.
        separator: between the columns of a text file; None: found from the rows.
        layer: of a GeoPackage, or sheet of a workbook; None: the only one.
        species: how to count richness from species data: `{"layout": "matrix"}` or
            `{"layout": "long", "path": ...}`; see docs/plots.md.
        decimal: "." or ",", the decimal sign of numbers in text; None: found from each column.
        date_order: "year-first", "day-first" or "month-first"; None: found from all dates.
        region: W, E, S, N in degrees; plots outside it are rejected.
        max_rejected: largest share of rows, 0 to 1, that may be rejected.
        archive: True imports any source, also an inventory or a vegetation table; None: archives.
        accept_incomplete: keep single records of an archive that no survey made.
        taxa: "species", "strict" or "written": which names of an archive count as one taxon.
        nested: "largest" or "all": which of nested plots at one place an archive's table keeps.
        offline: take a link or a GBIF download from the cache, never from the network.

    Returns:
        Points in EPSG:4326, one row a plot, with the columns plot_id (unique), lon, lat (degrees),
        richness (number of species), area_m2 (square metres, NaN unknown), date (NaT unknown),
        programme, location (plots at one place share it) and source_line.

    Raises:
        PlotError: a file, setting or column that cannot be used, or too many rows rejected.
        RemoteError: a link cannot be fetched, or is not in the cache (`offline`).

    Examples:
        >>> import pandas as pd
        >>> import spatioformer as sf
        >>> table = {"lon": [147.1, 147.3], "lat": [-42.9, -42.7], "richness": [31, 8]}
        >>> plots = sf.read_plots(pd.DataFrame(table))
        >>> plots[["plot_id", "richness"]].to_numpy().tolist()
        [['line-1', 31.0], ['line-2', 8.0]]
        >>> plots.crs.to_epsg(), plots.attrs["rejected"]
        (4326, [])
    """
    fetched = None
    if isinstance(source, str):
        fetched = plot_archive(source, offline=offline)
        source = fetched.path
    imported = is_archive(source) if archive is None else archive
    if imported:
        settings = {
            "columns": columns,
            "crs": None if crs is None else str(crs),
            "separator": separator,
            "layer": layer,
            "species": species,
            "decimal": decimal,
            "date_order": date_order,
        }
        options = _options(fetched, accept_incomplete, taxa, nested, settings)
        return _imported(source, replace(options, region=region, max_rejected=max_rejected))
    if isinstance(source, geopandas.GeoDataFrame) and source.crs is None:
        raise PlotError(
            "the geometry of the table has no CRS; give it one with plots.set_crs('EPSG:...')"
        )
    if columns is None:
        columns = _usual_columns(source, separator, layer, species is not None)
    intake = table.read_plots(
        source,
        columns=columns,
        crs=crs,
        separator=separator,
        layer=layer,
        species=species,
        decimal=decimal,
        date_order=date_order,
        region=region,
        max_rejected=max_rejected,
    )
    return _with_attributes(intake)


def _with_attributes(intake: table.PlotIntake) -> geopandas.GeoDataFrame:
    plots = intake.table
    plots.attrs = {"summary": intake.summary, "rejected": intake.rejected.to_dict("records")}
    if "imported" in intake.summary:
        plots.attrs["imported"] = intake.summary["imported"]
    return plots


def _options(
    fetched: PlotArchive | None,
    accept_incomplete: bool,
    taxa: TaxaRule,
    nested: NestedRule,
    settings: Mapping[str, Any],
) -> ImportOptions:
    if taxa not in RULES or nested not in NESTED:
        raise PlotError(
            f"taxa {taxa!r} or nested {nested!r} is no rule; use {', '.join(RULES)}, and "
            f"{' or '.join(NESTED)}"
        )
    explicit = {name: value for name, value in settings.items() if value is not None}
    options = ImportOptions(accept_incomplete, taxa, nested, settings=explicit)
    if fetched is None:
        return options
    return replace(
        options,
        doi=fetched.doi,
        licence=fetched.licence,
        citation=fetched.citation,
        address=fetched.address,
    )


def _imported(source: object, options: ImportOptions) -> geopandas.GeoDataFrame:
    """The plots of an archive."""
    if not isinstance(source, str | Path):
        raise PlotError("archive=True imports a file or folder; give its path")
    return _with_attributes(import_plots(source, options))


def _usual_columns(
    source: str | Path | pd.DataFrame, separator: str | None, layer: str | None, counted: bool
) -> dict[str, str] | None:
    """Our own names: those that a table must have and the others that it has; None if it lacks any.

    A column zone may be any zone, so its name alone says nothing.
    """
    opened = open_source(source, separator=separator, layer=layer)
    header = opened.header
    needed = ("lon", "lat") if counted else ("lon", "lat", "richness")
    # Richness that is counted from species must not be read from a column as well.
    offered = [n for n in table.FIELDS if n in header and n not in ("richness", "zone")]
    places = {"lon", "lat"} if opened.crs is not None else set()  # of the geometry
    if not {*needed} <= {*header} | places:
        return None
    return {name: name for name in (*needed, *offered)}


def plot_frame(plots: object, *, counted: bool) -> pd.DataFrame:
    """What a model takes of a table of plots: lon, lat and whatever other columns it has.

    Args:
        plots: what `read_plots` gives, or a frame with columns lon and lat (degrees), or a
            GeoDataFrame of points.
        counted: whether a richness is needed too.

    Returns:
        A new frame of the columns of numbers and dates, its index 0, 1, ...; area_m2 is NaN where
        there was none.

    Raises:
        PlotError: no frame, a column is missing, or a value cannot be used.
    """
    if not isinstance(plots, pd.DataFrame):
        raise PlotError(
            f"plots is a {type(plots).__name__}; give the table of spatioformer.read_plots, or a "
            "DataFrame with the columns lon, lat and richness"
        )
    frame = pd.DataFrame(plots).reset_index(drop=True)
    frame.attrs = {}  # chips keep their table in a Parquet file, which takes JSON alone
    if not {"lon", "lat"} <= set(frame.columns) and isinstance(plots, geopandas.GeoDataFrame):
        points = plots.geometry.to_crs(LONLAT)
        frame = frame.assign(lon=points.x.to_numpy(), lat=points.y.to_numpy())
    for name in ("lon", "lat", *(["richness"] if counted else [])):
        _check(frame, name)
    if "area_m2" not in frame:
        frame["area_m2"] = np.nan
    return frame.select_dtypes(["number", "bool", "datetime"])


_RANGES = {"lon": (-180.0, 360.0), "lat": (-90.0, 90.0), "richness": (0.0, np.inf)}


def _check(frame: pd.DataFrame, name: str) -> None:
    """Raise a PlotError unless the column holds numbers in its range."""
    if name not in frame:
        raise PlotError(
            f"plots have no column {name!r}; read them with spatioformer.read_plots, which takes "
            f"the name of your own column: columns={{{name!r}: ...}}"
        )
    low, high = _RANGES[name]
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~((values >= low) & (values <= high) & np.isfinite(values))
    if bad.any():
        row = int(bad.argmax())
        raise PlotError(
            f"{name} of plots has {int(bad.sum())} values that cannot be used, the first "
            f"{frame[name].tolist()[row]!r} in row {row}; read them with spatioformer.read_plots, "
            "which leaves such rows out and says why"
        )
    frame[name] = values
