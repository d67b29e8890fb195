"""Comparison of a map with the true richness of a virtual flora, and the ceiling of its r2."""

from pathlib import Path

import numpy as np
import pandas as pd
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.opening import open_raster


def compare(map_path: str | Path, truth_path: str | Path) -> dict[str, float]:
    """True error of a map over all pixels with a value in both rasters.

    Args:
        map_path: band 1 is the predicted mean, species.
        truth_path: band 1 is the true expected number of species, on the map's grid.

    Returns:
        pixels, r, r2 (1 - SSE/SST), rmse, mae, bias (map - truth), in species.

    Raises:
        ImageryError: the truth cannot be read, or the rasters lie on different grids.
    """
    with open_raster(map_path) as one, open_truth(truth_path) as other:
        if one.shape != other.shape or not one.transform.almost_equals(other.transform):
            raise ImageryError(
                f"{truth_path} lies on another grid than the map {map_path}; make the truth on "
                "the imagery's grid"
            )
        predicted, truth = one.read(1).astype(np.float64), other.read(1).astype(np.float64)
    both = np.isfinite(predicted) & np.isfinite(truth)
    predicted, truth = predicted[both], truth[both]
    error = predicted - truth
    return {
        "pixels": int(both.sum()),
        "r": float(np.corrcoef(predicted, truth)[0, 1]),
        "r2": float(1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "bias": float(error.mean()),
    }


def open_truth(path: str | Path) -> DatasetReader:
    """Open a raster of the truth.

    Raises:
        ImageryError: it cannot be read.
    """
    try:
        return open_raster(path)
    except RasterioIOError as error:
        raise ImageryError(
            f"{path}, given by `truth`, cannot be read ({error}); correct the path, or remove "
            "`truth` for plots of real plants"
        ) from error


def noise_ceiling(plots: pd.DataFrame, noise_path: str | Path) -> float:
    """The r2 of a perfect map on these plots, whose counts are noisy.

        1 - mean(noise variance at the plots) / variance(observed richness)

    Args:
        plots: columns lon, lat (degrees) and richness.
        noise_path: band 1 is the variance of one plot's count, species squared.

    Raises:
        ImageryError: the raster cannot be read.
    """
    with open_truth(noise_path) as source:
        variance = source.read(1)
        rows, cols = Grid.of(source).pixel(plots["lon"].to_numpy(), plots["lat"].to_numpy())
    return float(1 - np.nanmean(variance[rows, cols]) / np.var(plots["richness"].to_numpy(float)))
