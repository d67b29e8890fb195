"""Imagery of archives for the Python door: lazy, by year, on one grid."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import xarray
from pyproj import CRS

from spatioformer.api.blocks import ArchiveRemark, SomeBands, Warnings, blocks
from spatioformer.api.imagery import Imagery, described, remove_with
from spatioformer.archives.answer import ask, with_answer
from spatioformer.archives.items import Item
from spatioformer.archives.opening import source_bands
from spatioformer.archives.search import cloud_of
from spatioformer.archives.stack import SourceStack
from spatioformer.common.errors import ArgumentError
from spatioformer.common.progress import Console
from spatioformer.config.archives import STATIC, span
from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.cutting import cut_from
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.checks import Trust
from spatioformer.geo.raster.layers import open_layer
from spatioformer.geo.raster.stack import check_band_names, with_classes
from spatioformer.geo.yearly import YearlyChips, require_years, years_of_plots
from spatioformer.run.composites import Composites, imagery_of_year
from spatioformer.run.imagery import layer_of
from spatioformer.run.sources import (
    check_bands,
    composite_path,
    grid_of_sources,
    season_of,
    year_stack,
)

__all__ = ["ArchiveRemark", "LazyImagery", "of_year"]

CHUNK = 512


class LazyImagery:
    """Imagery of archives by year, on one grid; made by `read_imagery(..., years=...)`.

    The catalogues are searched when items are first needed, and files are read window by window.

    Attributes:
        section: the same as the section `imagery` of a run's configuration.
        grid: of the pixels.
        bands: names of the bands: those of layers, then those of each source, NAME_BAND.
        years: the years that all sources have, ascending; none of terrain, climate and soil alone.
        crs: coordinate reference system of the grid.
        region: W, E, S, N of the grid in degrees; W > E where it crosses the antimeridian.
        shape: number of rows and columns.
        offline: whether only the cache is read.

    Examples:
        >>> import spatioformer as sf
        >>> stack = sf.read_imagery(
        ...     "ga_ls8cls9c_gm_cyear_3", years=(2015, 2023), name="dea", crs="EPSG:3577",
        ...     resolution=1000, region=(147.0, 149.0, -42.9, -41.8),
        ... )
        >>> stack.bands
        ['dea_blue', 'dea_green', 'dea_red', 'dea_nir', 'dea_swir1', 'dea_swir2']
        >>> stack.years[-1], stack.shape
        (2023, (140, 183))
    """

    def __init__(self, section: ImagerySection, folder: Path, *, offline: bool = False):
        self.section, self.offline = section, offline
        self._folder, self._end = folder, remove_with(self, folder)
        self.grid: Grid = grid_of_sources(section)
        self.bands: list[str] = self._names()
        self.years: tuple[int, ...] = section.years
        self._items: dict[str, dict[int, tuple[Item, ...]]] = {}
        self._asked: set[int] = set()

    @property
    def crs(self) -> CRS:
        return self.grid.crs

    @property
    def shape(self) -> tuple[int, int]:
        return self.grid.shape

    @cached_property
    def region(self) -> tuple[float, float, float, float]:
        west, east, south, north = (float(round(value, 6)) for value in self.grid.region)
        return west, east, south, north

    def search(self, years: int | Iterable[int] | None = None) -> pd.DataFrame:
        """The items that would be read; no imagery is read.

        Args:
            years: None: all.

        Returns:
            One row an item: source, collection, year, id, time (UTC), cloud (share, NaN unknown),
            west, south, east, north (degrees), href.

        Raises:
            ArgumentError: a year is not among `years`.
            ImageryError: a catalogue cannot be read, or has nothing for a year.
        """
        chosen = self._chosen(years)
        stack = self._searched(chosen)
        rows = [
            {
                "source": source.section.name,
                "collection": source.collection.name,
                "year": year if year != STATIC else None,
                "id": item.id,
                "time": pd.Timestamp(item.start),
                "cloud": np.nan if (cloud := cloud_of(item)) is None else cloud,
                **dict(zip(("west", "south", "east", "north"), item.bbox, strict=True)),
                "href": item.href,
            }
            for source in stack.sources
            for year in chosen
            for item in source.of_year(year)
        ]
        return pd.DataFrame(rows)

    def to_xarray(
        self, years: int | Iterable[int] | None = None, *, chunk: int = CHUNK
    ) -> xarray.DataArray:
        """The imagery as a DataArray of Dask blocks, which are read when they are computed.

        An item that cannot be read ends the computation of a block, also with `on_error="skip"`:
        other blocks may hold it already. `write` leaves it out of the whole year.

        Args:
            years: None: all.
            chunk: side of a block, pixels. Values do not depend on it.

        Returns:
            float32 (year, band, y, x), NaN for no data; `.rio.crs` holds the CRS. Without years
            (band, y, x).

        Raises:
            ArgumentError: a year is not among `years`.
            ImageryError: as `search`.
            OutputError: Dask is not installed.
        """
        chosen = self._chosen(years)
        values = blocks(self.section, self._searched(chosen), self.bands, chosen, chunk)
        a, _, left, _, e, top = self.grid.transform[:6]
        height, width = self.shape
        array = xarray.DataArray(
            values,
            {
                "year": list(chosen),
                "band": self.bands,
                "y": top + e * (np.arange(height) + 0.5),
                "x": left + a * (np.arange(width) + 0.5),
            },
            ("year", "band", "y", "x"),
            "imagery",
            {"long_name": "imagery"},
        )
        import rioxarray  # noqa: F401 - gives arrays `.rio`

        placed: xarray.DataArray = array.rio.write_crs(self.crs.to_wkt())
        placed = placed.rio.write_transform(self.grid.transform)
        masked: xarray.DataArray = placed.rio.write_nodata(np.nan, encoded=True)
        return masked if self.years else masked.squeeze("year", drop=True)

    def write(
        self,
        folder: str | Path,
        years: int | Iterable[int] | None = None,
        *,
        workers: int | None = None,
        scheduler: str | None = None,
        memory: float = 2.0,
    ) -> dict[int, Path]:
        """Write a Cloud Optimized GeoTIFF and a STAC item with the provenance for each year.

        They hold the bands of the sources; `composite` joins layers and masks. What is written
        already is kept, and a call that was killed continues.

        Args:
            folder: gets imagery_YEAR.tif and imagery_YEAR.item.json; imagery_static.tif without
                years.
            years: None: all.
            workers: windows computed at once; None: one a core.
            scheduler: None or "threads", "processes", or the address of a Dask scheduler.
            memory: limit of resident memory, GB.

        Returns:
            Path of each year's GeoTIFF; under 0 without years.

        Raises:
            ArgumentError, ImageryError: as `search`; or an item cannot be read.
            OutputError: the folder cannot be written.
        """
        chosen, folder = self._chosen(years), Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        composites = Composites(
            folder,
            self._searched(chosen),
            workers=workers,
            scheduler=scheduler,
            memory=memory,
            console=Warnings(),
        )
        return {year: composites.year(year)[0] for year in chosen}

    def composite(self, year: int | None = None) -> Imagery:
        """The imagery of a year with all bands and masks, in a temporary file.

        Args:
            year: None: the last one.

        Raises:
            ArgumentError, ImageryError: as `write`.
        """
        last = self.years[-1] if self.years else None
        (chosen,) = self._chosen(last if year is None else year)
        path = self.write(self._folder, chosen)[chosen]
        out = composite_path(self._folder / "stacks", chosen)
        if not out.exists():
            out.parent.mkdir(exist_ok=True)
            section = self.section.model_copy(update={"year": self.section.year or last})
            path = imagery_of_year(
                section, path, out, Warnings(), masks=self._folder / "masks", offline=self.offline
            )
        else:
            path = out
        imagery = Imagery(path)
        imagery._folder = self  # the temporary file lasts as long as either of them
        return imagery

    def cut(
        self, plots: pd.DataFrame, patch: int, folder: Path, bands: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Cut the chip of each plot from the imagery of its year into a chip store.

        A plot takes the year of its date, or the nearest one within `max_years`. A plot without a
        date gets a chip only if there is one year.

        Args:
            plots: columns lon, lat (degrees), date, and any others.
            patch: side of a chip, pixels.
            folder: of the store; its table has also composite_year and years_apart.
            bands: in this order; None: all.

        Returns:
            The plots without a chip, with a column `reason`.

        Raises:
            ImageryError: no plot has imagery of its year, or a whole chip; a file cannot be read.
        """
        section, console = self.section, Warnings()
        dates = plots["date"] if "date" in plots else pd.Series(pd.NaT, plots.index)
        years, refused = years_of_plots(
            pd.to_datetime(dates), self.years, section.max_years, season_of(section)
        )
        require_years(refused, self.years)
        of_plots = years["composite_year"]
        used = of_plots.dropna().astype(int).unique().tolist() or [STATIC]
        stack = self._searched(tuple(sorted(used)))
        with year_stack(section, stack, console) as imagery:
            chosen = imagery if bands is None else SomeBands.of(imagery, bands)
            return cut_from(
                YearlyChips(chosen, of_plots.fillna(0).to_numpy(int)),
                plots.join(years),
                patch,
                folder,
                refused=refused,
            )

    def _names(self) -> list[str]:
        trust = Trust(self.section.trust, self.section.folder)
        names: list[str] = []
        for layer in self.section.layers:
            with open_layer(layer_of(layer, trust)) as opened:
                names += check_band_names([with_classes(opened, self.grid, Console(quiet=True))])
        of_sources = source_bands(self.section)
        check_bands(names, of_sources)
        return [*names, *of_sources]

    def _chosen(self, years: int | Iterable[int] | None) -> tuple[int, ...]:
        if years is None:
            return self.years or (STATIC,)
        chosen = (years,) if isinstance(years, int | np.integer) else tuple(years)
        for year in chosen:
            if year not in (self.years or (STATIC,)):
                raise ArgumentError(
                    f"the year {year} is not among those of the imagery: "
                    f"{span(self.years) or 'it has none'}; "
                    "choose one of them, or read others with read_imagery"
                )
        return tuple(int(year) for year in chosen)

    def _searched(self, years: Sequence[int]) -> SourceStack:
        """The sources with the items of years; those of other years are not searched."""
        if missing := [year for year in years if year not in self._asked]:
            answer = ask(
                self.section,
                self.grid,
                missing,
                missing,
                offline=self.offline,
                console=Warnings(),
            )
            for name, items in answer.items():
                self._items.setdefault(name, {}).update(items)
            self._asked |= set(missing)
        of_years = {
            name: {y: items[y] for y in items if y in (*years, STATIC)}
            for name, items in self._items.items()
        }
        return with_answer(self.section, self.grid, of_years, offline=self.offline)

    def __repr__(self) -> str:
        what = f"LazyImagery of {', '.join(map(str, self.years)) or 'no year'}"
        return described(what, self.bands, self.shape, self.crs, self.region)


def of_year(imagery: object, year: int | None = None) -> object:
    """Lazy imagery as the file of a year, the last one if None; anything else as it is.

    Raises:
        ArgumentError: a year of imagery that has none.
    """
    if isinstance(imagery, LazyImagery):
        return imagery.composite(year)
    if year is not None:
        raise ArgumentError(
            f"year is {year}, and this imagery is one file without years; leave year out"
        )
    return imagery
