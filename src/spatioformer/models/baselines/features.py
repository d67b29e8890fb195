"""What tabular models see of a plot: a row of numbers, longitude and latitude last."""

import numpy as np


def chip_statistics(chips: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Features for tabular models: each band's centre, mean and spread, and the chip's centre.

    Args:
        chips: (n, P, P, band); lon, lat: (n, P, P), degrees.

    Returns:
        float64 (n, 3 * band + 2), or (n, band + 2) at P = 1; the last two columns are lon, lat.
    """
    half = chips.shape[1] // 2
    centre = np.asarray(chips[:, half, half], np.float64)
    place = np.stack([lon[:, half, half], lat[:, half, half]], axis=1)
    if half == 0:
        return np.hstack([centre, place])
    mean = chips.mean(axis=(1, 2), dtype=np.float64)
    sd = chips.std(axis=(1, 2), dtype=np.float64)
    return np.hstack([centre, mean, sd, place])


def with_covariates(covariates: np.ndarray | None, statistics: np.ndarray) -> np.ndarray:
    """A row of the table: covariates (n, C), where there are any, then `chip_statistics`."""
    return statistics if covariates is None else np.hstack([covariates, statistics])


def lonlat(X: np.ndarray) -> np.ndarray:
    """The last two columns of a feature table: longitude and latitude (n, 2), degrees."""
    return np.asarray(X, np.float64)[:, -2:]
