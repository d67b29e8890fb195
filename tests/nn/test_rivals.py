"""FactoFormer: what each encoder sees, and a known answer from torch's own layers."""

import pytest
import torch
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.nn import FactoFormer

P, BANDS = 5, 7


@pytest.fixture
def network() -> FactoFormer:
    torch.manual_seed(0)
    return FactoFormer(P, BANDS, width=12, heads=2, layers=2, mlp_hidden=11).double().eval()


@pytest.fixture
def chips() -> torch.Tensor:
    return torch.randn(3, P, P, BANDS, dtype=torch.float64, generator=torch.manual_seed(1))


def with_torch(encoder: nn.Module, vectors: torch.Tensor) -> torch.Tensor:
    """The class token by torch's own encoder with the same weights; vectors (B, T, values)."""
    layer = nn.TransformerEncoderLayer(
        12, 2, 11, dropout=0, activation="gelu", batch_first=True, norm_first=True
    )
    theirs = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(12), enable_nested_tensor=False)
    theirs = theirs.double().eval()
    state = {}
    for key, value in encoder.transformer.state_dict().items():
        for ours, name in (
            ("blocks", "layers"), ("attention.qkv.", "self_attn.in_proj_"),
            ("attention.out", "self_attn.out_proj"), ("mlp.up", "linear1"), ("mlp.down", "linear2"),
            ("attention_norm", "norm1"), ("mlp_norm", "norm2"),
        ):  # fmt: skip
            key = key.replace(ours, name)
        state[key] = value
    theirs.load_state_dict(state)
    tokens = vectors @ encoder.projection.weight.T + encoder.projection.bias
    first = encoder.class_token.expand(len(tokens), 1, 12)
    return theirs(torch.cat([first, tokens], dim=1) + encoder.position)[:, 0]


def test_it_is_the_description_written_with_torch(network, chips):
    bands = torch.stack([chips[..., k].reshape(3, P * P) for k in range(BANDS)], dim=1)
    pixels = torch.stack([chips[:, i // P, i % P] for i in range(P * P)], dim=1)
    both = [with_torch(network.spectral, bands), with_torch(network.spatial, pixels)]
    expected = (torch.cat(both, 1) @ network.head.weight.T + network.head.bias).squeeze(1)
    error = (network(chips) - expected).abs().max()
    assert error <= 1e-12 * expected.abs().max()
    swapped = torch.cat(both[::-1], 1) @ network.head.weight.T + network.head.bias
    assert (network(chips) - swapped.squeeze(1)).abs().max() > 1e-3


def test_the_encoders_do_not_see_each_other(network, chips):
    """With the head's half for one encoder at zero, the other's weights do not matter."""
    with torch.no_grad():
        network.head.weight[:, :12] = 0
    before = network(chips)
    with torch.no_grad():
        network.spectral.projection.weight.mul_(3)
    assert torch.equal(network(chips), before)
    with torch.no_grad():
        network.spatial.projection.weight.mul_(3)
    assert not torch.allclose(network(chips), before)


def test_location_is_not_looked_at_and_gradients_reach_everything(network, chips):
    place = torch.randn(3, P, P, dtype=torch.float64)
    assert torch.equal(network(chips, place, place), network(chips))
    network(chips).sum().backward()
    # Softmax ignores what all its scores share: a key's bias alone gets no gradient.
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_one_pixel_and_its_configuration():
    network = FactoFormer(patch=1, bands=3)
    again = FactoFormer(**network.config)
    again.load_state_dict(network.state_dict())
    chips = torch.randn(4, 1, 1, 3)
    assert network.eval()(chips).shape == (4,)
    assert torch.equal(again.eval()(chips), network(chips))


def test_bad_chips_are_one_sentence(network):
    with pytest.raises(ModelError, match=r"chips of shape \(2, 3, 3, 7\) do not fit"):
        network(torch.zeros(2, 3, 3, BANDS, dtype=torch.float64))
    with pytest.raises(ModelError, match="patch 4 cannot be used"):
        FactoFormer(patch=4)
    with pytest.raises(ModelError, match="heads"):
        FactoFormer(width=30, heads=4)
