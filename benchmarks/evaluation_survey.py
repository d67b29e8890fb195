"""Do proposed sites help more than random ones, and do 90 % intervals hold? On a virtual flora.

    python -m benchmarks.evaluation_survey [--seeds 20]

A seed is a flora over a synthetic land of 60 x 60 pixels and an uneven survey of 400 plots; the
model is a forest on climate, greenness and place. 100 further sites, proposed or drawn at random,
are surveyed, the forest learns all plots again, and its map is compared with the truth. Intervals
are calibrated on kNNDM folds of the 400 plots and judged by fresh counts at every pixel.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import cross_val_predict

from spatioformer.analysis.survey import choose
from spatioformer.evaluation import KNNDM
from spatioformer.geo.virtual import flora as virtual_flora
from spatioformer.geo.virtual.flora import VirtualFlora
from spatioformer.models.uncertainty import HeldOut, Uncertainty, predictors

SIDE, PLOTS, SITES, SPECIES = 60, 400, 100, 300


@dataclass(frozen=True)
class Land:
    """Predictors (n, 3), lon, lat and truth (n,) of every pixel; rows and columns of the grid."""

    flora: VirtualFlora
    pixels: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    truth: np.ndarray
    rows: np.ndarray
    cols: np.ndarray


def make_land(seed: int, species: int = SPECIES) -> Land:
    """A land of 30 x 30 degrees: cooler and drier inland, with hills of greenness."""
    rng = np.random.default_rng([seed, 10])
    lon, lat = np.meshgrid(np.linspace(115, 145, SIDE), np.linspace(-15, -45, SIDE))
    x, y = (lon - 130) / 15, (lat + 30) / 15

    def waves(count: int = 6) -> np.ndarray:
        a, b, c = rng.uniform(-4, 4, (2, count)).tolist() + [rng.uniform(0, 6.3, count).tolist()]
        return sum(np.sin(i * x + j * y + k) for i, j, k in zip(a, b, c, strict=True)) / count**0.5

    temperature = 20 + 8 * y + 2 * waves()
    precipitation = np.exp(6.5 - 0.8 * (1 - x**2) + 0.5 * waves())
    greenness = np.log(precipitation) + 0.5 * waves()
    land = np.ones(lon.shape, bool)
    fields = temperature, precipitation, greenness
    flora = virtual_flora.simulate(lon, lat, land, *fields, species=species, seed=seed)
    rows, cols = (index.ravel() for index in np.indices(lon.shape))
    pixels = np.column_stack([field.ravel() for field in fields])
    return Land(flora, pixels, lon.ravel(), lat.ravel(), flora.truth.ravel(), rows, cols)


def forest(land: Land, at: np.ndarray, counts: np.ndarray, seed: int) -> RandomForestRegressor:
    return _new(seed).fit(features(land, at), counts)


def _new(seed: int) -> RandomForestRegressor:
    return RandomForestRegressor(100, min_samples_leaf=3, max_features=0.5, random_state=seed)


def features(land: Land, at) -> np.ndarray:
    return np.column_stack([land.pixels[at], land.lon[at], land.lat[at]])


def calibrate(land: Land, at: np.ndarray, counts: np.ndarray, seed: int) -> Uncertainty:
    """Uncertainty of the forest on the plots at pixels `at`, on kNNDM folds."""
    lonlat = np.column_stack([land.lon, land.lat])
    folds = KNNDM(5, prediction_points=lonlat, clustering="kmeans", seed=seed).assign(lonlat[at])
    pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in np.unique(folds)]
    X = features(land, at)
    held_out = HeldOut(
        land.pixels[at],
        land.lon[at],
        land.lat[at],
        counts,
        cross_val_predict(_new(seed), X, counts, cv=pairs),
        folds,
    )
    weights = forest(land, at, counts, seed).feature_importances_
    names = ["temperature", "precipitation", "greenness"]
    return Uncertainty.calibrate(held_out, names, weights)[0]


@dataclass(frozen=True)
class Mapped:
    """A surveyed land and its map: pixels and counts of the plots (n,), and layers by pixel."""

    land: Land
    at: np.ndarray
    counts: np.ndarray
    known: Uncertainty
    mean: np.ndarray
    layers: dict[str, np.ndarray]


def mapped(seed: int, count: int = PLOTS) -> Mapped:
    """The land of a seed, surveyed on `count` plots and mapped, with calibrated intervals."""
    land = make_land(seed)
    plots = virtual_flora.survey(land.flora, count, seed=seed)
    at = (plots["row"] * SIDE + plots["col"]).to_numpy()
    counts = plots["richness"].to_numpy(float)
    known = calibrate(land, at, counts, seed)
    mean = forest(land, at, counts, seed).predict(features(land, slice(None)))
    layers = known.layers(mean, None, land.pixels, land.lon, land.lat)
    return Mapped(land, at, counts, known, mean, layers)


def one_seed(seed: int) -> dict[str, float]:
    """True RMSE of the map before and after, and what the intervals hold and how wide they are."""
    found = mapped(seed)
    land, known, mean, layers = found.land, found.known, found.mean, found.layers
    rng = np.random.default_rng([seed, 11])
    fresh = virtual_flora.observe(land.flora, land.rows, land.cols, rng)
    held = (layers["lower"] <= fresh) & (fresh <= layers["upper"])
    inside = layers["inside"]
    noise_sd = np.sqrt(land.flora.noise_variance.ravel())
    width = layers["upper"] - layers["lower"]
    points = known.area.points(predictors(land.pixels, land.lon, land.lat, known.lon_origin))
    proposed, _ = choose(points, width.astype(float), layers["di"].astype(float), points, SITES)
    drawn = rng.choice(len(points), SITES, replace=False)

    def after(sites: np.ndarray) -> float:
        seen = virtual_flora.observe(land.flora, land.rows[sites], land.cols[sites], rng)
        both = np.concatenate([found.at, sites]), np.concatenate([found.counts, seen])
        predicted = forest(land, *both, seed).predict(features(land, slice(None)))
        return float(np.sqrt(np.mean((predicted - land.truth) ** 2)))

    return {
        "before": float(np.sqrt(np.mean((mean - land.truth) ** 2))),
        "proposed": after(proposed),
        "random": after(drawn),
        "inside": float(inside.mean()),
        "coverage inside": float(held[inside].mean()),
        "coverage outside": float(held[~inside].mean()) if (~inside).any() else np.nan,
        "width": float(width[inside].mean()),
        "noise's own width": float(2 * 1.645 * noise_sd[inside].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    rows = []
    for seed in range(parser.parse_args().seeds):
        rows.append(one_seed(seed))
        print(seed, {name: round(value, 3) for name, value in rows[-1].items()}, flush=True)
    better = sum(row["proposed"] < row["random"] for row in rows)
    print(f"proposed sites beat random ones in {better} of {len(rows)} seeds; means (sd):")
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"  {name:18s} {np.nanmean(values):.3f} ({np.nanstd(values, ddof=1):.3f})")


if __name__ == "__main__":
    main()
