"""A trained network as a model, with weights in safetensors and arguments in config.json."""

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
from spatioformer.models.card import arguments_in_words
from spatioformer.models.near_plots import NAMES, NearPlots
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
    """A trained network or ensemble, with all that is needed to predict.

    Attributes:
        network: its inputs are chips (B, P, P, band), lon and lat (B, P, P) and, with covariates,
            (B, C). Its output is (B,), or (B, 3) with quantiles.
        scaling: normalisation of bands and target, or None (published networks have none).
        near: what is added near plots of a teacher, or None.
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
    near: NearPlots | None = None

    @property
    def architecture(self) -> str:
        return type(self.network).__name__

    @property
    def about(self) -> list[tuple[str, str]]:
        arguments = ", ".join(
            f"{k} {v}" for k, v in arguments_in_words(self.network.config).items()
        )
        normalisation = "none; the inputs are raw values"
        if self.scaling:
            normalisation = "bands and target standardised by the training plots"
        return [
            ("Network", f"{self.architecture} ({arguments}), {self.parameters:,} parameters"),
            ("Normalisation", normalisation),
            *([("Near plots", self.near.about)] if self.near is not None else []),
        ]

    @property
    def summary(self) -> str:
        return f"{self.architecture}, {self.parameters:,} parameters"

    @property
    def caution(self) -> str:
        if self.draws is None:
            return ""
        return "the Monte Carlo spread understates the true error; "

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    @property
    def members(self) -> list[ChipNetwork]:
        """The members of an ensemble, or a list of the single network."""
        return list(getattr(self.network, "members", [self.network]))

    @property
    def patch(self) -> int:
        return self.network.config["patch"]

    @property
    def is_dense(self) -> bool:
        return self._members.are_dense

    @property
    def draws(self) -> Self | None:
        """The model itself if it has dropout or is an ensemble, else None."""
        has_dropout = self.network.config["dropout"] > 0
        return self if has_dropout or len(self.members) > 1 else None

    @property
    def quantile_pair(self) -> Self | None:
        """The model itself if it was trained with `train.loss: quantile`, else None."""
        return self if self.scaling is not None and self.scaling.quantiles is not None else None

    @property
    def attends(self) -> Self:
        return self

    def ready(self) -> None:
        self.network.eval()

    def over_chips(self, chips: Chips, covariates: np.ndarray | None, batch: int) -> np.ndarray:
        """Predict chips: float32 (n,), species; for an ensemble, the mean over its members."""
        return self._running().over_chips(self._inputs(chips, covariates), batch)

    def over_tile(self, tile: PixelTile) -> np.ndarray:
        return self._running().over_tile(tile)

    def predict_rows(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """Predict plots of a store: float32 (n,), species."""
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
        """Predict two quantiles (`scaling.quantiles`) of the count in each chip.

        They are fitted on the training plots only. Calibrate them (`evaluation.conformal`) before
        they serve as a prediction interval. For an ensemble they are means over the members.

        Args:
            chips, lon, lat, covariates, batch: as in `predict`.

        Returns:
            float32 (n, 2), lower and upper, species.

        Raises:
            ModelError: as in `predict`, or the network has no quantiles.
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
        """Features of each chip: the activations before the network's head.

        Chips that are alike for the network are near in this space, for example for
        `evaluation.AreaOfApplicability`. Features of the members of an ensemble are concatenated.

        Args:
            chips, lon, lat, covariates, batch: as in `predict`.

        Returns:
            float32 (n, width * members).

        Raises:
            ModelError: as in `predict`, or the network has no features.
        """
        widths = []
        for member in self.members:
            if not isinstance(member, Spatioformer | DenseSpatioformer):
                raise ModelError(
                    f"a {type(member).__name__} has no features; use a Spatioformer or a "
                    "DenseSpatioformer"
                )
            widths.append(member.config["width"])
        inputs = self._checked(chips, lon, lat, covariates)
        return self._running().features(inputs, batch, widths[0])

    def _scaling_with_quantiles(self) -> Scaling:
        """The scaling of a network with quantiles.

        Raises:
            ModelError: the network has no quantiles.
        """
        if self.scaling is None or self.scaling.quantiles is None:
            raise ModelError(
                "the network predicts no quantiles; train it with `train.loss: quantile`, or "
                "choose another kind of interval"
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
        """Predict the quantiles of `quantiles` at each pixel that `predict_tile` predicts.

        Returns:
            float32 (y, x, 2), lower and upper, species, NaN where there is no prediction.

        Raises:
            ModelError: as in `predict_tile`, or the network has no quantiles.
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
        """Standard deviation of predictions with active dropout (Monte Carlo dropout).

        The members of an ensemble predict in turn, so that their differences count too. The spread
        is not the error of a prediction: calibrate it (`models.uncertainty`).

        Args:
            chips, lon, lat, covariates, batch: as in `predict`.
            samples: number of predictions, at least 2.
            seed: of the dropout.

        Returns:
            float32 (n,), species.

        Raises:
            ModelError: as in `predict`, or the network has neither dropout nor members, or
                `samples` is below 2.

        Source: Gal & Ghahramani 2016, "Dropout as a Bayesian approximation", ICML.
        """
        inputs = self._checked(chips, lon, lat, covariates)
        return self._running().spread(
            lambda members: members.over_chips(inputs, batch), samples, seed
        )

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
        """Compute the spread of `spread` at each pixel that `predict_tile` predicts.

        Returns:
            float32 (y, x), species, NaN where there is no prediction.

        Raises:
            ModelError: as in `predict_tile` and `spread`.
        """
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        if self.is_dense:
            few = tile.sparse
            return self._running().spread(
                lambda drawn: drawn.over_tile(tile, one_by_one=few), samples, seed
            )
        out = tile.empty()
        for i, (at, chips) in enumerate(tile.chips()):
            out[at] = self.spread(*chips, samples=samples, seed=seed + i)
        return out

    def attention(self, chips: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray | None:
        """Share of attention on each pixel of a chip, computed by attention rollout.

        Args:
            chips, lon, lat: as in `predict`.

        Returns:
            float64 (P, P), sum 1, mean over the chips and the members. None if P is 1, or if a
            network does not have one token for each pixel.
        """
        return attention_shares(
            self.members,
            self.patch,
            lambda member: replace(self, network=member).predict(chips, lon, lat, batch=len(chips)),
        )

    def forward(self, chips: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Predict species (B,) with gradients, from tensors.

        Args:
            chips: (B, P, P, band), raw values.
            others: lon and lat (B, P, P) and, with covariates, their standardised values (B, C).
        """
        return self._members.species(chips, *others)

    @property
    def _members(self) -> Members:
        return Members(tuple(self.members), self.scaling, self.covariates, self.near)

    def _running(self) -> Members:
        """The networks in evaluation mode."""
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
        assert covariates is not None, "`covariate_rows` returns those of a model with covariates"
        return [*chips, self.covariates.standardised(covariates)]

    def identity(self) -> str:
        state = hashlib.sha256()
        for name, tensor in self.network.state_dict().items():
            state.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        settings = [self.network.config, self.bands, repr(self.scaling), repr(self.covariates)]
        if self.near is not None:
            settings += [self.near.settings(), *(a.tolist() for a in self.near.arrays().values())]
        return hash_value([state.hexdigest(), *settings])

    def settings(self) -> dict[str, Any]:
        return {
            "network": self.architecture,
            "arguments": self.network.config,
            "scaling": asdict(self.scaling) if self.scaling else None,
            "covariates": asdict(self.covariates) if self.covariates else None,
            **({} if self.near is None else {"near_plots": self.near.settings()}),
        }

    def write_weights(self, folder: Path) -> None:
        state = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        if self.near is not None:
            state |= {name: torch.from_numpy(a) for name, a in self.near.arrays().items()}
        try:
            save_file(state, folder / self.weights)
        except SafetensorError as error:  # its only cause here is a full disk
            raise OSError(ENOSPC, str(error)) from error

    @classmethod
    def read(cls, config: dict[str, Any], members: dict[str, Model]) -> Self:
        network = NETWORKS[config["network"]](**config["arguments"])
        bands, facts = list(config["bands"]), config["facts"]
        near = NearPlots.without_plots(config["near_plots"]) if "near_plots" in config else None
        return cls(network, bands, scaling_of(config), facts, covariates_of(config), near=near)

    def read_weights(self, path: Path) -> None:
        tensors = load_weights(self.network, path, () if self.near is None else NAMES)
        if self.near is not None:
            arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
            self.near = NearPlots.read(self.near.settings(), arrays)
        self.network.eval()
