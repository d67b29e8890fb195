"""A Gaussian process whose answer to imagery changes from place to place.

    f(x, s) = mean + place(s) + response(x) + local response(x, s)

x is what is seen of a plot and s where it lies. Each part is a field of its own, their covariances

    a_1 exp(-|s - s'| / r_1)    a_2 M(x, x'; l_2)    a_3 M(x, x'; l_3) exp(-|s - s'| / r_3)

M is Matern's with nu = 5/2 and a length for each feature (Rasmussen & Williams 2006, "Gaussian
Processes for Machine Learning", eq. 4.17 and section 5.1). The product is what a sum cannot say:
that greenness means one thing here and another a thousand kilometres on, as regression
coefficients that vary in space do (Gelfand et al. 2003, JASA 98). A plot adds noise of its own.
"""

from collections.abc import Sequence
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

CHUNK = 2**17  # covariances at once: 1 MB a field, which a cache holds; with 3 MB the allocator
# gives each array back to the system and asks for it again, which takes longer than to fill it
BLOCK = 2**20  # the same while learning, where products of larger matrices gain more
JITTER = 1e-6  # of the variance of richness, so that plots that coincide do no harm
STEPS = 60  # of the search for the likeliest hyperparameters, at most
WHOLE = 900  # plots that are judged all at once
GROUP, GROUPS = 300, 12  # of more than that: plots a group, and how many groups

Inputs = tuple[np.ndarray, np.ndarray]
"""Features (n, f) and points on the sphere (n, 3), standardised."""


@dataclass(frozen=True)
class Hyperparameters:
    """Logarithms of all positive numbers of the covariance, as one vector.

    In units of the variance of richness, of the features' standard deviations (lengths) and of the
    plots' root mean square distance from their centre (ranges).
    """

    vector: np.ndarray  # a_1, a_2, a_3, noise, r_1, r_3, then l_2 and l_3 of each feature

    @classmethod
    def usual(cls, features: int) -> "Hyperparameters":
        """Where the search starts, and what it is held near by a log-normal prior of sd 1.

        Half of the variance to the response, less to place and to the local response, least to
        noise; ranges of half the plots' distance from their centre; lengths that, with so many
        features, tell apart plots of ordinary difference.
        """
        start = np.log([0.3, 0.5, 0.3, 0.15, 0.5, 0.5])
        lengths = np.full(2 * features, np.log(1.5 * np.sqrt(features)))
        return cls(np.concatenate([start, lengths]))

    @property
    def variances(self) -> np.ndarray:
        """a_1, a_2, a_3."""
        return np.exp(self.vector[:3])

    @property
    def noise(self) -> float:
        return float(np.exp(self.vector[3])) + JITTER

    @property
    def ranges(self) -> np.ndarray:
        """r_1, r_3."""
        return np.exp(self.vector[4:6])

    @property
    def lengths(self) -> np.ndarray:
        """l_2 and l_3, (2, features)."""
        return np.exp(self.vector[6:].reshape(2, -1))


