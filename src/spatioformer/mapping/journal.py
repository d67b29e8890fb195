"""Journal of a map's finished tiles, from which a killed run resumes.

A folder beside the map, NAME.tif.tiles, holds `plan.json` (everything that determines the map) and
one log of finished tiles a writer. A log only grows. Each record ends with its checksum, so a
record damaged by a kill, a full disk or a bad sector is detected, and its tile is computed again.
"""

import contextlib
import hashlib
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from spatioformer.common.errors import OutputError
from spatioformer.common.files import as_output_error, read_json, write_json
from spatioformer.common.lock import Finished, Held, lock
from spatioformer.mapping.predictor import Totals

MAGIC = b"\x89tile\r\n\x1a"
HEADER = struct.Struct("<8sQIQ")  # magic, tile, bytes of totals, bytes of layers
DIGEST = 16
PLAN = "plan.json"
SCAN = 1 << 20


def encode(tile: int, totals: Totals, layers: np.ndarray | None) -> bytes:
    """Encode a record: header, totals as JSON, compressed layers, checksum of all of it."""
    numbers = json.dumps(asdict(totals)).encode()
    packed = b"" if layers is None else zlib.compress(_shuffled(layers), 1)
    body = HEADER.pack(MAGIC, tile, len(numbers), len(packed)) + numbers + packed
    return body + _digest(body)


def decode(record: bytes) -> tuple[int, Totals, np.ndarray | None] | None:
    """Decode a record: tile, totals and layers (float32, flat).

    None if the record is damaged, or has the totals of another version.
    """
    body, digest = record[:-DIGEST], record[-DIGEST:]
    if len(record) < HEADER.size + DIGEST or _digest(body) != digest:
        return None
    _, tile, numbers, packed = HEADER.unpack_from(body)
    sums = json.loads(body[HEADER.size : HEADER.size + numbers])
    if sums.keys() != Totals.__dataclass_fields__.keys():  # a tile of another version
        return None
    totals = Totals(**sums)
    if not packed:
        return tile, totals, None
    raw = np.frombuffer(zlib.decompress(body[HEADER.size + numbers :]), np.uint8)
    return tile, totals, np.ascontiguousarray(raw.reshape(4, -1).T).view("<f4").ravel()


def _shuffled(layers: np.ndarray) -> bytes:
    """Group the bytes of float32 values by position, which compresses better and faster."""
    return np.ascontiguousarray(layers.astype("<f4").view(np.uint8).reshape(-1, 4).T).tobytes()


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST).digest()


