"""Model folders: our own, Hugging Face's and timm's; scaling, prediction, attention."""

import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from spatioformer.common.errors import ModelError
from spatioformer.nn import ViT, attention_rollout
from spatioformer.nn.pretrained import read_weights, write_weights
from spatioformer.vision.images import Form, Images, read_images
from spatioformer.vision.model import VisionModel
from spatioformer.vision.preparation import PREPROCESSOR, Preparation
from tests.helpers.nn_reference import randomise

MEAN, SD = (0.5, 0.25, 0.125), (0.25, 0.5, 2.0)


def network(**changes) -> ViT:
    sizes = {"image": (6, 9), "patch": 3, "channels": 3, "width": 10, "heads": 2, "layers": 2}
    return randomise(ViT(**(sizes | {"outputs": 3, "labels": ["a", "b", "c"]} | changes)).eval())


def model(**changes) -> VisionModel:
    return VisionModel(network(**changes), Preparation(MEAN, SD))


def some_images(count: int = 4, shape: tuple[int, ...] = (3, 6, 9)) -> Images:
    pixels = np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)
    return Images(pixels, [f"image {i}" for i in range(count)])


def picture_file(path, rows=31, columns=47) -> str:
    """A smooth RGB photograph, so to say."""
    y, x = np.mgrid[:rows, :columns]
    pixels = np.stack([y * 255 // rows, x * 255 // columns, (x + y) % 256], -1).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


class TestPreparation:
    def test_by_hand(self):
        pixels = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
        want = [[(0 - m) / s, (1 - m) / s] for m, s in zip(MEAN, SD, strict=True)]
        got = Preparation(MEAN, SD)(pixels)[0, :, 0]
        np.testing.assert_allclose(got, want, rtol=1e-6)

    def test_measured(self):
        """Each channel gets mean 0 and standard deviation 1; a constant one stays finite."""
        rng = np.random.default_rng(0)
        pixels = rng.normal([[[[3.0]], [[-2.0]], [[7.0]]]], [[[[0.1]], [[5.0]], [[0.0]]]],
                            (300, 3, 4, 5)).astype(np.float32)  # fmt: skip
        preparation = Preparation.of(pixels, Form())
        np.testing.assert_allclose(preparation.mean, pixels.mean((0, 2, 3), np.float64), rtol=1e-6)
        np.testing.assert_allclose(preparation.sd[:2], pixels.std((0, 2, 3))[:2], rtol=1e-4)
        assert preparation.sd[2] == 1
        assert not preparation.eight_bit
        seen = preparation(torch.from_numpy(pixels)).numpy()
        np.testing.assert_allclose(seen.std((0, 2, 3)), [1, 1, 0], atol=1e-3)

    def test_eight_bits_and_shares_are_one_unit(self):
        pixels = some_images(2).pixels
        a, b = (Preparation.of(x, Form()) for x in (pixels, np.float32(pixels / 255)))
        assert a.eight_bit
        assert b.eight_bit
        np.testing.assert_allclose([a.mean, a.sd], [b.mean, b.sd], rtol=1e-6)


class TestPrediction:
    def test_probabilities_are_the_softmax_of_the_network(self):
        ours, images = model(), some_images()
        logits = ours.network(ours.preparation(torch.from_numpy(images.pixels)))
        np.testing.assert_allclose(ours.predict(images), logits.softmax(1).detach(), rtol=1e-6)
        assert ours.predict(images).sum(1) == pytest.approx(1)

    def test_values_are_what_the_network_says(self):
        ours, images = model(), some_images()
        ours.task = "regression"
        logits = ours.network(ours.preparation(torch.from_numpy(images.pixels)))
        np.testing.assert_allclose(ours.predict(images), logits.detach(), rtol=1e-6)

    def test_rescaled_output(self):
        ours, images = model(), some_images()
        ours.task = "regression"
        before = ours.predict(images)
        mean, sd = np.array([10.0, 20, 30]), np.array([2.0, 3, 4])
        ours.rescale_output(mean, sd)
        np.testing.assert_allclose(ours.predict(images), before * sd + mean, rtol=1e-5)

    def test_attention_in_even_shares(self):
        ours, images, record = model(), some_images(), []
        predicted, shares = ours.attend(images)
        np.testing.assert_allclose(predicted, ours.predict(images), atol=1e-6)
        assert shares.shape == (4, 2, 3)
        assert shares.mean((1, 2)) == pytest.approx(1)
        ours.network(ours.preparation(torch.from_numpy(images.pixels)), record)
        rolled = attention_rollout(record)[:, 0, 1:].detach().numpy()
        want = rolled / rolled.sum(1, keepdims=True) * 6
        np.testing.assert_allclose(shares.reshape(4, 6), want, rtol=1e-5)


class TestOurFolder:
    @pytest.mark.parametrize("task", ["classification", "regression"])
    @pytest.mark.parametrize(
        "form", [Form(), Form((6, 9)), Form((6, 9), 3, resample=3, crop=0.9)], ids=str
    )
    def test_round_trip(self, tmp_path, task, form):
        ours = VisionModel(network(), Preparation(MEAN, SD, form=form), task)
        ours.save(tmp_path)
        again = VisionModel.open(tmp_path)
        assert again.task == task
        assert again.labels == ["a", "b", "c"]
        assert again.preparation == Preparation(MEAN, SD, True, replace_channels(form))
        assert np.array_equal(again.predict(some_images()), ours.predict(some_images()))

    def test_units_of_their_own(self, tmp_path):
        preparation = Preparation((2000.0,), (500.0,), eight_bit=False)
        VisionModel(network(channels=1), preparation).save(tmp_path)
        again = VisionModel.open(tmp_path)
        assert again.preparation == preparation
        floats = Images(np.full((1, 1, 6, 9), 2500, np.float32), ["x"])
        again.preparation.check(floats)
        assert again.preparation(torch.from_numpy(floats.pixels)).unique().tolist() == [1.0]
        with pytest.raises(ModelError, match="image 0 has 8 bits, but the model was trained on nu"):
            again.preparation.check(some_images())

    def test_the_network_alone(self, tmp_path):
        ours = model()
        ours.save(tmp_path)
        alone = ViT.from_pretrained(tmp_path).eval()
        seen = ours.preparation(torch.from_numpy(some_images().pixels))
        assert torch.equal(alone(seen), ours.network(seen))

    @pytest.mark.parametrize("form", [Form((6, 9), 3), Form((6, 9), 3, resample=3)], ids=str)
    def test_opens_in_transformers(self, tmp_path, form):
        """The same file through their processor and network, and through ours."""
        transformers = pytest.importorskip("transformers")
        ours = VisionModel(network(), Preparation(MEAN, SD, form=form))
        ours.save(tmp_path)
        path = picture_file(tmp_path / "photo.png")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            processor = transformers.ViTImageProcessorPil.from_pretrained(tmp_path)
            seen = processor(Image.open(path), return_tensors="pt")["pixel_values"]
        theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path).eval()
        mine = ours.read(path)
        np.testing.assert_allclose(ours.preparation(torch.from_numpy(mine.pixels)), seen, atol=1e-5)
        np.testing.assert_allclose(
            ours.predict(mine), theirs(seen).logits.softmax(1).detach(), rtol=1e-4
        )


def replace_channels(form: Form) -> Form:
    """Hugging Face's folders of RGB models that resize also convert."""
    return Form(form.size, 3 if form.size else form.channels, form.resample, form.crop)


class TestHuggingFaceFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        transformers = pytest.importorskip("transformers")
        config = transformers.ViTConfig(
            hidden_size=10, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
            image_size=12, patch_size=4, num_labels=3,
        )  # fmt: skip
        self.theirs = randomise(transformers.ViTForImageClassification(config).eval())
        self.theirs.save_pretrained(tmp_path)
        return tmp_path

    @pytest.mark.parametrize(
        ("change", "mean", "sd"),
        [
            ({}, (0.5,) * 3, (0.25,) * 3),
            ({"do_normalize": False}, (0.0,) * 3, (1.0,) * 3),
            ({"rescale_factor": 2 / 255}, (0.25,) * 3, (0.125,) * 3),
            ({"image_mean": [0.1, 0.2, 0.3], "size": 12}, (0.1, 0.2, 0.3), (0.25,) * 3),
        ],
        ids=str,
    )
    def test_scaling(self, folder, tmp_path, change, mean, sd):
        said = {"size": {"height": 12, "width": 12}, "image_mean": [0.5] * 3, "image_std": 0.25}
        (folder / PREPROCESSOR).write_text(json.dumps(said | change))
        opened = VisionModel.open(folder)
        form = Form((12, 12), 3, 2, None)
        assert opened.preparation == Preparation(mean, sd, True, form)
        images = opened.read(picture_file(tmp_path / "photo.png"))
        seen = (torch.from_numpy(images.pixels) / 255 - torch.tensor(mean).view(3, 1, 1)) / sd[0]
        want = self.theirs(seen).logits.softmax(1).detach()
        np.testing.assert_allclose(opened.predict(images), want, rtol=1e-4)

    @pytest.mark.parametrize("said", [None, "{", "[]", "{}", '{"image_mean": [1, 2]}'])
    def test_scaling_must_be_known(self, folder, said):
        if said is not None:
            (folder / PREPROCESSOR).write_text(said)
        with pytest.raises(ModelError, match=r"preprocessor_config.json cannot be used .* give im"):
            VisionModel.open(folder)


class TestTimmFolder:
    def write(self, folder, ours: ViT, **config) -> None:
        write_weights(folder / "model.safetensors", ours.to_timm())
        (folder / "config.json").write_text(json.dumps(config))

    def cfg(self, ours: ViT) -> dict:
        return {
            "input_size": [3, *ours.config["image"]], "interpolation": "bicubic",
            "crop_pct": 0.9, "mean": MEAN, "std": SD,
        }  # fmt: skip

    def test_same_predictions(self, tmp_path):
        ours = network(width=128, heads=2, eps=1e-6)
        self.write(tmp_path, ours, architecture="vit_tiny_patch3", label_names=["a", "b", "c"],
                   pretrained_cfg=self.cfg(ours))  # fmt: skip
        opened = VisionModel.open(tmp_path)
        assert opened.network.config == ours.config
        assert opened.preparation == Preparation(MEAN, SD, True, Form((6, 9), 3, 3, 0.9))
        want = VisionModel(ours, Preparation(MEAN, SD)).predict(some_images())
        np.testing.assert_array_equal(opened.predict(some_images()), want)

    @pytest.mark.parametrize(
        ("config", "heads"),
        [
            ({"architecture": "vit_base_patch3"}, 2),
            ({"architecture": "vit_huge_patch3"}, 16),
            ({"architecture": "vit_base_patch3", "model_args": {"num_heads": 8}}, 8),
        ],
        ids=str,
    )
    def test_heads(self, tmp_path, config, heads):
        ours = network(width=128, heads=heads)
        self.write(tmp_path, ours, **config, **self.cfg(ours))
        assert VisionModel.open(tmp_path).network.config["heads"] == heads

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"architecture": "resnet50"}, "of architecture 'resnet50'; give one of timm's plain"),
            ({"architecture": "vit_base", "input_size": [3, 6, 9]}, "must give mean and std"),
            ({"architecture": "vit_base", "input_size": [3, 9, 9]}, r"pos_embed \(1, 7, 10\)"),
        ],
        ids=str,
    )
    def test_refused(self, tmp_path, config, said):
        self.write(tmp_path, network(), **config)
        with pytest.raises(ModelError, match=said):
            VisionModel.open(tmp_path)


