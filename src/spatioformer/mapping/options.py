"""Options of a map run: output format and computing resources."""

import re
from dataclasses import dataclass
from os import cpu_count

from spatioformer.common.errors import OutputError

LAYERS = ("mean", "sd", "lower", "upper", "di", "inside", "valid")
INTERVAL = ("lower", "upper", "di", "inside")
"""Layers that need a model with calibrated intervals and an area of applicability."""
COMPRESSIONS = ("deflate", "zstd")
DTYPES = ("float32", "uint16")
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True)
class Output:
    """Content and format of the map's files.

    Args:
        layers: names from LAYERS, in the order of the bands; None: all that the model can produce.
        dtype: "float32" with NaN as nodata, or "uint16" with hundredths and 65535 as nodata.
        compress: "deflate", which all readers support, or "zstd", which is smaller and faster.
        separate: write one file a layer, NAME_LAYER.tif, instead of one file with a band a layer.
        year: year of the imagery, for the tags and the STAC item.
        stac: also write a STAC item and its collection beside the map.
        zarr: also write the layers as NAME.zarr; needs the extra `zarr`.

    Raises:
        OutputError: a name is unknown or repeated, or `stac` is set without `year`.
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
            _check_choice("layer", name, LAYERS)
        if self.layers is not None and len(set(self.layers)) < len(self.layers):
            raise OutputError(f"the layers {', '.join(self.layers)} repeat; name each once")
        _check_choice("dtype", self.dtype, DTYPES)
        _check_choice("compression", self.compress, COMPRESSIONS)
        if self.stac and self.year is None:
            raise OutputError("a STAC item needs a date; give the imagery's year with --year")


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise unless `value` is one of `choices`."""
    if value not in choices:
        raise OutputError(f"{what} {value!r} is unknown; choose from {', '.join(choices)}")


@dataclass(frozen=True)
class Resources:
    """Computing resources of a run; they do not change the results.

    Args:
        memory: limit of a process's resident memory, bytes, whatever the raster's size.
        workers: number of tiles computed at once; None: one a core.
        scheduler: address of a dask.distributed scheduler; None computes on this machine.
        shard: (i, n), 1 <= i <= n: this run computes the i-th part of n and assembles nothing.
        worker_timeout: seconds that the run waits while the scheduler has no worker.
    """

    memory: int = 2 * 10**9
    workers: int | None = None
    scheduler: str | None = None
    shard: tuple[int, int] | None = None
    worker_timeout: float = 120.0

    @property
    def threads(self) -> int:
        """Tiles that one process computes at once; with a scheduler, 1 unless `workers` is set."""
        if self.scheduler is not None:
            return self.workers or 1
        return self.workers or cpu_count() or 1


def parse_memory(text: str) -> int:
    """Convert text such as "2GB", "512MiB" or "800000000" to bytes.

    Raises:
        OutputError: the text is not an amount of memory above 0.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", text.lower())
    if not match or match[2] not in _UNITS or not float(match[1]):
        raise OutputError(f"--memory {text!r} is not an amount of memory; give one such as 2GB")
    return int(float(match[1]) * _UNITS[match[2]])


def parse_shard(text: str) -> tuple[int, int]:
    """Convert text "i/n" to (i, n).

    Raises:
        OutputError: the text is not such a pair, or i is not among 1..n.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise OutputError(f"--shards {text!r} is not a part of a run; give one such as 1/4")
    return int(match[1]), int(match[2])
