"""What follows from the kind of the target: the range of predictions, and their unit in words."""

import numpy as np
from numpy.typing import NDArray

PROPORTION = "proportion"


def highest(kind: str | None) -> float:
    """Largest possible value of a target of this kind: 1 for a proportion, infinite for others.

    Args:
        kind: what the plots count or measure; None: a count, as in models of older versions.
    """
    return 1.0 if kind == PROPORTION else np.inf


def unit(kind: str | None) -> str:
    """The unit of a target in words, which stands behind a number or a comma."""
    return PROPORTION if kind == PROPORTION else "species"


def bounded(values: NDArray, kind: str | None) -> NDArray:
    """Predictions of a proportion within 0 and 1; others as they are."""
    return np.clip(values, 0, 1) if kind == PROPORTION else values


def amount(value: float, digits: int, kind: str | None) -> str:
    """A value with its unit: "12.3 species"; of a proportion two digits more: "0.123 (proportion)".

    Args:
        digits: decimals of a number of species.
    """
    if kind == PROPORTION:
        return f"{value:.{digits + 2}f} ({PROPORTION})"
    return f"{value:.{digits}f} {unit(kind)}"
