"""Which plots have a pixel of every raster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spatioformer.setup.rasters import RasterFacts
from spatioformer.setup.spread import Spread
from spatioformer.setup.tables import TableFacts


@dataclass(frozen=True)
class Coverage:
    """How many plots a run keeps.

    Attributes:
        inside: bool (n,), whether a plot lies on all rasters.
        kept: number of those with data, estimated from a sample.
        lost: share of all rows of the table that the run rejects.
        names: names of the rasters' files.
    """

    inside: NDArray[np.bool_]
    kept: float
    lost: float
    names: str

    def __str__(self) -> str:
        inside, plots = int(self.inside.sum()), len(self.inside)
        data = f", {self._on_data} of them on data" if round(self.kept) < inside else ""
        return f"{inside:,} of {plots:,} plots lie on {self.names}{data}"

    @property
    def _on_data(self) -> str:
        return f"about {self.kept:,.0f}" if self.kept >= 1 else "none"

    def table(self, table: TableFacts) -> TableFacts:
        """The plots that lie on all rasters; all plots if none does."""
        if self.inside.all() or not self.inside.any():
            return table
        kept = table.table[self.inside]
        spread = Spread.of(kept[["lon", "lat"]].to_numpy(np.float64))
        return replace(table, table=kept, spread=spread)


def coverage_of(table: TableFacts, rasters: Sequence[RasterFacts]) -> Coverage | None:
    """Coverage of plots by rasters; None if some of them could not be looked at."""
    holds = [facts.holds for facts in rasters if facts.holds is not None]
    if not holds or len(holds) < len(rasters) or table.lonlat is None:
        return None
    inside: NDArray[np.bool_] = np.logical_and.reduce(holds)
    kept = float(inside.sum()) * (1 - max(facts.empty for facts in rasters))
    names = ", ".join(facts.layer.path.name for facts in rasters)
    return Coverage(inside, kept, 1 - kept / max(1, table.rows), names)


def measured_bands(table: TableFacts, rasters: Sequence[RasterFacts]) -> tuple[str, ...]:
    """All bands of the rasters, if the table has a column of numbers for each; else none.

    Plots that the rasters do not hold can then be used: their values are in the table.
    """
    bands = tuple(band for facts in rasters for band in facts.bands)
    kinds = table.recognised.covariates
    return bands if bands and all(kinds.get(band) == "number" for band in bands) else ()


def apart(table: TableFacts, rasters: Sequence[RasterFacts], names: str) -> str:
    """A sentence for plots of which none lies on all rasters."""
    assert table.spread is not None
    places = "; ".join(
        f"{facts.layer.path.name} reaches {_region(facts.grid.region)}"
        for facts in rasters
        if facts.grid is not None
    )
    return (
        f"no plot lies on all of {names}: the plots reach W, E, S, N = "
        f"{_region(table.spread.region)}; {places}; give rasters of the plots' area, or correct "
        "the CRS (`--crs`, `--set plots.crs=...`)"
    )


def _region(region: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in region)
