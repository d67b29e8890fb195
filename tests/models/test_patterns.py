"""Attention of networks on one chip: rows, known weights, agreement with `Model.attends`."""

import numpy as np
import pytest
import torch

from spatioformer.models.inside import patterns_of
from spatioformer.models.patterns import ChipPatterns
from spatioformer.nn import DenseSpatioformer, Ensemble, PaperCNN, PaperSpatioformer, Spatioformer
from tests.helpers.explored_run import bundle, network

LOCATION = {"name": "sphere", "wavelengths": [8.0]}


def chip(patch: int, bands: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    lat, lon = np.meshgrid(-20 - np.arange(patch) / 10, 140 + np.arange(patch) / 10, indexing="ij")
    return rng.normal(90, 20, (patch, patch, bands)).astype(np.float32), lon, lat


def sums(patterns: ChipPatterns) -> np.ndarray:
    return patterns.weights.sum(axis=-1)


@pytest.mark.parametrize("kind", [Spatioformer, PaperSpatioformer])
def test_transformer(kind):
    """One row a token; the pixels' part of the rollout is the attention of the model."""
    made = bundle(network(kind, patch=3))
    found = patterns_of(made, *chip(3))
    assert found.weights.shape == (2, 2, 10, 10)
    assert found.kinds == ["class"] + ["pixel"] * 9
    assert found.layers == [1, 2]
    np.testing.assert_allclose(sums(found), 1, rtol=1e-5)
    shares = found.rollout()
    assert shares.sum() == pytest.approx(1, abs=1e-6)
    pixels = shares[1:] / shares[1:].sum()
    one = (part[None] for part in chip(3))
    np.testing.assert_allclose(pixels.reshape(3, 3), made.attention(*one), rtol=1e-4)


def test_covariates_and_bands_are_other_tokens():
    made = bundle(network(Spatioformer, patch=1, tokens="bands"))
    assert patterns_of(made, *chip(1)).kinds == ["class", "other", "other", "other"]


def test_dense_layers_compute_ever_fewer_pixels():
    """With radii 1 and 1, layer 1 computes the inner 3 x 3 pixels, layer 2 the centre."""
    found = patterns_of(bundle(network(location=LOCATION)), *chip(5))
    assert found.weights.shape == (2, 2, 25, 25)
    computed = np.isfinite(sums(found))
    inner = np.zeros((5, 5), bool)
    inner[1:4, 1:4] = True
    np.testing.assert_array_equal(computed[0, 0], inner.ravel())
    assert np.flatnonzero(computed[1, 1]).tolist() == [12]
    np.testing.assert_allclose(sums(found)[computed], 1, rtol=1e-5)
    centre = found.weights[1, 0, 12].reshape(5, 5)
    assert (centre[~inner] == 0).all()
    assert (centre[inner] > 0).all()


def test_dense_without_queries_attends_evenly():
    """Even weights: 1/9 of the attention and half of the residual stream."""
    built = network(patch=3, layers=1)
    attention = built.blocks[0].attention
    with torch.no_grad():
        for part in (attention.query.weight, attention.query.bias, attention.bias):
            part.zero_()
    found = patterns_of(bundle(built), *chip(3))
    np.testing.assert_allclose(found.weights[0, :, 4], 1 / 9, rtol=1e-6)
    expected = np.full(9, 1 / 18)
    expected[4] = 5 / 9
    np.testing.assert_allclose(found.rollout(), expected, rtol=1e-6)


def test_a_layer_without_neighbours_is_left_out():
    found = patterns_of(bundle(network(patch=3, layers=2)), *chip(3))
    assert found.layers == [1]


def test_first_member_of_an_ensemble():
    made = bundle(network(Ensemble, patch=3, members=2))
    first, second = (patterns_of(bundle(one), *chip(3)) for one in made.members)
    found = patterns_of(made, *chip(3))
    np.testing.assert_array_equal(found.weights, first.weights)
    assert (found.weights != second.weights).any()


def test_none_without_attention_between_pixels():
    assert patterns_of(bundle(network(patch=1)), *chip(1)) is None
    torch.manual_seed(0)
    assert patterns_of(bundle(PaperCNN(patch=9, bands=3).eval()), *chip(9)) is None


def test_the_hooks_are_gone():
    made = bundle(network(DenseSpatioformer))
    patterns_of(made, *chip(5))
    assert not any(module._forward_pre_hooks for module in made.network.modules())
