"""Intermediate results on disk by key, and records of what finished outputs were made of.

`Cache` keeps results under the key of everything that they depend on: evaluation jobs, the held-out
predictions of a stack's members, checkpoints. `Arrays` is a folder of such results. `Record` is a
JSON file beside finished outputs that states what each of them was made of.
"""

import contextlib
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatioformer.common.files import (
    hash_value,
    read_json,
    remove,
    save_array,
    set_aside,
    write_json,
    writing,
)
from spatioformer.common.parts import is_part

if TYPE_CHECKING:
    import numpy as np

DIGEST = 16
"""Bytes of the checksum at the end of a kept array."""
KEY_LENGTH = 16
"""Hexadecimal digits of a key that stand in a name: 64 bits, enough to tell results apart."""


@dataclass(frozen=True)
class Cache:
    """Places on disk for the results of each key: `FOLDER/NAME-KEY.SUFFIX`, a file or a folder.

    A result whose key has changed is not found, so nothing has to be compared. Who uses the cache
    writes the file, whole or not at all (`common.files.writing`), or fills the folder (`arrays`).

    Attributes:
        folder: where the results of all keys lie.
        name: what the results are, such as "jobs"; no other file in `folder` begins with "NAME-".
        suffix: end of each name, with its dot.
    """

    folder: Path
    name: str
    suffix: str = ""

    def path(self, key: str) -> Path:
        """The file or folder of a key, a hash of everything that the results depend on."""
        return self.folder / f"{self.name}-{key[:KEY_LENGTH]}{self.suffix}"

    def arrays(self, key: str) -> "Arrays":
        """The folder of a key, as a folder of arrays."""
        return Arrays(self.path(key))

    def prune(self, key: str) -> None:
        """Remove the results of all other keys."""
        self._remove(but=self.path(key))

    def clear(self) -> None:
        """Remove the results of all keys."""
        self._remove(but=None)

    def _remove(self, but: Path | None) -> None:
        for path in self.folder.glob(f"{self.name}-*{self.suffix}"):
            if path != but:
                remove(path)


@dataclass(frozen=True)
class Arrays:
    """A folder of arrays, each in a file `NAME.npy` that is written whole or not at all.

    An array that cannot be read counts as absent, so it is computed again.
    """

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def names(self) -> set[str]:
        """Names of the arrays in the folder."""
        return {path.stem for path in self.folder.glob("*.npy") if not is_part(path)}

    def load(self, name: str) -> "np.ndarray | None":
        """The array called `name`; None where it is absent or damaged."""
        import numpy as np

        try:
            content = self.path(name).read_bytes()
            body, digest = content[:-DIGEST], content[-DIGEST:]
            if _digest(body) != digest:
                return None
            array: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
        except Exception:  # a damaged header can fail in any way
            return None
        return array

    def save(self, name: str, array: "np.ndarray") -> None:
        """Write an array, and behind it a checksum, by which damage of any kind is found.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self.path(name)) as part:
            save_array(part, array)
            with open(part, "r+b") as stream:
                stream.write(_digest(stream.read()))

    def set_aside_damaged(self) -> list[Path]:
        """Rename each array that cannot be read to NAME.npy.damaged; returns their old paths.

        Raises:
            OutputError: the folder cannot be written.
        """
        damaged = [self.path(n) for n in sorted(self.names()) if self.load(n) is None]
        for path in damaged:
            set_aside(path)
        return damaged

    def get(self, name: str, compute: Callable[[], "np.ndarray"]) -> "np.ndarray":
        """The array called `name`, computed and saved where it is absent or damaged."""
        array = self.load(name)
        if array is None:
            array = compute()
            self.save(name, array)
        return array

    def remove_parts(self) -> None:
        """Remove what processes were writing when they were killed."""
        for path in self.folder.glob("*.npy"):
            if is_part(path):
                path.unlink(missing_ok=True)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


class Record:
    """A JSON file that states what each output beside it was made of, and facts about it.

    The statement is written before the output, and the output is written whole or not at all. So an
    output that exists is what its statement says. The file maps the name of each output to
    `{"made_of": ..., "facts": ...}`; version 0.1 wrote "asked" and "found" instead.

    Args:
        path: the JSON file; an absent or damaged one states nothing.
    """

    def __init__(self, path: Path):
        self._path = path
        self._entries: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for name, entry in read_json(path).items():
                if isinstance(entry, dict):
                    self._entries[name] = {
                        "made_of": entry.get("made_of", entry.get("asked")),
                        "facts": entry.get("facts", entry.get("found")),
                    }

    def made_of(self, output: Path) -> Any:
        """What the output was made of, as JSON; None where that is not known."""
        return self._entries.get(output.name, {}).get("made_of")

    def matches(self, output: Path, made_of: Any) -> bool:
        """Whether the output exists and was made of `made_of`, which is any value for JSON."""
        finished = output.exists() and output.name in self._entries
        return finished and hash_value(self.made_of(output)) == hash_value(made_of)

    def facts(self, output: Path) -> Any:
        """What `finish` stated about the output; None where it was not finished."""
        return self._entries.get(output.name, {}).get("facts")

    def begin(self, output: Path, made_of: Any) -> None:
        """Remove the old output, and state what the new one will be made of.

        Raises:
            OutputError: the record cannot be written.
        """
        output.unlink(missing_ok=True)
        self._entries[output.name] = {"made_of": made_of, "facts": None}
        write_json(self._path, self._entries)

    def finish(self, output: Path, facts: Any) -> None:
        """State facts about an output that was begun and now exists.

        Raises:
            OutputError: the record cannot be written.
        """
        self._entries[output.name]["facts"] = facts
        write_json(self._path, self._entries)
