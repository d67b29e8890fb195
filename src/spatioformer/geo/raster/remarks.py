"""Remarks on what layers hold: integers that look like classes, pieces of one raster."""

import shlex
from collections.abc import Sequence

import numpy as np

from spatioformer.common.errors import ImageryError
from spatioformer.geo.place import full_turn
from spatioformer.geo.raster.classes import few_integers
from spatioformer.geo.raster.layers import OpenLayer


def class_remark(opened: OpenLayer) -> str | None:
    """A sentence on a layer of a few different integers that does not say what they are."""
    layer = opened.layer
    if layer.categorical is not None or layer.resampling is not None:
        return None
    for band in opened.indexes:
        with opened.readable():
            values = opened.integers
            if values is None:
                values = few_integers(opened.dataset, band)
        if values:
            shown = ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")
            return (
                f"{layer.name} holds only {len(values)} different integers ({shown}), which look "
                "like classes; set `categorical: true` for one 0/1 band a class, or `categorical: "
                "false` for numbers"
            )
    return None


def units_remark(opened: OpenLayer) -> str | None:
    """A sentence on a layer whose scale or offset replaces another one of the file."""
    layer, dataset = opened.layer, opened.dataset
    for key, given, stated in (
        ("scale", layer.scale, dataset.scales),
        ("offset", layer.offset, dataset.offsets),
    ):
        usual = (1.0 if key == "scale" else 0.0, given)
        of_layer = [stated[band - 1] for band in opened.indexes]
        replaced = [number for number in of_layer if number not in usual]
        if given is not None and replaced:
            return (
                f"layer {layer.name}: `{key}: {given:g}` replaces the {key} {replaced[0]:g} that "
                f"{layer.path.name} states, and does not come on top of it; leave `{key}` out to "
                "take the values of the file"
            )
    return None


def check_pieces(opened: Sequence[OpenLayer]) -> None:
    """Raise if two layers are pieces of one raster, of which no pixel has both.

    Raises:
        ImageryError: their extents are apart, in one CRS and with pixels of one size.
    """
    for i, one in enumerate(opened):
        for other in opened[i + 1 :]:
            if _are_pieces(one, other):
                files = " ".join(shlex.quote(str(o.layer.path)) for o in (one, other))
                raise ImageryError(
                    f"layers {one.layer.name} and {other.layer.name} look like pieces of one "
                    "raster, side by side, so that no pixel has values of both; join all pieces "
                    f"first (gdalbuildvrt mosaic.vrt {files}) and give mosaic.vrt as one layer"
                )


def _are_pieces(one: OpenLayer, other: OpenLayer) -> bool:
    a, b = one.grid, other.grid
    steps = np.array([a.transform[i] - b.transform[i] for i in (0, 1, 3, 4)])
    size = abs(a.transform.a) + abs(a.transform.b)
    if a.crs != b.crs or np.abs(steps).max() > 1e-6 * size:
        return False
    if len(one.indexes) != len(other.indexes):
        return False
    turn = full_turn(a.crs) if a.crs.is_geographic else 0.0
    (w, s, e, n), (w2, s2, e2, n2) = a.bounds, b.bounds
    slack = 0.01 * size
    apart = all(w2 + shift >= e - slack or e2 + shift <= w + slack for shift in (-turn, 0.0, turn))
    above = s2 >= n - slack or n2 <= s + slack
    near = min(abs(w2 - e), abs(w - e2)) < 2 * size or min(abs(s2 - n), abs(s - n2)) < 2 * size
    return (apart or above) and near
