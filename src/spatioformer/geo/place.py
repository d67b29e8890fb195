"""Where a raster lies: its affine transform, or one sentence that says why there is none."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS
from rasterio.io import DatasetReader

from spatioformer.common.errors import ImageryError

MOST_SIDE = 50_000_000  # pixels; the equator at 0.8 m
WIDEST = 2e8  # units of a projected CRS; five times round the Earth in metres


def check_warped(dataset: DatasetReader, owner: str, path: str | Path) -> None:
    """Raise if a raster is placed by points or arrays, which no affine transform replaces.

    Args:
        owner: subject of the message, such as "layer rain: rain.tif".
        path: what gdalwarp opens, for the message.

    Raises:
        ImageryError: it has ground control points, RPCs or geolocation arrays, and no transform.
    """
    if dataset.transform != Affine.identity():
        return
    points, _ = dataset.gcps
    if points:
        reason, option = f"{len(points)} ground control points", ""
    elif dataset.rpcs is not None:
        reason, option = "rational polynomial coefficients (RPC)", "-rpc "
    elif "GEOLOCATION" in dataset.tag_namespaces():
        reason, option = "arrays of longitude and latitude, not by equal steps", "-geoloc "
    else:
        return
    file = str(path).split('"')[1] if '"' in str(path) else path  # of netcdf:"FILE":VARIABLE
    name = Path(file).stem
    source = shlex.quote(str(path))
    raise ImageryError(
        f"{owner} is placed by {reason}, which `crs` and `bounds` cannot replace; warp it first: "
        f"gdalwarp {option}-t_srs EPSG:4326 -dstalpha {source} {shlex.quote(name + '-warped.tif')}"
        " (gdalwarp comes with QGIS, conda install gdal or apt install gdal-bin)"
    )


def check_transform(
    transform: Affine, shape: Sequence[int], crs: CRS, owner: str, remedy: str
) -> None:
    """Raise if a transform cannot be that of a raster on Earth.

    Args:
        shape: (rows, columns).
        owner, remedy: beginning and end of the message.

    Raises:
        ImageryError: the transform is singular or not finite, or lays pixels outside the Earth.
    """
    values = [float(f"{value:.6g}") for value in transform[:6]]
    height, width = shape
    if max(shape) > MOST_SIDE:
        raise ImageryError(
            f"{owner} says that it has {height:,} x {width:,} pixels, more than {MOST_SIDE:,} a "
            "side; correct its header, or cut out the part needed with gdal_translate -projwin"
        )
    if not np.isfinite(transform[:6]).all():
        raise ImageryError(f"{owner} has the transform {values}, which is not finite; {remedy}")
    a, b, _, d, e, _ = transform[:6]
    steps = float(np.hypot(a, d)), float(np.hypot(b, e))
    if abs(a * e - b * d) <= 1e-12 * steps[0] * steps[1]:
        raise ImageryError(
            f"{owner} has the transform {values}, which lays all pixels on one line; {remedy}"
        )
    corners = [transform @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    xs, ys = np.array(corners).T
    far = max(np.abs(xs).max(), np.abs(ys).max())
    if not np.isfinite(far) or min(steps) < 16 * np.spacing(far):
        raise ImageryError(
            f"{owner} has the transform {values}, whose pixels are too small or too large to tell "
            f"their places apart; {remedy}"
        )
    if crs.is_geographic:
        turn = full_turn(crs)
        allowed = steps[1] + 1e-6 * turn
        if np.abs(ys).max() > turn / 4 + allowed or np.abs(xs).max() > 2 * turn:
            raise ImageryError(
                f"{owner} would reach from {xs.min():.6g} to {xs.max():.6g} in longitude and from "
                f"{ys.min():.6g} to {ys.max():.6g} in latitude, which is not on Earth in its CRS "
                f"({crs.name}); {remedy}"
            )
    elif max(np.ptp(xs), np.ptp(ys)) > WIDEST or far > WIDEST:
        raise ImageryError(
            f"{owner} would reach from x {xs.min():.6g} to {xs.max():.6g} and from y "
            f"{ys.min():.6g} to {ys.max():.6g}, which is not on Earth in its CRS ({crs.name}); "
            f"{remedy}"
        )


def full_turn(crs: CRS) -> float:
    """The longitudes of a whole turn in the unit of a geographic CRS: 360 degrees, 400 grads."""
    factor = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 0
    return float(round(2 * np.pi / factor, 6)) if factor else 360.0
