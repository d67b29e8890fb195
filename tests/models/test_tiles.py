"""`Bundle.predict_tile`: a tile's pixels are what the model says of their chips."""

import numpy as np
import pytest

from spatioformer.common.errors import ModelError
from tests.models.test_network import bundle

ROWS, COLS = 9, 11


@pytest.fixture
def tile():
    rng = np.random.default_rng(0)
    data = rng.normal(20, 5, (3, ROWS, COLS)).astype(np.float32)
    valid = np.ones((ROWS, COLS), bool)
    valid[4, 4] = False
    data[:, 4, 4] = np.nan
    lon, lat = np.meshgrid(np.linspace(140, 141, COLS), np.linspace(-20, -21, ROWS))
    return data, valid, lon, lat


def test_a_pixel_is_its_chip_and_nodata_takes_the_chips_that_hold_it(tile):
    model = bundle()
    data, _, lon, lat = tile
    out = model.predict_tile(*tile)
    assert (out.shape, out.dtype) == ((ROWS - 2, COLS - 2), np.float32)
    assert (np.argwhere(np.isnan(out)) == [(r, c) for r in (2, 3, 4) for c in (2, 3, 4)]).all()
    for row, col in ((0, 0), (3, 6), (6, 8)):
        window = (slice(row, row + 3), slice(col, col + 3))
        chip = data[:, *window].transpose(1, 2, 0)[None]
        expected = model.predict(chip, lon[None, *window], lat[None, *window])
        np.testing.assert_allclose(out[row, col], expected[0], rtol=1e-6)


def test_only_what_is_wanted(tile):
    model = bundle()
    wanted = np.zeros((ROWS - 2, COLS - 2), bool)
    wanted[1, 5] = wanted[3, 3] = True
    out = model.predict_tile(*tile, wanted=wanted)
    assert np.argwhere(np.isfinite(out)).tolist() == [[1, 5]]
    np.testing.assert_allclose(out[1, 5], model.predict_tile(*tile)[1, 5], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: (t[0][:2], *t[1:]), r"a tile of shape \(2, 9, 11\) does not fit the model"),
        (lambda t: tuple(a[..., :2, :] for a in t), "a tile of 2 x 11 pixels is smaller than its"),
        (lambda t: (t[0], t[1][1:], *t[2:]), r"valid has the shape \(8, 11\), but a tile"),
        (lambda t: (*t[:3], t[3][:, 1:]), r"lat has the shape \(9, 10\), but a tile"),
        (lambda t: (*t, np.ones((9, 11), bool)), r"wanted has the shape \(9, 11\), but a tile"),
    ],
)
def test_tiles_that_do_not_fit_are_named(tile, change, sentence):
    with pytest.raises(ModelError, match=sentence):
        bundle().predict_tile(*change(tile))
