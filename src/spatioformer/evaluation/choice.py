"""Choose one of several models by their held-out predictions, and score the choice honestly.

The model with the smallest mean squared error is the best one. A model whose error is larger by
less than one standard error of the difference is tied with it, and the fastest of the tied models
is chosen (the rule of one standard error: Breiman et al. 1984, "Classification and Regression
Trees", section 3.4.3, here for paired differences).

The score of the chosen model is too good on the plots that chose it. `nested_choice` makes the
choice for each fold anew, without the plots of that fold (Varma & Simon 2006, BMC Bioinformatics
7:91).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers


@dataclass(frozen=True)
class Choice:
    """The chosen one of m models, and how each model compares with the best one.

    Attributes:
        chosen: number of the chosen model, from 0.
        best: number of the model with the smallest mean squared error.
        behind: (m,), mean squared error of each model minus that of the best one, at least 0.
        standard_error: (m,), of `behind`.
        tied: bool (m,), whether `behind` is at most its standard error.
    """

    chosen: int
    best: int
    behind: Floats
    standard_error: Floats
    tied: np.ndarray

    @classmethod
    def of(cls, errors: ArrayLike, unit: ArrayLike, order: ArrayLike) -> Self:
        """Choose the fastest of the models that are tied with the best one.

        Args:
            errors: (n, m), predicted minus observed of each held-out plot and model.
            unit: (n,), labels; errors of plots with one label may be correlated.
            order: (m,), the smaller the number, the faster the model; of two models that are
                equally fast, the one with the smaller error is chosen.

        Raises:
            EvaluationError: NaN or infinite values, no rows, or different lengths.
        """
        squared = checks.matrix(errors, "errors") ** 2
        unit = checks.labels(unit, "units", like=squared[:, 0])
        order = checks.vector(order, "order of models", like=squared[0])
        means = squared.mean(axis=0)
        best = int(means.argmin())
        difference = squared - squared[:, [best]]
        behind = means - means[best]
        error = standard_error(difference, unit)
        tied = behind <= error
        tied[best] = True
        chosen = int(np.lexsort([means, order, ~tied])[0])
        return cls(chosen, best, behind, error, tied)


def standard_error(values: Floats, unit: ArrayLike) -> Floats:
    """Standard error (m,) of the column means of `values` (n, m), whose rows form units (n,).

    With S_u the sum of (value - mean) over the rows of unit u, and U units,

        SE = sqrt(U / (U - 1) sum_u S_u^2) / n,

    the cluster-robust standard error of a mean (Cameron & Miller 2015, J. Hum. Resour. 50:317). It
    is 0 with a single unit, which shows no spread.
    """
    labels, number = np.unique(np.asarray(unit), return_inverse=True)
    sums = np.zeros((len(labels), values.shape[1]))
    np.add.at(sums, number, values - values.mean(axis=0))
    if len(labels) < 2:
        return np.zeros(values.shape[1])
    spread: Floats = np.sqrt(len(labels) / (len(labels) - 1) * (sums**2).sum(axis=0))
    return spread / len(values)


def nested_choice(
    errors: ArrayLike, unit: ArrayLike, order: ArrayLike, fold: ArrayLike
) -> Integers:
    """Number of the model that is chosen for each plot without the plots of its fold, (n,).

    Args:
        errors, unit, order: as for `Choice.of`.
        fold: (n,), labels; the plots with one label get the model that all other plots choose.

    Raises:
        EvaluationError: there is only one fold, or as `Choice.of`.
    """
    errors = checks.matrix(errors, "errors")
    fold = checks.labels(fold, "folds", like=errors[:, 0])
    unit = checks.labels(unit, "units", like=errors[:, 0])
    labels = np.unique(fold)
    if len(labels) < 2:
        raise EvaluationError("a nested choice needs two folds or more; there is one")
    chosen = np.empty(len(errors), np.int64)
    for label in labels:
        rest = fold != label
        chosen[~rest] = Choice.of(errors[rest], unit[rest], order).chosen
    return chosen
