"""Batched inference of a model's networks over chips and tiles, with or without dropout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.models import tiles
from spatioformer.models.near_plots import NearPlots
from spatioformer.models.scaling import Covariates, Scaling
from spatioformer.models.tiles import PixelTile
from spatioformer.nn import ChipNetwork, DenseSpatioformer, Spatioformer
from spatioformer.nn.kernels import tiles as kernels

# Small enough that a batch's activations stay in the second-level cache of a laptop core.
BATCH = 256

Read = Callable[[torch.Tensor], torch.Tensor]
"""Conversion of a network's output to species."""

Call = Callable[..., torch.Tensor]
"""Function that calls a network: its arguments are the network and the network's inputs."""


@dataclass(frozen=True)
class Members:
    """The networks whose mean output is the prediction: a single one, or those of an ensemble.

    Attributes:
        networks: of one architecture and on one device.
        scaling, covariates, near: as in `NetworkModel`.
    """

    networks: tuple[ChipNetwork, ...]
    scaling: Scaling | None
    covariates: Covariates | None
    near: NearPlots | None = None

    @property
    def are_dense(self) -> bool:
        """Whether the networks predict whole tiles."""
        return isinstance(self.networks[0], DenseSpatioformer)

    def species(self, chips: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Predict species (B,) of chips: the mean over the networks, and the part near plots.

        Args:
            chips: (B, P, P, band), raw values.
            others: lon and lat (B, P, P) and, with covariates, their standardised values (B, C).
        """
        species = self._mean(chips, *others)
        if self.near is None:
            return species
        half = chips.shape[1] // 2
        return self.near.added_in_torch(species, *(place[:, half, half] for place in others[:2]))

    def _mean(
        self,
        chips: torch.Tensor,
        *others: torch.Tensor,
        read: Read | None = None,
        call: Call = nn.Module.__call__,
    ) -> torch.Tensor:
        """The mean over the networks, without the part near plots.

        Args:
            chips, others: as in `species`, or tiles.
            read: converts the output of a network; None means to expected species.
            call: calls a network.
        """
        if self.scaling is None:
            return call(self.networks[0], chips, *others)
        chips, read = self.scaling.bands(chips), read or self.scaling.species
        outputs = [read(call(network, chips, *others)) for network in self.networks]
        return outputs[0] if len(outputs) == 1 else torch.stack(outputs).mean(dim=0)

    def over_chips(
        self,
        inputs: Sequence[np.ndarray],
        batch: int = BATCH,
        read: Read | None = None,
        tail: tuple[int, ...] = (),
        call: Call = nn.Module.__call__,
    ) -> np.ndarray:
        """Predict checked inputs in batches: float32 (n, *tail).

        Args:
            inputs: arrays (n, ...), in the order of the arguments of `species`.
            batch: number of chips in a batch.
            read: as in `_mean`; the part near plots is added to expected species only.
            tail: shape of the output of one chip.
        """
        out = np.empty((len(inputs[0]), *tail), np.float32)
        with torch.inference_mode():
            for i in range(0, len(out), batch):
                part = slice(i, i + batch)
                tensors = (torch.from_numpy(np.array(a[part])).to(self._device) for a in inputs)
                out[part] = self._mean(*tensors, read=read, call=call).float().cpu()
        if self.near is not None and read is None:
            half = inputs[1].shape[1] // 2
            out[:] = self.near.added(out, *(place[:, half, half] for place in inputs[1:3]))
        return out

    def features(self, inputs: Sequence[np.ndarray], batch: int, width: int) -> np.ndarray:
        """Activations before the heads, concatenated: float32 (n, width * networks)."""
        columns = []
        for network in self.networks:
            assert isinstance(network, Spatioformer | DenseSpatioformer), (
                "other networks have no features"
            )
            single = replace(self, networks=(network,))
            columns.append(
                single.over_chips(inputs, batch, _identity, (width,), type(network).features)
            )
        return np.concatenate(columns, axis=1)

    def over_tile(
        self,
        tile: PixelTile,
        read: Read | None = None,
        tail: tuple[int, ...] = (),
        one_by_one: bool = False,
    ) -> np.ndarray:
        """Predict the pixels of a tile: float32 (y, x, *tail), NaN elsewhere.

        Args:
            read, tail: as in `over_chips`.
            one_by_one: let dense networks compute a small tile for each wanted pixel, and not the
                whole tile.
        """
        out = tile.empty(*tail)
        if self.are_dense:
            self._fill_densely(out, tile, read, one_by_one)
            if self.near is not None and read is None:
                rows, cols = np.nonzero(tile.predictable)
                place = rows + tile.halo, cols + tile.halo
                out[rows, cols] = self.near.added(out[rows, cols], tile.lon[place], tile.lat[place])
            return out
        for at, (chips, lon, lat) in tile.chips():
            inputs = [chips, lon, lat]
            if self.covariates is not None:
                inputs.append(_default_covariates(self.covariates, len(chips)))
            out[at] = self.over_chips(inputs, read=read, tail=tail)
        return out

    def _fill_densely(
        self, out: np.ndarray, tile: PixelTile, read: Read | None, one_by_one: bool
    ) -> None:
        """Predict a tile with dense networks, block by block or pixel by pixel, into `out`."""
        defaults = None
        if self.covariates is not None:
            defaults = torch.from_numpy(_default_covariates(self.covariates, 1)).to(self._device)

        def of_tile(
            network: DenseSpatioformer,
            data: torch.Tensor,
            lon: torch.Tensor,
            lat: torch.Tensor,
            valid: torch.Tensor,
        ) -> torch.Tensor:
            covariates = None if defaults is None else defaults.expand(len(data), -1)
            return network.forward_tile(data.movedim(-1, 1), lon, lat, covariates, valid)

        with torch.inference_mode():
            side = tiles.WIDE_BLOCK if self._have_kernels else tiles.BLOCK
            for at, inputs in tile.windows(BATCH) if one_by_one else tile.blocks(side):
                tensors = (torch.from_numpy(a).to(self._device) for a in inputs)
                predictions = self._mean(*tensors, read=read, call=of_tile).float().cpu()
                out[at] = predictions[:, 0, 0] if one_by_one else predictions[0]
        out[~tile.predictable] = np.nan

    @property
    def _have_kernels(self) -> bool:
        """Whether the kernel of `nn.kernels` predicts tiles of the dense networks."""
        tile = torch.empty(1, device=self._device, dtype=next(self.networks[0].parameters()).dtype)
        return all(
            isinstance(network, DenseSpatioformer) and kernels.can_replace(network, tile)
            for network in self.networks
        )

    @property
    def _device(self) -> torch.device:
        return next(self.networks[0].parameters()).device

    def spread(
        self, draw: Callable[["Members"], np.ndarray], samples: int, seed: int
    ) -> np.ndarray:
        """Standard deviation, float32, of predictions with active dropout.

        Args:
            draw: predicts with the given network; the networks take turns.
            samples: number of predictions, at least 2.
            seed: of the dropout.

        Source: Gal & Ghahramani 2016, "Dropout as a Bayesian approximation", ICML.

        Raises:
            ModelError: there is one network without dropout, or `samples` is below 2.
        """
        rate = self.networks[0].config["dropout"]
        if samples < 2 or (rate == 0 and len(self.networks) == 1):
            raise ModelError(
                f"Monte Carlo dropout needs a dropout rate above 0 (here {rate}) and at least 2 "
                f"samples (here {samples}); train with dropout, or set samples to 0 for no "
                "spread"
            )
        # What is added to each draw alike does not change their spread.
        near = None if self.near is not None and self.near.is_a_sum else self.near
        self._drop(True)
        total: np.ndarray = np.zeros(())
        squares: np.ndarray = np.zeros(())
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                for i in range(samples):
                    network = self.networks[i % len(self.networks)]
                    drawn = draw(replace(self, networks=(network,), near=near)).astype(np.float64)
                    total, squares = total + drawn, squares + drawn**2
        finally:
            self._drop(False)
        variance = (squares - total**2 / samples) / (samples - 1)
        return np.sqrt(np.maximum(variance, 0)).astype(np.float32)

    def _drop(self, on: bool) -> None:
        """Switch dropout on or off."""
        # Batch normalisation stays in evaluation mode and keeps its statistics.
        for network in self.networks:
            for module in network.modules():
                if isinstance(module, nn.Dropout):
                    module.training = on


def _default_covariates(covariates: Covariates, count: int) -> np.ndarray:
    """Standardised default values (count, C), for pixels without covariates."""
    return covariates.standardised(covariates.rows(count, None))


def _identity(output: torch.Tensor) -> torch.Tensor:
    return output
