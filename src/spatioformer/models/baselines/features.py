"""Features of tabular models: one row for each plot, longitude and latitude last."""

import numpy as np


def chip_statistics(chips: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Compute features of chips: centre, mean and standard deviation of each band, and location.

    Args:
        chips: (n, P, P, band), raw values.
        lon, lat: (n, P, P), degrees.

    Returns:
        float64 (n, 3 * band + 2), or (n, band + 2) if P = 1; the last two columns are the
        longitude and latitude of the centre pixel, degrees.
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
    """Concatenate covariates (n, C), or None, and chip statistics (n, features)."""
    return statistics if covariates is None else np.hstack([covariates, statistics])


def lonlat(X: np.ndarray) -> np.ndarray:
    """Longitude and latitude (n, 2), degrees: the last two columns of a feature table."""
    return np.asarray(X, np.float64)[:, -2:]


def not_below(predictions: np.ndarray, floor: float | None) -> np.ndarray:
    """Predictions (n,) of at least `floor`, from `floor_of`; None: as they are."""
    return predictions if floor is None else np.maximum(predictions, floor)


def floor_of(y: np.ndarray) -> float | None:
    """0 if no target y (n,) is negative, so that no prediction is; otherwise None."""
    return 0.0 if np.min(y) >= 0 else None
