"""A text model in the explorer: the numbers of `text next` and `text attend`."""

import numpy as np
import pytest

from spatioformer.common.errors import ModelError
from spatioformer.viewer.explorer.packing import unpacked
from spatioformer.viewer.explorer.text import MOST_TOKENS, TextExplorer
from tests.helpers import text as known


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "gpt"
    known.random_model().save(path, [{"step": 1, "training_loss": 3.0, "validation_loss": 4.0}])
    return path


@pytest.fixture(scope="module")
def explorer(folder):
    return TextExplorer(folder)


def test_facts(explorer):
    facts = explorer.facts()
    assert (facts["kind"], facts["causal"], facts["most"]) == ("text", True, 32)
    assert (facts["layers"], facts["heads"], facts["width"]) == (2, 2, 24)
    assert facts["training"]["lines"]["validation_loss"] == [4.0]
    explorer.read(facts["sentence"])


def test_reading(explorer):
    text = "El rey come pan ."
    answer, reading = explorer.read(text), explorer.model.read(text)
    assert answer["tokens"] == reading.tokens
    np.testing.assert_array_equal(unpacked(answer["scores"]), reading.scores)
    weights = unpacked(answer["weights"])
    np.testing.assert_allclose(weights, reading.weights, atol=1e-4)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-3)
    scores = np.where(np.tril(np.ones(weights.shape[2:])), unpacked(answer["scores"]), -np.inf)
    again = np.exp(scores - scores.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(weights, again / again.sum(axis=-1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_next_tokens(explorer, temperature):
    """The softmax of the sent logits gives the probabilities of `text next`."""
    text = "El rey"
    following = explorer.read(text)["next"]
    logits = unpacked(following["logits"])
    shares = np.exp((logits - logits.max()) / temperature)
    shares /= shares.sum()
    expected = explorer.model.next(text, 5, temperature)
    assert following["names"][:5] == [name for name, _ in expected]
    np.testing.assert_allclose(shares[:5], [share for _, share in expected], rtol=1e-5)
    assert len(logits) == len(explorer.model.tokenizer)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no tokens"),
        ("rey " * 40, "tokens, and the page shows at most 32"),
        ("r" * 2001, "2,001 characters"),
    ],
)
def test_refused(explorer, text, message):
    with pytest.raises(ModelError, match=message):
        explorer.read(text)


def test_encoder(tmp_path):
    """An encoder attends in both directions and predicts no token."""
    explorer = TextExplorer(known.write_encoder(tmp_path / "bert"))
    answer = explorer.read("rey come pan")
    assert answer["next"] is None
    assert not answer["causal"]
    weights = unpacked(answer["weights"])
    assert (weights[:, :, 0, 1:] > 0).any()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-3)
    assert len(answer["tokens"]) == weights.shape[-1] <= MOST_TOKENS
