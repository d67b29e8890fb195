"""Likelihood of the hyperparameters, and its gradient.

All n (n - 1) / 2 pairs of plots are handled as one vector, which is half the work of a matrix.
"""

from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.spatial.distance import pdist

from spatioformer.models.baselines.gaussian.inverse import inverse_of
from spatioformer.models.baselines.gaussian.kernel import (
    Hyperparameters,
    Inputs,
    compiled,
    effort_shape,
    fields,
    packed,
    scaled_distance,
    scales,
    stretch,
)
from spatioformer.models.baselines.gaussian.scales import COINCIDENT


@lru_cache(maxsize=4)
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and second plot of each pair, and its position in a matrix (n, n), row by row."""
    first, second = np.triu_indices(count, 1)
    return first, second, first * count + second


def misfit(
    inputs: Inputs, target: np.ndarray, hyperparameters: Hyperparameters
) -> tuple[float, np.ndarray]:
    """Negative log-likelihood of `target` (n,), without constants, and its gradient.

    Source: Rasmussen & Williams 2006, eq. 2.30 and 5.9.
    """
    if compiled(len(target) * (len(target) - 1) // 2, hyperparameters):
        return _misfit_by_numba(inputs, target, hyperparameters)
    first, second, position = _pairs(len(target))
    present = hyperparameters.present
    placed = present != [1]  # a response to features alone has no place
    place_distance = pdist(hyperparameters.stretched(inputs.places)) if placed else np.empty(0)
    features = {
        field: inputs.features / hyperparameters.lengths[field - 1] for field in present if field
    }
    feature_distances = {
        field: scaled_distance(scaled, scaled).ravel()[position]
        for field, scaled in features.items()
    }
    parts = fields(place_distance, feature_distances, hyperparameters)
    total = np.zeros(len(position))
    for part in parts.values():
        total += part
    diagonal = hyperparameters.variance(inputs) + hyperparameters.noise
    if inputs.effort is not None:
        shape = effort_shape(inputs.effort[first], inputs.effort[second])
        total += hyperparameters.effort * shape
    value, sensitivity, on_diagonal = _sensitivity(total, diagonal, target)
    gradient = np.zeros(len(hyperparameters.vector))
    variances, end = hyperparameters.variances, hyperparameters.end
    slopes = {field: sensitivity * part for field, part in parts.items()}
    for field, slope in slopes.items():
        gradient[field] = np.sum(slope) + np.sum(on_diagonal) * variances[field]
    gradient[3] = np.sum(on_diagonal) * np.exp(hyperparameters.vector[3])
    weighted = np.zeros(len(place_distance))  # slope with the logarithm of all distances
    for place, field in enumerate((0, 2)):
        if field in present:
            along = slopes[field] * place_distance
            along /= hyperparameters.ranges[place]
            gradient[4 + place] = np.sum(along)
            weighted += along
    if placed:
        gradient[end : end + 2] = _stretch_gradient(
            inputs.places, place_distance, weighted, hyperparameters
        )
    for field, d in feature_distances.items():
        start = 6 + (field - 1) * hyperparameters.features
        lengths = _length_gradient(features[field], d, slopes[field])
        gradient[start : start + len(lengths)] = lengths
    if inputs.effort is not None:
        within = np.vdot(on_diagonal, inputs.effort**2 + 1)
        gradient[-1] = hyperparameters.effort * (np.vdot(sensitivity, shape) + within)
    return value, gradient


def _sensitivity(
    pairs: np.ndarray, diagonal: np.ndarray, target: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Negative log-likelihood, and its slope with the covariance of pairs and on the diagonal.

    Args:
        pairs: covariance of each pair of plots.
        diagonal: variance of each plot, noise included, (n,).
    """
    count = len(target)
    first, second, position = _pairs(count)
    matrix = np.zeros((count, count))
    matrix.ravel()[position] = pairs
    matrix.ravel()[:: count + 1] = diagonal
    value, weights, inverse = _solved(matrix, target)
    sensitivity = inverse.ravel()[position] - weights[first] * weights[second]
    return value, sensitivity, (np.diagonal(inverse) - weights**2) / 2


