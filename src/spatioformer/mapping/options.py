"""What a map run may be told: what to write, and what it may use."""

import re
from dataclasses import dataclass
from os import cpu_count

from spatioformer.common.errors import OutputError

LAYERS = ("mean", "sd", "lower", "upper", "di", "inside", "valid")
INTERVAL = ("lower", "upper", "di", "inside")
"""Layers that need the intervals and the area of applicability that a run measures."""
COMPRESSIONS = ("deflate", "zstd")
DTYPES = ("float32", "uint16")
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True)
class Output:
    """What the map's files hold and how.

    Args:
        layers: of LAYERS, in the order of the bands; None takes all that the model can give.
        dtype: "float32", NaN for nodata; or "uint16", hundredths with 65535 for nodata.
        compress: "deflate", which everything reads, or "zstd", smaller and faster.
        separate: a file a layer, NAME_LAYER.tif, instead of a band a layer.
        year: the imagery's year, for the tags and the catalogue.
        stac: also write a STAC item and its collection beside the map.
        zarr: also write the layers as NAME.zarr; needs the extra `zarr`.

    Raises:
        OutputError: a name is unknown, or a catalogue is wanted without a year.
    """

    layers: tuple[str, ...] | None = None
    dtype: str = "float32"
    compress: str = "deflate"
    separate: bool = False
    year: int | None = None
    stac: bool = False
    zarr: bool = False

    def __post_init__(self):
        for name in self.layers or ():
            _known("layer", name, LAYERS)
        if self.layers is not None and len(set(self.layers)) < len(self.layers):
            raise OutputError(f"the layers {', '.join(self.layers)} repeat; name each once")
        _known("dtype", self.dtype, DTYPES)
        _known("compression", self.compress, COMPRESSIONS)
        if self.stac and self.year is None:
            raise OutputError("a STAC item needs a date; give the imagery's year with --year")


def _known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OutputError(f"there is no {what} {value!r}; choose from {', '.join(known)}")


@dataclass(frozen=True)
class Resources:
    """What a run may use; none of it changes a result.

    Args:
        memory: bytes of resident memory a process keeps below, whatever the raster's size.
        workers: tiles computed at once; None means one a core.
        scheduler: address of a dask.distributed scheduler; None computes here.
        shard: (i, n), 1 <= i <= n: this run computes the i-th part of n and assembles nothing.
    """

    memory: int = 2 * 10**9
    workers: int | None = None
    scheduler: str | None = None
    shard: tuple[int, int] | None = None

    @property
    def threads(self) -> int:
        """Tiles that one process computes at once; of a cluster's, one unless told."""
        if self.scheduler is not None:
            return self.workers or 1
        return self.workers or cpu_count() or 1


def parse_memory(text: str) -> int:
    """Bytes of "2GB", "512MiB" or "800000000".

    Raises:
        OutputError: it is no amount of memory.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", text.lower())
    if not match or match[2] not in _UNITS or not float(match[1]):
        raise OutputError(f"--memory {text!r} is no amount of memory; give one such as 2GB")
    return int(float(match[1]) * _UNITS[match[2]])


def parse_shard(text: str) -> tuple[int, int]:
    """(i, n) of "i/n".

    Raises:
        OutputError: it is no such pair, or i is not among 1..n.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise OutputError(f"--shards {text!r} is no part of a run; give one such as 1/4")
    return int(match[1]), int(match[2])
