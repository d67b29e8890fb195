"""What every trained model is to maps, drivers and reports, whatever it computes with."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
from torch import nn

from spatioformer import __version__
from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_json, write_text, writing_folder
from spatioformer.geo.extent import FAR_KM, km_outside
from spatioformer.models.card import model_card
from spatioformer.models.prediction import BATCH
from spatioformer.models.scaling import Covariates, Scaling
from spatioformer.models.tiles import PixelTile, checked_chips

FORMAT = 1

Chips = tuple[np.ndarray, np.ndarray, np.ndarray]  # chips (n, P, P, band), lon, lat (n, P, P)


class OutsideExtent(UserWarning):
    """Predictions are asked for where no training plot was near."""


class TrainedModel(ABC):
    """A trained model with all that is needed to use it.

    A kind says how it predicts chips and tiles, what it is, and how its weights are kept; what is
    checked, warned of and written beside them is the same for all.

    Attributes:
        patch: side of a chip, pixels.
        bands: names of the bands, in the order the model takes them.
        scaling: of the training plots' bands, or None where it was not kept.
        facts: target, grain, training data and figures; JSON values.
        covariates: what else it is told of a plot, or None.
    """

    kind: ClassVar[str]
    weights: ClassVar[str]  # name of the file that holds them
    framework: ClassVar[str]

    patch: int
    bands: list[str]
    scaling: Scaling | None
    facts: dict[str, Any]
    covariates: Covariates | None

    @property
    @abstractmethod
    def architecture(self) -> str:
        """What it is, in a word."""

    @property
    @abstractmethod
    def about(self) -> list[tuple[str, str]]:
        """What it is made of: terms and text, for the model card and the report."""

    @property
    @abstractmethod
    def in_short(self) -> str:
        """The same in a few words, for a stack it is a member of."""

    @property
    def caution(self) -> str:
        """What the card warns of besides, ending in "; "."""
        return ""

    @property
    def parameters(self) -> int | None:
        """How many numbers were learned; None where they are not counted."""
        return None

    @property
    def name(self) -> str:
        return self.facts.get("name", self.architecture)

    @property
    def members(self) -> list[nn.Module]:
        """The networks whose mean is the prediction; none where no network is."""
        return []

    @property
    def is_dense(self) -> bool:
        """Whether it takes whole tiles, in which a pixel's neighbours may be nodata."""
        return False

    @property
    def has_dropout(self) -> bool:
        return False

    @property
    def has_spread(self) -> bool:
        """Whether its predictions can be drawn: by dropout, or member by member."""
        return self.has_dropout or len(self.members) > 1

    @property
    def has_quantiles(self) -> bool:
        """Whether the network was trained to tell two quantiles of the count too."""
        return False

    @property
    def halo(self) -> int:
        """How many pixels beyond its own a prediction looks at, on every side."""
        return self.patch // 2

    def ready(self) -> None:  # noqa: B027
        """Called once before tiles are predicted in several threads."""

    @abstractmethod
    def over_chips(self, chips: Chips, covariates: np.ndarray | None, batch: int) -> np.ndarray:
        """Species (n,) of checked chips; covariates are raw, (n, C), where the model has them."""

    @abstractmethod
    def over_tile(self, tile: PixelTile) -> np.ndarray:
        """Species (y, x) of a tile's pixels, NaN where nothing is predicted."""

    @abstractmethod
    def identity(self) -> str:
        """Hash of weights and settings."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What `read` needs, as JSON, beside what all kinds write."""

    @abstractmethod
    def write_weights(self, folder: Path) -> None:
        """Into the file `weights` of the folder.

        Raises:
            OSError: what `writing_folder` makes a sentence of.
        """

    @classmethod
    @abstractmethod
    def read(cls, config: dict[str, Any], members: dict[str, "TrainedModel"]) -> Self:
        """A model without its weights, from what `config.json` says.

        Raises:
            ValueError, KeyError, TypeError: it says something else.
        """

    @abstractmethod
    def read_weights(self, path: Path) -> None:
        """Raises:
        ModelError: the file is damaged, or not that model's.
        """

    def predict(
        self,
        chips,
        lon,
        lat,
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
                those left out are the usual ones.
            bands: names of the chips' bands, to be checked against the model's.
            batch: chips that a network computes at once.

        Returns:
            (n,), species; float32 of networks, float64 of other models.

        Raises:
            ModelError: another chip size, bands in another order or number, a value that is not
                finite, or a covariate that the model does not know.
        """
        if bands is not None and list(bands) != list(self.bands):
            raise ModelError(
                f"the bands {', '.join(bands)} are not those of the model, {', '.join(self.bands)};"
                " put them in its order"
            )
        inputs = checked_chips(chips, lon, lat, self.bands, self.patch)
        told = self._covariate_rows(len(inputs[0]), covariates)
        outside = self.km_outside(*(place[:, self.halo, self.halo] for place in inputs[1:]))
        if outside >= FAR_KM:
            warnings.warn(
                f"chips lie up to {outside:,.0f} km outside the extent of the training plots, "
                f"W, E, S, N = {self.facts['region']}; predictions there are extrapolation",
                OutsideExtent,
                stacklevel=2,
            )
        return self.over_chips(inputs, told, batch)

    def predict_tile(self, data, valid, lon, lat, wanted=None) -> np.ndarray:
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

    def quantiles(self, *chips, **others) -> NoReturn:
        """Of networks alone; see `Bundle.quantiles`."""
        raise self._only_networks("quantiles")

    def quantiles_tile(self, *tile, **others) -> NoReturn:
        raise self._only_networks("quantiles")

    def features(self, *chips, **others) -> NoReturn:
        """Of networks alone; see `Bundle.features`."""
        raise self._only_networks("features")

    def spread(self, *chips, **others) -> NoReturn:
        """Of networks alone; see `Bundle.spread`."""
        raise self._only_networks("spread")

    def spread_tile(self, *tile, **others) -> NoReturn:
        raise self._only_networks("spread")

    def _only_networks(self, what: str) -> ModelError:
        return ModelError(f"{self.name} tells no {what}; take a network, such as spatioformer")

    def km_outside(self, lon, lat) -> float:
        """How far the farthest place lies outside the extent of the training plots, km.

        0 for places inside, and where the extent is not known.

        Args:
            lon, lat: degrees, any shape, as many of either.
        """
        region = self.facts.get("region")
        return 0.0 if region is None else km_outside(region, lon, lat)

    def _covariate_rows(self, count: int, given: Mapping[str, Any] | None) -> np.ndarray | None:
        """Raw covariates (count, C) of as many plots; None where the model takes none."""
        if self.covariates is not None:
            return self.covariates.rows(count, given)
        if given:
            raise ModelError(f"the model knows no covariate {next(iter(given))!r}; it takes none")
        return None

    def save(self, folder: str | Path) -> Path:
        """Write the bundle, whole or not at all; an older bundle there is replaced.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        with writing_folder(folder) as part:
            self.write(part)
        return folder

    def write(self, folder: Path) -> None:
        """The bundle's files, into a folder that is there."""
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
        write_text(folder / "README.md", model_card(self))


def tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a frozen record from JSON, which knows lists alone."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def scaling_of(config: dict[str, Any]) -> Scaling | None:
    return Scaling(**tuples(config["scaling"])) if config["scaling"] else None


def covariates_of(config: dict[str, Any]) -> Covariates | None:
    known = config.get("covariates")  # absent in bundles of before there were any
    return Covariates(**tuples(known)) if known else None
