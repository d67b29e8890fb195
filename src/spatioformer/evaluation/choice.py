"""Choose one of several models by their held-out predictions, and score the choice honestly.

The models are compared with a reference. That is the usual model, which is the best one most often;
held-out errors of some hundred plots are a weaker reason. It is another model only if that one is
clearly better: a paired test of the units (`sign_flips`) rejects that it is not, at the level CLEAR
for all models together. Without a usual model the reference is the model with the smallest mean
squared error.

A model is tied with the reference if the two are certainly much the same: tests at the level SAME
reject that it is worse, and that it is better, by a tolerance or more. The fastest of the tied
models is chosen. With few units, or few plots, only the reference is tied: a model that looks as
good or better there need not be.

The score of the chosen model is too good on the plots that chose it. So the choice is part of what
is validated, by repeated cross-validation over units: nine tenths of the units choose, and the
others score. No model is fitted for that. Bootstrap samples of units (Tsamardinos et al. 2018,
Mach. Learn. 107:1895) hold a unit several times. If it counts as several units, tests see more
evidence than there is; if it counts as one, they see too little, and a clearly better model is
chosen less often than by all units. To let all units but one choose varies more without a usual
model, because a unit that favours one of two equal models is predicted by the other.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers
from spatioformer.evaluation.sign_flips import p_values

SAMPLES = 200
"""Number of samples of units that choose."""

PARTS = 10
"""Number of parts of the units, of which all but one choose; with fewer units, each is a part."""

CLEAR = 0.025
"""Probability, at most, that any model replaces a usual one that is as good as all others."""

SAME = 0.16
"""One-sided level of the tests by which a model is tied: one standard error with many units."""


@dataclass(frozen=True)
class Choice:
    """The chosen one of m models, and how each model compares with the reference.

    Attributes:
        chosen: number of the chosen model, from 0.
        reference: number of the model that the others are compared with.
        behind: (m,), mean squared error of each model minus that of the reference; negative for a
            model that is better than the usual one, but not clearly.
        standard_error: (m,), of `behind`.
        tied: bool (m,), whether |behind| is certainly below the tolerance; true of the reference.
    """

    chosen: int
    reference: int
    behind: Floats
    standard_error: Floats
    tied: np.ndarray

    @classmethod
    def of(
        cls,
        errors: ArrayLike,
        unit: ArrayLike,
        order: ArrayLike,
        tolerance: float,
        usual: int | None = None,
    ) -> Self:
        """Choose the fastest of the models that are tied with the reference.

        Args:
            errors: (n, m), predicted minus observed of each held-out plot and model.
            unit: (n,), labels; errors of plots with one label may be correlated.
            order: (m,), the smaller the number, the faster the model; of two models that are
                equally fast, the one with the smaller error is chosen.
            tolerance: difference of the mean squared errors from which models are not the same.
            usual: number of the usual model; None: there is none.

        Raises:
            EvaluationError: NaN or infinite values, no rows, or different lengths.
        """
        sums, counts, _ = _sums_of_units(errors, unit)
        return cls._of_sums(sums, counts, _Rule(_order(order, sums), tolerance, usual))

    @classmethod
    def _of_sums(cls, sums: Floats, counts: Integers, rule: "_Rule") -> Self:
        """Choose by the sums (U, m) of squared errors and numbers (U,) of plots of the units."""
        means = sums.sum(axis=0) / counts.sum()
        reference = rule.reference(sums)
        behind = means - means[reference]
        differences, bound = sums - sums[:, [reference]], rule.tolerance * counts[:, None]
        error = standard_error(differences, counts)
        within = p_values(np.hstack([bound - differences, bound + differences])).reshape(2, -1)
        tied: np.ndarray = np.all(within <= SAME, axis=0)
        tied[reference] = True
        chosen = int(np.lexsort([means, rule.order, ~tied])[0])
        return cls(chosen, reference, behind, error, tied)


@dataclass(frozen=True)
class _Rule:
    """How a model is chosen: `order`, `tolerance` and `usual` of `Choice.of`."""

    order: Floats
    tolerance: float
    usual: int | None

    def reference(self, sums: Floats) -> int:
        """Number of the model that the others are compared with; see `Choice._of_sums`."""
        total = sums.sum(axis=0)
        if self.usual is None:
            return int(total.argmin())
        clear = p_values(sums[:, [self.usual]] - sums, family=True) <= CLEAR
        clear[self.usual] = True
        return int(np.where(clear, total, np.inf).argmin())


def standard_error(sums: Floats, counts: Integers) -> Floats:
    """Standard error (m,) of means of values that are correlated within units.

    With n values in all, S_u the sum of (value - mean) over unit u, and U units,

        SE = sqrt(U / (U - 1) sum_u S_u^2) / n,

    the cluster-robust standard error of a mean (Cameron & Miller 2015, J. Hum. Resour. 50:317). It
    is 0 with a single unit, which shows no spread.

    Args:
        sums: (U, m), sums of the values of each unit.
        counts: (U,), numbers of values.
    """
    n, units = counts.sum(), len(counts)
    if units < 2:
        return np.zeros(sums.shape[1])
    centred = sums - counts[:, None] * (sums.sum(axis=0) / n)
    error: Floats = np.sqrt(units / (units - 1) * (centred**2).sum(axis=0)) / n
    return error


def choice_shares(
    errors: ArrayLike,
    unit: ArrayLike,
    order: ArrayLike,
    tolerance: float,
    usual: int | None = None,
    *,
    rng: np.random.Generator,
    samples: int = SAMPLES,
) -> Floats:
    """How often samples of units without a plot's unit choose each model: shares (n, m), sum 1.

    A sample is all of PARTS random parts of the units but one. With at most PARTS units, each is a
    part, and there are no other samples.

    Args:
        errors, unit, order, tolerance, usual: as for `Choice.of`.
        samples: number of samples; rounded up, so that each unit is left out equally often.

    Raises:
        EvaluationError: there is only one unit, or as `Choice.of`.
    """
    sums, counts, number = _sums_of_units(errors, unit)
    rule, units = _Rule(_order(order, sums), tolerance, usual), len(counts)
    if units < 2:
        raise EvaluationError(
            "a choice is scored on units that had no part in it, and all plots are of one unit; "
            "use smaller tiles"
        )
    times = np.zeros(sums.shape)
    for _ in range(1 if units <= PARTS else -(-samples // PARTS)):
        part = rng.permutation(units) % min(units, PARTS)
        for k in range(part.max() + 1):
            rest = part != k
            times[~rest, Choice._of_sums(sums[rest], counts[rest], rule).chosen] += 1
    shares: Floats = times / times.sum(axis=1, keepdims=True)
    return shares[number]


def scores_of_choice(
    observed: ArrayLike, predicted: ArrayLike, shares: ArrayLike
) -> dict[str, float]:
    """Scores of the choice as a model of its own, as `metrics.scores` gives them.

    Each plot counts once, as the mean over the models that the samples chose for it.

    Args:
        observed: (n,).
        predicted: (n, m), held-out predictions of the models.
        shares: (n, m), from `choice_shares`.
    """
    observed = checks.vector(observed, "observed values")
    predicted, shares = checks.matrix(predicted, "predicted values"), np.asarray(shares)
    checks.same_rows(predicted, "predicted values", observed)
    error = predicted - observed[:, None]
    squared, spread = (shares * error**2).sum(), ((observed - observed.mean()) ** 2).sum()
    return {
        "n": len(observed),
        "r": _correlation(observed, predicted, shares),
        "r2": float(1 - squared / spread) if np.ptp(observed) > 0 else float("nan"),
        "rmse": float(np.sqrt(squared / len(observed))),
        "mae": float((shares * np.abs(error)).sum() / len(observed)),
        "bias": float((shares * error).sum() / len(observed)),
    }


def _correlation(observed: Floats, predicted: Floats, shares: Floats) -> float:
    """Pearson's correlation over all pairs of a plot and a model, weighted by the shares."""
    root = np.sqrt(shares / len(observed))
    y = root * (observed - observed.mean())[:, None]
    x = root * (predicted - (shares * predicted).sum() / len(observed))
    if np.ptp(observed) == 0 or not np.any(x):
        return float("nan")
    return float((x * y).sum() / (np.linalg.norm(x) * np.linalg.norm(y)))


def _sums_of_units(errors: ArrayLike, unit: ArrayLike) -> tuple[Floats, Integers, Integers]:
    """Sums (U, m) of squared errors and numbers (U,) of plots; number (n,) of each plot's unit."""
    squared = checks.matrix(errors, "errors") ** 2
    labels = checks.labels(unit, "units", like=squared)
    names, number = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(names), squared.shape[1]))
    np.add.at(sums, number, squared)
    return sums, np.bincount(number), number


def _order(order: ArrayLike, sums: Floats) -> Floats:
    return checks.vector(order, "order of models", like=sums[0])
