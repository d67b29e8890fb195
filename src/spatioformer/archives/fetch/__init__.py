"""Whole files from the network into the user's cache: checked, resumed, kept, offline.

    fetch       a file by its address
    fetch_file  the same, as a source of imagery reads its files
    unpack      one member of a zip archive that was fetched

The parts from the ground up: `checksums`, `file_cache` (on disk), `download` (attempts until the
file is complete), `files`, `members`.
"""

from spatioformer.archives.fetch.files import fetch, fetch_file
from spatioformer.archives.fetch.members import unpack

__all__ = ["fetch", "fetch_file", "unpack"]
