"""The default network: shapes, what it looks at and what it must not, covariates, ensembles."""

import numpy as np
import pandas as pd
import pytest
import torch

from spatioformer.common.errors import ModelError
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models.capabilities import FitContext
from spatioformer.models.network import NetworkModel
from spatioformer.models.registry import make
from spatioformer.models.scaling import Covariates, Scaling
from spatioformer.models.store import load
from spatioformer.nn import Ensemble, Spatioformer
from spatioformer.nn.piecewise import PiecewiseLinear, quantile_edges
from spatioformer.nn.spatioformer import ScalarTokens
from spatioformer.training.samples import Samples, turned

PLACE = {"name": "sphere", "wavelengths": [40.0, 10.0]}
SMALL = {"width": 8, "heads": 2, "layers": 1, "mlp_hidden": 8, "head_hidden": 8}


def network(**arguments) -> Spatioformer:
    torch.manual_seed(0)
    return Spatioformer(**{"patch": 3, "bands": 2, "location": PLACE} | SMALL | arguments).eval()


def wake(net: torch.nn.Module) -> torch.nn.Module:
    """Layers that start at zero would hide what they are for."""
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    return net


def inputs(n: int = 5, patch: int = 3, bands: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    chips = torch.randn(n, patch, patch, bands, generator=generator)
    lon, lat = torch.rand(2, n, patch, patch, generator=generator, dtype=torch.float64) * 10
    return chips, 140 + lon, -30 + lat


def test_it_is_rebuilt_from_its_config():
    edges = [[-1.0, 0.0, 1.0], [-2.0, 0.5, 2.0]]
    net = wake(network(covariates=2, edges=edges))
    again = Spatioformer(**net.config).eval()
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(*inputs()), net(*inputs()))


@pytest.mark.parametrize(("patch", "tokens"), [(3, "pixels"), (1, "pixels"), (1, "bands")])
def test_one_number_a_chip(patch, tokens):
    net = network(patch=patch, tokens=tokens)
    assert net(*inputs(5, patch)).shape == (5,)


def test_where_a_pixel_stands_matters():
    net, (chips, lon, lat) = wake(network()), inputs()
    assert not torch.allclose(net(chips.flip(1), lon, lat), net(chips, lon, lat))


def test_location_matters_once_learned_and_not_without_an_encoder():
    (chips, lon, lat), net, blind = inputs(), wake(network()), wake(network(location=None))
    assert not torch.allclose(net(chips, lon + 5, lat), net(chips, lon, lat))
    assert torch.equal(blind(chips, lon + 5, lat), blind(chips, lon, lat))
    fresh = network()  # FiLM starts at zero
    assert torch.equal(fresh(chips, lon + 5, lat), fresh(chips, lon, lat))


def test_jitter_and_location_dropout_are_for_training_only():
    net, here = wake(network(location_dropout=0.9, location_jitter=300.0, dropout=0.0)), inputs()
    torch.manual_seed(0)
    assert torch.equal(net(*here), net(*here))
    net.train()
    assert not torch.equal(net(*here), net(*here))


def test_an_unknown_covariate_is_a_token_of_its_own():
    net, here = wake(network(covariates=2)), inputs()
    known = torch.zeros(5, 2)
    missing = known.clone()
    missing[2, 1] = torch.nan
    found = net(*here, known) - net(*here, missing)
    assert (found != 0).tolist() == [False, False, True, False, False]
    assert torch.equal(net(*here), net(*here, torch.full((5, 2), torch.nan)))
    missing.requires_grad_()
    net(*here, missing).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_scalar_tokens_are_value_times_weight_plus_bias():
    tokens = ScalarTokens(2, 3)
    found = tokens(torch.tensor([[2.0, torch.nan]]))
    assert torch.equal(found[0, 0], 2 * tokens.weight[0] + tokens.bias[0])
    assert torch.equal(found[0, 1], tokens.missing[1])


def test_intervals_fill_one_after_the_other_and_saturate():
    encoding = PiecewiseLinear([[0.0, 1.0, 3.0]])
    found = encoding(torch.tensor([[-5.0], [0.5], [2.0], [99.0]]))
    assert found.tolist() == [[0, 0], [0.5, 0], [1, 0.5], [1, 1]]


