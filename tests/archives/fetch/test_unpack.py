"""Members of zip archives: unpacked once, checked, never outside the folder."""

import os
import zipfile

import pytest

from spatioformer.archives.fetch import fetch, unpack
from spatioformer.common.errors import ImageryError


def zipped(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_member_is_unpacked_once(served):
    zipped(served.folder / "a.zip", **{"in/b.tif": b"b" * 1000, "c.txt": b"c"})
    path = fetch(f"{served.url}/a.zip")
    out = unpack(path, "in/b.tif")
    assert out == path.parent / "a.zip.members" / "in" / "b.tif"
    assert out.read_bytes() == b"b" * 1000
    before = os.stat(out).st_ino
    assert os.stat(unpack(path, "in/b.tif")).st_ino == before
    out.write_bytes(b"x")
    assert unpack(path, "in/b.tif").read_bytes() == b"b" * 1000
    zipped(served.folder / "a.zip", **{"in/b.tif": b"n" * 1000})
    assert unpack(fetch(f"{served.url}/a.zip"), "in/b.tif").read_bytes() == b"n" * 1000


def test_refusals(tmp_path):
    path = zipped(tmp_path / "a.zip", **{"b.tif": b"b" * 5000})
    with pytest.raises(ImageryError, match=r"a\.zip holds no file 'c\.tif'; it holds b\.tif"):
        unpack(path, "c.tif")
    content = bytearray(path.read_bytes())
    content[40] ^= 255
    path.write_bytes(content)
    with pytest.raises(ImageryError, match=r"b\.tif of a\.zip is damaged"):
        unpack(path, "b.tif")
    assert not list(tmp_path.rglob("b*.tif"))
    hostile = zipped(tmp_path / "h.zip", **{"../b.tif": b""})
    with pytest.raises(ImageryError, match="leads outside the archive"):
        unpack(hostile, "../b.tif")
    (tmp_path / "n.zip").write_bytes(b"no")
    with pytest.raises(ImageryError, match="is not a readable zip archive"):
        unpack(tmp_path / "n.zip", "b.tif")
