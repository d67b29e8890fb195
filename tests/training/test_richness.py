"""Training for richness: it learns, it stops, and resumes with the same bits."""

from dataclasses import MISSING, asdict, fields, replace

import numpy as np
import pytest
import torch

from spatioformer.common.errors import EvaluationError, ModelError
from spatioformer.config.learning import TrainSection
from spatioformer.nn import PaperSpatioformer, Spatioformer
from spatioformer.nn.losses import Link, Loss
from spatioformer.training import richness
from spatioformer.training.richness import Recipe, fit, validation_tiles
from spatioformer.training.samples import Samples
from tests.helpers.training import plain_recipe


def samples(n: int, seed: int) -> Samples:
    rng = torch.Generator().manual_seed(seed)
    chips = torch.randn(n, 1, 1, 2, generator=rng)
    lon = 120 + 10 * torch.rand(n, 1, 1, generator=rng, dtype=torch.float64)
    lat = -30 + 10 * torch.rand(n, 1, 1, generator=rng, dtype=torch.float64)
    target = chips[:, 0, 0, 0] - 0.5 * chips[:, 0, 0, 1]
    return Samples(chips, lon, lat, target)


def network(seed: int = 0, dropout: float = 0.1) -> PaperSpatioformer:
    torch.manual_seed(seed)
    return PaperSpatioformer(
        patch=1, bands=2, width=8, heads=2, layers=1, mlp_hidden=8, head_hidden=8,
        dropout=dropout, location_weight=1.0,
    )  # fmt: skip


RECIPE = plain_recipe(epochs=6, batch=16, patience=6, learning_rate=3e-3, seed=7)


def same_bits(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(),
                                                 b.state_dict().values(), strict=True))  # fmt: skip


@pytest.mark.slow
def test_it_learns_a_linear_rule():
    net = network(dropout=0.0)
    recipe = plain_recipe(epochs=15, batch=16, patience=15, learning_rate=1e-2)
    history = fit(net, samples(200, 1), samples(100, 2), recipe)
    assert history.best_rmse < 0.25 * float(samples(100, 2).target.std())
    assert not net.training


def test_equal_seeds_equal_weights_and_other_seeds_others():
    nets = [network() for _ in range(3)]
    for net, seed in zip(nets, (7, 7, 8), strict=True):
        recipe = plain_recipe(epochs=2, batch=16, seed=seed)
        fit(net, samples(64, 1), samples(32, 2), recipe)
    assert same_bits(nets[0], nets[1])
    assert not same_bits(nets[0], nets[2])


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_interrupted_and_resumed_ends_with_the_same_bits(tmp_path, stop_after):
    straight = network()
    history = fit(straight, samples(64, 1), samples(32, 2), RECIPE)

    def interrupt(epoch: int) -> None:
        if epoch == stop_after:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint"
    broken = network()
    with pytest.raises(KeyboardInterrupt):
        fit(broken, samples(64, 1), samples(32, 2), RECIPE,
            checkpoint=checkpoint, on_epoch=interrupt)  # fmt: skip
    torch.manual_seed(12345)  # whatever happened to the random state in between
    resumed = network(seed=99)
    again = fit(resumed, samples(64, 1), samples(32, 2), RECIPE, checkpoint=checkpoint)
    assert same_bits(straight, resumed)
    assert again.rows == history.rows
    assert again.best_rmse == history.best_rmse


