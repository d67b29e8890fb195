"""Covariance of the Gaussian process, its hyperparameters, and their prior.

    f(x, s) = mean + place(s) + response(x) + local response(x, s) + effort(z)

x are the features of a plot, s is its location and z is the logarithm of its area, if areas differ.
The fields are independent, with the covariances

    a_1 exp(-d / r_1)    a_2 M(x, x'; l_2)    a_3 M(x, x'; l_3) exp(-d / r_3)
    a_4 (z z' + M(z, z'; 1))

M is the Matern covariance with nu = 5/2 and one length scale for each feature (Rasmussen & Williams
2006, "Gaussian Processes for Machine Learning", eq. 4.17 and section 5.1). d is the distance of A s
and A s', where A stretches the map (geometric anisotropy; Chiles & Delfiner 2012, "Geostatistics",
section 2.5.2). The product models an effect of imagery that differs between regions, as spatially
varying regression coefficients do (Gelfand et al. 2003, JASA 98). The last field is the relation of
species and area: a straight line and a smooth departure from it. Each observation adds independent
noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from spatioformer.common.compiled import has_numba

TERMS = ("place", "response", "local response")
"""Names of the fields with the variances a_1, a_2 and a_3."""

ABSENT = -25.0  # logarithm of the variance of a field that is left out
JITTER = 1e-6  # added noise, in variances of richness, so that plots may share coordinates
SCATTER = 0.5
"""Prior sd of the logarithms of lengths around the common length of their group."""

COMPILED_FROM = 2**14  # pairs of plots from which compiled functions compute them
COMPILED_FEATURES = 32  # features up to which they do; with more, products of matrices are faster
STRETCH_SD = 0.3  # prior sd of the two numbers of the anisotropy: ranges differ by a factor of 1.8


@dataclass(frozen=True)
class Inputs:
    """What the process knows of plots, standardised.

    Attributes:
        features: (n, f).
        places: (n, 3), east, north and up from the middle of the plots.
        effort: (n,), logarithm of the area, or None.
    """

    features: np.ndarray
    places: np.ndarray
    effort: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: np.ndarray | slice) -> "Inputs":
        effort = None if self.effort is None else self.effort[rows]
        return Inputs(self.features[rows], self.places[rows], effort)


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of the covariance as one vector of logarithms.

    Units: variances in variances of richness, lengths in standard deviations of the features,
    ranges in root mean square distances of the plots from their centre.

    Attributes:
        vector: a_1, a_2, a_3, noise, r_1, r_3, then l_2 and l_3 of each feature, then two numbers
            of the anisotropy (not logarithms), then a_4. Models of version 0.1 end before the
            anisotropy, and models of equal areas before a_4.
        features: number of features.
    """

    vector: np.ndarray
    features: int

    @classmethod
    def usual(cls, features: int, effort: bool = False) -> "Hyperparameters":
        """Starting values of the optimiser and medians of the log-normal prior.

        The response has the largest variance and noise the smallest. Ranges are half the plots'
        distance from their centre. Lengths grow with the square root of the number of features, as
        distances between plots do. The map is not stretched.
        """
        start = np.log([0.3, 0.5, 0.3, 0.15, 0.5, 0.5])
        lengths = np.full(2 * features, np.log(1.5 * np.sqrt(max(features, 1))))
        area = [np.log(0.3)] * effort
        return cls(np.concatenate([start, lengths, np.zeros(2), area]), features)

    def held(self, without: Sequence[str], rigid: float | None) -> dict[int, float]:
        """Position -> value of hyperparameters that are not estimated.

        Args:
            without: names of fields in TERMS that are left out.
            rigid: multiple of the medians at which ranges and lengths are held; None: estimated.
        """
        values = {TERMS.index(name): ABSENT for name in without}
        if rigid is not None:
            held = range(4, self.end)
            usual = Hyperparameters.usual(self.features).vector
            values |= {position: float(usual[position]) + np.log(rigid) for position in held}
        return values

    @property
    def prior_sd(self) -> np.ndarray:
        """Standard deviation of the prior of each number: 1, or STRETCH_SD."""
        sd = np.ones(len(self.vector))
        sd[self.end : self.end + 2] = STRETCH_SD
        return sd

    def prior_precision(self, shares: np.ndarray | None) -> np.ndarray:
        """Inverse covariance (p, p) of the prior.

        Args:
            shares: int (f,), group of each feature; the lengths of a group scatter around a common
                length, which has the prior of a single length. None: each feature is a group.
        """
        precision = np.diag(self.prior_sd**-2.0)
        if shares is not None:
            together = np.equal.outer(shares, shares)
            scatter = np.where(together.sum(axis=0) > 1, SCATTER**2, 0.0)
            one = np.linalg.inv(together + np.diag(scatter))
            middle = 6 + self.features
            precision[6:middle, 6:middle] = precision[middle : self.end, middle : self.end] = one
        return precision

    @property
    def end(self) -> int:
        """Position after the lengths."""
        return 6 + 2 * self.features

    @property
    def present(self) -> list[int]:
        """Positions in TERMS of the fields that are not left out."""
        return [number for number in range(3) if self.vector[number] > ABSENT]

    @property
    def variances(self) -> np.ndarray:
        """Variances a_1, a_2, a_3."""
        return np.exp(self.vector[:3])

    @property
    def noise(self) -> float:
        """Variance of the noise, `JITTER` included."""
        return float(np.exp(self.vector[3])) + JITTER

    @property
    def ranges(self) -> np.ndarray:
        """Ranges r_1, r_3."""
        return np.exp(self.vector[4:6])

    @property
    def lengths(self) -> np.ndarray:
        """Length scales l_2 and l_3, (2, features)."""
        return np.exp(self.vector[6 : self.end].reshape(2, self.features))

    @property
    def anisotropy(self) -> tuple[float, float]:
        """Stretch from north to east, and from north-west to north-east, in logarithms."""
        east, diagonal = self.vector[self.end : self.end + 2] if self._stretched else (0.0, 0.0)
        return float(east), float(diagonal)

    @property
    def _stretched(self) -> bool:
        return len(self.vector) >= self.end + 2

    @property
    def effort(self) -> float:
        """Variance a_4; 0 if areas do not count."""
        return float(np.exp(self.vector[-1])) if len(self.vector) == self.end + 3 else 0.0

    def stretched(self, places: np.ndarray) -> np.ndarray:
        """Places (n, 3) after the stretch A."""
        east, diagonal = self.anisotropy
        return places if east == diagonal == 0 else places @ stretch(east, diagonal)

    def variance(self, inputs: Inputs) -> np.ndarray:
        """Prior variance of the process without noise, (n,)."""
        constant = np.full(len(inputs), self.variances.sum())
        if inputs.effort is None or not self.effort:
            return constant
        return constant + self.effort * (inputs.effort**2 + 1)


