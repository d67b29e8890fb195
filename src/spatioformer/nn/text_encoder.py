"""A bidirectional text encoder of the BERT kind: every token attends to every other.

Shapes: B batch, T tokens, V vocabulary, C context (longest sequence), D width.

Source: Devlin et al. 2019, "BERT"; weights and names as in Hugging Face transformers' BertModel.
"""

from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.dropout import Dropout
from spatioformer.nn.layouts import Layout
from spatioformer.nn.pretrained import activation_of, read_folder, size, write_folder
from spatioformer.nn.transformer import BlockConfig, Pattern, Transformer

BERT = Layout(
    model="a BERT encoder",
    tensors={
        "embedding.weight": "embeddings.word_embeddings.weight",
        "positions.weight": "embeddings.position_embeddings.weight",
        "segments.weight": "embeddings.token_type_embeddings.weight",
    },
    modules={"embedding_norm": "embeddings.LayerNorm"},
    their_block="encoder.layer.{}",
    block_modules={
        "attention.qkv": (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
        ),
        "attention.out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "mlp.up": "intermediate.dense",
        "mlp.down": "output.dense",
        "mlp_norm": "output.LayerNorm",
    },
)
BERT_WITH_POOLER = replace(BERT, modules={**BERT.modules, "pooler": "pooler.dense"})
ACTIVATIONS = {"gelu": "gelu"}


class TextEncoderConfig(TypedDict):
    """Arguments of `TextEncoder`."""

    vocabulary: int
    context: int
    width: int
    heads: int
    layers: int
    mlp_hidden: int
    segments: int
    eps: float
    dropout: float
    pooler: bool


