"""Distance of places from the extent of the plots that a model was trained on."""

from collections.abc import Sequence

import numpy as np

from spatioformer.common.earth import KM_PER_DEGREE

FAR_KM = 50.0
"""Distance outside the extent from which a warning is given."""


def km_outside(region: Sequence[float], lon, lat) -> float:
    """Distance of the farthest place from a region, km; 0 if all places are inside.

    Args:
        region: W, E, S, N in degrees; W > E across the antimeridian.
        lon, lat: degrees, any shape, the same for both.
    """
    if not np.size(lon):
        return 0.0
    west, east, south, north = region
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    width = east - west if west <= east else east - west + 360
    beyond = (lon - west) % 360 - width  # degrees east of the eastern edge
    # The distance to the nearer edge; the other edge may be nearer across the antimeridian.
    across = np.where(beyond > 0, np.minimum(beyond, 360 - width - beyond), 0)
    along = np.maximum(0, np.maximum(south - lat, lat - north))
    return float(KM_PER_DEGREE * np.hypot(across * np.cos(np.radians(lat)), along).max())
