"""The published networks: against reference outputs, against torch's layers, and by hand."""

import json
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.nn import PaperCNN, PaperGeolocation, PaperSpatioformer
from spatioformer.nn.transformer import BlockConfig, Transformer
from tests.helpers.nn_reference import TOLERANCE, difference, randomise

BATCH, PATCH, BANDS, HEADS, WIDTH, MLP_HIDDEN, HEAD_HIDDEN, LAYERS = 2, 5, 3, 7, 14, 13, 11, 2
STAGES = ("after_embedding", "after_geolocation", "after_encoder", "output")
PAPER_FILES = {
    "spatioformer_paper_p1.npz": True,
    "spatioformer_paper_p3.npz": True,
    "spatioformer_paper_p9.npz": True,
    "spatioformer_paper_p3_no_geolocation.npz": False,
}


class TorchSpatioformer(nn.Module):
    """The published formulas on torch's own encoder, named as in the checkpoint."""

    def __init__(self, geolocation: bool = True):
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, MLP_HIDDEN, batch_first=True)
        self.independent = nn.Parameter(torch.ones(1, WIDTH))
        self.encoder = nn.Linear(BANDS, WIDTH)
        self.geolocation_encoder = nn.Module()
        self.geolocation_encoder.lmd = nn.Parameter(torch.tensor(10000.0))
        self.transformer_encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.feedforward = nn.Sequential(
            nn.Linear((PATCH**2 + 1) * WIDTH, HEAD_HIDDEN), nn.Linear(HEAD_HIDDEN, 1)
        )
        self.geolocation = geolocation

    def forward(self, chips, lon, lat):
        n = len(chips)
        tokens = WIDTH**0.5 * self.encoder(chips.reshape(n, PATCH**2, BANDS))
        stages = {"after_embedding": tokens}
        if self.geolocation:
            tokens = tokens + self.geolocation_encoder.lmd * by_formula(lon, lat, WIDTH, 100.0)
        stages["after_geolocation"] = tokens
        tokens = torch.cat([self.independent.repeat(n, 1, 1), tokens], 1)
        stages["after_encoder"] = self.transformer_encoder(tokens)
        stages["output"] = self.feedforward(stages["after_encoder"].reshape(n, -1))
        return stages


def random_published(geolocation: bool = True) -> TorchSpatioformer:
    model = randomise(TorchSpatioformer(geolocation).double().eval())
    model.geolocation_encoder.lmd.data.fill_(9876.5)
    return model


def by_formula(lon, lat, width, base):
    """g of the paper, one number at a time: (B, P, P) degrees -> (B, P*P, width)."""
    features = []
    for x, y in zip(lon.flatten().tolist(), lat.flatten().tolist(), strict=True):
        for k in range(width):
            wave = math.cos if k % 2 else math.sin
            east = wave(x / base ** (k / width))
            north = wave(y / base ** ((width - k - 1) / width))
            features.append((east + north) / 2)
    return torch.tensor(features, dtype=torch.float64).view(len(lon), -1, width)


def chips_and_places(batch=BATCH, patch=PATCH, bands=BANDS, seed=0):
    """Reflectance x 10000 over Australia, float64."""
    generator = torch.Generator().manual_seed(seed)
    chips = torch.rand(batch, patch, patch, bands, generator=generator, dtype=torch.float64) * 4000
    lon, lat = torch.rand(2, batch, patch, patch, generator=generator, dtype=torch.float64)
    return chips, 113 + 40 * lon, -44 + 34 * lat


def small(**changes) -> PaperSpatioformer:
    sizes = dict.fromkeys(("layers", "mlp_hidden", "head_hidden"), 0)
    sizes.update(patch=PATCH, bands=BANDS, width=WIDTH, heads=HEADS, layers=LAYERS)
    sizes.update(mlp_hidden=MLP_HIDDEN, head_hidden=HEAD_HIDDEN)
    return PaperSpatioformer(**(sizes | changes))


def state_of(file) -> dict[str, np.ndarray]:
    return {key.removeprefix("state/"): file[key] for key in file if key.startswith("state/")}


@pytest.fixture
def published():
    """A network in the published layout with random weights, and its state dict."""
    return random_published()


