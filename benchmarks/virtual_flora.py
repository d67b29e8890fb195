"""Does place matter in the virtual flora? Models on held-out tiles, scored against the truth.

    python -m benchmarks.virtual_flora                                  # the tables of its page
    python -m benchmarks.virtual_flora --picture docs/images/virtual_flora.png

A seed is a flora, a survey and the folds. Each model learns the noisy counts of the plots outside a
fold's tiles; r2 = 1 - SSE/SST compares its predictions at the plots inside with the true richness.
"""

import argparse
import io
import resource
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning

from spatioformer.common.files import writing
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.geo.virtual import flora as virtual_flora
from spatioformer.geo.virtual.flora import VirtualFlora
from spatioformer.geo.virtual.niches import membership
from spatioformer.geo.virtual.pip_rasters import Landscape, read_landscape
from spatioformer.models.baselines import LocationKNN, chip_statistics, random_forest

AUSTRALIA = (112.0, 154.0, -44.0, -10.0)
TILES = (1.0, 4.0)  # degrees
PATCH = 3
IMAGERY, LOCATION, BOTH = slice(None, -2), slice(-2, None), slice(None)

Models = dict[str, tuple[RegressorMixin, slice]]
"""Name -> a model and which columns of `Case.X` it sees."""


@dataclass(frozen=True)
class Case:
    """A surveyed flora.

    Attributes:
        X: chip statistics, lon, lat of each plot, [n, 11].
        counts, truth: observed and true richness, [n].
        ceiling: r2 that the truth reaches against the counts.
    """

    X: np.ndarray
    counts: np.ndarray
    truth: np.ndarray
    ceiling: float


def make_case(landscape: Landscape, seed: int) -> Case:
    flora = make_flora(landscape, seed)
    plots = virtual_flora.survey(flora, seed=seed)
    rows, cols = plots["row"].to_numpy(), plots["col"].to_numpy()
    return Case(
        X=features(landscape, plots),
        counts=plots["richness"].to_numpy(float),
        truth=flora.truth[rows, cols].astype(float),
        ceiling=virtual_flora.noise_ceiling(flora, rows, cols),
    )


def make_flora(landscape: Landscape, seed: int) -> VirtualFlora:
    return virtual_flora.simulate(
        landscape.lon,
        landscape.lat,
        landscape.land,
        landscape.temperature,
        landscape.precipitation,
        landscape.greenness,
        seed=seed,
    )


