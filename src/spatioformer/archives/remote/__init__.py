"""Reading of remote files: robust, signed, cached, from permitted hosts only.

    Access        what a source may read, and where it keeps it
    open_remote   a GeoTIFF as a dataset of rasterio; `prefetch` fetches the blocks of windows
    read_remote   a task on such a dataset, anew if the file changes meanwhile
    RemoteFile    any file as a Python file object
    read_bytes    a document of a catalogue
    counters      what was read over the network

The files from the ground up: `addresses`, `retries`, `transport` (one attempt), `signing`,
`fetching` (attempts until it succeeds), `block_cache` (on disk), `source` (what this process knows
of a file), `file`, `datasets`, `documents`.
"""

from spatioformer.archives.remote.access import (
    Access,
    FileChanged,
    NotCached,
    NotFound,
    RemoteError,
    Unreachable,
    default_cache,
)
from spatioformer.archives.remote.counters import Counters, counters, reset_counters
from spatioformer.archives.remote.datasets import block_spans, open_remote, prefetch, read_remote
from spatioformer.archives.remote.documents import read_bytes
from spatioformer.archives.remote.file import RemoteFile

__all__ = [
    "Access",
    "Counters",
    "FileChanged",
    "NotCached",
    "NotFound",
    "RemoteError",
    "RemoteFile",
    "Unreachable",
    "block_spans",
    "counters",
    "default_cache",
    "open_remote",
    "prefetch",
    "read_bytes",
    "read_remote",
    "reset_counters",
]
