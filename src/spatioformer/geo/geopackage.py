"""Write GeoPackages: reproducible bytes, whole or not at all."""

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from spatioformer.common.errors import OutputError
from spatioformer.common.files import writing

if TYPE_CHECKING:
    import geopandas as gpd

DATE = "2000-01-01T00:00:00.000Z"
"""Stated time of the last change, so that equal tables give equal files."""


def write_geopackage(table: "gpd.GeoDataFrame", out: Path, layer: str) -> None:
    """Write a table as the only layer of a GeoPackage.

    Raises:
        OutputError: the file cannot be written; an older one there is kept.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

    with writing(out) as part:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": DATE})
        try:
            table.to_file(part, driver="GPKG", layer=layer, engine="pyogrio")
            if not _is_whole(part, layer, len(table)):
                raise DataLayerError("only a part of it reached the disk")
        except (DataSourceError, DataLayerError, FeatureError) as error:
            reason = str(error).splitlines()[0].rstrip(".").replace(str(part), str(out))
            raise OutputError(
                f"cannot write {out} ({reason}); check that the disk has space and the folder can "
                "be written"
            ) from error
        finally:
            pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
            for end in ("-journal", "-wal", "-shm"):
                part.with_name(part.name + end).unlink(missing_ok=True)


def _is_whole(path: Path, layer: str, rows: int) -> bool:
    """Whether the file holds all rows and their spatial index, which GDAL writes last.

    GDAL gives no error if the disk is full when it closes a file.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as base:
            (state,) = base.execute("PRAGMA integrity_check").fetchone()
            (count,) = base.execute(f'SELECT count(*) FROM "{layer}"').fetchone()
            (indexes,) = base.execute(
                "SELECT count(*) FROM gpkg_extensions WHERE extension_name = 'gpkg_rtree_index'"
            ).fetchone()
    except sqlite3.Error:
        return False
    return state == "ok" and count == rows and indexes == 1
