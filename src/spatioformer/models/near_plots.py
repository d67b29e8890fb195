"""The part of a Gaussian process near its plots, added exactly to a network distilled from it.

The field of location of a process (`baselines.gaussian.kernel`) may have a range of some pixels. It
then is a peak or a hollow around each plot, which a sample of pixels hardly shows, so a network
does not learn it. But it is known exactly:

    part(s) = sum over plots j of  w_j a_1 exp(-d_j / r_1) taper(d_j / R)

d_j is the distance of place s from plot j after the stretch of the process, w_j the weight of the
plot in the posterior mean, a_1 and r_1 variance and range of the field. taper(u) is (1 - u^2)^3 up
to u = 1 and 0 beyond (the triweight kernel; Wand & Jones 1995, "Kernel Smoothing", section 2.7).
What it leaves out, a_1 exp(-d / r_1) (1 - taper), is flat at the plots, and the network learns it.
So only plots within R matter, the part has no edge there, and it is the same in every tile.

The part belongs to the response that the process was fitted to: a count, its square root, or its
logarithm (`baselines.gaussian.response`). `removed` takes it from the teacher's predictions, and
`added` adds it to the network's. Each undoes the other, except where predictions are cut off at the
limits of the process or at 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from spatioformer.common.earth import MEAN_RADIUS_KM, unit_vectors
from spatioformer.models.baselines import GaussianProcess
from spatioformer.models.baselines.gaussian.kernel import ABSENT, Hyperparameters, stretch
from spatioformer.models.baselines.gaussian.response import SHIFT, TRANSFORMS, TransformName
from spatioformer.nn.geolocation import unit_vector

Floats = NDArray[np.float64]

REACH = 0.15
"""Largest R, in root mean square distances of the plots from their centre.

