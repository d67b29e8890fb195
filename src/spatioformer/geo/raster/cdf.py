"""Check the header of a classic NetCDF file before the NetCDF library reads it.

The library trusts the counts of a header: of some damaged files it reads for minutes or ends the
process. Format: NetCDF users' guide, appendix "File Format Specifications" (CDF-1, -2 and -5).
"""

import math
import os
from pathlib import Path
from typing import BinaryIO

DIMENSION, VARIABLE, ATTRIBUTE = 10, 11, 12
SIZES = (1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8)  # bytes of a value of the types 1 to 11
MOST = 100_000  # dimensions, variables or attributes in a list; the library allows fewer
MOST_SIDES = 1024  # dimensions of a variable
LONGEST_NAME = 1024


def problem_of_header(file: Path) -> str:
    """Why the header of a classic NetCDF file is not one; '' if it is."""
    with open(file, "rb") as stream:
        try:
            _Header(stream, os.path.getsize(file)).check()
        except ValueError as error:  # of int() and decode() too
            return str(error)
    return ""


class _Header:
    """Reader of a header, which raises ValueError where it contradicts the format or the size."""

    def __init__(self, stream: BinaryIO, size: int):
        self.stream, self.size = stream, size
        self.version = self._bytes(4)[3]
        self.wide = 8 if self.version == 5 else 4  # bytes of a count
        self.types = 11 if self.version == 5 else 6

    def check(self) -> None:
        self._number(self.wide)  # records
        lengths = []
        for _ in range(self._count(DIMENSION)):
            self._name()
            lengths.append(self._number(self.wide))
        if lengths.count(0) > 1:
            raise ValueError("it has several unlimited dimensions")
        self._attributes()
        for _ in range(self._count(VARIABLE)):
            self._variable(lengths)

    def _variable(self, lengths: list[int]) -> None:
        self._name()
        sides = self._number(self.wide)
        if sides > MOST_SIDES:
            raise ValueError(f"a variable has {sides} dimensions")
        numbers = [self._number(self.wide) for _ in range(sides)]
        if any(number >= len(lengths) for number in numbers):
            raise ValueError("a variable has a dimension that does not exist")
        if any(lengths[number] == 0 for number in numbers[1:]):
            raise ValueError("an unlimited dimension is not the first")
        self._attributes()
        width = self._type()
        self._number(self.wide)  # bytes, which a large variable states wrongly
        begin = self._number(4 if self.version == 1 else 8)
        stated = [length for length in (lengths[number] for number in numbers) if length]
        if begin + width * math.prod(stated) > self.size + 3 and all(lengths[n] for n in numbers):
            raise ValueError("it ends before its last variable")

    def _attributes(self) -> None:
        for _ in range(self._count(ATTRIBUTE)):
            self._name()
            width = self._type()
            length = width * self._number(self.wide)
            self._skip(length + -length % 4)

    def _type(self) -> int:
        """Bytes of a value of the type that comes next."""
        number = self._number(4)
        if not 1 <= number <= self.types:
            raise ValueError(f"it has a value of type {number}")
        return SIZES[number - 1]

    def _count(self, kind: int) -> int:
        tag, count = self._number(4), self._number(self.wide)
        if tag not in (0, kind) or (tag == 0 and count) or count > MOST:
            raise ValueError("a list of its header is damaged")
        return count

    def _name(self) -> None:
        length = self._number(self.wide)
        if not 1 <= length <= LONGEST_NAME:
            raise ValueError(f"a name has {length} bytes")
        name = self._bytes(length + -length % 4)[:length].decode()
        if not name.isprintable() or "/" in name:
            raise ValueError("a name is damaged")

    def _number(self, width: int) -> int:
        number = int.from_bytes(self._bytes(width), "big")
        if number >= 1 << (8 * width - 1) and number != (1 << 8 * width) - 1:
            raise ValueError("a count is negative")
        return number

    def _bytes(self, count: int) -> bytes:
        content = self.stream.read(count)
        if len(content) < count:
            raise ValueError("it ends within its header")
        return content

    def _skip(self, count: int) -> None:
        if self.stream.tell() + count > self.size:
            raise ValueError("it ends within its header")
        self.stream.seek(count, os.SEEK_CUR)
