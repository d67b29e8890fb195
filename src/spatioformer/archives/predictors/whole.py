"""Files that have to be whole on the disk before they are read: zip archives and NetCDF files."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from spatioformer.archives.items import Asset
from spatioformer.archives.remote import Access
from spatioformer.archives.remote.addresses import is_remote, local_path
from spatioformer.geo.raster.netcdf import address


def whole_file(asset: Asset, access: Access) -> str:
    """Address or path under which the raster of an asset is opened.

    A file of which an asset names a member is fetched whole into the cache.

    Raises:
        ImageryError: it cannot be fetched, or has no such member.
    """
    if asset.member is None:
        return asset.href
    from spatioformer.archives.fetch import fetch, unpack

    path = fetch(asset.href, access) if is_remote(asset.href) else local_path(asset.href)
    if PurePosixPath(urlsplit(asset.href).path).suffix.lower() == ".zip":
        return str(unpack(path, asset.member))
    return address(path, asset.member)
