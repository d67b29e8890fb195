"""An ensemble: networks trained on the same data from different initial weights.

Source: Lakshminarayanan et al. 2017 (NeurIPS), deep ensembles.
"""

from typing import Any, Literal, NotRequired

import torch
from torch import Tensor, nn

from spatioformer.nn.chip_network import ChipNetwork, LocatedConfig
from spatioformer.nn.dense import DenseSpatioformer
from spatioformer.nn.spatioformer import Spatioformer

KINDS: dict[str, type[Spatioformer] | type[DenseSpatioformer]] = {
    kind.__name__: kind for kind in (Spatioformer, DenseSpatioformer)
}


class EnsembleConfig(LocatedConfig):
    """Arguments of `Ensemble`."""

    members: int
    kind: str
    tokens: NotRequired[Literal["pixels", "bands"]]  # of a Spatioformer


class Ensemble(ChipNetwork):
    """`members` networks of one kind and the same arguments, each with its own weights.

    Args:
        kind: a key of KINDS.

    Attributes:
        config: the arguments of the members, their kind and number, ready for JSON.
    """

    config: EnsembleConfig

    def __init__(self, members: int, kind: str = "Spatioformer", **arguments: Any):
        super().__init__()
        networks = [KINDS[kind](**arguments) for _ in range(members)]
        self.members = nn.ModuleList(networks)
        self.config = {"members": members, "kind": kind, **networks[0].config}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Mean of the members' outputs; `models.network` averages their species instead."""
        return torch.stack([member(*inputs) for member in self.members]).mean(dim=0)
