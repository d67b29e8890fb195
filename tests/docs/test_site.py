"""The code that builds the documentation: drawn formulas, docstrings in Sphinx's syntax."""

import re
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

from tests.helpers.docs import extension

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


formulas, reference = extension("formulas"), extension("reference")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.slow
def test_formulas_can_be_drawn(page):
    text = re.sub(r"^```.*?^```|`[^`]+`|^    .*?$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for formula in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", text, flags=re.S):
        assert formulas.svg("".join(formula)).startswith("<svg")


def test_a_formula_is_outlines_with_a_baseline():
    drawn = formulas.svg(r"\dfrac{a}{b}")
    width, height = (
        float(re.search(rf' {side}="([\d.]+)"', drawn)[1]) for side in ("width", "height")
    )
    assert 5 < width < 30 < height < 50  # pixels
    assert 'fill="currentColor"' in drawn
    assert "font" not in drawn
    depth = float(re.search(r"vertical-align: -([\d.]+)px", drawn)[1])
    assert 10 < depth < height


def test_an_unknown_command_is_an_error():
    with pytest.raises(ValueError, match="nonsense"):
        formulas.svg(r"\nonsense{x}")


@pytest.mark.parametrize(
    ("docstring", "sphinx"),
    [
        ("|x_i - x_j| / 2", r"\|x_i - x_j\| / 2"),
        ("2 * 3, a threshold_", r"2 \* 3, a threshold\_"),
        ("`a * b` and `x`s", r"``a * b`` and ``x``\ s"),
        ("**bold** stays", "**bold** stays"),
        (":class:`KNNDM` stays", ":class:`KNNDM` stays"),
    ],
)
def test_docstrings_mean_themselves(docstring, sphinx):
    assert reference.escape(docstring) == sphinx


def test_examples_are_left_alone_and_tables_become_tables():
    lines = ["One.", "", ">>> 2 * 3", "6", "", "| a | b |", "|---|---|", "| 1 | `x|y`s |", "After."]
    reference.from_markdown(None, "function", "f", None, None, lines)
    assert lines[:5] == ["One.", "", ">>> 2 * 3", "6", ""]
    assert ".. list-table::" in lines
    assert "   * - a" in lines
    assert lines[-2:] == ["", "After."]


@pytest.mark.slow
def test_the_reference_lists_what_a_package_offers():
    import spatioformer
    import spatioformer.models

    (page,) = reference.pages(spatioformer).values()
    for name in set(spatioformer.__all__) - {"__version__"}:
        assert f":py:obj:`{name} <" in page, name
    assert ".. autofunction:: spatioformer.load\n" in page
    names = set(reference.pages(spatioformer.models))
    assert {"spatioformer.models", "spatioformer.models.network"} <= names
    assert not any("._" in name for name in names)


def test_a_class_is_described_on_one_page(monkeypatch):
    import spatioformer
    from spatioformer.evaluation import KNNDM

    monkeypatch.setattr(spatioformer, "__all__", ["KNNDM"])
    monkeypatch.setattr(spatioformer, "KNNDM", KNNDM, raising=False)
    monkeypatch.setattr(reference, "PACKAGES", ["spatioformer", "spatioformer.evaluation"])
    assert "autoclass" not in reference.pages(spatioformer)["spatioformer"]
    (page,) = reference.pages(spatioformer.evaluation).values()
    assert ".. autoclass:: spatioformer.evaluation.KNNDM\n" in page
