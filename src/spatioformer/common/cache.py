"""Results on disk under the key of all they depend on, and records of what files are made of.

`Cache` keeps intermediate results: evaluation jobs, the held-out predictions of a stack's members,
a training's checkpoint. `Record` is a JSON file beside finished outputs, which states for each
output what it was made of.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatioformer.common.files import (
    hash_value,
    read_json,
    remove,
    save_array,
    write_json,
    writing,
)

if TYPE_CHECKING:
    import numpy as np

KEY_LENGTH = 16
"""Hexadecimal digits of a key that stand in a name: 64 bits, enough to tell results apart."""


@dataclass(frozen=True)
class Cache:
    """A place on disk for the results of one key; a change of the key is another place.

    The place is `FOLDER/NAME-KEY.SUFFIX`. It is one file, which its owner writes (a checkpoint), or
    a folder of arrays. Arrays are written whole or not at all. An array that cannot be read counts
    as absent, so it is computed again.

    Attributes:
        folder: folder of the places of all keys.
        name: what the results are, for example "jobs"; no other cache in `folder` begins with it.
        key: hash of everything that the results depend on.
        suffix: end of the name, with its dot.
    """

    folder: Path
    name: str
    key: str
    suffix: str = ""

    @property
    def path(self) -> Path:
        """The file or folder of this key."""
        return self.folder / f"{self.name}-{self.key[:KEY_LENGTH]}{self.suffix}"

    def array_path(self, name: str) -> Path:
        """File of an array in the folder of this key."""
        return self.path / f"{name}.npy"

    def names(self) -> set[str]:
        """Names of the arrays that lie there."""
        return {path.stem for path in self.path.glob("*.npy") if not path.stem.endswith(".part")}

    def load(self, name: str) -> "np.ndarray | None":
        """The array called `name`; None where it is absent or damaged."""
        import numpy as np

        try:
            return np.load(self.array_path(name), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None

    def save(self, name: str, array: "np.ndarray") -> None:
        """Write an array, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self.array_path(name)) as part:
            save_array(part, array)

    def get(self, name: str, compute: Callable[[], "np.ndarray"]) -> "np.ndarray":
        """The array called `name`, computed and saved where it is absent or damaged."""
        array = self.load(name)
        if array is None:
            array = compute()
            self.save(name, array)
        return array

    def prune(self) -> None:
        """Remove the results of all other keys."""
        self._remove(keep=self.path)

    def clear(self) -> None:
        """Remove the results of all keys."""
        self._remove(keep=None)

    def _remove(self, keep: Path | None) -> None:
        for path in self.folder.glob(f"{self.name}-*{self.suffix}"):
            if path != keep:
                remove(path)


class Record:
    """A JSON file that states, for each output beside it, what the output was made of.

    The statement is written before its output. An output that exists and is written whole or not at
    all is therefore what its statement says. The file maps the name of an output to
    `{"made_of": ..., "facts": ...}`. Files of version 0.1 call these "asked" and "found".

    Args:
        path: the JSON file; an absent or damaged one states nothing.
    """

    def __init__(self, path: Path):
        self._path = path
        self._entries: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            entries = read_json(path)
            for name, entry in entries.items() if isinstance(entries, dict) else ():
                if isinstance(entry, dict):
                    facts = entry.get("facts", entry.get("found"))
                    made_of = entry.get("made_of", entry.get("asked"))
                    self._entries[name] = {"made_of": made_of, "facts": facts}

    def made_of(self, name: str) -> Any:
        """What the output is made of, as JSON; None where nothing is known of it."""
        return self._entries.get(name, {}).get("made_of")

    def matches(self, name: str, made_of: Any) -> bool:
        """Whether the output, if it exists, is made of `made_of`, any JSON value."""
        return name in self._entries and hash_value(self.made_of(name)) == hash_value(made_of)

    def facts(self, name: str) -> Any:
        """What `finish` stated of the output; None where it was not finished."""
        return self._entries.get(name, {}).get("facts")

    def begin(self, name: str, made_of: Any) -> None:
        """State what the output will be made of; call it after the old output is removed.

        Raises:
            OutputError: the record cannot be written.
        """
        self._entries[name] = {"made_of": made_of, "facts": None}
        self._write()

    def finish(self, name: str, facts: Any) -> None:
        """State facts about an output that was begun and is now there.

        Raises:
            OutputError: the record cannot be written.
        """
        self._entries[name]["facts"] = facts
        self._write()

    def _write(self) -> None:
        write_json(self._path, self._entries)
