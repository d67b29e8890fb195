"""What lazy imagery is read through: warnings, some of its bands, and blocks for Dask."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.stack import SourceStack
from spatioformer.common.cluster import NO_DASK
from spatioformer.common.errors import ImageryError, OutputError
from spatioformer.common.progress import Advance, Console
from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.grid import Grid
from spatioformer.geo.yearly import YearlyImagery
from spatioformer.run.sources import year_stack

if TYPE_CHECKING:
    import dask.array


class ArchiveRemark(UserWarning):
    """Warns of what happened while archives were read: items left out, years without any."""


class Warnings(Console):
    """A console whose lines become warnings."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.log = self._warn

    def _warn(self, message: str) -> None:
        warnings.warn(message.strip(), ArchiveRemark, stacklevel=3)

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        yield lambda steps, note="": None


@dataclass(frozen=True)
class SomeBands:
    """Some bands of yearly imagery, in an order of their own."""

    imagery: YearlyImagery
    bands: list[str]
    numbers: list[int]

    @classmethod
    def of(cls, imagery: YearlyImagery, bands: Sequence[str]) -> "SomeBands":
        available = imagery.bands
        if missing := [band for band in bands if band not in available]:
            raise ImageryError(
                f"the imagery lacks {len(missing)} of the {len(bands)} bands the model needs, "
                f"among them {missing[0]!r}; read the same collections with the same names and "
                "bands"
            )
        return cls(imagery, list(bands), [available.index(band) for band in bands])

    @property
    def grid(self) -> Grid:
        return self.imagery.grid

    def windows(self, windows: Sequence[Window], year: int) -> Iterator[tuple[int, np.ndarray]]:
        for number, values in self.imagery.windows(windows, year):
            yield number, values[self.numbers]


def blocks(
    section: ImagerySection,
    stack: SourceStack,
    bands: Sequence[str],
    years: Sequence[int],
    chunk: int,
) -> "dask.array.Array":
    """A Dask array (year, band, y, x) of windows that are read when they are computed."""
    try:
        import dask
        import dask.array as da
    except ImportError as error:
        raise OutputError(NO_DASK.replace("--scheduler", "to_xarray")) from error
    packed = dask.delayed(stack, pure=True, traverse=False)
    read = dask.delayed(_read_block, pure=True)
    height, width = stack.grid.shape
    rows, cols = range(0, height, chunk), range(0, width, chunk)
    pieces = []
    for year in years:
        lines = []
        for row in rows:
            line = []
            for col in cols:
                box = (col, row, min(chunk, width - col), min(chunk, height - row))
                values = read(section, packed, year, box)
                shape = (1, len(bands), box[3], box[2])
                line.append(da.from_delayed(values, shape, np.float32))  # type: ignore[no-untyped-call]
            lines.append(line)
        pieces.append([lines])
    joined: dask.array.Array = da.block(pieces)  # type: ignore[no-untyped-call]
    return joined


def _read_block(
    section: ImagerySection, stack: SourceStack, year: int, box: tuple[int, int, int, int]
) -> np.ndarray:
    """Values (1, band, y, x) of a window; runs on a worker of Dask.

    Raises:
        ImageryError: an item cannot be read. Other blocks may hold it already, so it is not left
            out of this one, whatever `on_error` says.
    """
    values = None
    with year_stack(section, stack) as imagery:
        for _, block in imagery.windows([Window(*box)], year):
            values = block
    for failed in imagery.left_out.values():
        name, reason = next(iter(failed.items()))
        raise ImageryError(
            f"{name} cannot be left out of one block of an array: {reason}; `write` leaves it out "
            "of the whole year"
        )
    assert values is not None  # one window was asked for
    return values[None]
