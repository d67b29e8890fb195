"""meta.xml of a Darwin Core archive: which files it has and what their columns mean.

Source: Darwin Core text guide, http://rs.tdwg.org/dwc/terms/guides/text/ (TDWG 2021), with its
defaults for attributes that are absent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.darwin_core.agreement import check_header, with_encoding
from spatioformer.geo.plots.archives.pieces import (
    Piece,
    TextFormat,
    check_format,
    read_pieces,
)
from spatioformer.geo.plots.archives.store import Store
from spatioformer.geo.plots.source import quoted

NAME = "meta.xml"

EVENT, OCCURRENCE, TAXON = "Event", "Occurrence", "Taxon"
HUMBOLDT = "humboldt"
MEASUREMENT = "measurement"

_ROW_TYPES = {
    "http://rs.tdwg.org/dwc/terms/Event": EVENT,
    "http://rs.tdwg.org/dwc/terms/Occurrence": OCCURRENCE,
    "http://rs.tdwg.org/dwc/xsd/simpledarwincore/SimpleDarwinRecord": OCCURRENCE,
    "http://rs.tdwg.org/dwc/terms/Taxon": TAXON,
    "http://rs.tdwg.org/eco/terms/Event": HUMBOLDT,
    "http://rs.tdwg.org/eco/terms/Survey": HUMBOLDT,
    "http://rs.tdwg.org/eco/terms/HumboldtExtension": HUMBOLDT,
    "http://rs.tdwg.org/dwc/terms/MeasurementOrFact": MEASUREMENT,
    "http://rs.iobis.org/obis/terms/ExtendedMeasurementOrFact": MEASUREMENT,
}

_DARWIN_CORE = "//rs.tdwg.org/"

_ESCAPES = {"\\t": "\t", "\\n": "\n", "\\r": "\r", '\\"': '"', "\\'": "'", "\\\\": "\\"}


@dataclass(frozen=True)
class DataFile:
    """A core or extension of an archive, in one file or several.

    Attributes:
        store: the archive.
        names: its files, which are read one after the other.
        kind: EVENT, OCCURRENCE, TAXON, HUMBOLDT, MEASUREMENT, or the row type of others.
        form: how the files are written.
        key: position of the id (core) or coreid (extension); None if there is none.
        terms: name of a term, without its namespace -> position.
        constants: name of a term without a column -> its value in every row.
        fallbacks: name of a term with a column -> its value where the cell is blank.
        notes: sentences on how the files are written, for the report.
    """

    store: Store
    names: tuple[str, ...]
    kind: str
    form: TextFormat
    key: int | None
    terms: dict[str, int]
    constants: dict[str, str]
    fallbacks: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its files, for a message."""
        return " and ".join(self.names[:2]) + (" ..." if len(self.names) > 2 else "")

    def has(self, *terms: str) -> bool:
        """Whether one of the terms has a column or a constant."""
        return any(term in self.terms or term in self.constants for term in terms)

    def pieces(self, terms: Sequence[str]) -> Iterator[tuple[Piece, dict[str, Sequence[str]]]]:
        """Rows in pieces: the piece, and the cells of each term; '' for a term that is absent.

        The term `id` is the id of a core, or the coreid of an extension.
        """
        positions: list[int | str] = []
        for term in terms:
            if term == "id":
                positions.append("" if self.key is None else self.key)
            else:
                positions.append(self.terms.get(term, self.constants.get(term, "")))
        filled = {term: text for term, text in self.fallbacks.items() if term in terms}
        for name in self.names:
            for piece in read_pieces(self.store, name, self.form, positions):
                cells = dict(zip(terms, piece.columns, strict=True))
                for term, text in filled.items():
                    cells[term] = [cell or text for cell in cells[term]]
                yield piece, cells


@dataclass(frozen=True)
class Description:
    """The content of meta.xml.

    Attributes:
        core: the core.
        extensions: the others.
        metadata: name of the metadata file, such as eml.xml; None if there is none.
    """

    core: DataFile
    extensions: tuple[DataFile, ...]
    metadata: str | None


