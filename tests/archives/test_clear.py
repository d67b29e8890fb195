import numpy as np
import pytest

from spatioformer.archives.clear import halo_of, is_clear
from spatioformer.archives.collections import QualityMask
from spatioformer.common.errors import ConfigError

QA_PIXEL = QualityMask(
    name="qa_pixel",
    keys=("qa_pixel",),
    kind="bits",
    classes={
        "fill": 0,
        "dilated_cloud": 1,
        "cirrus": 2,
        "cloud": 3,
        "shadow": 4,
        "snow": 5,
        "clear": 6,
        "water": 7,
    },
    spoils=("fill", "dilated_cloud", "cirrus", "cloud", "shadow", "snow"),
    buffered=("cloud", "shadow"),
    nodata=1,
)
SCL = QualityMask(
    name="scl",
    keys=("scl",),
    kind="classes",
    classes={"no_data": 0, "shadow": 3, "vegetation": 4, "cloud": 9, "cirrus": 10},
    spoils=("no_data", "shadow", "cloud", "cirrus"),
    buffered=("cloud",),
    nodata=0,
)
SATURATION = QualityMask(
    name="saturation",
    keys=("qa_radsat",),
    kind="bits",
    classes={"blue": 1, "red": 3},
    spoils=("blue", "red"),
    bands=("blue", "red"),
)


def test_bits_of_landsat():
    # Values of the product guide: clear land, clear water, cloud, shadow, cirrus, fill, snow.
    codes = np.array([[21824, 21952, 22280, 23888, 54596, 1, 30048]], np.uint16)
    clear = is_clear(codes, QA_PIXEL, QA_PIXEL.spoils)
    assert clear[0].tolist() == [True, True, False, False, False, False, False]
    assert is_clear(codes, QA_PIXEL, ["water"])[0].tolist() == [True, False] + [True] * 3 + [
        False,  # fill is never clear
        True,
    ]


def test_classes_of_sentinel():
    codes = np.array([[0, 3, 4, 9, 10, 7]], np.uint8)
    assert is_clear(codes, SCL, SCL.spoils)[0].tolist() == [False, False, True, False, False, True]
    assert is_clear(codes, SCL, ["cloud"])[0].tolist() == [False, True, True, False, True, True]


def test_no_code_is_not_clear():
    codes = np.array([[4, np.nan, 9]])
    assert is_clear(codes, SCL, SCL.spoils)[0].tolist() == [True, False, False]
    assert is_clear(codes, SCL, ())[0].tolist() == [True, False, True]


def test_saturation_band_by_band():
    codes = np.array([[0, 0b0010, 0b1000, 0b1010]], np.uint16)
    assert is_clear(codes, SATURATION, ["red"])[0].tolist() == [True, True, False, False]
    assert is_clear(codes, SATURATION, ["blue"])[0].tolist() == [True, False, True, False]


@pytest.mark.parametrize("buffer", [1, 2, 5])
def test_the_buffer_is_a_disc(buffer):
    codes = np.full((21, 23), 4, np.uint8)
    codes[10, 11] = 9
    y, x = np.mgrid[:21, :23]
    disc = (y - 10) ** 2 + (x - 11) ** 2 <= buffer**2
    np.testing.assert_array_equal(is_clear(codes, SCL, SCL.spoils, buffer), ~disc)


def test_only_buffered_classes_that_spoil_are_widened():
    codes = np.full((1, 9), 4, np.uint8)
    codes[0, [1, 6]] = 3, 9  # shadow is not buffered, cloud is
    clear = is_clear(codes, SCL, SCL.spoils, 1)
    assert np.flatnonzero(~clear[0]).tolist() == [1, 5, 6, 7]
    assert is_clear(codes, SCL, ["shadow"], 1)[0].sum() == 8
    # Pixels without data widen nothing.
    codes[0, 6] = 0
    assert is_clear(codes, SCL, SCL.spoils, 1)[0].sum() == 7


@pytest.mark.parametrize("buffer", [0, 1, 4, 7])
def test_windows_with_a_halo_give_the_same(buffer):
    rng = np.random.default_rng(buffer)
    codes = np.where(rng.random((60, 70)) < 0.01, 9, 4).astype(np.uint8)
    whole = is_clear(codes, SCL, SCL.spoils, buffer)
    halo = halo_of(buffer)
    wide = np.pad(codes, halo, constant_values=4)
    for top in range(0, 60, 20):
        for left in range(0, 70, 14):
            part = wide[top : top + 20 + 2 * halo, left : left + 14 + 2 * halo]
            found = is_clear(part, SCL, SCL.spoils, buffer)
            inner = found[halo : halo + 20, halo : halo + 14]
            np.testing.assert_array_equal(inner, whole[top : top + 20, left : left + 14])


def test_refuses_classes_and_bits_that_do_not_exist():
    codes = np.zeros((2, 2), np.uint8)
    with pytest.raises(ConfigError, match="no class 'haze'; its classes are no_data, shadow"):
        is_clear(codes, SCL, ["haze"])
    odd = QualityMask("qa", ("qa",), "bits", {"cloud": 64}, ("cloud",))
    with pytest.raises(ConfigError, match="bits are 0 to 62"):
        is_clear(codes, odd, odd.spoils)
