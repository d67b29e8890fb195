"""Files that have to be whole on the disk before they are read: zip archives and NetCDF files."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TypeVar
from urllib.parse import urlsplit
from zipfile import is_zipfile

from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from spatioformer.archives.fetch import fetch_file, unpack
from spatioformer.archives.items import Asset
from spatioformer.archives.remote import Access
from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.checks import short
from spatioformer.geo.raster.netcdf import address
from spatioformer.geo.raster.opening import open_raster, variables_of

Result = TypeVar("Result")


def whole_file(asset: Asset, access: Access) -> str:
    """Address or path under which the raster of an asset is opened.

    A file of which an asset names a member is fetched whole into the cache. A process asks the
    server once whether it has changed.

    Raises:
        ImageryError: it cannot be fetched, or has no such member or variable.
        OutputError: the cache cannot be written.
    """
    if asset.member is None:
        return asset.href
    key = asset.href, asset.member, access.cache
    with _guard:
        lock = _locks.setdefault(asset.href, Lock())
    with lock:  # several bands of one archive wait for it together
        raster = _known.get(key)
        if raster is None or not raster.exists():
            path = fetch_file(asset.href, access)
            is_zip = PurePosixPath(urlsplit(asset.href).path).suffix.lower() == ".zip"
            raster = unpack(path, asset.member) if is_zip else path
            if not is_zip:
                _check_variable(raster, asset.member, access.owner)
            _known[key] = raster
    return str(raster) if raster.suffix.lower() in TIFF else address(raster, asset.member)


def read_variable(variable: str, owner: str, task: Callable[[DatasetReader], Result]) -> Result:
    """Run a task on an open variable of a NetCDF file, of which only windows are read.

    Args:
        variable: name of `geo.raster.netcdf.address`.
        owner: beginning of the message.

    Raises:
        ImageryError: the file is damaged.
    """
    try:
        with open_raster(variable, placed=True) as dataset:
            return task(dataset)
    except RasterioError as error:
        raise _unreadable(owner, variable, error) from error


def _check_variable(path: Path, variable: str, owner: str) -> None:
    """Raise if a NetCDF file lacks a variable, which GDAL calls a missing file.

    Raises:
        ImageryError: it does, and the message lists those that it has; or it is no NetCDF file.
    """
    if is_zipfile(path):
        raise ImageryError(
            f"{owner}: {path} is a zip archive; unpack it, and give the NetCDF file in it this name"
        )
    try:
        names = variables_of(path)
        if not names:
            with open_raster(path, placed=True) as dataset:
                names = [dataset.tags(1).get("NETCDF_VARNAME", "")] if dataset.count else []
    except RasterioError as error:
        raise _unreadable(owner, path, error) from error
    if variable not in names:
        raise ImageryError(
            f"{owner}: {path} has no variable {variable}, only {', '.join(names) or 'axes'}; "
            "download it with this variable, or leave its bands out of `bands`"
        )


def _unreadable(owner: str, path: Path | str, error: RasterioError) -> ImageryError:
    reason = short(str(error).splitlines()[0].rstrip("."))
    return ImageryError(f"{owner}: {path} cannot be read ({reason}); fetch the file again")


TIFF = (".tif", ".tiff")
_known: dict[tuple[str, str, Path], Path] = {}
_locks: dict[str, Lock] = {}
_guard = Lock()
