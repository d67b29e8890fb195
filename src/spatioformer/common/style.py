"""How figures look, and how they become PNG: no global state, the same bytes for the same figure.

Colours are safe for the colour-blind: viridis and cividis for amounts, red to blue through white
for differences. Grey means no prediction: pale grey is sea, darker grey is land.

The smallest text has 9 points in a figure of at most 4.4 inches. So it has at least 9 CSS pixels
where the figure is shrunk to 350 pixels on a phone, or to half the width of a printed page.
"""

import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from spatioformer.common import palette

ACCENT, BAD, INK, MASKED = palette.ACCENT, palette.BAD, palette.INK, palette.MASKED
MUTED, NOTHING, PALE, SEA = palette.MUTED, palette.NOTHING, palette.PALE, palette.SEA
SERIES = palette.SERIES

DPI = 160
COMPRESSION = 4  # of PNG: 6, the usual level, takes twice the time for 4 % fewer bytes
MARKERS = "osD^vPX"

styled = matplotlib.rc_context(
    {
        "font.size": 9.5,
        "axes.labelsize": 9.5,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "figure.facecolor": "white",
    }
)
"""Decorator of functions that make figures."""


@styled
def stamp(figure: Figure, words: str) -> None:
    """Write a label above the figure that stays with it when somebody copies the picture."""
    figure.suptitle(words, x=0.995, ha="right", fontsize=9, fontweight="bold", color=INK)


def png(figure: Figure, zoom: float = 1.0) -> bytes:
    """The figure as PNG, `zoom` times as large; the same figure gives the same bytes.

    `Figure.savefig` would compute the layout for each file and draw everything twice. Figures are
    opaque, so the file has no channel of opacity.
    """
    figure.set_dpi(zoom * DPI)  # before the layout, which then measures the texts as drawn
    _lay_out(figure)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=COMPRESSION, dpi=(figure.dpi, figure.dpi))
    return stream.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as SVG with its texts as text; the same figure gives the same bytes."""
    _lay_out(figure)
    figure.set_dpi(DPI)  # of the images in it
    stream = io.BytesIO()
    canvas: Any = FigureCanvasSVG(figure)
    with matplotlib.rc_context({"svg.hashsalt": "spatioformer", "svg.fonttype": "none"}):
        canvas.print_svg(stream, metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _lay_out(figure: Figure) -> None:
    """Compute the layout once, and keep it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
