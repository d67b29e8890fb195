"""Draw a figure as PNG and SVG in one pass.

matplotlib draws a figure anew for each format, and most of the time goes into ticks, texts and
layout, which are the same for both. Here every drawing goes to both of its renderers at once: in
points to the SVG, enlarged to the pixels of the PNG. Extents of texts are those of unhinted fonts,
which do not depend on the format, and figures share them.
"""

import io
from functools import lru_cache
from typing import Any, cast

import matplotlib
import numpy as np
from matplotlib.backend_bases import FigureCanvasBase, GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Bbox, Transform, TransformedPath
from numpy.typing import NDArray
from PIL import Image

POINTS = 72.0  # an inch
ENLARGED = 3.0  # times, from which a raster's pixels are drawn as squares, without blending
SVG_LOOK: Any = {"svg.hashsalt": "spatioformer", "svg.fonttype": "none"}
"""The same bytes for the same figure, and texts as text."""
LONG = 0.7  # of the figure's width that a label below the axes may take without widening them

Form = tuple[float | int | str, ...]
Layouts = dict[Form, tuple[list[Bbox], list[tuple[float, float]]]]
"""Places of the axes and of the texts above them by the form of a figure."""


def draw(figure: Figure, dpi: float) -> tuple[NDArray[np.uint8], str]:
    """The figure as pixels [y, x, RGBA] and as SVG, after its layout, which is kept.

    Rasters are in the SVG as they are, one pixel a value. The viewer enlarges them.

    Args:
        dpi: pixels an inch of the first.
    """
    for image in figure.findobj(AxesImage):
        image.set_interpolation("none")
    figure.set_dpi(POINTS)
    text = io.StringIO()
    with matplotlib.rc_context(SVG_LOOK):
        width, height = figure.get_size_inches()
        renderer = _Renderer(width, height, dpi, text)
        figure.set_canvas(_Canvas(figure, renderer))
        lay_out(figure)
        figure.draw(renderer)
        renderer.svg.finalize()
    return np.asarray(renderer.agg.buffer_rgba()), text.getvalue()


