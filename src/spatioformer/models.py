"""The models a run knows by name: each can be fitted to some plots and then predict others.

| name | what |
|---|---|
| spatioformer | the configured network: published design, free sizes, normalised bands |
| spatioformer-no-location | the same without the geolocation encoding |
| spatioformer-published | the published network and recipe, raw bands |
| spatioformer-published-no-location | the same without the geolocation encoding |
| cnn-published | the paper's CNN, raw bands; needs P >= 7 |
| those of `baselines` | forests, boosted trees, kriging, neighbours, on chip statistics |
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from spatioformer.baselines import TABULAR, chip_statistics
from spatioformer.bundle import Bundle, Scaling
from spatioformer.config import ModelSection, RunConfig
from spatioformer.errors import EvaluationError
from spatioformer.evaluation.splits import DegenerateFolds
from spatioformer.geo.chips import ChipStore
from spatioformer.nn import PaperCNN, PaperSpatioformer
from spatioformer.progress import SILENT, Console
from spatioformer.train import History, Recipe, Samples, fit, validation_tiles

# With standardised bands a token's entries are of order sqrt(width); a location weight of the
# same order lets neither imagery nor place drown the other at the start.
LOCATION_WEIGHT = 3.0


class Model(Protocol):
    """What `evaluate` needs of a model."""

    def fit(self, store: ChipStore, rows: np.ndarray) -> None: ...

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray: ...


def make(name: str, config: RunConfig, seed: int) -> Model:
    """The model called `name`, not fitted yet."""
    if name in TABULAR:
        return TabularModel(name, seed)
    return NetworkModel(name, config, seed)


class TabularModel:
    """A scikit-learn regressor on chip statistics, in one thread."""

    def __init__(self, name: str, seed: int):
        self.regressor = TABULAR[name](seed)

    def fit(self, store: ChipStore, rows: np.ndarray) -> None:
        with threadpool_limits(1):
            self.regressor.fit(self._features(store, rows), store.richness[rows])

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        with threadpool_limits(1):
            return self.regressor.predict(self._features(store, rows))

    @staticmethod
    def _features(store: ChipStore, rows: np.ndarray) -> np.ndarray:
        return chip_statistics(store.chips[rows], store.lon[rows], store.lat[rows])


@dataclass
class NetworkModel:
    """A network with its recipe; `fit` holds validation tiles out of the rows it is given."""

    name: str
    config: RunConfig
    seed: int

    def __post_init__(self):
        self.published = "published" in self.name
        self.bundle: Bundle | None = None

    def fit(
        self,
        store: ChipStore,
        rows: np.ndarray,
        *,
        checkpoint: Path | None = None,
        resume: bool = True,
        log: Path | None = None,
        console: Console = SILENT,
    ) -> History:
        """Train on `rows` less some whole tiles, which decide when to stop."""
        held = self._validation(store.coordinates[rows])
        training, validation = rows[~held], rows[held]
        scaling = None
        if not self.published:
            scaling = Scaling.of(store.chips[training], store.richness[training])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self._network(len(store.bands))
        history = fit(
            network,
            _samples(store, training, scaling),
            _samples(store, validation, scaling),
            self._recipe(),
            target_sd=scaling.target_sd if scaling else 1.0,
            checkpoint=checkpoint,
            resume=resume,
            log=log,
            console=console,
        )
        self.bundle = Bundle(network.cpu(), list(store.bands), scaling)
        self.validation_rows = validation
        return history

    def _validation(self, coordinates: np.ndarray) -> np.ndarray:
        section = self.config.train
        size = section.validation_tile
        with warnings.catch_warnings():
            # One fold is used of these; how even the others are does not matter.
            warnings.simplefilter("ignore", DegenerateFolds)
            try:
                return validation_tiles(coordinates, section.validation_share, size, self.seed)
            except EvaluationError as error:
                raise EvaluationError(f"`train.validation_tile` is {size:g}: {error}") from error

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        assert self.bundle is not None, "fit before predict"
        return self.bundle.predict(store.chips[rows], store.lon[rows], store.lat[rows])

    def _network(self, bands: int) -> torch.nn.Module:
        model: ModelSection = self.config.model
        located = "no-location" not in self.name
        if self.name == "cnn-published":
            return PaperCNN(patch=model.patch, bands=bands)
        if self.published:
            return PaperSpatioformer(patch=model.patch, bands=bands, geolocation=located)
        return PaperSpatioformer(
            **model.model_dump(), bands=bands, geolocation=located, location_weight=LOCATION_WEIGHT
        )

    def _recipe(self) -> Recipe:
        section = self.config.train
        shared = {
            "epochs": section.epochs,
            "batch": section.batch,
            "patience": section.patience,
            "device": section.device,
            "seed": self.seed,
        }
        if self.published:
            return Recipe("adam", "rmse", learning_rate=1e-3, weight_decay=1e-4, **shared)
        return Recipe(
            "adamw",
            "mse",
            learning_rate=section.learning_rate,
            weight_decay=section.weight_decay,
            **shared,
        )


def _samples(store: ChipStore, rows: np.ndarray, scaling: Scaling | None) -> Samples:
    chips = torch.from_numpy(np.array(store.chips[rows], np.float32))
    target = torch.from_numpy(store.richness[rows])
    if scaling is not None:
        chips, target = scaling.bands(chips), scaling.target(target)
    return Samples(
        chips,
        torch.from_numpy(np.array(store.lon[rows])),
        torch.from_numpy(np.array(store.lat[rows])),
        target.float(),
    )
