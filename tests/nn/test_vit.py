"""The Vision Transformer: against transformers' ViT, in timm's names, by hand."""

import json
from dataclasses import replace

import pytest
import torch

from spatioformer.common.errors import ModelError
from spatioformer.nn import ViT, attention_rollout
from spatioformer.nn.pretrained import read_weights, write_weights
from spatioformer.nn.transformer import Pattern, Transformer
from tests.helpers.nn_reference import (
    HIDDEN,
    LAYERS,
    TOLERANCE,
    WIDTH,
    block_config,
    difference,
    load_torch_encoder,
    randomise,
    torch_encoder,
)

BATCH, CHANNELS, PATCH, ROWS, COLUMNS, OUTPUTS = 2, 3, 7, 35, 21, 11
HEADS, GRID = 5, (5, 3)


def small(**changes) -> ViT:
    torch.manual_seed(0)
    sizes = {"width": WIDTH, "heads": HEADS, "layers": LAYERS, "mlp_hidden": HIDDEN}
    sizes |= {"image": (ROWS, COLUMNS), "patch": PATCH, "channels": CHANNELS, "outputs": OUTPUTS}
    return ViT(**(sizes | changes))


def random_vit(**changes) -> ViT:
    return randomise(small(**changes).double().eval())


def some_images(batch=BATCH) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(batch, CHANNELS, ROWS, COLUMNS, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def hugging_face():
    """transformers' ViT with random float64 weights."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        image_size=(ROWS, COLUMNS),
        patch_size=PATCH,
        num_channels=CHANNELS,
        num_labels=OUTPUTS,
    )
    return randomise(transformers.ViTForImageClassification(config).double().eval())


@pytest.fixture
def folder(hugging_face, tmp_path):
    hugging_face.save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


class TestAgainstTransformers:
    @pytest.mark.slow
    def test_logits(self, hugging_face, folder):
        model = ViT.from_pretrained(folder).eval()
        assert difference(model(some_images()), hugging_face(some_images()).logits) <= TOLERANCE
        assert model.config["labels"] == [f"LABEL_{i}" for i in range(OUTPUTS)]

    @pytest.mark.parametrize(
        "change",
        [
            {"causal": True},
            {"norm": "post"},
            {"activation": "gelu_tanh"},
            {"activation": "relu"},
            {"eps": 1e-6},
            {"heads": 7},
        ],
        ids=str,
    )
    def test_each_switch_matters(self, hugging_face, folder, change):
        model = ViT.from_pretrained(folder).eval()
        switches = block_config(activation="gelu", eps=1e-12)
        mutant = Transformer(replace(switches, **change), LAYERS).double()
        mutant.load_state_dict(model.transformer.state_dict(), strict=False)
        if change == {"norm": "post"}:
            mutant.norm = model.transformer.norm
        model.transformer = mutant
        want = hugging_face(some_images()).logits
        assert difference(model(some_images()), want) > 100 * TOLERANCE

    @pytest.mark.parametrize(
        "swap", [lambda x: x.flip(1), lambda x: x.flip(2), lambda x: x.flip(3)], ids="Cyx"
    )
    def test_each_axis_matters(self, hugging_face, folder, swap):
        model = ViT.from_pretrained(folder).eval()
        want = hugging_face(some_images()).logits
        assert difference(model(swap(some_images())), want) > 100 * TOLERANCE

    def test_our_folder_opens_there(self, hugging_face, tmp_path):
        for labels in (None, [f"species {i}" for i in range(OUTPUTS)]):
            ours = random_vit(labels=labels)
            ours.save_pretrained(tmp_path)
            theirs = type(hugging_face).from_pretrained(tmp_path).eval()
            assert difference(theirs(some_images()).logits, ours(some_images())) <= TOLERANCE
        assert theirs.config.id2label[7] == "species 7"

    def test_timm_layout(self, hugging_face, folder):
        """Their checkpoint renamed to timm's layout is ours, both ways, and the same model."""
        theirs = as_timm(read_weights(folder / "model.safetensors"))
        ours = ViT.from_pretrained(folder).to_timm()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
        model = ViT.from_timm(theirs, heads=HEADS, image=(ROWS, COLUMNS)).eval()
        assert model.config["eps"] == 1e-6
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.eps = 1e-12
        assert difference(model(some_images()), hugging_face(some_images()).logits) <= TOLERANCE


def as_timm(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A Hugging Face ViT checkpoint under timm's names, written out."""
    renamed = {
        "cls_token": state["vit.embeddings.cls_token"],
        "pos_embed": state["vit.embeddings.position_embeddings"],
    }
    for kind in ("weight", "bias"):
        renamed[f"patch_embed.proj.{kind}"] = state[
            f"vit.embeddings.patch_embeddings.projection.{kind}"
        ]
        renamed[f"norm.{kind}"] = state[f"vit.layernorm.{kind}"]
        renamed[f"head.{kind}"] = state[f"classifier.{kind}"]
        for i in range(LAYERS):
            layer, block = f"vit.encoder.layer.{i}", f"blocks.{i}"
            renamed[f"{block}.attn.qkv.{kind}"] = torch.cat(
                [
                    state[f"{layer}.attention.attention.{part}.{kind}"]
                    for part in ("query", "key", "value")
                ]
            )
            for timm, hugging_face in (
                ("attn.proj", "attention.output.dense"),
                ("norm1", "layernorm_before"),
                ("norm2", "layernorm_after"),
                ("mlp.fc1", "intermediate.dense"),
                ("mlp.fc2", "output.dense"),
            ):
                renamed[f"{block}.{timm}.{kind}"] = state[f"{layer}.{hugging_face}.{kind}"]
    return renamed


def test_logits_from_torch_layers():
    """Without transformers: patches cut by hand, torch's pre-norm encoder, the class token."""
    model = random_vit()
    theirs = torch_encoder(block_config(activation="gelu", eps=1e-12)).double().eval()
    randomise(theirs, seed=1)
    load_torch_encoder(model.transformer, theirs)
    tokens = [model.class_token.expand(BATCH, 1, WIDTH)]
    weights = model.patches.weight.flatten(1)
    for y in range(0, ROWS, PATCH):
        for x in range(0, COLUMNS, PATCH):
            patch = some_images()[:, :, y : y + PATCH, x : x + PATCH].flatten(1)
            tokens.append((patch @ weights.T + model.patches.bias)[:, None])
    encoded = theirs(torch.cat(tokens, 1) + model.positions)
    want = encoded[:, 0] @ model.head.weight.T + model.head.bias
    assert difference(model(some_images()), want) <= TOLERANCE


class TestModel:
    def test_batch_size_does_not_matter_and_evaluation_is_deterministic(self):
        model, images = random_vit(dropout=0.3), some_images()
        assert torch.equal(model(images), model(images))
        alone = torch.cat([model(image[None]) for image in images])
        assert difference(alone, model(images)) <= TOLERANCE
        assert not torch.equal(model.train()(images), model(images))

    @pytest.mark.parametrize("channels", [1, 5])
    def test_square_images_of_any_channels(self, channels):
        model = ViT(12, 4, channels, width=10, heads=2, layers=1, outputs=1)
        assert model.config["image"] == [12, 12]
        assert model.positions.shape == (1, 10, 10)
        assert model(torch.rand(3, channels, 12, 12)).shape == (3, 1)

    @pytest.mark.parametrize("outputs", [OUTPUTS, 1])
    def test_learns_one_batch(self, outputs):
        """A classification head and a regression head."""
        model, images = small(outputs=outputs), some_images(6).float()
        target = torch.arange(6) if outputs > 1 else torch.linspace(-1, 1, 6)[:, None]
        lose = torch.nn.CrossEntropyLoss() if outputs > 1 else torch.nn.MSELoss()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(110):
            loss = lose(model(images), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert loss.item() < 0.05

    def test_position_similarity(self):
        model = random_vit()
        similarity = model.position_similarity()
        assert similarity.shape == (*GRID, *GRID)
        positions = model.positions[0, 1:]
        a, b = positions[1 * 3 + 2], positions[4 * 3 + 0]  # rows of 3 patches: (1, 2) and (4, 0)
        cosine = (a @ b / (a.norm() * b.norm())).item()
        assert similarity[1, 2, 4, 0].item() == pytest.approx(cosine, abs=1e-12)
        assert similarity[3, 1, 3, 1].item() == pytest.approx(1, abs=1e-12)

    def test_config_rebuilds_the_model(self):
        model = small(labels=[f"{i}" for i in range(OUTPUTS)], eps=1e-3, dropout=0.1).double()
        twin = ViT(**json.loads(json.dumps(model.config))).double()
        assert twin.config == model.config
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin.eval()(some_images()), model.eval()(some_images()))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"image": 30}, "an image of 30 x 30 pixels is no whole number of patches of 7"),
            ({"image": (35, 20)}, "an image of 35 x 20 pixels .* choose a patch that divides"),
            ({"image": (0, 7)}, "an image of 0 x 7 pixels"),
            ({"patch": 0}, "patches of 0"),
            ({"labels": ["a", "b"]}, "2 labels for 11 outputs; give one label each"),
            ({"heads": 4}, "width 35 cannot be shared by 4 heads"),
        ],
    )
    def test_wrong_arguments(self, arguments, said):
        with pytest.raises(ModelError, match=said):
            small(**arguments)

    @pytest.mark.parametrize(
        "shape", [(1, 1, ROWS, COLUMNS), (1, 3, COLUMNS, ROWS), (3, ROWS, COLUMNS)]
    )
    def test_images_must_fit(self, shape):
        with pytest.raises(ModelError, match=r"images of shape .* = \(n, 3, 35, 21\); resize"):
            small()(torch.zeros(shape))