class TextEncoder(nn.Module):
    """Token vectors in their context.

    Post-norm blocks with exact GELU on LayerNorm(word + position + segment).

    Args:
        vocabulary: V.
        context: C.
        width: D, a multiple of `heads`.
        heads: attention heads.
        layers: blocks.
        mlp_hidden: hidden width of each MLP; 4 D unless given.
        segments: number of segment kinds (BERT has two: first and second sentence).
        eps: of the LayerNorms.
        dropout: rate after the embedding and in the blocks.
        pooler: have the linear layer that `pool` needs; many sentence encoders have none.

    Attributes:
        config: these arguments, ready for JSON; `TextEncoder(**config)` builds the same.

    Raises:
        ModelError: `heads` does not divide `width`.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int = 512,
        width: int = 384,
        heads: int = 12,
        layers: int = 6,
        mlp_hidden: int | None = None,
        segments: int = 2,
        eps: float = 1e-12,
        dropout: float = 0.0,
        pooler: bool = True,
    ):
        super().__init__()
        mlp_hidden = mlp_hidden or 4 * width
        self.config: TextEncoderConfig = {
            "vocabulary": vocabulary,
            "context": context,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_hidden": mlp_hidden,
            "segments": segments,
            "eps": eps,
            "dropout": dropout,
            "pooler": pooler,
        }
        block = BlockConfig(
            width, heads, mlp_hidden, norm="post", activation="gelu", eps=eps, dropout=dropout
        )
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.segments = nn.Embedding(segments, width)
        self.embedding_norm = block.norm_layer()
        self.dropout = Dropout(dropout)
        self.transformer = Transformer(block, layers)
        self.pooler = nn.Linear(width, width) if pooler else None
        for module in (self.embedding, self.positions, self.segments):
            nn.init.normal_(module.weight, std=0.02)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | Int[Tensor, "B T"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
        record: list[Pattern] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Vectors of the tokens.

        Args:
            ids: token ids in 0 .. V-1.
            mask: True or 1 for tokens, False or 0 for padding.
            segments: the segment of each token; all 0 unless given.
            record: a list to which each layer's Pattern is appended.

        Raises:
            ModelError: more tokens than the context holds.
        """
        T = ids.shape[1]
        if self.config["context"] < T:
            raise ModelError(
                f"{T} tokens do not fit a context of {self.config['context']}; shorten the text"
            )
        segment = self.segments.weight[0] if segments is None else self.segments(segments)
        x = self.embedding(ids) + self.positions.weight[:T] + segment
        x = self.dropout(self.embedding_norm(x))
        return self.transformer(x, None if mask is None else mask.bool(), record)

    def pool(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """BERT's summary of a sequence: tanh of a linear layer on the first token's vector.

        Raises:
            ModelError: the encoder has no pooler.
        """
        if self.pooler is None:
            raise ModelError(
                "this BERT encoder has no pooler, so there is no pooled vector; use the sentence "
                "vectors (`sentences`) or load a folder that holds pooler.dense"
            )
        return self.pooler(tokens[:, 0]).tanh()

    def sentences(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B D"]:
        """Sentence vectors of length 1, whose dot product is their cosine.

        The mean of the token vectors without padding, as sentence-transformers models such as
        MiniLM are used.
        """
        tokens = self(ids, mask)
        if mask is None:
            return F.normalize(tokens.mean(1), dim=-1)
        weights = mask.to(tokens.dtype)[..., None]
        return F.normalize((tokens * weights).sum(1) / weights.sum(1), dim=-1)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "TextEncoder":
        """The model in a Hugging Face BERT folder (config.json and model.safetensors).

        Task heads that some checkpoints carry beside the encoder (`cls.*`) are not read. A folder
        without a pooler gives an encoder without one.

        Raises:
            ModelError: a file is missing or damaged, the model is no BERT encoder, or a tensor is
                missing, unexpected or misshapen.
        """
        config, state = read_folder(folder, "bert")
        state = _cleaned(state)
        activation_of(config.get("hidden_act", "gelu"), ACTIVATIONS, BERT.model)
        kind = config.get("position_embedding_type", "absolute")
        if kind != "absolute":
            raise ModelError(
                f"{folder} has {kind!r} positions; only 'absolute' is supported, so choose another "
                "model"
            )
        layers = size(config, "num_hidden_layers", BERT.model)
        model = cls(
            vocabulary=size(config, "vocab_size", BERT.model),
            context=size(config, "max_position_embeddings", BERT.model),
            width=size(config, "hidden_size", BERT.model),
            heads=size(config, "num_attention_heads", BERT.model),
            layers=layers,
            mlp_hidden=size(config, "intermediate_size", BERT.model),
            segments=size(config, "type_vocab_size", BERT.model),
            eps=config.get("layer_norm_eps", 1e-12),
            dropout=config.get("hidden_dropout_prob", 0.1),
            pooler=any(name.startswith("pooler.") for name in state),
        )
        model = model.to(BERT.tensor(state, "embeddings.word_embeddings.weight", dims=2).dtype)
        model._layout().load(model, state, layers)
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained` and Hugging Face transformers read.

        Raises:
            OutputError: the folder cannot be written.
        """
        config = {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "vocab_size": self.config["vocabulary"],
            "max_position_embeddings": self.config["context"],
            "hidden_size": self.config["width"],
            "num_attention_heads": self.config["heads"],
            "num_hidden_layers": self.config["layers"],
            "intermediate_size": self.config["mlp_hidden"],
            "type_vocab_size": self.config["segments"],
            "hidden_act": "gelu",
            "layer_norm_eps": self.config["eps"],
            "hidden_dropout_prob": self.config["dropout"],
            "attention_probs_dropout_prob": self.config["dropout"],
            "position_embedding_type": "absolute",
            "dtype": str(self.embedding.weight.dtype).removeprefix("torch."),
        }
        write_folder(folder, config, self._layout().export(self, self.config["layers"]))

    def _layout(self) -> Layout:
        return BERT if self.pooler is None else BERT_WITH_POOLER


def _cleaned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict as BertModel writes it today.

    Checkpoints with task heads have the prefix `bert.`; older files store the position numbers and
    call the weights of a LayerNorm gamma and beta.
    """
    cleaned = {}
    for name, tensor in state.items():
        if name.startswith("cls.") or name.endswith("embeddings.position_ids"):
            continue
        name = name.removeprefix("bert.")
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        cleaned[name.replace("LayerNorm.beta", "LayerNorm.bias")] = tensor
    return cleaned
