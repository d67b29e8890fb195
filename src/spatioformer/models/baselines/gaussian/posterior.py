"""Posterior mean and variance of the process, exact or through inducing plots.

Through inducing plots u, it is the subset-of-regressors approximation (Rasmussen & Williams 2006,
section 8.3.1), with the prior variance that they do not explain added to the variance (section
8.3.4).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, qr, solve_triangular
from scipy.linalg.blas import get_blas_funcs

from spatioformer.models.baselines.gaussian.kernel import (
    JITTER,
    Hyperparameters,
    Inputs,
    covariance,
)

BLOCK = 2**21  # covariances in a product of matrices of `fit`; smaller products are slower
PIECE = 2**17  # covariances computed at once for it: 1 MB, which fits the processor's cache
NOISE = 0.05
"""Smallest noise, in variances of the response, at which products are in single precision.

They are the products of the inducing plots' covariances with all plots; equations are solved in
double precision. Predictions then differ by a hundredth of a standard deviation of the response at
most (tests/models/baselines/gaussian/test_posterior.py). The difference grows as the noise falls.
"""
RANK = 256  # largest number of directions in which the variance falls below the prior variance
PASSES = 3  # of the power iteration that finds these directions


@dataclass(frozen=True)
class Posterior:
    """The process after the plots.

    Attributes:
        known: the m plots whose covariances give a prediction.
        weights: (m,), of their covariances in the posterior mean.
        reduction: (m, r), by which the plots reduce the variance at a place with covariances k: the
            sum of squares of k @ reduction; None if the variance is not wanted.
    """

    known: Inputs
    weights: np.ndarray
    reduction: np.ndarray | None


def exact(
    inputs: Inputs, target: np.ndarray, hyperparameters: Hyperparameters, variance: bool = True
) -> Posterior:
    """Posterior from all plots; target (n,) is standardised; its variance doubles the cost."""
    matrix = covariance(inputs, inputs, hyperparameters)
    matrix[np.diag_indices(len(target))] += hyperparameters.noise
    weights = cho_solve(cho_factor(matrix, lower=True), target)
    if not variance:
        return Posterior(inputs, weights, None)
    values, vectors = leading(matrix)
    return Posterior(inputs, weights, vectors / np.sqrt(values))


def through_inducing(
    inputs: Inputs,
    target: np.ndarray,
    hyperparameters: Hyperparameters,
    chosen: np.ndarray,
    variance: bool = True,
) -> Posterior:
    """Posterior from all plots through the plots `chosen` (m,), rows of `inputs`."""
    inducing = inputs[chosen]
    factor, normal, moment = normal_equations(inputs, target, hyperparameters, inducing)
    inner = cho_solve(cho_factor(normal, lower=True), moment)
    weights = solve_triangular(factor, inner, lower=True, trans="T")
    if not variance:
        return Posterior(inducing, weights, None)
    values, vectors = leading(normal)  # V V' + noise
    shrunk = vectors * np.sqrt(np.maximum(1 - hyperparameters.noise / values, 0.0))
    return Posterior(inducing, weights, solve_triangular(factor, shrunk, lower=True, trans="T"))


def normal_equations(
    inputs: Inputs, target: np.ndarray, hyperparameters: Hyperparameters, inducing: Inputs
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cholesky factor L of K_uu, V V' + noise and V target, with V = L^-1 K_un.

    Weights are L^-T (V V' + noise)^-1 V target. V V' is well conditioned, and K_un K_nu is not.
    """
    covariances = _shared(inducing, inducing, hyperparameters, np.float64)
    covariances[np.diag_indices(len(covariances))] += JITTER
    factor = cholesky(covariances, lower=True, overwrite_a=True)
    dtype: type[np.floating] = np.float32 if hyperparameters.noise >= NOISE else np.float64
    triangle = np.asfortranarray(factor, dtype)
    solve, add_products = get_blas_funcs(("trsm", "syrk"), (triangle,))
    normal = np.zeros(triangle.shape, dtype, order="F")
    moment = np.zeros(len(covariances))
    for part in chunks(len(target), BLOCK // len(covariances)):
        shared = _shared(inputs[part], inducing, hyperparameters, dtype)
        white = solve(1.0, triangle, shared, lower=True, overwrite_b=True)
        normal = add_products(1.0, white, beta=1.0, c=normal, lower=True, overwrite_c=True)
        moment += white @ target[part].astype(dtype)
    return factor, _symmetric(normal, hyperparameters.noise), moment


def _shared(
    inputs: Inputs, inducing: Inputs, hyperparameters: Hyperparameters, dtype: type[np.floating]
) -> np.ndarray:
    """Covariance (m, n) of the inducing plots and of `inputs`, in LAPACK's order of storage."""
    out = np.empty((len(inducing), len(inputs)), dtype, order="F")
    for part in chunks(len(inputs), PIECE // len(inducing)):
        out.T[part] = covariance(inputs[part], inducing, hyperparameters, dtype)
    return out


def _symmetric(lower: np.ndarray, noise: float) -> np.ndarray:
    """Matrix (m, m) in double precision with this lower triangle, and noise on its diagonal."""
    out = np.asfortranarray(lower, np.float64)
    out[np.diag_indices(len(out))] += noise
    for rows in chunks(len(out), 256):
        out[rows, rows.stop :] = out[rows.stop :, rows].T
        corner = out[rows, rows]
        corner[:] = np.tril(corner) + np.tril(corner, -1).T
    return out


def leading(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues (r,) of a symmetric matrix (n, n), and their vectors (n, r).

    All are given up to n = 2 RANK. Beyond, the RANK largest are found by power iteration from fixed
    random vectors (Halko et al. 2011, SIAM Review 53:217).
    """
    count = len(matrix)
    if count <= 2 * RANK:
        return np.linalg.eigh(matrix)
    basis: np.ndarray = np.random.default_rng(0).normal(size=(count, RANK + 16))
    for _ in range(PASSES):
        basis = qr(matrix @ basis, mode="economic", overwrite_a=True)[0]
    values, inner = np.linalg.eigh(basis.T @ (matrix @ basis))
    return values[-RANK:], basis @ inner[:, -RANK:]


def chunks(count: int, step: int) -> list[slice]:
    """Slices of max(`step`, 1) rows that cover `count` rows."""
    step = max(step, 1)
    return [slice(start, start + step) for start in range(0, count, step)]
