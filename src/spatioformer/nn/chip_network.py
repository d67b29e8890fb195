"""The base of the networks that predict from chips, and the records of their arguments."""

from typing import Any, TypedDict

from torch import nn

from spatioformer.nn.geolocation import FiLM, LocationDropout, LocationEncoder


class ChipConfig(TypedDict):
    """Arguments that every network of chips has.

    Attributes:
        patch: P, side of a chip, pixels.
        bands: bands of a pixel.
        dropout: rate in [0, 1).
    """

    patch: int
    bands: int
    dropout: float


class LocatedConfig(ChipConfig):
    """Arguments that `Spatioformer` and `DenseSpatioformer` share; see there."""

    covariates: int
    width: int
    heads: int
    layers: int
    mlp_hidden: int
    head_hidden: int
    edges: list[list[float]] | None
    location: dict[str, Any] | None
    location_dropout: float
    location_jitter: float
    outputs: int


class ChipNetwork(nn.Module):
    """A network that takes chips, longitude and latitude of their pixels, and maybe covariates.

    Attributes:
        config: its arguments, ready for JSON; `type(network)(**config)` builds the same.
    """

    config: ChipConfig

    @property
    def hidden_layers(self) -> nn.Module:
        """The part whose matrices Muon trains: the whole network, unless a network names less."""
        return self


class DenseNetwork(ChipNetwork):
    """The submodules of a dense network, for code that computes without calling them.

    Attributes:
        halo: h, pixels that a tile loses on every side.
        location: None without location; the dropout and both FiLM exist only with it.
        blocks: of `NeighbourhoodBlock`.
    """

    config: LocatedConfig
    halo: int
    encoding: nn.Module
    embedding: nn.Linear
    location: LocationEncoder | None
    location_dropout: LocationDropout
    token_film: FiLM
    head_film: FiLM
    blocks: nn.ModuleList
    norm: nn.LayerNorm
    head: nn.Sequential
