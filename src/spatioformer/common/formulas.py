"""Formulas as SVG inside a page, drawn by matplotlib: no script, no font, no network needed."""

from functools import cache
from html import escape

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path
from matplotlib.textpath import TextPath

SIZE = 17  # pixels; the text around it has 16
LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


@cache  # pages in two languages have the same formulas
def svg(formula: str) -> str:
    """The outlines of a formula in LaTeX; the text's colour, so that it can be read in the dark.

    Raises:
        ValueError: matplotlib cannot draw it.
    """
    text = f"${' '.join(formula.split())}$"
    with rc_context({"mathtext.fontset": "stix"}):
        width, height, depth, *_ = MathTextParser("path").parse(text, 72, FontProperties(size=SIZE))
        outline = TextPath((0, 0), text, size=SIZE)
    pieces = []
    for points, code in outline.iter_segments(simplify=False):
        pairs = points.reshape(-1, 2)
        letter = LETTERS.get(code)
        numbers = " ".join(f"{x:.2f} {-y:.2f}" for x, y in pairs)
        pieces.append(f"{letter}{numbers}" if letter else "Z")
    return (
        f'<svg class="formula" role="img" aria-label="{escape(formula)}" width="{width:.1f}"'
        f' height="{height:.1f}" style="vertical-align: {-depth:.1f}px"'
        f' viewBox="0 {depth - height:.1f} {width:.1f} {height:.1f}">'
        f'<path fill="currentColor" d="{"".join(pieces)}"/></svg>'
    )
