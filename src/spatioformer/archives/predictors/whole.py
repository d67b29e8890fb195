"""Files that have to be whole on the disk before they are read: zip archives and NetCDF files."""

from pathlib import Path, PurePosixPath
from threading import Lock
from urllib.parse import urlsplit

from rasterio.errors import RasterioIOError

from spatioformer.archives.fetch import fetch_file, unpack
from spatioformer.archives.items import Asset
from spatioformer.archives.remote import Access
from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.netcdf import address
from spatioformer.geo.raster.opening import open_raster, variables_of


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
        known = _known.get(key)
        if known is None or not known.exists():
            path = fetch_file(asset.href, access)
            is_zip = PurePosixPath(urlsplit(asset.href).path).suffix.lower() == ".zip"
            known = unpack(path, asset.member) if is_zip else path
            if not is_zip:
                _check_variable(known, asset.member, access.owner)
            _known[key] = known
    return str(known) if known.suffix.lower() in TIFF else address(known, asset.member)


def _check_variable(path: Path, variable: str, owner: str) -> None:
    """Raise if a NetCDF file lacks a variable, which GDAL calls a missing file.

    Raises:
        ImageryError: it does; the message lists those that it has.
    """
    try:
        names = variables_of(path)
        if not names:
            with open_raster(path) as dataset:
                names = [dataset.tags(1)["NETCDF_VARNAME"]]
    except (RasterioIOError, KeyError, IndexError):
        return  # the reader says what is wrong with the file
    if variable not in names:
        raise ImageryError(
            f"{owner}: {path} has no variable {variable}, only {', '.join(names)}; download it "
            "with this variable, or leave its bands out of `bands`"
        )


TIFF = (".tif", ".tiff")
_known: dict[tuple[str, str, Path], Path] = {}
_locks: dict[str, Lock] = {}
_guard = Lock()
