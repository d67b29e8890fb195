"""Block bootstrap of r2: plots of one block err together, so whole blocks are drawn."""

import numpy as np
from numpy.typing import ArrayLike

from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats

DRAWS = 2000


class Bootstrap:
    """Draws of blocks with replacement, the same for every model of a data set.

    Args:
        observed: (n,), observed values.
        block: (n,), label of each plot's block.
        rng: generator of the draws.
        draws: number of draws.
    """

    def __init__(
        self,
        observed: ArrayLike,
        block: ArrayLike,
        rng: np.random.Generator,
        draws: int = DRAWS,
    ):
        values = checks.vector(observed, "observed values")
        labels = checks.labels(block, "blocks", like=values)
        self.block = np.unique(labels, return_inverse=True)[1]
        count = int(self.block.max()) + 1
        self.times = rng.multinomial(count, np.full(count, 1 / count), size=draws)  # (draws, block)
        n, total, squares = self._sums(np.stack([np.ones(len(values)), values, values**2]))
        self.sst = squares - total**2 / n  # (draws,)

    def _sums(self, values: Floats) -> Floats:
        """Sums of values (k, n) over the plots of each draw: (k, draws)."""
        blocks = np.stack([np.bincount(self.block, row) for row in values])
        return np.asarray(blocks @ self.times.T, np.float64)

    def r2(self, squared: Floats) -> Floats:
        """1 - SSE/SST in each draw, (draws,), from squared errors (n,)."""
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw of equal values has no r2
            r2: Floats = 1 - self._sums(squared[None])[0] / self.sst
        return r2


def central_interval(draws: Floats, level: float) -> tuple[float, float]:
    """Quantiles (1 - level) / 2 and (1 + level) / 2 of the finite draws; NaN without any."""
    finite = draws[np.isfinite(draws)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
