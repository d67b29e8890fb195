"""What each choice of the default network is worth inside the surveyed land and outside it.

    python -m benchmarks.ablation --dev     # on the plots for tuning, which are never scored
    python -m benchmarks.ablation           # on all other plots: the table of docs/measured.md

Each row changes one thing of the default. r2 = 1 - SSE/SST of pooled held-out predictions, 3 folds,
random and by large blocks; New Zealand by 4,000 plots drawn at random. A finished cell is kept in
the CSV file and not computed again.
"""

import argparse
import csv
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.datasets import DATASETS, DataSet

from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.evaluation import DegenerateFolds, RandomKFold, SpatialBlockKFold
from spatioformer.evaluation.metrics import scores
from spatioformer.models.registry import make

MOST = 4000
FOLDS = 3
SPLITS = ("random", "blocks")
DATA = ("flora", "ausplots", "new-zealand", "south-america")
TOLD = {"location_dropout": 0.0, "location_jitter": 0.0}
FAST = {"learning_rate": 3e-3}
FINE = {"wavelengths": [8.0, 3.0, 1.0, 0.3]}
Settings = dict[str, dict[str, Any]]

ROWS: dict[str, tuple[str, Settings]] = {
    "default": ("spatioformer", {}),
    "no location": ("spatioformer-no-location", {}),
    "fine wavelengths, no jitter": ("spatioformer", {"model": FINE | {"location_jitter": 0.0}}),
    "no jitter": ("spatioformer", {"model": {"location_jitter": 0.0}}),
    "no location dropout": ("spatioformer", {"model": {"location_dropout": 0.0}}),
    "no location dropout, no jitter": ("spatioformer", {"model": TOLD}),
    "learning rate 3e-3": ("spatioformer", {"train": FAST}),
    "both of these": ("spatioformer", {"model": TOLD, "train": FAST}),
    "no quantile intervals": ("spatioformer", {"model": {"intervals": 0}}),
    "no location dropout, jitter or intervals": (
        "spatioformer",
        {"model": TOLD | {"intervals": 0}},
    ),
    "one token per band (P = 1)": ("spatioformer", {"model": {"tokens": "bands"}}),
    "squared error": ("spatioformer", {"train": {"loss": "mse"}}),
    "no weight averaging": ("spatioformer", {"train": {"averaging": 0.0}}),
    "no augmentation": ("spatioformer", {"train": {"augment": False}}),
    "3 members": ("spatioformer", {"model": {"members": 3}}),
    "published": ("spatioformer-published", {}),
    "random forest": ("random-forest", {}),
}
"""Name of a row -> the model and what differs from its defaults."""


def config_of(data: DataSet, settings: Settings) -> tuple[ModelSection, TrainSection]:
    base: Settings = {
        "model": {"patch": data.store.patch},
        "train": {"epochs": 20, "patience": 6, "validation_tile": data.tile / 2},
    }
    model, train = (base[key] | settings.get(key, {}) for key in ("model", "train"))
    return ModelSection(**model), TrainSection(**train)


def chosen(data: DataSet, dev: bool) -> np.ndarray:
    """Rows that take part: the plots for tuning, or a sample of the others."""
    rows = np.flatnonzero(data.dev == dev)
    return np.sort(np.random.default_rng(0).permutation(rows)[:MOST])


def r2(
    data: DataSet,
    rows: np.ndarray,
    split: str,
    name: str,
    config: tuple[ModelSection, TrainSection],
    seeds: int,
) -> float:
    """Mean over `seeds` of the networks; the folds are the same."""
    # In a fifth of the blocks there are too few large ones to share out.
    size = data.sizes[1] if len(rows) > len(data.store) / 4 else data.sizes[1] / 2
    splitter = RandomKFold(FOLDS, seed=0)
    if split == "blocks":
        splitter = SpatialBlockKFold(FOLDS, size=size, unit=data.unit, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateFolds)
        fold = splitter.assign(data.store.coordinates[rows])
    found = []
    for seed in range(seeds):
        predicted = np.empty(len(rows))
        for k in range(FOLDS):
            model = make(name, *config, seed=seed).fit(data.store, rows[fold != k])
            predicted[fold == k] = model.predict_rows(data.store, rows[fold == k])
        found.append(scores(data.store.richness[rows], predicted)["r2"])
    return float(np.mean(found))


def done(path: Path) -> dict[tuple[str, str, str], float]:
    if not path.exists():
        return {}
    with open(path, newline="") as stream:
        return {(r["row"], r["data"], r["split"]): float(r["r2"]) for r in csv.DictReader(stream)}


def table(cells: dict[tuple[str, str, str], float]) -> str:
    """Markdown, random / blocks in a cell."""
    lines = [f"| | {' | '.join(DATA)} |", "|---" * (len(DATA) + 1) + "|"]
    for row in ROWS:
        pairs = [[cells.get((row, data, split)) for split in SPLITS] for data in DATA]
        shown = [" / ".join("-" if v is None else f"{v:.3f}" for v in pair) for pair in pairs]
        lines.append(f"| {row} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="on the plots for tuning")
    parser.add_argument("--out", type=Path, help="CSV file of the finished cells")
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=1, help="of networks; their mean is shown")
    arguments = parser.parse_args()
    out = arguments.out or Path("runs") / f"ablation{'-dev' if arguments.dev else ''}.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    cells = done(out)
    for name in arguments.data:
        data = DATASETS[name]()
        rows = chosen(data, arguments.dev)
        for row in arguments.rows:
            model, settings = ROWS[row]
            if "P = 1" in row and data.store.patch > 1:
                continue
            for split in SPLITS:
                if (row, name, split) in cells:
                    continue
                value = r2(data, rows, split, model, config_of(data, settings), arguments.seeds)
                cells[row, name, split] = value
                with open(out, "a", newline="") as stream:
                    writer = csv.DictWriter(stream, ["row", "data", "split", "r2", "settings"])
                    if stream.tell() == 0:
                        writer.writeheader()
                    writer.writerow(
                        {
                            "row": row,
                            "data": name,
                            "split": split,
                            "r2": round(value, 4),
                            "settings": json.dumps(settings),
                        }
                    )
                print(f"{name:<14} {split:<7} {row:<24} {value:.3f}", flush=True)
    print(table(cells))


if __name__ == "__main__":
    main()
