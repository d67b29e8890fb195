"""Training on images: it learns, it stops, and an interrupted one ends with the same bits."""

import csv
import inspect
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.main import get_command

from spatioformer.cli.vision import app
from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.nn import ViT
from spatioformer.training.loop import History
from spatioformer.vision import training as loop
from spatioformer.vision.experiment import build, choose_patch, train
from spatioformer.vision.images import Images
from spatioformer.vision.model import VisionModel
from spatioformer.vision.predictions import prediction_rows, scores
from spatioformer.vision.preparation import Preparation
from spatioformer.vision.settings import Recipe, Sizes
from spatioformer.vision.training import fit, hold_out, jitter

pytestmark = pytest.mark.slow

SIZES = Sizes(patch=2, width=8, heads=2, layers=1, dropout=0.1)
RECIPE = Recipe(epochs=6, batch=16, patience=6, shift=0.5, rotation=20, seed=7)


def bright_sides(count: int, seed: int = 0) -> Images:
    """4 x 4 pixels of noise, brighter on the left (class 0) or on the right (class 1)."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(count) % 2)
    pixels = rng.integers(0, 100, (count, 1, 4, 4), dtype=np.uint8)
    pixels[targets == 0, :, :, :2] += 100
    pixels[targets == 1, :, :, 2:] += 100
    return Images(pixels, [f"{i}" for i in range(count)], targets, ["left", "right"])


def contrasts(count: int, seed: int = 0) -> Images:
    """Left minus right, and the mean, in units far from 0 and 1."""
    images = bright_sides(count, seed)
    light = np.random.default_rng(seed).integers(0, 50, (count, 1, 1, 1), dtype=np.uint8)
    images = replace(images, pixels=images.pixels + light)
    x = images.pixels[:, 0].astype(np.float64)
    first = 1000 + 5 * (x[:, :, :2].mean((1, 2)) - x[:, :, 2:].mean((1, 2)))
    values = np.stack([first, 1e-3 * x.mean((1, 2))], 1)
    return replace(images, targets=np.float32(values), labels=["contrast", "mean"])


def preparation() -> Preparation:
    return Preparation((0.3,), (0.2,))


def trained(
    network: ViT, recipe: Recipe = RECIPE, **options
) -> tuple[History, dict[str, torch.Tensor]]:
    history = fit(
        network, preparation(), bright_sides(40, 1), bright_sides(20, 2), recipe, **options
    )
    return history, network.state_dict()


def fresh(seed: int = 0) -> ViT:
    return build(bright_sides(2), SIZES, seed)


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def interrupted(path, after: int) -> None:
    def interrupt(epoch: int) -> None:
        if epoch == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(fresh(), checkpoint=path, on_epoch=interrupt)


def test_the_command_has_the_defaults_of_the_recipe_and_the_sizes():
    options = {option.name: option.default for option in get_command(app).commands["train"].params}
    defaults = asdict(Sizes()) | asdict(Recipe())
    of_the_command = {"source", "out", "size", "channels", "held_out", "resume", "quiet"}
    assert set(options) - set(defaults) == of_the_command
    assert set(defaults) <= set(options)
    for name in defaults:
        assert options[name] == defaults[name], name
    assert options["held_out"] == inspect.signature(train).parameters["held_out"].default


class TestHoldOut:
    def test_each_class_alike(self):
        targets = np.repeat([0, 1, 2], [100, 40, 8])
        images = Images(np.zeros((148, 1, 1, 1)), ["x"] * 148, targets, ["a", "b", "c"])
        held = hold_out(images, 0.25, seed=3)
        assert [held[targets == k].sum() for k in range(3)] == [25, 10, 2]
        assert np.array_equal(held, hold_out(images, 0.25, seed=3))
        assert not np.array_equal(held, hold_out(images, 0.25, seed=4))
        assert not hold_out(images, 0.0, seed=3).any()

    def test_something_on_either_side(self):
        targets = np.repeat([0, 1, 2], [1, 2, 3])
        images = Images(np.zeros((6, 1, 1, 1)), ["x"] * 6, targets, ["a", "b", "c"])
        for share, counts in ((0.01, [0, 1, 1]), (0.99, [0, 1, 2])):
            held = hold_out(images, share, seed=0)
            assert [held[targets == k].sum() for k in range(3)] == counts

    def test_values(self):
        assert hold_out(contrasts(40), 0.25, seed=0).sum() == 10


class TestJitter:
    """The draws are fixed, so that every image moves by the most."""

    @pytest.fixture(autouse=True)
    def full_draws(self, monkeypatch):
        monkeypatch.setattr(loop.torch, "rand", lambda *shape: torch.ones(shape))

    def test_nothing(self):
        images = torch.rand(2, 3, 4, 5) * torch.arange(5)
        torch.testing.assert_close(jitter(images, 0, 0), images)

    def test_shift_by_one_pixel(self):
        """Each pixel takes the value of its neighbour below and right; the edge stays."""
        images = torch.arange(1.0, 13).view(1, 1, 3, 4)
        want = [[6, 7, 8, 8], [10, 11, 12, 12], [10, 11, 12, 12]]
        torch.testing.assert_close(jitter(images, 1, 0)[0, 0], torch.tensor(want).float())

    @pytest.mark.parametrize("shape", [(3, 3), (3, 5), (5, 3)])
    def test_quarter_turn_of_the_middle(self, shape):
        """Whatever the shape of the image, the square in its middle turns as a square."""
        rows, columns = shape
        images = torch.arange(1.0, 16)[: rows * columns].view(1, 1, rows, columns)
        top, left = (rows - 3) // 2, (columns - 3) // 2
        middle = (..., slice(top, top + 3), slice(left, left + 3))
        turned = jitter(images, 0, 90)
        torch.testing.assert_close(
            turned[middle], torch.rot90(images[middle], 1, (2, 3)), atol=1e-4, rtol=0
        )


class TestFit:
    def test_learns_classes_and_ends_with_the_best_weights(self):
        network = fresh()
        history, _ = trained(network, Recipe(epochs=15, batch=16, learning_rate=1e-2))
        model, validation = VisionModel(network, preparation()), bright_sides(20, 2)
        assert scores(validation, model.predict(validation))["accuracy"] == 1
        assert not network.training
        seen = model.preparation(torch.from_numpy(validation.pixels))
        loss = torch.nn.functional.cross_entropy(
            network(seen), torch.from_numpy(validation.targets)
        )
        assert loss.item() == pytest.approx(history.best["validation_loss"], rel=1e-5)
        assert history.best["validation_loss"] == min(r["validation_loss"] for r in history.rows)
        assert history.best["validation_accuracy"] == 1

    def test_equal_seeds_equal_weights_and_other_seeds_others(self):
        bits = [trained(fresh(), Recipe(epochs=2, shift=1, seed=seed))[1] for seed in (7, 7, 8)]
        assert same_bits(bits[0], bits[1])
        assert not same_bits(bits[0], bits[2])

    def test_stops_when_validation_no_longer_improves(self):
        noise = bright_sides(20, 2)
        noise.targets[:] = np.random.default_rng(0).integers(0, 2, 20)
        recipe = Recipe(epochs=60, patience=3, learning_rate=1e-2)
        history = fit(fresh(), preparation(), bright_sides(40, 1), noise, recipe)
        assert len(history.rows) == history.best_epoch + 3 < 60

    def test_the_learning_rate_climbs_and_falls(self):
        """One step an epoch: warm-up over the first of ten, then half a cosine."""
        history, _ = trained(fresh(), Recipe(epochs=10, batch=40, learning_rate=1.0, patience=10))
        rates = [row["learning_rate"] for row in history.rows]
        want = [0.01] + [0.5 * (1 + np.cos(np.pi * i / 9)) for i in range(9)]
        assert rates == pytest.approx(want)

    def test_divergence_is_one_sentence(self):
        with pytest.raises(
            ModelError, match=r"diverged in epoch \d.*lower --learning-rate .now 1e"
        ):
            trained(fresh(), Recipe(learning_rate=1e20, batch=8))


class TestResume:
    @pytest.mark.parametrize("after", [1, 4])
    def test_ends_with_the_same_bits(self, tmp_path, after):
        history, straight = trained(fresh())
        interrupted(tmp_path / "c", after)
        torch.manual_seed(12345)  # whatever happened to the random state in between
        again, resumed = trained(fresh(99), checkpoint=tmp_path / "c")
        assert same_bits(straight, resumed)
        assert again == history

    @pytest.mark.parametrize("lost", ["optimiser", "draws"])
    def test_that_test_can_fail(self, tmp_path, monkeypatch, lost):
        history, _ = trained(fresh())
        interrupted(tmp_path / "c", 2)
        if lost == "optimiser":
            monkeypatch.setattr(torch.optim.AdamW, "load_state_dict", lambda *_: None)
        else:
            monkeypatch.setattr(loop.torch, "manual_seed", lambda _: None)
        again, _ = trained(fresh(), checkpoint=tmp_path / "c")
        assert again.rows[:2] == history.rows[:2]
        assert again.rows[3:] != history.rows[3:]

    def test_another_training(self, tmp_path):
        interrupted(tmp_path / "c", 1)
        said = r"checkpoint .*c belongs to another training or is damaged \(its images or set"
        with pytest.raises(ModelError, match=said):
            trained(fresh(), Recipe(epochs=7), checkpoint=tmp_path / "c")
        images = bright_sides(40, 1)
        images.pixels[0, 0, 0, 0] += 1
        with pytest.raises(ModelError, match=said):
            fit(
                fresh(),
                preparation(),
                images,
                bright_sides(20, 2),
                RECIPE,
                checkpoint=tmp_path / "c",
            )
        history, _ = trained(fresh(), Recipe(epochs=1), checkpoint=tmp_path / "c", resume=False)
        assert len(history.rows) == 1

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
    def test_damaged(self, tmp_path, content):
        interrupted(tmp_path / "c", 1)
        whole = (tmp_path / "c").read_bytes()
        (tmp_path / "c").write_bytes(whole[:-200] if content is None else content)
        with pytest.raises(
            ModelError, match=r"damaged .*; delete it, or train with --no-r"
        ) as caught:
            trained(fresh(), checkpoint=tmp_path / "c")
        assert "\n" not in str(caught.value)


class TestExperiment:
    def test_classes(self, tmp_path):
        images = bright_sides(80)
        recipe = Recipe(epochs=12, batch=8, learning_rate=1e-2)
        outcome = train(images, tmp_path, recipe, SIZES)
        assert outcome.scores == {"accuracy": 1.0}
        assert outcome.held_out == 20
        held_out = table(tmp_path / "held_out.csv")
        rows = [int(row["image"]) for row in held_out]
        assert rows == np.flatnonzero(hold_out(images, 0.25, 0)).tolist()
        assert all(row["true"] == row["predicted"] for row in held_out)
        log = table(tmp_path / "training.csv")
        assert [int(row["epoch"]) for row in log] == list(range(1, 13))
        assert list(log[0]) == [*outcome.history.rows[0]]
        opened = VisionModel.open(tmp_path)
        np.testing.assert_array_equal(opened.predict(images), outcome.model.predict(images))
        card = (tmp_path / "README.md").read_text()
        assert "Trained on 60 of 80 images" in card
        assert "On 20 images held out: accuracy 1." in card
        assert not (tmp_path / "checkpoint").exists()

    def test_values_come_out_in_their_units(self, tmp_path):
        """The folder's network itself, read as a plain ViT, speaks the units of the values."""
        recipe = Recipe(epochs=25, batch=16, learning_rate=1e-2)
        sizes = replace(SIZES, dropout=0.0)
        outcome = train(contrasts(160), tmp_path, recipe, sizes)
        assert outcome.scores["r2 of contrast"] > 0.9
        assert outcome.scores["r2 of mean"] > 0.7
        new = contrasts(50, seed=5)
        network = ViT.from_pretrained(tmp_path).eval()
        seen = outcome.model.preparation(torch.from_numpy(new.pixels))
        error = network(seen).detach().numpy() - new.targets
        assert (np.sqrt((error**2).mean(0)) < 0.6 * new.targets.std(0)).all()
        assert VisionModel.open(tmp_path).task == "regression"
        assert VisionModel.open(tmp_path).labels == ["contrast", "mean"]

    def test_nothing_held_out(self, tmp_path):
        outcome = train(bright_sides(20), tmp_path, Recipe(epochs=1), SIZES, held_out=0)
        assert outcome.scores == {}
        assert not (tmp_path / "held_out.csv").exists()
        assert "not scored" in (tmp_path / "README.md").read_text()

    def test_interrupted_keeps_its_checkpoint(self, tmp_path):
        def interrupt(epoch):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(bright_sides(20), tmp_path / "a", RECIPE, SIZES, on_epoch=interrupt)
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["checkpoint"]
        again = train(bright_sides(20), tmp_path / "a", RECIPE, SIZES)
        straight = train(bright_sides(20), tmp_path / "b", RECIPE, SIZES)
        assert same_bits(again.model.network.state_dict(), straight.model.network.state_dict())

    def test_one_class(self, tmp_path):
        images = Images(np.zeros((4, 1, 4, 4), np.uint8), list("abcd"), np.zeros(4, int), ["oak"])
        with pytest.raises(ImageryError, match="belong to one class, oak; give at least two"):
            train(images, tmp_path, RECIPE)

    def test_no_classes(self, tmp_path):
        images = Images(np.zeros((4, 1, 4, 4), np.uint8), list("abcd"))
        with pytest.raises(ImageryError, match="have no classes; put the images into one folder"):
            train(images, tmp_path, RECIPE)

    def test_too_few(self, tmp_path):
        with pytest.raises(ImageryError, match="2 images are too few to hold some out; add more"):
            train(bright_sides(2), tmp_path, RECIPE)

    @pytest.mark.parametrize(
        ("rows", "columns", "patch"),
        [(8, 8, 2), (28, 28, 7), (32, 32, 8), (224, 224, 16), (30, 20, 5), (240, 40, 10)],
    )
    def test_patch(self, rows, columns, patch):
        assert choose_patch(rows, columns) == patch

    @pytest.mark.parametrize(("rows", "columns"), [(31, 37), (4, 4), (64, 31)])
    def test_no_patch(self, rows, columns):
        with pytest.raises(ModelError, match=f"no patch divides images of {rows} x {columns} pix"):
            choose_patch(rows, columns)


