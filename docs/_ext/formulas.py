"""Formulas of the documentation as SVG inside the page (`spatioformer.common.formulas`)."""

from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from spatioformer.common.formulas import svg

logger = logging.getLogger(__name__)


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
