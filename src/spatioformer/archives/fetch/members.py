"""Unpack one member of a zip archive that was fetched."""

import os
import shutil
import zipfile
from pathlib import Path

from spatioformer.common.errors import ImageryError
from spatioformer.common.files import writing
from spatioformer.common.zip_files import DAMAGED, one_line, zip_members


def unpack(path: Path, member: str) -> Path:
    """Unpack one file of a zip archive to NAME.members/ beside it, once.

    Args:
        path: the archive, as `fetch` returns it.
        member: name of the file in the archive, with `/`.

    Raises:
        ImageryError: no archive, a damaged or hostile one (see `common.zip_files`), or it holds no
            such file.
        OutputError: the disk is full, or the folder cannot be written.
    """
    sizes = zip_members(path, ImageryError)
    if member not in sizes:
        held = ", ".join(list(sizes)[:5]) + (", ..." if len(sizes) > 5 else "")
        raise ImageryError(f"{path.name} holds no file {member!r}; it holds {held}")
    archive = path.stat()
    out = path.parent / f"{path.name}.members" / member
    if out.is_file():
        facts = out.stat()
        if (facts.st_size, facts.st_mtime_ns) == (sizes[member], archive.st_mtime_ns):
            return out
    with writing(out) as part:
        try:
            with zipfile.ZipFile(path) as files, files.open(member) as stream:
                with open(part, "wb") as target:
                    shutil.copyfileobj(stream, target, 1 << 20)
        except DAMAGED as error:
            raise ImageryError(
                f"{member} of {path.name} is damaged ({one_line(error)}); fetch the archive again"
            ) from error
        os.utime(part, ns=(archive.st_mtime_ns, archive.st_mtime_ns))
    return out
