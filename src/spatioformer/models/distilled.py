"""Knowledge distillation: train a network on the predictions of a teacher at pixels without plots.

A few hundred plots are too few for a transformer, but enough for a Gaussian process or a stack.
Such a teacher can predict any pixel, so the imagery provides many training examples (Bucila,
Caruana & Niculescu-Mizil 2006, "Model Compression", KDD; Hinton, Vinyals & Dean 2015,
arXiv:1503.02531). The network nearly reproduces its teacher and maps many times faster. Where it
does not, the teacher itself is the model.

A Gaussian process may have peaks around its plots, which pixels at random hardly show. They are
taken from the lesson and added to the network's predictions (`models.near_plots`).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from spatioformer.common.errors import ModelError
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Estimator, Model
from spatioformer.models.baselines import GaussianProcess
from spatioformer.models.capabilities import FitContext
from spatioformer.models.near_plots import NearPlots
from spatioformer.models.network_estimator import NetworkEstimator, epochs_in_words
from spatioformer.models.recipes import training_on
from spatioformer.models.tabular import TabularModel
from spatioformer.models.target import bounded
from spatioformer.nn.geolocation import extent_of, wavelengths_over

NETWORK = {
    "network": "dense",
    "tokens": "pixels",
    "location_dropout": 0.0,
    "location_jitter": 0.0,
    "members": 1,  # more members would learn the same function
}
SUFFICIENT_R2 = 0.95
"""r2 against the teacher's predictions of held-out pixels, below which the teacher maps."""

MULTISCALE_ENCODERS = ("sinusoids", "sphere", "fourier")
"""Location encoders whose size does not depend on their shortest wavelength."""

SHORTEST_WAVELENGTH = 1 / 8
"""Shortest wavelength, as a share of the land's extent."""

WAVELENGTHS = 5
"""Number of wavelengths of a location encoder."""


@dataclass(frozen=True)
class DistilledEstimator:
    """Estimator of a dense network that is trained on a teacher's predictions.

    Attributes:
        teacher: estimator of the teacher, which is fitted to the plots first.
        teacher_name: name of the teacher in the catalogue.
        model: sizes of the network; `network_for` replaces some of them.
        train: training recipe; `training_on` replaces parts of it.
        seed: seed of the network's training and of the sample of covariates.
    """

    teacher: Estimator
    teacher_name: str
    model: ModelSection
    train: TrainSection
    seed: int

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> Model:
        """Fit the teacher to `rows`, and train the network on the teacher's predictions.

        `context.fitted` may hold the teacher, already fitted to `rows`.

        Returns:
            The network; or the teacher's model, if the network reproduces less than SUFFICIENT_R2
            of the variance of the teacher's predictions. The fact "teacher_maps" then says so.

        Raises:
            ModelError: the store has no chips without plots, or the teacher or the network cannot
                be fitted.
        """
        _with_land(store)
        teacher = context.fitted.get(self.teacher_name)
        if teacher is None:
            context.console.say(f"  {self.teacher_name} is trained on {len(rows):,} plots")
            teacher = self.teacher.fit(store, rows, context=context.part("teacher"))
        land = with_teacher_predictions(teacher, store, rows, self.seed)
        near = near_plots_of(teacher)
        lesson = without_part(near, land)
        student = student_of(lesson, self.model, self.train, self.seed)
        model = replace(student.fit(lesson, np.arange(len(land)), context=context), near=near)
        (history,) = model.histories
        rmse, held_out = history.best_rmse, student.validation_of(land.coordinates)
        if near is not None:  # `best_rmse` is that of the lesson
            predicted = model.predict_rows(land, np.flatnonzero(held_out))
            rmse = float(np.sqrt(np.mean((predicted - land.richness[held_out]) ** 2)))
        r2 = reproduced(land.richness[held_out], rmse)
        if not r2 >= SUFFICIENT_R2:
            why = (
                f"the distilled network reproduces r2 {r2:.2f} of its teacher, below "
                f"{SUFFICIENT_R2}; the teacher, {self.teacher_name}, maps"
            )
            context.console.say(f"  {why}")
            return teacher.with_facts(
                teacher.facts
                | {"plots": len(rows), "teacher_r2": round(r2, 4), "teacher_maps": why}
            )
        context.console.say(f"  the distilled network reproduces r2 {r2:.3f} of its teacher")
        model.facts = {
            "plots": len(rows),
            "teacher": self.teacher_name,
            "pixels": len(land),
            "teacher_r2": round(r2, 4),
            "teacher_rmse": round(rmse, 4),
            "epochs": epochs_in_words(history),
        }
        return model


