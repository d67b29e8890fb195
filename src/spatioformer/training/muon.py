"""Muon: steps of the weight matrices with orthogonalised momentum; Adam for all other parameters.

Adam scales each weight alone, so a few directions of a matrix take nearly all of its step. Muon
gives all directions steps of one length, and a small network needs a quarter of the steps
(docs/models.md, "The distilled network").

Shapes: M matrices of a stack, S and L the largest smaller and larger side among them.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spatioformer.nn.chip_network import ChipNetwork
from spatioformer.training.optimiser import FlatAdam

MOMENTUM = 0.95
RATIO = 2.5
"""Learning rate of matrices as a multiple of that of the other parameters."""

SMALLEST = 8
"""Smallest side of a matrix that Muon takes; smaller ones have few directions."""

SIMILAR = 8
"""Largest ratio of the longer sides of two matrices in one stack; shorter ones are padded."""

COEFFICIENTS = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def matrices_of(network: nn.Module) -> list[nn.Parameter]:
    """Weights of the linear layers with at least SMALLEST inputs and outputs.

    Of a network with `hidden_layers` only theirs.
    """
    layers = network.hidden_layers if isinstance(network, ChipNetwork) else network
    weights = [layer.weight for layer in layers.modules() if isinstance(layer, nn.Linear)]
    return [
        weight
        for weight in weights
        if isinstance(weight, nn.Parameter) and min(weight.shape) >= SMALLEST
    ]


def stacks_of(matrices: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Matrices in stacks, those with the longest sides first."""
    stacks, rest = [], list(matrices)
    while rest:
        longest = max(max(matrix.shape) for matrix in rest)
        near = [matrix for matrix in rest if max(matrix.shape) * SIMILAR >= longest]
        stacks.append(near)
        rest = [matrix for matrix in rest if max(matrix.shape) * SIMILAR < longest]
    return stacks


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices (M, S, L) with the same singular vectors and singular values near 1 (0.65 to 1.25).

    Five Newton-Schulz iterations. Rows and columns of zeros stay zeros, so matrices of several
    sizes can be padded to one.
    """
    first, second, third = COEFFICIENTS
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    # Each iteration multiplies x by a polynomial of x x^T, so that all of them need x only twice.
    square = x @ x.mT
    product = None
    for _ in range(ITERATIONS):
        factor = torch.baddbmm(square, square, square, beta=second, alpha=third)
        factor.diagonal(dim1=1, dim2=2).add_(first)
        product = factor if product is None else factor @ product
        square = factor @ square @ factor
    assert product is not None  # after ITERATIONS
    return product @ x


class Stack:
    """Matrices that take their steps together, padded to one size, and their momentum."""

    def __init__(self, matrices: list[nn.Parameter]):
        self.matrices = matrices
        sides = [sorted(matrix.shape) for matrix in matrices]
        shape = (len(sides), *(max(side) for side in zip(*sides, strict=True)))
        self.padded, self.momentum = (matrices[0].new_zeros(shape) for _ in range(2))

    def take_gradients(self) -> None:
        """Copy the gradients, and set them to 0, so that Adam does not move the matrices."""
        for matrix, part in self._parts(self.padded):
            assert matrix.grad is not None, "`zero_grad` gives every parameter a gradient"
            part.copy_(matrix.grad)
            matrix.grad.zero_()

    def step(self, rate: float) -> None:
        """Change the matrices by the gradients that were taken."""
        self.momentum.lerp_(self.padded, 1 - MOMENTUM)
        directions = orthogonalised(self.padded.lerp(self.momentum, MOMENTUM))
        for matrix, part in self._parts(directions):
            rows, columns = matrix.shape
            matrix.add_(part, alpha=-rate * RATIO * max(1, rows / columns) ** 0.5)

    def _parts(self, padded: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each matrix with the view of its values in (M, S, L), tall ones transposed."""
        for matrix, place in zip(self.matrices, padded, strict=True):
            rows, columns = matrix.shape
            yield matrix, place.mT[:rows, :columns] if rows > columns else place[:rows, :columns]


@dataclass
class FlatMuon(FlatAdam):
    """Muon of some matrices, and AdamW of the other parameters; weight decay of all.

    Args:
        matrices: some of `parameters`.
    """

    matrices: list[nn.Parameter]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stacks = [Stack(matrices) for matrices in stacks_of(self.matrices)]

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients."""
        for stack in self.stacks:
            stack.take_gradients()
        super().step()
        for stack in self.stacks:
            stack.step(self.rate)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs besides the parameters."""
        return super().state_dict() | {"momentum": [stack.momentum for stack in self.stacks]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        super().load_state_dict(state)
        for stack, momentum in zip(self.stacks, state["momentum"], strict=True):
            stack.momentum.copy_(momentum)
