"""A model as a folder: weights (safetensors), configuration (JSON), model card (Markdown).

Nothing in a bundle is pickled, so loading one runs no code of its maker.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from spatioformer import __version__
from spatioformer.errors import ModelError
from spatioformer.files import read_json, write_json, write_text, writing_folder
from spatioformer.geo.extent import FAR_KM, km_outside
from spatioformer.model_card import model_card
from spatioformer.nn import (
    DenseSpatioformer,
    Ensemble,
    FactoFormer,
    PaperCNN,
    PaperSpatioformer,
    Spatioformer,
)
from spatioformer.prediction import BATCH, Members
from spatioformer.scaling import Covariates, Scaling
from spatioformer.tiles import PixelTile, checked_chips
from spatioformer.weights import load_weights

FORMAT = 1
NETWORKS: dict[str, type[nn.Module]] = {
    "PaperSpatioformer": PaperSpatioformer,
    "PaperCNN": PaperCNN,
    "FactoFormer": FactoFormer,
    "Spatioformer": Spatioformer,
    "DenseSpatioformer": DenseSpatioformer,
    "Ensemble": Ensemble,
}


class OutsideExtent(UserWarning):
    """Predictions are asked for where no training plot was near."""


@dataclass
class Bundle:
    """A trained network with all that is needed to use it.

    Attributes:
        network: takes chips (B, P, P, band), lon and lat (B, P, P), gives (B,), or (B, 3) with
            quantiles; with covariates, those too (B, C).
        bands: names of the bands, in the order the network takes them.
        scaling: band and target normalisation, or None (the published network has none).
        facts: target, grain, training data and figures; JSON values.
        covariates: what else it is told of a plot, or None.
    """

    network: nn.Module
    bands: list[str]
    scaling: Scaling | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    covariates: Covariates | None = None

    @property
    def members(self) -> list[nn.Module]:
        """The networks of an ensemble, or the one there is."""
        return list(getattr(self.network, "members", [self.network]))

    @property
    def patch(self) -> int:
        return self.network.config["patch"]

    @property
    def is_dense(self) -> bool:
        """Whether the network takes whole tiles."""
        return self._members.are_dense

    @property
    def has_dropout(self) -> bool:
        return self.network.config["dropout"] > 0

    @property
    def has_quantiles(self) -> bool:
        """Whether the network was trained to tell two quantiles of the count too."""
        return self.scaling is not None and self.scaling.quantiles is not None

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
        """Expected number of species of each chip; of an ensemble, the mean of its members.

        Args:
            chips: (n, P, P, band), raw values as in the imagery, rows north first.
            lon, lat: (n, P, P), degrees, of every pixel centre.
            covariates: raw values by name, one for all plots or one a plot, NaN where unknown;
                those left out are the usual ones.
            bands: names of the chips' bands, to be checked against the model's.

        Returns:
            float32 (n,), species.

        Raises:
            ModelError: another chip size, bands in another order or number, a value that is not
                finite, or a covariate that the model does not know.
        """
        if bands is not None and list(bands) != list(self.bands):
            raise ModelError(
                f"the bands {', '.join(bands)} are not those of the model, {', '.join(self.bands)};"
                " put them in its order"
            )
        inputs = self._inputs(chips, lon, lat, covariates)
        outside = self.km_outside(*(place[:, self.halo, self.halo] for place in inputs[1:3]))
        if outside >= FAR_KM:
            warnings.warn(
                f"chips lie up to {outside:,.0f} km outside the extent of the training plots, "
                f"W, E, S, N = {self.facts['region']}; predictions there are extrapolation",
                OutsideExtent,
                stacklevel=2,
            )
        return self._running().over_chips(inputs, batch)

    def quantiles(
        self, chips, lon, lat, covariates: Mapping[str, Any] | None = None, *, batch: int = BATCH
    ) -> np.ndarray:
        """The network's own quantiles (`scaling.quantiles`) of the count in each chip.

        Learned on the training plots: calibrate them before calling them an interval
        (`evaluation.conformal`). Of an ensemble, the mean of its members'.

        Returns:
            float32 (n, 2), lower and upper, species.

        Raises:
            ModelError: as `predict`; or the network has no quantiles.
        """
        self._check_quantiles()
        inputs = self._inputs(chips, lon, lat, covariates)
        return self._running().over_chips(inputs, batch, self.scaling.quantile_species, (2,))

    def features(
        self, chips, lon, lat, covariates: Mapping[str, Any] | None = None, *, batch: int = BATCH
    ) -> np.ndarray:
        """What the network makes its number of: the numbers before its head.

        A space in which chips that mean the same to the network are near, for
        `evaluation.AreaOfApplicability` for example. Of an ensemble, its members' side by side.

        Returns:
            float32 (n, width * members).

        Raises:
            ModelError: as `predict`; or the network is not one of ours.
        """
        for member in self.members:
            if not hasattr(member, "features"):
                raise ModelError(
                    f"a {type(member).__name__} tells no features; take a Spatioformer or a "
                    "DenseSpatioformer"
                )
        inputs = self._inputs(chips, lon, lat, covariates)
        return self._running().features(inputs, batch, self.network.config["width"])

    def _check_quantiles(self) -> None:
        if not self.has_quantiles:
            raise ModelError(
                "the network tells no quantiles; train it with `train.loss: quantile`, or take "
                "another kind of interval"
            )

    def km_outside(self, lon, lat) -> float:
        """How far the farthest place lies outside the extent of the training plots, km.

        0 for places inside, and where the extent is not known.

        Args:
            lon, lat: degrees, any shape, as many of either.
        """
        region = self.facts.get("region")
        return 0.0 if region is None else km_outside(region, lon, lat)

    @property
    def halo(self) -> int:
        """How many pixels beyond its own a prediction looks at, on every side."""
        return self.patch // 2

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
            at the pixel itself, or with a network of chips anywhere in the pixel's chip.

        Raises:
            ModelError: the tile is smaller than its halo, of other bands, or its arrays disagree.
        """
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        return self._running().over_tile(tile)

    def quantiles_tile(self, data, valid, lon, lat, wanted=None) -> np.ndarray:
        """What `quantiles` gives, at every pixel that `predict_tile` predicts.

        Returns:
            float32 (y, x, 2), lower and upper, species, NaN where nothing is predicted.

        Raises:
            ModelError: as `predict_tile`; or the network has no quantiles.
        """
        self._check_quantiles()
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        return self._running().over_tile(tile, self.scaling.quantile_species, (2,))

    def spread(
        self,
        chips,
        lon,
        lat,
        covariates: Mapping[str, Any] | None = None,
        *,
        samples: int = 20,
        seed: int = 0,
        batch: int = BATCH,
    ) -> np.ndarray:
        """Standard deviation of `samples` predictions with dropout on (Monte Carlo dropout).

        Gal & Ghahramani 2016. The members of an ensemble take turns, so that the spread holds
        their disagreement too. It is the network's own doubt, not the error of a prediction.

        Returns:
            float32 (n,), species.

        Raises:
            ModelError: as `predict`; or the network has neither dropout nor members, or fewer than
                two samples.
        """
        inputs = self._inputs(chips, lon, lat, covariates)
        return self._running().spread(lambda one: one.over_chips(inputs, batch), samples, seed)

    def spread_tile(
        self, data, valid, lon, lat, wanted=None, *, samples: int = 20, seed: int = 0
    ) -> np.ndarray:
        """What `spread` gives, at every pixel that `predict_tile` predicts.

        Returns:
            float32 (y, x), species, NaN where nothing is predicted.

        Raises:
            ModelError: as `predict_tile` and `spread`.
        """
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        if self.is_dense:
            return self._running().spread(lambda one: one.over_tile(tile), samples, seed)
        out = tile.empty()
        for i, (at, chips) in enumerate(tile.chips()):
            out[at] = self.spread(*chips, samples=samples, seed=seed + i)
        return out

    def forward(self, chips: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Species (B,) as tensors, from raw chips, lon, lat and, where the model has them,
        standardised covariates; keeps gradients."""
        return self._members.species(chips, *others)

    @property
    def _members(self) -> Members:
        return Members(tuple(self.members), self.scaling, self.covariates)

    def _running(self) -> Members:
        """The networks, ready to predict."""
        self.network.eval()
        return self._members

    def _inputs(self, chips, lon, lat, covariates: Mapping[str, Any] | None) -> list[np.ndarray]:
        inputs = list(checked_chips(chips, lon, lat, self.bands, self.patch))
        if self.covariates is not None:
            raw = self.covariates.rows(len(inputs[0]), covariates)
            inputs.append(self.covariates.standardised(raw))
        elif covariates:
            raise ModelError(
                f"the model knows no covariate {next(iter(covariates))!r}; it takes none"
            )
        return inputs

    def save(self, folder: str | Path) -> Path:
        """Write the bundle, whole or not at all; an older bundle there is replaced.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        state = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        with writing_folder(folder) as part:
            try:
                save_file(state, part / "model.safetensors")
            except SafetensorError as error:  # a full disk is all it can mean here
                raise OSError(ENOSPC, str(error)) from error
            write_json(part / "config.json", self._config())
            write_text(part / "README.md", model_card(self))
        return folder

    def _config(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": __version__,
            "network": type(self.network).__name__,
            "arguments": self.network.config,
            "bands": list(self.bands),
            "scaling": asdict(self.scaling) if self.scaling else None,
            "covariates": asdict(self.covariates) if self.covariates else None,
            "facts": self.facts,
        }


def load(folder: str | Path) -> Bundle:
    """Open a bundle folder; `load(folder).predict(chips, lon, lat)` is the door to a model.

    Raises:
        ModelError: the folder is no bundle, incomplete, or of another architecture.
    """
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder} is no model bundle: {name} is missing; give a folder that "
                "`spatioformer train` wrote"
            )
    try:
        config = read_json(folder / "config.json")
        network = NETWORKS[config["network"]](**config["arguments"])
        scaling = Scaling(**_tuples(config["scaling"])) if config["scaling"] else None
        bands, facts = list(config["bands"]), config["facts"]
        known = config.get("covariates")  # absent in bundles of before there were any
        covariates = Covariates(**_tuples(known)) if known else None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / 'config.json'} does not describe a model this version "
            f"({__version__}) knows ({type(error).__name__}: {error}); train it again"
        ) from error
    load_weights(network, folder / "model.safetensors")
    network.eval()
    return Bundle(network, bands, scaling, facts, covariates)


def _tuples(scaling: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in scaling.items()}
