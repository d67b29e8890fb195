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
from spatioformer.models.distilled import student_of, with_teacher_predictions
from spatioformer.models.network import NetworkModel
from spatioformer.models.registry import make

FLORAS = (11, 12, 13)
Settings = dict[str, Any]
ROWS: dict[str, tuple[Settings, Settings]] = {
    "default": ({}, {}),
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


def taught(land: ChipStore, sections: Sections, model: Settings, train: Settings) -> NetworkModel:
    """A network that learned a lesson, with what differs from the default."""
    student = student_of(land, *sections)
    recipe = dict(train)
    optimiser = recipe.pop("optimiser", student.optimiser)
    student = replace(
        student,
        model=student.model.model_copy(update=model),
        train=student.train.model_copy(update=recipe),
        optimiser=optimiser,
    )
    return student.fit(land, np.arange(len(land)))


def trial(seed: int, rows: list[str], teachers: list[str]) -> dict[str, list[float]]:
    """Of each row: r2 on held-out plots, r2 against the teacher there, processor seconds."""
    data = flora(seed)
    store, config, (training, test) = data.store, config_of(data, {}), held_out(data)
    observed, found = store.richness[test], {}

    def learned(name: str, told: ChipStore, model: Settings, train: Settings) -> None:
        start = time.process_time()
        predicted = taught(told, config, model, train).predict_rows(store, test)
        seconds = time.process_time() - start
        found[name] = [r2(observed, predicted), r2(answers, predicted), seconds]
        print(f"flora {seed} {name:<32} {found[name][0]:.3f}", flush=True)

    for kind in teachers:
        start = time.process_time()
        teacher = make(kind, *config).fit(store, training)
        answers = np.asarray(teacher.predict_rows(store, test), np.float64)
        found[f"{kind} itself"] = [r2(observed, answers), 1.0, time.process_time() - start]
        told = with_teacher_predictions(teacher, store, training, seed=0)
        if kind != teachers[0]:
            learned(f"taught by {kind}", told, {}, {})
            continue
        for name in rows:
            learned(name, told, *ROWS[name])
        for name, count in FEWER.items() if rows == list(ROWS) else ():
            learned(name, part(told, np.arange(count)), {}, {})
    return found


def r2(observed: np.ndarray, predicted: np.ndarray) -> float:
    return scores(observed, predicted)["r2"]


def table(trials: list[dict[str, list[float]]]) -> str:
    """Markdown; means over the floras."""
    columns = ("", "r2, held-out plots", "r2 against the teacher", "processor seconds")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name in trials[0]:
        plots, teacher, seconds = np.mean([found[name] for found in trials], axis=0)
        lines.append(f"| {name} | {plots:.3f} | {teacher:.3f} | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--teachers", nargs="+", choices=TEACHERS, default=list(TEACHERS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # few blocks make uneven folds
    print(table([trial(seed, arguments.rows, arguments.teachers) for seed in FLORAS]))


if __name__ == "__main__":
    main()
