"""A text transformer of the GPT-2 kind: each token predicts the next.

Shapes: B batch, T tokens, V vocabulary, C context (longest sequence), D width.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; weights and
names as in Hugging Face transformers' GPT2LMHeadModel.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.dropout import Dropout
from spatioformer.nn.layouts import Layout
from spatioformer.nn.positions import LearnedPositions, SinusoidalPositions
from spatioformer.nn.pretrained import activation_of, read_folder, size, write_folder
from spatioformer.nn.sampling import sample
from spatioformer.nn.transformer import Activation, BlockConfig, Past, Pattern, Transformer

WORTH_LAYING_OUT = 32  # new tokens from which a rearranged copy of the weights saves time
PositionKind = Literal["learned", "sinusoidal"]
POSITIONS = {"learned": LearnedPositions, "sinusoidal": SinusoidalPositions}
ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}
GPT2 = Layout(
    model="a GPT-2",
    tensors={
        "embedding.weight": "transformer.wte.weight",
        "positions.weight": "transformer.wpe.weight",
    },
    modules={"transformer.norm": "transformer.ln_f"},
    their_block="transformer.h.{}",
    block_modules={
        "attention_norm": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.out": "attn.c_proj",
        "mlp_norm": "ln_2",
        "mlp.up": "mlp.c_fc",
        "mlp.down": "mlp.c_proj",
    },
    transposed=frozenset({"attention.qkv", "attention.out", "mlp.up", "mlp.down"}),
)


class GPTConfig(TypedDict):
    """Arguments of `GPT`."""

    vocabulary: int
    context: int
    width: int
    heads: int
    layers: int
    mlp_hidden: int
    activation: Activation
    eps: float
    dropout: float
    positions: PositionKind


class GPT(nn.Module):
    """P(next token) = softmax(unembedding . blocks(embedding + position)).

    Pre-norm causal blocks; the unembedding is the embedding matrix (tied).

    Args:
        vocabulary: V.
        context: C.
        width: D, a multiple of `heads`.
        heads: attention heads.
        layers: blocks.
        mlp_hidden: hidden width of each MLP; 4 D unless given.
        activation: of the MLPs.
        eps: of the LayerNorms.
        dropout: rate after the embedding and in the blocks.
        positions: learned, or the fixed sinusoids of Vaswani et al. 2017.

    Attributes:
        config: these arguments, ready for JSON; `GPT(**config)` builds the same.

    Raises:
        ModelError: `heads` does not divide `width`.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        width: int = 256,
        heads: int = 8,
        layers: int = 6,
        mlp_hidden: int | None = None,
        activation: Activation = "gelu_tanh",
        eps: float = 1e-5,
        dropout: float = 0.0,
        positions: PositionKind = "learned",
    ):
        super().__init__()
        mlp_hidden = mlp_hidden or 4 * width
        self.config: GPTConfig = {
            "vocabulary": vocabulary,
            "context": context,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_hidden": mlp_hidden,
            "activation": activation,
            "eps": eps,
            "dropout": dropout,
            "positions": positions,
        }
        block = BlockConfig(
            width,
            heads,
            mlp_hidden,
            causal=True,
            norm="pre",
            activation=activation,
            eps=eps,
            dropout=dropout,
        )
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = POSITIONS[positions](context, width)
        self.dropout = Dropout(dropout)
        self.transformer = Transformer(block, layers)
        self._draw_weights()

    def _draw_weights(self) -> None:
        """Draw N(0, 0.02), divided by sqrt(2 layers) in layers that add to the residual stream."""
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                nn.init.normal_(parameter, std=0.02 / (2 * self.config["layers"]) ** 0.5)
            elif "norm" not in name and name.endswith("weight"):
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        past: list[Past] | None = None,
        record: list[Pattern] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token.

        Args:
            ids: token ids in 0 .. V-1.
            past: from `new_past`, holding the tokens of earlier calls; `ids` follow them.
            record: a list to which each layer's Pattern is appended.

        Raises:
            ModelError: more tokens than the context holds.
        """
        return self.unembed(self.hidden(ids, past, record))

    def hidden(
        self,
        ids: Int[Tensor, "B T"],
        past: list[Past] | None = None,
        record: list[Pattern] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Vectors of the tokens in their context, which `unembed` turns into logits."""
        start = past[0].length if past else 0
        end = start + ids.shape[1]
        if end > self.config["context"]:
            raise ModelError(
                f"{end} tokens do not fit a context of {self.config['context']}; shorten the text "
                "or train a model with a longer context"
            )
        x = self.embedding(ids) + self.positions(ids.shape[1], start)
        return self.transformer(self.dropout(x), record=record, past=past)

    def unembed(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Logits from the vectors of `hidden`."""
        return nn.functional.linear(hidden, self.embedding.weight)

    def new_past(self) -> list[Past]:
        """An empty cache of keys and values, one Past for each layer."""
        return [Past(self.config["context"]) for _ in self.transformer.blocks]

    def generate(
        self,
        ids: Int[Tensor, "B T"],
        count: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Int[Tensor, "B new"]:
        """Generate `count` tokens after `ids`; the arguments are those of `stream`."""
        return torch.stack(list(self.stream(ids, count, temperature, top_k, top_p, seed)), dim=1)

    @torch.inference_mode()
    def stream(
        self,
        ids: Int[Tensor, "B T"],
        count: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Iterator[Int[Tensor, "B"]]:
        """Yield `count` tokens one by one, each computed from the cached keys of those before.

        Args:
            ids: the prompt.
            count: how many tokens to add.
            temperature: logits are divided by it; 0 takes the likeliest token.
            top_k: draw among the k likeliest tokens only.
            top_p: draw among the fewest tokens whose probabilities reach p together.
            seed: of the draws.

        Raises:
            ModelError: the prompt is empty, prompt and new tokens exceed the context, or a
                sampling argument is out of range.
        """
        context, prompt = self.config["context"], ids.shape[1]
        if prompt == 0:
            raise ModelError("the prompt has 0 tokens; give at least one to continue from")
        if prompt + count > context:
            raise ModelError(
                f"a prompt of {prompt} tokens and {count} new ones exceed the context of "
                f"{context}; shorten the prompt or ask for at most {max(context - prompt, 0)}"
            )
        generator = torch.Generator(ids.device).manual_seed(seed)
        model = laid_out_for_rows(self) if count >= WORTH_LAYING_OUT else self
        past = model.new_past()
        for _ in range(count):
            logits = model.unembed(model.hidden(ids, past)[:, -1])
            token = sample(logits, temperature, top_k, top_p, generator)
            yield token
            ids = token[:, None]

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "GPT":
        """The model in a Hugging Face GPT-2 folder (config.json and model.safetensors).

        Raises:
            ModelError: a file is missing or damaged, the model is no GPT-2, or a tensor is
                missing, unexpected or misshapen.
        """
        config, state = read_folder(folder, "gpt2")
        state = _cleaned(state)
        for key, wanted in (
            ("tie_word_embeddings", True),
            ("scale_attn_weights", True),
            ("scale_attn_by_inverse_layer_idx", False),
        ):
            if config.get(key, wanted) != wanted:
                raise ModelError(
                    f"{folder} has {key} = {config[key]}; only {wanted} is supported, so choose "
                    "another model"
                )
        width = size(config, "n_embd", GPT2.model)
        layers = size(config, "n_layer", GPT2.model)
        model = cls(
            vocabulary=size(config, "vocab_size", GPT2.model),
            context=size(config, "n_positions", GPT2.model),
            width=width,
            heads=size(config, "n_head", GPT2.model),
            layers=layers,
            mlp_hidden=config.get("n_inner"),
            activation=activation_of(
                config.get("activation_function", "gelu_new"), ACTIVATIONS, GPT2.model
            ),
            eps=config.get("layer_norm_epsilon", 1e-5),
            dropout=config.get("resid_pdrop", 0.1),
            positions=config.get("positions", "learned"),
        )
        model = model.to(GPT2.tensor(state, "transformer.wte.weight", dims=2).dtype)
        GPT2.load(model, state, layers)
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained` and Hugging Face transformers read.

        Raises:
            OutputError: the folder cannot be written.
        """
        their_activation = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
        config = {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "vocab_size": self.config["vocabulary"],
            "n_positions": self.config["context"],
            "n_embd": self.config["width"],
            "n_head": self.config["heads"],
            "n_layer": self.config["layers"],
            "n_inner": self.config["mlp_hidden"],
            "activation_function": their_activation[self.config["activation"]],
            "layer_norm_epsilon": self.config["eps"],
            "attn_pdrop": self.config["dropout"],
            "embd_pdrop": self.config["dropout"],
            "resid_pdrop": self.config["dropout"],
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": None,
            "positions": self.config["positions"],
            "dtype": str(self.embedding.weight.dtype).removeprefix("torch."),
        }
        write_folder(folder, config, GPT2.export(self, self.config["layers"]))


def laid_out_for_rows(model: GPT) -> GPT:
    """A copy whose matrices are stored along their longer side; its outputs are the same.

    A new token is a single row. Its product with a matrix reads the matrix once, which is about
    twice as fast along the longer side (docs/core.md).
    """
    twin = copy.deepcopy(model)
    for parameter in twin.parameters():
        if parameter.ndim == 2 and len(parameter) > parameter.shape[1]:
            parameter.data = parameter.data.t().contiguous().t()
    return twin


def _cleaned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict as GPT2LMHeadModel writes it today.

    Older files lack the prefix `transformer.`, store each layer's causal mask, and repeat the tied
    embedding. A head that differs from the embedding stays and is reported as unexpected.
    """
    if "wte.weight" in state:
        state = {
            name if name.startswith("lm_head.") else f"transformer.{name}": tensor
            for name, tensor in state.items()
        }
    state = {
        name: tensor
        for name, tensor in state.items()
        if not name.endswith((".attn.bias", ".attn.masked_bias"))
    }
    repeated, tied = state.get("lm_head.weight"), state.get("transformer.wte.weight")
    if repeated is not None and tied is not None and torch.equal(repeated, tied):
        del state["lm_head.weight"]
    return state
