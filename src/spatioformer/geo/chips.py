"""Chips of imagery around plots, cut once and memory-mapped afterwards.

A store is a folder: `chips.npy` (n, P, P, band) float32, `lon.npy` and `lat.npy` (n, P, P) float64,
`index.parquet` (the plots, with the row and column of each chip's centre) and `store.json`. Of a
plot table without imagery, P is 1 and the bands are the covariates. A subfolder `unlabelled` may
hold a store of chips without plots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.common.files import read_json, save_array, write_json, writing_folder
from spatioformer.common.progress import SILENT, Console
from spatioformer.geo.covariates import Covariates
from spatioformer.geo.raster.stack import Stack

TILE = 512
UNLABELLED = "unlabelled"
CONSTANT = "constant"
"""Band of a store of plots without imagery and covariates: 0 everywhere."""

COMPARABLE = 5
"""Smallest number of plots with which the table and the imagery are compared."""

NEARLY = 0.3
"""Median difference of table and imagery, in standard deviations, above which a note says so."""

Facts = Mapping[str, Any] | None
"""Entries of store.json besides the bands, the side and the number of the chips."""


@dataclass(frozen=True)
class ChipStore:
    """Chips of plots, memory-mapped.

    Attributes:
        chips: float32 (n, P, P, band), rows north first.
        lon, lat: float64 (n, P, P), degrees, of every pixel centre.
        table: the plots, one row a chip, in the order of the chips.
        bands: band names.
        unlabelled: chips of the same size around pixels without plots, or None.
        covariates: columns of numbers in `table` that models take besides the chips, with the value
            for a map; None stands for the median.
        encoding: how covariates of a plot table became bands or columns of numbers.
        target_kind: what the plots count or measure.
    """

    chips: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    table: pd.DataFrame
    bands: list[str]
    unlabelled: "ChipStore | None" = None
    covariates: Mapping[str, float | None] = field(default_factory=dict)
    encoding: Covariates = field(default_factory=Covariates)
    target_kind: Literal["count", "continuous", "proportion"] = "count"

    @property
    def patch(self) -> int:
        return self.chips.shape[1]

    @property
    def coordinates(self) -> np.ndarray:
        """Plot longitude and latitude, (n, 2) degrees."""
        return self.table[["lon", "lat"]].to_numpy(np.float64)

    @property
    def richness(self) -> np.ndarray:
        return self.table["richness"].to_numpy(np.float64)

    def __len__(self) -> int:
        return len(self.table)


def check_patch(patch: int) -> int:
    """Check that a chip of side `patch` has a centre pixel, and return `patch`.

    Raises:
        ModelError: it is even or below 1.
    """
    if patch < 1 or patch % 2 == 0:
        raise ModelError(
            f"a chip side of {patch} pixels has no centre pixel; choose an odd number such as "
            f"{max(1, patch - 1)} or {patch + 1}"
        )
    return patch


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
    half = check_patch(patch) // 2
    with Stack(stack_path, bands) as stack:
        lon, lat = plots["lon"].to_numpy(float), plots["lat"].to_numpy(float)
        rows, cols = stack.grid.pixel(lon, lat)
        inside = stack.grid.holds(rows, cols)
        reason = np.where(inside, "", _outside(stack, lon, lat)).astype(object)
        chips = np.zeros((len(plots), patch, patch, len(stack.bands)), np.float32)
        tiles = pd.Series(np.flatnonzero(inside)).groupby(
            [rows[inside] // TILE, cols[inside] // TILE]
        )
        with console.task("chips", int(inside.sum())) as advance:
            for _, members in tiles:
                first = members.iloc[0]
                top, left = rows[first] // TILE * TILE, cols[first] // TILE * TILE
                data, valid, _ = stack.read(Window(left, top, TILE, TILE), halo=half)
                for i in members:
                    r, c = rows[i] - top, cols[i] - left
                    window = (slice(r, r + patch), slice(c, c + patch))
                    if valid[window].all():
                        chips[i] = np.moveaxis(data[:, *window], 0, -1)
                    else:
                        missing = int((~valid[window]).sum())
                        reason[i] = f"{missing} of the chip's {patch**2} pixels hold no data"
                advance(len(members))
        if measured is not None:
            assert patch == 1, "a measured value is that of one pixel"
            _check_agreement(stack.bands, measured, chips[:, 0, 0], reason == "", console)
            chips[:, 0, 0] = np.where(np.isfinite(measured), measured, chips[:, 0, 0])
            reason[np.isfinite(measured).all(axis=1)] = ""
        kept = reason == ""
        _require_chips(stack, plots, patch, reason, inside)
        steps = np.arange(-half, half + 1)
        chip_lon, chip_lat = stack.grid.lonlat(
            rows[kept, None, None] + steps[:, None], cols[kept, None, None] + steps
        )
        outside = ~inside[kept]  # with values of their own: at their own places
        chip_lon[outside], chip_lat[outside] = (
            place[kept][outside, None, None] for place in (lon, lat)
        )
        table = plots[kept].assign(row=rows[kept], col=cols[kept])
        _write(folder, chips[kept], chip_lon, chip_lat, table, stack.bands, facts)
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
    stack: Stack, plots: pd.DataFrame, patch: int, reason: np.ndarray, inside: np.ndarray
) -> None:
    """Raise an ImageryError if no plot has a chip."""
    if (reason == "").any():
        return
    if not inside.any():
        lon, lat = plots[["lon", "lat"]].iloc[0]
        region = [round(v, 3) for v in stack.grid.region]
        raise ImageryError(
            f"none of the {len(plots)} plots lies in the imagery (first: lon {lon:g}, lat "
            f"{lat:g}; imagery W, E, S, N = {region}); check the coordinate columns, the "
            "plots' `crs` and the imagery's region"
        )
    raise ImageryError(
        f"none of the {int(inside.sum())} plots in the imagery ({stack.grid.height} x "
        f"{stack.grid.width} pixels) has a whole chip of {patch} x {patch} pixels (first: "
        f"{reason[inside][0]}); lower `model.patch`, or give imagery with fewer gaps"
    )


def table_chips(
    plots: pd.DataFrame, covariates: Covariates, folder: Path, facts: Facts = None
) -> None:
    """Write a chip store of plots without imagery: chips of one pixel, whose bands are covariates.

    A missing number is replaced by the covariate's usual value; a band of its own says where.

    Args:
        plots: table with columns lon and lat (degrees), and one for each covariate.
        folder: folder of the store.
        facts: what else the store says of itself, see `ChipStore`.

    Raises:
        ModelError: a value is too large for 32 bits, or a covariate is missing.
        OutputError: the store cannot be written.
    """
    values = covariates.filled(plots)
    bands = list(values.columns) or [CONSTANT]
    with np.errstate(over="ignore"):
        chips = values.to_numpy(np.float32) if len(values.columns) else np.zeros((len(plots), 1))
    if not np.isfinite(chips).all():
        name = bands[int(np.argmin(np.isfinite(chips).all(axis=0)))]
        raise ModelError(
            f"the covariate {name!r} holds values too large for 32-bit floating-point numbers; "
            "give it in a larger unit, or leave it out of `model.covariates`"
        )
    lon, lat = (plots[name].to_numpy(float)[:, None, None] for name in ("lon", "lat"))
    table = plots.drop(columns=[n for n in covariates.names if n in plots and n != "area_m2"])
    shaped = chips.astype(np.float32)[:, None, None]
    encoding = {"encoding": covariates.to_json()}
    _write(folder, shaped, lon, lat, table, bands, {**encoding, **(facts or {})})


def _outside(stack: Stack, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Reason why a plot outside the imagery is rejected; a hint if swapped coordinates fit."""
    with np.errstate(invalid="ignore"):
        swapped = (np.abs(lon) <= 90) & stack.grid.holds(*stack.grid.pixel(lat, lon))
    return np.where(
        swapped,
        "outside the imagery, but inside it with lon and lat swapped",
        "outside the imagery",
    )


