"""Terms of a report, and links to them; common/glossary.yaml explains them in both languages."""

import re
from collections.abc import Sequence
from html import escape

from spatioformer.common.glossary import Term, in_order, terms
from spatioformer.report.results import Results

GENERAL = {
    *("bias", "fold", "held_out", "mae", "pearson", "r2", "r2_interval", "rmse"),
    *("smallest_difference", "split", "verdict"),
}
OF_SPLITS = {"random": "random_folds", "tiles": "tiles", "knndm": "knndm", "regions": "regions"}
"""Kind of a split -> its term."""
OF_INTERVALS = {
    *("applicability", "conformal", "coverage", "crps", "dissimilarity", "interval"),
    "interval_score",
}
OF_MAPS = {"chip", "gain", "monte_carlo", "raster_mask"}
OF_VIRTUAL = {"noise_ceiling", "virtual_flora"}

ALSO = {
    "dissimilarity": "dissimilarity",
    "held-out plot": "held_out",
    "interval": "interval",
    "Monte Carlo standard deviation": "monte_carlo",
}
"""Other words of the report for a term."""

TAG = re.compile(r"(<[^>]*>)")
NAME = re.compile(r"</?(\w+)")
BARE = {
    *("a", "code", "dd", "dt", "footer", "h1", "h2", "h3", "nav", "pre", "style", "summary"),
    *("strong", "td", "title"),
}
"""Elements in which no term is linked: links, headings, labels, data, and what is not prose."""
LAST = '<section id="glossary">'
"""From here on no term is linked."""


def glossary(results: Results) -> list[Term]:
    """Terms that the report of this run uses, in the order of the alphabet."""
    wanted = set(GENERAL)
    kinds = {split.kind for split in results.config.evaluate.splits}
    wanted |= {name for kind, name in OF_SPLITS.items() if kind in kinds}
    if results.uncertainty is not None:
        wanted |= OF_INTERVALS
    if results.has_imagery:
        wanted |= OF_MAPS
    if results.virtual:
        wanted |= OF_VIRTUAL
    return in_order((term for term in terms() if term.identifier in wanted), "en")


def link_terms(page: str, entries: Sequence[Term]) -> str:
    """Link the first mention of each term in each section to its entry in the glossary.

    Args:
        page: HTML whose attributes have no ">".
        entries: the terms that the glossary of the page explains.
    """
    of = {term.identifier: term for term in entries}
    names = {term.name.en: term for term in entries}
    names |= {name: of[identifier] for name, identifier in ALSO.items() if identifier in of}
    by_name = {name.lower(): term for name, term in names.items()}
    # Longer names first: "interval of r2" is not "interval". The letter r alone is never "R".
    longest = sorted(by_name, key=len, reverse=True)
    patterns = ["(?-i:r)" if name == "r" else re.escape(name) for name in longest]
    mention = re.compile(rf"(?<![\w-])({'|'.join(patterns)})s?(?![\w-])", re.IGNORECASE)
    linked: set[str] = set()

    def link(match: re.Match[str]) -> str:
        term = by_name[match[1].lower()]
        if term.identifier in linked:
            return match[0]
        linked.add(term.identifier)
        meaning = escape(term.meaning.en)
        return f'<a class="term" href="#term-{term.identifier}" title="{meaning}">{match[0]}</a>'

    before, last, after = page.partition(LAST)
    pieces = TAG.split(before)
    bare: list[str] = []
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            if not bare and piece.strip():
                pieces[i] = mention.sub(link, piece)
            continue
        name = NAME.match(piece)
        if name is None:
            continue
        if name[1] == "section":
            linked.clear()
        elif name[1] in BARE and piece.startswith("</"):
            bare.pop()
        elif name[1] in BARE:
            bare.append(name[1])
    return "".join(pieces) + last + after
