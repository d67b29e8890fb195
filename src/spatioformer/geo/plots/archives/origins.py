"""Where plots come from: title, DOI, licence and citation of an archive and of its data sets."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from spatioformer.common.licences import spdx

_DOI = re.compile(r"10\.\d{4,9}/[^\s\"'<>&;,()\[\]{}|]+", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """An archive or a data set within one, to be cited.

    Attributes:
        key: how plots name it; '' for the archive as a whole.
        title: its name.
        doi: such as 10.15468/dl.abc123; '' if unknown.
        licence: SPDX name, or the text that states it; '' if none is stated.
        citation: sentence to cite; '' if unknown.
    """

    key: str = ""
    title: str = ""
    doi: str = ""
    licence: str = ""
    citation: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def find_doi(text: str) -> str:
    """The first DOI in a text; '' without one."""
    match = _DOI.search(text)
    return match[0].rstrip(".") if match else ""


def parse_doi(text: str) -> str:
    """A DOI that a user gives, with or without https://doi.org/.

    Raises:
        ValueError: the text holds no DOI.
    """
    doi = find_doi(text.strip())
    if not doi or not text.strip().lower().removesuffix("/").endswith(doi.lower()):
        raise ValueError(text)
    return doi


def one_licence(licences: Iterable[str]) -> str:
    """The licences of records as one text: their SPDX names, the most frequent first."""
    counts: dict[str, int] = {}
    for licence in licences:
        name = spdx(licence)
        if name:
            counts[name] = counts.get(name, 0) + 1
    return ", ".join(sorted(counts, key=lambda name: -counts[name]))
