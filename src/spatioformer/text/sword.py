"""Read the text of a SWORD module in the zText format of CrossWire's Bible software.

A module is a `.conf` file that names a folder with three files a testament: `.bzz`, zlib-compressed
blocks; `.bzs`, where each block lies (offset, compressed size, size: 3 little-endian uint32); and
`.bzv`, where each verse lies (block: uint32, start: uint32, length: uint16). Source of the format:
the documentation and index files of the SWORD project (CrossWire), checked against Debian's
sword-text-sparv.
"""

import html
import re
import struct
import zlib
from pathlib import Path

TESTAMENTS = ("ot", "nt")
TITLE = re.compile(r"<title\b.*?</title>", re.DOTALL)
CHAPTER = re.compile(r"<chapter\b[^>]*\bsID=[^>]*>")
# Adjacent tagged words are separate words; text inside or beside one tag stays as it is.
TOUCHING = re.compile(r"(</(?:w|transChange)>)(?=<(?:w|transChange)\b)")
TAG = re.compile(r"<[^>]*>")


def read_sword(conf: str | Path) -> str:
    """Read a module's text: a verse a line, an empty line before each chapter, no titles or notes.

    Args:
        conf: such as `/usr/share/sword/mods.d/spaRV1909eb.conf`.

    Raises:
        OSError: a file is missing.
        ValueError: the module has another driver, compression or encoding, or is damaged.
    """
    conf = Path(conf)
    settings = _settings(conf)
    for key, wanted in (("ModDrv", "zText"), ("CompressType", "ZIP"), ("Encoding", "UTF-8")):
        if settings.get(key, "none").lower() != wanted.lower():
            raise ValueError(f"its {key} is {settings.get(key, 'none')}, only {wanted} is read")
    folder = conf.parent.parent / settings.get("DataPath", "")
    testaments = [name for name in TESTAMENTS if (folder / f"{name}.bzz").exists()]
    if not testaments:
        raise FileNotFoundError(f"no ot.bzz or nt.bzz in {folder}")
    verses = [verse for name in testaments for verse in _verses(folder, name)]
    return "\n".join(verses).strip() + "\n"


def _settings(conf: Path) -> dict[str, str]:
    """Read KEY=VALUE lines; the first value of a repeated key."""
    settings: dict[str, str] = {}
    for line in conf.read_text(encoding="utf-8", errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(key.strip(), value.strip())
    return settings


def _verses(folder: Path, testament: str) -> list[str]:
    """Plain text of each verse in the module's order, with "" before each chapter."""
    packed, where, index = (
        (folder / f"{testament}.{suffix}").read_bytes() for suffix in ("bzz", "bzs", "bzv")
    )
    try:
        blocks = [
            zlib.decompress(packed[offset : offset + size])
            for offset, size, _ in struct.iter_unpack("<III", where)
        ]
        entries = [
            blocks[block][start : start + length].decode()
            for block, start, length in struct.iter_unpack("<IIH", index)
            if length
        ]
    except (zlib.error, struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"{testament}.bz* are damaged: {error}") from error
    verses = []
    for entry in entries:
        if CHAPTER.search(entry):
            verses.append("")
        if text := _plain(entry):
            verses.append(text)
    return verses


def _plain(markup: str) -> str:
    """Remove OSIS markup; words are separated by single spaces."""
    markup = TOUCHING.sub(r"\1 ", TITLE.sub(" ", markup))
    return " ".join(html.unescape(TAG.sub("", markup)).split())
