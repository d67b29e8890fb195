"""The models a run knows by name: each can be fitted to some plots and then predict others.

| name | what |
|---|---|
| spatioformer | the configured network, `nn.Spatioformer`, or an ensemble of it |
| spatioformer-no-location | the same without location |
| spatioformer-dense | `nn.DenseSpatioformer` of the same sizes, which maps whole tiles at once |
| spatioformer-distilled | the dense network, taught on land without plots what another model says |
| spatioformer-stacked | `spatioformer` and five of `baselines`, weighted near plots and far |
| spatioformer-published | the published network and recipe, raw bands |
| spatioformer-published-no-location | the same without the geolocation encoding |
| cnn-published | the paper's CNN, raw bands; needs P >= 7 |
| factoformer | `nn.FactoFormer`, trained as `spatioformer` is |
| those of `baselines` | forests, boosted trees, kriging, neighbours, on chip statistics |
"""

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from spatioformer.common.errors import EvaluationError
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.schema import ModelSection, RunConfig
from spatioformer.evaluation.splits import DegenerateFolds
from spatioformer.geo.chips import ChipStore
from spatioformer.models import distillation
from spatioformer.models.baselines import TABULAR, chip_statistics, with_covariates
from spatioformer.models.inputs import Inputs
from spatioformer.models.scaling import Covariates, Scaling, raw_covariates, seen_by_models
from spatioformer.models.stacking import StackedModel
from spatioformer.models.store import Bundle, StackBundle, TabularBundle, TrainedModel
from spatioformer.nn import (
    DenseSpatioformer,
    FactoFormer,
    PaperCNN,
    PaperSpatioformer,
    Spatioformer,
)
from spatioformer.nn.losses import OUTPUTS, Loss, LossName
from spatioformer.training.loop import History
from spatioformer.training.richness import Recipe, fit, validation_tiles

STACKED = {
    "spatioformer": 0.1,
    "extra-trees": 0.1,
    "gradient-boosting": 0.1,
    "forest-kriging": 0.1,
    "gaussian-process": 0.5,
    "location-knn": 0.1,
}
"""Members of `spatioformer-stacked`, and their weights before any plot is seen.

Half goes to the one that was best on plots for trying things out (docs/models.md, "The stack").
"""


class Model(Protocol):
    """What `evaluate` needs of a model, and `train`, which keeps it as a bundle."""

    def fit(self, store: ChipStore, rows: np.ndarray) -> None: ...

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray: ...

    def as_bundle(self, store: ChipStore, rows: np.ndarray) -> TrainedModel:
        """The fitted model as it maps; `rows` are those it was fitted to."""
        ...


def make(name: str, config: RunConfig, seed: int) -> Model:
    """The model called `name`, not fitted yet."""
    if name in TABULAR:
        return TabularModel(name, config, seed)
    if name == "spatioformer-stacked":
        members = [partial(make, member, config, seed) for member in STACKED]
        return Stack(members, [*STACKED.values()], config.train.validation_tile, seed)
    if name == "spatioformer-distilled":
        return Distilled(name, config, seed)
    return NetworkModel(name, config, seed)


class Stack(StackedModel):
    """The stack of STACKED."""

    def as_bundle(self, store: ChipStore, rows: np.ndarray) -> StackBundle:
        fitted = zip(STACKED, self.fitted, strict=True)
        parts = {name: model.as_bundle(store, rows) for name, model in fitted}
        return StackBundle(parts, self.weights, self.reach, self.known)


