"""Files of NetCDF are opened and read by one thread at a time; other files do not wait."""

from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
from rasterio.windows import Window

from spatioformer.geo.raster.netcdf import address
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.turns import turn
from spatioformer.geo.raster.values import Values
from tests.helpers.landscape import write_raster
from tests.helpers.predictors import year_of_climate


def first_value(name) -> float:
    with open_raster(name, placed=True) as dataset:
        return float(Values(dataset, (1,)).read(Window(2, 3, 4, 5)).mean())


def test_netcdf_is_opened_and_read_in_turns(tmp_path):
    netcdf, tiff = tmp_path / "rain_2020.nc", tmp_path / "rain.tif"
    year_of_climate(netcdf, "ppt", np.full((12, 20, 40), 11.0), 0.1)
    write_raster(tiff, np.full((1, 20, 40), 7, np.float32))
    name = address(netcdf, "ppt")
    with open_raster(name, placed=True) as opened, ThreadPoolExecutor(3) as pool:
        with turn("netCDF"):
            waiting = [
                pool.submit(first_value, name),
                pool.submit(Values(opened, (1,)).read_raw, Window(2, 3, 4, 5)),
            ]
            assert pool.submit(first_value, tiff).result(timeout=20) == 7
            assert not wait(waiting, timeout=0.2).done
        mean, (raw, valid) = (future.result(timeout=20) for future in waiting)
    assert np.isclose(mean, 11)
    assert valid.all()
    assert len(np.unique(raw)) == 1