class TestRefused:
    def test_another_architecture(self, tmp_path):
        (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
        write_weights(tmp_path / "model.safetensors", {"x": torch.zeros(1)})
        with pytest.raises(
            ModelError, match="holds a model of type 'gpt2'; give one of type 'vit'"
        ):
            VisionModel.open(tmp_path)

    def test_truncated_weights(self, tmp_path):
        model().save(tmp_path)
        path = tmp_path / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ModelError, match="cannot be read as safetensors"):
            VisionModel.open(tmp_path)

    def test_truncated_tensor(self, tmp_path):
        model().save(tmp_path)
        state = read_weights(tmp_path / "model.safetensors")
        state["classifier.weight"] = state["classifier.weight"][:, :-1].clone()
        write_weights(tmp_path / "model.safetensors", state)
        with pytest.raises(ModelError, match=r"classifier.weight \(3, 9\) instead of \(3, 10\)"):
            VisionModel.open(tmp_path)

    def test_no_folder(self, tmp_path):
        with pytest.raises(ModelError, match=r"config.json cannot be read"):
            VisionModel.open(tmp_path / "none")

    def test_image_of_another_size(self, tmp_path):
        path = picture_file(tmp_path / "photo.png")
        said = r"photo.png is 3 x 31 x 47 \(channels, rows, columns\), but the model takes 3 x 6 x"
        with pytest.raises(ModelError, match=said):
            model().read(path)
        assert read_images(path).pixels.shape == (1, 3, 31, 47)

    def test_values_that_were_not_divided(self, tmp_path):
        np.savez(tmp_path / "a.npz", images=some_images().pixels.transpose(0, 2, 3, 1) * 1.0)
        with pytest.raises(ModelError, match=r"run from 0 to 255, but the model takes 0 to 1; div"):
            model().read(tmp_path / "a.npz")
