"""Maximum a posteriori estimate of the hyperparameters."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize

from spatioformer.models.baselines.gaussian.kernel import Hyperparameters, Inputs
from spatioformer.models.baselines.gaussian.likelihood import misfit

STEPS = 60  # largest number of iterations of the optimiser
TOLERANCE = 1e-5  # relative change of the loss at which the optimiser ends

Group = tuple[Inputs, np.ndarray]
"""Inputs and target (n,) of a group of plots."""


def likeliest(
    groups: Sequence[Group],
    prior: float,
    start: Hyperparameters | None = None,
    steps: int = STEPS,
    held: Mapping[int, float] | None = None,
    shares: np.ndarray | None = None,
) -> Hyperparameters:
    """Maximum a posteriori estimate of the hyperparameters.

    Args:
        groups: inputs and target of each group, standardised; the groups count as independent.
        prior: weight of the prior, whose medians are `Hyperparameters.usual`.
        start: starting values of the optimiser; None: the medians.
        steps: largest number of iterations.
        held: position in the vector -> value of hyperparameters that are not estimated.
        shares: int (f,), group of each feature, whose lengths have a common prior; None: no groups.
    """
    inputs = groups[0][0]
    features = inputs.features.shape[1]
    usual = Hyperparameters.usual(features, inputs.effort is not None)
    precision = prior * usual.prior_precision(shares)

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        offset = vector - usual.vector
        gradient = precision @ offset
        value = offset @ gradient / 2
        for group in groups:
            group_value, group_gradient = misfit(*group, Hyperparameters(vector, features))
            value, gradient = value + group_value, gradient + group_gradient
        return value, gradient

    # A factor of e^7 from the medians: beyond it only the conditioning changes.
    reach = 7 * usual.prior_sd
    bounds = list(zip(usual.vector - reach, usual.vector + reach, strict=True))
    first = (usual if start is None else start).vector.copy()
    for position, value in (held or {}).items():
        first[position], bounds[position] = value, (value, value)
    best = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds,
                    options={"maxiter": steps, "ftol": TOLERANCE})  # fmt: skip
    return Hyperparameters(best.x, features)
