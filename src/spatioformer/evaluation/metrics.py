"""Scores of pooled held-out predictions.

Scores are computed once over all held-out predictions, not averaged over folds. R2 within a fold
would compare with the fold's own mean, which a user of the map does not know
(Linnenbrink et al. 2024, Geosci. Model Dev. 17:5897).
"""

import numpy as np
from numpy.typing import ArrayLike

from spatioformer.evaluation import checks


def scores(observed: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Agreement of `predicted` with `observed`, both (n,) in the unit of the target.

    Returns a dict of

    - `n`: number of pairs (int);
    - `r`: Pearson's correlation, -1..1; NaN when either side is constant;
    - `r2`: 1 - SSE/SST, at most 1, negative when the mean predicts better; NaN when `observed` is
      constant. It is **not** the square of `r`, which other tools print under the same name;
    - `rmse`: root mean squared error; `mae`: mean absolute error;
    - `bias`: mean(predicted - observed), positive where the model overestimates.

    Raises:
        EvaluationError: NaN or infinite values, no rows, or different lengths.
    """
    observed = checks.vector(observed, "observed values")
    predicted = checks.vector(predicted, "predicted values", like=observed)
    error = predicted - observed
    return {
        "n": len(observed),
        "r": pearson(observed, predicted),
        "r2": _explained(observed, error),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "bias": float(np.mean(error)),
    }


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Pearson's correlation of two arrays of one length; NaN when either is constant."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    # Scaled to unit length first, so that neither the squares nor their product overflow.
    r = float(np.dot(x / np.linalg.norm(x), y / np.linalg.norm(y)))
    return min(1.0, max(-1.0, r))


def _explained(observed: np.ndarray, error: np.ndarray) -> float:
    """1 - SSE/SST; NaN for constant `observed`, tested by range because a sum of squares rounds."""
    if np.ptp(observed) == 0:
        return float("nan")
    return float(1 - np.sum(error**2) / np.sum((observed - observed.mean()) ** 2))
