"""The shapes written in the signatures hold: the networks run with every annotation checked."""

import importlib
import sys

import jaxtyping
import pytest
import torch

import spatioformer


@pytest.fixture(scope="module")
def nn():
    """`spatioformer.nn` imported afresh with beartype on every function, and put back after."""

    def ours() -> list[str]:
        return [name for name in sys.modules if f"{name}.".startswith("spatioformer.nn.")]

    plain = {name: sys.modules.pop(name) for name in ours()}
    with jaxtyping.install_import_hook("spatioformer.nn", "beartype.beartype"):
        checked = importlib.import_module("spatioformer.nn")
        yield checked
    for name in ours():
        del sys.modules[name]
    sys.modules.update(plain)
    if plain:
        spatioformer.nn = plain["spatioformer.nn"]


def places(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    lon, lat = torch.rand(2, *shape, dtype=torch.float64)
    return lon, lat


@pytest.mark.parametrize("geolocation", [True, False])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_spatioformer(nn, geolocation, mode):
    model = nn.PaperSpatioformer(3, 5, 14, 7, 2, 13, 11, geolocation=geolocation)
    getattr(model, mode)()
    assert model(torch.rand(2, 3, 3, 5), *places(2, 3, 3)).shape == (2,)
    again = nn.PaperSpatioformer.from_published(model.to_published(), geolocation, heads=7)
    assert again(torch.rand(2, 3, 3, 5), *places(2, 3, 3)).shape == (2,)


def test_cnn(nn):
    model = nn.PaperCNN(7, 5, 3, 11)
    assert model(torch.rand(2, 7, 7, 5), *places(2, 7, 7)).shape == (2,)
    assert nn.PaperCNN.from_published(model.to_published()).config["patch"] == 7


def test_transformer(nn):
    model = nn.Transformer(nn.BlockConfig(15, 3, 7), 2)
    x, patterns = torch.rand(2, 5, 15), []
    assert model(x, torch.ones(2, 5, dtype=torch.bool), patterns).shape == (2, 5, 15)
    assert patterns[0].weights.shape == patterns[1].scores.shape == (2, 3, 5, 5)


def test_wrong_shapes_are_caught(nn):
    """The check itself works: a mask of another batch, coordinates of another patch."""
    with pytest.raises(jaxtyping.TypeCheckError):
        nn.Transformer(nn.BlockConfig(15, 3, 7), 1)(
            torch.rand(2, 5, 15), torch.ones(3, 5, dtype=torch.bool)
        )
    with pytest.raises(jaxtyping.TypeCheckError):
        nn.PaperSpatioformer(3)(torch.rand(2, 3, 3, 6), *places(2, 5, 5))
