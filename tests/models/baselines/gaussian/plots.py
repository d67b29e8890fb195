"""Plots and hyperparameters for the tests of the Gaussian process."""

import numpy as np

from spatioformer.models.baselines.gaussian.kernel import Hyperparameters, Inputs, covariance


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


def towns(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two features, lon, lat of plots around 150 towns, and a draw from a process.

    Its field of location has a range of 0.014 root mean square distances from the plots' centre,
    its product one of 2.5.
    """
    rng = np.random.default_rng(seed)
    town = rng.uniform([120, -38], [150, -18], (150, 2))
    lonlat = town[rng.integers(150, size=n)] + rng.normal(0, 0.5, (n, 2))
    features = rng.normal(size=(n, 2))
    vector = Hyperparameters.usual(2).vector.copy()
    vector[:6] = np.log([0.14, 0.05, 0.7, 0.08, 0.014, 2.5])
    found = Hyperparameters(vector, 2)
    places = np.column_stack([lonlat, np.zeros(n)])
    places -= places.mean(axis=0)
    inputs = Inputs(features, places / np.sqrt(np.sum(np.var(places, axis=0))))
    matrix = covariance(inputs, inputs, found)
    matrix[np.diag_indices(n)] += found.noise
    target = np.linalg.cholesky(matrix) @ rng.normal(size=n)
    return np.column_stack([features, lonlat]), target
