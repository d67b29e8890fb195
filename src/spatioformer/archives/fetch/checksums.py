"""Checksums of files, as publishers state them: "sha256:...", "md5:..."."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spatioformer.common.errors import ArgumentError

LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
"""Hexadecimal digits of the checksum of each algorithm."""


@dataclass(frozen=True)
class Checksum:
    """A checksum.

    Attributes:
        algorithm: a key of LENGTHS.
        digest: hexadecimal, in small letters.
    """

    algorithm: str
    digest: str

    def fits(self, path: Path) -> bool:
        """Whether a file has this checksum."""
        return digests(path, [self.algorithm])[self.algorithm] == self.digest

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


def parse_checksum(text: str) -> Checksum:
    """The checksum that a text such as "sha256:9f86..." states; case does not matter.

    Raises:
        ArgumentError: the text states none.
    """
    algorithm, _, digest = text.strip().lower().partition(":")
    length = LENGTHS.get(algorithm)
    if length is None or len(digest) != length or set(digest) - set("0123456789abcdef"):
        raise ArgumentError(
            f"{text!r} is no checksum; give the algorithm ({', '.join(LENGTHS)}), a colon and the "
            "hexadecimal digits, such as md5:d41d8cd98f00b204e9800998ecf8427e"
        )
    return Checksum(algorithm, digest)


def digests(path: Path, algorithms: Sequence[str]) -> dict[str, str]:
    """The checksums of a file, by algorithm, from one reading of it."""
    sums = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            for each in sums.values():
                each.update(chunk)
    return {name: each.hexdigest() for name, each in sums.items()}
