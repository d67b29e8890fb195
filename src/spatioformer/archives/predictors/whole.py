"""Files that have to be whole on the disk before they are read: zip archives and NetCDF files."""

from pathlib import Path, PurePosixPath
from threading import Lock
from urllib.parse import urlsplit

from spatioformer.archives.fetch import fetch_file, unpack
from spatioformer.archives.items import Asset
from spatioformer.archives.remote import Access
from spatioformer.geo.raster.netcdf import address


def whole_file(asset: Asset, access: Access) -> str:
    """Address or path under which the raster of an asset is opened.

    A file of which an asset names a member is fetched whole into the cache. A process asks the
    server once whether it has changed.

    Raises:
        ImageryError: it cannot be fetched, or has no such member.
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
            known = _known[key] = unpack(path, asset.member) if is_zip else path
    return str(known) if known.suffix.lower() in TIFF else address(known, asset.member)


TIFF = (".tif", ".tiff")
_known: dict[tuple[str, str, Path], Path] = {}
_locks: dict[str, Lock] = {}
_guard = Lock()
