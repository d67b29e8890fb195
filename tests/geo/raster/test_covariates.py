"""Rasters of the covariates of a plot table, as a model takes them."""

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin

from spatioformer.common.errors import ImageryError
from spatioformer.geo.covariates import Covariates
from spatioformer.geo.raster.covariates import write_covariates

PLOTS = pd.DataFrame(
    {
        "rain": [10.0, np.nan, 30.0],
        "soil": ["1", "2", "1"],
        "realm": ["north", "south", "north"],
        "area_m2": [10.0, 100.0, 1000.0],
    }
)


def raster(path, **bands):
    first = np.asarray(next(iter(bands.values())))
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=len(bands), height=first.shape[0],
        width=first.shape[1], crs="EPSG:4326", transform=from_origin(0, 10, 1, 1), nodata=-1,
    ) as target:  # fmt: skip
        for i, (name, values) in enumerate(bands.items(), 1):
            target.write(np.asarray(values, np.float32), i)
            target.set_band_description(i, name)
    return path


def written(tmp_path, covariates, source, fixed):
    write_covariates(covariates, source, fixed, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as opened:
        return dict(zip(opened.descriptions, opened.read(), strict=True)), opened.dataset_mask()


def test_bands_and_fixed_values_become_the_columns_of_the_model(tmp_path):
    covariates = Covariates.of(PLOTS, dict.fromkeys(PLOTS), ["area_m2"])
    source = raster(tmp_path / "in.tif", soil=[[1, 2], [3, -1]], rain=[[5, 6], [7, 8]])
    bands, mask = written(tmp_path, covariates, source, {"realm": "south", "area_m2": "400"})
    assert list(bands) == covariates.columns
    assert bands["rain"][0].tolist() == [5, 6]
    assert bands["rain is missing"][0].tolist() == [0, 0]
    assert bands["soil = 1"][0].tolist() == [1, 0]
    assert bands["soil = 2"][0].tolist() == [0, 1]
    assert (bands["realm = north"][0, 0], bands["realm = south"][0, 0]) == (0, 1)
    assert bands["log10 area_m2"][0, 0] == pytest.approx(np.log10(400))
    assert (mask > 0).tolist() == [[True, True], [False, False]]  # an unknown class, and no data


@pytest.mark.parametrize(
    ("usual", "bands", "fixed", "message"),
    [
        (["rain", "soil"], {"snow": [[1]]}, {}, r"lacks 2 of the 2 covariates .*: rain, soil \("),
        (["rain"], {"rain": [[1]]}, {"wind": "2"}, "no covariate 'wind' to fix"),
        (["rain"], {"rain": [[1]]}, {"rain": "wet"}, "rain is fixed at 'wet', and it is a number"),
        (["soil"], {"soil": [[1]]}, {"soil": "9"}, "soil is '9', a class that"),
        (["realm"], {"realm": [[1]]}, {}, "classes of realm have names .* --fixed 'realm=north'"),
    ],
)  # fmt: skip
def test_what_is_lacking_is_said(tmp_path, usual, bands, fixed, message):
    covariates = Covariates.of(PLOTS, dict.fromkeys(usual))
    source = raster(tmp_path / "in.tif", **bands)
    with pytest.raises(ImageryError, match=message):
        write_covariates(covariates, source, fixed, tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()
