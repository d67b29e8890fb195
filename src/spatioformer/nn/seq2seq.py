"""An encoder-decoder transformer, from the same parts as the other two kinds.

Shapes: B batch, S source tokens, T target tokens, V vocabulary, C context, D width.

Source: Vaswani et al. 2017, with pre-norm blocks.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.dropout import Dropout
from spatioformer.nn.positions import SinusoidalPositions
from spatioformer.nn.transformer import MLP, Attention, BlockConfig, Transformer


class DecoderBlock(nn.Module):
    """Causal attention to the target, attention to the source, MLP; each added to its input."""

    def __init__(self, config: BlockConfig):
        super().__init__()
        self.attention_norm = config.norm_layer()
        self.attention = Attention(replace(config, causal=True))
        self.source_norm = config.norm_layer()
        self.source_attention = Attention(config)
        self.mlp_norm = config.norm_layer()
        self.mlp = MLP(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        source: Float[Tensor, "B S D"],
        source_valid: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        x = x + self.dropout(self.attention(self.attention_norm(x)))
        mixed = self.source_attention(self.source_norm(x), source_valid, source=source)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class Seq2Seq(nn.Module):
    """P(next target token | source, target so far); one embedding for both, tied to the output.

    Args:
        vocabulary: V.
        context: C, for source and target alike.
        width: D, a multiple of `heads`.
        heads: attention heads.
        layers: blocks of the encoder, and of the decoder.
        mlp_hidden: hidden width of each MLP; 4 D unless given.
        dropout: rate after the embeddings and in the blocks.

    Attributes:
        config: these arguments, ready for JSON; `Seq2Seq(**config)` builds the same.

    Raises:
        ModelError: `heads` does not divide `width`.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        mlp_hidden: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        mlp_hidden = mlp_hidden or 4 * width
        self.config = {
            "vocabulary": vocabulary,
            "context": context,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_hidden": mlp_hidden,
            "dropout": dropout,
        }
        block = BlockConfig(width, heads, mlp_hidden, activation="relu", dropout=dropout)
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = SinusoidalPositions(context, width)
        self.dropout = Dropout(dropout)
        self.encoder = Transformer(block, layers)
        self.decoder = nn.ModuleList(DecoderBlock(block) for _ in range(layers))
        self.norm = block.norm_layer()
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def forward(
        self,
        source: Int[Tensor, "B S"],
        target: Int[Tensor, "B T"],
        source_valid: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Logits of the target token after each target token.

        Args:
            source: token ids to read.
            target: token ids written so far, from a start token on.
            source_valid: False marks padding in the source.

        Raises:
            ModelError: more tokens than the context holds.
        """
        return self.decode(self.encode(source, source_valid), target, source_valid)

    def encode(
        self, source: Int[Tensor, "B S"], source_valid: Bool[Tensor, "B S"] | None = None
    ) -> Float[Tensor, "B S D"]:
        """Vectors of the source tokens; each token attends to all others."""
        return self.encoder(self._embed(source), source_valid)

    def decode(
        self,
        encoded: Float[Tensor, "B S D"],
        target: Int[Tensor, "B T"],
        source_valid: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Logits of the target token after each target token, from `encode`'s vectors."""
        x = self._embed(target)
        for block in self.decoder:
            x = block(x, encoded, source_valid)
        return nn.functional.linear(self.norm(x), self.embedding.weight)

    @torch.inference_mode()
    def generate(
        self,
        source: Int[Tensor, "B S"],
        start: int,
        count: int,
        source_valid: Bool[Tensor, "B S"] | None = None,
    ) -> Int[Tensor, "B count"]:
        """Generate `count` tokens after the token `start`, each time the likeliest."""
        encoded = self.encode(source, source_valid)
        target = source.new_full((len(source), 1), start)
        for _ in range(count):
            logits = self.decode(encoded, target, source_valid)[:, -1]
            target = torch.cat([target, logits.argmax(-1, keepdim=True)], dim=1)
        return target[:, 1:]

    def _embed(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, D)."""
        T, context = ids.shape[1], self.config["context"]
        if context < T:
            raise ModelError(f"{T} tokens do not fit a context of {context}; shorten the sequence")
        scaled = self.embedding(ids) * self.config["width"] ** 0.5
        return self.dropout(scaled + self.positions(T))
