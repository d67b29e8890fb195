"""Leave-block-out predictions in closed form, at fixed hyperparameters.

Each block of plots is predicted from all others. The inverse covariance C of all plots gives them
without a fit a block: the error of block B is (C_BB)^-1 (C target)_B, and its covariance (C_BB)^-1
(Rippa 1999, Adv. Comput. Math. 11:193; Dubrule 1983, Math. Geology 15:687). Through inducing
plots, the hat matrix H takes the place of C: (I - H_BB)^-1 (target - H target)_B.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from spatioformer.models.baselines.gaussian.inverse import inverse_of
from spatioformer.models.baselines.gaussian.kernel import (
    Hyperparameters,
    Inputs,
    covariance,
)
from spatioformer.models.baselines.gaussian.posterior import BLOCK, chunks, normal_equations


@dataclass(frozen=True)
class LeftOut:
    """Predictions of plots from the plots of other blocks.

    Attributes:
        mean: (n,), of the transformed response, standardised.
        variance: (n,), of the same, noise included.
    """

    mean: np.ndarray
    variance: np.ndarray


def leave_out_exact(
    inputs: Inputs, target: np.ndarray, hyperparameters: Hyperparameters, block: np.ndarray
) -> LeftOut:
    """Leave-block-out predictions of the exact process.

    Args:
        target: (n,), standardised.
        block: (n,), label of each plot's block.
    """
    return leave_out_each(inputs, target, hyperparameters, [block])[0]


def leave_out_each(
    inputs: Inputs,
    target: np.ndarray,
    hyperparameters: Hyperparameters,
    blocks: Sequence[np.ndarray],
) -> list[LeftOut]:
    """`leave_out_exact` for each of several divisions into blocks, from one inverse."""
    matrix = covariance(inputs, inputs, hyperparameters)
    matrix[np.diag_indices(len(target))] += hyperparameters.noise
    factor = cholesky(matrix, lower=True, overwrite_a=True)
    weights = cho_solve((factor, True), target)
    inverse = inverse_of(factor)  # its lower triangle
    out = []
    for block in blocks:
        variance = 1 / np.diagonal(inverse)  # of blocks of one plot
        error = variance * weights
        for rows in members(block):
            if len(rows) > 1:
                part = inverse[np.ix_(rows, rows)]  # rows ascend, so its lower triangle is filled
                error[rows], variance[rows] = _solved(part, weights[rows])
        out.append(LeftOut(target - error, variance))
    return out


def leave_out_through(
    inputs: Inputs,
    target: np.ndarray,
    hyperparameters: Hyperparameters,
    chosen: np.ndarray,
    block: np.ndarray,
) -> LeftOut:
    """Leave-block-out predictions through the inducing plots `chosen`, rows of `inputs`.

    The inducing plots stay the same, also those of the block that is left out: they are places
    where the process is described, and their values are not used.
    """
    inducing = inputs[chosen]
    factor, normal, moment = normal_equations(inputs, target, hyperparameters, inducing)
    inner = cholesky(normal, lower=True)
    weights = cho_solve((inner, True), moment)
    error, variance = np.empty(len(target)), np.empty(len(target))
    for rows in members(block):
        white = np.empty((len(factor), len(rows)))
        for part in chunks(len(rows), BLOCK // len(factor)):
            cross = covariance(inducing, inputs[rows[part]], hyperparameters)
            white[:, part] = solve_triangular(factor, cross, lower=True)
        half = solve_triangular(inner, white, lower=True)
        remaining = np.eye(len(rows)) - half.T @ half
        error[rows], variance[rows] = _solved(remaining, target[rows] - weights @ white)
        unexplained = hyperparameters.variance(inputs[rows]) - np.sum(white**2, axis=0)
        variance[rows] = hyperparameters.noise * variance[rows] + np.maximum(unexplained, 0.0)
    return LeftOut(target - error, variance)


def members(block: np.ndarray) -> list[np.ndarray]:
    """Rows of each block."""
    number = np.unique(block, return_inverse=True)[1].reshape(-1)
    return np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])


def _solved(matrix: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """matrix^-1 right, and the diagonal of matrix^-1; the lower triangle of `matrix` is read."""
    factor = cholesky(matrix, lower=True)
    root = solve_triangular(factor, np.eye(len(matrix)), lower=True)
    return root.T @ (root @ right), np.sum(root**2, axis=0)


def log_score(left_out: LeftOut, target: np.ndarray) -> np.ndarray:
    """Log of the predictive density of each target (n,), standardised."""
    squares = (target - left_out.mean) ** 2 / left_out.variance
    return -(squares + np.log(2 * np.pi * left_out.variance)) / 2
