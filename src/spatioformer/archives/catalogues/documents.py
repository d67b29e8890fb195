"""JSON documents of catalogues: over the network by `remote`, or from files."""

import json
from typing import Any

from spatioformer.archives.remote import read_bytes
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ImageryError
from spatioformer.config.messages import escaped

LARGEST = 64 * 2**20
"""Bytes of the largest document of a catalogue."""


def read_text(href: str, access: Access, body: bytes | None = None) -> str:
    """Read a document, with POST where there is a body.

    Raises:
        ImageryError: it cannot be read; one sentence.
    """
    try:
        return read_bytes(href, access, limit=LARGEST, body=body).decode()
    except OSError as error:
        raise ImageryError(
            f"{access.owner}: {escaped(href)} cannot be read ({error.strerror}); check `endpoint`"
        ) from error
    except UnicodeDecodeError:
        raise ImageryError(
            f"{access.owner}: {escaped(href)} is not text; a catalogue consists of JSON documents"
        ) from None


def read_json(href: str, access: Access, body: bytes | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ImageryError: it cannot be read, or is none.
    """
    return parse(read_text(href, access, body), href, access)


def parse(text: str, href: str, access: Access) -> dict[str, Any]:
    """The JSON object of a text that came from `href`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ImageryError(
            f"{access.owner}: {escaped(href)} is not a JSON object; check `endpoint` and `kind`: "
            "the start page of a website is no catalogue"
        )
    return value