class TestRows:
    def test_top_classes(self):
        model = VisionModel(fresh(), preparation())
        images = bright_sides(2)
        rows = prediction_rows(model, images, np.float32([[0.25, 0.75], [0.5, 0.5]]), top=5)
        assert rows[0] == {
            "image": "0", "true": images.labels[images.targets[0]],
            "predicted": "right", "probability": 0.75, "predicted 2": "left", "probability 2": 0.25,
        }  # fmt: skip
        assert rows[1]["predicted"] == "left"

    def test_scores_of_values(self):
        images = Images(np.zeros((3, 1, 1, 1)), list("abc"), np.float32([[1], [2], [6]]), ["v"])
        got = scores(images, np.float32([[1], [4], [6]]))
        assert got == pytest.approx({"rmse": (4 / 3) ** 0.5, "r2": 1 - 4 / 14})

    def test_scores_of_several_values_are_not_mixed(self):
        targets = np.float32([[1, 100], [2, 200], [6, 300]])
        images = Images(np.zeros((3, 1, 1, 1)), list("abc"), targets, ["v", "w"])
        got = scores(images, targets + np.float32([0, 10]))
        want = {"rmse of v": 0, "r2 of v": 1, "rmse of w": 10, "r2 of w": 1 - 300 / 20000}
        assert got == pytest.approx(want)
