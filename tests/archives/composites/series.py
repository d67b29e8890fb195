"""Made-up series of reflectances: season, brightness, noise, undetected clouds, gaps."""

import numpy as np

BASE = np.array([0.04, 0.07, 0.08, 0.3, 0.2, 0.12])
SEASON = np.array([-0.2, -0.1, -0.4, 0.5, -0.2, -0.4])


def series(
    seed: int, dates: int, height: int = 12, width: int = 17, bands: int = 6, missing: float = 0.3
) -> np.ndarray:
    """Observations (time, band, y, x) float32, NaN where missing, in single bands too."""
    rng = np.random.default_rng(seed)
    shape = (dates, 1, height, width)
    base = np.resize(BASE, bands)[:, None, None] * rng.uniform(0.5, 1.5, (bands, height, width))
    phase = rng.uniform(0, 2 * np.pi, (height, width))
    when = np.arange(dates)[:, None, None, None] / max(dates, 1)
    season = 1 + 0.3 * np.cos(2 * np.pi * when + phase) * np.resize(SEASON, bands)[:, None, None]
    values = base * season * (1 + rng.normal(0, 0.08, shape))
    values = values + rng.normal(0, 0.004, values.shape)
    values = np.where(rng.random(shape) < 0.05, 0.5 * values + rng.uniform(0.1, 0.5, shape), values)
    values = np.where(rng.random(shape) < missing, np.nan, values)
    values = np.where(rng.random(values.shape) < 0.01, np.nan, values)
    return values.astype(np.float32)
