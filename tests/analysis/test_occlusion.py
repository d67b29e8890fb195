"""Occlusion of a model whose answer depends on the centre pixel alone."""

import numpy as np

from spatioformer.analysis.occlusion import occlusion
from tests.helpers.known import model, plots


def test_only_the_centre_counts():
    """The prediction is 2 a + b of the centre pixel; hidden pixels have a = 1, b = 0."""
    known = model(lambda pixels, lon, lat: 2 * pixels[:, 0] + pixels[:, 1], patch=3)
    store = plots(np.array([[5.0, 7.0]]), patch=3)
    chip = np.array(store.chips[0])
    chip[1, 1] = 3.0, 4.0
    changes = occlusion(known, chip, store.lon[0], store.lat[0], np.array([1.0, 0.0]))
    expected = np.zeros((3, 3))
    expected[1, 1] = (2 * 3 + 4) - 2 * 1
    np.testing.assert_allclose(changes, expected)
    assert chip[1, 1].tolist() == [3.0, 4.0]
