"""Scores of `vision predict` leave the images out that the training used."""

import csv

import numpy as np
import pytest

from spatioformer.common.errors import ModelError
from spatioformer.vision.experiment import train
from spatioformer.vision.images import Images, read_digits
from spatioformer.vision.model import VisionModel
from spatioformer.vision.predictions import scores
from spatioformer.vision.seen import FILE, score_of_unseen, unseen
from spatioformer.vision.settings import Recipe, Sizes
from tests.helpers.tiny_run import spatioformer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seen") / "model"
    train(read_digits()[:200], folder, Recipe(epochs=1), Sizes(2, 16, 2, 1))
    return folder


def test_only_held_out_images_are_scored(folder):
    digits = read_digits()[:200]
    new = unseen(folder, digits)
    with (folder / "held_out.csv").open(encoding="utf-8") as lines:
        held_out = {row["image"] for row in csv.DictReader(lines)}
    assert {name for name, is_new in zip(digits.names, new, strict=True) if is_new} == held_out
    predicted = VisionModel.open(folder).predict(digits)
    accuracy = scores(digits[new], predicted[new])["accuracy"]
    assert score_of_unseen(folder, digits, predicted) == (
        f"accuracy {accuracy:.4g} on {len(held_out)} of these 200 images; the training of the "
        "model used the others"
    )


def test_other_images_count_by_their_pixels(folder):
    digits = read_digits()
    others = digits[200:260]
    renamed = Images(others.pixels, digits.names[:60], others.targets, others.labels)
    assert unseen(folder, renamed).all(), "names do not matter"
    sentence = score_of_unseen(folder, renamed, VisionModel.open(folder).predict(renamed))
    assert sentence.endswith(" on these 60 images, of which the training used none")
    used = digits[:200][~unseen(folder, digits[:200])]
    predicted = np.zeros((len(used), 10), np.float32)
    assert score_of_unseen(folder, used, predicted) == (
        f"no score: the training of the model used all of these {len(used)} images"
    )


def test_a_model_that_does_not_say(folder, tmp_path):
    model = VisionModel.open(folder)
    model.save(tmp_path)
    ended = spatioformer("vision", "predict", "digits", "-m", tmp_path, "-o", tmp_path / "x.csv")
    assert ended.err.endswith(
        " on these 1797 images; the model does not state its training images, so they may be among "
        "these\n"
    )
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"training_images\.txt cannot be read"):
        unseen(tmp_path, read_digits()[:1])
