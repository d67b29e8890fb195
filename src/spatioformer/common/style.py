"""How figures look, and how they become PNG: no global state, the same bytes for the same figure.

Colours are safe for the colour-blind: viridis and cividis for amounts, red to blue through white
for differences. Grey means no prediction.
"""

import io

import matplotlib
from matplotlib.figure import Figure

DPI = 160
INK, MUTED, NOTHING, PALE, ACCENT = "#22282b", "#6b7478", "#dcdfdf", "#f6f6f3", "#1f6f5c"
SERIES = (ACCENT, "#c8702a", "#4a6fa5", "#8a5a83", "#7a7a52", "#a33b3b", "#3b8ea3")
MARKERS = "osD^vPX"

styled = matplotlib.rc_context(
    {
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.facecolor": "white",
    }
)
"""Decorator of functions that make figures."""


@styled
def stamp(figure: Figure, words: str) -> None:
    """Write a label above the figure that stays with it when somebody copies the picture."""
    figure.suptitle(words, x=0.995, ha="right", fontsize=7.5, fontweight="bold", color=INK)


def png(figure: Figure, zoom: float = 1.0) -> bytes:
    """The figure as PNG, `zoom` times as large; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=zoom * DPI, metadata={"Software": None})
    return stream.getvalue()
