"""Made tables of plots of many kinds, for `benchmarks.odd_sets`.

All plots lie in a square of SIDE degrees. The column richness is the target, which is no count in
three kinds.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

WEST, SOUTH, SIDE = 115.0, -30.0, 10.0  # degrees; the square of the plots

Rng = np.random.Generator


def field(places: np.ndarray, scale: float, rng: Rng) -> np.ndarray:
    """A smooth random field (n,) of mean 0 and variance 1, with waves of `scale` degrees."""
    waves = rng.normal(0, 2 / scale, (60, 2))
    phase = rng.uniform(0, 2 * np.pi, 60)
    return np.cos(places @ waves.T + phase).sum(axis=1) * np.sqrt(2 / 60)


def places_of(n: int, rng: Rng) -> np.ndarray:
    return np.array([WEST, SOUTH]) + SIDE * rng.uniform(size=(n, 2))


def drawn(mean: np.ndarray, rng: Rng, spread: float = 0.25) -> np.ndarray:
    """Counts (n,) of a mean, with noise beyond Poisson's."""
    return rng.poisson(mean * rng.gamma(spread**-2, spread**2, len(mean))).astype(float)


def base(places: np.ndarray, rng: Rng) -> tuple[pd.DataFrame, np.ndarray]:
    """Plots with four columns, and the expected logarithm of their richness (n,)."""
    table = pd.DataFrame(places, columns=["lon", "lat"])
    for name, scale in (("heat", 8.0), ("rain", 5.0), ("clay", 2.0)):
        table[name] = field(places, scale, rng)
    table["slope"] = rng.normal(size=len(places))
    t = table
    log_mean = 3.2 + 0.4 * t["rain"] - 0.25 * t["heat"] ** 2 + 0.2 * t["clay"] * t["rain"]
    return table, (log_mean + 0.15 * t["slope"] + 0.3 * field(places, 4.0, rng)).to_numpy()


def plain(rng: Rng, n: int = 300) -> pd.DataFrame:
    table, log_mean = base(places_of(n, rng), rng)
    return table.assign(richness=drawn(np.exp(log_mean), rng))


def gaps_random(rng: Rng) -> pd.DataFrame:
    table = plain(rng)
    for name, share in (("heat", 0.1), ("rain", 0.25), ("clay", 0.4)):
        table.loc[rng.uniform(size=len(table)) < share, name] = np.nan
    return table


def gaps_region(rng: Rng) -> pd.DataFrame:
    table = plain(rng)
    table.loc[table["lon"] < WEST + 0.35 * SIDE, ["rain", "clay"]] = np.nan
    return table


def gaps_saturated(rng: Rng) -> pd.DataFrame:
    """The sensor of rain has no value above its 70 % quantile, where richness is largest."""
    table = plain(rng)
    table.loc[table["rain"] > table["rain"].quantile(0.7), "rain"] = np.nan
    return table


def areas(rng: Rng, known: float = 1.0) -> pd.DataFrame:
    """Areas of 1 m2 to 1 ha, with a power of .25."""
    table, log_mean = base(places_of(300, rng), rng)
    area = 10 ** rng.uniform(0, 4, len(table))
    table["richness"] = drawn(np.exp(log_mean - 0.5) * (area / 100) ** 0.25, rng)
    return table.assign(area_m2=np.where(rng.uniform(size=len(table)) < known, area, np.nan))


def zeros(rng: Rng) -> pd.DataFrame:
    table, log_mean = base(places_of(300, rng), rng)
    absent = table["rain"] + rng.normal(0, 0.5, len(table)) < 0.3
    return table.assign(richness=np.where(absent, 0.0, drawn(np.exp(log_mean - 1), rng)))


def thousands(rng: Rng) -> pd.DataFrame:
    table, log_mean = base(places_of(300, rng), rng)
    return table.assign(richness=drawn(np.exp(1.5 * log_mean + 3), rng))


def duplicates(rng: Rng) -> pd.DataFrame:
    """A constant column, two copies, and three columns that follow others."""
    table = plain(rng)
    table = table.assign(one=1.0, rain2=table["rain"], heat2=table["heat"])
    for number in range(3):
        mixed = table["rain"] + (number - 1) * table["clay"] + rng.normal(0, 0.02, len(table))
        table[f"mixed{number}"] = mixed
    return table


def classes(rng: Rng) -> pd.DataFrame:
    """Land cover as a number from 10 to 120, whose order means nothing."""
    table, log_mean = base(places_of(300, rng), rng)
    edges = np.linspace(0, 1, 13)[1:-1]
    value = field(table[["lon", "lat"]].to_numpy(), 3.0, rng) + 0.4 * rng.normal(size=len(table))
    cover = np.digitize(pd.Series(value).rank(pct=True), edges)
    effect = rng.normal(0, 0.6, 12)[cover]
    table["cover"] = 10.0 * (rng.permutation(12)[cover] + 1)
    return table.assign(richness=drawn(np.exp(0.5 * log_mean + 1.4 + effect), rng))


def heavy(rng: Rng, wrong: int = 0) -> pd.DataFrame:
    """Rain of 5 to 8,000 mm and a distance with a long tail; `wrong` values are a million."""
    table, log_mean = base(places_of(300, rng), rng)
    table["rain"] = np.exp(5.3 + 1.2 * table["rain"])
    table["far"] = np.exp(1.5 * rng.normal(size=len(table)))
    mean = np.exp(log_mean + 0.25 * np.log(table["far"]))
    table["richness"] = drawn(mean, rng)
    table.loc[rng.choice(len(table), wrong, replace=False), "rain"] = 1e6
    return table


