"""A Gaussian process whose response to imagery varies in space.

    f(x, s) = mean + place(s) + response(x) + local response(x, s)

x are the features of a plot and s is its location. The three fields are independent, with the
covariances

    a_1 exp(-|s - s'| / r_1)    a_2 M(x, x'; l_2)    a_3 M(x, x'; l_3) exp(-|s - s'| / r_3)

M is the Matern covariance with nu = 5/2 and one length scale for each feature (Rasmussen & Williams
2006, "Gaussian Processes for Machine Learning", eq. 4.17 and section 5.1). The product models an
effect of imagery that differs between regions, as spatially varying regression coefficients do
(Gelfand et al. 2003, JASA 98). Each observation adds independent noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, RegressorMixin

from spatioformer.common.earth import on_sphere
from spatioformer.models.baselines.features import lonlat

# Covariances computed at once in `predict`: 1 MB a field, which fits the processor cache. Arrays of
# 3 MB are slower, because the allocator returns them to the system after each use.
CHUNK = 2**17
BLOCK = 2**20  # covariances computed at once in `fit`, where larger matrix products are faster
JITTER = 1e-6  # added noise, in variances of richness, so that plots may share coordinates
STEPS = 60  # largest number of iterations of the optimiser
WHOLE = 900  # largest number of plots whose likelihood is computed exactly
GROUP, GROUPS = 300, 12  # with more plots: number of plots in a group, and number of groups

Inputs = tuple[np.ndarray, np.ndarray]
"""Features (n, f) and points on the sphere (n, 3), standardised."""

Group = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Features (n, f), points on the sphere (n, 3) and target (n,) of some plots, standardised."""


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of the covariance as one vector of logarithms.

    Units: variances in variances of richness, lengths in standard deviations of the features,
    ranges in root mean square distances of the plots from their centre.
    """

    vector: np.ndarray  # a_1, a_2, a_3, noise, r_1, r_3, then l_2 and l_3 of each feature

    @classmethod
    def usual(cls, features: int) -> "Hyperparameters":
        """Starting values of the optimiser and medians of the log-normal prior (sd 1).

        The response has the largest variance and noise the smallest. Ranges are half the plots'
        distance from their centre. Lengths grow with the square root of the number of features, as
        distances between plots do.
        """
        start = np.log([0.3, 0.5, 0.3, 0.15, 0.5, 0.5])
        lengths = np.full(2 * features, np.log(1.5 * np.sqrt(features)))
        return cls(np.concatenate([start, lengths]))

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
        return np.exp(self.vector[6:].reshape(2, -1))


class GaussianProcess(RegressorMixin, BaseEstimator):
    """Gaussian process of location, features and their product.

    With at most `inducing` plots it is exact. With more plots it is the subset-of-regressors
    approximation (Rasmussen & Williams 2006, section 8.3.1) with `inducing` inducing points.

    The hyperparameters are maximum a posteriori estimates under a weak prior
    (`Hyperparameters.usual`). With more than `WHOLE` plots, the likelihood is that of groups of
    plots taken as independent: half of the groups are scattered plots, which determine long ranges,
    and half are nearest neighbours, which determine short ranges.

    Args:
        inducing: largest number of inducing plots.
        prior: weight of the prior, above 0; 1 is the prior itself.
        seed: of the random groups and inducing plots.
    """

    def __init__(self, inducing: int = 4000, prior: float = 1.0, seed: int = 0):
        self.inducing = inducing
        self.prior = prior
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "GaussianProcess":
        """Estimate the hyperparameters and fit the process.

        Args:
            X: (n, features + 2), NaN where a feature is missing; the last two columns are longitude
                and latitude, degrees. A missing feature is replaced by its mean.
            y: (n,), richness.
        """
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        features = np.ma.masked_invalid(X[:, :-2])
        self.centre_ = features.mean(axis=0).filled(0.0)
        self.scale_ = self._scales(_above_zero(features.std(axis=0).filled(0.0)))
        places = on_sphere(lonlat(X))
        self.middle_ = places.mean(axis=0)
        self.extent_ = float(_above_zero(np.sqrt(np.sum(np.var(places, axis=0)))))
        self.mean_, self.sd_ = float(y.mean()), float(_above_zero(y.std()))
        inputs, target = self._standardised(X), (y - self.mean_) / self.sd_
        rng = np.random.default_rng(self.seed)
        groups = [
            (inputs[0][rows], inputs[1][rows], target[rows]) for rows in _groups(inputs[1], rng)
        ]
        self.found_ = self._likeliest(groups).vector
        self._solve(inputs, target, rng)
        return self

    def _scales(self, sds: np.ndarray) -> np.ndarray:
        """Divisor of each feature, from its standard deviation."""
        return sds

    def _likeliest(self, groups: Sequence[Group]) -> Hyperparameters:
        return likeliest(groups, self.prior)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected richness (n,) at X (n, features + 2), with columns as in `fit`."""
        features, places = self._standardised(np.asarray(X, np.float64))
        out = np.empty(len(features))
        inducing = self.features_, self.places_
        for part in _chunks(len(out), CHUNK // len(self.weights_)):
            out[part] = self._covariance((features[part], places[part]), inducing) @ self.weights_
        return self.mean_ + self.sd_ * out

    def _standardised(self, X: np.ndarray) -> Inputs:
        """Standardised features, 0 (the mean) where missing, and points on the sphere."""
        places = (on_sphere(lonlat(X)) - self.middle_) / self.extent_
        features = (X[:, :-2] - self.centre_) / self.scale_
        return np.where(np.isfinite(features), features, 0.0), places

    def _covariance(self, inputs: Inputs, others: Inputs) -> np.ndarray:
        """Covariance (n, m) of the process between two sets of inputs."""
        hyperparameters = Hyperparameters(self.found_)
        place, response, local = fields(
            *distances(*inputs, *others, hyperparameters), hyperparameters
        )
        return place + response + local

    def _solve(self, inputs: Inputs, target: np.ndarray, rng: np.random.Generator) -> None:
        """Set the inducing plots and their weights."""
        noise = Hyperparameters(self.found_).noise
        if len(target) <= self.inducing:
            self.features_, self.places_ = inputs
            covariance = self._covariance(inputs, inputs)
            covariance[np.diag_indices(len(target))] += noise
            self.weights_ = cho_solve(cho_factor(covariance, lower=True), target)
            return
        chosen = np.sort(rng.choice(len(target), self.inducing, replace=False))
        self.features_, self.places_ = inducing = inputs[0][chosen], inputs[1][chosen]
        covariance = self._covariance(inducing, inducing)
        covariance[np.diag_indices(len(covariance))] += JITTER
        factor = cholesky(covariance, lower=True)
        # With V = factor^-1 K: weights = factor^-T (V V' + noise)^-1 V target. V V' is well
        # conditioned, and K K' is not.
        normal = np.asfortranarray(noise * np.eye(len(covariance)))
        moment = np.zeros(len(covariance))
        for part in _chunks(len(target), BLOCK // len(covariance)):
            cross = self._covariance(inducing, (inputs[0][part], inputs[1][part]))
            white = solve_triangular(factor, cross, lower=True)
            normal = dsyrk(1.0, white, beta=1.0, c=normal, lower=True, overwrite_c=True)
            moment += white @ target[part]
        inner = cho_solve(cho_factor(normal, lower=True), moment)
        self.weights_ = solve_triangular(factor, inner, lower=True, trans="T")


def gaussian_process(seed: int) -> GaussianProcess:
    """`GaussianProcess` with default hyperparameters, unfitted."""
    return GaussianProcess(seed=seed)


def distances(
    features: np.ndarray,
    places: np.ndarray,
    other_features: np.ndarray,
    other_places: np.ndarray,
    hyperparameters: Hyperparameters,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Distances between plots, (n, m) each.

    Args:
        features, other_features: (n, f) and (m, f), standardised.
        places, other_places: (n, 3) and (m, 3), standardised.

    Returns:
        Distances between places, and scaled distances between features for l_2 and for l_3.
    """
    feature_distances = [
        _scaled_distance(features / length, other_features / length)
        for length in hyperparameters.lengths
    ]
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


def likeliest(groups: Sequence[Group], prior: float) -> Hyperparameters:
    """Maximum a posteriori estimate of the hyperparameters.

    Args:
        groups: features (n, f), places (n, 3) and target (n,) of each group, standardised; the
            groups count as independent.
        prior: weight of the prior, whose medians are `Hyperparameters.usual`.
    """
    usual = Hyperparameters.usual(groups[0][0].shape[1]).vector

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        offset = vector - usual
        value, gradient = prior / 2 * offset @ offset, prior * offset
        for group in groups:
            group_value, group_gradient = misfit(*group, Hyperparameters(vector))
            value, gradient = value + group_value, gradient + group_gradient
        return value, gradient

    return Hyperparameters(minimum(loss, usual))


def minimum(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray
) -> np.ndarray:
    """Parameters near `start` at which a loss, given with its gradient, is smallest."""
    # A factor of e^7 from the starting values: beyond it only the conditioning changes.
    bounds = [(v - 7, v + 7) for v in start]
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds,
                    options={"maxiter": STEPS, "ftol": 1e-6})  # fmt: skip
    return np.asarray(best.x)


def misfit(
    features: np.ndarray, places: np.ndarray, target: np.ndarray, hyperparameters: Hyperparameters
) -> tuple[float, np.ndarray]:
    """Negative log-likelihood of `target` (n,), without constants, and its gradient.

    Source: Rasmussen & Williams 2006, eq. 2.30 and 5.9.
    """
    place_distance, feature_distances = distances(
        features, places, features, places, hyperparameters
    )
    parts = fields(place_distance, feature_distances, hyperparameters)
    place, response, local = parts
    covariance = place + response + local
    covariance[np.diag_indices(len(target))] += hyperparameters.noise
    factor = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    weights = cho_solve((factor, True), target, check_finite=False)
    value = target @ weights / 2 + np.log(np.diagonal(factor)).sum()
    inverse = dpotri(factor, lower=True)[0]  # its lower triangle
    # Lower triangle of twice the gradient with respect to the covariance. The diagonal is halved
    # below, so that a sum over the triangle is half of the sum over the whole matrix.
    sensitivity = np.tril(inverse - np.outer(weights, weights))
    noise = np.trace(sensitivity) / 2 * np.exp(hyperparameters.vector[3])
    sensitivity[np.diag_indices(len(sensitivity))] /= 2
    gradient = [np.vdot(sensitivity, part) for part in parts] + [noise]
    gradient += [
        np.einsum("ij,ij,ij->", sensitivity, part, place_distance) / reach
        for part, reach in zip(parts[::2], hyperparameters.ranges, strict=True)
    ]
    for part, d, length in zip(parts[1:], feature_distances, hyperparameters.lengths, strict=True):
        scaled = features / length
        # d M / d log length = 5/3 (1 + d) exp(-d) * squared difference along the feature
        part *= sensitivity
        part *= (5 / 3) * (1 + d) / (1 + d + d**2 / 3)
        squares = (scaled**2).T @ (part.sum(axis=0) + part.sum(axis=1))
        gradient.extend(squares - 2 * np.sum(scaled * (part @ scaled), axis=0))
    return float(value), np.array(gradient)


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


def _chunks(count: int, step: int) -> list[slice]:
    """Slices of max(`step`, 1) rows that cover `count` rows."""
    step = max(step, 1)
    return [slice(start, start + step) for start in range(0, count, step)]


def _groups(places: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of each group of plots; all plots in one group if there are at most `WHOLE`."""
    count = len(places)
    if count <= WHOLE:
        return [np.arange(count)]
    tree = KDTree(places)
    centres = places[rng.choice(count, GROUPS // 2, replace=False)]
    scattered = [rng.choice(count, GROUP, replace=False) for _ in centres]
    near = np.asarray(tree.query(centres, k=GROUP)[1])
    return [*near, *scattered]


def _above_zero(value: np.ndarray | float) -> np.ndarray:
    """Replace 0 by 1, so that the value can be a divisor."""
    return np.where(np.asarray(value) > 0, value, 1.0)
