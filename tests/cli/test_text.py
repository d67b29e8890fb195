"""`spatioformer text ...`: every command runs, and every mistake is one sentence."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("tokenizers")

from spatioformer.cli.text import app
from spatioformer.text.model import TextModel
from tests.helpers.text import CORPUS, train, write_encoder

SIZES = {"vocabulary": 300, "context": 16, "width": 16, "heads": 2, "layers": 1}
TINY = [f"--{name}={value}" for name, value in (SIZES | {"steps": 3, "batch": 2}).items()]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "model"
    train(folder)
    return folder


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(CORPUS, encoding="utf-8")
    return path


def run(*arguments, exit_code: int = 0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output
    return result


def refused(*arguments) -> str:
    """The one sentence that a mistake gets."""
    lines = run(*arguments, exit_code=2).stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


class TestCommands:
    def test_train_then_use(self, corpus, tmp_path):
        out = tmp_path / "runs" / "model"
        result = run("train", corpus, "--out", out, *TINY)
        assert result.stdout == ""
        assert "validation loss" in result.stderr.splitlines()[-1]
        assert run("train", corpus, "--out", out, *TINY, "--quiet").stderr == ""
        first = run("generate", "El", "--model", out, "--count", 5, "--seed", 1).stdout
        assert first.startswith("El")
        assert run("generate", "El", "--model", out, "--count", 5, "--seed", 1).stdout == first

    def test_next(self, model):
        lines = run("next", "El perro mira", "--model", model, "--top", 3).stdout.splitlines()
        assert {line.split()[0] for line in lines} == {"·pan", "·café", "·luna"}
        assert lines[0].endswith("█" * 40)
        assert all("%" in line for line in lines)

    def test_generate_follows_the_grammar(self, model):
        text = run("generate", "El rey", "--model", model, "--top-k", 3).stdout
        words = text.split()
        assert words[2] in ("come", "mira", "sueña")
        assert words[3] in ("pan", "café", "luna")
        assert words[4] == "."

    def test_attend(self, model, tmp_path):
        out = tmp_path / "attend.png"
        text = "El niño sueña luna ."
        output = run(
            "attend", text, "--model", model, "--layer", 2, "--head", 4, "--out", out
        ).stdout
        assert "softmax of each row, layer 2, head 4" in output
        assert "\x1b" not in output
        assert out.read_bytes().startswith(b"\x89PNG")
        run("attend", text, "--encoder", write_encoder(tmp_path / "bert"))

    def test_trace(self, model, tmp_path):
        out = tmp_path / "trace.png"
        text = "El niño sueña luna"
        output = run("trace", text, "-m", model, "--layer", 2, "--head", 4, "-o", out).stdout
        assert "Queries, layer 2, head 4" in output
        assert out.read_bytes().startswith(b"\x89PNG")
        likeliest = run("next", text, "-m", model, "--top", 1).stdout.split()[:2]
        (first,) = (line.split() for line in output.splitlines() if line.endswith("█" * 30))
        assert [first[0], first[2]] == likeliest
        numbers = json.loads(run("trace", text, "-m", model, "--json", "--layer", 2).stdout)
        assert numbers["tokens"] == ["El", "·niño", "·sueña", "·luna"]
        assert "layer1.input" not in numbers["steps"]
        pattern = np.array(numbers["steps"]["layer2.pattern"]["values"])
        reading = TextModel.open(model).read(text)
        np.testing.assert_array_equal(pattern.astype(np.float32), reading.weights[1])
        encoder = write_encoder(tmp_path / "bert")
        assert "[CLS]" in run("trace", "El rey", "--encoder", encoder).stdout
        assert "layer 3, head 1 do not exist" in refused("trace", "El", "-m", model, "--layer", 3)
        assert "has no tokens" in refused("trace", "", "-m", model)

    def test_neighbours_and_analogy(self, model, tmp_path):
        assert len(run("neighbours", "rey", "--model", model, "--top", 4).stdout.splitlines()) == 4
        assert len(run("analogy", "rey", "pan", "luna", "--model", model).stdout.splitlines()) == 5
        vectors = tmp_path / "vectors.txt"
        vectors.write_text("rey 1 1\nhombre 1 0\nmujer -1 0\nreina -1 1\n")
        output = run("analogy", "rey", "hombre", "mujer", "--vectors", vectors).stdout
        assert output.split()[0] == "reina"

    def test_senses(self, model, tmp_path):
        file, out = tmp_path / "senses.tsv", tmp_path / "senses.png"
        file.write_text("a\tEl rey come pan .\nb\tEl rey mira luna .\n", encoding="utf-8")
        # A causal model has read the same before the word: the same vector.
        assert "  1 a           1.00  1.00" in run("senses", "rey", file, "--model", model).stdout
        encoder = write_encoder(tmp_path / "bert")
        run("senses", "rey", file, "--encoder", encoder, "--out", out)
        assert out.read_bytes().startswith(b"\x89PNG")

    def test_help_shows_every_command(self):
        output = run("--help").stdout
        for name in (
            "train",
            "next",
            "generate",
            "attend",
            "trace",
            "neighbours",
            "analogy",
            "senses",
        ):
            assert name in output
            run(name, "--help")


class TestMistakes:
    def test_corpora(self, corpus, tmp_path):
        (tmp_path / "empty.txt").write_text("")
        train = ("train", "--out", tmp_path / "model")
        assert "is empty; give files with text" in refused(*train, tmp_path / "empty.txt")
        (tmp_path / "short.txt").write_text("Muy corto.")
        assert "fewer than a context of 128 needs" in refused(*train, tmp_path / "short.txt")
        assert "cannot be read" in refused(*train, tmp_path / "absent.txt")
        assert "width 20 cannot be shared by 6 heads" in refused(
            *train, corpus, "--width", 20, "--context", 16
        )
        assert not (tmp_path / "model").exists()

    def test_prompts(self, model):
        assert "do not fit a context of 12" in refused("next", "El " * 13, "--model", model)
        assert "exceed the context of 12" in refused("generate", "El " * 13, "--model", model)
        assert "exceed the context of 12" in refused(
            "generate", "El", "--model", model, "--count", 40
        )
        assert "has no tokens" in refused("generate", "", "--model", model)
        assert "temperature -1.0 cannot" in refused(
            "generate", "El", "--model", model, "--temperature", -1
        )

    def test_words(self, model, tmp_path):
        assert "'reyes' is not one of the" in refused(
            "analogy", "reyes", "niño", "reina", "--model", model
        )
        assert "cannot be read as word vectors" in refused(
            "neighbours", "rey", "--vectors", tmp_path / "absent.txt"
        )
        (tmp_path / "senses.tsv").write_text("sin ella\n")
        assert "0 lines of" in refused("senses", "rey", tmp_path / "senses.tsv", "--model", model)

    def test_models(self, model, tmp_path):
        encoder = write_encoder(tmp_path / "bert")
        assert "of type 'bert'; give one of type 'gpt2'" in refused("next", "El", "-m", encoder)
        assert "of type 'gpt2'" in refused("attend", "El", "--encoder", model)
        assert "config.json cannot be read" in refused("next", "El", "-m", tmp_path / "absent")
        broken = tmp_path / "broken"
        broken.mkdir()
        for file in model.iterdir():
            content = file.read_bytes()
            (broken / file.name).write_bytes(content[:-9] if "safe" in file.name else content)
        assert "cannot be read as safetensors" in refused("next", "El", "-m", broken)

    def test_which_network_and_which_head(self, model):
        for command in (("attend", "El"), ("neighbours", "rey"), ("senses", "rey", "f")):
            assert "either --model" in run(*command, exit_code=2).stderr
        output = run("attend", "El", "--model", model, "--layer", 3, exit_code=2).stderr
        assert "2 layers of 4" in output