def test_edges_are_quantiles():
    values = torch.arange(101.0)[:, None] * torch.tensor([1.0, -2.0])
    assert quantile_edges(values, 4).tolist() == [[0, 25, 50, 75, 100], [-200, -150, -100, -50, 0]]


def test_beyond_the_edges_nothing_changes():
    net, (_, lon, lat) = network(edges=[[-1.0, 0, 1.0]] * 2), inputs()
    far, farther = torch.full((2, 5, 3, 3, 2), 2.0) * torch.tensor([1, 50.0]).view(2, 1, 1, 1, 1)
    assert torch.equal(net(far, lon, lat), net(farther, lon, lat))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"patch": 4}, "patch 4 cannot be used; choose an odd number from 1 up"),
        ({"tokens": "bands"}, "bands cannot be the tokens of a chip of 3 x 3 pixels; choose pixel"),
        ({"heads": 3}, "width 8 cannot be shared by 3 heads"),
    ],
)
def test_impossible_networks_are_refused(arguments, sentence):
    with pytest.raises(ModelError, match=sentence):
        network(**arguments)


def test_wrong_covariates_are_refused():
    with pytest.raises(ModelError, match=r"give an array of shape \(5, 1\)"):
        network(covariates=1)(*inputs(), torch.zeros(5, 3))


def test_the_eight_turns_are_the_symmetries_of_the_square():
    chip = torch.arange(9.0).view(1, 3, 3, 1).expand(8, 3, 3, 1).contiguous()
    lon = chip[..., 0].double()
    samples = Samples(chip, lon, lon + 100, torch.zeros(8))
    found = turned(samples, torch.arange(8))
    assert len({tuple(c.flatten().tolist()) for c in found.chips}) == 8
    assert torch.equal(found.chips[0], chip[0])
    assert torch.equal(found.chips[..., 0].double(), found.lon)  # coordinates move along
    assert torch.equal(found.lon + 100, found.lat)
    assert (found.chips[:, 1, 1, 0] == 4).all()  # the plot's own pixel stays


SCALING = Scaling((0.0, 0.0), (1.0, 1.0), 20.0, 5.0)


def ensemble_bundle(**scaling) -> NetworkModel:
    torch.manual_seed(0)
    net = wake(Ensemble(3, "Spatioformer", patch=3, bands=2, location=PLACE, dropout=0.2, **SMALL))
    return NetworkModel(net.eval(), ["red", "nir"], Scaling(**vars(SCALING) | scaling))


def test_an_ensemble_predicts_the_mean_of_its_members_species(tmp_path):
    bundle = ensemble_bundle(link="log", target_mean=3.0, target_sd=1.0)
    arrays = [t.numpy() for t in inputs()]
    alone = [NetworkModel(m, bundle.bands, bundle.scaling).predict(*arrays) for m in bundle.members]
    np.testing.assert_allclose(bundle.predict(*arrays), np.mean(alone, axis=0), rtol=1e-6)
    assert np.ptp(alone, axis=0).min() > 0
    again = load(bundle.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(*arrays), bundle.predict(*arrays))
    np.testing.assert_array_equal(again.spread(*arrays, seed=4), bundle.spread(*arrays, seed=4))


def test_the_spread_of_an_ensemble_without_dropout_is_its_disagreement():
    bundle = ensemble_bundle()
    bundle.network.config["dropout"] = 0.0
    for module in bundle.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    arrays = [t.numpy() for t in inputs()]
    alone = [NetworkModel(m, bundle.bands, bundle.scaling).predict(*arrays) for m in bundle.members]
    found = bundle.spread(*arrays, samples=3)
    np.testing.assert_allclose(found, np.std(alone, axis=0, ddof=1), rtol=1e-4)


def plot_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "area_m2": [100.0, 400.0, np.nan, 10000.0],
            "date": pd.to_datetime(["2001-01-05", "2003-07-01", None, "2011-12-31"]),
            "programme": ["a", "b", "b", "a"],
        }
    )