class GaussianProcess(RegressorMixin, BaseEstimator):
    """Gaussian process of place, features and their product.

    With no more plots than `inducing` it is exact. With more it is the subset of regressors
    (Rasmussen & Williams 2006, section 8.3.1): all plots teach, through `inducing` of them.

    Hyperparameters are the likeliest ones under a weak prior (`Hyperparameters.usual`); of many
    plots, the likeliest for groups of them taken as independent, half of the groups scattered for
    the long ranges and half of neighbours for the short ones.

    Args:
        inducing: plots that predictions are made from, at most.
        prior: weight of the prior, above 0; as it is 1.
        seed: of the groups and the inducing plots.
    """

    def __init__(self, inducing: int = 4000, prior: float = 1.0, seed: int = 0):
        self.inducing = inducing
        self.prior = prior
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "GaussianProcess":
        """X: (n, features + 2), NaN where a feature is unknown, lon, lat in degrees last; y: (n,).

        An unknown feature is taken for the mean of the known ones.
        """
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        known = np.ma.masked_invalid(X[:, :-2])
        self.centre_ = known.mean(axis=0).filled(0.0)
        self.scale_ = _above_zero(known.std(axis=0).filled(0.0))
        places = on_sphere(lonlat(X))
        self.middle_ = places.mean(axis=0)
        self.extent_ = float(_above_zero(np.sqrt(np.sum(np.var(places, axis=0)))))
        self.mean_, self.sd_ = float(y.mean()), float(_above_zero(y.std()))
        seen, target = self._standardised(X), (y - self.mean_) / self.sd_
        rng = np.random.default_rng(self.seed)
        groups = [(seen[0][rows], seen[1][rows], target[rows]) for rows in _groups(seen[1], rng)]
        self.found_ = likeliest(groups, self.prior).vector
        self._solve(seen, target, rng)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected richness, (n,)."""
        features, places = self._standardised(np.asarray(X, np.float64))
        out = np.empty(len(features))
        known = self.features_, self.places_
        for part in _chunks(len(out), CHUNK // len(self.weights_)):
            out[part] = self._covariance((features[part], places[part]), known) @ self.weights_
        return self.mean_ + self.sd_ * out

    def _standardised(self, X: np.ndarray) -> Inputs:
        """Features and points on the sphere, both near 1 in size."""
        places = (on_sphere(lonlat(X)) - self.middle_) / self.extent_
        features = (X[:, :-2] - self.centre_) / self.scale_
        return np.where(np.isfinite(features), features, 0.0), places

    def _covariance(self, some: Inputs, others: Inputs) -> np.ndarray:
        found = Hyperparameters(self.found_)
        place, response, local = fields(*distances(*some, *others, found), found)
        return place + response + local

    def _solve(self, seen: Inputs, target: np.ndarray, rng: np.random.Generator) -> None:
        """Weights of the plots that predictions are made from."""
        noise = Hyperparameters(self.found_).noise
        if len(target) <= self.inducing:
            self.features_, self.places_ = seen
            covariance = self._covariance(seen, seen)
            covariance[np.diag_indices(len(target))] += noise
            self.weights_ = cho_solve(cho_factor(covariance, lower=True), target)
            return
        chosen = np.sort(rng.choice(len(target), self.inducing, replace=False))
        self.features_, self.places_ = known = seen[0][chosen], seen[1][chosen]
        own = self._covariance(known, known)
        own[np.diag_indices(len(own))] += JITTER
        factor = cholesky(own, lower=True)
        # With V = factor^-1 K: weights = factor^-T (V V' + noise)^-1 V target, and V V' well
        # conditioned where K K' is not.
        normal = np.asfortranarray(noise * np.eye(len(own)))
        moment = np.zeros(len(own))
        for part in _chunks(len(target), BLOCK // len(own)):
            shared = self._covariance(known, (seen[0][part], seen[1][part]))
            white = solve_triangular(factor, shared, lower=True)
            normal = dsyrk(1.0, white, beta=1.0, c=normal, lower=True, overwrite_c=True)
            moment += white @ target[part]
        inner = cho_solve(cho_factor(normal, lower=True), moment)
        self.weights_ = solve_triangular(factor, inner, lower=True, trans="T")


def gaussian_process(seed: int) -> GaussianProcess:
    """The process with its usual settings."""
    return GaussianProcess(seed=seed)


def distances(
    features: np.ndarray,
    places: np.ndarray,
    other_features: np.ndarray,
    other_places: np.ndarray,
    found: Hyperparameters,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Between places, and between features by each of the two sets of lengths: (n, m) each.

    Args:
        features: (n, f), (m, f); places: (n, 3), (m, 3); standardised.
    """
    far = [_far(features / length, other_features / length) for length in found.lengths]
    return cdist(places, other_places), far


def fields(apart: np.ndarray, far: list[np.ndarray], found: Hyperparameters) -> list[np.ndarray]:
    """Covariances of place, response and local response, (n, m) each, by their `distances`."""
    near, locally = (_exponential(apart, reach) for reach in found.ranges)
    response, local = map(_matern, far)
    local *= locally
    parts = [near, response, local]
    for part, variance in zip(parts, found.variances, strict=True):
        part *= variance
    return parts


