"""The seven data sets of `benchmarks.accuracy`: plots, what models see of them, ways to hold out.

Six are read from the folder that SPATIOFORMER_DATA names (docs/results.md says how to fetch
them); the virtual flora is made from rasters that pip brings. Tables without rasters become chips
of one pixel whose bands are the covariates.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from pyproj import Transformer
from rasterio.transform import rowcol, xy
from scipy.ndimage import minimum_filter

from spatioformer.evaluation import (
    DegenerateFolds,
    LeaveRegionOut,
    RandomKFold,
    SpatialBlockKFold,
    Splitter,
)
from spatioformer.geo.chips import ChipStore
from spatioformer.geo.unlabelled import PIXELS
from spatioformer.geo.virtual import flora as virtual_flora
from spatioformer.geo.virtual.pip_rasters import Landscape, read_landscape

AUSTRALIA = (112.0, 154.0, -44.0, -10.0)
WIDE = 7  # chip side of the CNN, whose convolutions take six pixels off
USUAL = 3  # of all others
FULL_SCALE = (
    10000 / 255
)  # 8-bit imagery as reflectance x 10000, which the published network expects
FOLDS = 5
DEV_SEED = 100
DEV_SHARE = 0.2


@dataclass(frozen=True)
class DataSet:
    """Plots with chips, and how they are held out.

    Attributes:
        wide: chips of WIDE pixels a side, or 1 where there is no imagery.
        sizes: sides of the two kinds of blocks, in `unit` ("degrees" or "km").
        tile: side of the tiles that networks stop by and stacks weigh by, degrees.
        regions: label of each plot, (n,), or None.
        covariates: columns of the plot table that models take besides the chips.
        dev_share: share of the plots that are for tuning and never scored.
    """

    wide: ChipStore
    sizes: tuple[float, float]
    tile: float
    unit: str = "degrees"
    regions: np.ndarray | None = None
    covariates: tuple[str, ...] = ()
    dev_share: float = DEV_SHARE

    @property
    def store(self) -> ChipStore:
        """Chips as all models but the CNN see them."""
        return cropped(self.wide, min(USUAL, self.wide.patch))

    @property
    def splits(self) -> dict[str, Splitter | None]:
        """Ways to hold out by name; None: there are no regions."""
        small, large = (
            SpatialBlockKFold(FOLDS, size=size, unit=self.unit, seed=0) for size in self.sizes
        )
        return {
            "random": RandomKFold(FOLDS, seed=0),
            "small-blocks": small,
            "large-blocks": large,
            "regions": None if self.regions is None else LeaveRegionOut(),
        }

    def folds(self, split: str) -> np.ndarray:
        """Fold of each plot, int (n,)."""
        splitter = self.splits[split]
        groups = self.regions if split == "regions" else None
        with warnings.catch_warnings():  # states and countries are as large as they are
            warnings.simplefilter("ignore", DegenerateFolds)
            assert splitter is not None, f"the data have no {split}"
            return splitter.assign(self.wide.coordinates, groups)

    @property
    def dev(self) -> np.ndarray:
        """Plots of large blocks drawn until `dev_share` of all plots is reached, bool (n,)."""
        block = self.blocks
        if self.dev_share == 0:
            return np.zeros(len(block), bool)
        order = np.random.default_rng(DEV_SEED).permutation(block.max() + 1)
        reached = np.cumsum(np.bincount(block)[order]) >= self.dev_share * len(block)
        return np.isin(block, order[: reached.argmax() + 1])

    @property
    def blocks(self) -> np.ndarray:
        """Number of each plot's large block, int (n,): what the bootstrap draws."""
        splitter = SpatialBlockKFold(FOLDS, size=self.sizes[1], unit=self.unit)
        return splitter.tiles(self.wide.coordinates)


def cropped(store: ChipStore, patch: int) -> ChipStore:
    """The middle `patch` x `patch` pixels of every chip."""
    edge = (store.patch - patch) // 2
    middle = slice(edge, edge + patch)
    return replace(
        store,
        chips=store.chips[:, middle, middle],
        lon=store.lon[:, middle, middle],
        lat=store.lat[:, middle, middle],
        unlabelled=store.unlabelled and cropped(store.unlabelled, patch),
    )