def stretch(east: float, diagonal: float) -> np.ndarray:
    """Symmetric matrix A (3, 3): the exponential of a traceless matrix of east and north.

    "Up" is stretched as "east" is, because both are along the Equator if the plots cover the Earth.
    """
    size = np.hypot(east, diagonal)
    slope = np.sinh(size) / size if size else 1.0
    out = np.diag(np.full(3, np.cosh(size)))
    out[:2, :2] += slope * np.array([[east, diagonal], [diagonal, -east]])
    out[2, 2] = np.exp(east)
    return out


def covariance(
    inputs: Inputs,
    others: Inputs,
    hyperparameters: Hyperparameters,
    dtype: type[np.floating] = np.float64,
) -> np.ndarray:
    """Covariance (n, m) of the process between two sets of plots, without noise.

    Args:
        dtype: precision of the result; distances are computed in double precision.
    """
    if compiled(len(inputs) * len(others), hyperparameters):
        total = _covariance_by_numba(inputs, others, hyperparameters, dtype)
        return _with_effort(total, inputs, others, hyperparameters, dtype)
    apart = distances(inputs, others, hyperparameters, dtype)
    total, *rest = fields(*apart, hyperparameters).values()
    del apart  # three matrices
    for part in rest:
        total += part
    return _with_effort(total, inputs, others, hyperparameters, dtype)


def compiled(count: int, hyperparameters: Hyperparameters) -> bool:
    """Whether `pairs` computes `count` pairs: numba is installed, and its start pays."""
    few = hyperparameters.features <= COMPILED_FEATURES
    return few and count >= COMPILED_FROM and has_numba()


