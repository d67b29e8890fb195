"""Training a GPT on text: schedule, losses, checkpoints, and what it learns."""

import csv
import io
import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from typer.main import get_command

from spatioformer.common.errors import ModelError
from spatioformer.nn import GPT

pytest.importorskip("tokenizers")

from spatioformer.cli.text import app
from spatioformer.common.progress import Console
from spatioformer.text import recipe as text_recipe
from spatioformer.text import training as text_training
from spatioformer.text.corpus import CorpusError
from spatioformer.text.model import TextModel
from spatioformer.text.recipe import train_text
from spatioformer.text.settings import Sizes, TextRecipe
from spatioformer.text.training import TextTask, fit, validation_loss
from spatioformer.training.loop import curve_csv
from tests.helpers.text import CORPUS, RECIPE, SIZES, train

pytestmark = pytest.mark.slow

VOCABULARY, CONTEXT = 11, 7
SHORT = TextRecipe(steps=9, batch=4, warmup=2, check_every=3, learning_rate=1e-2)


def small(**changes) -> GPT:
    torch.manual_seed(0)
    return GPT(VOCABULARY, CONTEXT, width=8, heads=2, layers=1, **changes)


def some_ids(count: int = 100, seed: int = 0) -> torch.Tensor:
    return torch.randint(VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))


class Interrupting(Console):
    """Raises KeyboardInterrupt after some steps."""

    def __init__(self, after: int):
        super().__init__(quiet=True)
        self.left = after

    def task(self, label, total):
        console = self

        class Task:
            def __enter__(self):
                return console.advance

            def __exit__(self, *_):
                return False

        return Task()

    def advance(self, steps, note=""):
        self.left -= steps
        if self.left <= 0:
            raise KeyboardInterrupt


def test_the_command_has_the_defaults_of_the_recipe_and_the_sizes():
    options = {option.name: option.default for option in get_command(app).commands["train"].params}
    defaults = asdict(Sizes()) | asdict(TextRecipe())
    assert set(options) - set(defaults) == {"corpus", "out", "resume", "quiet"}
    assert set(defaults) - set(options) == {"warmup", "weight_decay", "check_every", "device"}
    for name in set(options) & set(defaults):
        assert options[name] == defaults[name], name


def test_the_rate_warms_up_and_falls_as_a_cosine():
    recipe = TextRecipe(steps=110, warmup=10, learning_rate=1.0)
    assert recipe.rate(0) == 0.1
    assert recipe.rate(9) == recipe.rate(10) == 1.0
    assert recipe.rate(60) == pytest.approx(0.55)
    assert recipe.rate(109) == pytest.approx(0.1, abs=3e-4)


