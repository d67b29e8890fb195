"""Kneser-Ney n-grams: by hand, as a distribution, and as the baseline of a training."""

import json
import math

import numpy as np
import pytest

from spatioformer.text.ngram import KneserNey, baseline_loss

IDS = np.random.default_rng(0).integers(0, 5, 200)


def by_definition(training: list[int], history: list[int], token: int, base: int) -> float:
    """The interpolated probability, from counts of tuples."""

    def runs(k: int) -> list[tuple[int, ...]]:
        return [tuple(training[i : i + k]) for i in range(len(training) - k + 1)]

    def counts(k: int) -> dict[tuple[int, ...], int]:
        grams = runs(3) if k == 3 else [gram[-k:] for gram in counts(k + 1)]
        return {gram: grams.count(gram) for gram in dict.fromkeys(grams)}

    p = 1 / base
    for k in (1, 2, 3):
        table = counts(k)
        once, twice = (sum(count == n for count in table.values()) for n in (1, 2))
        discount = once / (once + 2 * twice) if once and twice else 0.5
        context = tuple(history[len(history) - k + 1 :])
        after = {gram: count for gram, count in table.items() if gram[:-1] == context}
        if after:
            total = sum(after.values())
            own = max(after.get((*context, token), 0) - discount, 0)
            p = (own + discount * len(after) * p) / total
    return p


def test_as_defined():
    training = IDS[:60].tolist()
    model = KneserNey(np.array(training), 6)
    for text in ([0, 1, 2], [4, 4, 4], [3, 0, 5], [5, 5, 1]):
        expected = by_definition(training, text[:2], text[2], 6)
        assert model.probabilities(np.array(text))[2] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("history", [[], [3], [0, 1], [6, 2], [6, 6]])
def test_sums_to_one(history):
    """Also after contexts that never occurred, and over tokens that never occurred."""
    model = KneserNey(IDS, 7)
    total = sum(model.probabilities(np.array([*history, token]))[-1] for token in range(7))
    assert total == pytest.approx(1, abs=1e-12)


def test_a_known_sequence_is_nearly_certain():
    cycle = np.tile([0, 1, 2, 3], 100)
    assert baseline_loss(cycle, cycle[:41], 4, 10) < 0.02
    # Of independent uniform tokens nothing can be learned.
    noise = np.random.default_rng(1).integers(0, 4, (2, 4000))
    assert baseline_loss(*noise, 4, 10) == pytest.approx(math.log(4), abs=0.05)


def test_the_tokens_of_whole_windows_count():
    """The same as for a network: the first token and an incomplete last window are left out."""
    p = KneserNey(IDS, 5).probabilities(IDS[:21])
    assert baseline_loss(IDS, IDS[:25], 5, 10) == pytest.approx(-np.log(p[1:]).mean(), rel=1e-12)


def test_a_large_vocabulary_lowers_the_order():
    assert baseline_loss(IDS, IDS, 2**40, 10) > 0


@pytest.mark.slow
def test_a_training_states_its_baseline(tmp_path):
    pytest.importorskip("tokenizers")
    from spatioformer.text.recipe import SCORES
    from tests.helpers.text import train

    trained = train(tmp_path / "model")
    scores = json.loads((tmp_path / "model" / SCORES).read_text(encoding="utf-8"))
    assert scores == trained.scores()
    # A sentence of six tokens is one of 36; stretches begin and end in the middle of sentences.
    assert 36 ** (1 / 6) < scores["baseline_perplexity"] < 4
    assert f"perplexity of {scores['baseline_perplexity']:.1f}" in str(trained)
    assert "n-gram baseline" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