def _write(
    folder: Path, chips, lon, lat, table: pd.DataFrame, bands: list[str], facts: Facts = None
) -> None:
    with writing_folder(folder) as part:
        for name, array in (("chips", chips), ("lon", lon), ("lat", lat)):
            save_array(part / f"{name}.npy", array)
        pd.DataFrame(table.drop(columns="geometry", errors="ignore")).to_parquet(
            part / "index.parquet", index=False
        )
        about = {"bands": bands, "patch": chips.shape[1], "n": len(chips)}
        write_json(part / "store.json", {**about, **(facts or {})})


def open_chips(folder: str | Path) -> ChipStore:
    """Open a chip store; the arrays are read from disk when they are used.

    Raises:
        ImageryError: the folder holds no chip store.
    """
    folder = Path(folder)
    if not (folder / "store.json").exists():
        raise ImageryError(f"{folder} holds no chips; run `spatioformer chips` first")
    arrays = {n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("chips", "lon", "lat")}
    table = pd.read_parquet(folder / "index.parquet")
    about = read_json(folder / "store.json")
    subfolder = folder / UNLABELLED
    return ChipStore(
        **arrays,
        table=table,
        bands=about["bands"],
        unlabelled=open_chips(subfolder) if subfolder.is_dir() else None,
        covariates=dict(about.get("covariates", [])),  # pairs, because JSON sorts keys
        encoding=Covariates.from_json(about.get("encoding", [])),
        target_kind=about.get("target_kind", "count"),
    )
