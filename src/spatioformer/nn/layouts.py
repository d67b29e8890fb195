"""Names of our tensors in the checkpoints of other projects.

A Layout is a table of names for importing and exporting weights. Import is strict: every tensor
must be there, and no other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spatioformer.common.errors import ModelError

NAMED = 4  # how many tensor names a message lists before it counts the rest

Names = Mapping[str, str | tuple[str, ...]]


class Place(NamedTuple):
    """Our name and their name of one tensor.

    Attributes:
        ours: our name.
        theirs: their name; with several, ours is their concatenation along the first axis.
        transposed: linear weights stored as (in, out).
    """

    ours: str
    theirs: tuple[str, ...]
    transposed: bool


@dataclass(frozen=True)
class Layout:
    """The names of a checkpoint.

    Attributes:
        model: name of the model in error messages.
        tensors: our tensor -> theirs.
        modules: our module -> theirs, each with a weight and a bias.
        our_block, their_block: name of a transformer block, with {} for its number.
        block_modules: our module inside a block -> theirs, each with a weight and a bias.
        block_tensors: our tensor inside a block -> theirs.
        transposed: those of `block_modules` whose weights are stored as (in, out).
    """

    model: str
    tensors: Names
    modules: Names
    their_block: str = ""
    block_modules: Names = field(default_factory=dict)
    block_tensors: Names = field(default_factory=dict)
    transposed: frozenset[str] = frozenset()
    our_block: str = "transformer.blocks.{}"

    def places(self, layers: int = 0) -> list[Place]:
        """Every tensor of a model with that many layers."""
        places = [Place(ours, _tuple(theirs), False) for ours, theirs in self.tensors.items()]
        for ours, theirs in self.modules.items():
            places += _weight_and_bias(ours, _tuple(theirs), False)
        for i in range(layers):
            here, there = self.our_block.format(i), self.their_block.format(i)
            for ours, theirs in self.block_modules.items():
                names = tuple(f"{there}.{name}" for name in _tuple(theirs))
                places += _weight_and_bias(f"{here}.{ours}", names, ours in self.transposed)
            for ours, theirs in self.block_tensors.items():
                places.append(Place(f"{here}.{ours}", (f"{there}.{theirs}",), False))
        return places

    def layers(self, state: Mapping[str, Tensor]) -> int:
        """How many transformer blocks a checkpoint has."""
        block = re.compile(re.escape(self.their_block).replace(r"\{\}", r"(\d+)") + r"\.")
        return len({match[1] for name in state if (match := block.match(name))})

    def load(self, module: nn.Module, state: Mapping[str, Tensor], layers: int = 0) -> None:
        """Copy a checkpoint into `module`.

        Raises:
            ModelError: a tensor is missing, unexpected, or of another shape.
        """
        places, ours = self.places(layers), module.state_dict()
        expected: dict[str, Tensor] = {}
        for place in places:
            expected |= _export(ours[place.ours], place)
        self.check(state, expected)
        module.load_state_dict({place.ours: _import(state, place) for place in places})

    def export(self, module: nn.Module, layers: int = 0) -> dict[str, Tensor]:
        """The tensors of `module` under their names, copied."""
        ours = module.state_dict()
        state: dict[str, Tensor] = {}
        for place in self.places(layers):
            state |= _export(ours[place.ours], place)
        return {name: tensor.clone().contiguous() for name, tensor in state.items()}

    def check(self, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        """Compare names and shapes.

        Raises:
            ModelError: one sentence that names each missing, unexpected and misshapen tensor.
        """
        problems = {
            "missing": [name for name in expected if name not in state],
            "unexpected": [name for name in state if name not in expected],
            "misshapen": [
                f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
                for name, tensor in expected.items()
                if name in state and state[name].shape != tensor.shape
            ],
        }
        listed = [f"{kind}: {_listed(names)}" for kind, names in problems.items() if names]
        if listed:
            raise self.misfit("; ".join(listed))

    def tensor(self, state: Mapping[str, Tensor], name: str, dims: int) -> Tensor:
        """The tensor called `name`, to read sizes from.

        Raises:
            ModelError: it is missing or does not have `dims` dimensions.
        """
        if name not in state:
            raise self.misfit(f"missing: {name}")
        shape = tuple(state[name].shape)
        if len(shape) != dims:
            raise self.misfit(f"misshapen: {name} {shape} instead of {dims} dimensions")
        return state[name]

    def misfit(self, problem: str) -> ModelError:
        """The error for weights that do not fit, ready to raise."""
        return ModelError(
            f"the weights do not fit {self.model} ({problem}); give a checkpoint made for it"
        )


def _tuple(theirs: str | tuple[str, ...]) -> tuple[str, ...]:
    return (theirs,) if isinstance(theirs, str) else theirs


def _weight_and_bias(ours: str, theirs: tuple[str, ...], transposed: bool) -> list[Place]:
    return [
        Place(f"{ours}.weight", tuple(f"{name}.weight" for name in theirs), transposed),
        Place(f"{ours}.bias", tuple(f"{name}.bias" for name in theirs), False),
    ]


def _export(tensor: Tensor, place: Place) -> dict[str, Tensor]:
    parts = tensor.chunk(len(place.theirs)) if len(place.theirs) > 1 else (tensor,)
    turned = (part.T if place.transposed else part for part in parts)
    return dict(zip(place.theirs, turned, strict=True))


def _import(state: Mapping[str, Tensor], place: Place) -> Tensor:
    parts = [state[name].T if place.transposed else state[name] for name in place.theirs]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