def test_covariates_are_measured_on_the_plots():
    found = Covariates.of(plot_table(), {"area_m2": None, "year": 2010})
    assert found.usual == (400.0, 2010.0)
    assert found.mean == pytest.approx(((2 + np.log10(400) + 4) / 3, 2005.0))
    seen = found.standardised(np.array([[10 ** found.mean[0], np.nan]]))
    assert seen[0, 0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(seen[0, 1])


def test_a_bundle_takes_covariates_by_name(tmp_path):
    covariates = Covariates(("area_m2",), (2.0,), (1.0,), (400.0,))
    net = wake(network(covariates=1))
    bundle = NetworkModel(net, ["red", "nir"], SCALING, covariates=covariates)
    arrays = [t.numpy() for t in inputs()]
    usual = bundle.predict(*arrays)
    np.testing.assert_array_equal(bundle.predict(*arrays, {"area_m2": 400}), usual)
    larger = bundle.predict(*arrays, {"area_m2": np.full(5, 10000.0)})
    assert (larger != usual).all()
    again = load(bundle.save(tmp_path / "model"))
    assert again.covariates == covariates
    np.testing.assert_array_equal(again.predict(*arrays), usual)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"slope": None}, "the plot table has no column 'slope'; choose covariates among area_m2"),
        ({"programme": None}, "the column 'programme' does not hold numbers"),
    ],
)
def test_impossible_covariates_are_refused(wanted, sentence):
    with pytest.raises(ModelError, match=sentence):
        Covariates.of(plot_table(), wanted)


def test_a_covariate_that_no_plot_knows_is_refused():
    table = plot_table().assign(area_m2=np.nan)
    with pytest.raises(ModelError, match="no plot has a value of the covariate 'area_m2'"):
        Covariates.of(table, {"area_m2": None})


def test_bundles_refuse_other_bands_and_covariates():
    bundle = NetworkModel(network(), ["red", "nir"], SCALING)
    arrays = [t.numpy() for t in inputs()]
    bundle.predict(*arrays, bands=["red", "nir"])
    with pytest.raises(
        ModelError, match="bands nir, red are not those of the model, red, nir; give the model's"
    ):
        bundle.predict(*arrays, bands=["nir", "red"])
    with pytest.raises(ModelError, match="has no covariates, but 'area_m2' was given; leave"):
        bundle.predict(*arrays, {"area_m2": 3})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tokens": "bands"}, "tokens: bands needs patch 1, and patch is 3; choose tokens: pixels"),
        ({"location": "paper", "wavelengths": [3]}, "location: paper has wavelengths of its own"),
        ({"patch": 4}, "it must be odd, for a chip needs a centre pixel; try 5"),
    ],
)
def test_impossible_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ModelSection(**settings)


def store_of(n: int = 60) -> ChipStore:
    rng = np.random.default_rng(0)
    chips = rng.normal(size=(n, 1, 1, 2)).astype(np.float32)
    lon, lat = (low + 10 * rng.random((n, 1, 1)) for low in (130, -30))
    table = pd.DataFrame({"lon": lon.ravel(), "lat": lat.ravel(), "area_m2": 400.0})
    table["richness"] = rng.poisson(np.exp(2 + 0.5 * chips[:, 0, 0, 0])).astype(float)
    table.loc[::2, "area_m2"] = 100.0
    return ChipStore(chips, lon, lat, table, ["red", "nir"])


@pytest.mark.parametrize("loss", ["mse", "log1p", "poisson", "negative-binomial"])
def test_a_run_trains_an_ensemble_with_covariates_and_any_loss(loss, tmp_path):
    section = ModelSection(patch=1, **SMALL, members=2, covariates={"area_m2": None})
    store, estimator = store_of(), make("spatioformer", section, TrainSection(epochs=2, loss=loss))
    context = FitContext(log=tmp_path / "training.csv")
    model = estimator.fit(store, np.arange(50), context=context)
    assert (tmp_path / "training-2.csv").exists()
    assert [len(history.rows) for history in model.histories] == [2, 2]
    found = model.predict_rows(store, np.arange(50, 60))
    assert np.ptp(found) > 0
    assert abs(found.mean() - store.richness.mean()) < store.richness.std()
    again = load(model.save(tmp_path / "model"))
    assert again.scaling == model.scaling
    assert (again.scaling.dispersion is not None) == (loss == "negative-binomial")
    assert (again.scaling.smear != 1) == (loss == "log1p")
    waves = again.network.config["location"]["wavelengths"]
    assert waves[0] == pytest.approx(2 * waves[1])  # twice and once the extent, which is 10 degrees
    assert 8 < waves[1] < 10
