"""Checks of the settings of a plot reading against each other and the header."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pyproj import CRS

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.cells import FIELDS
from spatioformer.geo.plots.checks import parse_crs
from spatioformer.geo.plots.dates import ORDERS
from spatioformer.geo.plots.hemispheres import SIDES
from spatioformer.geo.plots.numbers import Style, numbers
from spatioformer.geo.plots.place_crs import WGS84
from spatioformer.geo.plots.source import GEOMETRY_X, GEOMETRY_Y, Source
from spatioformer.geo.plots.target import KINDS, kind_of

ANY_ZONE = "EPSG:32631"
"""Stands for the CRSs of a column of UTM zones where only the size of coordinates matters."""


def check_options(decimal: str | None, date_order: str | None, kind: str, counted: bool) -> None:
    """Raise unless the settings with a few values have one of them."""
    if decimal not in (None, ".", ","):
        raise PlotError(f"decimal {decimal!r} is no decimal sign; use '.' or ','")
    if date_order not in (None, *ORDERS):
        raise PlotError(f"date_order {date_order!r} is unknown; use {', '.join(ORDERS)}")
    if kind not in ("auto", *KINDS):
        raise PlotError(f"kind {kind!r} of the richness is unknown; use auto, {', '.join(KINDS)}")
    if counted and kind not in ("auto", "count"):
        raise PlotError(f"richness counted from species is a count, not {kind}; use auto or count")


def check_columns(
    columns: Mapping[str, str | None],
    source: Source,
    species: Mapping[str, Any] | None,
    with_richness: bool = True,
) -> dict[str, str]:
    """Our column names -> those of the file; checks that the necessary ones are set."""
    unknown = sorted(set(columns) - set(FIELDS))
    if unknown:
        raise PlotError(f"columns.{unknown[0]} is not a column name; use {', '.join(FIELDS)}")
    names = {name: column for name, column in columns.items() if column is not None}
    if source.crs is not None:
        if extra := next((name for name in ("zone", *SIDES.values()) if name in names), None):
            raise PlotError(
                f"{source.path.name} has point geometries with a CRS of their own; remove "
                f"columns.{extra}"
            )
        names |= {"lon": GEOMETRY_X, "lat": GEOMETRY_Y}
    for name in ("lon", "lat"):
        if name not in names:
            raise PlotError(f"columns.{name} is not set; set it to a column of {source.path.name}")
    if species is not None and species.get("path") is None and species.get("plot_id") is not None:
        names.setdefault("plot_id", species["plot_id"])
    if not with_richness:
        names.pop("richness", None)
    elif "richness" not in names and species is None:
        raise PlotError(
            "columns.richness is not set; set it to a column of counts, or set species to count "
            "them from species data"
        )
    return names


def check_crs(crs: object, names: Mapping[str, str], source: Source) -> CRS:
    """CRS of lon and lat; ANY_ZONE if the rows name UTM zones, which takes no other crs."""
    if source.crs is not None:
        return source.crs
    parsed = parse_crs(WGS84 if crs is None else crs)
    if "zone" not in names:
        return parsed
    if not parsed.equals(CRS(WGS84), ignore_axis_order=True):
        raise PlotError(
            f"crs {crs!r} and columns.zone {names['zone']!r} both give the CRS of the coordinates; "
            f"remove one of the two"
        )
    return CRS(ANY_ZONE)


def check_degrees(styles: Mapping[str, Style], crs: CRS) -> None:
    """Raise for degrees, minutes and seconds in a CRS of metres."""
    written = [name for name in ("lon", "lat") if styles[name].axis]
    if written and not crs.is_geographic:
        raise PlotError(
            f"{' and '.join(written)} are written in degrees, minutes and seconds, but crs is "
            f"{crs.name}, in metres; set crs to 'EPSG:4326'"
        )


def target_kind(kind: str, texts: pd.Series, style: Style, counted: bool) -> tuple[str, list[str]]:
    """Kind of the richness, and a note if 'auto' finds another than counts."""
    if kind != "auto":
        return kind, []
    if counted:
        return "count", []
    values = numbers(texts.tolist(), style)
    values = values[np.isfinite(values)]
    found, why = kind_of(values)
    if found == "count":
        return found, []
    target = "a proportion" if found == "proportion" else "a continuous value"
    return found, [f"richness is {target}, not a count: {why}"]
