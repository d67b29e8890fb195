"""A network that learns what a better model says of land without plots.

Some hundred plots are few for a transformer, but not for a Gaussian process or a stack. Those can
answer for any pixel, so there are as many examples to learn from as the imagery has pixels
(Bucila, Caruana & Niculescu-Mizil 2006, "Model Compression", KDD; Hinton, Vinyals & Dean 2015,
arXiv:1503.02531). The network says nearly what its teacher says, and maps many times faster.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spatioformer.common.errors import ModelError
from spatioformer.config.schema import ModelSection, TrainSection
from spatioformer.geo.chips import ChipStore
from spatioformer.nn.geolocation import extent_of, wavelengths_over

if TYPE_CHECKING:
    from spatioformer.models.registry import Model

NETWORK = {
    "network": "dense",
    "tokens": "pixels",
    "location_dropout": 0.0,
    "location_jitter": 0.0,
    "members": 1,  # more would all learn the same
}
TRAINING = {"loss": "poisson", "learning_rate": 8e-3, "batch": 256}
"""A teacher's answers have no noise and lie everywhere: location needs no hiding, and steps may be
long. Chosen on virtual floras that are scored nowhere (docs/models.md, "The distilled network")."""

SHOWN = 400_000  # chips that training looks at, each as often as it takes
WAVED = ("sinusoids", "sphere", "fourier")  # encoders whose size does not grow with fine waves
FINEST = 1 / 8  # wavelength in shares of the land's extent
WAVES = 5


def lesson(
    teacher: "Model", store: ChipStore, rows: np.ndarray, seed: int, **how: Any
) -> ChipStore:
    """The chips without plots, and as their richness what a teacher fitted to `rows` says of them.

    Each takes all else that is known of a plot (area, date, other covariates) from one of `rows`,
    drawn at random.

    Args:
        how: given to the teacher's `fit`.

    Raises:
        ModelError: the store has no chips without plots.
    """
    if store.unlabelled is None:
        raise ModelError(
            "the chips hold none without plots, which a distilled network learns from; give "
            "`unlabelled` (`geo.unlabelled.cut_unlabelled`), or let `spatioformer run` make them"
        )
    teacher.fit(store, rows, **how)
    land = store.unlabelled
    drawn = np.random.default_rng(seed).choice(rows, len(land))
    known = store.table.iloc[drawn].reset_index(drop=True)
    places = {name: land.table[name].to_numpy() for name in ("lon", "lat")}
    land = replace(land, table=known.assign(**places))
    said = np.maximum(teacher.predict(land, np.arange(len(land))), 0.0)
    return replace(land, table=land.table.assign(richness=said))


def network_for(land: ChipStore, section: ModelSection) -> ModelSection:
    """The configured network as it learns from a teacher: its sizes and location encoder stay.

    It is told places by waves as fine as plots alone could not teach, unless the configuration
    names its own.
    """
    section = section.model_copy(update=NETWORK)
    if section.wavelengths or section.location not in WAVED:
        return section
    extent = extent_of(*torch.tensor(land.coordinates).T)
    return section.model_copy(update={"wavelengths": wavelengths_over(extent, WAVES, FINEST)})


def training_on(pixels: int, section: TrainSection) -> TrainSection:
    """How it learns from so many of them: what the section says of validation and device stays."""
    epochs = max(1, round(SHOWN / pixels))
    return section.model_copy(update={**TRAINING, "epochs": epochs, "patience": epochs})
