"""What the explorer shows of a text model: tokens, attention, next tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.text.model import Reading, TextModel
from spatioformer.viewer.explorer.curves import training_curve
from spatioformer.viewer.explorer.kinds import CONFIG
from spatioformer.viewer.explorer.packing import packed, packed_floats

MOST_TOKENS = 48
"""Largest number of tokens that a table on a page can show."""

MOST_LETTERS = 2000

NAMED = 40
"""Number of the likeliest next tokens that have their names in an answer."""

SAMPLE = ("El", "El perro", "the", "a", "1")
"""Beginnings of a first sentence, of which the first that the tokenizer knows is taken."""


class TextExplorer:
    """A text model as the explorer's page sees it.

    Args:
        folder: from `text train`, or a GPT-2 or BERT folder.

    Raises:
        ModelError: the folder cannot be opened.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        is_encoder = read_json(folder / CONFIG).get("model_type") == "bert"
        self.model = (TextModel.open_encoder if is_encoder else TextModel.open)(folder)

    def facts(self) -> dict[str, Any]:
        """Content of explorer.json."""
        config = self.model.network.config
        return {
            "kind": "text",
            "name": self.folder.resolve().name,
            "causal": self.model.causal,
            "layers": config["layers"],
            "heads": config["heads"],
            "width": config["width"],
            "context": config["context"],
            "vocabulary": len(self.model.tokenizer),
            "most": min(MOST_TOKENS, config["context"]),
            "sentence": self.sentence(),
            "training": training_curve(self.folder),
        }

    def sentence(self) -> str:
        """A first sentence: of a GPT its own likeliest continuation of a beginning it knows."""
        if not self.model.causal:
            return SAMPLE[1]
        for start in SAMPLE:
            ids = self.model.tokenizer.encode(start)
            shown = "".join(self.model.tokenizer.show(i) for i in ids).replace(" ", "")
            if ids and shown == start.replace(" ", ""):
                count = min(8, self.model.network.config["context"] - len(ids))
                more = "".join(self.model.generate(start, max(count, 1), 0.7, seed=1))
                return (start + more).split("\n")[0].strip() or start
        return self.model.tokenizer.show(0)

    def read(self, text: str) -> dict[str, Any]:
        """Tokens, scores, weights and next tokens of a sentence.

        Returns:
            tokens (T,); causal; scores (L, H, T, T), q . k / sqrt(K) before mask and softmax;
            weights (L, H, T, T), rows sum to 1; `next`, None of an encoder, else logits of all
            tokens, the largest first, and `names` of the first NAMED.

        Raises:
            ModelError: the text is empty, or longer than the page or the model can take.
        """
        if len(text) > MOST_LETTERS:
            raise ModelError(
                f"the text has {len(text):,} characters, and the page shows at most "
                f"{MOST_LETTERS:,}; shorten it"
            )
        ids = self.model.ids(text)[0]
        most = min(MOST_TOKENS, self.model.network.config["context"])
        if len(ids) > most:
            raise ModelError(
                f"the text has {len(ids)} tokens, and the page shows at most {most}; shorten it"
            )
        reading = self.model.read(text)
        return {
            "tokens": reading.tokens,
            "causal": reading.causal,
            "scores": packed_floats(reading.scores),
            "weights": packed(reading.weights),
            "next": self._next(reading) if reading.causal else None,
        }

    @torch.inference_mode()
    def _next(self, reading: Reading) -> dict[str, Any]:
        """Logits of the next token, the largest first."""
        gpt = self.model.gpt
        dtype = next(gpt.parameters()).dtype
        last = torch.from_numpy(np.array(reading.vectors[-1:])).to(dtype)
        logits = gpt.unembed(last)[0].float()
        order = torch.argsort(logits, descending=True, stable=True)
        names = [self.model.tokenizer.show(int(i)) for i in order[:NAMED]]
        return {"names": names, "logits": packed_floats(logits[order].numpy())}
