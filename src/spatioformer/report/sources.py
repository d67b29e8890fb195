"""Where the data of a run come from: the panel of sources and licences, and CITATIONS.bib.

Sources are what the run has read: the archive of its plots with its data sets, the collections of
its imagery and of its masks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatioformer.common.files import write_text
from spatioformer.common.licences import restrictions
from spatioformer.geo.plots.archives.origins import find_doi
from spatioformer.geo.plots.archives.show import (
    area_rows,
    completeness,
    licence_sentences,
    species_area,
)
from spatioformer.report.results import Results

CITATIONS = "CITATIONS.bib"

MOST_SOURCES = 30
"""Largest number of sources that the page lists; CITATIONS.bib has all."""

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


@dataclass(frozen=True)
class Source:
    """Something that a run has read.

    Attributes:
        role: "plots", "imagery" or "mask".
        title, doi, licence, citation: '' if not known.
        amount: how much of it was used, in words.
    """

    role: str
    title: str
    doi: str
    licence: str
    citation: str
    amount: str = ""


def sources_of(results: Results) -> list[Source]:
    """The sources of a run: plots, their data sets, imagery, masks."""
    return [*_of_plots(results), *_of_imagery(results)]


def panel(results: Results) -> dict[str, Any]:
    """Content of the panel: facts on imported plots, a row a source, sentences on licences."""
    imported = results.plots.get("imported")
    sources = sources_of(results)
    return {
        "facts": _facts(results, imported) if imported else [],
        "areas": area_rows(imported) if imported else [],
        "rows": sources[:MOST_SOURCES],
        "more": max(0, len(sources) - MOST_SOURCES),
        "sentences": [
            *(licence_sentences(imported) if imported else []),
            *_licence_sentences([s for s in sources if s.role != "plots"]),
        ],
        "citations": CITATIONS if _entries(results) else "",
    }


def write_citations(results: Results) -> Path | None:
    """Write CITATIONS.bib into the run folder, or remove an old one if nothing is to be cited.

    Raises:
        OutputError: the file cannot be written.
    """
    path = results.folder / CITATIONS
    entries = _entries(results)
    if not entries:
        path.unlink(missing_ok=True)
        return None
    write_text(path, "\n\n".join(entries) + "\n")
    return path


def _of_plots(results: Results) -> Iterator[Source]:
    imported = results.plots.get("imported")
    if not imported:
        return
    reference = imported["reference"]
    yield Source(
        "plots",
        reference["title"] or imported["source"],
        reference["doi"],
        reference["licence"],
        reference["citation"],
        f"{imported['plots']:,} plots",
    )
    for origin in imported["origins"]:
        yield Source(
            "plots",
            origin["title"] or origin["key"],
            origin["doi"],
            origin["licence"],
            origin["citation"],
            f"{origin['plots']:,} plots",
        )


def _of_imagery(results: Results) -> Iterator[Source]:
    for role, name, key in (("imagery", "sources", "title"), ("mask", "masks", "name")):
        for row in results.imagery.get(name) or []:
            credit = ". ".join(
                text.rstrip(".") for text in (row["attribution"], row["citation"]) if text
            )
            amount = f"{row['items']:,} items"
            yield Source(role, row[key], find_doi(row["citation"]), row["licence"], credit, amount)


def _facts(results: Results, imported: dict[str, Any]) -> list[tuple[str, str]]:
    """Facts on imported plots: format, lists, taxa, effort, places."""
    share, why = completeness(imported)
    facts = [
        ("Imported", f"{imported['format']}, {imported['source']}"),
        ("Lists", f"{share}: {why}"),
    ]
    if names := imported.get("names"):
        rule = names.get("rule", "species")
        facts.append(
            (
                "Taxa",
                f"{names['taxa']:,} from {names['names']:,} names by the rule {rule}; "
                f"{names['synonyms_joined']:,} synonyms and {names['spellings_joined']:,} "
                f"spellings joined",
            )
        )
    if words := species_area(imported):
        facts.append(("Species and area", words))
    if joined := (imported.get("nested") or {}).get("plots_joined"):
        facts.append(("Nested plots", f"{joined:,} smaller plots joined with the largest one"))
    if spread := imported["duration_h"]:
        text = f"{spread['min']:g} to {spread['max']:g} h, known for {spread['known']:,} plots"
        facts.append(("Duration", text))
    return [*facts, *_places(results, imported)]


def _places(results: Results, imported: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """How exact coordinates are, against the size of a pixel."""
    pixel = min(results.pixel_size) if results.has_imagery else None
    against = f"; a pixel is {pixel:,.3g} m wide" if pixel is not None else ""
    if spread := imported["coordinate_uncertainty_m"]:
        yield (
            "Uncertainty of places",
            f"median {spread['median']:,.4g} m, at most {spread['max']:,.4g} m, stated for "
            f"{spread['known']:,} plots{against}",
        )
    steps = {float(step): count for step, count in imported["coordinate_rounding_m"].items()}
    coarse = sum(count for step, count in steps.items() if pixel is None or step > pixel)
    if coarse:
        share = coarse / max(1, imported["plots"])
        than = "" if pixel is None else " to more than a pixel"
        yield (
            "Rounded places",
            f"{coarse:,} plots ({share:.0%}) have coordinates rounded{than}, so their pixels may "
            f"be those of another place{against}",
        )


def _licence_sentences(sources: list[Source]) -> list[str]:
    """Sentences on uses that the licences of imagery forbid, and on those that are not stated."""
    sentences = []
    for source in sources:
        if not source.licence:
            sentences.append(f"{source.title}: the licence is not stated")
        sentences += [f"{source.title}: {use}" for use in restrictions(source.licence)]
    return sentences


def _entries(results: Results) -> list[str]:
    """BibTeX entries of all sources that have a DOI or a citation, and those of an archive."""
    keys: set[str] = set()
    entries = [
        _entry(source, _key(source, keys))
        for source in sources_of(results)
        if source.doi or source.citation
    ]
    bibtex = (results.plots.get("imported") or {}).get("bibtex", "").strip()
    return [*entries, bibtex] if bibtex else entries


def _entry(source: Source, key: str) -> str:
    """One source as @misc, whose note holds the citation as its publisher words it."""
    fields = {
        "title": _text(source.title),
        "doi": source.doi,
        "url": f"https://doi.org/{source.doi}" if source.doi else "",
        "note": _text(
            ". ".join(
                part.rstrip(".")
                for part in (source.citation, f"Licence: {source.licence}" * bool(source.licence))
                if part
            )
        ),
        "keywords": source.role,
    }
    lines = [f"  {name} = {{{text}}}" for name, text in fields.items() if text]
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}"


def _key(source: Source, taken: set[str]) -> str:
    """A key of letters and digits that no other entry has."""
    words = re.findall(r"[A-Za-z0-9]+", source.doi.rpartition("/")[2] or source.title)
    stem = "-".join(words[:4]).lower() or source.role
    key, number = stem, 2
    while key in taken:
        key, number = f"{stem}-{number}", number + 1
    taken.add(key)
    return key


def _text(text: str) -> str:
    """Text for a field of BibTeX: LaTeX's own signs are written as they look, braces left out."""
    plain = " ".join(text.split()).replace("{", "").replace("}", "")
    return "".join(_SPECIAL.get(mark, f"\\{mark}" if mark in "&%$#_" else mark) for mark in plain)