def student_of(
    land: ChipStore, model: ModelSection, train: TrainSection, seed: int = 0
) -> NetworkEstimator:
    """Estimator of a distilled network, to be fitted to all rows of `land`.

    Its validation pixels are drawn at random, because a map's pixels lie between training pixels.

    Args:
        land: chips without plots, with the teacher's predictions.
        model, train: sections of the configuration.
    """
    network, recipe = network_for(land, model), training_on(len(land), train)
    return NetworkEstimator("spatioformer", network, recipe, seed, validation="rows")


def reproduced(predictions: np.ndarray, rmse: float) -> float:
    """r2 of a network against its teacher: 1 - rmse^2 / variance of the teacher's predictions.

    A teacher that predicts one value for all pixels has no variance; r2 is then 0, for it says
    nothing of the network.

    Args:
        predictions: of the teacher at held-out pixels, (n,), species.
        rmse: of the network against them, species.
    """
    variance = float(np.var(predictions))
    return 1 - rmse**2 / variance if variance > 0 else 0.0


def with_teacher_predictions(
    teacher: Model, store: ChipStore, rows: np.ndarray, seed: int
) -> ChipStore:
    """Chips without plots, with the teacher's predictions as their richness.

    The covariates of each chip (area, date and others) are those of a random plot of `rows`.

    Args:
        teacher: a model fitted to `rows`.
        rows: int (n,), rows of the training plots.

    Raises:
        ModelError: the store has no chips without plots.
    """
    land = _with_land(store).unlabelled
    assert land is not None
    plots = np.random.default_rng(seed).choice(rows, len(land))
    table = store.table.iloc[plots].reset_index(drop=True)
    places = {name: land.table[name].to_numpy() for name in ("lon", "lat")}
    land = replace(land, table=table.assign(**places))
    predictions = np.maximum(teacher.predict_rows(land, np.arange(len(land))), 0.0)
    predictions = bounded(predictions, store.target_kind)
    return replace(land, table=land.table.assign(richness=predictions))


def near_plots_of(teacher: Model) -> NearPlots | None:
    """What a teacher has near its plots that is known exactly; None for all but a process."""
    regressor = teacher.regressor if isinstance(teacher, TabularModel) else None
    return NearPlots.of(regressor) if isinstance(regressor, GaussianProcess) else None


def without_part(near: NearPlots | None, land: ChipStore) -> ChipStore:
    """Chips with predictions without the part near plots: what a network learns.

    Args:
        near: of the teacher; None leaves the predictions.
        land: chips with the teacher's predictions as their richness.
    """
    if near is None:
        return land
    lesson = near.removed(land.richness, *land.coordinates.T)
    return replace(land, table=land.table.assign(richness=lesson))


def _with_land(store: ChipStore) -> ChipStore:
    """The store, which must have chips without plots.

    Raises:
        ModelError: the store has none.
    """
    if store.unlabelled is None:
        raise ModelError(
            "a distilled network is trained on chips without plots, and the chip store has none; "
            "give `unlabelled` (`geo.unlabelled.cut_unlabelled`), or let `spatioformer run` cut "
            "them"
        )
    return store


def network_for(land: ChipStore, section: ModelSection) -> ModelSection:
    """The section `model` of a distilled network.

    The configured sizes and location encoder stay, and `NETWORK` replaces the rest. Unless the
    configuration sets wavelengths, they reach down to `SHORTEST_WAVELENGTH`, because the training
    pixels are denser than plots.
    """
    section = section.model_copy(update=NETWORK)
    if section.wavelengths or section.location not in MULTISCALE_ENCODERS:
        return section
    extent = extent_of(*torch.tensor(land.coordinates).T)
    return section.model_copy(
        update={"wavelengths": wavelengths_over(extent, WAVELENGTHS, SHORTEST_WAVELENGTH)}
    )
