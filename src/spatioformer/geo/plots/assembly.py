"""The plot table from the values of good rows."""

import geopandas
import pandas as pd

from spatioformer.geo.plots.verdicts import is_missing

TABLE_DTYPES = {
    "plot_id": "str",
    "lon": "float64",
    "lat": "float64",
    "richness": "float64",
    "area_m2": "float64",
    "date": "datetime64[us]",
    "programme": "str",
    "location": "int64",
    "source_line": "int64",
}
"""Columns of a plot table in order, without the geometry."""

_SAME_PLACE = 6  # decimals of a degree, about 0.1 m, within which plots share a location


def assemble(
    cells: pd.DataFrame, values: pd.DataFrame, extras: pd.DataFrame
) -> tuple[geopandas.GeoDataFrame, int]:
    """The table, and the number of repeated plot_id that were given a suffix.

    Args:
        cells, values: text and values of the rows that are kept.
        extras: further columns, which come after those of TABLE_DTYPES.
    """
    plot_ids, renamed = _unique_ids(cells["plot_id"], cells["line"])
    programme = cells["programme"].mask(is_missing(cells["programme"]), "")
    place = values[["lon", "lat"]].round(_SAME_PLACE)
    table = pd.DataFrame(
        {
            "plot_id": plot_ids,
            **values[["lon", "lat", "richness", "area_m2", "date"]],
            "programme": programme,
            "location": place.groupby(["lon", "lat"], sort=False).ngroup(),
            "source_line": cells["line"],
        }
    )
    table = table.astype(TABLE_DTYPES).join(extras).reset_index(drop=True)
    points = geopandas.points_from_xy(table["lon"], table["lat"])
    return geopandas.GeoDataFrame(table, geometry=points, crs="EPSG:4326"), renamed


def _unique_ids(plot_ids: pd.Series, lines: pd.Series) -> tuple[list[str], int]:
    """Unique plot_id of each row: line-N if missing, with -2, -3, ... if repeated."""
    missing = is_missing(plot_ids)
    ids = [
        f"line-{line}" if is_missing_id else text
        for text, line, is_missing_id in zip(
            plot_ids.tolist(), lines.tolist(), missing, strict=True
        )
    ]
    taken, used, renamed = set(ids), set(), 0
    next_numbers: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in used:
            renamed += 1
            number = next_numbers.get(name, 2)
            while f"{name}-{number}" in taken:
                number += 1
            next_numbers[name] = number + 1
            ids[row] = f"{name}-{number}"
            taken.add(ids[row])
        used.add(ids[row])
    return ids, renamed
