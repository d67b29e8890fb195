"""Plots and hyperparameters for the tests of the Gaussian process."""

import numpy as np

from spatioformer.models.baselines.gaussian.kernel import Hyperparameters, Inputs


def drawn(features: int, seed: int, effort: bool = False) -> Hyperparameters:
    """Hyperparameters of which no two are alike, the map stretched."""
    usual = Hyperparameters.usual(features, effort).vector
    step = 0.4 * np.random.default_rng(seed).normal(size=len(usual))
    return Hyperparameters(usual + step, features)


def standard(
    n: int, features: int, seed: int = 0, effort: bool = False
) -> tuple[Inputs, np.ndarray]:
    """Inputs and target of n plots, standard normal."""
    rng = np.random.default_rng(seed)
    area = rng.normal(size=n) if effort else None
    return Inputs(rng.normal(size=(n, features)), rng.normal(size=(n, 3)), area), rng.normal(size=n)


def table(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features, lon, lat; the effect of the first feature turns round from west to east."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=(n, 2)), rng.uniform(120, 150, n), rng.uniform(-40, 0, n)])
    return X, 30 + 6 * X[:, 0] * (X[:, 2] - 135) / 15 + rng.normal(size=n)


def counts(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log10 area, one feature, lon, lat; counts that grow as area^0.3, with even relative noise."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(2, 5, n)
    X = np.column_stack([area, rng.normal(size=n), rng.uniform(0, 10, n), rng.uniform(0, 10, n)])
    mean = 8 * 10 ** (0.3 * (area - 2)) * np.exp(0.5 * X[:, 1] + 0.2 * rng.normal(size=n))
    return X, np.rint(mean)
