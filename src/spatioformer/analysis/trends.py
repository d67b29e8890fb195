"""Trends over years for each pixel: Theil-Sen slopes, Mann-Kendall tests, false discovery rate.

Input and output are numpy arrays (year, pixel), years ascending, NaN where a year is missing.
"""

from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import erfc

FEWEST_YEARS = 3  # fewest years for a slope and a test
MOST_YEARS = 50
FEWEST_FOR_RHO = 5  # fewest years for an estimate of the autocorrelation
SIMULATED = 2**20  # simulated series for the null distribution with autocorrelation
BATCH = 2**16  # series simulated at once
CHUNK = 2**21  # pairs of years times pixels computed at once


def theil_sen(values: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Theil-Sen slope: the median of the slopes between all pairs of years.

    Source: Theil (1950), Proc. K. Ned. Akad. Wet. 53; Sen (1968), JASA 63, 1379-1389.

    Args:
        values: float (year, pixel), NaN where missing.
        years: (year,), strictly ascending.

    Returns:
        float64 (pixel,), unit of `values` a year; NaN if fewer than two years have a value.
    """
    first, second = np.triu_indices(len(values), 1)
    span = np.asarray(years, np.float64)[second] - np.asarray(years, np.float64)[first]

    span = span[:, None]

    def slopes(part: np.ndarray) -> np.ndarray:
        return _median((part[second] - part[first]) / span)

    return _by_chunks(values, slopes)


def mann_kendall(values: np.ndarray, rho: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Mann-Kendall test for a monotonic trend, two-sided.

    S is the number of pairs of years that rise, minus the number that fall. For independent years
    (`rho` 0) its null distribution is exact for every number of years. With ties it is approximated
    by a normal distribution with the variance (n(n-1)(2n+5) - sum t(t-1)(2t+5)) / 18 over groups of
    t equal values; S is then moved by 1 towards 0 (continuity correction). For other `rho` the null
    distribution is simulated (`null_p`).

    Source: Mann (1945), Econometrica 13, 245-259; Kendall (1975), Rank Correlation Methods.

    Args:
        values: float (year, pixel), NaN where missing.
        rho: autocorrelation of the noise from one year to the next, 0 <= rho < 1. The time between
            two years with a value is counted as one year, even if years between are missing.

    Returns:
        S: int64 (pixel,).
        p: float64 (pixel,), NaN if fewer than two years have a value.
    """
    s, n, ties = _by_chunks(values, _signs)
    size, n = np.abs(s).astype(np.int64), n.astype(np.int64)
    return s.astype(np.int64), _p_values(size, n, ties if rho == 0 else np.zeros_like(ties), rho)


def _signs(values: np.ndarray) -> np.ndarray:
    """S, the number of years with a value, and the sum of t(t-1)(2t+5) over ties: (3, pixel)."""
    s = np.zeros(values.shape[1])
    tied = np.zeros(values.shape, np.int64)  # number of other years with the same value
    for first, second in zip(*np.triu_indices(len(values), 1), strict=True):
        older, newer = values[first], values[second]
        s += newer > older
        s -= newer < older
        equal = newer == older
        if equal.any():
            tied[first] += equal
            tied[second] += equal
    return np.stack([s, np.isfinite(values).sum(0), (tied * (2 * tied + 7)).sum(0)])


def _by_chunks(values: np.ndarray, compute: Callable) -> np.ndarray:
    """Apply `compute` to chunks of (year, pixel) float64 with a bounded number of year pairs."""
    pairs = max(1, len(values) * (len(values) - 1) // 2)
    step = max(1, CHUNK // pairs)
    parts = [
        compute(values[:, start : start + step].astype(np.float64))
        for start in range(0, max(1, values.shape[1]), step)
    ]
    return np.concatenate(parts, axis=-1)


def _median(values: np.ndarray) -> np.ndarray:
    """Median of each column, ignoring NaN; sorts in place (np.nanmedian loops over columns)."""
    values.sort(axis=0)  # NaN last
    count = len(values) - np.isnan(values).sum(0)
    columns, last = np.arange(values.shape[1]), len(values) - 1
    low = values[np.clip((count - 1) // 2, 0, last), columns]
    high = values[np.clip(count // 2, 0, last), columns]
    return np.where(count > 0, (low + high) / 2, np.nan)


def _p_values(s: np.ndarray, n: np.ndarray, ties: np.ndarray, rho: float) -> np.ndarray:
    """Two-sided p values of |S| `s`; `ties` is the sum of t(t-1)(2t+5), 0 without ties."""
    p = np.full(s.shape, np.nan)
    for count in np.unique(n[n >= 2]):
        rows = (n == count) & (ties == 0)
        p[rows] = null_p(int(count), rho)[s[rows]]
    rows = (n >= 2) & (ties > 0)
    variance = (n[rows] * (n[rows] - 1) * (2 * n[rows] + 5) - ties[rows]) / 18
    shifted = np.maximum(s[rows] - 1, 0)
    sd = np.sqrt(np.where(variance > 0, variance, 1.0))  # if all values are equal, S is 0 and p 1
    p[rows] = erfc(shifted / sd / np.sqrt(2))
    return p


@cache
def exact_p(n: int) -> np.ndarray:
    """P(|S| >= s) for s = 0, 1, ..., n(n-1)/2 if all orders of n years are equally likely.

    S is the number of pairs minus twice the inversions. Their generating function is the product of
    (1 + x + ... + x^(k-1)) / k over k = 1..n (Kendall 1975; Knuth, vol. 3, 5.1.1).
    """
    inversions = np.ones(1)
    for k in range(2, n + 1):
        inversions = np.convolve(inversions, np.full(k, 1 / k))
    pairs = len(inversions) - 1
    at_most = np.cumsum(inversions)
    s = np.arange(pairs + 1)
    return np.minimum(1.0, 2 * at_most[(pairs - s) // 2])


@cache
def null_p(n: int, rho: float) -> np.ndarray:
    """P(|S| >= s) for s = 0, 1, ..., n(n-1)/2 without a trend.

    With `rho` > 0 the years are first-order Gaussian noise, x_t = rho x_(t-1) + e_t. The
    distribution is that of SIMULATED series (fixed seed), with p = (b + 1) / (m + 1), Davison and
    Hinkley (1997), 4.2. Ties make S smaller and the test conservative.
    """
    if rho == 0:
        return exact_p(n)
    rng = np.random.default_rng(0)
    counts = np.zeros(n * (n - 1) // 2 + 1, np.int64)
    for _ in range(SIMULATED // BATCH):
        s = _signs(red_noise(n, BATCH, rho, rng))[0]
        counts += np.bincount(np.abs(s).astype(np.int64), minlength=len(counts))
    return (counts[::-1].cumsum()[::-1] + 1) / (SIMULATED + 1)


def red_noise(n: int, count: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    """Stationary first-order Gaussian noise of variance 1, (n, count)."""
    noise = rng.standard_normal((n, count))
    noise[1:] *= np.sqrt(1 - rho**2)
    for year in range(1, n):
        noise[year] += rho * noise[year - 1]
    return noise


class Autocorrelation:
    """Estimate of the noise's autocorrelation from one year to the next, one number for all pixels.

    A few years of a single pixel are too few for an estimate, which is why tests that estimate it
    pixel by pixel fail (docs/years.md); all pixels together are enough. e is the residual of a
    pixel's least-squares line. The sum of e_t e_(t+1) over the sum of e_t^2, over pixels and years,
    is compared with its expectation for first-order noise: tr(M R M L) / tr(M R M), with M the
    residual projection, R the noise's correlation, L the shift by a year. This corrects the bias of
    short series.

    Args:
        years: number of years; below FEWEST_FOR_RHO the estimate is 0.
    """

    def __init__(self, years: int):
        self._years = years
        line = np.stack([np.ones(years), np.arange(years)], 1)
        self._residual = np.eye(years) - line @ np.linalg.pinv(line)
        self._products = self._squares = 0.0

    def add(self, values: np.ndarray) -> None:
        """Add those pixels of (year, pixel) that have a value in all years."""
        complete = np.isfinite(values).all(0)
        residual = self._residual @ values[:, complete].astype(np.float64)
        self._products += float((residual[1:] * residual[:-1]).sum())
        self._squares += float((residual**2).sum())

    @property
    def rho(self) -> float:
        """Estimate in steps of 0.01, 0 to 0.95; negative ones become 0, a conservative choice."""
        if self._years < FEWEST_FOR_RHO or self._squares == 0:
            return 0.0
        choices = np.arange(96) / 100
        lags = np.abs(np.subtract.outer(np.arange(self._years), np.arange(self._years)))
        spread = [self._residual @ choice**lags @ self._residual for choice in choices]
        expected = [np.trace(part, 1) / np.trace(part) for part in spread]
        return float(choices[np.abs(np.array(expected) - self._products / self._squares).argmin()])


class PValues:
    """Counts of each p value; few values differ, since S is an integer, so the counts fit memory.

    p values are counted as float32, the type of the map's bands.
    """

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()

    def add(self, p: np.ndarray) -> None:
        """Count p values of any shape, ignoring NaN."""
        p = np.asarray(p, np.float32)
        values, counts = np.unique(p[np.isfinite(p)], return_counts=True)
        self._counts.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    @property
    def total(self) -> int:
        """Number of tests counted."""
        return self._counts.total()

    def threshold(self, level: float) -> float:
        """Largest p that is significant if a share `level` of discoveries may be false.

        Step-up procedure of Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57, 289-300: the
        largest p with p <= level * (tests with a p as small) / (all tests). It holds for
        independent tests and for positively dependent ones (Benjamini and Yekutieli 2001), such as
        neighbouring pixels. Returns -1 if no test is significant.
        """
        threshold, counted = -1.0, 0
        for p, count in sorted(self._counts.items()):
            counted += count
            if p <= level * counted / self.total:
                threshold = p
        return threshold


def change_interval(
    mean: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Changes from one map to the next, and their intervals.

    The interval of the change from a to b, with [l, u] around each, is

        b - a - sqrt((b - l_b)^2 + (u_a - a)^2)   to   b - a + sqrt((u_b - b)^2 + (a - l_a)^2)

    at the level of the two intervals, for independent errors (Zou and Donner 2008, Statistics in
    Medicine 27, 1693-1702). Errors of one model at one place are correlated positively, and then
    the interval is too wide.

    Args:
        mean, lower, upper: (map, pixel), in the unit of the map; at least two maps.

    Returns:
        Change and the ends of its interval, (map - 1, pixel) each; NaN where a value is missing.
    """
    change = np.diff(mean, axis=0)
    below, above = mean - lower, upper - mean
    return (
        change,
        change - np.hypot(below[1:], above[:-1]),
        change + np.hypot(above[1:], below[:-1]),
    )


def real_changes(mean: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Find changes from one year to the next that are larger than their `change_interval`.

    If errors of the years are correlated, the interval is too wide and too few changes are found.

    Args:
        mean, lower, upper: (year, pixel), in the unit of the map.

    Returns:
        int8 (year - 1, pixel): 1 if the interval lies above 0, -1 if below, 0 otherwise or if a
        value is missing.
    """
    _, low, high = change_interval(mean, lower, upper)
    return (low > 0).astype(np.int8) - (high < 0).astype(np.int8)
