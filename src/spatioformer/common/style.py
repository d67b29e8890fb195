"""How figures look, and their files, PNG and SVG: the same bytes for the same figure, no globals.

Colours are safe for the colour-blind: viridis and cividis for amounts, red to blue through white
for differences. Grey means no prediction: pale grey is sea, darker grey is land.

The smallest text has 9 points in a figure of at most 4.4 inches. So it has at least 9 CSS pixels
where the figure is shrunk to 350 pixels on a phone, or to half the width of a printed page.
"""

import io
import zlib

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from spatioformer.common import palette
from spatioformer.common.drawing import draw

ACCENT, BAD, INK, MASKED = palette.ACCENT, palette.BAD, palette.INK, palette.MASKED
MUTED, NOTHING, PALE, SEA = palette.MUTED, palette.NOTHING, palette.PALE, palette.SEA
SERIES = palette.SERIES

DPI = 160
COMPRESSION = {"compress_level": 4, "compress_type": zlib.Z_RLE}
"""Of PNG: runs of bytes alone. The usual way takes half as long again for 3 % fewer bytes."""
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


def files(figure: Figure, zoom: float = 1.0) -> tuple[bytes, bytes]:
    """The figure as PNG, `zoom` times as large, and as SVG; the same figure gives the same bytes.

    Figures are opaque, so the PNG has no channel of opacity. The texts of the SVG are text.
    """
    dpi = zoom * DPI
    drawn, svg = draw(figure, dpi)
    image = Image.fromarray(drawn).convert("RGB")
    stream = io.BytesIO()
    image.save(stream, "PNG", dpi=(dpi, dpi), **COMPRESSION)
    return stream.getvalue(), svg.encode()


def png(figure: Figure, zoom: float = 1.0) -> bytes:
    """The figure as PNG alone, as `files` makes it."""
    return files(figure, zoom)[0]
