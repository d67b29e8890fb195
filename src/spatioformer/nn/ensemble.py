"""An ensemble: networks trained on the same data from different initial weights.

Source: Lakshminarayanan et al. 2017 (NeurIPS), deep ensembles.
"""

from typing import Any

import torch
from torch import Tensor, nn

from spatioformer.nn.dense import DenseSpatioformer
from spatioformer.nn.spatioformer import Spatioformer

KINDS = {kind.__name__: kind for kind in (Spatioformer, DenseSpatioformer)}


class Ensemble(nn.Module):
    """`members` networks of one kind and the same arguments, each with its own weights.

    Args:
        kind: a key of KINDS.

    Attributes:
        config: the arguments of the members, their kind and number, ready for JSON.
    """

    def __init__(self, members: int, kind: str = "Spatioformer", **arguments: Any):
        super().__init__()
        self.members = nn.ModuleList(KINDS[kind](**arguments) for _ in range(members))
        self.config = {"members": members, "kind": kind, **self.members[0].config}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Mean of the members' outputs; `models.network` averages their species instead."""
        return torch.stack([member(*inputs) for member in self.members]).mean(dim=0)