class TestReferenceOutputs:
    @pytest.mark.parametrize("name", PAPER_FILES)
    def test_every_stage(self, conformance_dir, name):
        file = np.load(conformance_dir / name)
        model = PaperSpatioformer.from_published(state_of(file), PAPER_FILES[name]).eval()
        inputs = [torch.from_numpy(file[key]) for key in ("chips", "lon", "lat")]
        stages = model.forward_stages(*inputs)
        assert tuple(stages) == STAGES
        for stage in STAGES:
            assert difference(stages[stage], torch.from_numpy(file[stage])) <= TOLERANCE, stage
        want = torch.from_numpy(file["output"])[:, 0]
        assert difference(model(*inputs), want) <= TOLERANCE
        with torch.inference_mode():
            assert difference(model(*inputs), want) <= TOLERANCE

    @pytest.mark.parametrize("name", PAPER_FILES)
    def test_checkpoint_round_trip(self, conformance_dir, name):
        state = state_of(np.load(conformance_dir / name))
        back = PaperSpatioformer.from_published(state, PAPER_FILES[name]).to_published()
        assert back.keys() == state.keys()
        assert all(np.array_equal(back[key].numpy(), state[key]) for key in state)

    def test_cnn(self, conformance_dir):
        file = np.load(conformance_dir / "cnn_baseline.npz")
        model = PaperCNN.from_published(state_of(file)).eval()
        chips = torch.from_numpy(file["chips_bchw"]).permute(0, 2, 3, 1)
        assert difference(model(chips), torch.from_numpy(file["output"])[:, 0]) <= TOLERANCE
        back = model.to_published()
        assert back.keys() == state_of(file).keys()
        assert all(np.array_equal(back[key].numpy(), file[f"state/{key}"]) for key in back)


