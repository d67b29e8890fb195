"""Tables of collections and of class names in imagery.md, from the tables of the package.

`python docs/_ext/archive_tables.py` writes them anew; a test compares them.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from spatioformer.archives.collections import Collection, collection_of
from spatioformer.archives.legends import legends
from spatioformer.archives.rows import built_in
from spatioformer.config.archives import SourceSection

PAGE = Path(__file__).parents[1] / "imagery.md"
KINDS = {"scenes": "scenes", "annual": "yearly", "embedding": "embedding", "classes": "classes"}
SIGNING = {"planetary-computer": "token, fetched for you", "earthdata": "your EARTHDATA_TOKEN"}


def rows() -> Iterator[Collection]:
    """The collections of the table."""
    for name in built_in():
        yield collection_of(SourceSection(name="s", collection=name, years=(2020,)))


def bands_of(collection: Collection) -> str:
    names = [f"{band.name}" if band.default else f"({band.name})" for band in collection.bands]
    if len(names) > 20:
        return f"{names[0]} to {names[-1]}"
    return ", ".join(names)


def years_of(collection: Collection) -> str:
    first, last = collection.years or ("", None)
    return f"{first} to {last}" if last else f"from {first}"


def collections_table() -> str:
    lines = [
        "| name | what | kind | pixel | years | bands | files from | access |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows():
        hosts = ", ".join(row.hosts)
        access = SIGNING.get(row.signing or "", row.signing or "open")
        verified = ("" if row.verified else ", unverified") + (", see note" if row.note else "")
        cells = [
            f"`{row.name}`", f"[{row.title}]({row.source})", KINDS[row.kind],
            f"{row.resolution:g} m", years_of(row), bands_of(row), hosts, f"{access}{verified}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def notes_table() -> str:
    lines = ["| collection | note |", "|---|---|"]
    lines += [f"| `{row.name}` | {' '.join(row.note.split())} |" for row in rows() if row.note]
    return "\n".join(lines)


def licences_table() -> str:
    known: dict[tuple[str, ...], list[str]] = {}
    for row in rows():
        texts = (row.licence, row.attribution, row.citation)
        key = tuple(" ".join(text.split()) for text in texts)
        known.setdefault(key, []).append(f"`{row.name}`")
    lines = [
        "| collections | licence | to be shown with results | to be cited |",
        "|---|---|---|---|",
    ]
    for texts, names in known.items():
        lines.append(f"| {' | '.join([', '.join(names), *texts])} |")
    return "\n".join(lines)


def legends_table() -> str:
    lines = ["| legend | of | classes | also |", "|---|---|---|---|"]
    for legend in legends().values():
        if legend.nested:
            classes = f"{len(legend.classes)} classes in levels, codes 1 to {max(legend.classes)}"
        else:
            classes = ", ".join(f"{code} {name}" for code, name in legend.classes.items())
        also = ", ".join(f"{name} ({_codes(codes)})" for name, codes in legend.also.items())
        cells = [f"`{legend.name}`", f"[{legend.title}]({legend.source})", classes, also]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _codes(codes: tuple[int, ...]) -> str:
    return str(codes[0]) if len(codes) == 1 else f"{codes[0]} to {codes[-1]}"


def tables() -> Mapping[str, str]:
    """Name of each marked part of the page, and its text."""
    return {
        "collections": collections_table(),
        "notes": notes_table(),
        "licences": licences_table(),
        "legends": legends_table(),
    }


def filled(page: str) -> str:
    """A page whose marked parts hold the tables."""
    for name, text in tables().items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        parts = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        whole = f"{begin}\n\n{text}\n\n{end}"
        page, count = parts.subn(whole.replace("\\", r"\\"), page)
        if count != 1:
            raise ValueError(f"{PAGE.name} has {count} parts {name!r}, not one")
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