class TabularModel:
    """A scikit-learn regressor on covariates and chip statistics, in one thread."""

    def __init__(self, name: str, config: RunConfig, seed: int):
        self.regressor = TABULAR[name](seed)
        self.usual = config.model.covariates
        self.covariates = tuple(self.usual)

    def fit(self, store: ChipStore, rows: np.ndarray) -> None:
        with threadpool_limits(1):
            self.regressor.fit(self._features(store, rows), store.richness[rows])

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        with threadpool_limits(1):
            return self.regressor.predict(self._features(store, rows))

    def as_bundle(self, store: ChipStore, rows: np.ndarray) -> TabularBundle:
        table = store.table.iloc[rows]
        return TabularBundle(
            self.regressor,
            list(store.bands),
            store.patch,
            Scaling.of(store.chips[rows], store.richness[rows]),
            covariates=Covariates.of(table, self.usual) if self.usual else None,
        )

    def _features(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        seen = chip_statistics(store.chips[rows], store.lon[rows], store.lat[rows])
        told = None
        if self.covariates:
            told = seen_by_models(
                self.covariates, raw_covariates(store.table.iloc[rows], self.covariates)
            )
        return with_covariates(told, seen)


@dataclass
class NetworkModel:
    """A network with its recipe; `fit` holds validation tiles out of the rows it is given."""

    name: str
    config: RunConfig
    seed: int

    def __post_init__(self):
        self.published = "published" in self.name
        if self.name == "factoformer":  # one network, which sees chips alone
            model = self.config.model.model_copy(update={"members": 1, "covariates": {}})
            # It gives one number; that of "quantile" is the mean of Poisson counts.
            loss = "poisson" if self.config.train.loss == "quantile" else self.config.train.loss
            train = self.config.train.model_copy(update={"loss": loss})
            self.config = self.config.model_copy(update={"model": model, "train": train})
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
        """Train on `rows` less some whole tiles, which decide when to stop.

        The members of an ensemble differ in their first weights, the order of the plots and the
        tiles that are held out. Their files are numbered from the second on.

        Returns:
            The first member's history.
        """
        inputs = Inputs.of(self.config, store, rows, raw=self.published)
        members, losses, histories = [], [], []
        for k in range(1 if self.published else self.config.model.members):
            held = self._validation(store.coordinates[rows], self.seed + k)
            network, loss = self._network(inputs, self.seed + k), Loss(self._loss, inputs.link)
            history = fit(
                network,
                inputs.samples(store, rows[~held]),
                inputs.samples(store, rows[held]),
                self._recipe(self.seed + k),
                loss=loss,
                checkpoint=_numbered(checkpoint, k),
                resume=resume,
                log=_numbered(log, k),
                console=console,
            )
            members.append(network.cpu())
            losses.append(loss)
            histories.append((history, rows[held]))
        self.bundle = inputs.bundle(members, losses, store, rows)
        history, self.validation_rows = histories[0]
        return history

    def facts(self, plots: int, history: History) -> dict[str, Any]:
        """What the model card says of the training on so many plots."""
        held = len(self.validation_rows)
        return {
            "plots": plots - held,
            "validation_plots": held,
            "validation_rmse": round(history.best_rmse, 4),
            "epochs": _epochs(history),
        }

    def _validation(self, coordinates: np.ndarray, seed: int) -> np.ndarray:
        section = self.config.train
        size = section.validation_tile
        with warnings.catch_warnings():
            # One fold is used of these; how even the others are does not matter.
            warnings.simplefilter("ignore", DegenerateFolds)
            try:
                return validation_tiles(coordinates, section.validation_share, size, seed)
            except EvaluationError as error:
                raise EvaluationError(f"`train.validation_tile` is {size:g}: {error}") from error

    def predict(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        assert self.bundle is not None, "fit before predict"
        return self.bundle.predict(*self._told(store, rows))

    def as_bundle(self, store: ChipStore, rows: np.ndarray) -> Bundle:
        assert self.bundle is not None, "fit before as_bundle"
        return self.bundle

    def spread(self, store: ChipStore, rows: np.ndarray, samples: int) -> np.ndarray | None:
        """Standard deviation (n,) of the model's draws, species; None for a model that draws none.

        See `Bundle.spread`.
        """
        assert self.bundle is not None, "fit before spread"
        if not self.bundle.has_spread:
            return None
        return self.bundle.spread(*self._told(store, rows), samples=samples, seed=self.seed)

    def quantiles(self, store: ChipStore, rows: np.ndarray) -> np.ndarray | None:
        """The network's own lower and upper quantile (n, 2), species; None where it has none."""
        assert self.bundle is not None, "fit before quantiles"
        if not self.bundle.has_quantiles:
            return None
        return self.bundle.quantiles(*self._told(store, rows))

    def _told(self, store: ChipStore, rows: np.ndarray) -> tuple:
        """Chips, lon, lat and covariates of plots, as a bundle takes them."""
        known, covariates = self.bundle.covariates, {}
        if known is not None:
            values = raw_covariates(store.table.iloc[rows], known.names)
            covariates = dict(zip(known.names, values.T, strict=True))
        return store.chips[rows], store.lon[rows], store.lat[rows], covariates

    @property
    def _located(self) -> bool:
        return "no-location" not in self.name

    @property
    def _loss(self) -> LossName:
        return "rmse" if self.published else self.config.train.loss

    def _network(self, inputs: Inputs, seed: int) -> torch.nn.Module:
        model: ModelSection = self.config.model
        shape = {"patch": model.patch, "bands": inputs.bands}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.name == "cnn-published":
                return PaperCNN(**shape)
            if self.name == "factoformer":
                return FactoFormer(**shape)
            if self.published:
                return PaperSpatioformer(**shape, geolocation=self._located)
            located = self._located and model.location != "none"
            shape |= model.model_dump(include=SIZES)
            shape |= {
                "covariates": len(model.covariates),
                "edges": inputs.edges,
                "location": inputs.location(model) if located else None,
                "location_dropout": model.location_dropout,
                "location_jitter": inputs.jitter(model),
                "outputs": OUTPUTS.get(self._loss, 1),
            }
            if self.name == "spatioformer-dense" or model.network == "dense":
                return DenseSpatioformer(**shape)
            return Spatioformer(**shape, tokens=model.tokens)

    def _recipe(self, seed: int) -> Recipe:
        section = self.config.train
        shared = section.model_dump(include={"epochs", "batch", "patience", "device"})
        if self.published:
            return Recipe(**PUBLISHED, **shared, seed=seed)
        return Recipe(**shared, **section.model_dump(include=OURS), seed=seed)


class Distilled(NetworkModel):
    """The network that learns what `train.teacher` says of land without plots."""

    def __post_init__(self):
        super().__post_init__()
        self.asked = self.config
        self.teacher = make(self.asked.train.teacher, self.asked, self.seed)

    def fit(
        self,
        store: ChipStore,
        rows: np.ndarray,
        *,
        checkpoint: Path | None = None,
        resume: bool = True,
        console: Console = SILENT,
        log: Path | None = None,
    ) -> History:
        """Train the teacher on `rows`, and the network on what it says; see `NetworkModel.fit`.

        Raises:
            ModelError: the store has no chips without plots.
        """
        console.say(f"  {self.asked.train.teacher} learns from {len(rows):,} plots")
        how = {"resume": resume, "console": console}
        own = {"checkpoint": _named(checkpoint, "teacher"), **how}
        taught = distillation.lesson(
            self.teacher, store, rows, self.seed, **(own if isinstance(self.teacher, Stack) else {})
        )
        self.pixels = len(taught)
        sections = {
            "model": distillation.network_for(taught, self.asked.model),
            "train": distillation.training_on(self.pixels, self.asked.train),
        }
        self.config = self.asked.model_copy(update=sections)
        return super().fit(taught, np.arange(self.pixels), checkpoint=checkpoint, log=log, **how)

    def facts(self, plots: int, history: History) -> dict[str, Any]:
        return {
            "plots": plots,
            "teacher": self.config.train.teacher,
            "pixels": self.pixels,
            "teacher_rmse": round(history.best_rmse, 4),
            "epochs": _epochs(history),
        }


SIZES = {"width", "heads", "layers", "mlp_hidden", "head_hidden", "dropout"}
"""What the configuration and the networks call the same."""

PUBLISHED = {
    "optimiser": "adam",
    "loss": "rmse",
    "learning_rate": 1e-3,
    "weight_decay": 1e-4,
    "warmup": 0.0,
    "averaging": 0.0,
    "augment": False,
    "precision": "float32",
    "compile": False,
}
"""The published recipe, which no configuration changes."""


OURS = {
    *("loss", "learning_rate", "weight_decay", "warmup", "averaging", "augment"),
    *("precision", "compile"),
}
"""What a configuration may say of a recipe, except the published one."""


def _epochs(history: History) -> str:
    return f"{len(history.rows)}, best {history.best_epoch}"


def _numbered(path: Path | None, member: int) -> Path | None:
    """training.csv, training-2.csv, ..."""
    return path if member == 0 else _named(path, str(member + 1))


def _named(path: Path | None, part: str) -> Path | None:
    """a.csv -> a-part.csv."""
    return None if path is None else path.with_name(f"{path.stem}-{part}{path.suffix}")
