"""The transformer core against torch's own encoder, against itself, and by hand."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.dropout import Dropout
from spatioformer.nn.transformer import Attention, BlockConfig, Transformer, _softmax
from tests.helpers.nn_reference import (
    BATCH,
    HIDDEN,
    TOKENS,
    TOLERANCE,
    WIDTH,
    block_config,
    difference,
    load_torch_encoder,
    randomise,
    torch_encoder,
)

CAUSAL = nn.Transformer.generate_square_subsequent_mask(TOKENS, dtype=torch.float64)
CONFIGS = {
    "published": {"norm": "post", "activation": "relu"},
    "bert": {"norm": "post", "activation": "gelu", "eps": 1e-12},
    "vit": {"norm": "pre", "activation": "gelu", "eps": 1e-12},
    "gpt2": {"norm": "pre", "activation": "gelu_tanh", "causal": True},
    "no bias": {"norm": "pre", "activation": "gelu", "bias": False},
}
MUTATIONS = {
    "causal": ("vit", {"causal": True}),
    "not causal": ("gpt2", {"causal": False}),
    "eps": ("published", {"eps": 1e-6}),
    "small eps": ("vit", {"eps": 1e-6}),
    "activation": ("published", {"activation": "gelu"}),
    "tanh form": ("vit", {"activation": "gelu_tanh"}),
    "exact form": ("gpt2", {"activation": "gelu"}),
    "heads": ("published", {"heads": 7}),
}


def tokens(seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, TOKENS, WIDTH, generator=generator, dtype=torch.float64)


def stack(**switches) -> Transformer:
    return randomise(Transformer(block_config(**switches), 2).double().eval())


def valid_tokens() -> torch.Tensor:
    """(B, T), True = token: sequences of different lengths, padded on the right."""
    return torch.arange(TOKENS) < torch.tensor([[TOKENS], [5], [1]])


def against_torch(reference: dict, ours: dict, valid: torch.Tensor | None = None) -> float:
    """Relative difference between torch's encoder with switches `reference` and our `ours`."""
    theirs = randomise(torch_encoder(block_config(**reference)).double().eval())
    mine = Transformer(block_config(**ours), 2).double().eval()
    load_torch_encoder(mine, theirs)
    mask = CAUSAL if reference.get("causal") else None
    padding = (
        None if valid is None else torch.zeros(valid.shape).double().masked_fill(~valid, -torch.inf)
    )
    x = tokens()
    want, got = theirs(x, mask, padding), mine(x, valid)
    if valid is not None:
        want, got = want[valid], got[valid]
    return difference(got, want)


@pytest.mark.parametrize("switches", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("padded", [False, True])
def test_equal_to_torch_encoder(switches, padded):
    assert against_torch(switches, switches, valid_tokens() if padded else None) <= TOLERANCE


@pytest.mark.parametrize(("base", "change"), MUTATIONS.values(), ids=MUTATIONS)
def test_each_switch_changes_the_answer(base, change):
    assert against_torch(CONFIGS[base], CONFIGS[base] | change) > 100 * TOLERANCE


def test_norm_placement_changes_the_answer():
    post, pre = stack(norm="post"), stack(norm="pre")
    pre.load_state_dict(post.state_dict(), strict=False)
    pre.norm = nn.Identity()
    assert difference(pre(tokens()), post(tokens())) > 100 * TOLERANCE


def test_training_step_equal_to_torch_encoder():
    """Gradients too, and with dropout: the same deterministic mask in every place torch has one."""
    config = block_config(norm="post", activation="relu", dropout=0.25)
    theirs = randomise(torch_encoder(config).double().train())
    ours = Transformer(config, 2).double().train()
    load_torch_encoder(ours, theirs)
    x = tokens()

    def drop(x, p=0.5, training=True, inplace=False):
        assert training
        assert p == 0.25
        keep = torch.arange(x.numel()).view(x.shape) % 4 > 0
        return x * keep / (1 - p)

    def attend(q, k, v, mask=None, dropout_p=0.0, is_causal=False):
        return drop((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1), dropout_p) @ v

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "dropout", drop)
        patch.setattr(F, "scaled_dot_product_attention", attend)
        patch.setattr(Dropout, "forward", lambda self, x: drop(x, self.p, self.training))
        want, got = theirs(x), ours(x)
    assert difference(got, want) <= TOLERANCE
    assert difference(got, ours.eval()(x)) > 0.01
    want.square().sum().backward()
    got.square().sum().backward()
    their_gradients = Transformer(config, 2).double()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    theirs.load_state_dict(gradients)
    load_torch_encoder(their_gradients, theirs)
    for mine, wanted in zip(ours.parameters(), their_gradients.parameters(), strict=True):
        assert difference(mine.grad, wanted) <= TOLERANCE


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_both_paths_agree_and_patterns_are_distributions(causal, padded):
    model, x = stack(causal=causal), tokens()
    valid = valid_tokens() if padded else None
    patterns = []
    recorded = model(x, valid, patterns)
    assert difference(recorded, model(x, valid)) <= TOLERANCE
    assert len(patterns) == 2
    for scores, weights in patterns:
        assert scores.isfinite().all()
        assert difference(weights.sum(-1), torch.ones_like(weights[..., 0])) <= TOLERANCE
        if causal:
            assert (weights.triu(1) == 0).all()
        if padded:
            assert (weights[1, :, :, 5:] == 0).all()


