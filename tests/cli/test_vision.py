"""`spatioformer vision train | predict | attend`, and how each ends."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from spatioformer.cli.vision import app
from spatioformer.nn import GPT, ViT
from spatioformer.vision import experiment
from spatioformer.vision.images import Form
from spatioformer.vision.model import VisionModel
from spatioformer.vision.preparation import Preparation
from tests.helpers.pictures import PNG, blank

SMALL = "--patch 4 --width 8 --heads 2 --layers 1 --epochs 2 --batch 8"
TINY = SMALL.split()


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def refused(*arguments) -> str:
    """The one sentence of a command that cannot be done."""
    *progress, message = run(*arguments, code=2).stderr.splitlines()
    assert all(line.startswith("  ") for line in progress)
    assert message.startswith("spatioformer: ")
    return message


@pytest.fixture
def folder(tmp_path):
    """Eight grey images of 8 x 8 pixels in each of two classes."""
    rng = np.random.default_rng(0)
    for kind in ("ant", "bee"):
        (tmp_path / "insects" / kind).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "insects" / kind / f"{i}.png")
    return tmp_path / "insects"


@pytest.fixture
def model(tmp_path):
    network = ViT(8, 4, 1, width=8, heads=2, layers=1, labels=["ant", "bee"])
    VisionModel(network, Preparation((0.5,), (0.25,))).save(tmp_path / "model")
    return tmp_path / "model"


def test_help_names_the_commands():
    message = run("--help").output
    assert all(name in message for name in ("train", "predict", "attend"))


def test_train(folder, tmp_path):
    result = run("train", folder, "-o", tmp_path / "m", *TINY, "--seed", 3)
    assert "accuracy" in result.stdout
    assert "on 4 images held out" in result.stdout
    assert "10 images to learn from, 2 for validation, 4 held out; patches of 4" in result.stderr
    opened = VisionModel.open(tmp_path / "m")
    assert opened.labels == ["ant", "bee"]
    assert opened.network.config["width"] == 8
    assert run("train", folder, "-o", tmp_path / "q", *TINY, "--quiet").output == ""


def test_every_option_arrives(folder, tmp_path, monkeypatch):
    caught = {}

    def catch(images, out, recipe, sizes, **options):
        caught.update(recipe=vars(recipe), sizes=vars(sizes), shape=images.pixels.shape, **options)
        return experiment.Outcome(None, None, {}, 0)

    monkeypatch.setattr(experiment, "train", catch)
    options = (
        "--patch 2 --width 12 --heads 3 --layers 5 --dropout 0.2 --epochs 9 --batch 4 "
        "--learning-rate 0.5 --weight-decay 0.25 --patience 6 --label-smoothing 0.125 --shift 1.5 "
        "--rotation 30 --seed 11 --held-out 0.5 --size 6x10 --channels 3 --no-resume"
    )
    run("train", folder, "-o", tmp_path / "m", *options.split())
    assert caught.pop("console")
    assert caught == {
        "recipe": {
            "epochs": 9, "batch": 4, "learning_rate": 0.5, "weight_decay": 0.25, "patience": 6,
            "label_smoothing": 0.125, "shift": 1.5, "rotation": 30, "seed": 11,
        },
        "sizes": {"patch": 2, "width": 12, "heads": 3, "layers": 5, "dropout": 0.2},
        "shape": (16, 3, 6, 10),
        "form": Form((6, 10), 3),
        "held_out": 0.5,
        "resume": False,
    }  # fmt: skip


def test_predict(folder, model, tmp_path):
    result = run("predict", folder, "-m", model)
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert len(rows) == 16
    assert list(rows[0]) == ["image", "true", "predicted", "probability"]
    right = np.mean([row["true"] == row["predicted"] for row in rows])
    assert f"accuracy {right:.4g} on these 16 images" in result.stderr
    files = [folder / "bee" / "3.png", folder / "ant" / "1.png"]
    run("predict", *files, "-m", model, "--top", 2, "-o", tmp_path / "t.csv")
    table = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["image"] for row in table] == [str(path) for path in files]
    assert table[0]["probability"] == rows[8 + 3]["probability"]
    assert table[1]["predicted"] == rows[1]["predicted"]
    chances = [float(row["probability"]) + float(row["probability 2"]) for row in table]
    assert chances == pytest.approx([1, 1], abs=1e-5)


def test_attend(folder, model, tmp_path):
    pictures = tmp_path / "a.png", tmp_path / "b.png"
    result = run("attend", folder, "-m", model, "-p", pictures[0], "--positions", pictures[1],
                 "--count", 3)  # fmt: skip
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert len(rows) == 3
    assert list(rows[0])[-3:] == ["row", "column", "share"]
    assert all(1 <= float(row["share"]) <= 4 for row in rows)
    assert {row["row"] for row in rows} <= {"1", "2"}
    for path in pictures:
        with Image.open(path) as image:
            assert min(image.size) > 50


class TestRefused:
    def test_one_class(self, folder, tmp_path):
        for path in (folder / "bee").iterdir():
            path.unlink()
        (folder / "bee").rmdir()
        assert "belong to one class, ant; give at least" in refused("train", folder)

    def test_empty_folder(self, tmp_path):
        assert "holds no images" in refused("train", tmp_path)

    def test_size_and_mode(self, folder, model, tmp_path):
        Image.new("L", (9, 8)).save(folder / "bee" / "9.png")
        assert "9.png is 8 x 9 pixels" in refused("train", folder)
        message = refused("predict", folder / "bee" / "9.png", "-m", model)
        assert "is 1 x 8 x 9 (channels, rows, columns), but the model takes 1 x 8 x 8" in message
        Image.new("RGBA", (8, 8)).save(folder / "bee" / "9.png")
        assert "9.png has mode RGBA" in refused("train", folder)

    def test_patch(self, folder, tmp_path):
        message = refused("train", folder, "-o", tmp_path / "m", "--patch", 3)
        assert "8 x 8 pixels is no whole number of patches of 3" in message
        assert not (tmp_path / "m").exists()

    def test_another_architecture(self, folder, tmp_path):
        GPT(5, 4, 8, 2, 1).save_pretrained(tmp_path / "gpt")
        for command in ("predict", "attend"):
            message = refused(command, folder, "-m", tmp_path / "gpt")
            assert "holds a model of type 'gpt2'; give one of type 'vit'" in message

    def test_truncated_tensor(self, folder, model):
        weights = model / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-10])
        assert "cannot be read as safetensors" in refused("predict", folder, "-m", model)

    def test_damaged_checkpoint(self, folder, tmp_path):
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "checkpoint").write_bytes(b"junk")
        message = refused("train", folder, "-o", tmp_path / "m", *TINY)
        assert "delete it, or train with --no-resume" in message

    def test_unwritable(self, folder, tmp_path, model):
        (tmp_path / "file").write_text("")
        assert "cannot write" in refused("train", folder, "-o", tmp_path / "file", *TINY)
        message = refused("predict", folder, "-m", model, "-o", tmp_path / "file" / "t.csv")
        assert "cannot write" in message

    @pytest.mark.parametrize("size", ["0", "8x", "8x8x8", "-3", "big"])
    def test_no_size(self, folder, size):
        assert (
            "is no size; give 32, or 32x24" in run("train", folder, "--size", size, code=2).stderr
        )


def test_trace(folder, model, tmp_path):
    image, out = folder / "ant" / "0.png", tmp_path / "trace.png"
    with blank():
        output = run("trace", image, "-m", model, "-o", out).stdout
    assert out.read_bytes() == PNG
    assert "Where the class token looks, layer 1, head 1" in output
    opened = VisionModel.open(model)
    predicted = opened.predict(opened.read(image))[0]
    numbers = json.loads(run("trace", image, "-m", model, "--json").stdout)
    np.testing.assert_allclose(numbers["answer"], predicted, rtol=1e-5)
    assert numbers["tokens"] == ["class", "1,1", "1,2", "2,1", "2,2"]
    assert numbers["steps"]["patches"]["shape"] == [4, 16]
    second = json.loads(run("trace", folder, "--index", 1, "-m", model, "--json").stdout)
    assert second["image"].endswith("1.png")
    assert "choose it with --index 0 to 15" in refused("trace", folder, "-m", model)
    assert "there is no image 16" in refused("trace", folder, "-m", model, "--index", 16)
    assert "layer 1, head 3 do not exist" in refused("trace", image, "-m", model, "--head", 3)


def test_trace_of_values(tmp_path):
    network = ViT(4, 2, 2, width=8, heads=2, layers=1, outputs=2, labels=["height", "cover"])
    VisionModel(network, Preparation((0.5, 1.0), (0.25, 2.0), False), "regression").save(
        tmp_path / "model"
    )
    images = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
    np.savez(tmp_path / "one.npz", images=images)
    output = run("trace", tmp_path / "one.npz", "-m", tmp_path / "model").stdout
    opened = VisionModel.open(tmp_path / "model")
    height, cover = opened.predict(opened.read(tmp_path / "one.npz"))[0]
    shown = {line.split()[0]: float(line.split()[1]) for line in output.splitlines()[-3:-1]}
    assert shown == pytest.approx({"height": height, "cover": cover}, rel=1e-3)
