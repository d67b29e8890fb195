"""Compact regions of the land: which one a plot, or a pixel far from all plots, belongs to."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks, distances
from spatioformer.evaluation.checks import Floats, Integers
from spatioformer.evaluation.clusters import kmeans


@dataclass(frozen=True)
class Regions:
    """Regions by their centres: every place belongs to the nearest one, on the sphere.

    Attributes:
        centres: (r, 2) lon, lat in degrees, r >= 1.
    """

    centres: Floats

    @classmethod
    def of(cls, lonlat: ArrayLike, count: int, *, least: int = 1, seed: int = 0) -> Self:
        """At most `count` regions around plots (n, 2) by k-means, each of `least` plots or more.

        The smallest region is dissolved, its plots going to the next nearest centre, until all are
        large enough.

        Raises:
            EvaluationError: places that are no longitude and latitude, or fewer than `least`.
        """
        lonlat = checks.coordinates(lonlat, "geographic")
        if len(lonlat) < least:
            raise EvaluationError(
                f"{len(lonlat)} plots make no region of {least}; lower the number or add plots"
            )
        place = distances.placing(lonlat, "geographic")
        points = place(lonlat)
        # In the plots' order: k-means starts from some of them, wherever the meridian is.
        sites = points[np.sort(np.unique(points, axis=0, return_index=True)[1])]
        label = kmeans(sites, min(count, len(sites)), seed)
        centres = _degrees(np.stack([sites[label == k].mean(axis=0) for k in np.unique(label)]))
        while True:
            made = cls(centres)
            sizes = np.bincount(made.at(lonlat), minlength=len(centres))
            if sizes.min() >= least:
                return made
            centres = np.delete(centres, sizes.argmin(), axis=0)

    def at(self, lonlat: ArrayLike) -> Integers:
        """Number (m,) of the region of each place (m, 2)."""
        lonlat = checks.coordinates(lonlat, "geographic")
        place = distances.placing(lonlat, "geographic")
        return KDTree(place(self.centres)).query(place(lonlat))[1]


def _degrees(points: Floats) -> Floats:
    """Lon, lat (r, 2) of directions (r, 3) from the middle of the Earth."""
    x, y, z = points.T
    return np.degrees(np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], axis=1))
