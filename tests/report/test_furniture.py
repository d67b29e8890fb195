"""Furniture of maps: what stands beside the data, and where."""

import numpy as np
import pytest
from matplotlib.text import Annotation

from spatioformer.common.drawing import lay_out
from spatioformer.report import furniture, ground, maps


def australia(step: float = 0.5) -> maps.Frame:
    lon, lat = np.arange(112, 154, step), np.arange(-10, -44, -step)
    return maps.Frame(*np.meshgrid(lon, lat))


@pytest.fixture(scope="module")
def figure():
    values = np.ones(australia().lon.shape)
    values[30:40, 30:40] = np.nan
    drawing = maps.draw_map(values, australia(), limits=(0, 2), label="species")
    lay_out(drawing)
    return drawing


@pytest.mark.parametrize(
    ("longest", "length"), [(1270, 1000), (999, 500), (250, 200), (1.0, 1), (0.0123, 0.01)]
)
def test_scale_bars_have_round_lengths(longest, length):
    assert furniture.round_length(longest) == pytest.approx(length)


def test_the_scale_bar_is_true_in_the_middle(figure):
    axes = figure.axes[0]
    bar = next(line for line in axes.lines if line.get_linewidth() == 2.5)
    width = 42 * 111.195 * np.cos(np.radians(26.75))
    assert np.ptp(bar.get_xdata()) * width == pytest.approx(1000, rel=0.01)
    assert any(text.get_text() == "1000 km (at 26°S)" for text in axes.texts)


def test_north_is_up_and_turns_with_the_grid(figure):
    assert furniture._upward(np.array([[1.0, 1.0], [0.0, 0.0]])) == (1, 0)
    assert furniture._upward(np.array([[0.0, 1.0], [0.0, 1.0]])) == (0, 1)
    assert any(t.get_text() == "N" for t in figure.axes[0].texts if isinstance(t, Annotation))


def test_cities_stand_at_their_pixels_and_do_not_overlap(figure):
    rows, cols, titles = furniture.cities(australia().lon, australia().lat)
    at = titles.index("Perth")
    assert rows[at] == pytest.approx((31.955 - 10) / 0.5, abs=0.6)
    assert cols[at] == pytest.approx((115.84 - 112) / 0.5, abs=0.6)
    assert titles[0] == "Sydney"  # the most important first
    shown = [t for t in figure.axes[0].texts if t.get_text() in titles]
    assert 3 <= len(shown) <= maps.NAMES
    boxes = [text.get_window_extent() for text in shown]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_sea_and_land_without_a_prediction_differ(figure):
    greys = figure.axes[0].images[0].get_array()
    land, sea = greys[35, 35], ground.land(australia().lon, australia().lat)
    assert sea[35, 35]
    assert not sea[60, 5]  # the Indian Ocean
    np.testing.assert_array_equal(land, [0xB9, 0xBD, 0xBD])
    words = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert words == ["land, not mapped"]


def test_without_a_map_land_is_only_land():
    nothing = np.zeros(australia().lon.shape, bool)
    some = np.array([10.0, 20.0])
    drawing = maps.draw_plots(nothing, australia(), some, some, some, limits=(0, 30), label="")
    words = [text.get_text() for text in drawing.legends[0].get_texts()]
    assert words == ["land", "sea"]


def test_land_over_the_antimeridian_and_with_longitudes_to_360():
    lon, lat = np.meshgrid(np.arange(170.0, 190, 0.25), np.arange(-30.0, -50, -0.25))
    both = ground.land(lon, lat), ground.land((lon + 180) % 360 - 180, lat)
    assert both[0].any()
    np.testing.assert_array_equal(*both)
    assert ground.land(*np.meshgrid([1.0, 1.1], [2.0, 2.1])) is None, "too small for this coast"


def test_nothing_written_is_smaller_than_nine_points(figure):
    texts = figure.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text())
    assert len(texts) > 10
    assert min(text.get_fontsize() for text in texts) >= furniture.SMALL


def test_names_have_a_source():
    titles, place = ground.places()
    assert len(titles) == len(place) > 500
    assert (np.abs(place) <= [180, 90]).all()
    assert "public domain" in ground.SOURCE
