"""Title, DOI, licence and citation of a Darwin Core archive, from its metadata.

Source: Ecological Metadata Language (EML 2.1) in the profile of GBIF, https://ipt.gbif.org/manual;
archives that GBIF makes for a download name its DOI (10.15468/dl.*) there.
"""

import re
from pathlib import PurePosixPath
from xml.etree import ElementTree

from spatioformer.common.errors import PlotError
from spatioformer.common.licences import spdx
from spatioformer.geo.plots.archives.darwin_core.metafile import parse_xml
from spatioformer.geo.plots.archives.origins import Origin, find_doi
from spatioformer.geo.plots.archives.store import Store

_DOWNLOAD = re.compile(r"10\.15468/dl\.[a-z0-9]+", re.I)

_LONGEST_TEXT = 5_000_000
"""Bytes of citations.txt and rights.txt in which the DOI is looked for."""

_MOST_DATASETS = 2000
"""Metadata files of data sets that are read; a download of more names them without titles."""


def read_origin(store: Store, name: str | None) -> tuple[Origin, list[str]]:
    """The archive as it describes itself, and notes on a description that cannot be read.

    Args:
        name: the metadata file; None if there is none.
    """
    if name is None:
        return Origin(title=store.path.name), []
    try:
        origin = _origin(parse_xml(store, name), "", store.path.name)
    except PlotError as error:  # the plots themselves do not depend on it
        return Origin(title=store.path.name), [f"the metadata are not used: {error}"]
    if download := _download_doi(store, name):
        title = f"GBIF Occurrence Download {download}"
        citation = f"GBIF.org GBIF Occurrence Download https://doi.org/{download}"
        origin = Origin("", title, download, origin.licence, citation)
    return origin, []


def read_datasets(store: Store, keys: list[str]) -> dict[str, Origin]:
    """The data sets of a GBIF download, from dataset/KEY.xml; those without such a file lack."""
    files = {
        PurePosixPath(name).stem: name
        for name in store.names
        if PurePosixPath(name).parent.name == "dataset" and name.endswith(".xml")
    }
    found = {}
    for key in keys[:_MOST_DATASETS]:
        if key in files:
            try:
                found[key] = _origin(parse_xml(store, files[key]), key, key)
            except PlotError:
                continue  # its key still names it
    return found


def _download_doi(store: Store, metadata: str) -> str:
    """The DOI of a GBIF download that the metadata, citations or rights name; '' for none."""
    for name in (metadata, store.find("citations.txt"), store.find("rights.txt")):
        start = store.start(name, _LONGEST_TEXT).decode("utf-8", "replace") if name else ""
        if match := _DOWNLOAD.search(start):
            return match[0]
    return ""


def _origin(root: ElementTree.Element, key: str, fallback: str) -> Origin:
    dataset = next((e for e in root.iter() if _local(e) == "dataset"), root)
    title = next((_text(e) for e in dataset if _local(e) == "title"), "") or fallback
    citation = next((e for e in root.iter() if _local(e) == "citation"), None)
    doi = ""
    if citation is not None:
        doi = find_doi(citation.get("identifier", "")) or find_doi(_text(citation))
    identifiers = [_text(e) for e in dataset if _local(e) == "alternateIdentifier"]
    for text in (*identifiers, root.get("packageId", "")):
        doi = doi or find_doi(text)
    return Origin(key, title, doi, _licence(dataset), _text(citation))


def _licence(dataset: ElementTree.Element) -> str:
    """SPDX name of the licence: of its address if there is one, else of the text."""
    rights = next((e for e in dataset if _local(e) == "intellectualRights"), None)
    licensed = next((e for e in dataset if _local(e) == "licensed"), None)
    for element in (rights, licensed):
        if element is None:
            continue
        for link in element.iter():
            address = link.get("url", "")
            if "creativecommons.org" in address:
                return spdx(address)
        identifier = next((_text(e) for e in element if _local(e) == "identifier"), "")
        if text := identifier or _text(element):
            return spdx(text)
    return ""


def _text(element: ElementTree.Element | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())


def _local(element: ElementTree.Element) -> str:
    return str(element.tag).rsplit("}", 1)[-1]
