"""Archives of plots on the network: a link, a GBIF download by its key or its DOI.

What GBIF states of a download comes from its public interface (https://techdocs.gbif.org/en/
data-use/api-downloads, https://techdocs.gbif.org/en/openapi/v1/occurrence): `/occurrence/download/
KEY`, or a DOI instead of the key, has status, DOI, licence and day; the file is at
`/occurrence/download/request/KEY.zip`. Anyone may read both, without an account.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from spatioformer.archives.fetch import fetch
from spatioformer.archives.remote import NotFound, RemoteError
from spatioformer.archives.remote.addresses import is_permitted, is_remote, without_signature
from spatioformer.common.errors import PlotError
from spatioformer.common.licences import spdx
from spatioformer.common.progress import SILENT, Console
from spatioformer.geo.plots.archives.origins import find_doi

GBIF = "https://api.gbif.org/v1"
"""GBIF's interface."""
GBIF_HOSTS = ("*.gbif.org",)
"""Hosts to which it may redirect."""

OWNER = "plots"
_LARGEST_ANSWER = 10_000_000  # bytes; it lists the queried taxa
_KEY = re.compile(r"\d{5,9}-\d{6,20}")
_DOI = re.compile(r"10\.15468/dl\.[a-z0-9]+", re.I)
_PAGE = re.compile(r".*/occurrence/download/(?:request/)?([\d-]+)(?:\.zip)?/?")
_SUFFIXES = (".zip", ".csv", ".tsv", ".txt", ".gz", ".xlsx", ".parquet", ".gpkg")


@dataclass(frozen=True)
class PlotArchive:
    """An archive on this computer.

    Attributes:
        path: where it lies; in the cache if it was fetched.
        address: from where it was fetched; "" if it was not.
        doi, licence, citation: what its publisher states beside the archive; None if nothing.
    """

    path: Path
    address: str = ""
    doi: str | None = None
    licence: str | None = None
    citation: str | None = None


def plot_archive(
    source: str | Path,
    *,
    offline: bool = False,
    checksum: str | None = None,
    hosts: tuple[str, ...] = (),
    console: Console = SILENT,
) -> PlotArchive:
    """The archive of a source, which is fetched into the user's cache if it is on the network.

    Args:
        source: a path; an address (https://...); "gbif:KEY" or the address of the page of a GBIF
            download; its DOI (10.15468/dl.abc123), also as https://doi.org/....
        offline, checksum, hosts, console: as `fetch.fetch`.

    Raises:
        RemoteError, OutputError, ArgumentError: as `fetch.fetch`.
        PlotError: a DOI that is not one of a GBIF download, or a download that has no file.
    """
    text = str(source)
    path = Path(source)
    download = None if path.exists() else _download_of(text)
    if download is not None:
        return _of_gbif(download, offline, checksum, console)
    if not is_remote(text):
        if checksum is not None:
            fetch(text, checksum=checksum, owner=OWNER)
        return PlotArchive(path)
    fetched = fetch(
        text,
        checksum=checksum,
        name=_name_of(text),
        offline=offline,
        console=console,
        hosts=hosts,
        owner=OWNER,
    )
    return PlotArchive(fetched, address=without_signature(text))


def _download_of(source: str) -> str | None:
    """Key or DOI of the GBIF download that a source names; None for another source.

    Raises:
        PlotError: the source names a DOI or a key that is none of a GBIF download.
    """
    plain = source.strip()
    if page := _PAGE.fullmatch(urlsplit(plain).path) if _is_gbif(plain) else None:
        plain = f"gbif:{page[1]}"
    named = plain.lower().startswith("gbif:")
    identifier = plain.removeprefix(plain[:5]) if named else plain
    doi = find_doi(identifier)
    is_doi = bool(doi) and re.fullmatch(
        r"(?:doi:\s*|https?://(?:dx\.)?doi\.org/)?" + re.escape(doi), identifier, re.I
    )
    if is_doi and _DOI.fullmatch(doi):
        return doi
    if named and _KEY.fullmatch(identifier):
        return identifier
    if named or is_doi:
        raise PlotError(
            f"{source} is no download of GBIF; give its key, such as gbif:0012345-240101000000000, "
            "its DOI, such as 10.15468/dl.abc123, or the link of a file"
        )
    return None


def _is_gbif(address: str) -> bool:
    """Whether an address is one of GBIF's pages or of its interface."""
    return is_remote(address) and is_permitted(address, ("gbif.org", *GBIF_HOSTS))


def _of_gbif(download: str, offline: bool, checksum: str | None, console: Console) -> PlotArchive:
    stated = _stated(download, offline)
    key, status = str(stated.get("key", "")), str(stated.get("status") or "")
    if not _KEY.fullmatch(key):
        raise PlotError(f"GBIF's answer on the download {download} names no key; run again later")
    if status != "SUCCEEDED":
        raise PlotError(
            f"the GBIF download {download} has no file: its state is {status or 'not stated'}; "
            f"{_REMEDIES.get(status, 'request it anew on gbif.org')}"
        )
    address = f"{GBIF}/occurrence/download/request/{key}.zip"
    path = fetch(
        address,
        checksum=checksum,
        name=f"{key}.zip",
        offline=offline,
        console=console,
        hosts=GBIF_HOSTS,
        owner=OWNER,
    )
    doi = find_doi(str(stated.get("doi", "")))
    return PlotArchive(
        path,
        address=address,
        doi=doi or None,
        licence=spdx(str(stated.get("license") or "")) or None,
        citation=_citation(doi, str(stated.get("created", ""))) if doi else None,
    )


_REMEDIES = {
    "PREPARING": "wait until GBIF has made it",
    "RUNNING": "wait until GBIF has made it",
    "SUSPENDED": "wait until GBIF has made it",
    "FILE_ERASED": "GBIF has removed the file; request it anew on gbif.org",
}


def _stated(download: str, offline: bool) -> dict[str, Any]:
    """What GBIF states of a download."""
    try:
        path = fetch(
            f"{GBIF}/occurrence/download/{download}",
            name="download.json",
            offline=offline,
            hosts=GBIF_HOSTS,
            owner=OWNER,
        )
    except NotFound:
        raise PlotError(f"GBIF knows no download {download}; check the key or the DOI") from None
    try:
        stated = json.loads(path.read_bytes()[:_LARGEST_ANSWER])
    except ValueError:
        stated = None
    if not isinstance(stated, dict):
        raise RemoteError(
            f"{OWNER}: GBIF's answer on the download {download} cannot be read; run again later",
            str(path),
        )
    return stated


def _citation(doi: str, created: str) -> str:
    """The citation that GBIF recommends, with the day of the download."""
    try:
        day = f" ({datetime.fromisoformat(created):%d %B %Y})".replace("(0", "(")
    except ValueError:
        day = ""
    return f"GBIF.org{day} GBIF Occurrence Download https://doi.org/{doi}"


def _name_of(address: str) -> str | None:
    """Name of a fetched file: links that do not end in the name of a file hold a zip archive."""
    last = PurePosixPath(unquote(urlsplit(address).path)).name
    if PurePosixPath(last).suffix.lower() in _SUFFIXES:
        return None
    return re.sub(r"[^\w+=@-]+", "_", last)[-90:].strip("_") + ".zip" if last else "archive.zip"
