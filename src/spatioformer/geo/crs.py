"""Parsing of coordinate reference systems given by users and files."""

import math

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from spatioformer.common.errors import ImageryError


def known_crs(crs: object, owner: str) -> CRS:
    """Parse a geographic or projected CRS from anything pyproj reads, such as "EPSG:4326".

    Args:
        owner: subject of the error message, such as "layer rain".

    Raises:
        ImageryError: pyproj cannot parse it, or it is neither geographic nor projected.
    """
    shown = repr(str(crs)) if len(str(crs)) < 60 else "of the file"
    try:
        parsed = CRS.from_user_input(crs)
    except CRSError as error:
        raise ImageryError(
            f"{owner}: crs {shown} is unknown; give one such as EPSG:4326"
        ) from error
    if not (parsed.is_geographic or parsed.is_projected):
        raise ImageryError(
            f"{owner}: crs {shown} ({parsed.name}) is neither geographic nor projected; "
            "give one such as EPSG:4326"
        )
    return parsed


def conversion_fault(crs: CRS) -> str:
    """Reason why coordinates in a CRS cannot be converted to EPSG:4326, as a predicate; '' if none.

    Such CRSs are neither geographic nor projected, undefined (SRS -1 and 0 of GeoPackages), of
    another body than the Earth, or have a projection without an inverse.
    """
    if crs.name.lower().startswith("undefined"):
        return "is undefined"
    if not (crs.is_geographic or crs.is_projected):
        return "is neither geographic nor projected"
    ellipsoid = crs.ellipsoid
    if ellipsoid is not None and not 6.2e6 < ellipsoid.semi_major_metre < 6.5e6:
        return "is not of the Earth"
    try:
        Transformer.from_crs(crs, 4326, always_xy=True).transform([1.0], [1.0])
    except ProjError:
        return "cannot be converted to degrees"
    return ""


def area_bounds(crs: CRS) -> tuple[float, float, float, float] | None:
    """x and y minima, then maxima, of a CRS's area of use in its own units; None if unknown."""
    if crs.is_geographic:
        return -180.0, -90.0, 360.0, 90.0
    area = crs.area_of_use
    if area is None:
        return None
    try:
        transformer = Transformer.from_crs(4326, crs, always_xy=True)
        bounds = transformer.transform_bounds(*area.bounds)
    except ProjError:
        return None
    if not all(math.isfinite(bound) for bound in bounds):
        return None
    west, south, east, north = bounds
    return west, south, east, north
