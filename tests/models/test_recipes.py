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
        ("spatioformer-published", 2000, (40, 64, 1e-3, "adam")),
        ("cnn-published", 2000, (40, 64, 1e-3, "adam")),
        ("factoformer", 2000, (40, 64, 1e-3, "adamw")),
    ],
)
def test_defaults_of_a_network(name, plots, values):
    recipe = ARCHITECTURES[name].recipe(filled(name, TrainSection(), plots), seed=0)
    assert (recipe.epochs, recipe.batch, recipe.learning_rate, recipe.optimiser) == values


def test_what_is_set_stays():
    section = TrainSection(epochs=3, batch=7, learning_rate=0.5, patience=2)
    assert filled("spatioformer", section, 5000) == section
    assert filled("spatioformer", TrainSection(batch=7), 5000).epochs == 16
    assert TrainSection().epochs is None