def thresholds(rng: Rng) -> pd.DataFrame:
    table, _ = base(places_of(300, rng), rng)
    high = table["rain"] > 0.2
    mean = np.where(high, np.where(table["slope"] > 0, 60, 25), np.where(table["clay"] > 0, 22, 8))
    return table.assign(richness=drawn(mean.astype(float), rng))


def noise(rng: Rng, n: int = 300) -> pd.DataFrame:
    table = plain(rng, n)
    useless = rng.normal(size=(len(table), 30))
    return table.join(pd.DataFrame(useless, columns=[f"noise{i}" for i in range(30)]))


def wide(rng: Rng) -> pd.DataFrame:
    """200 columns of 12 common factors, as climate and its derivatives are."""
    table, log_mean = base(places_of(300, rng), rng)
    factors = np.column_stack([table[["heat", "rain", "clay", "slope"]],
                               *(field(table[["lon", "lat"]].to_numpy(), s, rng)
                                 for s in (1, 1, 2, 3, 4, 5, 6, 8))])  # fmt: skip
    mixed = factors @ rng.normal(size=(12, 200)) + rng.normal(0, 0.5, (len(table), 200))
    table = table[["lon", "lat"]].assign(richness=drawn(np.exp(log_mean), rng))
    return table.join(pd.DataFrame(mixed, columns=[f"c{i}" for i in range(200)]))


def clusters(rng: Rng) -> pd.DataFrame:
    middles = places_of(15, rng)
    places = np.repeat(middles, 20, axis=0) + rng.normal(0, 0.05, (300, 2))
    table, log_mean = base(places, rng)
    return table.assign(richness=drawn(np.exp(log_mean), rng))


def road(rng: Rng) -> pd.DataFrame:
    along = rng.uniform(0, SIDE, 300)
    places = np.column_stack([WEST + along, SOUTH + along / 3 + rng.normal(0, 0.01, 300)])
    table, log_mean = base(places, rng)
    return table.assign(richness=drawn(np.exp(log_mean), rng))


def revisits(rng: Rng) -> pd.DataFrame:
    """Each of 75 sites in four years, in which richness grows."""
    places = np.repeat(places_of(75, rng), 4, axis=0)
    table, log_mean = base(places, rng)
    table["slope"] = np.repeat(table["slope"].to_numpy()[::4], 4)
    table["survey_year"] = np.tile([1990.0, 2000.0, 2010.0, 2020.0], 75)
    trend = 0.01 * (table["survey_year"] - 2005)
    return table.assign(richness=drawn(np.exp(log_mean + trend), rng))


def far_plot(rng: Rng) -> pd.DataFrame:
    table = plain(rng)
    table.loc[0, ["lon", "lat"]] = -60.0, 45.0
    return table


def border(rng: Rng) -> pd.DataFrame:
    """Twice the richness west of a border that no column shows."""
    table, log_mean = base(places_of(300, rng), rng)
    step = np.where(table["lon"] < WEST + SIDE / 2, 0.9, 0.0)
    return table.assign(richness=drawn(np.exp(0.5 * log_mean + 1.4 + step), rng))


def gradient(rng: Rng) -> pd.DataFrame:
    """Richness follows latitude alone, and the columns are noise."""
    table, _ = base(places_of(300, rng), rng)
    table[["heat", "rain", "clay"]] = rng.normal(size=(len(table), 3))
    return table.assign(richness=drawn(np.exp(2 + 0.2 * (table["lat"] - SOUTH)), rng))


def biomass(rng: Rng) -> pd.DataFrame:
    """t/ha, with a long tail."""
    table, log_mean = base(places_of(300, rng), rng)
    tonnes = np.exp(1.6 * (log_mean - 3.2) + 4 + rng.normal(0, 0.5, len(table)))
    return table.assign(richness=tonnes.round(2))


def cover(rng: Rng, scale: float = 100.0) -> pd.DataFrame:
    """Cover with many zeros and full cover, in percent or as a proportion."""
    table, log_mean = base(places_of(300, rng), rng)
    share = 0.5 + 0.5 * (log_mean - 3.0) + rng.normal(0, 0.15, len(table))
    return table.assign(richness=(scale * np.clip(share, 0, 1)).round(3))


KINDS: dict[str, Callable[[Rng], pd.DataFrame]] = {
    **{f"{n} plots": (lambda rng, n=n: plain(rng, n)) for n in (30, 60, 150, 300, 500)},
    "gaps at random": gaps_random,
    "gaps in a region": gaps_region,
    "gaps of saturation": gaps_saturated,
    "areas": areas,
    "areas partly known": lambda rng: areas(rng, 0.7),
    "zeros": zeros,
    "thousands": thousands,
    "duplicate columns": duplicates,
    "classes as numbers": classes,
    "heavy tails": heavy,
    "wrong values": lambda rng: heavy(rng, 3),
    "thresholds": thresholds,
    "30 useless columns": noise,
    "60 plots, useless columns": lambda rng: noise(rng, 60),
    "200 columns": wide,
    "clusters": clusters,
    "a road": road,
    "revisits": revisits,
    "a far plot": far_plot,
    "a border": border,
    "latitude alone": gradient,
    "biomass": biomass,
    "cover, %": cover,
    "cover, share": lambda rng: cover(rng, 1.0),
    **{f"{n:,} plots": (lambda rng, n=n: plain(rng, n)) for n in (5000, 12000)},
}


def made(kind: str, seed: int) -> pd.DataFrame:
    """The table of a kind and seed, with columns lon, lat (degrees), richness and covariates."""
    return KINDS[kind](np.random.default_rng([list(KINDS).index(kind), seed]))