def lay_out(figure: Figure) -> None:
    """Compute the layout once, and keep it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


class SharedLayout(ConstrainedLayoutEngine):
    """Layout of several figures, computed once for those of one form.

    Its figures have the same kinds of axes with the same ticks along the lower and the left edge.
    Their form is what may differ: the size, the number of lines of their texts, and the legends.
    """

    def __init__(self, known: Layouts) -> None:
        """Args: known: the layouts so far."""
        super().__init__()
        self._known = known

    def execute(self, fig: Figure) -> None:
        """Give the axes of a figure, and the text above it, their places."""
        form = _form(fig)
        if form not in self._known:
            super().execute(fig)
            places = [axes.get_position(original=True) for axes in fig.axes]
            self._known[form] = places, [text.get_position() for text in fig.texts]
        places, titles = self._known[form]
        for axes, place in zip(fig.axes, places, strict=True):
            axes.set_position(place, which="original")
        for text, position in zip(fig.texts, titles, strict=True):
            text.set_position(position)


def _form(figure: Figure) -> Form:
    """What the layout depends on; with its words, where a label may be wider than the axes."""
    labels = [axes.get_xlabel() for axes in figure.axes]
    longest = max(
        (axes.xaxis.label for axes in figure.axes), key=lambda label: len(label.get_text())
    )
    is_long = longest.get_window_extent().width > LONG * figure.bbox.width
    texts = [text for a in figure.axes for text in (a.get_title(loc="left"), a.get_ylabel())]
    return (
        len(labels),
        *figure.get_size_inches(),
        *(labels if is_long else [label.count("\n") for label in labels]),
        *(text and text.count("\n") for text in texts),
        *(text.get_text() for legend in figure.legends for text in legend.get_texts()),
        len(figure.texts),
    )


class _Canvas(FigureCanvasBase):
    """Lets the layout measure texts with the renderer that draws them."""

    def __init__(self, figure: Figure, renderer: "_Renderer") -> None:
        super().__init__(figure)
        self._renderer = renderer

    def get_renderer(self) -> "_Renderer":
        return self._renderer


class _Renderer(RendererBase):
    """Passes drawings on to the renderers of both formats. Its unit is the point."""

    def __init__(self, width: float, height: float, dpi: float, text: io.StringIO) -> None:
        """Args: width, height of the figure in inches; dpi of the pixels; where the SVG goes."""
        super().__init__()
        self.width, self.height = POINTS * width, POINTS * height
        agg: Any = RendererAgg
        self.agg = agg(dpi * width, dpi * height, dpi)
        none = {"Date": None, "Creator": None}
        svg: Any = RendererSVG
        self.svg = svg(self.width, self.height, text, image_dpi=dpi, metadata=none)
        self._zoom = dpi / POINTS
        self._larger = Affine2D().scale(self._zoom)

    def draw_path(
        self,
        gc: Any,
        path: Path,
        transform: Transform,
        rgbFace: Any = None,
    ) -> None:
        self.svg.draw_path(gc, path, transform, rgbFace)
        self.agg.draw_path(self._enlarged(gc), path, transform + self._larger, rgbFace)

    def draw_markers(
        self, gc: Any, marker_path: Path, marker_trans: Any, path: Path, trans: Any, *face: Any
    ) -> None:
        self.svg.draw_markers(gc, marker_path, marker_trans, path, trans, *face)
        larger = marker_trans + self._larger, path, trans + self._larger
        self.agg.draw_markers(self._enlarged(gc), marker_path, *larger, *face)

    def draw_path_collection(
        self,
        gc: Any,
        master_transform: Any,
        paths: Any,
        all_transforms: Any,
        offsets: Any,
        offset_trans: Any,
        *look: Any,
        **more: Any,
    ) -> None:
        items = paths, all_transforms, offsets
        self.svg.draw_path_collection(gc, master_transform, *items, offset_trans, *look, **more)
        larger = (master_transform + self._larger).frozen()
        moved = offset_trans + self._larger
        self.agg.draw_path_collection(self._enlarged(gc), larger, *items, moved, *look, **more)

    def draw_quad_mesh(
        self,
        gc: Any,
        master_transform: Any,
        width: int,
        height: int,
        coordinates: Any,
        offsets: Any,
        offset_trans: Any,
        *look: Any,
    ) -> None:
        items = width, height, coordinates, offsets
        points = master_transform.transform(np.reshape(coordinates, (-1, 2)))
        picture = _as_raster(points.reshape(np.shape(coordinates)), look[0])
        if picture is None:
            self.svg.draw_quad_mesh(gc, master_transform, *items, offset_trans, *look)
        else:  # not hundreds of paths, between which viewers show seams
            self.svg.draw_image(gc, *picture)
        larger = (master_transform + self._larger).frozen()
        moved = offset_trans + self._larger
        self.agg.draw_quad_mesh(self._enlarged(gc), larger, *items, moved, *look)

    def draw_image(self, gc: Any, x: float, y: float, im: Any, transform: Any = None) -> None:
        """Draw a raster [y, x, RGBA]; `transform` takes its columns and rows to points."""
        opaque = im[..., :3] if im[..., 3].min() == 255 else im
        self.svg.draw_image(gc, x, y, opaque, transform)
        corners = transform.transform([(0, 0), (1, 1)]) + (x, y)
        (left, top), (right, bottom) = (self._zoom * corners).round().astype(int).tolist()
        size = abs(right - left), abs(top - bottom)
        if min(size) == 0:
            return
        larger = np.asarray(Image.fromarray(opaque).resize(size, _blending(opaque, size)))
        picture = np.full((*larger.shape[:2], 4), 255, np.uint8)
        picture[..., : larger.shape[2]] = larger if top < bottom else larger[::-1]  # lowest first
        self.agg.draw_image(self._enlarged(gc), min(left, right), min(top, bottom), picture)

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        self.svg.draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        place = self._zoom * x, self._zoom * y
        self.agg.draw_text(self._enlarged(gc), *place, s, prop, angle, ismath, mtext)

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        return _extent(s, prop, ismath)

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def open_group(self, s: str, gid: str | None = None) -> None:
        self.svg.open_group(s, gid)

    def close_group(self, s: str) -> None:
        self.svg.close_group(s)

    def option_image_nocomposite(self) -> bool:
        return True

    def option_scale_image(self) -> bool:
        return True

    def _enlarged(self, gc: GraphicsContextBase) -> GraphicsContextBase:
        """The graphics context with its clip in pixels; the rest of it is in points anyway."""
        rectangle, clip = gc.get_clip_rectangle(), gc.get_clip_path()
        path, affine = cast(tuple[Path, Transform], clip)
        if rectangle is None and path is None:
            return gc
        larger = self.new_gc()
        larger.copy_properties(gc)
        if rectangle is not None:
            larger.set_clip_rectangle(Bbox(self._zoom * rectangle.get_points()))
        if path is not None:
            larger.set_clip_path(TransformedPath(path, affine + self._larger))
        return larger


def _as_raster(
    corners: NDArray[np.float64], colours: NDArray[np.float64]
) -> tuple[float, float, NDArray[np.uint8], Affine2D] | None:
    """The arguments of `draw_image` for a row of equally wide cells, as of a colour bar.

    Args:
        corners: (rows + 1, columns + 1, 2) in points, of a mesh.
        colours: (rows * columns, 4), 0-1.

    Returns:
        None for other meshes.
    """
    if corners.shape[0] > 2:
        corners = corners.swapaxes(0, 1)
    across, up = corners[0, :, 0], corners[:, 0, 1]
    plain = len(corners) == 2 and np.ptp(corners, axis=1)[:, 1].max() == 0
    steps = np.diff(across)
    if not plain or not 0 < np.ptp(across) < len(steps) * steps.min() * 1.001 or up[0] >= up[1]:
        return None
    pixels = np.round(255 * colours[None]).astype(np.uint8)
    size = across[-1] - across[0], up[1] - up[0]
    return float(across[0]), float(up[0]), pixels, Affine2D().scale(*size)


@lru_cache(maxsize=4096)
def _extent(s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
    """Width, height and descent of a text, points; matplotlib passes a copy of the font."""
    width, height, descent = text_to_path.get_text_width_height_descent(s, prop, ismath)
    return width, height, descent


def _blending(picture: NDArray[np.uint8], size: tuple[int, int]) -> Image.Resampling:
    """How a raster is resampled to (width, height): as matplotlib's `auto` interpolation."""
    factors = size[0] / picture.shape[1], size[1] / picture.shape[0]
    whole = all(factor == round(factor) for factor in factors)
    square = whole or min(factors) >= ENLARGED
    return Image.Resampling.NEAREST if square else Image.Resampling.HAMMING