def packed(inputs: Inputs, hyperparameters: Hyperparameters) -> tuple[np.ndarray, np.ndarray]:
    """Places (3, n) and features (2, f, n) as the functions of `pairs` take them."""
    lengths = hyperparameters.lengths[:, :, None]
    places = np.ascontiguousarray(hyperparameters.stretched(inputs.places).T)
    return places, np.ascontiguousarray(np.sqrt(5) * inputs.features.T / lengths)


def scales(hyperparameters: Hyperparameters) -> np.ndarray:
    """Variances, 0 of fields that are left out, and one over the ranges, (5,)."""
    present = hyperparameters.vector[:3] > ABSENT
    return np.concatenate([hyperparameters.variances * present, 1 / hyperparameters.ranges])


def _covariance_by_numba(
    inputs: Inputs, others: Inputs, hyperparameters: Hyperparameters, dtype: type[np.floating]
) -> np.ndarray:
    from spatioformer.models.baselines.gaussian.pairs import covariances

    out = np.empty((len(inputs), len(others)), dtype)
    sides = (*packed(inputs, hyperparameters), *packed(others, hyperparameters))
    covariances(*sides, scales(hyperparameters), out)
    return out


def _with_effort(
    total: np.ndarray,
    inputs: Inputs,
    others: Inputs,
    hyperparameters: Hyperparameters,
    dtype: type[np.floating],
) -> np.ndarray:
    """Covariance `total` (n, m), to which the field of areas is added where they count."""
    if inputs.effort is not None and others.effort is not None and hyperparameters.effort:
        effort, other_effort = (each.astype(dtype) for each in (inputs.effort, others.effort))
        total += hyperparameters.effort * effort_shape(effort[:, None], other_effort)
    return total


def distances(
    inputs: Inputs,
    others: Inputs,
    hyperparameters: Hyperparameters,
    dtype: type[np.floating] = np.float64,
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Distances between places, and scaled distances between features of the fields that have any.

    All are (n, m). A field is a position in TERMS. Distances between places are empty if no field
    needs them.
    """
    feature_distances = {
        field: scaled_distance(inputs.features / length, others.features / length).astype(
            dtype, copy=False
        )
        for field, length in zip((1, 2), hyperparameters.lengths, strict=True)
        if field in hyperparameters.present
    }
    if hyperparameters.present == [1]:
        return np.empty(0), feature_distances
    places, other_places = map(hyperparameters.stretched, (inputs.places, others.places))
    return cdist(places, other_places).astype(dtype, copy=False), feature_distances


def fields(
    place_distance: np.ndarray,
    feature_distances: dict[int, np.ndarray],
    hyperparameters: Hyperparameters,
) -> dict[int, np.ndarray]:
    """Covariances of the fields that are not left out, (n, m) each, from `distances`."""
    parts = {}  # with Python's numbers, which keep the precision of the distances
    for field in hyperparameters.present:
        if field == 0:
            part = _exponential(place_distance, hyperparameters.ranges[0])
        else:
            part = _matern(feature_distances[field])
        if field == 2:
            part *= _exponential(place_distance, hyperparameters.ranges[1])
        part *= float(hyperparameters.variances[field])
        parts[field] = part
    return parts


def effort_shape(effort: np.ndarray, others: np.ndarray) -> np.ndarray:
    """z z' + M(z, z'; 1) of logarithms of areas, which broadcast against each other."""
    return effort * others + _matern(float(np.sqrt(5)) * np.abs(effort - others))


def _exponential(distance: np.ndarray, reach: float) -> np.ndarray:
    """exp(-distance / reach)."""
    out = distance / -float(reach)
    return np.exp(out, out=out)


def _matern(d: np.ndarray) -> np.ndarray:
    """(1 + d + d^2 / 3) exp(-d), d being sqrt(5) times the distance."""
    out = np.exp(-d)
    out *= 1 + d * (1 + d / 3)
    return out


def scaled_distance(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """sqrt(5) times the distance between rows (n, k) and (m, k): (n, m).

    Expanding the square is faster than `cdist`, with an error of 1e-8 where rows are equal. This
    does not matter to the Matern covariance, which is flat at 0; the exponential one is not flat.
    """
    out = features @ (-10 * others.T)
    out += 5 * np.sum(features**2, axis=1)[:, None]
    out += 5 * np.sum(others**2, axis=1)
    np.maximum(out, 0, out=out)
    return np.sqrt(out, out=out)
