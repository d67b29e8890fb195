"""How often is the usual model replaced by one that is no better, and by one that is?

    python -m benchmarks.choice_levels                # 1 minute
    python -m benchmarks.choice_levels --trials 200

Simulated held-out errors of 200 plots in U units, regions or tiles: of equal size, or with shares
from a flat Dirichlet distribution. Each of five models adds an error of its own to one that all
share; both have a part that is common to a unit. The usual model is the first. `false`: all five
are equally good, and any other one is chosen. `right`: the second has no error of its own, and is
chosen. Tests at 2.5 %:

- `each`: a t-test of each model with the cluster-robust standard error, U - 1 degrees of freedom;
- `Bonferroni`: the same at 2.5 % / 4;
- `signs`: the sign-flip test of all models together, which `Choice` uses.
"""

import argparse

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from spatioformer.evaluation.choice import CLEAR, Choice, standard_error

UNITS = (2, 3, 4, 5, 6, 8, 12, 20, 50)
PLOTS, MODELS = 200, 5
OWN, OWN_OF_UNIT = 0.4, 0.6
"""Standard deviations of a model's own error, of a plot and of a unit; 1 and 1 of the shared."""


def errors_of(
    rng: np.random.Generator, units: int, uneven: bool, better: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Errors (n, m), and the unit (n,) of each plot; each unit has at least one plot."""
    share = rng.dirichlet(np.ones(units)) if uneven else np.full(units, 1 / units)
    unit = np.concatenate([np.arange(units), rng.choice(units, PLOTS - units, p=share)])
    own = (
        OWN * rng.normal(size=(PLOTS, MODELS))
        + OWN_OF_UNIT * rng.normal(size=(units, MODELS))[unit]
    )
    if better:
        own[:, 1] = 0
    shared = rng.normal(size=PLOTS) + rng.normal(size=units)[unit]
    return shared[:, None] + own, unit


def replacements(errors: np.ndarray, unit: np.ndarray) -> dict[str, int]:
    """The model that each test chooses in place of the usual one; 0: none."""
    order, counts = np.arange(MODELS), np.bincount(unit)
    sums = np.zeros((len(counts), MODELS))
    np.add.at(sums, unit, errors**2)
    ahead = sums[:, [0]] - sums
    with np.errstate(invalid="ignore"):
        t = ahead.sum(axis=0) / len(unit) / standard_error(ahead, counts)
    best = {"signs": Choice.of(errors, unit, order, 0.0, usual=0).chosen}
    for name, level in (("each", CLEAR), ("Bonferroni", CLEAR / (MODELS - 1))):
        clear = t > stdtrit(len(counts) - 1, 1 - level)
        clear[0] = True
        best[name] = int(np.where(clear, sums.sum(axis=0), np.inf).argmin())
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    rows = []
    for uneven in (False, True):
        for units in UNITS:
            row: dict[str, float] = {"units": units, "uneven": uneven}
            for kind in ("false", "right"):
                rng = np.random.default_rng(units)
                drawn = (errors_of(rng, units, uneven, kind == "right") for _ in range(trials))
                table = pd.DataFrame([replacements(*errors) for errors in drawn])
                share = (table > 0 if kind == "false" else table == 1).mean()
                row |= {f"{kind}, {name}": share[name] for name in ("each", "Bonferroni", "signs")}
            rows.append(row)
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