def features(landscape: Landscape, plots: pd.DataFrame) -> np.ndarray:
    """Centre, mean and sd of each band of PATCH x PATCH pixels, then lon, lat: [n, 11]."""
    half = PATCH // 2
    rgb = np.pad(landscape.rgb, ((0, 0), (half, half), (half, half)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(rgb, (PATCH, PATCH), axis=(1, 2))
    chips = np.moveaxis(windows[:, plots["row"], plots["col"]], 0, -1)  # [n, P, P, band]
    lon, lat = (
        np.broadcast_to(plots[name].to_numpy()[:, None, None], chips.shape[:3])
        for name in ("lon", "lat")
    )
    return chip_statistics(chips, lon, lat)


def forests(seed: int, trees: int = 200, jobs: int = 1) -> Models:
    forest = random_forest(seed, jobs).set_params(n_estimators=trees)
    return {
        "imagery": (forest, IMAGERY),
        "location": (forest, LOCATION),
        "neighbours": (LocationKNN(), LOCATION),
        "both": (forest, BOTH),
    }


def networks(seed: int) -> Models:
    """A small perceptron with and without the published encoding of location."""
    import torch
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    from spatioformer.nn.geolocation import PaperGeolocation

    def encode_place(X: np.ndarray) -> np.ndarray:
        place = PaperGeolocation(16).encode(*torch.from_numpy(X[:, LOCATION].T.copy()))
        return np.hstack([X[:, IMAGERY], place.numpy()])

    perceptron = MLPRegressor(
        hidden_layer_sizes=(96, 96),
        alpha=1e-2,
        batch_size=64,
        learning_rate_init=2e-3,
        max_iter=30,
        random_state=seed,
    )
    encoder = FunctionTransformer(encode_place)
    return {
        "network, imagery": (make_pipeline(StandardScaler(), perceptron), IMAGERY),
        "network, both": (make_pipeline(encoder, StandardScaler(), perceptron), BOTH),
    }


def measure(
    case: Case, models: Models, seed: int, tiles: tuple[float, ...] = TILES
) -> dict[tuple[str, float], float]:
    """r2 against the truth by (name of the model, degrees of the tiles)."""
    result = {}
    for size in tiles:
        fold = SpatialBlockKFold(5, size=size, seed=seed).assign(case.X[:, LOCATION])
        for name, (model, columns) in models.items():
            predicted = held_out(model, case.X[:, columns], case.counts, fold)
            result[name, size] = scores(case.truth, predicted)["r2"]
    return result


def held_out(model: RegressorMixin, X: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Prediction of each row by a model that has not seen its fold."""
    predicted = np.empty(len(y))
    for number in np.unique(fold):
        test = fold == number
        predicted[test] = model.fit(X[~test], y[~test]).predict(X[test])
    return predicted


def margin(r2: dict[tuple[str, float], float] | pd.Series, size: float) -> float:
    """How far the forest on both leads the best of imagery alone and location alone, r2."""
    rivals = max(r2[name, size] for name in ("imagery", "location", "neighbours"))
    return float(r2["both", size] - rivals)


def draw(landscape: Landscape, path: Path, seed: int = 0) -> None:
    """Imagery, virtual richness, survey, and how richness goes with greenness in each province."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    flora = make_flora(landscape, seed)
    plots = virtual_flora.survey(flora, seed=seed)
    edges = (AUSTRALIA[0], AUSTRALIA[1], AUSTRALIA[2], AUSTRALIA[3])
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 7.4), layout="constrained")
    (picture, map_), (survey, relation) = axes

    picture.imshow(np.moveaxis(landscape.rgb, 0, -1), extent=edges)
    picture.set_title("What models see: NASA Blue Marble")
    shown = map_.imshow(flora.truth, extent=edges, cmap="viridis", vmin=0)
    figure.colorbar(shown, ax=map_, label="species in one plot", shrink=0.8)
    map_.set_title("VIRTUAL richness: the truth")

    survey.imshow(flora.land, extent=edges, cmap="Greys", vmax=4)
    for name, group in plots.groupby("programme", sort=False):
        survey.plot(group["lon"], group["lat"], ".", markersize=2, label=f"{name} ({len(group)})")
    survey.legend(loc="lower left", markerscale=5, fontsize="small")
    survey.set_title("3,000 virtual plots")

    places = flora.environment[flora.land]
    province = membership(places, flora.provinces).argmax(axis=1)
    truth = flora.truth[flora.land]
    for number in range(len(flora.provinces)):
        own = province == number
        share = np.ceil(10 * virtual_flora.percentile(places.greenness[own]))
        means = pd.Series(truth[own]).groupby(share).mean()
        relation.plot(10 * means.index - 5, means, marker=".", linewidth=1)
    relation.set(
        xlabel="greenness, percentile within the province",
        ylabel="species in one plot",
        title="Greenness and richness, province by province",
    )
    raw = io.BytesIO()
    figure.savefig(raw, dpi=80, bbox_inches="tight")
    plt.close(figure)
    with writing(path) as part:  # 192 colours: half the size
        Image.open(raw).convert("RGB").quantize(192).save(part, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="processor cores for the forests")
    parser.add_argument("--picture", type=Path, help="draw the flora of seed 0 instead")
    args = parser.parse_args()
    landscape = read_landscape(AUSTRALIA)
    if args.picture:
        draw(landscape, args.picture)
        return
    start, cpu = time.perf_counter(), time.process_time()
    make_flora(landscape, 0)
    cpu = time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"one flora: {cpu:.1f} s of processor time, the process at {peak:.0f} MB")
    r2, ceiling = {}, {}
    for seed in args.seeds:
        case = make_case(landscape, seed)
        models = forests(seed, args.trees, args.jobs) | networks(seed)
        with warnings.catch_warnings():  # thirty epochs are the budget, converged or not
            warnings.simplefilter("ignore", ConvergenceWarning)
            r2[seed], ceiling[seed] = measure(case, models, seed), case.ceiling
    table = pd.DataFrame(r2)
    table.index.names = ["model", "tiles"]
    print(table.assign(mean=table.mean(axis=1), sd=table.std(axis=1)).round(3).to_string())
    print("ceiling on counts", {seed: round(value, 3) for seed, value in ceiling.items()})
    for size in TILES:
        print(f"margin on {size:g}-degree tiles: {margin(table.mean(axis=1), size):.3f}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
