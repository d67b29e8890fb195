"""Dropout with a mask that is cheap to draw on a CPU."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

LANES = 4  # 16-bit lanes in one 64-bit draw
LEVELS = 1 << 16


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, on a CPU with sixteen random bits for each element.

    torch draws one 32-bit number for each element, which takes longer than the matrix products
    around it at the widths used here. A 64-bit draw serves four elements instead. The rate is
    rounded to a multiple of 1/65536 (0.1 becomes 0.100006). The scale factor uses the rounded rate,
    so the expectation stays exact. Numbers come from torch's default generator.
    """

    def __init__(self, p: float = 0.0):
        super().__init__(p)

    @property
    def active(self) -> bool:
        """Whether a forward pass now drops anything."""
        return self.training and self.p > 0

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if not self.active:
            return x
        dropped = round(self.p * LEVELS)
        if x.device.type != "cpu" or not 0 < dropped < LEVELS:
            return super().forward(x)
        draws = torch.empty(-(-x.numel() // LANES), dtype=torch.int64).random_(-(2**63), None)
        lanes = draws.view(torch.int16)[: x.numel()].view(x.shape)
        # Compare into the dtype of x: a boolean mask would need a slow conversion.
        mask = torch.ge(lanes, dropped - LEVELS // 2, out=torch.empty_like(x, requires_grad=False))
        return x * mask.mul_(LEVELS / (LEVELS - dropped))
