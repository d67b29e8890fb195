"""Interfaces of all models: `Estimator.fit` returns a `Model`, which predicts.

An `Estimator` holds hyperparameters, and `fit` leaves it unchanged. Maps, reports and drivers need
only the `Model`. It is saved as a folder that `models.store.load` opens. An ability of some models
only is a capability: an attribute that is None for the other models.
"""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_json, write_text, writing_folder
from spatioformer.common.version import __version__
from spatioformer.geo.chips import ChipStore
from spatioformer.geo.extent import FAR_KM, km_outside
from spatioformer.models.capabilities import Attention, Draws, FitContext, QuantilePair
from spatioformer.models.card import model_card
from spatioformer.models.prediction import BATCH
from spatioformer.models.scaling import Covariates, Scaling, raw_covariates
from spatioformer.models.target import bounded
from spatioformer.models.tiles import PixelTile, checked_chips
from spatioformer.training.loop import History

FORMAT = 1

Chips = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Chips (n, P, P, band), and longitude and latitude (n, P, P) of the pixel centres, degrees."""


class OutsideExtent(UserWarning):
    """Warning of predictions far outside the extent of the training plots."""


class Estimator(Protocol):
    """An unfitted model: hyperparameters, which `fit` leaves unchanged."""

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> "Model":
        """Fit a model to plots.

        Args:
            store: chips, coordinates and table of all plots.
            rows: int (n,), rows of the training plots.
            context: files and console of the training.

        Raises:
            ModelError: the plots or chips do not fit the model.
            EvaluationError: there are too few plots, or all lie in one validation tile.
        """
        ...


class Model(ABC):
    """A trained model with all that is needed to predict.

    Subclasses implement the predictions of chips and tiles, the description, and the file of
    weights. Checks, warnings and the other files of the folder are the same for all kinds.

    Attributes:
        patch: side of a chip, pixels.
        bands: names of the bands, in the model's order.
        scaling: mean and standard deviation of the training plots' bands, or None if unknown.
        facts: target, grain, training data and scores; JSON values.
        covariates: inputs besides chips and location, or None.
    """

    kind: ClassVar[str]
    weights: ClassVar[str]  # name of the file of weights
    framework: ClassVar[str]

    facts: dict[str, Any]

    if TYPE_CHECKING:  # read-only here: fields in some subclasses, properties in others

        @property
        def patch(self) -> int: ...
        @property
        def bands(self) -> list[str]: ...
        @property
        def scaling(self) -> Scaling | None: ...
        @property
        def covariates(self) -> Covariates | None: ...

    @property
    def draws(self) -> Draws | None:
        """Capability: random draws of the predictions, or None."""
        return None

    @property
    def quantile_pair(self) -> QuantilePair | None:
        """Capability: prediction of two quantiles, or None."""
        return None

    @property
    def attends(self) -> Attention | None:
        """Capability: attention on each pixel of a chip, or None."""
        return None

    @property
    def is_dense(self) -> bool:
        """Whether the model predicts whole tiles, and accepts nodata around a pixel."""
        return False

    @property
    def histories(self) -> tuple[History, ...]:
        """Errors by epoch of each trained network; empty for other models and loaded ones."""
        return ()

    @property
    @abstractmethod
    def architecture(self) -> str:
        """Name of the network's or regressor's class."""

    @property
    @abstractmethod
    def about(self) -> list[tuple[str, str]]:
        """Description for the model card and the report: pairs of a term and its text."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """Description in a few words, for the model card of a stack with this member."""

    @property
    @abstractmethod
    def caution(self) -> str:
        """Warning for the model card, ending in "; ", or an empty string."""

    @property
    @abstractmethod
    def parameters(self) -> int | None:
        """Number of trained parameters; None if they are not counted."""

    @property
    def name(self) -> str:
        """Name of the model in its facts, or else that of its architecture."""
        return self.facts.get("name", self.architecture)

    @property
    def halo(self) -> int:
        """Number of pixels on each side of a pixel that its prediction depends on."""
        return self.patch // 2

    @abstractmethod
    def ready(self) -> None:
        """Prepare the model for predictions in several threads."""

    @abstractmethod
    def over_chips(self, chips: Chips, covariates: np.ndarray | None, batch: int) -> np.ndarray:
        """Predict checked chips: species (n,).

        Args:
            covariates: raw values (n, C), or None for a model without covariates.
            batch: number of chips in a batch of a network.
        """

    @abstractmethod
    def over_tile(self, tile: PixelTile) -> np.ndarray:
        """Predict the pixels of a tile: species (y, x), NaN where there is no prediction."""

    @abstractmethod
    def predict_rows(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """Predict plots of a store: species (n,)."""

    @abstractmethod
    def identity(self) -> str:
        """Hash of the weights and settings."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON values that `read` needs, besides those that all kinds of model write."""

    @abstractmethod
    def write_weights(self, folder: Path) -> None:
        """Write the file of weights into the folder.

        Raises:
            OSError: the file cannot be written; `writing_folder` turns it into an OutputError.
        """

    @classmethod
    @abstractmethod
    def read(cls, config: dict[str, Any], members: dict[str, "Model"]) -> Self:
        """Build a model without weights from the content of `config.json`.

        Args:
            config: content of `config.json`.
            members: name -> member, for a stack.

        Raises:
            ValueError, KeyError, TypeError: the content does not describe a model of this kind.
        """

    @abstractmethod
    def read_weights(self, path: Path) -> None:
        """Read the weights that `write_weights` wrote.

        Raises:
            ModelError: the file is damaged or belongs to another model.
        """

    def predict(
        self,
        chips: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        covariates: Mapping[str, Any] | None = None,
        *,
        bands: Sequence[str] | None = None,
        batch: int = BATCH,
    ) -> np.ndarray:
        """Predict the expected number of species of each chip.

        Args:
            chips: (n, P, P, band), raw values as in the imagery; the first row is the northernmost.
            lon, lat: (n, P, P), degrees, of the pixel centres.
            covariates: name -> raw value, one for all chips or (n,), NaN where missing. Covariates
                left out take their default values, `covariates.usual` of the model.
            bands: names of the chips' bands; they are checked if given.
            batch: number of chips in a batch of a network.

        Returns:
            (n,), species; float32 for networks, float64 for other models. Proportions lie from 0
            to 1.

        Raises:
            ModelError: the chip size, the bands or their order differ from the model's, a value is
                not finite, or the model does not have a covariate.
        """
        if bands is not None and list(bands) != list(self.bands):
            raise ModelError(
                f"the bands {', '.join(bands)} are not those of the model, {', '.join(self.bands)};"
                " give the model's bands in the model's order"
            )
        inputs = checked_chips(chips, lon, lat, self.bands, self.patch)
        raw = self.covariate_rows(len(inputs[0]), covariates)
        self.warn_of_places(*(place[:, self.halo, self.halo] for place in inputs[1:]))
        return bounded(self.over_chips(inputs, raw, batch), self.facts.get("target_kind"))

    def predict_tile(
        self,
        data: np.ndarray,
        valid: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        wanted: np.ndarray | None = None,
    ) -> np.ndarray:
        """Predict the expected number of species at the pixels of a tile without its halo.

        The prediction of a pixel is the same in every tile that holds the pixel and its halo.

        Args:
            data: (band, y + 2h, x + 2h), h = `halo`, raw values as in the imagery; the first row is
                the northernmost.
            valid: bool (y + 2h, x + 2h), False where `data` is nodata; NaN is allowed there.
            lon, lat: (y + 2h, x + 2h), degrees, of the pixel centres.
            wanted: bool (y, x), pixels to predict; None means all.

        Returns:
            float32 (y, x), species. NaN where not wanted, and where there is nodata: at the pixel
            if the model is dense, or else anywhere in the pixel's chip.

        Raises:
            ModelError: the tile is smaller than a chip, its bands differ from the model's, or the
                shapes of its arrays do not match.
        """
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        predictions = self.over_tile(tile).astype(np.float32, copy=False)
        return bounded(predictions, self.facts.get("target_kind"))

    def plot_chips(self, store: ChipStore, rows: np.ndarray) -> Chips:
        """Checked chips of plots of a store.

        Raises:
            ModelError: the chip size differs from the model's, or a value is not finite.
        """
        return checked_chips(
            store.chips[rows], store.lon[rows], store.lat[rows], self.bands, self.patch
        )

    def plot_covariates(self, store: ChipStore, rows: np.ndarray) -> np.ndarray | None:
        """Raw covariates (n, C) of plots, NaN where missing; None if the model has none."""
        if self.covariates is None:
            return None
        return raw_covariates(store.table.iloc[rows], self.covariates.names)

    def named_covariates(self, store: ChipStore, rows: np.ndarray) -> dict[str, np.ndarray] | None:
        """Raw covariates of plots by name, as an argument of `predict`; None if there are none."""
        values = self.plot_covariates(store, rows)
        if values is None or self.covariates is None:
            return None
        return dict(zip(self.covariates.names, values.T, strict=True))

    def km_outside(self, lon: np.ndarray, lat: np.ndarray) -> float:
        """Largest distance of the given places to the extent of the training plots, km.

        It is 0 if all places are inside, or if the extent is not known.

        Args:
            lon, lat: degrees, of any shape but the same.
        """
        region = self.facts.get("region")
        return 0.0 if region is None else km_outside(region, lon, lat)

    def warn_of_places(self, lon: np.ndarray, lat: np.ndarray) -> None:
        """Warn with `OutsideExtent` if a place is at least FAR_KM outside the plots' extent."""
        outside = self.km_outside(lon, lat)
        if outside >= FAR_KM:
            warnings.warn(
                f"chips lie up to {outside:,.0f} km outside the extent of the training plots, "
                f"W, E, S, N = {self.facts['region']}; predictions there are extrapolation",
                OutsideExtent,
                stacklevel=3,
            )

    def covariate_rows(self, count: int, values: Mapping[str, Any] | None) -> np.ndarray | None:
        """Raw covariates (count, C) from values by name; None if the model has none.

        Raises:
            ModelError: a covariate that the model does not have.
        """
        if self.covariates is not None:
            return self.covariates.rows(count, values)
        if values:
            raise ModelError(
                f"the model has no covariates, but {next(iter(values))!r} was given; leave it out"
            )
        return None

    def with_facts(self, facts: dict[str, Any]) -> Self:
        """A copy of the model with other facts, which shares the weights."""
        model = copy.copy(self)
        model.facts = facts
        return model

    def save(self, folder: str | Path) -> Path:
        """Save the model as a folder and return it; a model already there is replaced.

        An interrupted save leaves no partial folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        with writing_folder(folder) as part:
            self.write(part)
        return folder

    def write(self, folder: Path) -> None:
        """Write the model's files into an existing folder."""
        self.write_weights(folder)
        shared = {
            "format": FORMAT,
            "version": __version__,
            "kind": self.kind,
            "bands": list(self.bands),
            "facts": self.facts,
            "about": self.about,
        }
        write_json(folder / "config.json", shared | self.settings())
        write_text(
            folder / "README.md",
            model_card(self.facts, self.patch, self.bands, self.about, self.caution),
        )


def scaling_of(config: dict[str, Any]) -> Scaling | None:
    """The scaling in the content of a config.json, or None."""
    return Scaling(**_tuples(config["scaling"])) if config["scaling"] else None


def covariates_of(config: dict[str, Any]) -> Covariates | None:
    """The covariates in the content of a config.json, or None.

    The key is missing in the first models of version 0.1.
    """
    values = config.get("covariates")
    return Covariates(**_tuples(values)) if values else None


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Turn lists into tuples, because JSON has only lists and frozen records need tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
