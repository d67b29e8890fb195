"""The networks of a bundle at work: over chips and tiles, in batches, with dropout or without."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.models.scaling import Covariates, Scaling
from spatioformer.models.tiles import PixelTile
from spatioformer.nn import ChipNetwork, DenseSpatioformer, Spatioformer

# Small enough that a batch's activations stay in the second-level cache of a laptop core.
BATCH = 256

Read = Callable[[torch.Tensor], torch.Tensor]  # a network's output -> what it means
Call = Callable[..., torch.Tensor]  # how a network is called


@dataclass(frozen=True)
class Members:
    """The networks whose mean is a prediction: one, or those of an ensemble.

    Attributes:
        networks: of one architecture and on one device.
        scaling, covariates: as a bundle has them.
    """

    networks: tuple[ChipNetwork, ...]
    scaling: Scaling | None
    covariates: Covariates | None

    @property
    def are_dense(self) -> bool:
        """Whether they take whole tiles."""
        return isinstance(self.networks[0], DenseSpatioformer)

    def species(
        self,
        chips: torch.Tensor,
        *others: torch.Tensor,
        read: Read | None = None,
        call: Call = nn.Module.__call__,
    ) -> torch.Tensor:
        """Mean over the networks, each called with standardised bands and the others.

        Args:
            chips: raw values, band last.
            others: lon, lat and, where the model has them, standardised covariates.
            read: what a network's output means; None: the expected species.
        """
        if self.scaling is None:
            return call(self.networks[0], chips, *others)
        chips, read = self.scaling.bands(chips), read or self.scaling.species
        found = [read(call(network, chips, *others)) for network in self.networks]
        return found[0] if len(found) == 1 else torch.stack(found).mean(dim=0)

    def over_chips(
        self,
        inputs: Sequence[np.ndarray],
        batch: int = BATCH,
        read: Read | None = None,
        tail: tuple[int, ...] = (),
        call: Call = nn.Module.__call__,
    ) -> np.ndarray:
        """What `species` gives for checked inputs, float32 (n, *tail)."""
        out = np.empty((len(inputs[0]), *tail), np.float32)
        with torch.inference_mode():
            for i in range(0, len(out), batch):
                part = slice(i, i + batch)
                tensors = (torch.from_numpy(np.array(a[part])).to(self._device) for a in inputs)
                out[part] = self.species(*tensors, read=read, call=call).float().cpu()
        return out

    def features(self, inputs: Sequence[np.ndarray], batch: int, width: int) -> np.ndarray:
        """The numbers before each network's head, side by side: float32 (n, width * networks)."""
        columns = []
        for network in self.networks:
            assert isinstance(network, Spatioformer | DenseSpatioformer), "others have no features"
            alone = replace(self, networks=(network,))
            columns.append(
                alone.over_chips(inputs, batch, _as_it_is, (width,), type(network).features)
            )
        return np.concatenate(columns, axis=1)

    def over_tile(
        self, tile: PixelTile, read: Read | None = None, tail: tuple[int, ...] = ()
    ) -> np.ndarray:
        """What `species` gives for a tile's pixels, float32 (y, x, *tail), NaN elsewhere."""
        out = tile.empty(*tail)
        if self.are_dense:
            self._fill_densely(out, tile, read)
            return out
        for at, (chips, lon, lat) in tile.chips():
            inputs = [chips, lon, lat]
            if self.covariates is not None:
                inputs.append(_usual(self.covariates, len(chips)))
            out[at] = self.over_chips(inputs, read=read, tail=tail)
        return out

    def _fill_densely(self, out: np.ndarray, tile: PixelTile, read: Read | None) -> None:
        usual = None
        if self.covariates is not None:
            usual = torch.from_numpy(_usual(self.covariates, 1)).to(self._device)

        def of_tile(
            network: DenseSpatioformer,
            data: torch.Tensor,
            lon: torch.Tensor,
            lat: torch.Tensor,
            valid: torch.Tensor,
        ) -> torch.Tensor:
            return network.forward_tile(data.movedim(-1, 1), lon, lat, usual, valid)

        with torch.inference_mode():
            for at, inputs in tile.blocks():
                arrays = (np.ascontiguousarray(a) for a in inputs)
                tensors = (torch.from_numpy(a).to(self._device) for a in arrays)
                out[at] = self.species(*tensors, read=read, call=of_tile)[0].float().cpu()
        out[~tile.predictable] = np.nan

    @property
    def _device(self) -> torch.device:
        return next(self.networks[0].parameters()).device

    def spread(
        self, draw: Callable[["Members"], np.ndarray], samples: int, seed: int
    ) -> np.ndarray:
        """Standard deviation of what `draw` gives with dropout on, network by turn; float32.

        Source: Gal & Ghahramani 2016, "Dropout as a Bayesian approximation", ICML.

        Raises:
            ModelError: one network without dropout, or fewer than two samples.
        """
        rate = self.networks[0].config["dropout"]
        if samples < 2 or (rate == 0 and len(self.networks) == 1):
            raise ModelError(
                f"Monte Carlo dropout needs a dropout rate above 0 (here {rate}) and at least 2 "
                f"samples (here {samples}); train with dropout or leave the spread out with "
                "samples 0"
            )
        self._drop(True)
        total: np.ndarray = np.zeros(())
        squares: np.ndarray = np.zeros(())
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                for i in range(samples):
                    network = self.networks[i % len(self.networks)]
                    drawn = draw(replace(self, networks=(network,))).astype(np.float64)
                    total, squares = total + drawn, squares + drawn**2
        finally:
            self._drop(False)
        variance = (squares - total**2 / samples) / (samples - 1)
        return np.sqrt(np.maximum(variance, 0)).astype(np.float32)

    def _drop(self, on: bool) -> None:
        # Only dropout goes back to training; batch normalisation keeps its statistics.
        for network in self.networks:
            for module in network.modules():
                if isinstance(module, nn.Dropout):
                    module.training = on


def _usual(covariates: Covariates, count: int) -> np.ndarray:
    """Standardised usual values, for pixels of which no covariate is known, (count, C)."""
    return covariates.standardised(covariates.rows(count, None))


def _as_it_is(output: torch.Tensor) -> torch.Tensor:
    return output
