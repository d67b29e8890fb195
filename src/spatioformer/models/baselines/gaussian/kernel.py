"""Covariance of the Gaussian process, its hyperparameters, and their likelihood.

    f(x, s) = mean + place(s) + response(x) + local response(x, s) + effort(z)

x are the features of a plot, s is its location and z is the logarithm of its area, if areas differ.
The fields are independent, with the covariances

    a_1 exp(-d / r_1)    a_2 M(x, x'; l_2)    a_3 M(x, x'; l_3) exp(-d / r_3)
    a_4 (z z' + M(z, z'; 1))

M is the Matern covariance with nu = 5/2 and one length scale for each feature (Rasmussen & Williams
2006, "Gaussian Processes for Machine Learning", eq. 4.17 and section 5.1). d is the distance |A (s -
s')|, where A stretches the map (geometric anisotropy; Chiles & Delfiner 2012, "Geostatistics",
section 2.5.2). The product models an effect of imagery that differs between regions, as spatially
varying regression coefficients do (Gelfand et al. 2003, JASA 98). The last field is the species-area
relation: a straight line and a smooth departure from it. Each observation adds independent noise.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri
from scipy.spatial.distance import cdist

JITTER = 1e-6  # added noise, in variances of richness, so that plots may share coordinates
STRETCH_SD = 0.3  # prior sd of the two numbers of the anisotropy: ranges differ by a factor of 1.8
COINCIDENT = 1e-9  # distance below which plots lie at one place, in the unit of the ranges


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

    @property
    def prior_sd(self) -> np.ndarray:
        """Standard deviation of the prior of each number: 1, or STRETCH_SD."""
        sd = np.ones(len(self.vector))
        sd[self._end : self._end + 2] = STRETCH_SD
        return sd

    @property
    def _end(self) -> int:
        """Position after the lengths."""
        return 6 + 2 * self.features

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
        return np.exp(self.vector[6 : self._end].reshape(2, self.features))

    @property
    def anisotropy(self) -> tuple[float, float]:
        """Stretch from north to east, and from north-west to north-east, in logarithms."""
        east, diagonal = self.vector[self._end : self._end + 2] if self._stretched else (0.0, 0.0)
        return float(east), float(diagonal)

    @property
    def _stretched(self) -> bool:
        return len(self.vector) >= self._end + 2

    @property
    def effort(self) -> float:
        """Variance a_4; 0 if areas do not count."""
        return float(np.exp(self.vector[-1])) if len(self.vector) == self._end + 3 else 0.0

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


def covariance(inputs: Inputs, others: Inputs, hyperparameters: Hyperparameters) -> np.ndarray:
    """Covariance (n, m) of the process between two sets of plots, without noise."""
    total, *rest = fields(*distances(inputs, others, hyperparameters), hyperparameters)
    for part in rest:
        total += part
    if inputs.effort is not None and others.effort is not None and hyperparameters.effort:
        total += hyperparameters.effort * effort_shape(inputs.effort, others.effort)
    return total


def distances(
    inputs: Inputs, others: Inputs, hyperparameters: Hyperparameters
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Distances between places, and scaled distances between features for l_2 and for l_3.

    All are (n, m).
    """
    feature_distances = [
        _scaled_distance(inputs.features / length, others.features / length)
        for length in hyperparameters.lengths
    ]
    places, other_places = map(hyperparameters.stretched, (inputs.places, others.places))
    return cdist(places, other_places), feature_distances


def fields(
    place_distance: np.ndarray,
    feature_distances: list[np.ndarray],
    hyperparameters: Hyperparameters,
) -> list[np.ndarray]:
    """Covariances of place, response and local response, (n, m) each, from `distances`."""
    place, locality = (_exponential(place_distance, reach) for reach in hyperparameters.ranges)
    response, local = map(_matern, feature_distances)
    local *= locality
    parts = [place, response, local]
    for part, variance in zip(parts, hyperparameters.variances, strict=True):
        part *= variance
    return parts


def effort_shape(effort: np.ndarray, others: np.ndarray) -> np.ndarray:
    """z z' + M(z, z'; 1) of two sets of logarithms of areas, (n, m)."""
    distance = np.sqrt(5) * np.abs(np.subtract.outer(effort, others))
    return np.multiply.outer(effort, others) + _matern(distance)


