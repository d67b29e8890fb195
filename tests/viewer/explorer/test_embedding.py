"""Plots in two dimensions."""

import numpy as np
import pytest

from spatioformer.viewer.explorer.embedding import MOST, embed, plot_features, principal, sample
from tests.helpers.known import model, plots


def cloud() -> np.ndarray:
    """Points along (3, 4) / 5, with a tenth of the spread across."""
    rng = np.random.default_rng(0)
    along, across = rng.normal(size=60), 0.1 * rng.normal(size=60)
    return np.column_stack([3 * along - 4 * across, 4 * along + 3 * across]) / 5


def test_principal_components():
    """The first axis is (3, 4) / 5, whose largest weight is positive; shares are of variance."""
    points = cloud()
    centred = points - points.mean(axis=0)
    places, shares = principal(centred)
    direction = np.linalg.lstsq(centred, places[:, 0], rcond=None)[0]
    np.testing.assert_allclose(direction, [0.6, 0.8], atol=0.02)
    np.testing.assert_allclose(shares, places.var(axis=0) / centred.var(axis=0).sum())
    assert sum(shares) == pytest.approx(1)


def test_one_dimension():
    places, shares = embed(np.array([[1.0], [2.0], [4.0]]), "pca")
    np.testing.assert_allclose(places, [[-4 / 3, 0], [-1 / 3, 0], [5 / 3, 0]])
    assert shares == [1.0, 0.0]


def test_tsne_keeps_neighbours_and_repeats():
    rng = np.random.default_rng(1)
    groups = np.concatenate([rng.normal(centre, 0.1, (20, 4)) for centre in (0, 5, 10)])
    places, shares = embed(groups, "tsne")
    assert shares == []
    np.testing.assert_array_equal(places, embed(groups, "tsne")[0])
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (distance.argmin(axis=1) // 20 == np.arange(60) // 20).all()


def test_sample():
    assert sample(5, "pca").tolist() == [0, 1, 2, 3, 4]
    rows = sample(10_001, "tsne")
    assert (len(rows), rows[0], rows[-1]) == (MOST["tsne"], 0, 10_000)
    assert (np.diff(rows) > 0).all()


def test_models_without_a_network_use_the_imagery():
    """Centre of both bands, standardised; no location."""
    known = model(lambda pixels, lon, lat: pixels[:, 0])
    values = np.array([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
    features, basis = plot_features(known, plots(values), np.arange(3))
    assert basis == "imagery"
    np.testing.assert_allclose(features, [[-(1.5**0.5), 0], [0, 0], [1.5**0.5, 0]])
