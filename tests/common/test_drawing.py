"""One pass for PNG and SVG: what is drawn, where rasters lie, and layouts that are shared."""

import base64
import io
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from PIL import Image

from spatioformer.common.drawing import Layouts, SharedLayout, draw
from spatioformer.common.style import styled

RED, BLUE = (220, 20, 20), (20, 20, 220)
RASTER = np.array([[RED, BLUE, BLUE], [BLUE, BLUE, BLUE]], np.uint8)


@styled
def busy() -> Figure:
    """Lines, markers, text, points, hexagons, hatching, a clip by a path, and a colour bar."""
    figure = Figure(figsize=(3, 3), layout="constrained")
    axes = figure.subplots()
    x = np.linspace(0, 1, 30)
    axes.plot(x, x**2, "o--", markersize=3)
    axes.scatter(x, 1 - x, c=x, s=20)
    cells = axes.hexbin(x, x, gridsize=8, mincnt=1, extent=(0, 1, 0, 1), cmap="Blues")
    axes.contourf(
        np.add.outer(x, x), levels=[1.5, 2], colors="none", hatches=["//"], extent=(0, 1, 0, 1)
    )
    (line,) = axes.plot([0, 1], [0.8, 0.8], linewidth=6, color="black")
    line.set_clip_path(Circle((0.5, 0.8), 0.2, transform=axes.transData))
    axes.set(xlabel="a label", title="A title")
    axes.annotate("words", (0.2, 0.5), rotation=30)
    figure.colorbar(cells, ax=axes, orientation="horizontal")
    return figure


def test_pixels_are_those_of_matplotlib():
    drawn, svg = draw(busy(), 120)
    figure = busy()
    figure.set_dpi(120)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    expected = np.asarray(canvas.buffer_rgba())
    assert drawn.shape == expected.shape == (360, 360, 4)
    difference = np.abs(drawn[..., :3].astype(float) - expected[..., :3]).mean(2)
    assert difference.mean() < 3  # of 255: texts and lines are up to a pixel apart
    assert (difference > 60).mean() < 0.03
    assert {"words", "a label", "A title"} <= set(re.findall(r">([^<>\n]+)</text>", svg))
    assert draw(busy(), 120)[1] == svg


def rasters(svg: str) -> list[np.ndarray]:
    """The rasters embedded in an SVG."""
    found = re.findall(r"data:image/png;base64,\s*([^\"]+)\"", svg)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_a_raster_lies_where_its_axes_are_and_is_embedded_as_it_is(origin):
    figure = Figure(figsize=(3, 2))
    figure.add_axes((0, 0, 1, 1)).imshow(RASTER, aspect="auto", origin=origin)
    drawn, svg = draw(figure, 40)
    rows = slice(4, 36) if origin == "upper" else slice(44, 76)
    np.testing.assert_array_equal(drawn[rows, 4:36, :3].reshape(-1, 3), [RED] * 32 * 32)
    other = drawn[44:76] if origin == "upper" else drawn[4:36]
    np.testing.assert_array_equal(other[:, 4:-4, :3].reshape(-1, 3), [BLUE] * 32 * 112)
    (embedded,) = rasters(svg)
    np.testing.assert_array_equal(embedded, RASTER)
    (matrix,) = re.findall(r"<image[^>]*matrix\(([^)]+)\)", svg)
    a, _, _, d, left, top = (float(number) for number in re.split(r"[ ,]+", matrix))
    assert (a, left) == (72, 0)  # points a pixel
    assert (d, top) == ((72, 0) if origin == "upper" else (-72, 144))


def test_a_raster_is_blended_only_where_its_pixels_are_of_uneven_size():
    def colours(inches: float) -> int:
        figure = Figure(figsize=(inches, 2))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(RASTER[:1], aspect="auto")
        axes.set_axis_off()
        return len(np.unique(draw(figure, 10)[0].reshape(-1, 4), axis=0))

    assert colours(1.2) == 2  # 4 pixels a column, hence squares
    assert colours(0.7) > 2


@pytest.mark.parametrize("norm", [None, LogNorm(1, 50)])
def test_a_colour_bar_is_one_raster_of_the_svg(norm):
    figure = Figure(figsize=(3, 1), layout="constrained")
    figure.colorbar(
        ScalarMappable(norm, "viridis"), cax=figure.subplots(), orientation="horizontal"
    )
    drawn, svg = draw(figure, 72)
    (bar,) = rasters(svg)
    expected = matplotlib.colormaps["viridis"](np.arange(256), bytes=True)[None]
    np.testing.assert_allclose(bar, expected[..., : bar.shape[2]], atol=1)
    middle = drawn[10]
    assert tuple(middle[20, :3]) < tuple(middle[200, :3])  # from dark to light


def map_like(known: Layouts | None, label: str, title: str = "") -> Figure:
    layout = "constrained" if known is None else SharedLayout(known)
    figure = Figure(figsize=(3, 3), layout=layout)
    axes = figure.subplots()
    axes.set_box_aspect(0.8)
    axes.set_title(title, loc="left")
    figure.suptitle("VIRTUAL")
    figure.colorbar(ScalarMappable(), ax=axes, orientation="horizontal", label=label)
    return figure


def places(figure: Figure) -> np.ndarray:
    draw(figure, 50)
    boxes = [axes.get_position(original=True).bounds for axes in figure.axes]
    return np.array([*boxes, (*figure.texts[0].get_position(), 0, 0)])


def test_figures_of_one_form_share_a_layout_that_each_would_have():
    known: Layouts = {}
    cases = [("a", ""), ("bcd", ""), ("two\nlines", ""), ("a", "title"), ("a", "two\nlines")]
    for label, title in [*cases, ("a label " * 8, ""), ("longer label " * 6, "")]:
        shared, alone = map_like(known, label, title), map_like(None, label, title)
        np.testing.assert_allclose(places(shared), places(alone), atol=1e-5)
    assert len(known) == 6  # only the first two have one form
