"""Cut chips of imagery around plots, from a stack or any other source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.common.progress import SILENT, Console
from spatioformer.geo.chips import Facts, check_patch, write_store
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.stack import Stack

TILE = 512

COMPARABLE = 5
"""Smallest number of plots with which the table and the imagery are compared."""

NEARLY = 0.3
"""Median difference of table and imagery, in standard deviations, above which a note says so."""


def cut_chips(
    stack_path: Path,
    plots: pd.DataFrame,
    patch: int,
    folder: Path,
    *,
    bands: Sequence[str] | None = None,
    measured: np.ndarray | None = None,
    facts: Facts = None,
    console: Console = SILENT,
) -> pd.DataFrame:
    """Cut the P x P chip around each plot and write a chip store.

    Args:
        stack_path: imagery stack.
        plots: table with columns lon and lat (degrees), and any others.
        patch: P, pixels, odd.
        folder: folder of the store.
        bands: names of the bands to read; None: all.
        measured: values (n, band) that replace those of the imagery at the plots, NaN for none;
            only with P = 1. A plot with values of all bands needs no imagery.
        facts: what else the store says of itself, see `ChipStore`.

    Returns:
        The plots without a chip, with a column `reason`.

    Raises:
        ImageryError: no plot lies in the imagery, or none has a complete chip.
        ModelError: P is even.
        OutputError: the store cannot be written.
    """
    with Stack(stack_path, bands) as stack:
        return cut_from(
            _Tiles(stack), plots, patch, folder, measured=measured, facts=facts, console=console
        )


@dataclass(frozen=True)
class Piece:
    """A part of the imagery with the chips of some plots.

    Attributes:
        members: numbers of the plots, int (m,).
        top, left: row and column of the grid where the piece without its margin begins; the margin
            is half a chip.
        data: float32 (band, y, x) with the margin, 0 where not valid.
        valid: bool (y, x), whether every band has a value.
    """

    members: np.ndarray
    top: int
    left: int
    data: np.ndarray
    valid: np.ndarray


class ChipSource(Protocol):
    """Imagery from which chips are cut."""

    @property
    def grid(self) -> Grid: ...

    @property
    def bands(self) -> list[str]: ...

    def pieces(
        self, members: np.ndarray, rows: np.ndarray, cols: np.ndarray, half: int
    ) -> Iterator[Piece]:
        """Yield the pieces that hold the chips of all members; the last one of a plot counts.

        Args:
            members: numbers of the plots, int (m,).
            rows, cols: pixel of every plot, int (n,).
            half: pixels of a chip on each side of its centre.
        """


@dataclass(frozen=True)
class _Tiles:
    """A stack that is read in tiles."""

    stack: Stack

    @property
    def grid(self) -> Grid:
        return self.stack.grid

    @property
    def bands(self) -> list[str]:
        return self.stack.bands

    def pieces(
        self, members: np.ndarray, rows: np.ndarray, cols: np.ndarray, half: int
    ) -> Iterator[Piece]:
        tiles = pd.Series(members).groupby([rows[members] // TILE, cols[members] // TILE])
        for _, several in tiles:
            first = several.iloc[0]
            top, left = (int(line[first]) // TILE * TILE for line in (rows, cols))
            data, valid, _ = self.stack.read(Window(left, top, TILE, TILE), halo=half)
            yield Piece(several.to_numpy(), top, left, data, valid)


def cut_from(
    source: ChipSource,
    plots: pd.DataFrame,
    patch: int,
    folder: Path,
    *,
    refused: np.ndarray | None = None,
    measured: np.ndarray | None = None,
    facts: Facts = None,
    console: Console = SILENT,
) -> pd.DataFrame:
    """Cut chips as `cut_chips`, from any source.

    Args:
        refused: reason for which a plot gets no chip, (n,), '' for none.
        others: as `cut_chips`.

    Returns, Raises:
        As `cut_chips`.
    """
    half, grid, bands = check_patch(patch) // 2, source.grid, source.bands
    lon, lat = plots["lon"].to_numpy(float), plots["lat"].to_numpy(float)
    rows, cols = grid.pixel(lon, lat)
    inside = grid.holds(rows, cols)
    inner = np.full(len(plots), "") if refused is None else refused
    reason = np.where(inside, inner, _outside(grid, lon, lat)).astype(object)
    chips = np.zeros((len(plots), patch, patch, len(bands)), np.float32)
    members = np.flatnonzero(reason == "")
    with console.task("chips", len(members)) as advance:
        for piece in source.pieces(members, rows, cols, half):
            for i in piece.members:
                r, c = rows[i] - piece.top, cols[i] - piece.left
                window = (slice(r, r + patch), slice(c, c + patch))
                missing = int((~piece.valid[window]).sum())
                chips[i] = np.moveaxis(piece.data[:, *window], 0, -1)
                reason[i] = (
                    f"{missing} of the chip's {patch**2} pixels hold no data" if missing else ""
                )
            advance(len(piece.members))
    if measured is not None:
        assert patch == 1, "a measured value is that of one pixel"
        _check_agreement(bands, measured, chips[:, 0, 0], reason == "", console)
        chips[:, 0, 0] = np.where(np.isfinite(measured), measured, chips[:, 0, 0])
        reason[np.isfinite(measured).all(axis=1)] = ""
    kept = reason == ""
    _require_chips(grid, plots, patch, reason, inside)
    steps = np.arange(-half, half + 1)
    chip_lon, chip_lat = grid.lonlat(
        rows[kept, None, None] + steps[:, None], cols[kept, None, None] + steps
    )
    outside = ~inside[kept]  # with values of their own: at their own places
    chip_lon[outside], chip_lat[outside] = (
        place[kept][outside, None, None] for place in (lon, lat)
    )
    table = plots[kept].assign(row=rows[kept], col=cols[kept])
    write_store(folder, chips[kept], chip_lon, chip_lat, table, bands, facts)
    return plots[~kept].assign(reason=reason[~kept])


def _check_agreement(
    bands: Sequence[str],
    measured: np.ndarray,
    pixels: np.ndarray,
    covered: np.ndarray,
    console: Console,
) -> None:
    """Compare values of the plot table with those of the imagery, which may have another unit.

    Args:
        measured, pixels: (n, band) of the table and of the imagery.
        covered: whether the imagery has a value, bool (n,).

    Raises:
        ImageryError: half of the plots differ by more than the standard deviation.
    """
    for i, band in enumerate(bands):
        both = covered & np.isfinite(measured[:, i])
        if both.sum() < COMPARABLE:
            continue
        table, image = measured[both, i], np.asarray(pixels[both, i], np.float64)
        difference = float(np.median(np.abs(table - image))) / max(float(table.std()), 1e-12)
        figures = (
            f"at {both.sum()} plots the table has the median {np.median(table):.4g} and the "
            f"imagery {np.median(image):.4g}"
        )
        if difference > 1:
            raise ImageryError(
                f"the covariate {band!r} is not the band of that name: {figures}; give both in one "
                "unit (`scale` and `offset` of the layer), or leave it out of `model.covariates`"
            )
        if difference > NEARLY:
            console.say(f"  note: covariate and band {band!r} differ: {figures}")


def _require_chips(
    grid: Grid, plots: pd.DataFrame, patch: int, reason: np.ndarray, inside: np.ndarray
) -> None:
    """Raise an ImageryError if no plot has a chip."""
    if (reason == "").any():
        return
    if not inside.any():
        lon, lat = plots[["lon", "lat"]].iloc[0]
        region = [round(v, 3) for v in grid.region]
        raise ImageryError(
            f"none of the {len(plots)} plots lies in the imagery (first: lon {lon:g}, lat "
            f"{lat:g}; imagery W, E, S, N = {region}); check the coordinate columns, the "
            "plots' `crs` and the imagery's region"
        )
    raise ImageryError(
        f"none of the {int(inside.sum())} plots in the imagery ({grid.height} x "
        f"{grid.width} pixels) has a whole chip of {patch} x {patch} pixels (first: "
        f"{reason[inside][0]}); lower `model.patch`, or give imagery with fewer gaps"
    )


def _outside(grid: Grid, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Reason why a plot outside the imagery is rejected; a hint if swapped coordinates fit."""
    with np.errstate(invalid="ignore"):
        swapped = (np.abs(lon) <= 90) & grid.holds(*grid.pixel(lat, lon))
    return np.where(
        swapped,
        "outside the imagery, but inside it with lon and lat swapped",
        "outside the imagery",
    )
