"""Tables of collections, class names and predictors in imagery.md and predictors.md.

They come from the tables of the package.

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
PREDICTORS = Path(__file__).parents[1] / "predictors.md"
KINDS = {"scenes": "scenes", "annual": "yearly", "embedding": "embedding", "classes": "classes"}
SIGNING = {"planetary-computer": "token, fetched for you", "earthdata": "your EARTHDATA_TOKEN"}


def rows(of_files: bool = False) -> Iterator[Collection]:
    """The collections of the table: imagery, or terrain, climate, soil and land cover."""
    for name, row in built_in().items():
        if (row.files is not None) == of_files:
            years = None if row.kind == "static" else (2020,)
            folder = "." if row.files and row.files.download else None
            section = SourceSection(name="s", collection=name, years=years, endpoint=folder)
            yield collection_of(section)


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


def notes_table(of_files: bool = False) -> str:
    lines = ["| collection | note |", "|---|---|"]
    lines += [
        f"| `{row.name}` | {' '.join(row.note.split())} |" for row in rows(of_files) if row.note
    ]
    return "\n".join(lines)


def predictors_table() -> str:
    lines = [
        "| name | what | pixel | describes | options | files from | licence |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows(of_files=True):
        assert row.files is not None
        pixels = sorted(row.files.pixels.values()) or [row.resolution]
        pixel = f"{pixels[0]:g} m" if len(pixels) == 1 else f"{pixels[0]:g} to {pixels[-1]:g} m"
        when = "{} to {}".format(*row.period) if row.period else f"each year, {years_of(row)}"
        hosts = ", ".join(row.hosts) + ("" if row.verified else ", unverified")
        cells = [
            f"`{row.name}`", f"[{row.title}]({row.source})", pixel, when, options_of(row),
            "your folder" if row.files.download else hosts, row.licence,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def options_of(row: Collection) -> str:
    assert row.files is not None
    return "; ".join(
        f"`{option}`: {', '.join(values)}" for option, values in row.files.choices.items()
    )


def bands_table() -> str:
    """Names, units and meaning of the bands; rows with the same bands together."""
    known: dict[tuple[str, ...], list[str]] = {}
    for row in rows(of_files=True):
        bands = row.bands
        if len(bands) > 40:  # six depths of each property of the soil
            bands = tuple(band for band in bands if band.name.endswith(("_0_5", "_0_30")))
        cells = tuple(
            f"`{band.name}`{'' if band.default else '*'} {band.title}"
            + (f", {band.unit}" if band.unit else "")
            for band in (bands[:1] if bands[-1].name.endswith("_12") else bands)
        )
        known.setdefault(cells, []).append(f"`{row.name}`")
    lines = ["| collections | bands |", "|---|---|"]
    lines += [f"| {', '.join(names)} | {'; '.join(cells)} |" for cells, names in known.items()]
    return "\n".join(lines)


def licences_table(of_files: bool = False) -> str:
    known: dict[tuple[str, ...], list[str]] = {}
    for row in rows(of_files):
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


def tables(page: Path = PAGE) -> Mapping[str, str]:
    """Name of each marked part of a page, and its text."""
    if page == PREDICTORS:
        return {
            "predictors": predictors_table(),
            "bands": bands_table(),
            "notes": notes_table(of_files=True),
            "licences": licences_table(of_files=True),
        }
    return {
        "collections": collections_table(),
        "notes": notes_table(),
        "licences": licences_table(),
        "legends": legends_table(),
    }


def filled(page: str, path: Path = PAGE) -> str:
    """A page whose marked parts hold the tables."""
    for name, text in tables(path).items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        parts = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        whole = f"{begin}\n\n{text}\n\n{end}"
        page, count = parts.subn(whole.replace("\\", r"\\"), page)
        if count != 1:
            raise ValueError(f"{path.name} has {count} parts {name!r}, not one")
    return page


if __name__ == "__main__":
    for path in (PAGE, PREDICTORS):
        path.write_text(filled(path.read_text(encoding="utf-8"), path), encoding="utf-8")
