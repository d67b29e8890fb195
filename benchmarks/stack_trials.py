"""How a stack should weigh its members, tried on plots that are scored nowhere: docs/models.md.

    SPATIOFORMER_DATA=... python -m benchmarks.stack_trials           # half an hour on a core
    SPATIOFORMER_DATA=... python -m benchmarks.stack_trials --table   # of what there is

Trials are virtual floras of other seeds than the one of `benchmarks.accuracy`, and draws from the
plots for tuning (`DataSet.dev`) of the real tables, of 100 to 1,200 plots. Of each, two folds at
random and two in small and in large blocks are held out; members have their usual settings, and
forests 100 trees. The figure is the mean over trials of log(squared error / that of the member
which turned out best in the trial), times 100: about the percent by which it is missed.
"""

import argparse
import itertools
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.accuracy import config_of
from benchmarks.accuracy_plan import TREE_COUNT
from benchmarks.datasets import DATASETS, DataSet, flora

from spatioformer.common.files import writing
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.evaluation import RandomKFold, SpatialBlockKFold
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Estimator
from spatioformer.models.registry import STACKED, make
from spatioformer.models.stack_estimator import StackEstimator
from spatioformer.models.stacking import Reach, combine, convex_weights, to_nearest
from spatioformer.models.tabular import TabularEstimator

FOLDER = Path("runs/stack-trials")
MEMBERS = (*STACKED, "random-forest", "spatioformer-no-location")
TRIALS = (
    *((f"flora-{seed}", count) for seed, count in ((15, 100), (16, 100), (17, 100))),
    *((f"flora-{seed}", count) for seed, count in ((12, 400), (13, 400), (14, 400), (11, 1200))),
    *(("new-zealand", count) for count in (100, 300, 600)),
    *((name, 500) for name in ("ausplots", "south-america")),  # all there are: 106 and 193
)
SPLITS = ("random", "small-blocks", "large-blocks")
TESTED = 2  # folds
FEW = 150  # plots; with fewer, blocks are dealt to 3 folds
TREES = 100

EQUAL = dict.fromkeys(STACKED, 1 / len(STACKED))
FORMER = dict.fromkeys(
    [m if m != "gaussian-process" else "random-forest" for m in STACKED], 1 / len(STACKED)
)
DESIGNS: dict[str, tuple[dict[str, float], float]] = {
    "forest instead of Gaussian process, no prior": (FORMER, 0),
    "no prior": (EQUAL, 0),
    "equal prior, strength 20 plots": (EQUAL, 20),
    "equal prior, strength 40 plots": (EQUAL, 40),
    "prior half on the process, 20 plots": (STACKED, 20),
    "prior half on the process, 40 plots": (STACKED, 40),
    "prior half on the process, 80 plots": (STACKED, 80),
    "prior half on the process, not fitted": (STACKED, np.inf),
    "with spatioformer-no-location, 40 plots": (STACKED | {"spatioformer-no-location": 0.0}, 40),
    **{f"{name} alone": ({name: 1.0}, 0) for name in STACKED},
}
"""What is believed of which members, and how many plots' worth."""


def data_of(source: str, count: int) -> DataSet:
    """`count` plots of a flora, or of a table's plots for tuning; all where there are fewer."""
    if source.startswith("flora-"):
        data = flora(int(source.removeprefix("flora-")))
        rows = np.arange(len(data.wide))
    else:
        data = DATASETS[source]()
        rows = np.flatnonzero(data.dev)
    drawn = np.random.default_rng(count).choice(rows, min(count, len(rows)), replace=False)
    return replace(data, wide=part(data.wide, np.sort(drawn)))


def part(store: ChipStore, rows: np.ndarray) -> ChipStore:
    return replace(
        store,
        chips=store.chips[rows],
        lon=store.lon[rows],
        lat=store.lat[rows],
        table=store.table.iloc[rows].reset_index(drop=True),
    )


