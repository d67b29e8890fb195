"""What the distilled network's design is worth, on virtual floras scored nowhere: docs/models.md.

    python -m benchmarks.distillation          # five minutes on a core
    python -m benchmarks.distillation --rows default "the chip network"

Of each flora a fold of small blocks is held out. The teacher learns from the other plots, and each
row is a network that learns from the teacher with one thing changed. Means over the floras.
"""

import argparse
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from benchmarks.accuracy import config_of
from benchmarks.datasets import DataSet, flora
from benchmarks.stack_trials import part

from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.evaluation import SpatialBlockKFold, scores
from spatioformer.geo.chips import ChipStore
from spatioformer.models.distilled import (
    near_plots_of,
    student_of,
    with_teacher_predictions,
    without_part,
)
from spatioformer.models.near_plots import NearPlots
from spatioformer.models.network import NetworkModel
from spatioformer.models.registry import make

FLORAS = (11, 12, 13)
Settings = dict[str, Any]
NEAR = "the field near plots left to the network"
ROWS: dict[str, tuple[Settings, Settings]] = {
    "default": ({}, {}),
    NEAR: ({}, {}),
    "the chip network": ({"network": "chip"}, {}),
    "two coarse wavelengths": ({"wavelengths": (74.0, 37.0)}, {}),
    "a sixth wavelength, 1/16 of the extent": (
        {"wavelengths": (74.0, 37.0, 18.5, 9.2, 4.6, 2.3)},
        {},
    ),
    "location dropout and jitter": ({"location_dropout": 0.5, "location_jitter": None}, {}),
    "AdamW": ({}, {"optimiser": "adamw"}),
    "AdamW, 400,000 chips": ({}, {"optimiser": "adamw", "epochs": 20}),
    "no quantile intervals": ({"intervals": 0}, {}),
    "no dropout": ({"dropout": 0.0}, {}),
    "twice as wide": ({"width": 64, "mlp_hidden": 128, "head_hidden": 128}, {}),
    "squared error": ({}, {"loss": "mse"}),
    "learning rate 3e-3": ({}, {"learning_rate": 3e-3}),
    "augmentation": ({}, {"augment": True}),
    "half the epochs": ({}, {"epochs": 3}),
}
"""Name of a row -> what differs in `model`, and in `train` or the optimiser."""
FEWER = {"5,000 pixels, same number of steps": 5_000}
TEACHERS = ("gaussian-process", "random-forest", "spatioformer-stacked")


def held_out(data: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from, and those of the first fold of small blocks."""
    splitter = SpatialBlockKFold(5, size=data.sizes[0], unit=data.unit, seed=0)
    fold = splitter.assign(data.store.coordinates)
    return np.flatnonzero(fold > 0), np.flatnonzero(fold == 0)


Sections = tuple[ModelSection, TrainSection]


def taught(
    land: ChipStore,
    sections: Sections,
    model: Settings,
    train: Settings,
    near: NearPlots | None,
) -> tuple[NetworkModel, float]:
    """A network that learned a lesson, with what differs from the default.

    Args:
        near: part of the teacher that is added to the network's predictions.

    Returns:
        The network, and its r2 against the teacher at the pixels held out of the training.
    """
    lesson = without_part(near, land)
    student = student_of(lesson, *sections)
    recipe = dict(train)
    optimiser = recipe.pop("optimiser", student.optimiser)
    student = replace(
        student,
        model=student.model.model_copy(update=model),
        train=student.train.model_copy(update=recipe),
        optimiser=optimiser,
    )
    network = replace(student.fit(lesson, np.arange(len(land))), near=near)
    rows = np.flatnonzero(student.validation_of(land.coordinates))
    return network, r2(land.richness[rows], network.predict_rows(land, rows))


def trial(seed: int, rows: list[str], teachers: list[str]) -> dict[str, list[float]]:
    """Of each row: r2 on held-out plots, r2 against the teacher there and at pixels, seconds."""
    data = flora(seed)
    store, config, (training, test) = data.store, config_of(data, {}), held_out(data)
    observed, found = store.richness[test], {}

    def learned(
        name: str, told: ChipStore, model: Settings, train: Settings, near: NearPlots | None
    ) -> None:
        start = time.process_time()
        network, at_pixels = taught(told, config, model, train, near)
        predicted = network.predict_rows(store, test)
        seconds = time.process_time() - start
        found[name] = [r2(observed, predicted), r2(answers, predicted), at_pixels, seconds]
        print(f"flora {seed} {name:<45} {found[name]}", flush=True)

    for kind in teachers:
        start = time.process_time()
        teacher = make(kind, *config).fit(store, training)
        answers = np.asarray(teacher.predict_rows(store, test), np.float64)
        found[f"{kind} itself"] = [r2(observed, answers), 1.0, 1.0, time.process_time() - start]
        told = with_teacher_predictions(teacher, store, training, seed=0)
        near = near_plots_of(teacher)
        if kind != teachers[0]:
            learned(f"taught by {kind}", told, {}, {}, near)
            continue
        for name in rows:
            learned(name, told, *ROWS[name], None if name == NEAR else near)
        for name, count in FEWER.items() if rows == list(ROWS) else ():
            learned(name, part(told, np.arange(count)), {}, {}, near)
    return found


def r2(observed: np.ndarray, predicted: np.ndarray) -> float:
    return scores(observed, predicted)["r2"]


def table(trials: list[dict[str, list[float]]]) -> str:
    """Markdown; means over the floras."""
    against = ("r2 against the teacher", "the same at held-out pixels")
    columns = ("", "r2, held-out plots", *against, "processor seconds")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name in trials[0]:
        *scores_of, seconds = np.mean([found[name] for found in trials], axis=0)
        values = " | ".join(f"{value:.3f}" for value in scores_of)
        lines.append(f"| {name} | {values} | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--floras", nargs="+", type=int, default=list(FLORAS))
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--teachers", nargs="+", choices=TEACHERS, default=list(TEACHERS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # few blocks make uneven folds
    trials = [trial(seed, arguments.rows, arguments.teachers) for seed in arguments.floras]
    print(table(trials))


if __name__ == "__main__":
    main()
