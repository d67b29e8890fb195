"""Compact regions by k-means: the region of each plot, and of pixels far from all plots."""

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
    """Regions given by their centres: every place belongs to the centre nearest on the sphere.

    Attributes:
        centres: (r, 2) lon, lat in degrees, r >= 1.
    """

    centres: Floats

    @classmethod
    def of(cls, lonlat: ArrayLike, count: int, *, least: int = 1, seed: int = 0) -> Self:
        """Make at most `count` regions from plots (n, 2) by k-means, each of `least` plots or more.

        The smallest region is removed, and its plots join the next nearest centre, until every
        region has `least` plots.

        Raises:
            EvaluationError: coordinates outside longitude and latitude, or fewer than `least`
                plots.
        """
        lonlat = checks.coordinates(lonlat, "geographic")
        if len(lonlat) < least:
            raise EvaluationError(
                f"{len(lonlat)} plots are too few for a region of {least}; lower the number or add "
                "plots"
            )
        to_points = distances.placing(lonlat, "geographic")
        points = to_points(lonlat)
        # Sites stay in the order of the plots, so that a shifted meridian does not change the
        # start.
        sites = points[np.sort(np.unique(points, axis=0, return_index=True)[1])]
        label = kmeans(sites, min(count, len(sites)), seed)
        centres = _degrees(np.stack([sites[label == k].mean(axis=0) for k in np.unique(label)]))
        while True:
            regions = cls(centres)
            sizes = np.bincount(regions.at(lonlat), minlength=len(centres))
            if sizes.min() >= least:
                return regions
            centres = np.delete(centres, sizes.argmin(), axis=0)

    def at(self, lonlat: ArrayLike) -> Integers:
        """Number of the region, (m,), of each place `lonlat` (m, 2)."""
        lonlat = checks.coordinates(lonlat, "geographic")
        to_points = distances.placing(lonlat, "geographic")
        return distances.neighbours(KDTree(to_points(self.centres)), to_points(lonlat))[1]


def _degrees(points: Floats) -> Floats:
    """Lon, lat (r, 2) in degrees of vectors (r, 3) from the centre of the Earth."""
    x, y, z = points.T
    radians: Floats = np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], axis=1)
    return np.degrees(radians)
