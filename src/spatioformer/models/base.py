"""The protocol of all models: an estimator is fitted and gives a model; a model predicts.

An `Estimator` holds settings; its `fit` leaves it unchanged and returns a `Model`. A `Model` is all
that maps, reports and drivers need; it is kept as a folder, which `models.store.load` opens. What
only some models can do is a capability: an attribute that is None for all others.
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
from spatioformer.models.tiles import PixelTile, checked_chips
from spatioformer.training.loop import History

FORMAT = 1

Chips = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Chips (n, P, P, band), longitudes and latitudes (n, P, P) of their pixel centres, degrees."""


class OutsideExtent(UserWarning):
    """Warns of predictions far outside the extent of the training plots."""


class Estimator(Protocol):
    """A model before it is fitted: settings, which `fit` leaves unchanged."""

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> "Model":
        """Fit to some plots.

        Args:
            store: chips, places and table of all plots.
            rows: int (n,), the plots to learn from.

        Raises:
            ModelError: the plots or chips do not allow for it.
            EvaluationError: too few plots, or all in one place.
        """
        ...


class Model(ABC):
    """A trained model with all that is needed to use it.

    A kind of model says how it predicts chips and tiles, what it consists of, and how its weights
    are kept; checks, warnings and the other files of its folder are the same for all.

    Attributes:
        patch: side of a chip, pixels.
        bands: names of the bands, in the order in which the model takes them.
        scaling: mean and standard deviation of the training plots' bands, or None where unknown.
        facts: target, grain, training data and figures; JSON values.
        covariates: what else the model takes of a plot, or None.
    """

    kind: ClassVar[str]
    weights: ClassVar[str]  # name of the file that holds them
    framework: ClassVar[str]

    facts: dict[str, Any]

    if TYPE_CHECKING:  # read-only here: some kinds have fields for these, others properties

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
        """Capability to draw predictions; None for a model without."""
        return None

    @property
    def quantile_pair(self) -> QuantilePair | None:
        """Capability to predict two quantiles; None for a model without."""
        return None

    @property
    def attends(self) -> Attention | None:
        """Capability to tell the attention on each pixel; None for a model without."""
        return None

    @property
    def is_dense(self) -> bool:
        """Whether the model takes whole tiles, in which a pixel's neighbours may be nodata."""
        return False

    @property
    def histories(self) -> tuple[History, ...]:
        """Errors by epoch of each network trained; empty for other and for loaded models."""
        return ()

    @property
    @abstractmethod
    def architecture(self) -> str:
        """Name of the network's or regressor's class."""

    @property
    @abstractmethod
    def about(self) -> list[tuple[str, str]]:
        """What the model consists of: terms and text, for the model card and the report."""

    @property
    @abstractmethod
    def in_short(self) -> str:
        """What the model consists of in a few words, for a stack that it is a member of."""

    @property
    @abstractmethod
    def caution(self) -> str:
        """Warning of the model card, ending in "; "; empty where there is none."""

    @property
    @abstractmethod
    def parameters(self) -> int | None:
        """Number of learned parameters; None where they are not counted."""

    @property
    def name(self) -> str:
        return self.facts.get("name", self.architecture)

    @property
    def halo(self) -> int:
        """Number of pixels beyond its own that a prediction depends on, on every side."""
        return self.patch // 2

    @abstractmethod
    def ready(self) -> None:
        """Prepare for predictions of tiles in several threads."""

    @abstractmethod
    def over_chips(self, chips: Chips, covariates: np.ndarray | None, batch: int) -> np.ndarray:
        """Species (n,) of checked chips; covariates are raw, (n, C), where the model has them."""

    @abstractmethod
    def over_tile(self, tile: PixelTile) -> np.ndarray:
        """Species (y, x) of a tile's pixels, NaN where nothing is predicted."""

    @abstractmethod
    def predict_rows(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """Species (n,) of some plots of a store."""

    @abstractmethod
    def identity(self) -> str:
        """Hash of weights and settings."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What `read` needs, as JSON, besides what all kinds write."""

    @abstractmethod
    def write_weights(self, folder: Path) -> None:
        """Write the file `weights` into the folder.

        Raises:
            OSError: `writing_folder` turns it into an OutputError.
        """

    @classmethod
    @abstractmethod
    def read(cls, config: dict[str, Any], members: dict[str, "Model"]) -> Self:
        """A model without its weights, from the content of `config.json`.

        Raises:
            ValueError, KeyError, TypeError: the content describes no such model.
        """

    @abstractmethod
    def read_weights(self, path: Path) -> None:
        """Read the weights that `write_weights` wrote.

        Raises:
            ModelError: the file is damaged, or belongs to another model.
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
        """Expected number of species of each chip.

        Args:
            chips: (n, P, P, band), raw values as in the imagery, rows north first.
            lon, lat: (n, P, P), degrees, of every pixel centre.
            covariates: raw values by name, one for all plots or one a plot, NaN where unknown;
                those left out take their usual values.
            bands: names of the chips' bands, to be checked against the model's.
            batch: number of chips that a network computes at once.

        Returns:
            (n,), species; float32 of networks, float64 of other models.

        Raises:
            ModelError: another chip size, bands in another order or number, a value that is not
                finite, or a covariate that the model does not have.
        """
        if bands is not None and list(bands) != list(self.bands):
            raise ModelError(
                f"the bands {', '.join(bands)} are not those of the model, {', '.join(self.bands)};"
                " put them in its order"
            )
        inputs = checked_chips(chips, lon, lat, self.bands, self.patch)
        raw = self.covariate_rows(len(inputs[0]), covariates)
        self.warn_of_places(*(place[:, self.halo, self.halo] for place in inputs[1:]))
        return self.over_chips(inputs, raw, batch)

    def predict_tile(
        self,
        data: np.ndarray,
        valid: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        wanted: np.ndarray | None = None,
    ) -> np.ndarray:
        """Expected number of species at every pixel of a tile, h = `halo` pixels inside its edge.

        A pixel's value does not depend on the tile it lies in: it is the same in every tile that
        holds the pixel and its halo.

        Args:
            data: (band, y + 2h, x + 2h), raw values as in the imagery, rows north first.
            valid: bool (y + 2h, x + 2h), False where `data` means nothing; NaN may stand there.
            lon, lat: (y + 2h, x + 2h), degrees, of every pixel centre.
            wanted: bool (y, x), pixels to predict; None means all.

        Returns:
            float32 (y, x), species; NaN where not wanted, and where nodata forbids a prediction:
            at the pixel itself, or unless the model is dense anywhere in the pixel's chip.

        Raises:
            ModelError: the tile is smaller than its halo, of other bands, or its arrays disagree.
        """
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        return self.over_tile(tile).astype(np.float32, copy=False)

    def plot_chips(self, store: ChipStore, rows: np.ndarray) -> Chips:
        """Checked chips of some plots of a store.

        Raises:
            ModelError: chips of another size, or values that are not finite.
        """
        return checked_chips(
            store.chips[rows], store.lon[rows], store.lat[rows], self.bands, self.patch
        )

    def plot_covariates(self, store: ChipStore, rows: np.ndarray) -> np.ndarray | None:
        """Raw covariates (n, C) of some plots, NaN where unknown; None where the model has none."""
        if self.covariates is None:
            return None
        return raw_covariates(store.table.iloc[rows], self.covariates.names)

    def named_covariates(self, store: ChipStore, rows: np.ndarray) -> dict[str, np.ndarray] | None:
        """Raw covariates of some plots by name, as `predict` takes them."""
        values = self.plot_covariates(store, rows)
        if values is None or self.covariates is None:
            return None
        return dict(zip(self.covariates.names, values.T, strict=True))

    def km_outside(self, lon: np.ndarray, lat: np.ndarray) -> float:
        """Distance of the farthest place from the extent of the training plots, km.

        0 for places inside, and where the extent is not known.

        Args:
            lon, lat: degrees, any shape, as many of either.
        """
        region = self.facts.get("region")
        return 0.0 if region is None else km_outside(region, lon, lat)

    def warn_of_places(self, lon: np.ndarray, lat: np.ndarray) -> None:
        """Warn with `OutsideExtent` of places FAR_KM or more outside the training plots' extent."""
        outside = self.km_outside(lon, lat)
        if outside >= FAR_KM:
            warnings.warn(
                f"chips lie up to {outside:,.0f} km outside the extent of the training plots, "
                f"W, E, S, N = {self.facts['region']}; predictions there are extrapolation",
                OutsideExtent,
                stacklevel=3,
            )

    def covariate_rows(self, count: int, values: Mapping[str, Any] | None) -> np.ndarray | None:
        """Raw covariates (count, C) of as many plots; None where the model has none.

        Raises:
            ModelError: a covariate that the model does not have.
        """
        if self.covariates is not None:
            return self.covariates.rows(count, values)
        if values:
            raise ModelError(f"the model knows no covariate {next(iter(values))!r}; it takes none")
        return None

    def with_facts(self, facts: dict[str, Any]) -> Self:
        """A model that differs in its facts alone; it shares the weights."""
        twin = copy.copy(self)
        twin.facts = facts
        return twin

    def save(self, folder: str | Path) -> Path:
        """Write the model's folder, whole or not at all; an older model there is replaced.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        with writing_folder(folder) as part:
            self.write(part)
        return folder

    def write(self, folder: Path) -> None:
        """Write the model's files into a folder that exists."""
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
    """The scaling that a config.json describes, if any."""
    return Scaling(**_tuples(config["scaling"])) if config["scaling"] else None


def covariates_of(config: dict[str, Any]) -> Covariates | None:
    """The covariates that a config.json describes; absent in the first models of version 0.1."""
    values = config.get("covariates")
    return Covariates(**_tuples(values)) if values else None


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Lists become tuples: arguments of a frozen record from JSON, which has lists alone."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