class TestValidationLoss:
    def test_a_model_that_knows_nothing_has_the_loss_of_a_fair_die(self):
        network = small()
        torch.nn.init.zeros_(network.embedding.weight)
        assert validation_loss(network, some_ids()) == pytest.approx(math.log(VOCABULARY), abs=1e-6)

    @pytest.mark.parametrize("count", [8, 14, 15, 16, 50])
    def test_every_window_counts_once(self, count):
        network, ids = small().double().eval(), some_ids(count)
        nats = []
        for start in range(0, (count - 1) // CONTEXT * CONTEXT, CONTEXT):
            logits = network(ids[None, start : start + CONTEXT])[0]
            following = ids[start + 1 : start + CONTEXT + 1]
            nats += (-logits.log_softmax(-1)[range(CONTEXT), following]).tolist()
        assert validation_loss(network, ids, batch=2) == pytest.approx(sum(nats) / len(nats))


class TestFit:
    def test_rows(self):
        network = small()
        rows = fit(network, some_ids(), some_ids(40, seed=1), replace(SHORT, steps=7))
        assert [row["step"] for row in rows] == [3, 6, 7]
        for row in rows:
            assert row["perplexity"] == pytest.approx(math.exp(row["validation_loss"]))
            assert row["learning_rate"] == replace(SHORT, steps=7).rate(row["step"] - 1)
        assert not network.training
        text = curve_csv(rows)
        assert [float(r["validation_loss"]) for r in csv.DictReader(io.StringIO(text))] == [
            row["validation_loss"] for row in rows
        ]

    def test_the_best_weights_are_kept(self):
        network, validation = small(), some_ids(40, seed=1)
        # Noise cannot be learnt: the longer the training, the worse the validation loss.
        recipe = replace(SHORT, steps=60, learning_rate=0.05, check_every=10)
        rows = fit(network, some_ids(), validation, recipe)
        losses = [row["validation_loss"] for row in rows]
        assert min(losses) < losses[-1]
        assert validation_loss(network, validation) == pytest.approx(min(losses), rel=1e-6)

    @pytest.mark.parametrize("after", [1, 4, 7])
    def test_a_resumed_training_ends_with_the_same_bits(self, tmp_path, after):
        whole, resumed = small(dropout=0.2), small(dropout=0.2)
        data = some_ids(), some_ids(40, seed=1)
        expected = fit(whole, *data, SHORT)
        options = {"checkpoint": tmp_path / "checkpoint.pt"}
        with pytest.raises(KeyboardInterrupt):
            fit(resumed, *data, SHORT, **options, console=Interrupting(after))
        resumed = small(dropout=0.2)
        torch.rand(5)  # whatever happened before, the checkpoint holds the random state
        assert fit(resumed, *data, SHORT, **options) == expected
        for name, tensor in whole.state_dict().items():
            assert torch.equal(tensor, resumed.state_dict()[name]), name

    def test_the_random_state_in_the_checkpoint_matters(self, tmp_path, monkeypatch):
        data = some_ids(), some_ids(40, seed=1)
        expected = fit(small(dropout=0.2), *data, SHORT)
        checkpoint = tmp_path / "checkpoint.pt"
        with pytest.raises(KeyboardInterrupt):
            fit(small(dropout=0.2), *data, SHORT, checkpoint=checkpoint, console=Interrupting(4))
        monkeypatch.setattr(torch, "set_rng_state", lambda state: None)
        assert fit(small(dropout=0.2), *data, SHORT, checkpoint=checkpoint) != expected

    def test_another_trainings_checkpoint_is_refused(self, tmp_path):
        checkpoint, data = tmp_path / "checkpoint.pt", (some_ids(), some_ids(40, seed=1))
        fit(small(), *data, SHORT, checkpoint=checkpoint)
        for network, training, recipe in (
            (small(dropout=0.1), data[0], SHORT),
            (small(), some_ids(seed=5), SHORT),
            (small(), data[0], replace(SHORT, seed=1)),
        ):
            with pytest.raises(ModelError, match="belongs to another training or is damaged"):
                fit(network, training, data[1], recipe, checkpoint=checkpoint)
        fit(small(), *data, replace(SHORT, seed=1), checkpoint=checkpoint, resume=False)
        checkpoint.write_bytes(b"no checkpoint")
        with pytest.raises(ModelError, match="is damaged"):
            fit(small(), *data, SHORT, checkpoint=checkpoint)

    def test_same_seed_same_weights_and_the_callers_draws_stay(self):
        torch.manual_seed(3)
        before = torch.get_rng_state()
        first, second, other = (small() for _ in range(3))
        torch.set_rng_state(before)
        fit(first, some_ids(), some_ids(40), SHORT)
        assert torch.equal(torch.get_rng_state(), before)
        fit(second, some_ids(), some_ids(40), SHORT)
        fit(other, some_ids(), some_ids(40), replace(SHORT, seed=1))
        assert torch.equal(first.embedding.weight, second.embedding.weight)
        assert not torch.equal(first.embedding.weight, other.embedding.weight)

    def test_only_matrices_decay(self, monkeypatch):
        monkeypatch.setattr(
            text_training,
            "_loss",
            lambda network, windows, reduction="mean": sum(
                (p * 0).sum() for p in network.parameters()
            ),
        )
        network = small()
        torch.nn.init.ones_(network.transformer.norm.weight)
        before = network.embedding.weight.detach().clone()
        recipe = replace(SHORT, steps=1, warmup=0, learning_rate=0.5, weight_decay=0.2)
        TextTask(network, some_ids(), some_ids(40), recipe).step(0)
        assert torch.allclose(network.embedding.weight, before * (1 - 0.5 * 0.2))
        assert (network.transformer.norm.weight == 1).all()

    def test_short_texts_and_divergence(self):
        with pytest.raises(CorpusError, match="training part of the corpus has 7 tokens"):
            fit(small(), some_ids(7), some_ids(8), SHORT)
        with pytest.raises(CorpusError, match="validation part of the corpus has 5 tokens"):
            fit(small(), some_ids(8), some_ids(5), SHORT)
        network = small()
        torch.nn.init.constant_(network.embedding.weight, math.inf)
        with pytest.raises(ModelError, match=r"diverged by step 3: .* below 0\.01"):
            fit(network, some_ids(), some_ids(40), SHORT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text") / "model"
    return folder, train(folder)


class TestTrainText:
    @pytest.mark.slow
    def test_it_learns_the_grammar_and_no_more(self, folder):
        _, trained = folder
        # Four subjects, three verbs, three objects in six tokens: what nobody can foresee.
        # A window of 12 tokens begins anywhere, so that its first tokens cost a little more.
        floor = (math.log(4) + 2 * math.log(3)) / 6
        assert floor * 0.9 < trained.loss < floor * 1.6
        assert trained.perplexity == pytest.approx(math.exp(trained.loss))
        following = dict(trained.model.next("El rey come pan .\nEl reina", 3))
        assert set(following) == {"·come", "·mira", "·sueña"}
        assert all(0.2 < p < 0.5 for p in following.values())

    def test_bits_a_character(self, folder):
        _, trained = folder
        assert trained.bits_per_character == pytest.approx(
            trained.loss / math.log(2) / (len(CORPUS) / len(trained.model.ids(CORPUS)[0])), rel=0.05
        )

    def test_the_folder_is_whole_and_reads_back(self, folder):
        path, trained = folder
        assert {file.name for file in path.iterdir()} == {
            *("model.safetensors", "config.json", "tokenizer.json", "README.md"),
            *("training.csv", "training.png", "scores.json"),
        }
        assert [file.name for file in path.parent.iterdir() if "checkpoint" in file.name] == []
        copy = TextModel.open(path)
        assert copy.next("El niño", 5) == trained.model.next("El niño", 5)
        assert json.loads((path / "config.json").read_text())["model_type"] == "gpt2"
        card = (path / "README.md").read_text()
        assert "model.txt: " in card
        assert f"perplexity {trained.perplexity:.1f}" in card
        assert "60 steps of 8 x 12 tokens" in card

    def test_transformers_reads_it_and_agrees(self, folder):
        transformers = pytest.importorskip("transformers")
        path, trained = folder
        theirs = transformers.GPT2LMHeadModel.from_pretrained(path).eval()
        ids = trained.model.ids("El perro mira café .")
        with torch.inference_mode():
            wanted, got = theirs(ids).logits, trained.model.network(ids)
        assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()

    @pytest.mark.slow
    def test_an_interrupted_training_continues(self, tmp_path, monkeypatch, folder):
        _, trained = folder
        corpus, out = tmp_path / "corpus.txt", tmp_path / "model"
        corpus.write_text(CORPUS, encoding="utf-8")
        with pytest.raises(KeyboardInterrupt):
            train_text([corpus], out, SIZES, RECIPE, console=Interrupting(45))
        assert not out.exists()
        steps = []
        take_step = TextTask.step
        monkeypatch.setattr(
            TextTask, "step", lambda task, step: steps.append(step) or take_step(task, step)
        )
        again = train_text([corpus], out, SIZES, RECIPE)
        assert steps == list(range(40, 60))
        assert again.rows == trained.rows

    def test_byte_level_and_bad_sizes(self, tmp_path):
        trained = text_recipe.train_text(
            [_written(tmp_path)],
            tmp_path / "model",
            replace(SIZES, tokenizer="bpe", vocabulary=290),
            replace(RECIPE, steps=2),
        )
        assert len(trained.model.tokenizer) == 290
        assert trained.model.network.config["vocabulary"] == 290
        with pytest.raises(ModelError, match="width 0 cannot be used; choose 1 or more"):
            train_text([_written(tmp_path)], tmp_path / "model", replace(SIZES, width=0), RECIPE)


def _written(folder):
    (folder / "corpus.txt").write_text(CORPUS, encoding="utf-8")
    return folder / "corpus.txt"
