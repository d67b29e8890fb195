"""Word vectors: files, known geometry, and the real table of wordllama."""

import numpy as np
import pytest

from spatioformer.common.errors import ModelError

pytest.importorskip("tokenizers")

from spatioformer.text.vectors import WordVectors, model_vectors, open_vectors
from tests.helpers.text import random_model

# Gender on the first axis, royalty on the second, size on the third.
WORDS = {
    "rey": (1, 1, 0),
    "reina": (-1, 1, 0),
    "hombre": (1, 0, 0),
    "mujer": (-1, 0, 0),
    "gato": (0, 0, 1),
    "Reina": (-1, 1, 0.1),
}


def table() -> WordVectors:
    return WordVectors.of(list(WORDS), np.array(list(WORDS.values()), float), "the table")


def write(path, header: bool, scale: float = 1.0):
    lines = [f"{len(WORDS)} 3"] if header else []
    lines += [f"{w} " + " ".join(str(scale * v) for v in xyz) for w, xyz in WORDS.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class TestGeometry:
    def test_analogy(self):
        (best, cosine), *_ = table().analogy("rey", "hombre", "mujer", 3)
        wanted = np.array([1, 1, 0]) / np.sqrt(2) - [2, 0, 0]
        assert best == "reina"
        assert cosine == pytest.approx(
            wanted @ [-1, 1, 0] / np.sqrt(2) / np.linalg.norm(wanted), rel=1e-6
        )
        assert table().rank("rey", "hombre", "mujer", "Reina") == 2

    def test_the_question_is_no_answer(self):
        words = [word for word, _ in table().analogy("reina", "mujer", "hombre", 9)]
        assert words == ["rey", "gato"]  # not "Reina" either
        with pytest.raises(ModelError, match="'reina' is one of the three words"):
            table().rank("reina", "mujer", "hombre", "reina")

    def test_neighbours(self):
        found = table().neighbours("rey", 2)
        assert found[0][0] == "hombre"
        assert found[0][1] == pytest.approx(np.sqrt(0.5))
        assert len(table().neighbours("rey", 99)) == len(WORDS) - 1

    def test_case_and_unknown_words(self):
        assert table().neighbours("REY", 1) == table().neighbours("rey", 1)
        with pytest.raises(ModelError, match=r"'hombres' is not one of the 6 .* mean hombre"):
            table().neighbours("hombres", 1)
        with pytest.raises(ModelError, match="in the table; choose another word"):
            table().analogy("rey", "xyzzy", "mujer", 1)

    def test_zero_vectors_and_repetitions_are_left_out(self):
        vectors = WordVectors.of(
            ["a", "b", "a", "c"], np.array([[3, 4], [0, 0], [1, 0], [0, 2]]), ""
        )
        assert vectors.rows == {"a": 0, "c": 1}
        assert vectors.directions == pytest.approx(np.array([[0.6, 0.8], [0, 1]]))


class TestFiles:
    @pytest.mark.parametrize("header", [True, False])
    def test_word2vec_and_glove_text(self, tmp_path, header):
        vectors = open_vectors(str(write(tmp_path / "v.txt", header, scale=7.0)))
        assert vectors.rows == table().rows
        assert np.allclose(vectors.directions, table().directions)

    def test_words_with_spaces(self, tmp_path):
        (tmp_path / "v.txt").write_text("uno 1 2\n. . . 3 4\n")
        assert list(open_vectors(str(tmp_path / "v.txt")).rows) == ["uno", ". . ."]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("uno 1 2\ndos 3\n", "line 2 has 1 numbers, not 2"),
            ("uno 1 dos\n", "could not convert"),
            ("", "numbers, not 0|it holds no vectors"),
            ("1 2\n", "it holds no vectors"),
            ("uno dos tres\nuno\n", "could not convert"),
        ],
    )
    def test_damaged_files(self, tmp_path, content, said):
        (tmp_path / "v.txt").write_text(content)
        with pytest.raises(ModelError, match=f"cannot be read as word vectors .*({said})"):
            open_vectors(str(tmp_path / "v.txt"))

    def test_absent_file(self, tmp_path):
        with pytest.raises(ModelError, match="No such file"):
            open_vectors(str(tmp_path / "absent.txt"))


def test_a_models_embedding():
    model = random_model()
    vectors = model_vectors(model, "the model")
    row = model.network.embedding.weight[model.tokenizer.word("rey")].detach().numpy()
    assert np.allclose(vectors.directions[vectors.row("rey")], row / np.linalg.norm(row), atol=1e-6)
    assert set(vectors.rows) == set(model.tokenizer.words())


def test_wordllama():
    try:
        vectors = open_vectors("wordllama")
    except ModelError as error:
        pytest.skip(f"wordllama is not tested: {error}")
    assert vectors.directions.shape == (15_898, 256)
    assert vectors.neighbours("Paris", 1)[0][0] == "France"
    assert vectors.rank("bigger", "big", "small", "smaller") == 1
    assert vectors.rank("padre", "hombre", "mujer", "madre") == 1
    assert vectors.rank("king", "man", "woman", "queen") == 9  # the famous one does not hold here
