"""A model and imagery in, a map as an xarray.DataArray out."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import rioxarray
import xarray

from spatioformer.api.adapter import PlotRegressor
from spatioformer.api.archives import LazyImagery, of_year
from spatioformer.api.imagery import Imagery, opened
from spatioformer.geo.raster.opening import open_raster
from spatioformer.mapping import Output, map_raster
from spatioformer.mapping.raster import UNITLESS
from spatioformer.models.base import Model

MapLayer = Literal["mean", "sd", "lower", "upper", "di", "inside", "valid"]


def predict_map(
    model: PlotRegressor | Model | str | Path,
    imagery: Imagery | LazyImagery | str | Path,
    *,
    year: int | None = None,
    layers: Sequence[MapLayer] = ("mean",),
    samples: int = 20,
    sd_step: int = 1,
    seed: int = 0,
    outline: str | Path | None = None,
) -> xarray.DataArray:
    """Predict every pixel of the imagery, and hold the map in memory.

    `spatioformer.map_raster` writes maps of any size to a file instead.

    Args:
        model: a fitted estimator, an opened model, or a model's folder. The imagery must have its
            bands, by name.
        imagery: what `read_imagery` gives, or a raster with band descriptions.
        year: of imagery of archives; None: the last one.
        layers: "mean", the expected number of species; "sd", its standard deviation by Monte Carlo
            dropout; of a folder that a run evaluated also "lower", "upper" (the interval's ends),
            "di" (dissimilarity to the plots) and "inside" (the area of applicability).
        samples: dropout passes of "sd", 2 or more.
        sd_step: "sd" is computed at one pixel of each k x k block and holds for the block.
        seed: of the dropout.
        outline: polygons (a file); nothing is predicted outside.

    Returns:
        float32 (y, x), or (layer, y, x) for several layers; NaN where nothing is predicted. Named
        richness, in species; `.rio.crs` holds the CRS and `.rio.to_raster` writes a GeoTIFF. The
        title of a layer, which states the level of an interval, is in the attribute long_name, of
        several layers in the coordinate title.

    Raises:
        ImageryError: the imagery cannot be read or lacks a band of the model.
        ModelError: the folder is no model's, or the model cannot give a layer.
        OutputError: an unknown layer.
        ArgumentError: a year that the imagery does not have.

    Examples:
        >>> import numpy as np, pandas as pd, rioxarray, xarray
        >>> import spatioformer as sf
        >>> rng = np.random.default_rng(0)
        >>> axes = {"y": np.linspace(-42, -43, 20), "x": np.linspace(146, 147, 20)}
        >>> ndvi = xarray.DataArray(rng.uniform(size=(20, 20)), axes, ("y", "x"), "ndvi")
        >>> imagery = sf.read_imagery(ndvi.rio.write_crs("EPSG:4326"))
        >>> lonlat = rng.uniform([146, -43], [147, -42], (30, 2))
        >>> table = {"lon": lonlat[:, 0], "lat": lonlat[:, 1], "richness": rng.poisson(20, 30)}
        >>> plots = sf.read_plots(pd.DataFrame(table))
        >>> model = sf.GaussianProcessRegressor(patch=1).fit(plots, imagery)
        >>> richness = sf.predict_map(model, imagery)
        >>> richness.name, richness.shape, richness.rio.crs.to_epsg()
        ('richness', (20, 20), 4326)
    """
    stack = opened(of_year(imagery, year))
    trained = model.model_ if isinstance(model, PlotRegressor) else model
    with tempfile.TemporaryDirectory(prefix="spatioformer-") as folder:
        path = Path(folder) / "map.tif"
        map_raster(
            trained,
            stack.path,
            path,
            samples=samples,
            sd_step=sd_step,
            seed=seed,
            outline=outline,
            output=Output(layers=tuple(layers)),
        )
        array = rioxarray.open_rasterio(path)
        assert isinstance(array, xarray.DataArray)
        array = array.load()
        array.close()
        titles = _titles(path)
    several = len(layers) > 1
    array = array.rename(band="layer").assign_coords(layer=list(layers))
    array = (array if several else array.isel(layer=0, drop=True)).rename("richness")
    array.attrs = {"long_name": "plant species richness"}
    if not several:
        array.attrs["long_name"] += f", {titles[0]}"
    else:
        array = array.assign_coords(title=("layer", titles))
    if not set(layers) & set(UNITLESS):
        array.attrs["units"] = "species"
    masked: xarray.DataArray = array.rio.write_nodata(np.nan, encoded=True)
    return masked


def _titles(path: Path) -> list[str]:
    """Title of each band of a map, such as "lower end of the 90 % interval"."""
    with open_raster(path) as source:
        return [str(text).rsplit(", ", 1)[-1] for text in source.descriptions]
