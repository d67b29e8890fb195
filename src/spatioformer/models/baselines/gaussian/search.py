"""Maximum a posteriori estimate of the hyperparameters."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from spatioformer.models.baselines.gaussian.kernel import Hyperparameters, Inputs
from spatioformer.models.baselines.gaussian.likelihood import misfit

STEPS = 60  # largest number of iterations of the optimiser
COMPARED = 10  # iterations from each of several starts, before one goes on
# Nats by which another start has to be likelier than the first one. A search from a short range,
# the first, still gained 2 to 30 nats after COMPARED iterations on Keil & Chase's training plots,
# on floras and on plots with known ranges; where a long range was better, it was so by 10 to 20.
LIKELIER = 5.0
TOLERANCE = 1e-5  # relative change of the loss at which the optimiser ends

Group = tuple[Inputs, np.ndarray]
"""Inputs and target (n,) of a group of plots."""


def likeliest(
    groups: Sequence[Group],
    prior: float,
    starts: Sequence[Hyperparameters] = (),
    steps: int = STEPS,
    held: Mapping[int, float] | None = None,
    shares: np.ndarray | None = None,
) -> Hyperparameters:
    """Maximum a posteriori estimate of the hyperparameters.

    Args:
        groups: inputs and target of each group, standardised; the groups count as independent.
        prior: weight of the prior, whose medians are `Hyperparameters.usual`.
        starts: starting values of the optimiser; none: the medians. Of several, the first goes on
            unless another is likelier by `LIKELIER` after `COMPARED` iterations.
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
    lower, upper = usual.vector - reach, usual.vector + reach
    for position, value in (held or {}).items():
        lower[position] = upper[position] = value
    bounds = list(zip(lower, upper, strict=True))

    def after(steps: int, start: np.ndarray) -> OptimizeResult:
        first = np.clip(start, lower, upper)
        return minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds,
                        options={"maxiter": steps, "ftol": TOLERANCE})  # fmt: skip

    vectors = [start.vector for start in starts or [usual]]
    if len(vectors) > 1:
        ends = [after(COMPARED, start) for start in vectors]
        losses = np.array([end.fun for end in ends])
        losses[0] -= LIKELIER
        vectors = [ends[losses.argmin()].x]
    return Hyperparameters(after(steps, vectors[0]).x, features)
