"""Store of the chips of imagery around plots, memory-mapped; `cutting.py` fills it.

A store is a folder: `chips.npy` (n, P, P, band) float32, `lon.npy` and `lat.npy` (n, P, P) float64,
`index.parquet` (the plots, with the row and column of each chip's centre) and `store.json`. Of a
plot table without imagery, P is 1 and the bands are the covariates. A subfolder `unlabelled` may
hold a store of chips without plots.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.common.files import read_json, save_array, write_json, writing_folder
from spatioformer.geo.covariates import Covariates

UNLABELLED = "unlabelled"
CONSTANT = "constant"
"""Band of a store of plots without imagery and covariates: 0 everywhere."""

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
    write_store(folder, shaped, lon, lat, table, bands, {**encoding, **(facts or {})})


def write_store(
    folder: Path,
    chips: np.ndarray,
    lon: np.ndarray,
    lat: np.ndarray,
    table: pd.DataFrame,
    bands: list[str],
    facts: Facts = None,
) -> None:
    """Write a chip store, whose arrays and table are those of `ChipStore`.

    Raises:
        OutputError: it cannot be written.
    """
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
