"""`train.loss: quantile`: a mean that stays a mean, two quantiles that never cross, in a run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch

from spatioformer.common.errors import ModelError
from spatioformer.evaluation import interval_scores
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Scaling
from spatioformer.models.store import load
from spatioformer.models.uncertainty import Uncertainty
from spatioformer.nn import DenseSpatioformer, Ensemble, Spatioformer
from spatioformer.nn.losses import QUANTILES, Link, Loss, pinball, quantile_outputs
from spatioformer.training.richness import fit
from spatioformer.training.samples import Samples
from tests.helpers import landscape
from tests.helpers.tiny_run import assert_refused, spatioformer
from tests.helpers.training import plain_recipe

SMALL = {"bands": 2, "width": 8, "heads": 2, "layers": 1, "mlp_hidden": 8, "head_hidden": 8}


def bundle(kind=Spatioformer, outputs: int = 3, **more) -> NetworkModel:
    torch.manual_seed(0)
    network = kind(**SMALL, **more, outputs=outputs)
    quantiles = QUANTILES if outputs == 3 else None
    scaling = Scaling((0.0, 0.0), (1.0, 1.0), 3.0, 1.0, "log", quantiles=quantiles)
    return NetworkModel(network.eval(), ["red", "green"], scaling)


def chips(n: int = 7, side: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    lon, lat = np.full((n, side, side), 140.0), np.full((n, side, side), -20.0)
    return rng.normal(size=(n, side, side, 2)).astype(np.float32), lon, lat


def test_the_pinball_loss_is_least_at_the_quantile():
    drawn = torch.from_numpy(np.random.default_rng(0).gamma(2, 10, 4001))
    for share in (0.05, 0.5, 0.95):
        loss = [pinball(drawn, q, share).mean() for q in drawn.sort().values[::10]]
        best = drawn.sort().values[::10][int(torch.stack(loss).argmin())]
        assert float((drawn < best).double().mean()) == pytest.approx(share, abs=0.003)
    y, q = torch.tensor([3.0, 10.0]), torch.tensor([5.0, 5.0])
    torch.testing.assert_close(pinball(y, q, 0.95), torch.tensor([0.05 * 2, 0.95 * 5]))


def test_quantiles_never_cross():
    output = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)) * 30
    low, high = quantile_outputs(output).T
    assert (low <= output[:, 0]).all()
    assert (output[:, 0] <= high).all()


def test_the_mean_learns_from_the_counts_alone():
    link = Link("log", 2.0)
    species = torch.tensor([4.0, 30.0])
    three = torch.tensor([[0.3, 0.1, -0.2], [-0.4, 0.5, 0.6]], requires_grad=True)
    one = three.detach()[:, 0].requires_grad_()
    Loss("quantile", link)(three, species).sum().backward()
    Loss("poisson", link)(one, species).sum().backward()
    torch.testing.assert_close(three.grad[:, 0], one.grad, rtol=0, atol=0)
    assert (three.grad[:, 1:] != 0).all()
    torch.testing.assert_close(Loss("quantile", link).species(three), link.species(one))


@pytest.mark.slow
def test_training_finds_mean_and_quantiles():
    """Two kinds of land, one with widely scattered counts: each has its own mean and quantiles."""
    rng = np.random.default_rng(0)
    n = 1200
    wide = rng.random(n) < 0.5
    species = np.where(wide, rng.uniform(5, 55, n), rng.uniform(25, 35, n))
    pixels = np.where(wide, 1.0, -1.0)[:, None, None, None] * np.ones((1, 1, 1, 2))
    place = torch.zeros(n, 1, 1, dtype=torch.float64)
    samples = Samples(
        torch.from_numpy(pixels).float(), place, place, torch.from_numpy(species).float()
    )
    torch.manual_seed(0)
    network = Spatioformer(patch=1, **SMALL, dropout=0.0, outputs=3)
    loss = Loss("quantile", Link.of("quantile", samples.target))
    recipe = plain_recipe(loss="quantile", epochs=25, learning_rate=1e-2, patience=25)
    fit(network, samples, samples, recipe, loss=loss)
    scaling = Scaling((0.0,) * 2, (1.0,) * 2, loss.link.mean, 1.0, "log", quantiles=QUANTILES)
    made = NetworkModel(network, ["red", "green"], scaling)
    ask = np.array([1.0, -1.0])[:, None, None, None] * np.ones((1, 1, 1, 2))
    here = np.zeros((2, 1, 1))
    np.testing.assert_allclose(made.predict(ask, here, here), [30, 30], atol=1.5)
    found = made.quantiles(ask, here, here)
    np.testing.assert_allclose(found, [[7.5, 52.5], [25.5, 34.5]], atol=2.5)


@pytest.mark.parametrize("kind", [Spatioformer, DenseSpatioformer])
def test_a_bundle_with_quantiles(kind, tmp_path):
    made = bundle(kind)
    made.save(tmp_path / "model")
    opened = load(tmp_path / "model")
    assert opened.quantile_pair is not None
    low, high = opened.quantiles(*chips()).T
    mean = opened.predict(*chips())
    assert mean.shape == low.shape == (7,)
    assert ((low < mean) & (mean < high)).all()
    assert np.array_equal(opened.quantiles(*chips()), made.quantiles(*chips()))
    assert (made.spread(*chips(), samples=3) > 0).all()


@pytest.mark.parametrize("kind", [Spatioformer, DenseSpatioformer])
def test_a_tile_has_the_quantiles_of_its_chips(kind):
    made = bundle(kind)
    rng = np.random.default_rng(1)
    data = rng.normal(size=(2, 6, 7)).astype(np.float32)
    lon, lat = np.meshgrid(140 + np.arange(7.0), -20 - np.arange(6.0))
    valid = np.ones((6, 7), bool)
    valid[0, 0] = False
    found = made.quantiles_tile(data, valid, lon, lat)
    assert found.shape == (4, 5, 2)
    inside = data[:, 1:4, 2:5].transpose(1, 2, 0)[None], lon[None, 1:4, 2:5], lat[None, 1:4, 2:5]
    np.testing.assert_allclose(found[1, 2], made.quantiles(*inside)[0], rtol=1e-5)
    predicted = made.predict_tile(data, valid, lon, lat)
    assert np.array_equal(np.isnan(predicted), np.isnan(found[..., 0]))
    if kind is Spatioformer:
        assert np.isnan(found[0, 0]).all()


def test_an_ensemble_averages_quantiles_in_species():
    single = bundle()
    both = Ensemble(2, "Spatioformer", **single.network.config)
    together = replace(single, network=both.eval())
    each = [replace(single, network=member).quantiles(*chips()) for member in both.members]
    assert not np.allclose(*each)
    np.testing.assert_allclose(together.quantiles(*chips()), np.mean(each, axis=0), rtol=1e-6)


def test_a_network_without_quantiles_says_so():
    made = bundle(outputs=1)
    assert not (made.quantile_pair is not None)
    sentence = "the network predicts no quantiles; train it with `train.loss: quantile`, or"
    with pytest.raises(ModelError, match=sentence):
        made.quantiles(*chips())
    with pytest.raises(ModelError, match=sentence):
        made.quantiles_tile(np.zeros((2, 3, 3)), np.ones((3, 3)), *[np.zeros((3, 3))] * 2)


@pytest.mark.parametrize("kind", [Spatioformer, DenseSpatioformer])
def test_features_are_what_the_head_sees(kind):
    made = bundle(kind, outputs=1)
    found = made.features(*chips())
    assert found.shape == (7, 8)
    head = made.network.head(torch.from_numpy(found)).detach().squeeze(-1)
    np.testing.assert_allclose(made.scaling.species(head), made.predict(*chips()), rtol=1e-5)
    both = Ensemble(2, kind.__name__, **made.network.config)
    assert replace(made, network=both.eval()).features(*chips()).shape == (7, 16)


@pytest.mark.slow
def test_a_run_with_quantiles(tmp_path):
    """Held out, calibrated, mapped; the map's bounds hold what the network says, moved by q."""
    config = landscape.write(tmp_path)
    changes = (
        *("train.loss=quantile", "evaluate.interval=quantiles", "evaluate.curve_sizes=[]"),
        "evaluate.models=[spatioformer,factoformer]",
    )
    told = [word for change in changes for word in ("--set", change)]
    ended = spatioformer("run", config, "--until", "map", "-q", *told)
    assert ended.code == 0, ended.err
    run = tmp_path / "run"
    rows = pd.read_parquet(run / "evaluation" / "predictions.parquet")
    known = rows[rows["lower"].notna()]
    assert set(zip(known["model"], known["split"], strict=True)) == {("spatioformer", "tiles")}
    assert len(known) == 150
    assert (known["lower"] < known["predicted"]).all()
    assert (known["predicted"] < known["upper"]).all()
    found = Uncertainty.load(run / "model")
    assert next(iter(found.margins)) == "quantiles"
    plots = pd.read_parquet(run / "evaluation" / "intervals.parquet")
    bounds = plots[["lower-quantiles", "upper-quantiles"]]
    scores = interval_scores(plots["observed"], bounds, 0.9)
    assert found.facts["kinds"]["quantiles"]["scores"]["coverage"] == scores["coverage"]
    with rasterio.open(run / "map.tif") as source:
        names = [name.split(", ")[-1] for name in source.descriptions]
        mapped = dict(zip(names, source.read(), strict=True))
    lower, upper = (next(v for k, v in mapped.items() if word in k) for word in ("lower", "upper"))
    at = np.isfinite(mapped["mean"])
    q = found.margins["quantiles"]
    wide = (upper - lower)[at] - 2 * q
    assert wide.std() > 0.01, "as wide as the network says, not one width for all"
    assert (wide > 0).all()


def test_quantiles_need_a_network_that_learns_them(tmp_path):
    config = landscape.write(tmp_path)
    ended = spatioformer("evaluate", config, "--set", "evaluate.interval=quantiles")
    assert_refused(
        ended,
        f"{config}: `evaluate.interval` is quantiles, and `train.loss` is poisson, which learns "
        "none; set `train.loss: quantile`, or `evaluate.interval: auto`",
    )
    told = ("--set", "evaluate.interval=quantiles", "--set", "train.loss=quantile")
    ended = spatioformer("evaluate", config, *told, "--set", "map.model=spatioformer-distilled")
    assert_refused(
        ended,
        f"{config}: `evaluate.interval` is quantiles, and spatioformer-distilled, which makes the "
        "map, learns none; set `map.model: spatioformer`, or `evaluate.interval: auto`",
    )