def likeliest(
    groups: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], prior: float
) -> Hyperparameters:
    """Maximum a posteriori: likelihood of the groups, and a prior around the usual values.

    Args:
        groups: features (n, f), places (n, 3) and target (n,) of each.
    """
    usual = Hyperparameters.usual(groups[0][0].shape[1]).vector

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        away = vector - usual
        value, slope = prior / 2 * away @ away, prior * away
        for group in groups:
            more, steeper = misfit(*group, Hyperparameters(vector))
            value, slope = value + more, slope + steeper
        return value, slope

    # Beyond e^7 of what is usual nothing changes but the conditioning.
    bounds = [(v - 7, v + 7) for v in usual]
    best = minimize(loss, usual, jac=True, method="L-BFGS-B", bounds=bounds,
                    options={"maxiter": STEPS, "ftol": 1e-6})  # fmt: skip
    return Hyperparameters(best.x)


def misfit(
    features: np.ndarray, places: np.ndarray, target: np.ndarray, found: Hyperparameters
) -> tuple[float, np.ndarray]:
    """Minus the log-likelihood of `target` (n,), without constants, and its gradient.

    Rasmussen & Williams 2006, eq. 2.30 and 5.9.
    """
    apart, fars = distances(features, places, features, places, found)
    parts = fields(apart, fars, found)
    place, response, local = parts
    covariance = place + response + local
    covariance[np.diag_indices(len(target))] += found.noise
    factor = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    weights = cho_solve((factor, True), target, check_finite=False)
    value = target @ weights / 2 + np.log(np.diagonal(factor)).sum()
    inverse = dpotri(factor, lower=True)[0]  # its lower triangle
    pull = np.tril(inverse - np.outer(weights, weights))  # of the misfit, to the covariance
    noise = np.trace(pull) / 2 * np.exp(found.vector[3])
    pull[np.diag_indices(len(pull))] /= 2  # each pair once: half of what both triangles sum to
    slope = [np.vdot(pull, part) for part in parts] + [noise]
    slope += [
        np.einsum("ij,ij,ij->", pull, part, apart) / reach
        for part, reach in zip(parts[::2], found.ranges, strict=True)
    ]
    for part, far, length in zip(parts[1:], fars, found.lengths, strict=True):
        scaled = features / length
        # d M / d log length = 5/3 (1 + far) exp(-far) * squared difference along the feature
        part *= pull
        part *= (5 / 3) * (1 + far) / (1 + far + far**2 / 3)
        alone = (scaled**2).T @ (part.sum(axis=0) + part.sum(axis=1))
        slope.extend(alone - 2 * np.sum(scaled * (part @ scaled), axis=0))
    return float(value), np.array(slope)


def _exponential(apart: np.ndarray, reach: float) -> np.ndarray:
    out = apart / -reach
    return np.exp(out, out=out)


def _matern(far: np.ndarray) -> np.ndarray:
    """(1 + far + far^2 / 3) exp(-far)."""
    out = np.exp(-far)
    out *= 1 + far * (1 + far / 3)
    return out


def _far(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """sqrt(5) times the distance between rows (n, k) and (m, k): (n, m).

    By squares, which is faster than `cdist` and off by 1e-8 where rows coincide: nothing to
    Matern's covariance, which is flat there; the exponential one is not.
    """
    out = some @ (-10 * others.T)
    out += 5 * np.sum(some**2, axis=1)[:, None]
    out += 5 * np.sum(others**2, axis=1)
    np.maximum(out, 0, out=out)
    return np.sqrt(out, out=out)


def _chunks(count: int, step: int) -> list[slice]:
    """Of `count` rows, `step` at a time or one."""
    step = max(step, 1)
    return [slice(start, start + step) for start in range(0, count, step)]


def _groups(places: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of the plots whose likelihood is taken together."""
    count = len(places)
    if count <= WHOLE:
        return [np.arange(count)]
    tree = KDTree(places)
    centres = places[rng.choice(count, GROUPS // 2, replace=False)]
    scattered = [rng.choice(count, GROUP, replace=False) for _ in centres]
    near = np.asarray(tree.query(centres, k=GROUP)[1])
    return [*near, *scattered]


def _above_zero(value: np.ndarray | float) -> np.ndarray:
    """What is divided by: 1 in place of 0."""
    return np.where(np.asarray(value) > 0, value, 1.0)
