"""How far places lie outside the extent of the plots that a model was trained on."""

from collections.abc import Sequence

import numpy as np

from spatioformer.common.earth import KM_PER_DEGREE

FAR_KM = 50.0
"""Outside the extent; less is hardly worth a word."""


def km_outside(region: Sequence[float], lon, lat) -> float:
    """How far the farthest place lies outside a region, km; 0 where all are inside.

    Args:
        region: W, E, S, N in degrees; W > E across the antimeridian.
        lon, lat: degrees, any shape, as many of either.
    """
    if not np.size(lon):
        return 0.0
    west, east, south, north = region
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    beyond = (lon - west) % 360 - (east - west)  # degrees east of the eastern edge
    # The nearer edge counts; the other is reached the other way round the Earth.
    across = np.where(beyond > 0, np.minimum(beyond, 360 - (east - west) - beyond), 0)
    along = np.maximum(0, np.maximum(south - lat, lat - north))
    return float(KM_PER_DEGREE * np.hypot(across * np.cos(np.radians(lat)), along).max())
