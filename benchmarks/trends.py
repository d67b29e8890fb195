"""Do the tests of `spatioformer years` say what they claim? Simulated years with known trends.

    python -m benchmarks.trends [--series 20000] [--fields 50]

Prints: how often a series is called a trend, with and without one; the same for noise that goes on
from year to year, beside two tests that estimate its autocorrelation pixel by pixel; the share of
false discoveries over fields; how often a change is named that is none; pixels a second.
"""

import argparse
import time

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from spatioformer.analysis.trends import (
    Autocorrelation,
    PValues,
    mann_kendall,
    real_changes,
    red_noise,
    theil_sen,
)

YEARS = (5, 9, 15, 25)
LEVEL = 0.05
SIDE = 128


def share(p: np.ndarray) -> float:
    return float(np.mean(p <= LEVEL))


def estimated_rho(values: np.ndarray) -> float:
    found = Autocorrelation(len(values))
    found.add(values)
    return found.rho


def hamed_rao(values: np.ndarray) -> np.ndarray:
    """p with the variance of S widened by each series' own significant rank autocorrelations.

    Hamed and Rao (1998), J. Hydrology 204, 182-196.
    """
    n = len(values)
    s, _ = mann_kendall(values)
    years = np.arange(n)
    rank = (values - theil_sen(values, years) * years[:, None]).argsort(0).argsort(0) - (n - 1) / 2
    squares, widening = (rank**2).sum(0), np.zeros(values.shape[1])
    for lag in range(1, n):
        rho = (rank[lag:] * rank[:-lag]).sum(0) / squares
        weight = (n - lag) * (n - lag - 1) * (n - lag - 2)
        widening += np.where(np.abs(rho) > 1.96 / np.sqrt(n), weight * rho, 0)
    factor = np.maximum(1 + 2 / (n * (n - 1) * (n - 2)) * widening, 1e-3)
    spread = np.sqrt(n * (n - 1) * (2 * n + 5) / 18 * factor)
    return 2 * norm.sf(np.maximum(np.abs(s) - 1, 0) / spread)


def prewhitened(values: np.ndarray) -> np.ndarray:
    """p after trend-free prewhitening: Yue et al. (2002), Hydrological Processes 16, 1807-1829."""
    years = np.arange(len(values))[:, None]
    slope = theil_sen(values, years[:, 0])
    rest = values - slope * years
    centred = rest - rest.mean(0)
    rho = (centred[1:] * centred[:-1]).sum(0) / (centred**2).sum(0)
    return mann_kendall(rest[1:] - rho * rest[:-1] + slope * years[1:])[1]


def print_power(series: int) -> None:
    slopes = (0, 0.05, 0.1, 0.2, 0.3, 0.5)
    print(f"\nCalled a trend at p <= {LEVEL}, independent years, by slope a year / sd of the noise")
    print("years " + "".join(f"{slope:7.2f}" for slope in slopes))
    for n in YEARS:
        noise = red_noise(n, series, 0, np.random.default_rng(n))
        trend = np.arange(n)[:, None]
        found = [share(mann_kendall(noise + slope * trend)[1]) for slope in slopes]
        print(f"{n:5d} " + "".join(f"{value:7.3f}" for value in found), flush=True)


