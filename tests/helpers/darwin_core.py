"""Darwin Core archives to the text guide, small or large, whole or broken."""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

DWC = "http://rs.tdwg.org/dwc/terms/"
ECO = "http://rs.tdwg.org/eco/terms/"
ROW_TYPES = {
    "event": f"{DWC}Event",
    "occurrence": f"{DWC}Occurrence",
    "taxon": f"{DWC}Taxon",
    "humboldt": f"{ECO}Event",
    "measurement": f"{DWC}MeasurementOrFact",
}


@dataclass
class File:
    """A core or an extension: its kind, columns and rows.

    Attributes:
        kind: key of ROW_TYPES.
        columns: terms; `id` is the id or coreid, '' a column without a term.
        rows: cells.
        constants: term -> value in every row.
        defaults: term with a column -> value where the cell is blank.
        parts: number of files it is written to.
    """

    kind: str
    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]
    constants: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    separator: str = "\t"
    quote: str = ""
    encoding: str = "UTF-8"
    header: bool = True
    parts: int = 1
    line_end: str = "\n"

    def names(self) -> list[str]:
        return [f"{self.kind}{i or ''}.txt" for i in range(self.parts)]

    def texts(self) -> list[str]:
        rows = [list(map(str, row)) for row in self.rows]
        size = -(-len(rows) // self.parts)
        texts = []
        for part in range(self.parts):
            own = rows[part * size : (part + 1) * size]
            lines = [[c or "extra" for c in self.columns]] if self.header else []
            texts.append("".join(self._line(row) for row in (*lines, *own)))
        return texts

    def _line(self, row: Sequence[str]) -> str:
        q = self.quote
        cells = [f"{q}{cell.replace(q, q + q)}{q}" for cell in row] if q else row
        return self.separator.join(cells) + self.line_end

    def xml(self, tag: str) -> str:
        marks = {"\t": "\\t", "\n": "\\n", "\r\n": "\\r\\n"}
        key = "id" if tag == "core" else "coreid"
        fields = "".join(
            f"<field index='{i}' term='{_term(c)}'"
            + (f" default={quoteattr(self.defaults[c])}" if c in self.defaults else "")
            + "/>"
            for i, c in enumerate(self.columns)
            if c not in ("id", "")
        )
        fields += "".join(
            f"<field term='{_term(c)}' default={quoteattr(v)}/>" for c, v in self.constants.items()
        )
        own = f"<{key} index='{list(self.columns).index('id')}'/>" if "id" in self.columns else ""
        located = "".join(f"<location>{name}</location>" for name in self.names())
        return (
            f"<{tag} rowType='{ROW_TYPES[self.kind]}' encoding='{self.encoding}' "
            f"fieldsTerminatedBy='{marks.get(self.separator, self.separator)}' "
            f"linesTerminatedBy='{marks[self.line_end]}' "
            f"fieldsEnclosedBy={quoteattr(self.quote)} "
            f"ignoreHeaderLines='{int(self.header)}'><files>{located}</files>{own}{fields}</{tag}>"
        )


HUMBOLDT = (
    *("isTaxonomicScopeFullyReported", "taxonCompletenessReported", "targetTaxonomicScope"),
    *("totalAreaSampledValue", "totalAreaSampledUnit", "eventDurationValue", "eventDurationUnit"),
)


def _term(name: str) -> str:
    return (ECO if name in HUMBOLDT else DWC) + name


def meta(core: File, *extensions: File, metadata: str | None = "eml.xml") -> str:
    attribute = f" metadata='{metadata}'" if metadata else ""
    inner = core.xml("core") + "".join(e.xml("extension") for e in extensions)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<archive xmlns="http://rs.tdwg.org/dwc/text/"'
        f"{attribute}>{inner}</archive>"
    )


EML = """<?xml version="1.0" encoding="utf-8"?>
<eml:eml xmlns:eml="https://eml.ecoinformatics.org/eml-2.2.0" packageId="{package}">
  <dataset>
    <alternateIdentifier>https://doi.org/10.15468/grass1</alternateIdentifier>
    <title xml:lang="eng">Grasslands of Somewhere</title>
    <intellectualRights><para>This work is licensed under a
      <ulink url="http://creativecommons.org/licenses/by-nc/4.0/legalcode"><citetitle>CC BY-NC
      4.0</citetitle></ulink>.</para></intellectualRights>
  </dataset>
  <additionalMetadata><metadata><gbif>
    <citation identifier="https://doi.org/10.15468/grass1">Doe J (2020). Grasslands of
      Somewhere.</citation>
  </gbif></metadata></additionalMetadata>
</eml:eml>
"""


def archive(path: Path, core: File, *extensions: File, **more: str) -> Path:
    """Write an archive; `more` are further files by name, with `__` for `.`; meta__xml replaces."""
    files = {"meta.xml": meta(core, *extensions), "eml.xml": EML.format(package="p")}
    for part in (core, *extensions):
        for name, text in zip(part.names(), part.texts(), strict=True):
            files[name] = text
    encodings = {n: part.encoding for part in (core, *extensions) for n in part.names()}
    files |= {name.replace("__", "."): text for name, text in more.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        for name, text in files.items():
            written.writestr(name, text.encode(encodings.get(name, "UTF-8")))
    return path


EVENT_COLUMNS = (
    *("id", "eventID", "parentEventID", "eventDate", "decimalLatitude", "decimalLongitude"),
    *("sampleSizeValue", "sampleSizeUnit", "samplingProtocol", "coordinateUncertaintyInMeters"),
)
OCCURRENCE_COLUMNS = ("id", "occurrenceID", "scientificName", "taxonRank", "occurrenceStatus")


def events(*rows: Sequence[Any], **changes: Any) -> File:
    """An event core; each row: id, parent, date, lat, lon, size, unit, protocol, uncertainty."""
    return File("event", EVENT_COLUMNS, [[r[0], *r] for r in rows], **changes)


def lists(species: Mapping[str, Sequence[str]], **changes: Any) -> File:
    """An occurrence extension: event -> names; `-Name` is stated to be absent."""
    rows = []
    for event, names in species.items():
        for name in names:
            state = "absent" if name.startswith("-") else "present"
            rows.append([event, f"o{len(rows)}", name.removeprefix("-"), "", state])
    return File("occurrence", OCCURRENCE_COLUMNS, rows, **changes)


_GBIF = """
    gbifID datasetKey occurrenceID kingdom phylum class order family genus species
    infraspecificEpithet taxonRank scientificName verbatimScientificName
    verbatimScientificNameAuthorship countryCode locality stateProvince occurrenceStatus
    individualCount publishingOrgKey decimalLatitude decimalLongitude
    coordinateUncertaintyInMeters coordinatePrecision elevation elevationAccuracy depth
    depthAccuracy eventDate day month year taxonKey speciesKey basisOfRecord institutionCode
    collectionCode catalogNumber recordNumber identifiedBy dateIdentified license
    rightsHolder recordedBy typeStatus establishmentMeans lastInterpreted mediaType issue
"""
GBIF_COLUMNS = tuple(_GBIF.split())
"""Columns of GBIF's simple CSV, in their order."""


def gbif_simple(path: Path, rows: Iterable[Mapping[str, Any]], name: str = "0001-1.csv") -> Path:
    """A zip archive with GBIF's simple CSV: tabs, no quotation marks."""
    lines = ["\t".join(GBIF_COLUMNS)]
    lines += ["\t".join(str(row.get(c, "")) for c in GBIF_COLUMNS) for row in rows]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr(name, "\n".join(lines) + "\n")
    return path