def test_patterns_equal_to_torch_attention():
    ours = randomise(Attention(block_config()).double())
    theirs = nn.MultiheadAttention(WIDTH, 5, batch_first=True).double()
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x, patterns = tokens(), []
    mixed = ours(x, record=patterns)
    want, weights = theirs(x, x, x, average_attn_weights=False)
    assert difference(mixed, want) <= TOLERANCE
    assert difference(patterns[0].weights, weights) <= TOLERANCE
    assert difference(patterns[0].scores.softmax(-1), weights) <= TOLERANCE


@pytest.mark.parametrize("causal", [False, True])
def test_attention_by_hand(causal):
    """With zero queries every visible token weighs the same: a mean, or a running mean."""
    attention = Attention(BlockConfig(width=2, heads=1, hidden=1, causal=causal))
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.cat([torch.zeros(4, 2), torch.eye(2)]))
        attention.out.weight.copy_(torch.eye(2))
    x = torch.tensor([[[3.0, 0.0], [6.0, 3.0], [0.0, 9.0]]])
    want = [[3.0, 0.0], [4.5, 1.5], [3.0, 4.0]] if causal else [[3.0, 4.0]] * 3
    torch.testing.assert_close(attention(x)[0], torch.tensor(want))


def test_no_future_leakage():
    x = tokens().requires_grad_()
    for t in (0, 4, TOKENS - 1):
        (gradient,) = torch.autograd.grad(stack(causal=True)(x)[:, t].sum(), x)
        assert (gradient[:, t + 1 :] == 0).all()
        assert (gradient[:, t] != 0).any()


def test_padding_is_not_seen():
    model, x, valid = stack(), tokens(), valid_tokens()
    other = torch.where(valid[..., None], x, 1e3)
    assert torch.equal(model(x, valid)[valid], model(other, valid)[valid])


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(TOKENS)))
def test_tokens_have_no_order_of_their_own(order):
    model, x = stack(), tokens()
    assert difference(model(x[:, order]), model(x)[:, order]) <= TOLERANCE


def test_answer_does_not_depend_on_the_batch():
    model, x = stack(), tokens()
    alone = torch.cat([model(one[None]) for one in x])
    assert difference(model(x), alone) <= TOLERANCE


def test_initial_weights_are_drawn_as_torch_does():
    """Bounds and spread of each tensor's distribution; wide layers, so that they show."""
    config = BlockConfig(width=64, heads=4, hidden=256)
    block = Transformer(config, 1).blocks[0]
    bounds = {
        block.attention.qkv.weight: (6 / (64 + 3 * 64)) ** 0.5,
        block.attention.out.weight: 64**-0.5,
        block.mlp.up.weight: 64**-0.5,
        block.mlp.up.bias: 64**-0.5,
        block.mlp.down.weight: 256**-0.5,
        block.mlp.down.bias: 256**-0.5,
    }
    for tensor, bound in bounds.items():
        assert 0.9 * bound < tensor.abs().max().item() <= bound
        assert tensor.std().item() == pytest.approx(bound / 3**0.5, rel=0.2)
    assert not block.attention.qkv.bias.any()
    assert not block.attention.out.bias.any()


def test_width_must_be_shared_by_the_heads():
    with pytest.raises(ModelError, match="width 10 cannot be shared by 4 heads; choose"):
        BlockConfig(width=10, heads=4, hidden=HIDDEN)


class TestDropout:
    @pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
    def test_rate_and_scale(self, p):
        torch.manual_seed(0)
        n = 200_003  # not a multiple of the lanes in a draw
        dropped = Dropout(p)(torch.ones(n))
        share = (dropped == 0).double().mean().item()
        assert abs(share - p) < 4 * (p * (1 - p) / n) ** 0.5
        rate = round(p * 65536) / 65536
        assert dropped.unique().tolist() == [0, pytest.approx(1 / (1 - rate))]

    def test_neighbours_are_independent(self):
        torch.manual_seed(0)
        kept = (Dropout(0.3)(torch.ones(100_000)) > 0).double()
        for lag in (1, 2, 3, 4, 5):
            correlation = torch.corrcoef(torch.stack([kept[lag:], kept[:-lag]]))[0, 1]
            assert abs(correlation.item()) < 4 / len(kept) ** 0.5

    def test_seeded(self):
        x = torch.ones(7, 5)
        torch.manual_seed(3)
        first, second = Dropout(0.5)(x), Dropout(0.5)(x)
        torch.manual_seed(3)
        assert torch.equal(Dropout(0.5)(x), first)
        assert not torch.equal(first, second)

    def test_gradient_passes_the_survivors_only(self):
        x = torch.full((50,), 2.0, requires_grad=True)
        y = Dropout(0.5)(x)
        y.sum().backward()
        assert torch.equal(x.grad, y.detach() / 2)

    def test_nothing_and_everything(self):
        x = torch.ones(5)
        assert Dropout(0.5).eval()(x) is x
        assert Dropout(0.0)(x) is x
        assert torch.equal(Dropout(1.0)(x), torch.zeros(5))


@pytest.mark.parametrize("sources", [2, 10, 33])
def test_softmax_of_short_rows_is_that_of_torch(sources):
    scores = 30 * torch.randn(4, 2, 5, sources, dtype=torch.float64, requires_grad=True)
    factor = torch.randn(4, 2, 5, sources, dtype=torch.float64)
    ours, theirs = _softmax(scores), scores.softmax(-1)
    assert difference(ours, theirs) <= TOLERANCE
    (a,) = torch.autograd.grad((ours * factor).sum(), scores)
    (b,) = torch.autograd.grad((theirs * factor).sum(), scores)
    assert difference(a, b) <= TOLERANCE
