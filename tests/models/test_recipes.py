"""Values of a training that a configuration leaves to the network and the number of plots."""

import pytest

from spatioformer.config.learning import TrainSection
from spatioformer.models.architectures import ARCHITECTURES
from spatioformer.models.recipes import filled


@pytest.mark.parametrize(
    ("name", "plots", "values"),
    [
        ("spatioformer", 999, (16, 64, 4e-3, "muon")),
        ("spatioformer-no-location", 1000, (16, 128, 4e-3, "muon")),
        ("spatioformer-dense", 1000, (16, 128, 4e-3, "muon")),
        ("spatioformer-published", 2000, (12, 64, 3e-3, "muon")),
        ("spatioformer-published-no-location", 200, (12, 64, 3e-3, "muon")),
        ("cnn-published", 2000, (40, 64, 1e-3, "adam")),
        ("factoformer", 2000, (40, 64, 1e-3, "adamw")),
    ],
)
def test_defaults_of_a_network(name, plots, values):
    recipe = ARCHITECTURES[name].recipe(filled(name, TrainSection(), plots), seed=0)
    assert (recipe.epochs, recipe.batch, recipe.learning_rate, recipe.optimiser) == values


def test_the_recipe_of_the_paper_is_a_choice():
    section = TrainSection(published_recipe="paper", warmup=3.0, loss="mse")
    for name in ("spatioformer-published", "spatioformer-published-no-location", "cnn-published"):
        architecture, train = ARCHITECTURES[name], filled(name, section, 2000)
        recipe = architecture.recipe(train, seed=0)
        assert (recipe.epochs, recipe.batch, recipe.learning_rate) == (40, 64, 1e-3)
        assert (recipe.optimiser, recipe.weight_decay, recipe.loss) == ("adam", 1e-4, "rmse")
        assert (recipe.warmup, recipe.averaging, recipe.augment) == (0, 0, False)
        assert architecture.facts(train) == {
            "recipe": "Adam, learning rate 0.001, L2 penalty 0.0001"
        }
    usual = ARCHITECTURES["spatioformer-published"]
    assert usual.recipe(filled("spatioformer-published", TrainSection(), 9), seed=0).loss == "rmse"
    assert usual.facts(TrainSection()) == {
        "recipe": "Muon, learning rate 0.003, weight decay 0.01 (the paper used Adam)"
    }
    assert ARCHITECTURES["spatioformer"].facts(TrainSection()) == {}


def test_what_is_set_stays():
    section = TrainSection(epochs=3, batch=7, learning_rate=0.5, patience=2)
    assert filled("spatioformer", section, 5000) == section
    assert filled("spatioformer", TrainSection(batch=7), 5000).epochs == 16
    assert TrainSection().epochs is None
