"""Interpolated Kneser-Ney n-grams of token ids: the baseline of a trained network.

Source: Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling".
Each order has one absolute discount, n1 / (n1 + 2 n2).

Shapes: N tokens of text, G different n-grams, V vocabulary.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

ORDER = 3  # a token is predicted from the two tokens before it
DISCOUNT = 0.5  # of an order whose counts give no estimate of it


@dataclass(frozen=True)
class Level:
    """Counts of one order k; an n-gram is one integer, its ids being the digits to the base V.

    Attributes:
        grams, counts: (G,) sorted n-grams and how often they occur. Below the highest order: the
            number of different tokens before them, which is what Kneser and Ney count.
        contexts, totals, types: sorted first k - 1 tokens, the sum of their counts, and the number
            of different tokens after them.
        discount: what is taken off each count, for n-grams that never occurred.
    """

    grams: Int[np.ndarray, "G"]
    counts: Int[np.ndarray, "G"]
    contexts: Int[np.ndarray, "C"]
    totals: Int[np.ndarray, "C"]
    types: Int[np.ndarray, "C"]
    discount: float

    @classmethod
    def of(cls, grams: np.ndarray, counts: np.ndarray, base: int) -> "Level":
        contexts, where, types = np.unique(grams // base, return_inverse=True, return_counts=True)
        totals = np.bincount(where, weights=counts).astype(np.int64)
        once, twice = (int((counts == times).sum()) for times in (1, 2))
        discount = once / (once + 2 * twice) if once and twice else DISCOUNT
        return cls(grams, counts, contexts, totals, types, discount)


class KneserNey:
    """An n-gram model of a sequence of tokens.

    Args:
        ids: (N,) the training text.
        vocabulary: V; ids are below it.
        order: n, the longest n-gram.
    """

    def __init__(self, ids: Int[np.ndarray, "N"], vocabulary: int, order: int = ORDER):
        assert vocabulary**order < 2**63, "an n-gram is one integer of 64 bits"
        assert len(ids) >= order, "there is no n-gram in the text"
        self.base = vocabulary
        grams, counts = np.unique(_grams(ids, vocabulary, order), return_counts=True)
        levels = [Level.of(grams, counts, vocabulary)]
        for k in range(order - 1, 0, -1):
            grams, counts = np.unique(levels[-1].grams % vocabulary**k, return_counts=True)
            levels.append(Level.of(grams, counts, vocabulary))
        self.levels = levels[::-1]  # from order 1 up

    def probabilities(self, ids: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
        """Probability of each token, given those before it in `ids`; the first has none."""
        p = np.full(len(ids), 1 / self.base)
        for k, level in enumerate(self.levels, start=1):
            grams = _grams(ids, self.base, k)
            # The first k - 1 tokens have too few before them, and keep the lower order.
            p[k - 1 :] = self._mixed(level, grams, p[k - 1 :])
        return p

    def _mixed(self, level: Level, grams: np.ndarray, lower: np.ndarray) -> np.ndarray:
        counts = _look_up(level.grams, level.counts, grams)
        contexts = grams // self.base
        totals = _look_up(level.contexts, level.totals, contexts)
        types = _look_up(level.contexts, level.types, contexts)
        own = np.maximum(counts - level.discount, 0) + level.discount * types * lower
        return np.where(totals > 0, own / np.maximum(totals, 1), lower)


def baseline_loss(
    training: Int[np.ndarray, "N"],
    held_out: Int[np.ndarray, "M"],
    vocabulary: int,
    context: int,
    order: int = ORDER,
) -> float:
    """Mean cross-entropy of the n-gram model, nats a token, over the tokens that score a network.

    `training.validation_loss` scores whole windows of `context` tokens after the first one. A
    window's first tokens have little before them there, and all that they need here.
    """
    # Long n-grams of a large vocabulary would not fit an integer.
    order = max(1, min(order, int(62 / math.log2(max(vocabulary, 2)))))
    scored = (len(held_out) - 1) // context * context
    p = KneserNey(training, vocabulary, order).probabilities(held_out[: scored + 1])
    return float(-np.log(p[1:]).mean())


def _grams(ids: np.ndarray, base: int, order: int) -> Int[np.ndarray, "G"]:
    """Each run of `order` ids as one integer; (N - order + 1,)."""
    count = len(ids) - order + 1
    grams = np.zeros(max(count, 0), dtype=np.int64)
    for k in range(order):
        grams = grams * base + ids[k : k + len(grams)]
    return grams


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key, 0 where it is absent; `keys` is sorted."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