class TestAgainstTorch:
    @pytest.mark.parametrize("geolocation", [True, False])
    def test_every_stage(self, geolocation):
        theirs = random_published(geolocation)
        ours = PaperSpatioformer.from_published(theirs.state_dict(), geolocation, HEADS).eval()
        inputs = chips_and_places()
        want, got = theirs(*inputs), ours.forward_stages(*inputs)
        for stage in STAGES:
            assert difference(got[stage], want[stage]) <= TOLERANCE, stage

    @pytest.mark.parametrize(
        "change",
        [
            {"norm": "pre"},
            {"causal": True},
            {"activation": "gelu"},
            {"eps": 1e-6},
            {"heads": 2},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_each_switch_of_the_core_matters(self, published, change):
        ours = PaperSpatioformer.from_published(published.state_dict(), heads=HEADS).eval()
        switches = {"heads": HEADS, "norm": "post", "activation": "relu", "eps": 1e-5} | change
        mutant = Transformer(BlockConfig(WIDTH, hidden=MLP_HIDDEN, **switches), LAYERS).double()
        mutant.load_state_dict(ours.transformer.state_dict(), strict=False)
        mutant.norm = nn.Identity()
        ours.transformer = mutant
        assert self.distance(ours, published) > 100 * TOLERANCE

    @pytest.mark.parametrize(
        "swap",
        [
            lambda chips, lon, lat: (chips, lat, lon),
            lambda chips, lon, lat: (chips.mT.flip(-1), lon, lat),
            lambda chips, lon, lat: (chips.transpose(1, 2), lon.mT, lat.mT),
            lambda chips, lon, lat: (chips.flip(1), lon.flip(1), lat.flip(1)),
            lambda chips, lon, lat: (chips.flip(-1), lon, lat),
            lambda chips, lon, lat: (chips, lon.float(), lat.float()),
        ],
        ids=["lon and lat", "bands", "x and y", "south first", "band order", "float32 degrees"],
    )
    def test_each_axis_matters(self, published, swap):
        ours = PaperSpatioformer.from_published(published.state_dict(), heads=HEADS).eval()
        chips, lon, lat = chips_and_places()
        changed = swap(chips, lon, lat)
        changed = (changed[0].reshape(chips.shape), *changed[1:])
        assert self.distance(ours, published, changed) > 100 * TOLERANCE

    def test_base_matters(self, published):
        ours = PaperSpatioformer.from_published(published.state_dict(), heads=HEADS, base=99.0)
        assert self.distance(ours.eval(), published) > 100 * TOLERANCE

    @staticmethod
    def distance(ours, theirs, inputs=None) -> float:
        want = theirs(*chips_and_places())["output"]
        return difference(ours.forward_stages(*(inputs or chips_and_places()))["output"], want)


class TestSpatioformer:
    def test_published_size_and_start(self):
        model = PaperSpatioformer()
        layer = (48 * 16 + 48) + (16 * 16 + 16) + 2 * 16 * 1024 + 1024 + 16 + 4 * 16
        head = 82 * 16 * 1024 + 1024 + 1024 + 1
        assert sum(p.numel() for p in model.parameters()) == (96 + 16) + 16 + 1 + 3 * layer + head
        assert model.geolocation.weight.item() == 10000
        assert torch.equal(model.class_token, torch.ones(1, 16))
        assert model.transformer.blocks[0].attention.qkv.weight.shape == (48, 16)

    def test_config_rebuilds_the_model(self):
        model = small(geolocation=False, dropout=0.2, base=50.0)
        twin = PaperSpatioformer(**json.loads(json.dumps(model.config)))
        assert twin.config == model.config
        twin.load_state_dict(model.state_dict())
        inputs = [x.float() for x in chips_and_places()]
        assert torch.equal(twin.eval()(*inputs), model.eval()(*inputs))

    def test_answer_by_hand(self):
        """Zero attention, MLP and head weights leave y = u . a + s."""
        model = small(head_hidden=2)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            model.head[0].bias.copy_(torch.tensor([3.0, 5.0]))
            model.head[1].weight.copy_(torch.tensor([[7.0, 2.0]]))
            model.head[1].bias.fill_(0.5)
        chips, lon, lat = chips_and_places()
        assert model(chips.float(), lon, lat).tolist() == [31.5, 31.5]

    def test_geolocation_is_the_only_position(self):
        """Without g and with a head that sums its tokens, shuffled pixels change nothing."""
        model = randomise(small(geolocation=False).double().eval())
        with torch.no_grad():
            tokens = PATCH**2 + 1
            model.head[0].weight.copy_(model.head[0].weight[:, :WIDTH].repeat(1, tokens))
        chips, lon, lat = chips_and_places()
        order = torch.randperm(PATCH**2, generator=torch.Generator().manual_seed(1))
        shuffled = chips.flatten(1, 2)[:, order].view(chips.shape)
        assert difference(model(shuffled, lon, lat), model(chips, lon, lat)) <= TOLERANCE
        assert torch.equal(model(chips, lat, lon), model(chips, lon, lat))

    def test_evaluation_is_deterministic_and_dropout_is_seeded(self):
        model, inputs = small(dropout=0.5).double(), chips_and_places()
        torch.manual_seed(0)
        first, second = model(*inputs), model(*inputs)
        torch.manual_seed(0)
        assert torch.equal(model(*inputs), first)
        assert not torch.equal(first, second)
        model.eval()
        assert torch.equal(model(*inputs), model(*inputs))

    @pytest.mark.slow
    def test_learns_one_batch(self):
        torch.manual_seed(0)
        model = small(dropout=0.0, location_weight=1.0).double()
        chips, lon, lat = chips_and_places(batch=7)
        inputs, target = (chips / 4000, lon, lat), torch.linspace(-1, 1, 7, dtype=torch.float64)
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(150):
            optimiser.zero_grad()
            loss = (model(*inputs) - target).square().mean()
            loss.backward()
            optimiser.step()
        assert loss.item() < 1e-3
        assert model.geolocation.weight.item() != 1

    @pytest.mark.parametrize("patch", [0, 2, -1])
    def test_patch_must_be_odd(self, patch):
        with pytest.raises(ModelError, match=f"patch {patch} cannot be used; choose an odd number"):
            small(patch=patch)

    def test_heads_must_divide_the_width(self):
        with pytest.raises(ModelError, match="width 14 cannot be shared by 3 heads; choose"):
            small(heads=3)

    @pytest.mark.parametrize("shape", [(2, 5, 5, 4), (2, 3, 3, 3), (2, 25, 3)])
    def test_chips_must_fit(self, shape):
        model = small()
        with pytest.raises(ModelError, match=r"chips of shape .* give an array of shape \(n, 5, 5"):
            model(torch.zeros(shape), torch.zeros(2, 5, 5), torch.zeros(2, 5, 5))


class TestPublishedCheckpoint:
    def test_file_round_trip(self, published, tmp_path):
        path = tmp_path / "published.pt"
        torch.save(published.state_dict(), path)
        model = PaperSpatioformer.from_published(path, heads=HEADS)
        assert model.config == small(location_weight=model.config["location_weight"]).config
        torch.save(model.to_published(), path)
        back = torch.load(path, weights_only=True)
        assert back.keys() == published.state_dict().keys()
        assert all(torch.equal(back[key], value) for key, value in published.state_dict().items())

    def test_float32_stays_float32(self, published):
        model = PaperSpatioformer.from_published(published.float().state_dict(), heads=HEADS)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        chips, lon, lat = chips_and_places()
        assert model(chips.float(), lon, lat).dtype == torch.float32

    def test_exported_tensors_are_copies(self):
        model = small()
        model.to_published()["independent"].zero_()
        assert torch.equal(model.class_token, torch.ones(1, WIDTH))

    def test_unused_lambda_may_be_absent(self, published):
        state = published.state_dict()
        with_lambda = PaperSpatioformer.from_published(state, geolocation=False, heads=HEADS)
        assert torch.equal(
            with_lambda.to_published()["geolocation_encoder.lmd"], state["geolocation_encoder.lmd"]
        )
        del state["geolocation_encoder.lmd"]
        without = PaperSpatioformer.from_published(state, geolocation=False, heads=HEADS)
        inputs = chips_and_places()
        assert torch.equal(without.eval()(*inputs), with_lambda.eval()(*inputs))
        with pytest.raises(ModelError, match=r"missing: geolocation_encoder.lmd"):
            PaperSpatioformer.from_published(state, heads=HEADS)

    @pytest.mark.parametrize(
        ("break_it", "said"),
        [
            (lambda s: s.pop("encoder.bias"), "missing: encoder.bias"),
            (lambda s: s.pop("encoder.weight"), "missing: encoder.weight"),
            (lambda s: s.pop("transformer_encoder.layers.1.norm2.bias"), "layers.1.norm2.bias"),
            (lambda s: s.update(extra=torch.zeros(1)), "unexpected: extra"),
            (lambda s: s.update(independent=torch.zeros(2, WIDTH)),
             r"misshapen: independent \(2, 14\) instead of \(1, 14\)"),
            (lambda s: s.update({"encoder.weight": torch.zeros(3)}),
             r"misshapen: encoder.weight \(3,\) instead of 2 dimensions"),
            (lambda s: s.update({"feedforward.0.weight": torch.zeros(11, 100)}),
             "100 inputs at width 14 fits no square patch"),
            (lambda s: s.update({"feedforward.0.weight": torch.zeros(11, 70)}), "patch 2 cannot"),
            (lambda s: s.update(note="mine"), "more than named tensors"),
        ],
    )  # fmt: skip
    def test_wrong_state(self, published, break_it, said):
        state = dict(published.state_dict())
        break_it(state)
        with pytest.raises(ModelError, match=said) as caught:
            PaperSpatioformer.from_published(state, heads=HEADS)
        assert "\n" not in str(caught.value)

    def test_heads_of_another_network(self, published):
        with pytest.raises(ModelError, match="width 14 cannot be shared by 8 heads"):
            PaperSpatioformer.from_published(published.state_dict())

    def test_many_troubles_are_counted(self):
        state = small().to_published()
        for name in [name for name in state if "layers.1." in name and "norm2" not in name]:
            del state[name]
        with pytest.raises(ModelError, match=r"missing: .*, .*, .*, .* and 6 more\)"):
            PaperSpatioformer.from_published(state, heads=HEADS)

    def test_missing_file(self, tmp_path):
        with pytest.raises(ModelError, match=r"absent.pt does not exist; give"):
            PaperSpatioformer.from_published(tmp_path / "absent.pt")

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
    def test_unreadable_file(self, tmp_path, content):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(ModelError, match=r"bad.pt cannot be read as a checkpoint of tensors"):
            PaperSpatioformer.from_published(tmp_path / "bad.pt")

    def test_nothing_in_a_file_is_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (open, (str(tmp_path / "sprung"), "w"))

        (tmp_path / "trap.pt").write_bytes(pickle.dumps({"encoder.weight": Trap()}, protocol=2))
        with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
            PaperSpatioformer.from_published(tmp_path / "trap.pt")
        assert not (tmp_path / "sprung").exists()

    def test_a_whole_model_is_no_state_dict(self, tmp_path):
        torch.save([1, 2], tmp_path / "list.pt")
        with pytest.raises(ModelError, match="holds a list; save a flat state dict"):
            PaperSpatioformer.from_published(tmp_path / "list.pt")


class TestGeolocation:
    @pytest.mark.parametrize(("width", "base"), [(16, 100.0), (7, 31.0), (1, 100.0)])
    def test_equal_to_the_formula(self, width, base):
        _, lon, lat = chips_and_places()
        features = PaperGeolocation(width, base).encode(lon.flatten(1), lat.flatten(1))
        assert difference(features, by_formula(lon, lat, width, base)) <= TOLERANCE

    def test_by_hand(self):
        """At (0, 0) sines are 0 and cosines 1; lambda scales all."""
        zero = torch.zeros(1, dtype=torch.float64)
        assert PaperGeolocation(4)(zero, zero).tolist() == [[0, 10000, 0, 10000]]
        east = PaperGeolocation(2, base=4.0, weight=2).double()
        lon, lat = torch.tensor([math.pi / 2]), torch.tensor([0.0])
        # w = (1, 2), v = (2, 1): sin(pi/2) + sin(0), cos(pi/4) + cos(0)
        want = torch.tensor([[1.0, 0.5**0.5 + 1]], dtype=torch.float64)
        torch.testing.assert_close(east(lon.double(), lat.double()), want, rtol=0, atol=1e-7)

    def test_degrees_stay_float64_in_a_float32_network(self):
        encoder = PaperGeolocation(16, weight=1.0).float()
        lon = torch.tensor([150.0, 150.0 + 4e-6], dtype=torch.float64)  # less than a float32 step
        features = encoder(lon, torch.zeros(2, dtype=torch.float64))
        assert features.dtype == torch.float32
        assert not torch.equal(features[0], features[1])
        rounded = encoder(lon.float(), torch.zeros(2))
        assert torch.equal(rounded[0], rounded[1])

    def test_gradients(self):
        encoder = PaperGeolocation(5).double()
        lon, lat = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(encoder.encode, (lon, lat))
        encoder(lon, lat).sum().backward()
        assert encoder.weight.grad.item() == pytest.approx(encoder.encode(lon, lat).sum().item())


class TestCNN:
    @staticmethod
    def twin() -> nn.Module:
        """The same network of torch's layers, named as the checkpoint has them."""
        layers = []
        for channels in (BANDS, 5, 5):
            layers += [nn.Conv2d(channels, 5, 3), nn.ReLU(), nn.BatchNorm2d(5)]
        parts = {
            "cnn_layers": nn.Sequential(*layers),
            "feedforward": nn.Sequential(
                nn.Flatten(), nn.Linear(5 * 5 * 5, HEAD_HIDDEN), nn.Linear(HEAD_HIDDEN, 1)
            ),
        }
        return randomise(nn.ModuleDict(parts).double().eval())

    def test_equal_to_torch_layers(self, tmp_path):
        theirs, chips = self.twin(), chips_and_places(patch=11)[0]
        torch.save(theirs.state_dict(), tmp_path / "cnn.pt")
        ours = PaperCNN.from_published(tmp_path / "cnn.pt").eval()
        assert ours.config == PaperCNN(11, BANDS, 5, HEAD_HIDDEN).config
        want = theirs["feedforward"](theirs["cnn_layers"](chips.permute(0, 3, 1, 2)))[:, 0]
        assert difference(ours(chips), want) <= TOLERANCE
        assert difference(ours(chips.transpose(1, 2)), want) > 100 * TOLERANCE
        back = ours.to_published()
        assert back.keys() == theirs.state_dict().keys()
        assert all(torch.equal(back[key], value) for key, value in theirs.state_dict().items())

    def test_coordinates_are_not_looked_at(self):
        chips, lon, lat = chips_and_places(patch=7)
        model = randomise(PaperCNN(7, BANDS).double().eval())
        assert torch.equal(model(chips, lon, lat), model(chips, lat, lon))

    @pytest.mark.parametrize("patch", [5, 8])
    def test_patch_must_be_odd_and_outlast_the_convolutions(self, patch):
        with pytest.raises(ModelError, match=f"patch {patch} cannot be .* odd number from 7 up"):
            PaperCNN(patch)

    def test_chips_must_fit(self):
        with pytest.raises(ModelError, match=r"chips of shape \(2, 9, 9, 4\) do not fit"):
            PaperCNN(9, 6)(torch.zeros(2, 9, 9, 4))

    def test_wrong_state(self):
        state = PaperCNN(7).to_published()
        state["cnn_layers.3.bias"] = torch.zeros(9)
        del state["cnn_layers.2.running_var"]
        with pytest.raises(ModelError, match=r"missing: cnn_layers.2.running_var; misshapen: cnn"):
            PaperCNN.from_published(state)
        state["feedforward.1.weight"] = torch.zeros(4, 8 * 3)
        with pytest.raises(ModelError, match="24 inputs after 8 filters is not square"):
            PaperCNN.from_published(state)
