"""What the tests of the networks share: the measure of agreement, and weights carried over."""

import dataclasses

import torch
from torch import Tensor, nn

from spatioformer.nn.transformer import BlockConfig, Transformer

# Distinct primes, so that a swapped axis cannot hide; the width is heads x head width.
BATCH, TOKENS, HEADS, HEAD_WIDTH, HIDDEN, LAYERS = 3, 11, 5, 7, 13, 2
WIDTH = HEADS * HEAD_WIDTH
TOLERANCE = 1e-12
ACTIVATIONS = {
    "relu": nn.functional.relu,
    "gelu": nn.functional.gelu,
    "gelu_tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
}


def difference(ours: Tensor, theirs: Tensor) -> float:
    """max |ours - theirs| / max |theirs|, also printed: `pytest -rP` shows it."""
    assert ours.shape == theirs.shape
    value = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    print(f"difference {value:.1e}")
    return value


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and statistic random: no zero bias and no unit norm that could hide a bug."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            lowest = 0.5 if name.endswith("running_var") else -0.5
            draw = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + lowest
            tensor.copy_(draw)
    return module


def block_config(**switches) -> BlockConfig:
    return dataclasses.replace(BlockConfig(WIDTH, HEADS, HIDDEN), **switches)


def torch_encoder(config: BlockConfig, layers: int = LAYERS) -> nn.TransformerEncoder:
    """The same network as `Transformer(config, layers)`, of torch's own layers."""
    layer = nn.TransformerEncoderLayer(
        config.width,
        config.heads,
        config.hidden,
        config.dropout,
        ACTIVATIONS[config.activation],
        config.eps,
        batch_first=True,
        norm_first=config.norm == "pre",
        bias=config.bias,
    )
    norm = config.norm_layer() if config.norm == "pre" else None
    return nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)


def load_torch_encoder(ours: Transformer, theirs: nn.TransformerEncoder) -> None:
    """Give our stack the weights of torch's."""
    renamed = {}
    for name, tensor in theirs.state_dict().items():
        for their_part, our_part in (
            ("layers.", "blocks."),
            ("self_attn.in_proj_", "attention.qkv."),
            ("self_attn.out_proj", "attention.out"),
            ("linear1", "mlp.up"),
            ("linear2", "mlp.down"),
            ("norm1", "attention_norm"),
            ("norm2", "mlp_norm"),
        ):
            name = name.replace(their_part, our_part)
        renamed[name] = tensor
    ours.load_state_dict(renamed)