def print_autocorrelation(series: int) -> None:
    print(f"\nCalled a trend at p <= {LEVEL} without one, noise of lag-1 autocorrelation rho;")
    print("the last column: with a slope of 0.2 sd a year, corrected for rho")
    print("years  rho  estimate  classical  Hamed-Rao  prewhitened  corrected     power")
    for n in YEARS[1:]:
        for rho in (0, 0.2, 0.4, 0.6):
            noise = red_noise(n, series, rho, np.random.default_rng(n))
            found = estimated_rho(noise)
            rates = [
                share(mann_kendall(noise)[1]),
                share(hamed_rao(noise)),
                share(prewhitened(noise)),
                share(mann_kendall(noise, found)[1]),
                share(mann_kendall(noise + 0.2 * np.arange(n)[:, None], found)[1]),
            ]
            print(
                f"{n:5d} {rho:4.1f} {found:9.2f} {rates[0]:10.3f} {rates[1]:10.3f} "
                f"{rates[2]:12.3f} {rates[3]:12.3f} {rates[4]:7.3f}",
                flush=True,
            )
        own = np.random.default_rng(n).uniform(0, 0.6, 20)
        parts = [red_noise(n, series // 20, rho, np.random.default_rng(n)) for rho in own]
        noise = np.concatenate(parts, axis=1)
        found = estimated_rho(noise)
        print(
            f"{n:5d} 0-.6 {found:9.2f} {share(mann_kendall(noise)[1]):10.3f} "
            f"{share(hamed_rao(noise)):10.3f} {share(prewhitened(noise)):12.3f} "
            f"{share(mann_kendall(noise, found)[1]):12.3f}       - (different in each pixel)"
        )


def field(n: int, rho: float, smooth: float, common: float, rng) -> np.ndarray:
    """Noise (n, SIDE, SIDE) of variance 1: smoothed over pixels, a share common to a whole year."""
    noise = red_noise(n, SIDE * SIDE, rho, rng).reshape(n, SIDE, SIDE)
    if smooth:
        noise = (
            gaussian_filter(noise, (0, smooth, smooth), mode="wrap") * smooth * np.sqrt(4 * np.pi)
        )
    return np.sqrt(1 - common) * noise + np.sqrt(common) * red_noise(n, 1, rho, rng)[:, :, None]


def discoveries(values: np.ndarray, true: np.ndarray) -> tuple[float, float, float, float]:
    """False share and share found, controlled and by p <= LEVEL alone."""
    p = mann_kendall(values, estimated_rho(values))[1].astype(np.float32)
    counted = PValues()
    counted.add(p)
    out = []
    for limit in (counted.threshold(LEVEL), LEVEL):
        called = p <= np.float32(limit)
        out += [
            (called & ~true).sum() / max(1, called.sum()),
            called[true].mean() if true.any() else np.nan,
        ]
    return tuple(out)


def print_discoveries(fields: int) -> None:
    kinds = {
        "independent pixels": (0.0, 0.0, 0.0),
        "smooth over 5 pixels": (0.0, 5.0, 0.0),
        "smooth, rho 0.4": (0.4, 5.0, 0.0),
        "half common to a year": (0.0, 5.0, 0.5),
    }
    print(f"\nFalse discoveries over {fields} fields of {SIDE} x {SIDE}, controlled at {LEVEL};")
    print("true trends: 0.4 sd of the noise a year, in a block")
    print(
        "noise                 years  true   false (worst 5 %)     found | p <= .05: false  found"
    )
    for kind, (rho, smooth, common) in kinds.items():
        for n in (9, 15):
            for part in (0.0, 0.1, 0.3, 0.5):
                rng = np.random.default_rng([n, int(100 * part)])
                true = np.zeros((SIDE, SIDE), bool)
                true[: round(part * SIDE)] = True
                rows = []
                for _ in range(fields):
                    values = field(n, rho, smooth, common, rng)
                    values += 0.4 * np.arange(n)[:, None, None] * true
                    rows.append(discoveries(values.reshape(n, -1), true.ravel()))
                mean, worst = np.mean(rows, 0), np.quantile([row[0] for row in rows], 0.95)
                print(
                    f"{kind:21s} {n:5d} {part:5.1f} {mean[0]:12.3f} ({worst:.3f}) {mean[1]:13.3f}"
                    f" | {mean[2]:15.3f} {mean[3]:6.3f}",
                    flush=True,
                )


def print_changes(series: int) -> None:
    print("\nNo change, yet one is named: 90 % intervals, errors of two years correlated by rho")
    half = norm.ppf(0.95)
    for rho in (0, 0.3, 0.6, 0.9):
        errors = red_noise(2, series, rho, np.random.default_rng(1))
        named = np.mean(real_changes(errors, errors - half, errors + half) != 0)
        print(f"  rho {rho:.1f}: {named:.3f}")


def print_speed() -> None:
    print("\nPixels a second, one thread (slope and test; the 65,536 pixels of a window)")
    for n in YEARS:
        values = red_noise(n, 65_536, 0, np.random.default_rng(0)).astype(np.float32)
        taken = []
        for _ in range(3):
            start = time.process_time()
            theil_sen(values, np.arange(n)), mann_kendall(values)
            taken.append(time.process_time() - start)
        print(f"  {n:2d} years: {65_536 / min(taken):,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=20_000)
    parser.add_argument("--fields", type=int, default=50)
    options = parser.parse_args()
    print_power(options.series)
    print_autocorrelation(options.series)
    print_changes(options.series)
    print_speed()
    print_discoveries(options.fields)


if __name__ == "__main__":
    main()
