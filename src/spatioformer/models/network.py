"""A trained network as a model: weights in safetensors, arguments in config.json."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from errno import ENOSPC
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from spatioformer.common.errors import ModelError
from spatioformer.common.files import hash_value
from spatioformer.geo.chips import ChipStore
from spatioformer.models.attention import attention_shares
from spatioformer.models.base import Chips, Model, covariates_of, scaling_of
from spatioformer.models.prediction import BATCH, Members
from spatioformer.models.scaling import Covariates, Scaling
from spatioformer.models.tiles import PixelTile, checked_chips
from spatioformer.nn import (
    ChipNetwork,
    DenseSpatioformer,
    Ensemble,
    FactoFormer,
    PaperCNN,
    PaperSpatioformer,
    Spatioformer,
)
from spatioformer.nn.weights import load_weights
from spatioformer.training.loop import History

NETWORKS: dict[str, type[ChipNetwork]] = {
    "PaperSpatioformer": PaperSpatioformer,
    "PaperCNN": PaperCNN,
    "FactoFormer": FactoFormer,
    "Spatioformer": Spatioformer,
    "DenseSpatioformer": DenseSpatioformer,
    "Ensemble": Ensemble,
}


@dataclass
class NetworkModel(Model):
    """A trained network, or the members of an ensemble, with all that is needed to use it.

    Attributes:
        network: takes chips (B, P, P, band), lon and lat (B, P, P), gives (B,), or (B, 3) with
            quantiles; with covariates, those too (B, C).
        scaling: band and target normalisation, or None (the published network has none).
    """

    kind: ClassVar[str] = "network"
    weights: ClassVar[str] = "model.safetensors"
    framework: ClassVar[str] = "pytorch"

    network: ChipNetwork
    bands: list[str]
    scaling: Scaling | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    covariates: Covariates | None = None
    histories: tuple[History, ...] = field(default=(), repr=False, compare=False)

    @property
    def architecture(self) -> str:
        return type(self.network).__name__

    @property
    def about(self) -> list[tuple[str, str]]:
        arguments = ", ".join(f"{k} {v}" for k, v in _in_words(self.network.config).items())
        scaled = "none; raw values go in"
        if self.scaling:
            scaled = "bands and target standardised by the training plots"
        return [
            ("Network", f"{self.architecture} ({arguments}), {self.parameters:,} parameters"),
            ("Normalisation", scaled),
        ]

    @property
    def in_short(self) -> str:
        return f"{self.architecture}, {self.parameters:,} parameters"

    @property
    def caution(self) -> str:
        if self.draws is None:
            return ""
        return "the Monte Carlo spread is the network's own doubt and understates the true error; "

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    @property
    def members(self) -> list[ChipNetwork]:
        """The networks of an ensemble, or the one there is."""
        return list(getattr(self.network, "members", [self.network]))

    @property
    def patch(self) -> int:
        return self.network.config["patch"]

    @property
    def is_dense(self) -> bool:
        return self._members.are_dense

    @property
    def draws(self) -> Self | None:
        """The model itself, if it has dropout or is an ensemble."""
        has_dropout = self.network.config["dropout"] > 0
        return self if has_dropout or len(self.members) > 1 else None

    @property
    def quantile_pair(self) -> Self | None:
        """The model itself, if it was trained with `train.loss: quantile`."""
        return self if self.scaling is not None and self.scaling.quantiles is not None else None

    @property
    def attends(self) -> Self:
        return self

    def ready(self) -> None:
        self.network.eval()

    def over_chips(self, chips: Chips, covariates: np.ndarray | None, batch: int) -> np.ndarray:
        """float32; of an ensemble, the mean of its members."""
        return self._running().over_chips(self._inputs(chips, covariates), batch)

    def over_tile(self, tile: PixelTile) -> np.ndarray:
        return self._running().over_tile(tile)

    def predict_rows(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """float32 (n,), species."""
        chips = self.plot_chips(store, rows)
        return self.over_chips(chips, self.plot_covariates(store, rows), BATCH)

    def quantiles(
        self,
        chips: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        covariates: Mapping[str, Any] | None = None,
        *,
        batch: int = BATCH,
    ) -> np.ndarray:
        """The network's own quantiles (`scaling.quantiles`) of the count in each chip.

        Learned on the training plots: calibrate them before calling them an interval
        (`evaluation.conformal`). Of an ensemble, the mean of its members'.

        Returns:
            float32 (n, 2), lower and upper, species.

        Raises:
            ModelError: as `predict`; or the network has no quantiles.
        """
        scaling = self._scaling_with_quantiles()
        inputs = self._checked(chips, lon, lat, covariates)
        return self._running().over_chips(inputs, batch, scaling.quantile_species, (2,))

    def features(
        self,
        chips: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        covariates: Mapping[str, Any] | None = None,
        *,
        batch: int = BATCH,
    ) -> np.ndarray:
        """What the network makes its number of: the numbers before its head.

        A space in which chips that mean the same to the network are near, for
        `evaluation.AreaOfApplicability` for example. Of an ensemble, its members' side by side.

        Returns:
            float32 (n, width * members).

        Raises:
            ModelError: as `predict`; or the network is not one of ours.
        """
        widths = []
        for member in self.members:
            if not isinstance(member, Spatioformer | DenseSpatioformer):
                raise ModelError(
                    f"a {type(member).__name__} tells no features; take a Spatioformer or a "
                    "DenseSpatioformer"
                )
            widths.append(member.config["width"])
        inputs = self._checked(chips, lon, lat, covariates)
        return self._running().features(inputs, batch, widths[0])

    def _scaling_with_quantiles(self) -> Scaling:
        """The scaling of a network with quantiles.

        Raises:
            ModelError: the network has none.
        """
        if self.scaling is None or self.scaling.quantiles is None:
            raise ModelError(
                "the network tells no quantiles; train it with `train.loss: quantile`, or take "
                "another kind of interval"
            )
        return self.scaling

    def quantiles_tile(
        self,
        data: np.ndarray,
        valid: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        wanted: np.ndarray | None = None,
    ) -> np.ndarray:
        """What `quantiles` gives, at every pixel that `predict_tile` predicts.

        Returns:
            float32 (y, x, 2), lower and upper, species, NaN where nothing is predicted.

        Raises:
            ModelError: as `predict_tile`; or the network has no quantiles.
        """
        scaling = self._scaling_with_quantiles()
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        return self._running().over_tile(tile, scaling.quantile_species, (2,))

    def spread(
        self,
        chips: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
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
        inputs = self._checked(chips, lon, lat, covariates)
        return self._running().spread(lambda one: one.over_chips(inputs, batch), samples, seed)

    def spread_tile(
        self,
        data: np.ndarray,
        valid: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        wanted: np.ndarray | None = None,
        *,
        samples: int = 20,
        seed: int = 0,
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

    def attention(self, chips: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray | None:
        """Share of attention that falls on each pixel of the chip, by attention rollout.

        Args:
            chips, lon, lat: as of `predict`.

        Returns:
            float64 (P, P), sum 1, mean over the chips and the members; None for chips of one
            pixel, and for networks without a token a pixel.
        """
        return attention_shares(
            self.members,
            self.patch,
            lambda member: replace(self, network=member).predict(chips, lon, lat, batch=len(chips)),
        )

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

    def _checked(
        self,
        chips: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        covariates: Mapping[str, Any] | None,
    ) -> list[np.ndarray]:
        checked = checked_chips(chips, lon, lat, self.bands, self.patch)
        return self._inputs(checked, self.covariate_rows(len(checked[0]), covariates))

    def _inputs(self, chips: Chips, covariates: np.ndarray | None) -> list[np.ndarray]:
        if self.covariates is None:
            return list(chips)
        assert covariates is not None, "`covariate_rows` gives those of a model that has any"
        return [*chips, self.covariates.standardised(covariates)]

    def identity(self) -> str:
        state = hashlib.sha256()
        for name, tensor in self.network.state_dict().items():
            state.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        settings = [self.network.config, self.bands, repr(self.scaling), repr(self.covariates)]
        return hash_value([state.hexdigest(), *settings])

    def settings(self) -> dict[str, Any]:
        return {
            "network": self.architecture,
            "arguments": self.network.config,
            "scaling": asdict(self.scaling) if self.scaling else None,
            "covariates": asdict(self.covariates) if self.covariates else None,
        }

    def write_weights(self, folder: Path) -> None:
        state = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        try:
            save_file(state, folder / self.weights)
        except SafetensorError as error:  # a full disk is all it can mean here
            raise OSError(ENOSPC, str(error)) from error

    @classmethod
    def read(cls, config: dict[str, Any], members: dict[str, Model]) -> Self:
        network = NETWORKS[config["network"]](**config["arguments"])
        bands, facts = list(config["bands"]), config["facts"]
        return cls(network, bands, scaling_of(config), facts, covariates_of(config))

    def read_weights(self, path: Path) -> None:
        load_weights(self.network, path)
        self.network.eval()


def _in_words(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a network for a reader: without the edges themselves, waves in round numbers."""
    told = dict(arguments)
    if told.get("edges"):
        told["edges"] = f"{len(told['edges'][0])} a band"
    if told.get("location"):
        waves = told["location"].get("wavelengths", ())
        told["location"] = told["location"]["name"]
        if waves:
            told["location"] += f" (waves of {', '.join(f'{w:.3g}' for w in waves)} degrees)"
    return told
