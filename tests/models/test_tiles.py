"""`Bundle.predict_tile`: a tile's pixels are what the model says of their chips."""

import numpy as np
import pytest

from spatioformer.common.errors import ModelError
from spatioformer.models.tiles import PixelTile
from tests.models.test_network import bundle
from tests.nn.test_dense import arrays
from tests.nn.test_dense import bundle as dense

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


def test_a_spread_of_few_pixels_is_that_of_the_whole_tile():
    model, (data, valid, lon, lat) = dense(), arrays()
    wanted = np.zeros((len(valid) - 6, valid.shape[1] - 6), bool)
    row, col = np.argwhere(~valid[4:-4, 4:-4])[0] + 1  # a pixel without data, and those around it
    wanted[row, col - 1 : col + 2] = wanted[2, 1] = wanted[14, 19] = True
    tile = PixelTile.checked(data, valid, lon, lat, wanted, model.bands, model.patch)
    assert tile.sparse
    assert 0 < tile.predictable.sum() < wanted.sum()
    one_by_one = model._members.over_tile(tile, one_by_one=True)
    np.testing.assert_allclose(one_by_one, model._members.over_tile(tile), rtol=1e-4)
    few = model.spread_tile(data, valid, lon, lat, wanted, samples=300)
    np.testing.assert_array_equal(np.isfinite(few), tile.predictable)
    everywhere = model.spread_tile(data, valid, lon, lat, samples=300)
    ratio = few[tile.predictable] / everywhere[tile.predictable]
    # A standard deviation of 300 draws has a standard error of 4 %, the ratio of two 6 %.
    assert np.abs(ratio - 1).max() < 0.25
    assert abs(ratio.mean() - 1) < 0.06