def flora(seed: int = 0) -> DataSet:
    """3,000 plots of a virtual flora of Australia, seen by Blue Marble alone."""
    land = read_landscape(AUSTRALIA)
    made = virtual_flora.simulate(
        land.lon,
        land.lat,
        land.land,
        land.temperature,
        land.precipitation,
        land.greenness,
        seed=seed,
    )
    table = virtual_flora.survey(made, seed=seed)
    step = land.lon[0, 1] - land.lon[0, 0]
    edge = np.array(AUSTRALIA) + (WIDE // 2 + 1) * step * np.array([1, -1, 1, -1])
    whole = table[table["lon"].between(*edge[:2]) & table["lat"].between(*edge[2:])]
    table = whole.reset_index(drop=True)  # Sumatra's last plots have no whole chip
    store = _cut(land, land.rgb * FULL_SCALE, table, ["red", "green", "blue"])
    east, north = (store.coordinates > np.median(store.coordinates, axis=0)).T
    quarters = np.char.add(np.where(north, "north", "south"), np.where(east, "east", "west"))
    return DataSet(store, (1, 4), tile=1.0, regions=quarters)


def ausplots() -> DataSet:
    """458 visits to rangeland plots, voucher richness; Blue Marble and ERA5 climate."""
    table = pd.read_csv(_folder() / "ausplots" / "sites.csv").rename(
        columns={"Longitude": "lon", "Latitude": "lat", "Species richness_vouchers": "richness"}
    )
    land = read_landscape(AUSTRALIA)
    bands = np.concatenate(
        [land.rgb * FULL_SCALE, land.temperature[None], land.precipitation[None]]
    )
    names = ["red", "green", "blue", "temperature", "precipitation"]
    state = table["Site and visit"].str[:2].replace("VC", "NS")  # three plots of Victoria
    store = _cut(land, bands, table[["lon", "lat", "richness"]], names)
    return DataSet(store, (1, 4), tile=1.0, regions=state.to_numpy(str))


def new_zealand() -> DataSet:
    """19,120 plots, counts of 52 species; 13 covariates, no raster."""
    table = pd.read_csv(_folder() / "new_zealand" / "plots.csv.gz")
    table = table.rename(columns={"richness52": "richness"})
    names = [str(name) for name in table.loc[:, "age":"vpd"]]
    # Cook Strait: Taranaki's coast lies north of all of the South Island, Wellington's east of it.
    north = (table["lat"] > -40.45) | ((table["lon"] > 174.5) & (table["lat"] > -41.65))
    island = np.where(north, "North Island", "South Island")
    return DataSet(_tabular(table, names), (0.25, 1), tile=1.0, regions=island)


def south_america() -> DataSet:
    """703 sPlotOpen plots; 11 bioclimatic covariates, no raster that covers them."""
    table = pd.read_csv(_folder() / "south_america" / "plots.csv")
    table = table.rename(columns={"Species_richness": "richness"})
    names = [str(name) for name in table.loc[:, "bio_1":"elev"]]
    few = table["Country"].map(table["Country"].value_counts()) < 10
    country = table["Country"].where(~few, "others").to_numpy(str)
    return DataSet(_tabular(table, names), (1, 4), tile=2.0, regions=country)


def mongon() -> DataSet:
    """100 plots on a mountain in Peru; terrain and NDVI at 30 m."""
    table = pd.read_csv(_folder() / "mongon" / "mongon_plots.csv")
    store = _projected(_folder() / "mongon" / "ep.tif", 32717, table, WIDE)
    return DataSet(store, (0.25, 0.5), tile=0.0025, unit="km")


def keil_chase() -> DataSet:
    """1,336 forest plots of the world; their area is a covariate, the regions are realms."""
    table = pd.read_csv(_folder() / "keil_chase" / "plots.csv")
    table = table.rename(columns={"Lon": "lon", "Lat": "lat", "S": "richness"})
    names = [str(name) for name in table.loc[:, "min_DBH_cm":"island"]]
    realm = table["REALM_PK"].to_numpy(str)
    store = _tabular(table, names, ["area_m2"])
    return DataSet(store, (2, 10), 2.0, regions=realm, covariates=("area_m2",), dev_share=0)


def ecospat() -> DataSet:
    """300 plots in the Swiss Alps, richness of 50 species; five rasters of 250 m."""
    table = pd.read_csv(_folder() / "ecospat" / "plots.csv")
    table = table.rename(columns={"long": "x", "lat": "y"})
    # Chips of WIDE pixels would reach the raster's nodata.
    store = _projected(_folder() / "ecospat" / "env.tif", 21781, table, USUAL)
    return DataSet(store, (2, 10), tile=0.02, unit="km", dev_share=0)


DATASETS: dict[str, Callable[[], DataSet]] = {
    "flora": flora,
    "ausplots": ausplots,
    "new-zealand": new_zealand,
    "south-america": south_america,
    "mongon": mongon,
    "keil-chase": keil_chase,
    "ecospat": ecospat,
}


def _folder() -> Path:
    folder = Path(os.environ.get("SPATIOFORMER_DATA", "data"))
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder; let SPATIOFORMER_DATA name that of the plots")
    return folder


def _cut(land: Landscape, bands: np.ndarray, table: pd.DataFrame, names: list[str]) -> ChipStore:
    """Chips of bands (band, y, x) on Blue Marble's grid around each plot, and on land without."""
    step = land.lon[0, 1] - land.lon[0, 0]
    cols = np.rint((table["lon"] - land.lon[0, 0]) / step).to_numpy(int)
    rows = np.rint((land.lat[0, 0] - table["lat"]) / step).to_numpy(int)
    store = _chips(bands, land.lon, land.lat, rows, cols, table, names)
    return replace(store, unlabelled=_unlabelled(bands, land.lon, land.lat, land.land, names))


def _projected(path: Path, crs: int, table: pd.DataFrame, side: int) -> ChipStore:
    """Chips of a raster in metres around the plots at x, y of the table, and around other pixels.

    Args:
        crs: EPSG code of raster and plots.
    """
    degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    with rasterio.open(path) as raster:
        bands, names = raster.read(), list(raster.descriptions)
        rows, cols = (np.asarray(i) for i in rowcol(raster.transform, table["x"], table["y"]))
        centres = np.meshgrid(np.arange(raster.width), np.arange(raster.height))
        east, north = xy(raster.transform, *(index.ravel() for index in centres[::-1]))
    lon, lat = (np.reshape(v, bands.shape[1:]) for v in degrees.transform(east, north))
    places = dict(zip(("lon", "lat"), degrees.transform(table["x"], table["y"]), strict=True))
    table = table.assign(**places)
    store = _chips(bands, lon, lat, rows, cols, table, names, side)
    everywhere = np.ones(lon.shape, bool)
    return replace(store, unlabelled=_unlabelled(bands, lon, lat, everywhere, names, side))


def _chips(
    bands: np.ndarray,
    lon: np.ndarray,
    lat: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    table: pd.DataFrame,
    names: list[str],
    side: int = WIDE,
) -> ChipStore:
    """Side x side pixels around (rows, cols) of bands (band, y, x) and of lon, lat (y, x)."""
    steps = np.arange(side) - side // 2
    rows, cols = rows[:, None, None] + steps[:, None], cols[:, None, None] + steps
    height, width = lon.shape
    if min(rows.min(), cols.min()) < 0 or rows.max() >= height or cols.max() >= width:
        raise SystemExit(f"a plot lies within {side // 2} pixels of the raster's edge")
    chips = np.moveaxis(bands[:, rows, cols], 0, -1).astype(np.float32)  # (n, P, P, band)
    assert np.isfinite(chips).all()
    return ChipStore(chips, lon[rows, cols], lat[rows, cols], table, names)


def _unlabelled(
    bands: np.ndarray,
    lon: np.ndarray,
    lat: np.ndarray,
    land: np.ndarray,
    names: list[str],
    side: int = WIDE,
) -> ChipStore:
    """Chips around PIXELS pixels of land (y, x), drawn at random where whole chips hold data."""
    whole = land & minimum_filter(np.isfinite(bands).all(axis=0), side, mode="constant")
    found = np.flatnonzero(whole)
    drawn = np.random.default_rng(0).permutation(found)[:PIXELS]
    rows, cols = np.unravel_index(drawn, land.shape)
    table = pd.DataFrame({"lon": lon[rows, cols], "lat": lat[rows, cols]})
    return _chips(bands, lon, lat, rows, cols, table, names, side)


def _tabular(table: pd.DataFrame, names: list[str], covariates: Sequence[str] = ()) -> ChipStore:
    """A store of one-pixel chips whose bands are columns of the table."""
    chips = table[names].to_numpy(np.float32)[:, None, None]
    lon, lat = (table[name].to_numpy(float)[:, None, None] for name in ("lon", "lat"))
    return ChipStore(chips, lon, lat, table[["lon", "lat", "richness", *covariates]], names)
