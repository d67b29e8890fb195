"""Terms of the field in both languages, a sentence each, from glossary.yaml.

One source for the course, the report and the pages of `view`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from spatioformer.common.languages import Language, Text


@dataclass(frozen=True)
class Term:
    """A term and what it means.

    Attributes:
        identifier: of its anchor in a page.
    """

    identifier: str
    name: Text
    meaning: Text


@cache
def terms() -> tuple[Term, ...]:
    """All terms, in the order of the file."""
    import yaml

    text = files("spatioformer.common").joinpath("glossary.yaml").read_text(encoding="utf-8")
    return tuple(
        Term(identifier, Text(row["es"][0], row["en"][0]), Text(row["es"][1], row["en"][1]))
        for identifier, row in yaml.safe_load(text).items()
    )


def sorted_terms(language: Language) -> list[Term]:
    """All terms in the order of the alphabet; accents do not count."""
    return in_order(terms(), language)


def in_order(some: Iterable[Term], language: Language) -> list[Term]:
    """The same terms in the order of the alphabet; accents do not count."""
    return sorted(some, key=lambda term: _plain(term.name.of(language)))


def _plain(name: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
