"""A recorded chain is that of the network: recomposed in float64 it gives the network's output."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from spatioformer.common.errors import ModelError
from spatioformer.nn import (
    GPT,
    DenseSpatioformer,
    FactoFormer,
    PaperSpatioformer,
    Spatioformer,
    TextEncoder,
    ViT,
)
from spatioformer.nn.geolocation import paper_waves
from spatioformer.nn.trace import trace_encoder, trace_gpt, trace_vit
from spatioformer.nn.trace_chips import trace_chip

CLOSE = {"rtol": 0, "atol": 1e-10}
LOCATION = {"name": "sphere", "wavelengths": (40.0, 10.0)}


def softmax(scores):
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def norm(x, layer):
    """LayerNorm over the last axis, with a module's weights."""
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps)
    return scaled * array(layer.weight) + array(layer.bias)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def gelu_tanh(x):
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


ACTIVATIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu": lambda x: np.maximum(x, 0)}


def array(tensor):
    return tensor.detach().numpy()


def linear(x, layer):
    return x @ array(layer.weight).T + array(layer.bias)


def random_(network):
    """The network in float64, with weights that leave no array small."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.double().eval()


def recomposed(transformer, trace, x):
    """The output of a transformer for input x (T, D), from recorded arrays where there are any.

    Each array is computed from the recorded ones before it, and compared.
    """
    for number, block in enumerate(transformer.blocks, start=1):
        recorded = {
            name.split(".")[1]: values
            for name, values in trace.items()
            if name.startswith(f"layer{number}.")
        }
        np.testing.assert_allclose(recorded["input"], x, **CLOSE)
        attention = block.attention
        read = norm(x, block.attention_norm) if block.pre_norm else x
        np.testing.assert_allclose(recorded["attention_input"], read, **CLOSE)
        width, heads = x.shape[1], attention.heads
        projected = linear(read, attention.qkv).reshape(len(x), 3, heads, width // heads)
        for part, values in zip(
            ("queries", "keys", "values"), projected.swapaxes(0, 1), strict=True
        ):
            np.testing.assert_allclose(recorded[part], values.swapaxes(0, 1), **CLOSE)
        q, k, v = (recorded[part] for part in ("queries", "keys", "values"))
        scores = q @ k.swapaxes(1, 2) / np.sqrt(width // heads)
        np.testing.assert_allclose(recorded["scores"], scores, **CLOSE)
        if trace.causal:
            scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        np.testing.assert_allclose(recorded["pattern"], softmax(scores), **CLOSE)
        mixed = (softmax(scores) @ v).swapaxes(0, 1).reshape(len(x), width)
        np.testing.assert_allclose(recorded["mixed"], mixed, **CLOSE)
        np.testing.assert_allclose(recorded["attention"], linear(mixed, attention.out), **CLOSE)
        x = x + linear(mixed, attention.out)
        x = x if block.pre_norm else norm(x, block.attention_norm)
        np.testing.assert_allclose(recorded["after_attention"], x, **CLOSE)
        read = norm(x, block.mlp_norm) if block.pre_norm else x
        np.testing.assert_allclose(recorded["mlp_input"], read, **CLOSE)
        hidden = ACTIVATIONS[block.mlp.activation](linear(read, block.mlp.up))
        np.testing.assert_allclose(recorded["hidden"], hidden, **CLOSE)
        np.testing.assert_allclose(recorded["mlp"], linear(hidden, block.mlp.down), **CLOSE)
        x = x + linear(hidden, block.mlp.down)
        x = x if block.pre_norm else norm(x, block.mlp_norm)
        np.testing.assert_allclose(recorded["output"], x, **CLOSE)
    return x if isinstance(transformer.norm, torch.nn.Identity) else norm(x, transformer.norm)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_gpt(positions):
    network = random_(
        GPT(30, context=9, width=12, heads=3, layers=2, mlp_hidden=20, positions=positions)
    )
    ids = torch.tensor([4, 0, 29, 4, 7])
    trace = trace_gpt(network, ids)
    embedding, positions = array(network.embedding.weight), array(network.positions.weight)
    np.testing.assert_array_equal(trace["ids"], ids)
    np.testing.assert_array_equal(trace["embedding"], embedding[ids])
    np.testing.assert_array_equal(trace["positions"], positions[:5])
    x = recomposed(network.transformer, trace, embedding[ids] + positions[:5])
    np.testing.assert_allclose(trace["output"], x, **CLOSE)
    with torch.no_grad():
        logits = network(ids[None])[0].numpy()
    np.testing.assert_allclose(x @ embedding.T, logits, **CLOSE)
    np.testing.assert_allclose(trace["logits"], logits, **CLOSE)
    np.testing.assert_allclose(trace["probabilities"], softmax(logits), **CLOSE)


def test_encoder():
    network = random_(TextEncoder(30, context=9, width=12, heads=3, layers=2, mlp_hidden=20))
    ids = torch.tensor([1, 2, 3, 3])
    trace = trace_encoder(network, ids)
    summed = (
        array(network.embedding.weight)[ids]
        + array(network.positions.weight)[:4]
        + array(network.segments.weight)[0]
    )
    np.testing.assert_allclose(trace["summed"], summed, **CLOSE)
    x = recomposed(network.transformer, trace, norm(summed, network.embedding_norm))
    with torch.no_grad():
        np.testing.assert_allclose(x, network(ids[None])[0], **CLOSE)


def test_vit():
    network = random_(
        ViT((4, 6), 2, channels=3, width=8, heads=2, layers=2, mlp_hidden=10, outputs=4)
    )
    image = torch.randn(3, 4, 6, dtype=torch.float64)
    trace = trace_vit(network, image)
    assert trace["patches"].shape == (6, 12)
    patch = image[:, 2:, 2:4].reshape(-1)  # second row, second column
    np.testing.assert_array_equal(trace["patches"][4], patch)
    weight = array(network.patches.weight).reshape(8, -1)
    embedded = trace["patches"] @ weight.T + array(network.patches.bias)
    np.testing.assert_allclose(trace["embedding"], embedded, **CLOSE)
    tokens = np.concatenate([trace["class_token"][None], embedded]) + trace["positions"]
    x = recomposed(network.transformer, trace, tokens)
    with torch.no_grad():
        outputs = network(image[None])[0].numpy()
    np.testing.assert_allclose(linear(x[0], network.head), outputs, **CLOSE)
    np.testing.assert_allclose(trace["outputs"], outputs, **CLOSE)


def chip(patch, bands):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(patch, patch, bands, dtype=torch.float64, generator=generator)
    steps = torch.arange(patch, dtype=torch.float64) * 0.1
    return pixels, (150 + steps).expand(patch, patch), (-30 - steps)[:, None].expand(patch, patch)


def test_spatioformer():
    network = random_(
        Spatioformer(3, 2, 1, 8, 2, 2, 10, 6, location=LOCATION, location_dropout=0.2)
    )
    pixels, lon, lat = chip(3, 2)
    covariates = torch.tensor([0.7], dtype=torch.float64)
    trace = trace_chip(network, pixels, lon, lat, covariates)
    features = array(network.location(lon[1, 1], lat[1, 1]))
    np.testing.assert_allclose(trace["location"], features, **CLOSE)
    scale, shift = np.split(linear(features, network.film.linear), 2)
    np.testing.assert_allclose(trace["scale"], scale, **CLOSE)
    tokens = np.concatenate([trace["class_token"][None], trace["embedding"], trace["covariates"]])
    np.testing.assert_allclose(trace["tokens"], tokens, **CLOSE)
    x = recomposed(network.transformer, trace, tokens * (1 + scale) + shift)
    hidden = gelu(linear(x.mean(0), network.head[0]))
    np.testing.assert_allclose(trace["head"], hidden, **CLOSE)
    with torch.no_grad():
        output = network(pixels[None], lon[None], lat[None], covariates[None]).numpy()
    np.testing.assert_allclose(linear(hidden, network.head[3]), output, **CLOSE)
    np.testing.assert_allclose(trace["outputs"], output, **CLOSE)


def test_paper_spatioformer():
    network = random_(PaperSpatioformer(3, 2, 8, 2, 2, 10, 6, location_weight=3.0))
    pixels, lon, lat = chip(3, 2)
    trace = trace_chip(network, pixels, lon, lat)
    g = array(paper_waves(lon.flatten(), lat.flatten(), 8, 100.0))
    np.testing.assert_allclose(trace["location"], g, **CLOSE)
    embedded = linear(array(pixels).reshape(9, 2), network.embedding)
    np.testing.assert_allclose(trace["embedding"], embedded, **CLOSE)
    located = embedded * np.sqrt(8) + network.geolocation.weight.item() * g
    x = recomposed(
        network.transformer, trace, np.concatenate([trace["class_token"][None], located])
    )
    output = linear(linear(x.reshape(-1), network.head[0]), network.head[1])
    with torch.no_grad():
        expected = network(pixels[None], lon[None], lat[None]).numpy()
    np.testing.assert_allclose(output, expected, **CLOSE)
    np.testing.assert_allclose(trace["outputs"], expected, **CLOSE)


def test_dense_spatioformer():
    network = random_(DenseSpatioformer(5, 2, 1, 8, 2, 3, 10, 6, location=LOCATION))
    pixels, lon, lat = chip(5, 2)
    covariates = torch.tensor([0.7], dtype=torch.float64)
    trace = trace_chip(network, pixels, lon, lat, covariates)
    scale, shift = np.split(
        linear(array(network.location(lon, lat)), network.token_film.linear), 2, -1
    )
    x = linear(array(pixels), network.embedding) * (1 + scale) + shift
    for number, block in enumerate(network.blocks, start=1):
        radius = block.radius
        kept = slice(radius, len(x) - radius)
        assert trace.attends(number) == bool(radius)
        if radius:
            read = norm(x, block.attention_norm)
            q = linear(read, block.attention.query)[kept, kept]
            k, v = np.split(linear(read, block.attention.key_value), 2, -1)
            mixed = np.empty_like(q)
            for row, col, head in np.ndindex(*q.shape[:2], 2):
                part = slice(head * 4, head * 4 + 4)
                window = np.s_[row : row + 2 * radius + 1, col : col + 2 * radius + 1, part]
                near = k[window].reshape(-1, 4)
                scores = near @ q[row, col, part] / 2 + array(block.attention.bias)[:, head]
                at = head, row, col
                np.testing.assert_allclose(trace[f"layer{number}.scores"][at], scores, **CLOSE)
                pattern = trace[f"layer{number}.pattern"][at]
                np.testing.assert_allclose(pattern, softmax(scores), **CLOSE)
                mixed[row, col, part] = pattern @ v[window].reshape(-1, 4)
            np.testing.assert_allclose(trace[f"layer{number}.mixed"], mixed, **CLOSE)
            x = x[kept, kept] + linear(mixed, block.attention.out)
        hidden = gelu(linear(norm(x, block.mlp_norm), block.up))
        np.testing.assert_allclose(trace[f"layer{number}.hidden"], hidden, **CLOSE)
        x = x + linear(hidden, block.down)
        np.testing.assert_allclose(trace[f"layer{number}.output"], x, **CLOSE)
    x = norm(x, network.norm)[0, 0] + trace["covariates"].sum(0)
    place = array(network.location(lon[2, 2], lat[2, 2]))
    scale, shift = np.split(linear(place, network.head_film.linear), 2)
    hidden = gelu(linear(x * (1 + scale) + shift, network.head[0]))
    with torch.no_grad():
        output = network(pixels[None], lon[None], lat[None], covariates[None]).numpy()
    np.testing.assert_allclose(linear(hidden, network.head[3]), output, **CLOSE)


def test_a_trace_leaves_no_hooks_and_changes_no_prediction():
    network = PaperSpatioformer(3, 2, 8, 2, 1, 10, 6).eval()
    inputs = [t[None] for t in chip(3, 2)]
    inputs[0] = inputs[0].float()
    with torch.no_grad():
        before = network(*inputs)
        trace = trace_chip(network, *(t[0] for t in inputs))
        assert torch.equal(before, network(*inputs))
    np.testing.assert_allclose(trace["outputs"], before, rtol=1e-5)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    with pytest.raises(ModelError, match="do not fit"):
        trace_chip(network, torch.zeros(5, 5, 2), *(t[0] for t in inputs[1:]))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_what_cannot_be_traced():
    pixels, lon, lat = chip(3, 2)
    with pytest.raises(ModelError, match="a FactoFormer does not have one sequence"):
        trace_chip(FactoFormer(3, 2, width=8, heads=2).eval(), pixels, lon, lat)
    with pytest.raises(ModelError, match="training mode"):
        trace_gpt(GPT(5, 4, 8, 2, 1), torch.tensor([1]))


def test_layers_heads_and_json():
    trace = trace_gpt(random_(GPT(6, 4, 8, 2, 2)), torch.tensor([1, 2]))
    trace.check(2, 2)
    with pytest.raises(ModelError, match="layer 3, head 1 do not exist; the model has 2 layers"):
        trace.check(3, 1)
    values = trace.as_json(layer=2)
    assert {name for name in values["steps"] if name.startswith("layer1")} == set()
    scores = values["steps"]["layer2.scores"]
    assert scores["shape"] == [2, 2, 2]
    assert scores["axes"] == ["head", "query", "key"]
    np.testing.assert_array_equal(np.array(scores["values"]), trace["layer2.scores"])
    dense = DenseSpatioformer(3, 2, width=8, heads=2, layers=2).double().eval()
    with pytest.raises(ModelError, match="layer 2 has no attention, only an MLP; choose layer 1"):
        trace_chip(dense, *chip(3, 2)).check(2, 1)
    pixel = DenseSpatioformer(1, 2, width=8, heads=2, layers=2).double().eval()
    with pytest.raises(ModelError, match="none of the 2 layers has attention"):
        trace_chip(pixel, *chip(1, 2)).check(1, 1)
