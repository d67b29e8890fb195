"""Figures from known arrays: limits, colours, ticks and drawn values, and the same bytes twice."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from PIL import Image

from spatioformer.common import style
from spatioformer.common.drawing import lay_out
from spatioformer.report import charts, maps
from spatioformer.report.frame import LINES, Frame

NAN = float("nan")


def frame(height: int = 8, width: int = 10, west: float = 140.25, north: float = -20.25) -> Frame:
    """Pixels of half a degree."""
    lon, lat = west + 0.5 * np.arange(width), north - 0.5 * np.arange(height)
    return Frame(*np.meshgrid((lon + 180) % 360 - 180, lat))


def bar_limits(figure) -> tuple[float, float]:
    """Ends of the scale in the colour bar, the last axes of a map."""
    return figure.axes[-1].get_xlim()


def test_symmetric_limits():
    assert maps.symmetric_limits(np.array([-4.0, 1.0, NAN])) == pytest.approx((-3.94, 3.94))
    assert maps.symmetric_limits(np.array([0.0, 0.0])) == (-1, 1)
    assert maps.symmetric_limits(np.array([NAN])) == (-1, 1)


def test_robust_limits_are_shared_and_ignore_outliers():
    one, other = np.append(np.linspace(0, 50, 1000), 1e6), np.append(np.linspace(0, 60, 1000), NAN)
    low, high = maps.robust_limits(one, other)
    assert 0 < low < 1
    assert 58 < high <= 60
    assert maps.robust_limits(np.array([7.0])) == (6.5, 7.5)
    assert maps.robust_limits(np.array([NAN])) == (0, 1)


def test_map_holds_the_values_its_limits_and_grey_for_none():
    values = np.arange(80.0).reshape(8, 10)
    values[0, 0] = NAN
    figure = maps.draw_map(values, frame(), limits=(5, 60), label="species")
    (image,) = figure.axes[0].images
    picture = image.get_array()
    # 140 E, 20 S is land in Australia, and no prediction was made there.
    expected = colormaps["viridis"]((values - 5) / 55, bytes=True)[..., :3]
    expected[0, 0] = np.round(255 * np.array(to_rgb(style.MASKED)))
    np.testing.assert_array_equal(picture, expected)
    assert bar_limits(figure) == (5, 60)
    assert figure.axes[-1].get_xlabel() == "species"


def test_land_outside_the_area_of_applicability_is_paler_and_hatched():
    outside = np.zeros((8, 10), bool)
    outside[2:5, 3:7] = True
    drawn = {"limits": (0, 2), "label": ""}
    plain, faded = (
        maps.draw_map(np.ones((8, 10)), frame(), outside=where, **drawn).axes[0]
        for where in (None, outside)
    )
    before, after = (axes.images[0].get_array().astype(float) for axes in (plain, faded))
    np.testing.assert_array_equal(after[~outside], before[~outside])
    paler = before[outside] + maps.FADE * (255 - before[outside])
    np.testing.assert_allclose(after[outside], paler, atol=0.51)
    assert len(faded.collections) == len(plain.collections) + 1


def test_lines_of_a_large_turned_grid_stay_where_their_degrees_are():
    rows, cols = np.mgrid[:300, :400].astype(float)
    place = Frame(179 + 0.01 * cols + 0.002 * rows, -20 - 0.01 * rows + 0.003 * cols)
    place = Frame((place.lon + 180) % 360 - 180, place.lat)
    axes = maps.draw_map(np.ones(rows.shape), place, limits=(0, 1), label="").axes[0]
    meridians, parallels = axes.collections[:2]
    for lines, inverse in (
        (meridians, lambda x, y: 179 + 0.01 * x + 0.002 * y),
        (parallels, lambda x, y: -20 - 0.01 * y + 0.003 * x),
    ):
        for level, path in zip(lines.levels, lines.get_paths(), strict=True):
            np.testing.assert_allclose(inverse(*path.vertices.T), level, atol=1e-9)
            assert len(path.vertices) <= 3 * LINES


def test_map_keeps_the_proportions_of_the_ground():
    place = frame(height=2, width=2, north=60.5)  # at 60.25 N a degree east is half a degree north
    assert place.aspect == pytest.approx(1 / np.cos(np.radians(60.5)), rel=0.02)
    drawing = maps.draw_map(np.ones((2, 2)), place, limits=(0, 1), label="")
    assert drawing.axes[0].get_box_aspect() == pytest.approx(place.aspect)
    assert Frame(np.array([[1.0]]), np.array([[2.0]])).aspect == 1


def test_graticule_labels_stand_where_their_degrees_are():
    axes = maps.draw_map(np.ones((8, 10)), frame(), limits=(0, 1), label="").axes[0]
    # lon = 140.25 + 0.5 x and lat = -20.25 - 0.5 y
    labels = [t.get_text() for t in axes.get_xticklabels()]
    assert "142°E" in labels
    assert axes.get_xticks()[labels.index("142°E")] == pytest.approx(3.5)
    labels = [t.get_text() for t in axes.get_yticklabels()]
    assert "22°S" in labels
    assert axes.get_yticks()[labels.index("22°S")] == pytest.approx(3.5)


def test_graticule_crosses_the_antimeridian():
    axes = maps.draw_map(np.ones((8, 10)), frame(west=178.25), limits=(0, 1), label="").axes[0]
    labels = [t.get_text() for t in axes.get_xticklabels()]
    assert axes.get_xticks()[labels.index("179°E")] == pytest.approx(1.5)
    assert axes.get_xticks()[labels.index("178°W")] == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("value", "text"), [(142.5, "142.5°E"), (-0.0, "0°"), (190, "170°W"), (-33, "33°W")]
)
def test_degrees(value, text):
    assert maps.degrees(value, "E", "W") == text


def test_residuals_are_cell_means_in_symmetric_colours():
    rows, cols = np.array([1.0, 1.0, 6.0]), np.array([2.0, 2.0, 8.0])
    figure = maps.draw_residuals(
        np.ones((8, 10), bool), frame(), rows, cols, np.array([1.0, 5.0, -10.0]), label=""
    )
    cells = next(c for c in figure.axes[0].collections if isinstance(c, PolyCollection))
    assert sorted(cells.get_array()) == [-10, 3]
    low, high = cells.get_clim()
    assert low == -high
    assert high == pytest.approx(np.percentile([3, 10], 98))
    assert cells.cmap(0.0)[0] > 0.4 > cells.cmap(1.0)[0], "red where too many are predicted"


def test_plots_are_dots_with_their_values():
    rows, cols, values = np.array([0.0, 3.0]), np.array([1.0, 7.5]), np.array([12.0, 30.0])
    figure = maps.draw_plots(
        np.ones((8, 10), bool), frame(), rows, cols, values, limits=(0, 20), label=""
    )
    dots = next(c for c in figure.axes[0].collections if len(c.get_offsets()) == 2)
    np.testing.assert_array_equal(dots.get_offsets(), [[1, 0], [7.5, 3]])
    np.testing.assert_array_equal(dots.get_array(), values)
    assert dots.get_clim() == (0, 20)


def test_agreement_counts_every_plot_and_draws_the_diagonal():
    rng = np.random.default_rng(0)
    observed, predicted = rng.uniform(0, 50, (2, 300))
    figure = charts.draw_agreement(observed, predicted, limits=(0, 50), note="r2 0.50")
    axes = figure.axes[0]
    assert axes.collections[0].get_array().sum() == 300
    np.testing.assert_array_equal(*axes.lines[0].get_data())
    assert axes.get_xlim() == axes.get_ylim() == (-1.5, 51.5)
    assert axes.get_title(loc="left") == "r2 0.50"


def test_block_curve_has_its_points_and_the_ceiling():
    figure = charts.draw_block_curve(
        [0.5, 2], {"forest": (0.4, [0.3, -3])}, markers={"net": (0.5, 1, 0.45)}, ceiling=0.9
    )
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["forest"].get_xydata(), [[0.5, 0.3], [2, -3]])
    np.testing.assert_allclose(lines["net"].get_xydata(), [[0.2, 0.5], [1, 0.45]])
    assert [t.get_text() for t in axes.get_xticklabels()] == ["random", "0.5", "2"]
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[0] == -0.5
    assert 0.9 in [line.get_ydata()[0] for line in axes.lines]


def test_histogram_counts_whole_species():
    bars = charts.draw_histogram(np.array([3.0, 3.0, 4.0, 9.0]), label="").axes[0].patches
    heights = {round(b.get_x() + 0.5): b.get_height() for b in bars if b.get_height()}
    assert heights == {3: 2, 4: 1, 9: 1}
    wide = charts.draw_histogram(np.arange(400.0), label="").axes[0].patches
    assert sum(b.get_height() for b in wide) == 400
    assert len(wide) <= 41


def test_training_marks_the_best_validation_epoch():
    figure = charts.draw_training(np.array([1, 2, 3]), np.array([9.0, 5, 4]), np.array([8.0, 6, 7]))
    best = figure.axes[0].lines[2]
    assert best.get_xydata().tolist() == [[2, 6]]
    assert best.get_label() == "best: epoch 2, 6.00"


def test_titles_of_small_charts_stay_inside():
    values = np.array([1.0, 5.0, 9.0])
    note = "The mean of the nearest plots\nr2 −0.34, RMSE 21.04"
    drawing = charts.draw_agreement(values, values, limits=(0, 10), note=note, width=charts.SMALL)
    lay_out(drawing)
    axes = drawing.axes[0]
    (title,) = [
        t
        for t in axes.get_children()
        if getattr(t, "get_text", str)() == axes.get_title(loc="left")
    ]
    assert title.get_window_extent().x1 < drawing.bbox.x1


def test_distances_keep_zero_on_the_log_scale():
    axes = charts.draw_distances({"map": np.array([0.0, 10.0])}).axes[0]
    assert axes.get_xscale() == "log"
    assert axes.lines[0].get_xdata()[-1] == 10


def test_stamp_is_written_on_the_picture_and_png_is_repeatable():
    def drawn(stamped: bool) -> bytes:
        figure = charts.draw_histogram(np.array([1.0, 2.0]), label="x")
        if stamped:
            style.stamp(figure, "VIRTUAL")
            assert figure.get_suptitle() == "VIRTUAL"
        return style.png(figure)

    assert drawn(True) == drawn(True)
    assert drawn(True) != drawn(False)
    assert drawn(True).startswith(b"\x89PNG")
    with Image.open(io.BytesIO(drawn(True))) as image:
        assert image.mode == "RGB"
        assert image.info["dpi"] == pytest.approx((style.DPI, style.DPI), abs=0.1)
        assert image.getpixel((0, 0)) == (255, 255, 255)