def read_description(store: Store, name: str) -> Description:
    """Read meta.xml.

    Raises:
        PlotError: it is no XML, defines entities, or describes no file that can be read.
    """
    root = parse_xml(store, name)
    where = f"{name} of {store.path.name}"
    if _local(root.tag) != "archive":
        raise PlotError(
            f"{where} begins with <{_local(root.tag)}>, not <archive>, so it describes no Darwin "
            f"Core archive; fetch the archive again"
        )
    cores = [child for child in root if _local(child.tag) == "core"]
    if len(cores) != 1:
        raise PlotError(f"{where} has {len(cores)} cores where an archive has one; correct it")
    extensions = [child for child in root if _local(child.tag) == "extension"]
    metadata = root.get("metadata")
    found = store.find(metadata) if metadata else None
    return Description(
        _data_file(store, name, cores[0]),
        tuple(_data_file(store, name, child) for child in extensions),
        found,
    )


def parse_xml(store: Store, name: str) -> ElementTree.Element:
    """The root of an XML file that has no document type, so no entities of its own.

    Raises:
        PlotError: it is no XML, or has a document type.
    """
    content = store.read(name)
    where = f"{name} of {store.path.name}"
    plain = content.replace(b"\0", b"")
    if b"<!DOCTYPE" in plain.upper() or b"<!ENTITY" in plain.upper():
        raise PlotError(
            f"{where} defines a document type or entities, which no archive needs; remove the "
            f"<!DOCTYPE ...> from it"
        )
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise PlotError(f"{where} is no valid XML ({error}); fetch the archive again") from error


def _data_file(store: Store, name: str, element: ElementTree.Element) -> DataFile:
    where = f"{name} of {store.path.name}"
    tag = _local(element.tag)
    locations = [
        (child.text or "").strip() for child in element.iter() if _local(child.tag) == "location"
    ]
    if not any(locations):
        raise PlotError(f"the {tag} in {where} names no file; add <files><location>")
    files = tuple(store.beside(name, location) for location in locations if location)
    row_type = element.get("rowType", "").strip().rstrip("/").replace("https://", "http://")
    kind = _ROW_TYPES.get(row_type, row_type.rsplit("/", 1)[-1])
    form = TextFormat(
        _unescaped(element.get("fieldsTerminatedBy", ",")),
        _unescaped(element.get("fieldsEnclosedBy", '"')),
        element.get("encoding", "UTF-8"),
        _index(element.get("ignoreHeaderLines", "0"), "ignoreHeaderLines", where),
    )
    check_format(form, f"the {tag} {', '.join(files[:2])} in {where}")
    form, notes = with_encoding(store, files[0], form)
    key: int | None = None
    terms: dict[str, int] = {}
    constants: dict[str, str] = {}
    fallbacks: dict[str, str] = {}
    for child in element:
        if _local(child.tag) in ("id", "coreid"):
            key = _index(child.get("index", ""), "index", where)
    for term, child in _fields(element, where).items():
        if (index := child.get("index")) is not None:
            terms[term] = _index(index, "index", where)
            if child.get("default"):
                fallbacks[term] = child.get("default", "")
        else:
            constants[term] = child.get("default", "")
    for file in files:
        check_header(store, file, form, terms, where)
    return DataFile(store, files, kind, form, key, terms, constants, fallbacks, tuple(notes))


def _fields(element: ElementTree.Element, where: str) -> dict[str, ElementTree.Element]:
    """The fields of a file by the names of their terms, without the namespace.

    Vocabularies share some names, such as license. A term of Darwin Core goes before others.

    Raises:
        PlotError: a term is described twice.
    """
    whole: dict[str, ElementTree.Element] = {}
    for child in element:
        if _local(child.tag) == "field":
            term = child.get("term", "")
            if term in whole:
                name = term.rstrip("/").rsplit("/", 1)[-1]
                raise PlotError(
                    f"{where} describes the term {quoted(name)} twice; remove one of them"
                )
            whole[term] = child
    found: dict[str, ElementTree.Element] = {}
    for term in sorted(whole, key=lambda term: _DARWIN_CORE in term):  # the last one counts
        found[term.rstrip("/").rsplit("/", 1)[-1].rsplit("#", 1)[-1]] = whole[term]
    return found


def _index(text: str, what: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 10_000):
        raise PlotError(f"{what} {quoted(text)} in {where} is no position from 0; correct it")
    return int(text)


def _unescaped(text: str) -> str:
    """The characters that an attribute such as `\\t` stands for."""
    return _ESCAPES.get(text, text)


def _local(tag: object) -> str:
    """The name of an element without its namespace."""
    return str(tag).rsplit("}", 1)[-1]
