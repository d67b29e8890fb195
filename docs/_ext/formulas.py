"""Formulas as SVG inside the page, drawn by matplotlib: no script, no font, no network needed."""

from html import escape

from docutils import nodes
from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from sphinx.application import Sphinx
from sphinx.util import logging

SIZE = 17  # pixels; the text around it has 16
LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}

logger = logging.getLogger(__name__)


def svg(formula: str) -> str:
    """The outlines of a formula in LaTeX; the text's colour, so that it can be read in the dark."""
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


def draw(node: nodes.Element, formula: str) -> str:
    try:
        return svg(formula)
    except ValueError as error:
        logger.warning("matplotlib cannot draw %r: %s", formula, error, location=node)
        return f"<code>{escape(formula)}</code>"


def visit_inline(self: nodes.NodeVisitor, node: nodes.math) -> None:
    self.body.append(draw(node, node.astext()))
    raise nodes.SkipNode


def visit_block(self: nodes.NodeVisitor, node: nodes.math_block) -> None:
    lines = [line for line in node.astext().split("\\\\") if line.strip()]
    drawn = "<br/>".join(draw(node, line) for line in lines)
    self.body.append(f'<p class="formulas">{drawn}</p>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("svg", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True}
