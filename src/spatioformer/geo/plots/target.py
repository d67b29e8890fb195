"""Kind of the target: counts, continuous values or proportions."""

import numpy as np

KINDS = ("count", "continuous", "proportion")

_MOST_FRACTIONAL = 0.1  # of counts; more fractional values mean that the target is continuous


def kind_of(values: np.ndarray) -> tuple[str, str]:
    """The kind of target that values are, and why.

    A tenth or fewer fractional values make a count: they are faults of a few rows. Values from 0 to
    1 of which more than half are fractional are proportions.

    Args:
        values: float64, (n,); NaN values are ignored.

    Returns:
        One of KINDS, and a clause with the shares that decide.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "count", "no value"
    share = float((finite != np.round(finite)).mean())
    if share > 0.5 and finite.min() >= 0 and finite.max() <= 1:
        return "proportion", f"all values lie from 0 to 1, and {share:.0%} are fractional"
    if share > _MOST_FRACTIONAL:
        return "continuous", f"{share:.0%} of the values are fractional"
    return "count", f"{share:.0%} of the values are fractional"