def misfit(
    inputs: Inputs, target: np.ndarray, hyperparameters: Hyperparameters
) -> tuple[float, np.ndarray]:
    """Negative log-likelihood of `target` (n,), without constants, and its gradient.

    Source: Rasmussen & Williams 2006, eq. 2.30 and 5.9.
    """
    place_distance, feature_distances = distances(inputs, inputs, hyperparameters)
    parts = fields(place_distance, feature_distances, hyperparameters)
    total = parts[0] + parts[1]
    total += parts[2]
    effort = None
    if inputs.effort is not None:
        effort = hyperparameters.effort * effort_shape(inputs.effort, inputs.effort)
        total += effort
    total[np.diag_indices(len(target))] += hyperparameters.noise
    factor = cholesky(total, lower=True, overwrite_a=True, check_finite=False)
    weights = cho_solve((factor, True), target, check_finite=False)
    value = target @ weights / 2 + np.log(np.diagonal(factor)).sum()
    inverse = dpotri(factor, lower=True)[0]  # its lower triangle
    # Lower triangle of twice the gradient with respect to the covariance. The diagonal is halved
    # below, so that a sum over the triangle is half of the sum over the whole matrix.
    sensitivity = np.tril(inverse - np.outer(weights, weights))
    noise = np.trace(sensitivity) / 2 * np.exp(hyperparameters.vector[3])
    sensitivity[np.diag_indices(len(sensitivity))] /= 2
    gradient = [np.vdot(sensitivity, part) for part in parts] + [noise]
    weighted = []  # sensitivity times covariance, of place and of local response
    for part, reach in zip(parts[::2], hyperparameters.ranges, strict=True):
        weighted.append(sensitivity * part / reach)
        gradient.append(np.vdot(weighted[-1], place_distance))
    for part, d, length in zip(parts[1:], feature_distances, hyperparameters.lengths, strict=True):
        gradient.extend(_length_gradient(inputs.features / length, d, part, sensitivity))
    gradient += _stretch_gradient(inputs.places, place_distance, sum(weighted), hyperparameters)
    if effort is not None:
        gradient.append(np.vdot(sensitivity, effort))
    return float(value), np.array(gradient)


def _length_gradient(
    scaled: np.ndarray, d: np.ndarray, part: np.ndarray, sensitivity: np.ndarray
) -> np.ndarray:
    """Gradient with respect to the logarithms of the lengths of one field; `part` is overwritten.

    d M / d log length = 5/3 (1 + d) exp(-d) * squared difference along the feature.
    """
    part *= sensitivity
    part *= (5 / 3) * (1 + d) / (1 + d + d**2 / 3)
    squares = (scaled**2).T @ (part.sum(axis=0) + part.sum(axis=1))
    return squares - 2 * np.sum(scaled * (part @ scaled), axis=0)


def _stretch_gradient(
    places: np.ndarray, distance: np.ndarray, weighted: np.ndarray, found: Hyperparameters
) -> list[float]:
    """Gradient with respect to the anisotropy.

    The squared distance is (s - s')' M (s - s') with M = A A, so the gradient with respect to M is
    a weighted sum of outer products, which a graph Laplacian gives.
    """
    apart = np.where(distance > COINCIDENT, distance, np.inf)
    weight = weighted / (-2 * apart)
    degree = weight.sum(axis=0) + weight.sum(axis=1)
    crossed = places.T @ (weight @ places)
    outer = (places.T * degree) @ places - crossed - crossed.T
    step = 1e-4  # of a central difference of M, exact to 1e-8
    out = []
    for change in ((step, 0.0), (0.0, step)):
        above, below = (
            stretch(*(2 * (np.array(found.anisotropy) + sign * np.array(change))))
            for sign in (1, -1)
        )
        out.append(float(np.sum(outer * (above - below)) / (2 * step)))
    return out


def _exponential(distance: np.ndarray, reach: float) -> np.ndarray:
    """exp(-distance / reach)."""
    out = distance / -reach
    return np.exp(out, out=out)


def _matern(d: np.ndarray) -> np.ndarray:
    """(1 + d + d^2 / 3) exp(-d), d being sqrt(5) times the distance."""
    out = np.exp(-d)
    out *= 1 + d * (1 + d / 3)
    return out


def _scaled_distance(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """sqrt(5) times the distance between rows (n, k) and (m, k): (n, m).

    Expanding the square is faster than `cdist`, with an error of 1e-8 where rows are equal. This
    does not matter to the Matern covariance, which is flat at 0; the exponential one is not flat.
    """
    out = features @ (-10 * others.T)
    out += 5 * np.sum(features**2, axis=1)[:, None]
    out += 5 * np.sum(others**2, axis=1)
    np.maximum(out, 0, out=out)
    return np.sqrt(out, out=out)
