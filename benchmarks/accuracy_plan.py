"""Plan of the accuracy benchmark: data splits, models, settings to try, and code they depend on."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.datasets import WIDE, DataSet
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from spatioformer.models.baselines import TABULAR

FOLDER = Path("runs/accuracy")
SPLITS = ("random", "small-blocks", "large-blocks", "regions")
DISTILLED = "spatioformer-distilled"
NETWORKS = ("spatioformer", "spatioformer-no-location")
AUTO, AUTO_OF_ALL = "auto", "auto-of-all"
OURS = (
    AUTO,
    AUTO_OF_ALL,
    "stack",
    "spatioformer-stacked",
    DISTILLED,
    "gaussian-process",
    *NETWORKS,
)
SEEDS = 3
SEEDLESS = ("gaussian-process", "location-knn")
"""Models in which nothing is random."""

DEFAULTS = {
    "random-forest-defaults": RandomForestRegressor,
    "extra-trees-defaults": ExtraTreesRegressor,
}
"""Forests with the defaults of scikit-learn: leaves of one plot, all features at each split."""

NEIGHBOURS = (3, 5, 10, 20, 40)
"""Numbers of neighbours, of which the training plots of each fold choose one."""

TREE_COUNT = {
    "random-forest": "n_estimators",
    "extra-trees": "n_estimators",
    "forest-kriging": "forest__n_estimators",
}
"""Forests by name, and what they call the number of their trees."""

TABULAR_CODE = ("models/baselines/*.py", "models/baselines/gaussian/*.py", "models/stacking.py")
NETWORK_CODE = (
    *("nn/spatioformer.py", "nn/geolocation.py", "nn/losses.py", "nn/rivals.py"),
    *("nn/paper.py", "nn/transformer.py", "nn/dense.py", "nn/neighbourhood.py"),
    *("models/architectures.py", "models/distilled.py", "models/inputs.py", "models/scaling.py"),
    *("models/network_estimator.py", "models/stack_estimator.py", "models/stacking.py"),
    "models/recipes.py",
    *("models/registry.py", "training/loop.py", "training/richness.py", "training/samples.py"),
    "config/schema.py",  # defaults of the network and its training
)
"""Files inside the package; a cell is computed anew when one of those of its model changes."""


def combinations(**values: tuple) -> list[dict[str, Any]]:
    """All combinations of the values; "__" in a name means "." if it is a configuration key."""
    return [dict(zip(values, v, strict=True)) for v in itertools.product(*values.values())]


PUBLISHED = combinations(train__batch=(32, 128), train__published_recipe=("paper",))
TRAINING = combinations(train__learning_rate=(2e-3, 4e-3), model__dropout=(0.1, 0.3))  # Muon
EXACT_PLACES = {"model__location_dropout": 0.0, "model__location_jitter": 0.0}
"""Train with exact coordinates, as the demo does; by default they are hidden or moved at random."""
OUR_NETWORK = [*TRAINING, *(settings | EXACT_PLACES for settings in TRAINING)]
GRIDS: dict[str, list[dict[str, Any]]] = {  # of networks; others choose in each fold
    "spatioformer": OUR_NETWORK,
    "spatioformer-no-location": TRAINING,
    "spatioformer-published": PUBLISHED,
    "spatioformer-published-no-location": PUBLISHED,
    "cnn-published": PUBLISHED,
    "factoformer": combinations(train__learning_rate=(1e-3,), model__dropout=(0.1, 0.3)),
}
STACK_OF_NETWORKS = "spatioformer-stacked"
CHEAP = (*TABULAR, *DEFAULTS)
"""Models without a network."""
MODELS = (*CHEAP, DISTILLED, *GRIDS, STACK_OF_NETWORKS)
CANDIDATES = {
    AUTO: (DISTILLED, "random-forest", "gaussian-process", "stack", "location-knn"),
    AUTO_OF_ALL: (DISTILLED, *TABULAR),
}
"""Models among which a run would choose: the defaults of `evaluate.models` and all that a run can
list, both without networks that are fitted to plots, whose cells cost hours."""

SCORED = (*CANDIDATES, *MODELS)


@dataclass(frozen=True)
class Cell:
    """One model on one fold."""

    data: str
    split: str
    model: str
    seed: int
    fold: int

    @property
    def fold_of(self) -> tuple[str, str, int, int]:
        """Data set, split, seed and fold: cells that share them may share fits."""
        return self.data, self.split, self.seed, self.fold

    @property
    def name(self) -> str:
        return f"{self.data}_{self.split}_{self.model}_{self.seed}_{self.fold}"


def why_not(data: DataSet, split: str, model: str) -> str | None:
    """Reason why a cell does not apply, or None."""
    if data.splits[split] is None:
        return "no regions"
    if model == "cnn-published" and data.wide.patch < WIDE:
        return "tabular data: P = 1" if data.wide.patch == 1 else f"P = {data.wide.patch}"
    if model == DISTILLED and data.wide.unlabelled is None:
        return "tabular data: no pixels without plots"
    return None
