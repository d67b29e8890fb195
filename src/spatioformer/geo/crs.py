"""Parsing of coordinate reference systems given by users and files."""

from pyproj import CRS
from pyproj.exceptions import CRSError

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
