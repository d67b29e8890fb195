"""Corpora, SWORD modules and tokenizers: known answers and round trips."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatioformer.common.errors import ModelError

pytest.importorskip("tokenizers")

from spatioformer.text.corpus import BLOCKS, CorpusError, read_corpus, split
from spatioformer.text.sword import read_sword
from spatioformer.text.tokenizer import Tokenizer
from tests.helpers.text import CORPUS, write_sword

SPARV = Path("/usr/share/sword/mods.d/spaRV1909eb.conf")
GENESIS = [
    '<div type="book"/> <title level="1" type="main">Génesis</title>',
    '<chapter n="1" osisID="Gen.1" sID="Gen.1"/>',
    '<w lemma="strong:H7225">EN el principio</w> <w>crió</w> <w>Dios</w>. ',
    "<w>Y dijo</w>: &lt;Sea&gt;\n <w>la luz</w><transChange>también</transChange><w>fué</w> ",
    '<chapter eID="Gen.1"/><chapter n="2" sID="Gen.2"/>',
    "pregunt<transChange>ándo</transChange>le &amp; más",
]


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return Tokenizer.train_bpe(CORPUS, 320)


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return Tokenizer.train_words(CORPUS, 12)


class TestSword:
    def test_markup_becomes_verses(self, tmp_path):
        conf = write_sword(tmp_path, {"ot": [GENESIS], "nt": [["Uno"], ["Dos", "Tres"]]})
        assert read_sword(conf) == (
            "EN el principio crió Dios.\n"
            "Y dijo: <Sea> la luz también fué\n"
            "\n"
            "preguntándole & más\n"
            "Uno\nDos\nTres\n"
        )
        assert read_corpus([conf]) == read_sword(conf)

    def test_one_testament_is_enough(self, tmp_path):
        assert read_sword(write_sword(tmp_path, {"nt": [["Uno"]]})) == "Uno\n"

    @pytest.mark.parametrize(
        ("key", "value"), [("ModDrv", "RawText"), ("CompressType", "LZSS"), ("Encoding", "Latin-1")]
    )
    def test_other_formats_are_refused(self, tmp_path, key, value):
        conf = write_sword(tmp_path, {"nt": [["Uno"]]}, **{key: value})
        with pytest.raises(CorpusError, match=f"its {key} is {value}, only"):
            read_corpus([conf])

    def test_damaged_and_absent_modules(self, tmp_path):
        conf = write_sword(tmp_path, {"nt": [["Uno " * 50]]})
        verses = tmp_path / "modules" / "nt.bzz"
        verses.write_bytes(verses.read_bytes()[:9])
        with pytest.raises(CorpusError, match=r"nt\.bz\* are damaged"):
            read_corpus([conf])
        verses.unlink()
        with pytest.raises(CorpusError, match=r"no ot\.bzz or nt\.bzz"):
            read_corpus([conf])

    def test_reina_valera(self):
        if not SPARV.exists():
            pytest.skip("sword-text-sparv is not installed: the real module is not read")
        text = read_sword(SPARV)
        assert len(text) == 3_813_021
        assert text.startswith("EN el principio crió Dios los cielos y la tierra.\nY la tierra")
        assert text.endswith("sea con todos vosotros. Amén.\n")
        assert text.count("\n\n") == 1188  # 1,189 chapters
        assert "<" not in text
        assert "&" not in text


class TestCorpus:
    def test_files_are_joined(self, tmp_path):
        for name, text in (("a", "uno\n"), ("b", "dos\n")):
            (tmp_path / name).write_text(text)
        assert read_corpus([tmp_path / "a", tmp_path / "b"]) == "uno\n\n\ndos\n"

    def test_the_spanish_module(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SWORD_PATH", str(tmp_path))
        with pytest.raises(CorpusError, match=r"spaRV1909eb\.conf is not installed; run apt-get"):
            read_corpus(["spanish"])
        conf = write_sword(tmp_path, {"nt": [["Uno", "dos"]]})
        conf.rename(conf.with_name("spaRV1909eb.conf"))
        assert read_corpus(["spanish"]) == "Uno\ndos\n"

    def test_bad_files(self, tmp_path):
        (tmp_path / "empty.txt").write_text(" \n")
        (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
        with pytest.raises(CorpusError, match=r"empty\.txt is empty; give files with text"):
            read_corpus([tmp_path / "empty.txt"])
        with pytest.raises(CorpusError, match=r"latin\.txt is not UTF-8 text \(byte 3\)"):
            read_corpus([tmp_path / "latin.txt"])
        with pytest.raises(CorpusError, match=r"absent\.txt cannot be read"):
            read_corpus([tmp_path / "absent.txt"])

    @settings(max_examples=30, deadline=None)
    @given(st.text(max_size=400), st.floats(0.01, 0.99), st.integers(0, 9))
    def test_split_loses_nothing(self, text, share, seed):
        training, validation = split(text, share, seed)
        assert sorted(training + validation) == sorted(text)
        assert (training, validation) == split(text, share, seed)

    def test_split_holds_out_whole_stretches_from_everywhere(self):
        text = "".join(f"{i} " for i in range(20_000))
        training, validation = split(text, 0.1, seed=0)
        assert 0.095 < len(validation) / len(text) < 0.105
        held = [int(number) for number in validation.split()]
        assert not set(held) & {int(number) for number in training.split()}
        seams = sum(b - a != 1 for a, b in itertools.pairwise(held))
        assert 10 <= seams < BLOCKS / 10  # 20 stretches, a few of them neighbours
        assert min(held) < 4000
        assert max(held) > 16_000
        assert split(text, 0.1, seed=1) != (training, validation)


class TestBPE:
    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=40))
    def test_every_text_comes_back(self, bpe, text):
        assert bpe.decode(bpe.encode(text)) == text

    def test_merges_are_learnt(self, bpe):
        assert len(bpe) == 296  # no pair is left to merge
        assert [bpe.show(i) for i in bpe.encode("El rey come café .\n")] == [
            *("El", "·rey", "·come", "·café", "·.", "⏎")
        ]
        assert len(bpe.encode("xyz")) == 3

    def test_encoding_line_by_line_changes_nothing(self, bpe, words):
        text = CORPUS + "\n\nsin fin"
        assert bpe.encode_lines(text) == bpe.encode(text)
        assert words.encode_lines(text) == words.encode(text)

    def test_spans_point_into_the_text(self, bpe):
        text = "niño café"
        ids, spans = bpe.encode_spans(text)
        assert ids == bpe.encode(text)
        assert [text[a:b] for a, b in spans][-1].strip() == "café"

    def test_file_and_json(self, bpe, tmp_path):
        bpe.save(tmp_path / "tokenizer.json")
        for copy in (
            Tokenizer.load(tmp_path / "tokenizer.json"),
            Tokenizer.from_json(bpe.to_json()),
        ):
            assert copy.encode(CORPUS) == bpe.encode(CORPUS)
            assert copy.to_json() == bpe.to_json()

    def test_whole_words(self, bpe):
        assert {"rey", "reina", "niño", "sueña"} <= set(bpe.words())
        assert all(word.isalpha() and len(word) > 1 for word in bpe.words())
        assert bpe.word("niño") == bpe.words()["niño"] == bpe.encode(" niño")[0]
        assert bpe.word("El") == bpe.encode("El")[0]  # it stands at the start of lines only
        assert bpe.word("elefante") is None

    def test_the_word_in_running_text_comes_first(self):
        tokenizer = Tokenizer.train_bpe("sol sol sol\n" * 9, 300)
        assert tokenizer.encode("sol") != tokenizer.encode(" sol")
        assert tokenizer.word("sol") == tokenizer.encode(" sol")[0]

    def test_bad_input(self, tmp_path):
        with pytest.raises(ModelError, match="a vocabulary of 256 has no room"):
            Tokenizer.train_bpe(CORPUS, 256)
        with pytest.raises(ModelError, match=r"cannot be read .* tokenizer\.json"):
            Tokenizer.load(tmp_path / "tokenizer.json")
        with pytest.raises(ModelError, match=r"tokenizer\.json is damaged"):
            Tokenizer.from_json('{"model": ')


class TestWords:
    def test_frequent_words_stay_and_the_rest_is_unknown(self, words):
        assert len(words) == 12
        shown = [words.show(i) for i in words.encode("El rey come elefantes .\n")]
        assert shown[0] == "El"
        assert shown[3:] == ["<unk>", "·.", "⏎"]
        assert words.word("elefantes") is None

    def test_known_text_comes_back(self):
        tokenizer = Tokenizer.train_words(CORPUS, 100)
        assert tokenizer.decode(tokenizer.encode(CORPUS)) == CORPUS

    def test_truncation_and_padding_of_a_file_are_switched_off(self, words):
        words._inner.enable_padding(length=9)
        words._inner.enable_truncation(2)
        assert len(Tokenizer(words._inner).encode("El rey come .")) == 4
