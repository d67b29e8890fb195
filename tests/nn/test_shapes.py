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


def test_gpt(nn):
    model = nn.GPT(53, 17, 15, 3, 2, 7).eval()
    past, ids = model.new_past(), torch.zeros(2, 5, dtype=torch.long)
    assert model(ids).shape == (2, 5, 53)
    assert model(ids, past).shape == model(ids, past).shape == (2, 5, 53)
    assert model.generate(ids, 3, top_k=5, top_p=0.9).shape == (2, 3)


def test_gpt_folder(nn, tmp_path):
    nn.GPT(53, 17, 15, 3, 2, 7, positions="sinusoidal").save_pretrained(tmp_path)
    assert nn.GPT.from_pretrained(tmp_path).positions(3, start=2).shape == (3, 15)


def test_vit(nn, tmp_path):
    model, patterns = nn.ViT((10, 15), 5, 1, 21, 7, 2, 11, 3), []
    assert model(torch.rand(2, 1, 10, 15), patterns).shape == (2, 3)
    assert model.position_similarity().shape == (2, 3, 2, 3)
    assert nn.attention_rollout(patterns).shape == (2, 7, 7)
    assert nn.ViT.from_timm(model.to_timm(), 7, (10, 15)).config["patch"] == 5
    model.save_pretrained(tmp_path)
    assert nn.ViT.from_pretrained(tmp_path).config["image"] == [10, 15]


def test_text_encoder(nn, tmp_path):
    model, ids = nn.TextEncoder(53, 17, 15, 3, 2, 7), torch.zeros(2, 5, dtype=torch.long)
    mask = torch.ones(2, 5, dtype=torch.bool)
    assert model(ids, mask, ids).shape == model(ids, mask.long()).shape == (2, 5, 15)
    assert model.sentences(ids, mask).shape == model.pool(model(ids)).shape == (2, 15)
    model.save_pretrained(tmp_path)
    assert nn.TextEncoder.from_pretrained(tmp_path).config == model.config


def test_seq2seq(nn):
    model = nn.Seq2Seq(53, 17, 15, 3, 2, 7)
    source, target = torch.zeros(2, 5, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long)
    assert model(source, target, torch.ones(2, 5, dtype=torch.bool)).shape == (2, 3, 53)
    assert model.generate(source, 0, 4).shape == (2, 4)