def run_trial(source: str, count: int, split: str, path: Path) -> None:
    """Predictions of all members on the folds of a trial, and what weights are found from."""
    data = data_of(source, count)
    store, config = data.store, config_of(data, {})
    members = {name: _member(name, config) for name in MEMBERS}
    fold = _splitter(data, split).assign(store.coordinates, None)
    kept: dict[str, np.ndarray] = {}
    for k in range(TESTED):
        training, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        stack = StackEstimator(members, dict.fromkeys(members, 1.0), data.tile, seed=0)
        predicted, distance = stack.held_out(store, training)
        fitted = [member.fit(store, training) for member in members.values()]
        kept |= {
            f"held_out_{k}": predicted - store.richness[training][:, None],
            f"distance_{k}": distance,
            f"test_{k}": np.column_stack([model.predict_rows(store, test) for model in fitted]),
            f"observed_{k}": store.richness[test],
            f"test_distance_{k}": to_nearest(store.coordinates[test], store.coordinates[training]),
        }
    with writing(path) as part:
        np.savez(part, **kept)


def _member(name: str, config: tuple[ModelSection, TrainSection]) -> Estimator:
    if name in TREE_COUNT:
        return TabularEstimator(name, config[0], 0, {TREE_COUNT[name]: TREES})
    return make(name, *config)


def _splitter(data: DataSet, split: str) -> RandomKFold | SpatialBlockKFold:
    if split == "random":
        return RandomKFold(5, seed=0)
    size = data.sizes[split == "large-blocks"]
    return SpatialBlockKFold(3 if len(data.wide) < FEW else 5, size=size, unit=data.unit, seed=0)


def missed(path: Path) -> dict[str, float]:
    """100 log(squared error of each design / that of the best member), pooled over the folds."""
    kept = np.load(path)
    squared = dict.fromkeys(DESIGNS, 0.0)
    alone = np.zeros(len(MEMBERS))
    for k in range(TESTED):
        observed = kept[f"observed_{k}"]
        alone += np.sum((kept[f"test_{k}"] - observed[:, None]) ** 2, axis=0)
        reach = Reach.of(kept[f"distance_{k}"])
        far, test_far = (reach.share(kept[f"{name}_{k}"]) for name in ("distance", "test_distance"))
        for design, (believed, strength) in DESIGNS.items():
            columns = [MEMBERS.index(name) for name in believed]
            weights = np.tile([*believed.values()], (2, 1))
            if np.isfinite(strength):
                errors = kept[f"held_out_{k}"][:, columns]
                weights = convex_weights(errors, far, weights[0], strength)
            found = combine(kept[f"test_{k}"][:, columns], test_far, weights)
            squared[design] += np.sum((found - observed) ** 2)
    return {design: 100 * np.log(value / alone.min()) for design, value in squared.items()}


def table(folder: Path) -> str:
    """Designs by kinds of trials, Markdown."""
    found = pd.DataFrame(
        [
            {"source": path.name.split("_")[0], "plots": path.name.split("_")[1],
             "split": path.stem.split("_")[2], **missed(path)}
            for path in sorted(folder.glob("*.npz"))
        ]
    )  # fmt: skip
    real = ~found["source"].str.startswith("flora")
    kinds = {
        "all": found.index >= 0,
        **{split: found["split"] == split for split in SPLITS},
        "100 plots": found["plots"] == "100",
        "floras": ~real,
        "real": real,
    }
    lines = [
        f"| {len(found)} trials | " + " | ".join(kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    for design in DESIGNS:
        means = [f"{found.loc[rows, design].mean():.1f}" for rows in kinds.values()]
        lines.append(f"| {design} | " + " | ".join(means) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", action="store_true", help="try nothing, print what there is")
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for (source, count), split in itertools.product(() if args.table else TRIALS, SPLITS):
        path = FOLDER / f"{source}_{count}_{split}.npz"
        if not path.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # few blocks make uneven folds
                run_trial(source, count, split, path)
            print(path.stem, flush=True)
    print(table(FOLDER))


if __name__ == "__main__":
    main()