class TestRollout:
    def test_by_hand(self):
        """Two layers, two heads: ((A2 + I) / 2)((A1 + I) / 2) with A the mean of the heads."""
        first = torch.tensor([[[[1.0, 0], [1, 0]], [[0, 1], [1, 0]]]])
        second = torch.tensor([[[[0.0, 1], [0, 1]], [[0, 1], [0, 1]]]])
        patterns = [Pattern(first, first), Pattern(second, second)]
        # (A1 + I)/2 = [[.75, .25], [.5, .5]], (A2 + I)/2 = [[.5, .5], [0, 1]]
        want = torch.tensor([[[0.625, 0.375], [0.5, 0.5]]])
        assert torch.equal(attention_rollout(patterns), want)

    def test_of_a_model(self):
        patterns, images = [], some_images()
        random_vit()(images, patterns)
        rolled = attention_rollout(patterns)
        assert rolled.shape == (BATCH, 16, 16)
        assert difference(rolled.sum(-1), torch.ones(BATCH, 16).double()) <= TOLERANCE
        assert (rolled >= 0).all()


class TestFiles:
    @pytest.mark.parametrize("image", [(ROWS, COLUMNS), 21])
    def test_save_and_load_bit_equal(self, tmp_path, image):
        model = small(image=image, dropout=0.2).double().eval()
        model.save_pretrained(tmp_path)
        again = ViT.from_pretrained(tmp_path).eval()
        assert again.config == model.config
        images = some_images()[:, :, : model.config["image"][0]]
        assert torch.equal(again(images), model(images))

    def test_timm_round_trip(self, tmp_path):
        model = ViT(21, PATCH, CHANNELS, 128, 2, LAYERS, HIDDEN, OUTPUTS, eps=1e-6).eval()
        write_weights(tmp_path / "timm.safetensors", model.to_timm())
        again = ViT.from_timm(tmp_path / "timm.safetensors").eval()  # heads and size inferred
        assert again.config == model.config
        images = some_images()[:, :, :21].float()
        assert torch.equal(again(images), model(images))

    def test_wrong_timm_state(self):
        state = small().to_timm()
        del state["blocks.1.attn.qkv.bias"]
        state["fc_norm.weight"] = torch.zeros(3)
        image = (ROWS, COLUMNS)
        with pytest.raises(ModelError, match=r"missing: blocks.1.attn.qkv.bias; unexpected: fc_n"):
            ViT.from_timm(state, HEADS, image)
        del state["fc_norm.weight"], state["head.weight"]
        with pytest.raises(ModelError, match=r"a timm ViT \(missing: head.weight\)"):
            ViT.from_timm(state, HEADS, image)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"model_type": "gpt2"}, "holds a model of type 'gpt2'; give one of type 'vit'"),
            ({"hidden_act": "relu"}, "activation 'relu' is not supported"),
            ({"patch_size": 5}, "is no whole number of patches of 5"),
            ({"image_size": [7, "x"]}, "image_size = 'x'; give a config.json"),
            ({"image_size": 42}, r"position_embeddings \(1, 16, 35\) instead of \(1, 37, 35\)"),
            ({"num_hidden_layers": 3}, "missing: vit.encoder.layer.2"),
        ],
        ids=str,
    )
    def test_wrong_config(self, tmp_path, change, said):
        small().save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=said):
            ViT.from_pretrained(tmp_path)
