"""Find the format of an archive and read it as a survey."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives import inventory, matrices
from spatioformer.geo.plots.archives.darwin_core import metafile
from spatioformer.geo.plots.archives.darwin_core.archive import SIMPLE, read_archive, read_simple
from spatioformer.geo.plots.archives.pieces import TextFormat
from spatioformer.geo.plots.archives.store import Store
from spatioformer.geo.plots.archives.survey import Survey
from spatioformer.geo.plots.archives.tables import TEXTS, Table, read_tables, text_tables
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.sheets import SUFFIXES, sheet_names
from spatioformer.geo.plots.source import Source, quoted

FORMATS = (
    "a Darwin Core archive (meta.xml), a GBIF download, sPlotOpen's tables, AusPlots' site.info "
    "and veg.vouch, a Turboveg header and species list, an inventory, or a vegetation table"
)


def read_survey(path: Path, settings: Mapping[str, Any]) -> Survey:
    """The visits of an archive, a folder or a table.

    Raises:
        PlotError: nothing is there, or no format fits.
    """
    if not path.exists():
        raise PlotError(f"there is no file or folder {path}; check the path")
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _of_store(Store(path))
    if path.suffix.lower() in TEXTS:
        store = _LoneFile(path)
        if is_simple(table := store.table):
            return read_simple(store, table.name, table.form)
    return _of_table(path, settings)


def is_archive(path: object) -> bool:
    """Whether a source is an archive or a folder, or a GBIF simple CSV, not a plot table."""
    if not isinstance(path, str | Path):
        return False
    path = Path(path)
    if path.is_dir() or path.suffix.lower() == ".zip":
        return True
    if path.suffix.lower() not in TEXTS or not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(4096).split(b"\n")[0].decode("utf-8", "replace")
    return set(SIMPLE) <= {cell.strip() for cell in start.lstrip("\ufeff").split("\t")}


def is_simple(table: Table) -> bool:
    """Whether a table is a GBIF simple CSV."""
    return set(SIMPLE) <= set(table.columns)


class _LoneFile(Store):
    """A text file as an archive of one file."""

    def __init__(self, path: Path):
        self.path = path.parent
        self._is_folder = True
        self._names = {path.name: path.stat().st_size}
        self.names = [path.name]
        tables = text_tables(self)
        self.table = tables[0] if tables else Table(path.name, TextFormat(), (), ())


def _of_store(store: Store) -> Survey:
    meta = store.find(metafile.NAME)
    if meta is not None:
        return read_archive(store, meta)
    tables = text_tables(store)
    simple = [table for table in tables if is_simple(table)]
    if len(simple) == 1:
        return read_simple(store, simple[0].name, simple[0].form)
    if (survey := read_tables(store, tables)) is not None:
        return survey
    held = ", ".join(quoted(name) for name in store.names[:5])
    raise PlotError(
        f"the format of {store.path.name} is not known: it holds {held}; it has to be {FORMATS}"
    )


def _of_table(path: Path, settings: Mapping[str, Any]) -> Survey:
    """A single table: an inventory, or a vegetation table."""
    sheets = sheet_names(path) if path.suffix.lower() in SUFFIXES else []
    if len(sheets) > 1 and settings.get("layer") is None:
        return matrices.read_matrix(path, settings)
    source = open_source(path, separator=settings.get("separator"), layer=settings.get("layer"))
    species = settings.get("species") or {}
    given = {str(k): str(v) for k, v in (settings.get("columns") or {}).items()}
    is_long = bool(species.get("species")) or bool(inventory.species_columns(source))
    if not is_long and not inventory.has_richness(source, given) and _has_species(source):
        return matrices.read_matrix(path, settings)
    return inventory.read_inventory(source, settings)


def _has_species(source: Source) -> bool:
    """Whether a row or a column of a table is named like a species."""
    if any(matrices.is_species(name) for name in source.header):
        return True
    return any(matrices.is_species(row.cells[0]) for row in source.rows([0]))