A field with a longer range is left to the network. Virtual floras chose it: "The field near plots"
in docs/models_measured.md.
"""

RANGES = 5  # R in ranges; what is left is at most .0006 of the variance of the floras' predictions
PAIRS = 2**15  # distances computed at once; with more, arrays go back to the system each time

FARTHEST = 1e5  # plots lie within R x this; a file with a smaller R would make too many cells

SHAPES = {"turn": (3, 3), "shift": (3,), "points": (None, 3), "weights": (None,)}
"""Name of an array -> its shape; None: the number of plots."""

NAMES = tuple(f"near_plots.{name}" for name in SHAPES)
"""Names of the arrays in a file."""


@dataclass(frozen=True, eq=False)
class NearPlots:
    """The part of a process's field of location that is near its plots.

    Lengths are in root mean square distances of the plots from their centre.

    Attributes:
        turn, shift: a point u of the unit sphere is at u @ turn - shift among the `points`.
        points: (m, 3), the plots after the process's stretch.
        weights: (m,), w_j a_1, in units of the transformed response.
        reach: R, above 0.
        scale: r_1, above 0.
        transform: of the response.
        limits: smallest and largest prediction of the process, at least 0, species.
    """

    turn: Floats
    shift: Floats
    points: Floats
    weights: Floats
    reach: float
    scale: float
    transform: TransformName
    limits: tuple[float, float]

    @classmethod
    def of(cls, process: GaussianProcess) -> "NearPlots | None":
        """The part of a fitted process; None without a field of location of a range up to REACH."""
        hyperparameters = Hyperparameters(process.found_, process.features_.shape[1])
        limits = process.limits_
        scale = float(hyperparameters.ranges[0])
        if hyperparameters.vector[0] <= ABSENT or limits is None or scale > REACH:
            return None
        frame = np.eye(3) if process.frame_ is None else process.frame_
        turn = frame @ stretch(*hyperparameters.anisotropy) / process.extent_
        low, high = np.maximum(limits, 0.0).tolist()
        return cls(
            MEAN_RADIUS_KM * turn,
            process.middle_ @ turn,
            hyperparameters.stretched(process.places_),
            process.sd_ * float(hyperparameters.variances[0]) * process.weights_,
            min(RANGES * scale, REACH),
            scale,
            process.transform_,
            (low, high),
        )

    def __len__(self) -> int:
        return len(self.points)

    @property
    def about(self) -> str:
        """Description for the model card, in words."""
        extent = MEAN_RADIUS_KM / float(np.cbrt(np.linalg.det(self.turn)))
        return (
            f"the teacher's field of location (range {self.scale * extent:,.3g} km) is added to "
            f"the network's prediction up to {self.reach * extent:,.3g} km from {len(self):,} "
            "plots, whose coordinates this model therefore holds"
        )

    @property
    def is_a_sum(self) -> bool:
        """Whether the part is added to species as it is, without a transform."""
        return self.transform == "none"

    def at(self, lon: NDArray[Any], lat: NDArray[Any]) -> Floats:
        """The part at places (n,), degrees: (n,), in units of the transformed response.

        It does not depend, to the last bit, on which other places are asked for.
        """
        places = unit_vectors(lon, lat) @ self.turn - self.shift
        part = np.zeros(len(places))
        rows, starts = self._cells(places)
        if not len(rows):
            return part
        places = places[rows]
        low, high = (  # of each cell
            np.stack([of.reduceat(axis, starts) for axis in places.T], axis=1)
            for of in (np.minimum, np.maximum)
        )
        radius = self.reach + np.linalg.norm(high - low, axis=1) / 2
        neighbours = cKDTree(self.points).query_ball_point(
            (low + high) / 2, radius, return_sorted=True
        )
        ends = [*starts[1:].tolist(), len(rows)]
        for start, end, near in zip(starts.tolist(), ends, neighbours, strict=True):
            if near:
                self._fill(part, rows[start:end], places[start:end], np.array(near))
        return part

    def _cells(self, places: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of the places in the cells, of side R, of a grid over all that the plots reach.

        Returns:
            The rows, cell by cell, and the position in them at which each cell starts.
        """
        low, high = self.points.min(axis=0) - self.reach, self.points.max(axis=0) + self.reach
        rows = np.flatnonzero(((places > low) & (places < high)).all(axis=1))
        if not len(rows):
            return rows, rows
        cells = ((places[rows] - low) / self.reach).astype(np.int64)
        number = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
        order = np.argsort(number, kind="stable")
        return rows[order], np.flatnonzero(np.diff(number[order], prepend=-1))

    def _fill(
        self, part: Floats, rows: NDArray[np.intp], places: Floats, near: NDArray[np.intp]
    ) -> None:
        """Write the part of places (k, 3), which are `rows` of it, from the plots near them."""
        points, weights, step = self.points[near], self.weights[near], PAIRS // len(near) + 1
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            distance = cdist(places[some], points)
            pairs = np.flatnonzero(distance < self.reach)  # ten times as fast as `nonzero`
            row = pairs // len(near)
            terms = self._decay(np, distance.ravel()[pairs])
            terms *= weights[pairs - row * len(near)]
            part[rows[some]] = np.bincount(row, terms, len(distance))  # in the order of the plots

    def added(self, species: NDArray[Any], lon: NDArray[Any], lat: NDArray[Any]) -> Floats:
        """Predictions (n,) of a network with the part added, within the limits of the process.

        Args:
            species: (n,), of the network.
            lon, lat: (n,), degrees.
        """
        shifted = self._shifted(np, species.astype(np.float64), self.at(lon, lat))
        return np.clip(shifted, *self.limits)

    def removed(self, species: NDArray[Any], lon: NDArray[Any], lat: NDArray[Any]) -> Floats:
        """Predictions (n,) of the process without the part, at least 0: what a network learns."""
        shifted = self._shifted(np, species.astype(np.float64), -self.at(lon, lat))
        return np.maximum(shifted, 0.0)

    def added_in_torch(
        self, species: torch.Tensor, lon: torch.Tensor, lat: torch.Tensor
    ) -> torch.Tensor:
        """`added` with gradients and for export, from distances to all plots.

        Args:
            species, lon, lat: of one shape.
        """
        arrays = (self.turn, self.shift, self.points, self.weights)
        turn, shift, points, weights = (torch.from_numpy(a).to(species.device) for a in arrays)
        places = unit_vector(lon.double(), lat.double()) @ turn - shift
        apart = [places[..., axis, None] - points[:, axis] for axis in (0, 1, 2)]
        distance = torch.sqrt(apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2)
        part = self._decay(torch, distance) @ weights
        shifted = self._shifted(torch, species.double(), part)
        return torch.clip(shifted, *self.limits).to(species.dtype)

    def _decay(self, of: Any, distance: Any) -> Any:
        """exp(-d / r_1) taper(d / R) of distances (...), in numpy or torch."""
        rest = 1 - of.clip(distance / self.reach, 0.0, 1.0) ** 2
        return of.exp(distance / -self.scale) * (rest * rest * rest)

    def _shifted(self, of: Any, species: Any, part: Any) -> Any:
        """Species whose transformed value is shifted by a part, in numpy or torch."""
        if self.transform == "none":
            return species + part
        if self.transform == "logarithm":
            return (species + 1) * of.exp(part) - 1
        root = of.sqrt(species + SHIFT) + part
        return root * root * (root > 0) - SHIFT

    def arrays(self) -> dict[str, Floats]:
        """The arrays by the names that they have in a file."""
        return {
            name: np.ascontiguousarray(getattr(self, field))
            for name, field in zip(NAMES, SHAPES, strict=True)
        }

    def settings(self) -> dict[str, Any]:
        """JSON values of all that is no array."""
        return {
            "reach": self.reach,
            "scale": self.scale,
            "transform": self.transform,
            "limits": list(self.limits),
        }

    @classmethod
    def without_plots(cls, settings: Mapping[str, Any]) -> Self:
        """The part of no plots, which stands for one whose arrays are not read yet.

        Raises:
            ValueError, KeyError, TypeError: as `read`.
        """
        shapes = ([0 if side is None else side for side in shape] for shape in SHAPES.values())
        return cls.read(settings, dict(zip(NAMES, map(np.zeros, shapes), strict=True)))

    @classmethod
    def read(cls, settings: Mapping[str, Any], arrays: Mapping[str, Floats]) -> Self:
        """Build the part from `settings` and `arrays`.

        Raises:
            ValueError, KeyError, TypeError: they do not describe one.
        """
        arguments = {}
        for name, (field, shape) in zip(NAMES, SHAPES.items(), strict=True):
            array = arguments[field] = arrays[name]
            expected = tuple(len(arrays[NAMES[-1]]) if side is None else side for side in shape)
            if array.shape != expected or array.dtype != np.float64:
                raise ValueError(f"{name} is no float64 array of the shape {expected}")
        low, high = map(float, settings["limits"])
        reach, scale = float(settings["reach"]), float(settings["scale"])
        if not (0 < reach < np.inf and 0 < scale < np.inf and 0 <= low <= high < np.inf):
            raise ValueError(f"near_plots: reach {reach}, range {scale}, limits {low} and {high}")
        if np.abs(arguments["points"]).max(initial=0) > FARTHEST * reach:
            raise ValueError(f"a plot is more than {FARTHEST:g} times the reach from the middle")
        if settings["transform"] not in TRANSFORMS:
            raise ValueError(f"near_plots.transform is {settings['transform']!r}")
        limits, transform = (low, high), settings["transform"]
        return cls(**arguments, reach=reach, scale=scale, transform=transform, limits=limits)
