"""A Vision Transformer in the explorer: the numbers of `vision predict` and `vision attend`."""

import io
import tempfile

import numpy as np
import pytest
from PIL import Image

from spatioformer.common.errors import ImageryError
from spatioformer.nn import ViT
from spatioformer.viewer.explorer import vision
from spatioformer.viewer.explorer.packing import unpacked
from spatioformer.viewer.explorer.vision import VisionExplorer
from spatioformer.vision.images import Form, Images, read_digits
from spatioformer.vision.model import VisionModel
from spatioformer.vision.preparation import Preparation
from tests.helpers.nn_reference import randomise


def save(folder, image=(6, 9), patch=3, channels=3, labels=("a", "b", "c"), form=Form()):
    sizes = {"width": 10, "heads": 2, "layers": 2, "outputs": len(labels), "labels": list(labels)}
    network = randomise(ViT(image=image, patch=patch, channels=channels, **sizes).eval())
    VisionModel(network, Preparation((0.5,) * channels, (0.25,) * channels, form=form)).save(folder)
    return folder


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    return VisionExplorer(save(tmp_path_factory.mktemp("vision") / "vit"))


def png(size=(9, 6), mode="RGB") -> bytes:
    stream = io.BytesIO()
    rows, cols = np.mgrid[: size[1], : size[0]]
    image = Image.fromarray((20 * rows + 3 * cols).astype(np.uint8))
    image.convert(mode).save(stream, "PNG")
    return stream.getvalue()


def test_upload(explorer):
    answer = explorer.upload(png())
    pixels = np.array(Image.open(io.BytesIO(png()))).transpose(2, 0, 1)[None].copy()
    images = Images(pixels, ["one"])
    predicted, shares = explorer.model.attend(images)
    by_label = {one["label"]: one["value"] for one in answer["predictions"]}
    np.testing.assert_allclose([by_label[name] for name in "abc"], predicted[0], rtol=1e-5)
    values = [one["value"] for one in answer["predictions"]]
    assert values == sorted(values, reverse=True)
    weights, rollout = unpacked(answer["weights"]), unpacked(answer["rollout"])
    assert weights.shape == (2, 2, 7, 7)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-3)
    assert answer["grid"] == [2, 3]
    np.testing.assert_allclose(rollout, shares[0] / shares[0].sum(), atol=1e-4)


def test_only_the_class_token_of_many(explorer, monkeypatch):
    every = unpacked(explorer.upload(png())["weights"])
    monkeypatch.setattr(vision, "MOST_TOKENS", 6)
    one = unpacked(explorer.upload(png())["weights"])
    np.testing.assert_allclose(one, every[:, :, :1], atol=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<svg/>", "is no PNG, JPEG, GIF, BMP or WebP"),
        (png()[:40], "the image c"),
        (png((30, 20)), "the image is 3 x 20 x 30"),
        (png((4097, 1)), "4097 x 1 pixels, and a side may have 4096"),
    ],
)
def test_refused(explorer, content, message):
    with pytest.raises(ImageryError, match=message) as caught:
        explorer.upload(content)
    assert tempfile.gettempdir() not in str(caught.value)


def test_digits(tmp_path):
    labels = [str(i) for i in range(10)]
    explorer = VisionExplorer(save(tmp_path / "vit", (8, 8), 2, 1, labels))
    facts = explorer.facts()
    assert len(facts["samples"]) == vision.SAMPLES
    number = 5
    answer = explorer.sample(number)
    digits = read_digits()
    row = digits.names.index(answer["name"])
    expected = explorer.model.predict(digits[np.array([row])])[0]
    best = answer["predictions"][0]
    assert (best["label"], best["value"]) == (str(expected.argmax()), pytest.approx(expected.max()))
    with pytest.raises(ImageryError, match="image 24 does not exist; this model has 24"):
        explorer.sample(24)


def test_others_have_no_images(explorer):
    facts = explorer.facts()
    assert (facts["samples"], facts["grid"], facts["labels"]) == ([], [2, 3], ["a", "b", "c"])