def test_without_the_random_state_the_bits_differ(tmp_path, monkeypatch):
    """The test above can fail: dropout drawn from another state gives other weights."""
    straight, resumed = network(), network()
    fit(straight, samples(64, 1), samples(32, 2), RECIPE)
    checkpoint = tmp_path / "checkpoint"

    def interrupt(epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(network(), samples(64, 1), samples(32, 2), RECIPE, checkpoint=checkpoint,
            on_epoch=interrupt)  # fmt: skip
    monkeypatch.setattr("spatioformer.training.richness._seed_torch", lambda seed, epoch: None)
    fit(resumed, samples(64, 1), samples(32, 2), RECIPE, checkpoint=checkpoint)
    assert not same_bits(straight, resumed)


def test_resume_false_starts_anew(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    fit(network(), samples(64, 1), samples(32, 2), RECIPE, checkpoint=checkpoint)
    history = fit(network(), samples(64, 1), samples(32, 2), RECIPE, checkpoint=checkpoint,
                  resume=False)  # fmt: skip
    assert [row["epoch"] for row in history.rows] == [1, 2, 3, 4, 5, 6]


def test_a_foreign_checkpoint_is_refused(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    fit(network(), samples(64, 1), samples(32, 2), RECIPE, checkpoint=checkpoint)
    other = plain_recipe(epochs=9, batch=16)
    with pytest.raises(ModelError, match="belongs to another training or is damaged"):
        fit(network(), samples(64, 1), samples(32, 2), other, checkpoint=checkpoint)
    for damaged in (checkpoint.read_bytes()[:200], b"junk", b""):
        checkpoint.write_bytes(damaged)
        with pytest.raises(ModelError, match="belongs to another training or is damaged"):
            fit(network(), samples(64, 1), samples(32, 2), RECIPE, checkpoint=checkpoint)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    """With the same recipe and network: its weights and errors would be those of other plots."""

    def interrupt(epoch: int) -> None:
        raise KeyboardInterrupt

    checkpoint, a, valid = tmp_path / "checkpoint", samples(64, 1), samples(32, 2)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), a, valid, RECIPE, checkpoint=checkpoint, on_epoch=interrupt)
    b = replace(a, target=a.target + 200)
    for training, validation in ((b, valid), (a, b), (replace(a, lon=a.lon + 1), valid)):
        with pytest.raises(ModelError, match=r"\(its data or settings differ\).*--no-resume$"):
            fit(network(), training, validation, RECIPE, checkpoint=checkpoint)
    with pytest.raises(ModelError, match="its data or settings differ"):
        fit(network(), a, valid, RECIPE, checkpoint=checkpoint, loss=Loss("mse", Link(mean=9.0)))
    anew = fit(network(), b, valid, RECIPE, checkpoint=checkpoint, resume=False)
    assert anew.rows == fit(network(), b, valid, RECIPE).rows


def test_every_default_of_the_recipe_stands_in_the_configuration_alone():
    """A field that both have would have two defaults, which once disagreed."""
    names = {field.name: field for field in fields(Recipe)}
    shared = set(names) & set(TrainSection.model_fields)
    assert shared == {
        *("loss", "learning_rate", "weight_decay", "epochs", "batch", "patience", "device"),
        *("warmup", "averaging", "augment", "precision", "compile"),
    }
    for name in shared:
        assert names[name].default is MISSING, name
        assert names[name].default_factory is MISSING, name
        assert not TrainSection.model_fields[name].is_required(), name
    values = TrainSection().model_dump(include=shared)
    assert asdict(Recipe(**values, seed=0)) == {**values, "seed": 0, "optimiser": "adamw"}


def test_early_stopping_keeps_the_best_weights():
    """Noise cannot be learned: validation stops improving, and the best epoch is what remains."""
    torch.manual_seed(0)
    train, valid = samples(48, 1), samples(48, 2)
    train.target[:] = torch.randn(48)
    valid.target[:] = torch.randn(48)
    net = network(dropout=0.0)
    recipe = plain_recipe(epochs=60, batch=8, patience=4, learning_rate=1e-2)
    history = fit(net, train, valid, recipe)
    assert len(history.rows) == history.best_epoch + 4 < 60
    with torch.inference_mode():
        error = net(valid.chips, valid.lon, valid.lat) - valid.target
    assert float(error.square().mean().sqrt()) == pytest.approx(history.best_rmse, rel=1e-6)
    assert history.best_rmse == min(row["validation_rmse"] for row in history.rows)


def test_the_log_is_a_row_an_epoch_in_species(tmp_path):
    log = tmp_path / "training.csv"
    net, valid = network(), samples(16, 2)
    history = fit(net, samples(32, 1), valid, plain_recipe(epochs=1), log=log,
                  loss=Loss("mse", Link(mean=3.0, sd=10.0)))  # fmt: skip
    table = np.genfromtxt(log, delimiter=",", names=True)
    assert table.dtype.names == ("epoch", "train_rmse", "validation_rmse", "learning_rate")
    with torch.inference_mode():
        error = 10 * net(*valid.inputs) + 3 - valid.target
    assert history.best_rmse == pytest.approx(float(error.square().mean().sqrt()), rel=1e-6)
    assert float(table["validation_rmse"]) == pytest.approx(history.best_rmse)


def test_divergence_is_one_sentence():
    huge = samples(32, 1)
    huge.target[:] = 3e38
    with pytest.raises(ModelError, match=r"training diverged in epoch 1.*lower `train.learning_ra"):
        fit(network(), huge, samples(16, 2), plain_recipe(epochs=2))


def test_validation_tiles_are_whole_tiles():
    rng = np.random.default_rng(0)
    places = rng.uniform([120, -30], [130, -20], (500, 2))
    held = validation_tiles(places, share=0.15, size=1.0, seed=3)
    assert 0.1 < held.mean() < 0.2
    tiles = np.floor(places).astype(int)
    for tile in np.unique(tiles, axis=0):
        inside = (tiles == tile).all(axis=1)
        assert held[inside].all() or not held[inside].any()


def test_one_tile_cannot_be_split():
    with pytest.raises(EvaluationError):
        validation_tiles(np.full((5, 2), 10.5), share=0.2, size=1.0, seed=0)


EVERYTHING = plain_recipe(
    epochs=5, batch=16, patience=5, seed=7, warmup=2.0, averaging=0.9, augment=True,
    loss="negative-binomial",
)  # fmt: skip


def counts(n: int, seed: int) -> Samples:
    part = samples(n, seed)
    return replace(part, target=torch.poisson((2 + part.target / 2).exp()))


def located(seed: int = 0) -> Spatioformer:
    torch.manual_seed(seed)
    return Spatioformer(
        patch=1, bands=2, width=8, heads=2, layers=1, mlp_hidden=8, head_hidden=8, dropout=0.2,
        location={"name": "fourier", "wavelengths": [20.0]}, location_dropout=0.5,
        location_jitter=30.0,
    )  # fmt: skip


def test_all_that_the_default_draws_resumes_with_the_same_bits(tmp_path):
    def losses() -> Loss:
        return Loss("negative-binomial", Link("log", 2.0))

    def interrupt(epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    straight, resumed, learned, again = located(), located(9), losses(), losses()
    plots = counts(64, 1), counts(32, 2), EVERYTHING
    history = fit(straight, *plots, loss=learned)
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fit(located(), *plots, loss=losses(), checkpoint=checkpoint, on_epoch=interrupt)
    torch.manual_seed(12345)
    assert fit(resumed, *plots, loss=again, checkpoint=checkpoint).rows == history.rows
    assert same_bits(straight, resumed)
    assert learned.dispersion == again.dispersion != losses().dispersion


def test_the_rate_warms_up_then_falls_as_a_cosine():
    recipe = plain_recipe(epochs=4, batch=16, patience=4, warmup=2.0, learning_rate=1e-2)
    history = fit(network(), samples(64, 1), samples(32, 2), recipe)
    rates = [row["learning_rate"] for row in history.rows]  # of each epoch's last step
    cosine = [(1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in range(4)]
    np.testing.assert_allclose(rates, 1e-2 * np.array(cosine) * [0.5, 1, 1, 1])


def test_with_muon_the_rate_falls_with_each_step():
    recipe = plain_recipe(epochs=4, batch=16, warmup=0.5, learning_rate=1e-2, optimiser="muon")
    rates = [recipe.rate(step // 4, step, 4) for step in range(16)]
    cosine = (1 + np.cos(np.pi * np.arange(16) / 16)) / 2
    np.testing.assert_allclose(rates, 1e-2 * cosine * np.minimum(1, np.arange(1, 17) / 2))


@pytest.mark.parametrize("name", ["rmse", "poisson", "negative-binomial"])
def test_pieces_of_a_batch_give_the_curve_of_the_whole(name, monkeypatch):
    """Batches of 30 in pieces of 7."""
    curves = []
    for piece in (1000, 7):
        monkeypatch.setattr(richness, "PIECE", piece)
        data = counts(96, 1) if name != "rmse" else samples(96, 1)
        net, loss = network(dropout=0.0), Loss(name)
        recipe = replace(RECIPE, loss=name, batch=30, learning_rate=1e-2)
        curves.append(fit(net, data, data[:40], recipe, loss=loss).rows)
    whole, pieces = ([row["train_rmse"] for row in rows] for rows in curves)
    np.testing.assert_allclose(pieces, whole, rtol=1e-5)
    assert whole[-1] < 0.97 * whole[0], "nothing was learned, so nothing was compared"


@pytest.mark.parametrize("piece", [7, 1000])
def test_gradients_are_those_of_the_root_of_the_whole_mean(piece, monkeypatch):
    monkeypatch.setattr(richness, "PIECE", piece)
    data, net, other = samples(30, 1), network(dropout=0.0), network(dropout=0.0)
    squares = richness._gradients(net, Loss("rmse"), data, RECIPE, 30)
    expected = (other(*data.inputs) - data.target).square().mean().sqrt()
    expected.backward()
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)
    assert float(squares) == pytest.approx(30 * float(expected.detach()) ** 2, rel=1e-6)


def test_the_average_lags_behind_the_weights():
    recipe = plain_recipe(epochs=1, batch=64, averaging=0.5)
    start, plain, averaged = network(), network(), network()
    fit(plain, samples(64, 1), samples(32, 2), replace(recipe, averaging=0.0))
    fit(averaged, samples(64, 1), samples(32, 2), recipe)
    decay = 2 / 11  # of the first step: (1 + 1) / (10 + 1)
    for a, b, c in zip(*(n.parameters() for n in (start, plain, averaged)), strict=True):
        torch.testing.assert_close(c, decay * a + (1 - decay) * b)


def test_bfloat16_learns_nearly_the_same():
    recipe = plain_recipe(epochs=4, batch=16, learning_rate=3e-3)
    full, half = (
        fit(network(dropout=0.0), samples(200, 1), samples(100, 2), replace(recipe, precision=p))
        for p in ("float32", "bf16")
    )
    assert half.best_rmse == pytest.approx(full.best_rmse, rel=0.05)
    assert half.rows != full.rows, "nothing was computed in bfloat16"