def _solved(matrix: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Negative log-likelihood, inverse times target (n,), and inverse of a covariance (n, n).

    The upper triangles of both matrices are filled; `matrix` is overwritten.
    """
    # The transpose has LAPACK's order of storage; its lower triangle is filled.
    factor, failed = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("the covariance is not positive definite")
    weights = dpotrs(factor, target, lower=1)[0]
    value = target @ weights / 2 + np.log(np.diagonal(factor)).sum()
    return float(value), weights, inverse_of(factor).T


def _misfit_by_numba(
    inputs: Inputs, target: np.ndarray, hyperparameters: Hyperparameters
) -> tuple[float, np.ndarray]:
    """`misfit` by compiled functions, which pass over the pairs twice."""
    from spatioformer.models.baselines.gaussian import pairs

    count, features, end = len(target), hyperparameters.features, hyperparameters.end
    matrix, parts = np.empty((count, count)), np.empty((2, 3, count * (count - 1) // 2))
    parts[0] = 0.0  # distances of fields that are left out
    sides = (*packed(inputs, hyperparameters), scales(hyperparameters))
    pairs.fields(*sides, matrix, *parts)
    matrix.ravel()[:: count + 1] = hyperparameters.variance(inputs) + hyperparameters.noise
    if inputs.effort is not None:
        shape = np.triu(effort_shape(inputs.effort[:, None], inputs.effort), 1)
        matrix += hyperparameters.effort * shape
    value, weights, inverse = _solved(matrix, target)
    on_diagonal = (np.diagonal(inverse) - weights**2) / 2
    gradient = np.zeros(len(hyperparameters.vector))
    slopes, lengths, outer = np.zeros(5), np.zeros((2, features)), np.zeros((3, 3))
    places = np.ascontiguousarray(inputs.places.T)
    pairs.slopes(inverse, weights, places, *sides, *parts, slopes, lengths, outer)
    for field in hyperparameters.present:
        gradient[field] = slopes[field] + np.sum(on_diagonal) * hyperparameters.variances[field]
    gradient[3] = np.sum(on_diagonal) * np.exp(hyperparameters.vector[3])
    gradient[4:6] = slopes[3:]
    gradient[6:end] = lengths.ravel()
    gradient[end : end + 2] = _stretch_slopes(outer, hyperparameters)
    if inputs.effort is not None:
        within = np.vdot(on_diagonal, inputs.effort**2 + 1)
        between = np.vdot(np.triu(inverse, 1), shape) - weights @ shape @ weights
        gradient[-1] = hyperparameters.effort * (between + within)
    return value, gradient


def _matrix(pairs: np.ndarray, count: int) -> np.ndarray:
    """Values of pairs in the upper triangle of a matrix (n, n)."""
    matrix = np.zeros((count, count))
    matrix.ravel()[_pairs(count)[2]] = pairs
    return matrix


def _length_gradient(scaled: np.ndarray, d: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Gradient with respect to the logarithms of the lengths of one field.

    d M / d log length = 5/3 (1 + d) exp(-d) * squared difference along the feature.

    Args:
        scaled: features divided by their lengths, (n, f).
        d: scaled distance of each pair.
        slopes: covariance of each pair times its sensitivity; overwritten.
    """
    rise = 1 + d
    slopes *= rise
    rise += d * d / 3
    slopes /= rise
    weight = _matrix(slopes, len(scaled))
    squares = (scaled**2).T @ (weight.sum(axis=0) + weight.sum(axis=1))
    return (5 / 3) * (squares - 2 * np.sum(scaled * (weight @ scaled), axis=0))


def _stretch_gradient(
    places: np.ndarray, distance: np.ndarray, slopes: np.ndarray, hyperparameters: Hyperparameters
) -> list[float]:
    """Gradient with respect to the anisotropy.

    The squared distance is (s - s')' M (s - s') with M = A A, so the gradient with respect to M is
    a weighted sum of outer products, which a graph Laplacian gives.

    Args:
        slopes: slope of the misfit with minus the logarithm of the distance of each pair.
    """
    apart = np.where(distance > COINCIDENT, distance, np.inf)
    weight = _matrix(slopes / (-2 * apart**2), len(places))
    degree = weight.sum(axis=0) + weight.sum(axis=1)
    crossed = places.T @ (weight @ places)
    return _stretch_slopes((places.T * degree) @ places - crossed - crossed.T, hyperparameters)


def _stretch_slopes(outer: np.ndarray, hyperparameters: Hyperparameters) -> list[float]:
    """Gradient with respect to the anisotropy, from that with respect to M, `outer` (3, 3)."""
    step = 1e-4  # of a central difference of M, exact to 1e-8
    out = []
    for change in ((step, 0.0), (0.0, step)):
        above, below = (
            stretch(*(2 * (np.array(hyperparameters.anisotropy) + sign * np.array(change))))
            for sign in (1, -1)
        )
        out.append(float(np.sum(outer * (above - below)) / (2 * step)))
    return out
