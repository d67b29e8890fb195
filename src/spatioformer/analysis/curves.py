"""Response curves: how predictions change with one band or covariate.

- Accumulated local effects (Apley & Zhu 2020, JRSS B 82:1059): each plot moves from the lower to
  the upper end of its own interval of the band, and the mean changes of the intervals are summed.
  So the curve uses only chips near real ones, also where bands are correlated.
- Partial dependence (Friedman 2001, Ann. Stat. 29:1189): all plots move to the same value. Where
  bands are correlated, that makes chips that do not exist.

A chip moves by adding the same number to the band in all its pixels, until their mean has the
wanted value; the pattern within the chip stays. Shapes: n plots, k + 1 ends of k intervals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from spatioformer.analysis.importance import predictions_of, taken
from spatioformer.common.streams import Stream, generator
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Model

Floats = NDArray[np.float64]

PLOTS = 400
"""Largest number of plots behind curves, location sensitivity and attention."""

STEPS = 11
"""Largest number of values of a curve, from the 5th to the 95th percentile."""

IN_INTERVAL = 10
"""Smallest mean number of plots in an interval."""

RANGE = (0.05, 0.95)


@dataclass(frozen=True)
class Curve:
    """Response curve of one input.

    Attributes:
        values: (k + 1,) of the input, ascending, in its own unit.
        local: (k + 1,) accumulated local effects, species; their mean over the plots is 0.
        partial: (k + 1,) partial dependence, species; its mean over the plots is 0.
        plots: number of plots within the range of the values.
    """

    values: Floats
    local: Floats
    partial: Floats
    plots: int

    def to_json(self) -> dict[str, list[float] | int]:
        return {
            "value": self.values.tolist(),
            "local": self.local.tolist(),
            "partial": self.partial.tolist(),
            "plots": self.plots,
        }


def some_plots(store: ChipStore, seed: int) -> ChipStore:
    """A random sample of at most `PLOTS` plots of the store, in memory."""
    sample = generator(seed, Stream.DRIVERS_PLOTS).permutation(len(store))[:PLOTS]
    return taken(store, np.sort(sample))


def input_names(store: ChipStore) -> list[str]:
    """Names of the inputs that have a curve: bands, then covariates of the plots."""
    return [*store.bands, *(name for name in store.covariates if name not in store.bands)]


def response_curve(
    model: Model, store: ChipStore, name: str, *, partial_plots: int | None = None
) -> Curve:
    """Response curve of a band or covariate.

    Args:
        name: from `input_names`.
        partial_plots: number of plots behind the partial dependence; None: all.
    """
    values, move = _mover(store, name)
    finite = np.isfinite(values)
    low, high = _quantiles(values[finite], RANGE) if finite.any() else (np.nan, np.nan)
    inside = np.flatnonzero(finite & (values >= low) & (values <= high))
    count = int(np.clip(len(inside) // IN_INTERVAL, 1, STEPS - 1))
    shares = np.linspace(0, 1, count + 1)
    ends = np.unique(_quantiles(values[inside], shares)) if len(inside) else np.empty(0)
    if len(ends) < 2:  # the input is constant
        return Curve(ends, np.zeros(len(ends)), np.zeros(len(ends)), len(inside))
    interval = np.clip(np.searchsorted(ends, values[inside], side="left") - 1, 0, len(ends) - 2)
    weights = np.bincount(interval, minlength=len(ends) - 1)
    every = np.linspace(0, len(store) - 1, min(partial_plots or len(store), len(store)))
    rows = every.round().astype(np.int64)
    moved = chain(
        (move(inside, ends[interval + step]) for step in (0, 1)),
        (move(rows, np.full(len(rows), end)) for end in ends),
    )
    before, after, *means = predictions_of(model, moved)
    changes = after - before
    local = np.concatenate([[0.0], np.cumsum(_means(changes, interval, weights))])
    partial = np.array([values.mean() for values in means])
    return Curve(ends, _centred(local, weights), _centred(partial, weights), len(inside))


def _quantiles(values: Floats, shares: Sequence[float] | Floats) -> Floats:
    """Quantiles that occur among the values: between 0 and 1 of a class there is nothing."""
    return np.asarray(np.quantile(values, shares, method="nearest"), np.float64)


def _means(changes: Floats, interval: NDArray[np.int64], weights: NDArray[np.int64]) -> Floats:
    """Mean change in each interval; an interval without a plot has none, so its change is 0."""
    sums = np.bincount(interval, weights=changes, minlength=len(weights))
    return np.asarray(sums / np.maximum(weights, 1), np.float64)


def _centred(curve: Floats, weights: NDArray[np.int64]) -> Floats:
    """The curve minus its mean over the plots; a plot counts as the middle of its interval."""
    middles = (curve[1:] + curve[:-1]) / 2
    return np.asarray(curve - np.average(middles, weights=weights), np.float64)


Mover = Callable[[NDArray[np.int64], Floats], ChipStore]
"""Function of rows and wanted values (rows,): a store of these plots, moved to the values."""


def _mover(store: ChipStore, name: str) -> tuple[Floats, Mover]:
    """Value of an input at each plot (n,), and the function that moves plots to other values."""
    if name not in store.bands:
        values = store.table[name].to_numpy(np.float64)

        def move_column(rows: NDArray[np.int64], wanted: Floats) -> ChipStore:
            part = taken(store, rows)
            return replace(part, table=part.table.assign(**{name: wanted}))

        return values, move_column
    band = store.bands.index(name)
    values = store.chips[..., band].mean(axis=(1, 2), dtype=np.float64)

    def move_band(rows: NDArray[np.int64], wanted: Floats) -> ChipStore:
        part = taken(store, rows)
        shift = (wanted - values[rows]).astype(part.chips.dtype)
        part.chips[..., band] += shift[:, None, None]
        return part

    return values, move_band
