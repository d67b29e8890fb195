"""Pictures: what is drawn where, and that it arrives in a file."""

import numpy as np
import pytest
from PIL import Image

from spatioformer.common.errors import OutputError
from spatioformer.nn import ViT
from spatioformer.vision import pictures


def test_floats_are_stretched():
    image = np.array([[[-2.0, 0], [2, 6]]], np.float32)
    np.testing.assert_allclose(pictures.as_picture(image), [[0, 0.25], [0.5, 1]])
    np.testing.assert_array_equal(pictures.as_picture(np.full((1, 2, 2), 3.0)), np.zeros((2, 2)))


def test_channels():
    image = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    picture = pictures.as_picture(image)
    assert picture.shape == (2, 4, 3)
    assert picture[1, 2].tolist() == [6, 14, 22]
    np.testing.assert_array_equal(pictures.as_picture(image[:2])[0], [4, 5, 6, 7])


def test_rollout_lies_under_its_image():
    pixels = np.zeros((12, 1, 6, 4), np.float32)
    shares = np.arange(12 * 6, dtype=np.float64).reshape(12, 3, 2)
    figure = pictures.draw_rollout(pixels, shares, [f"no. {i}" for i in range(12)])
    axes = np.array(figure.axes[:40]).reshape(4, 10)  # twice ten images, with their maps
    assert axes[2, 1].get_title() == "no. 11"
    (below,) = axes[3, 1].get_images()
    np.testing.assert_array_equal(below.get_array(), shares[11])
    assert below.get_clim() == (0, 71)
    assert below.get_extent() == [0, 4, 6, 0]
    assert not axes[3, 5].get_images()
    assert figure.axes[-1].get_ylabel() == "rollout (1 = an even share)"


def test_each_patch_has_its_map():
    """3 x 2 patches: maps of 3 x 2, with a gap between."""
    network = ViT((6, 8), patch=2, channels=1, width=4, heads=1, layers=1)
    similarity = network.position_similarity().numpy()
    figure = pictures.draw_position_similarity(similarity)
    axes = figure.axes[0]
    drawn = np.ma.filled(axes.get_images()[0].get_array(), np.nan)
    assert drawn.shape == (3 * 4 - 1, 4 * 5 - 1)
    np.testing.assert_array_equal(drawn[4:7, 10:14], similarity[1, 2])
    assert np.isnan(drawn[3]).all()
    assert np.isnan(drawn[:, 4]).all()
    assert axes.get_images()[0].get_clim() == (-1, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3", "4"]
    assert axes.get_xticks().tolist() == [1.5, 6.5, 11.5, 16.5]
    assert axes.get_yticks().tolist() == [1, 5, 9]


def test_file(tmp_path):
    figure = pictures.draw_position_similarity(np.ones((2, 2, 2, 2)))
    pictures.save(figure, tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.format == "PNG"
    with pytest.raises(OutputError, match=r"a picture cannot be written as 'docx'; choose .*png"):
        pictures.save(figure, tmp_path / "a.docx")