class Journal:
    """Finished tiles on disk, by number; a context manager that opens and closes the log.

    Args:
        out: path of the map.
        task: JSON object of everything that determines the map's values.
        count: number of tiles in the plan.
        writer: name of this writer's log.
    """

    def __init__(self, out: Path, task: dict[str, Any], count: int, writer: str = "1-of-1"):
        self.out, self.folder = out, tiles_folder(out)
        self._task, self._writer = task, writer
        self._logs: list[Path] = []
        self._log = np.full(count, -1, np.int32)
        self._place = np.zeros((count, 2), np.int64)  # offset, length
        self._stream: BinaryIO | None = None

    def __enter__(self) -> "Journal":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            plan = self.folder / f"{self._writer}.json"
            write_json(plan, self._task)  # a separate name first: shards may start at the same time
            os.replace(plan, self.folder / PLAN)
            log = self.folder / f"{self._writer}.log"
            log.touch()
            self._logs = sorted(self.folder.glob("*.log"))
            for number, path in enumerate(self._logs):
                end = self._read_index(number, path)
                if path == log:
                    os.truncate(path, end)  # remove an incomplete record
            self._own_log = self._logs.index(log)
            self._stream = open(log, "ab", buffering=0)
        except OSError as error:
            raise as_output_error(error, self.out) from error
        return self

    def __exit__(self, *exception) -> None:
        if self._stream is not None:
            self._stream.close()

    @property
    def _open_stream(self) -> BinaryIO:
        """This writer's log."""
        assert self._stream is not None  # `__enter__` opens it
        return self._stream

    def __contains__(self, tile: int) -> bool:
        return self._log[tile] >= 0

    @property
    def done(self) -> np.ndarray:
        """bool (count,): True for tiles with an intact record."""
        return self._log >= 0

    def _read_index(self, number: int, path: Path) -> int:
        end = 0
        with open(path, "rb") as stream:
            for offset, record in _records(stream):
                tile = HEADER.unpack_from(record)[1]
                if tile < len(self._log):
                    self._log[tile] = number
                    self._place[tile] = offset, len(record)
                end = offset + len(record)
        return end

    def append(self, tile: int, record: bytes) -> None:
        """Add a finished tile.

        Raises:
            OutputError: the disk is full; the tiles written before are safe.
        """
        stream = self._open_stream
        offset = stream.seek(0, os.SEEK_END)
        try:
            view = memoryview(record)
            while view:  # an unbuffered write to a full disk may be partial without an error
                view = view[stream.write(view) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                stream.truncate(offset)
            raise as_output_error(error, self.out) from error
        self._log[tile] = self._own_log
        self._place[tile] = offset, len(record)

    def read(self, tile: int) -> tuple[Totals, np.ndarray | None]:
        """Totals and layers (flat) of a finished tile.

        Raises:
            OutputError: the record was damaged after it was written.
        """
        offset, length = self._place[tile]
        with open(self._logs[self._log[tile]], "rb") as stream:
            stream.seek(offset)
            record = decode(stream.read(length))
        if record is None or record[0] != tile:
            raise OutputError(
                f"tile {tile} in {self.folder} was damaged while the map was assembled; run the "
                "same command again, which computes the tile anew"
            )
        return record[1:]

    def bytes(self) -> int:
        """Size of the finished tiles on disk."""
        return int(self._place[self._log >= 0, 1].sum())

    def remove(self) -> None:
        """Delete the tiles, when the map is complete."""
        self._open_stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _records(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, record) of intact records; damaged bytes between them are skipped."""
    offset, size = 0, stream.seek(0, os.SEEK_END)
    while True:
        stream.seek(offset)
        header = stream.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        magic, _, numbers, packed = HEADER.unpack(header)
        if magic == MAGIC and offset + HEADER.size + numbers + packed + DIGEST <= size:
            rest = stream.read(numbers + packed + DIGEST)
            if _digest(header + rest[:-DIGEST]) == rest[-DIGEST:]:
                yield offset, header + rest
                offset += HEADER.size + len(rest)
                continue
        next_offset = _next_magic(stream, offset + 1)
        if next_offset is None:
            return
        offset = next_offset


def _next_magic(stream: BinaryIO, offset: int) -> int | None:
    """Offset at which the next record may begin after a damaged one; None: no further record."""
    stream.seek(offset)
    while piece := stream.read(SCAN):
        position = piece.find(MAGIC)
        if position >= 0:
            return offset + position
        offset += max(1, len(piece) - len(MAGIC) + 1)
        stream.seek(offset)
        if len(piece) < len(MAGIC):
            return None
    return None


def tiles_folder(out: Path) -> Path:
    return out.with_name(f"{out.name}.tiles")


def unfinished(out: Path) -> dict[str, Any] | None:
    """Plan of an unfinished run of `out`; None if there is none."""
    with contextlib.suppress(OSError, ValueError):
        return read_json(tiles_folder(out) / PLAN)
    return None


@contextlib.contextmanager
def locked(out: Path, shard: tuple[int, int] | None = None) -> Iterator[None]:
    """Lock an output for this process; the lock is released when the process ends in any way.

    Shards of one map share the output, and each locks its shard.

    Raises:
        OutputError: another process holds the lock, or the folder cannot be written.
    """
    folder = out.parent
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shared = shard is not None
            stack.enter_context(_lock(out.with_name(f"{out.name}.lock"), shared, out))
            if shard is not None:
                name = f"{out.name}.{shard[0]}-of-{shard[1]}.lock"
                stack.enter_context(_lock(out.with_name(name), False, out))
        except OSError as error:
            raise as_output_error(error, out) from error
        yield


def remove_stale_lock(out: Path) -> None:
    """Remove the lock file of a finished output, which a killed process may have left.

    Raises:
        OutputError: another process holds the lock.
    """
    if out.with_name(f"{out.name}.lock").exists():
        with locked(out):
            pass


@contextlib.contextmanager
def _lock(path: Path, shared: bool, out: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(path, shared=shared))
        except Held as error:
            raise OutputError(
                f"cannot write {out}: another run is writing it ({error.holder}); wait for it to "
                "end, or name another file"
            ) from None
        except Finished:
            raise OutputError(
                f"cannot write {out}: another run has just finished it; check the map, then run "
                "again"
            ) from None
        yield
