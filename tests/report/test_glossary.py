"""Terms of a report: which it explains, and which words lead to them."""

import re

from spatioformer.common.glossary import Term, terms
from spatioformer.common.languages import Text
from spatioformer.evaluation.verdict import INTERVAL
from spatioformer.report import glossary
from spatioformer.report.glossary import link_terms

R2 = Term("r2", Text("r2", "r2"), Text("Parte.", 'Share; "1" is best.'))
RANGE = Term("r2_interval", Text("intervalo de r2", "interval of r2"), Text("Rango.", "Range."))
LETTER = Term("pearson", Text("r", "r"), Text("Correlación.", "Correlation."))
TILES = Term("tiles", Text("cuadros", "tiles"), Text("Cuadrados.", "Squares."))
KNOWN = [R2, RANGE, LETTER, TILES]


def links(page: str) -> list[tuple[str, str]]:
    """Target and words of each link to a term."""
    return re.findall(r'<a class="term" href="#term-(\w+)" title="[^"<>]*">([^<]*)</a>', page)


def test_every_term_is_in_the_file():
    wanted = set().union(
        glossary.GENERAL,
        glossary.OF_SPLITS.values(),
        glossary.OF_INTERVALS,
        glossary.OF_MAPS,
        glossary.OF_VIRTUAL,
        glossary.ALSO.values(),
    )
    assert wanted <= {term.identifier for term in terms()}
    assert INTERVAL == 0.9, "r2_interval says nine of ten"


def test_the_first_mention_in_each_section():
    page = "<section><p>R2, r2</p></section><section><p>the r2</p></section>"
    linked = link_terms(page, KNOWN)
    assert links(linked) == [("r2", "R2"), ("r2", "r2")]
    assert 'title="Share; &quot;1&quot; is best."' in linked
    assert re.sub(r"</?a[^>]*>", "", linked) == page


def test_longer_names_and_whole_words():
    page = "<p>interval of r2; a tiles-like texture, textiles; tiles; R, or r, our</p>"
    assert links(link_terms(page, KNOWN)) == [
        ("r2_interval", "interval of r2"),
        ("tiles", "tiles"),
        ("pearson", "r"),
    ]


def test_other_words_for_a_term():
    held = next(term for term in terms() if term.identifier == "held_out")
    assert links(link_terms("<p>All held-out plots</p>", [held])) == [
        ("held_out", "held-out plots")
    ]


def test_headings_links_code_and_attributes_stay():
    page = (
        '<h2>r2</h2><a href="#x">r2</a><code>r2</code><img alt="r2"><style>r2</style>'
        '<pre>r2 <b>r2</b></pre><td>r2</td><p title="r2"></p><section id="glossary">r2</section>'
    )
    assert link_terms(page, KNOWN) == page
    assert links(link_terms(f"{page[:11]}<p>r2</p>", KNOWN)) == [("r2", "r2")]
