"""The transformer core of all models in the project.

Shapes: B batch, T tokens, S source tokens (T unless stated), D width, H heads, K = D / H head
width, F hidden width of the MLP.

Source: Vaswani et al. 2017, "Attention Is All You Need" (equation 1, sections 3.1-3.3); pre-norm
blocks as in Radford et al. 2019 (GPT-2). The post-norm block, the places of its dropout and its
initial weights are those of `torch.nn.TransformerEncoderLayer(batch_first=True)`.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.dropout import Dropout

Activation = Literal["relu", "gelu", "gelu_tanh"]

SHORT = 32
"""Largest number of source tokens for which `_softmax` puts them first."""


@dataclass(frozen=True)
class BlockConfig:
    """Settings of a block, in which GPT-2, ViT, BERT and the published Spatioformer differ.

    Attributes:
        width: D, a multiple of `heads`.
        heads: H.
        hidden: F.
        causal: a token attends to itself and to the tokens before it, not to those after it.
        norm: "pre" normalises the input of each half-block, "post" its sum with the input.
        activation: "gelu" is the exact form, "gelu_tanh" GPT-2's approximation.
        eps: added to the variance in every LayerNorm.
        bias: biases in all linear layers and norms.
        dropout: one rate p in [0, 1] for attention weights, the hidden layer of the MLP and the
            output of each half-block.

    Raises:
        ModelError: `width` is no multiple of `heads`.
    """

    width: int
    heads: int
    hidden: int
    causal: bool = False
    norm: Literal["pre", "post"] = "pre"
    activation: Activation = "gelu"
    eps: float = 1e-5
    bias: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)

    def norm_layer(self) -> nn.LayerNorm:
        return nn.LayerNorm(self.width, eps=self.eps, bias=self.bias)


def check_heads(width: int, heads: int) -> None:
    """Check that heads divide the width.

    Raises:
        ModelError: `width` is no multiple of `heads`.
    """
    if heads < 1 or width % heads:
        raise ModelError(
            f"width {width} cannot be shared by {heads} heads; choose a number of heads that "
            "divides the width"
        )


class Pattern(NamedTuple):
    """Attention scores and weights of one layer."""

    scores: Float[Tensor, "B H T S"]  # q . k / sqrt(K), before the mask
    weights: Float[Tensor, "B H T S"]  # softmax over S of the masked scores; rows sum to 1


class Past:
    """Cache of the keys and values that one causal layer computed for earlier tokens.

    It is for generation: no gradient flows through it.

    Args:
        capacity: C, how many tokens it can hold.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.length = 0

    def append(
        self, k: Float[Tensor, "B H T K"], v: Float[Tensor, "B H T K"]
    ) -> tuple[Float[Tensor, "B H S K"], Float[Tensor, "B H S K"]]:
        """Append the newest tokens; return views of the keys and values of all S tokens so far."""
        if self.length == 0:
            B, H, _, K = k.shape
            self._keys = k.new_empty(B, H, self.capacity, K)
            self._values = v.new_empty(B, H, self.capacity, K)
        start, self.length = self.length, self.length + k.shape[2]
        self._keys[:, :, start : self.length] = k.detach()
        self._values[:, :, start : self.length] = v.detach()
        return self._keys[:, :, : self.length], self._values[:, :, : self.length]


