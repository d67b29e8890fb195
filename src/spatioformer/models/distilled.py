"""A network that learns the predictions of a better model on land without plots.

Some hundred plots are few for a transformer, but not for a Gaussian process or a stack. Those can
predict any pixel, so there are as many examples to learn from as the imagery has pixels
(Bucila, Caruana & Niculescu-Mizil 2006, "Model Compression", KDD; Hinton, Vinyals & Dean 2015,
arXiv:1503.02531). The network nearly reproduces its teacher, and maps many times faster.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from spatioformer.common.errors import ModelError
from spatioformer.config.schema import ModelSection, TrainSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Estimator, Model
from spatioformer.models.capabilities import FitContext
from spatioformer.models.network import NetworkModel
from spatioformer.models.network_estimator import NetworkEstimator, epochs_in_words
from spatioformer.nn.geolocation import extent_of, wavelengths_over

NETWORK = {
    "network": "dense",
    "tokens": "pixels",
    "location_dropout": 0.0,
    "location_jitter": 0.0,
    "members": 1,  # several would all learn the same
}
TRAINING = {"loss": "poisson", "learning_rate": 8e-3, "batch": 256}
"""A teacher's predictions have no noise and lie everywhere: location needs no hiding, and steps may
be long. Chosen on virtual floras that are scored nowhere (docs/models.md, "The distilled
network")."""

SHOWN = 400_000
"""Chips that training looks at in all; each of them several times where there are fewer."""

WAVED = ("sinusoids", "sphere", "fourier")
"""Location encoders whose size does not grow with fine waves."""

FINEST = 1 / 8
"""Shortest wavelength, in shares of the land's extent."""

WAVES = 5


@dataclass(frozen=True)
class DistilledEstimator:
    """A dense network before it learns from a teacher.

    Attributes:
        teacher: an estimator, fitted to the plots first.
        teacher_name: its name in the catalogue.
        model: sizes of the network, as far as `network_for` keeps them.
        train: recipe, as far as `training_on` keeps it.
        seed: of both.
    """

    teacher: Estimator
    teacher_name: str
    model: ModelSection
    train: TrainSection
    seed: int

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> NetworkModel:
        """Fit the teacher to `rows`, and train the network on the teacher's predictions.

        Raises:
            ModelError: the store has no chips without plots; or as the teacher and the network.
        """
        context.console.say(f"  {self.teacher_name} learns from {len(rows):,} plots")
        teacher = self.teacher.fit(_with_land(store), rows, context=context.part("teacher"))
        land = lesson(teacher, store, rows, self.seed)
        student = NetworkEstimator(
            "spatioformer",
            network_for(land, self.model),
            training_on(len(land), self.train),
            self.seed,
        )
        model = student.fit(land, np.arange(len(land)), context=context)
        (history,) = model.histories
        model.facts = {
            "plots": len(rows),
            "teacher": self.teacher_name,
            "pixels": len(land),
            "teacher_rmse": round(history.best_rmse, 4),
            "epochs": epochs_in_words(history),
        }
        return model


def lesson(teacher: Model, store: ChipStore, rows: np.ndarray, seed: int) -> ChipStore:
    """Chips without plots, their richness predicted by a teacher that was fitted to `rows`.

    Each takes what else is known of a plot (area, date, other covariates) from one of `rows`, drawn
    at random.

    Raises:
        ModelError: the store has no chips without plots.
    """
    land = _with_land(store).unlabelled
    assert land is not None
    drawn = np.random.default_rng(seed).choice(rows, len(land))
    table = store.table.iloc[drawn].reset_index(drop=True)
    places = {name: land.table[name].to_numpy() for name in ("lon", "lat")}
    land = replace(land, table=table.assign(**places))
    predictions = np.maximum(teacher.predict_rows(land, np.arange(len(land))), 0.0)
    return replace(land, table=land.table.assign(richness=predictions))


def _with_land(store: ChipStore) -> ChipStore:
    if store.unlabelled is None:
        raise ModelError(
            "the chips hold none without plots, which a distilled network learns from; give "
            "`unlabelled` (`geo.unlabelled.cut_unlabelled`), or let `spatioformer run` make them"
        )
    return store


def network_for(land: ChipStore, section: ModelSection) -> ModelSection:
    """The network that learns from a teacher: the configured sizes and location encoder stay.

    Its location encoder has shorter waves than plots alone could teach, unless the configuration
    names wavelengths.
    """
    section = section.model_copy(update=NETWORK)
    if section.wavelengths or section.location not in WAVED:
        return section
    extent = extent_of(*torch.tensor(land.coordinates).T)
    return section.model_copy(update={"wavelengths": wavelengths_over(extent, WAVES, FINEST)})


def training_on(pixels: int, section: TrainSection) -> TrainSection:
    """The recipe for so many pixels: the configured validation and device stay."""
    epochs = max(1, round(SHOWN / pixels))
    return section.model_copy(update={**TRAINING, "epochs": epochs, "patience": epochs})
