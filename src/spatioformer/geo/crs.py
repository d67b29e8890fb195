"""Parsing of coordinate reference systems given by users and files."""

import math
import re
from functools import lru_cache

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from spatioformer.common.errors import ImageryError

_FILES = re.compile(  # in PROJ strings, WKT 1 and WKT 2; a name without / or \ is one of PROJ's own
    r"""\w=[^"\s]*[/\\]|GRIDS"\s*,\s*"[^"]*[/\\]|PARAMETERFILE\s*\[[^\]]*[/\\]""", re.IGNORECASE
)


def names_file(text: str) -> bool:
    """Whether the text of a CRS names a file by its path, such as a datum grid.

    PROJ opens such a file when places are converted. Only a configuration may name one.
    """
    return bool(_FILES.search(text))


def fault_in_file(crs: CRS) -> str:
    """As `conversion_fault`, of a CRS that a data file states; it must not name further files."""
    if names_file(crs.srs) or names_file(crs.to_wkt()):
        return "names another file, which is not read"
    return conversion_fault(crs)


def known_crs(crs: object, owner: str, remedy: str = "give one such as EPSG:4326") -> CRS:
    """Parse a geographic or projected CRS of Earth from anything pyproj reads, such as "EPSG:4326".

    Args:
        owner: subject of the error message, such as "layer rain".
        remedy: end of the error message.

    Raises:
        ImageryError: pyproj cannot parse it, it is neither geographic nor projected, or places
            cannot be converted between it and longitude and latitude in both directions.
    """
    shown = repr(str(crs)) if len(str(crs)) < 60 else "of the file"
    try:
        parsed = CRS.from_user_input(crs)
    except Exception as error:  # pyproj's CRSError; rasterio raises several kinds
        raise ImageryError(f"{owner}: crs {shown} is unknown; {remedy}") from error
    reason = conversion_fault(parsed)
    if reason:
        raise ImageryError(f"{owner}: crs {shown} ({short_name(parsed)}) {reason}; {remedy}")
    return parsed


def conversion_fault(crs: CRS) -> str:
    """Reason why places in a CRS have no longitude and latitude, as a predicate; '' if none.

    Such CRSs are neither geographic nor projected, undefined (SRS -1 and 0 of GeoPackages), of
    another body than the Earth, or have a projection without an inverse. All readers of tables,
    rasters and vector files ask here.
    """
    if crs.name.lower().startswith("undefined"):
        return "is undefined"
    if not (crs.is_geographic or crs.is_projected):
        return "is neither geographic nor projected"
    return _why_not_of_earth(crs.to_wkt())


def short_name(crs: CRS) -> str:
    """Name of a CRS from a file, short and on one line, for a message."""
    name = " ".join(crs.name.split())
    return name if len(name) <= 60 else f"{name[:57]}..."


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


@lru_cache(maxsize=64)
def _why_not_of_earth(wkt: str) -> str:
    """Why places cannot be converted to and from longitude and latitude; "" if they can."""
    crs = CRS.from_wkt(wkt)
    ellipsoid = crs.ellipsoid
    if ellipsoid is not None and not 6.2e6 < ellipsoid.semi_major_metre < 6.5e6:
        return "is of another celestial body than the Earth"
    try:
        Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    except (ProjError, CRSError) as error:
        if "celestial body" in str(error):
            return "is of another celestial body than the Earth"
        return "cannot be converted to longitude and latitude"
    try:
        Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform([1.0], [1.0])
    except (ProjError, CRSError):
        return "has no inverse, so that its coordinates have no longitude and latitude"
    return ""