class Attention(nn.Module):
    """Multi-head scaled dot-product attention, softmax(Q K^T / sqrt(K)) V.

    The usual path is torch's fused `scaled_dot_product_attention`. To record patterns, and with
    dropout on a CPU (where the fused function is slower), the product is computed step by step.
    """

    def __init__(self, config: BlockConfig):
        super().__init__()
        self.heads = config.heads
        self.causal = config.causal
        self.qkv = nn.Linear(config.width, 3 * config.width, config.bias)
        self.out = nn.Linear(config.width, config.width, config.bias)
        self.dropout = Dropout(config.dropout)
        nn.init.xavier_uniform_(self.qkv.weight)
        if config.bias:
            nn.init.zeros_(self.qkv.bias)
            nn.init.zeros_(self.out.bias)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        valid: Bool[Tensor, "B S"] | None = None,
        record: list[Pattern] | None = None,
        past: Past | None = None,
        source: Float[Tensor, "B S D"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Attend from the tokens of `x` to those of `source`, or to those of `x` itself.

        Args:
            x: tokens that make the queries.
            valid: False marks padding among the keys; at least one key must remain for each query.
            record: a list to which this layer's Pattern is appended.
            past: cache of the tokens before `x`; `x` is appended to it.
            source: tokens that make the keys and values (cross-attention); `x` unless given.
        """
        q, k, v = self._project(x, source)
        if past is not None:
            k, v = past.append(k, v)
        mask = None if valid is None else valid[:, None, None, :]  # (B, 1, 1, S)
        if record is not None or (self.dropout.active and x.device.type == "cpu"):
            mixed = self._attend_step_by_step(q, k, v, mask, record)
        else:
            mixed = self._attend_fused(q, k, v, mask)
        return self.out(mixed.transpose(1, 2).flatten(2))  # (B, H, T, K) -> (B, T, D)

    def _project(self, x: Tensor, source: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, K), keys and values (B, H, S, K)."""
        if source is None:
            q, k, v = self._split(self.qkv(x), 3)
            return q, k, v
        width = x.shape[-1]
        weights = self.qkv.weight.split([width, 2 * width])
        biases = (None, None) if self.qkv.bias is None else self.qkv.bias.split([width, 2 * width])
        (q,) = self._split(F.linear(x, weights[0], biases[0]), 1)
        k, v = self._split(F.linear(source, weights[1], biases[1]), 2)
        return q, k, v

    def _split(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(B, T, parts * H * K) -> parts x (B, H, T, K)."""
        # Chunks, not one permutation: their gradients then need a single copy.
        chunks = projected.chunk(parts, -1)
        return tuple(chunk.unflatten(-1, (self.heads, -1)).transpose(1, 2) for chunk in chunks)

    def _attend_fused(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        # A single query after others is the newest token and attends to all. torch's own causal
        # mask aligns the first query with the first key, so it is right for square patterns only.
        square = bool(q.shape[-2] == k.shape[-2])  # symbolic, where a graph is exported
        causal = self.causal and (square or q.shape[-2] > 1)
        is_causal = causal and mask is None and square
        if causal and not is_causal:
            mask = _causal_mask(q, k) if mask is None else mask & _causal_mask(q, k)
        p = self.dropout.p if self.dropout.active else 0.0
        return F.scaled_dot_product_attention(q, k, v, mask, dropout_p=p, is_causal=is_causal)

    def _attend_step_by_step(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, record: list[Pattern] | None
    ) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)  # (B, H, T, S)
        if self.causal:
            causal = _causal_mask(q, k)
            mask = causal if mask is None else mask & causal
        masked = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
        weights = _softmax(masked)
        if record is not None:
            record.append(Pattern(scores, weights))
        return self.dropout(weights) @ v


def _softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dimension, (B, H, T, S).

    On a CPU torch takes short rows one by one; with S as the first dimension it takes many at once,
    which is four times as fast at S = 10, forward and backward.
    """
    if scores.device.type != "cpu" or scores.shape[-1] > SHORT:
        return scores.softmax(-1)
    return scores.permute(3, 0, 1, 2).contiguous().softmax(0).permute(1, 2, 3, 0).contiguous()


def _causal_mask(q: Tensor, k: Tensor) -> Tensor:
    """(T, S), True where the key is not later than the query; the last query is at the last key."""
    T, S = q.shape[-2], k.shape[-2]
    return torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)


class MLP(nn.Module):
    """Two linear layers with an activation between, token by token: D -> F -> D."""

    def __init__(self, config: BlockConfig):
        super().__init__()
        self.up = nn.Linear(config.width, config.hidden, config.bias)
        self.down = nn.Linear(config.hidden, config.width, config.bias)
        self.activation = config.activation
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        # On (B*T, D) the linear layer returns a new tensor, which ReLU may overwrite.
        hidden = self.up(x.flatten(0, -2))
        return self.down(self.dropout(_activate(hidden, self.activation))).view(x.shape)


def _activate(x: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        # A backward hook on the linear layer makes x a view, which must not be overwritten;
        # a compiler cannot ask for that and needs no in-place operation.
        in_place = not (torch.compiler.is_compiling() or x._is_view())
        return F.relu(x, inplace=in_place)
    return F.gelu(x, approximate="tanh" if activation == "gelu_tanh" else "none")


class Block(nn.Module):
    """Attention then MLP, each added to its input."""

    def __init__(self, config: BlockConfig):
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.attention_norm = config.norm_layer()
        self.attention = Attention(config)
        self.mlp_norm = config.norm_layer()
        self.mlp = MLP(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        valid: Bool[Tensor, "B S"] | None = None,
        record: list[Pattern] | None = None,
        past: Past | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Apply the block; the arguments are those of `Attention.forward`."""
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.attention_norm(x), valid, record, past))
            return x + self.dropout(self.mlp(self.mlp_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention(x, valid, record, past)))
        return self.mlp_norm(x + self.dropout(self.mlp(x)))


class Transformer(nn.Module):
    """A stack of blocks; pre-norm stacks end with one more LayerNorm."""

    def __init__(self, config: BlockConfig, layers: int):
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(layers))
        self.norm = config.norm_layer() if config.norm == "pre" else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        valid: Bool[Tensor, "B S"] | None = None,
        record: list[Pattern] | None = None,
        past: list[Past] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Apply all layers; `record` receives one Pattern for each layer, `past` holds one Past."""
        for i, block in enumerate(self.blocks):
            x = block(x, valid, record, None if past is None else past[i])
        return self.norm(x)
