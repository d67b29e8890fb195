"""Records of finished stages: `.stages/NAME.json` of a run folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatioformer.common.files import read_json

Outputs = dict[str, "str | dict[str, str | None] | None"]
"""Output -> SHA-256 of a file, or of each file of a folder; None for one that is absent."""


@dataclass(frozen=True)
class Record:
    """What a stage's last finished run was made of, and what it made.

    Attributes:
        fingerprint: hash of `parts`.
        seconds: how long it took.
        parts: what it depended on, by kind and name; None in records of version 0.1.
        outputs: what it made; None in records of older versions, which held sizes.
    """

    fingerprint: str
    seconds: float
    parts: dict[str, Any] | None
    outputs: Outputs | None


def read_record(path: Path) -> Record | None:
    """The record in a file; None where it is absent or damaged."""
    try:
        value = read_json(path)
        fingerprint, outputs, parts = value["fingerprint"], value["outputs"], value.get("parts")
        seconds = float(value.get("seconds", 0))
        if not isinstance(fingerprint, str) or not isinstance(outputs, dict):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if parts is not None and not _is_table(parts):
        return None
    sizes = any(isinstance(v, int) for v in outputs.values())
    return Record(fingerprint, seconds, parts, None if sizes else outputs)


def _is_table(parts: Any) -> bool:
    return isinstance(parts, dict) and all(isinstance(part, dict) for part in parts.values())


def differing(before: Outputs, now: Outputs) -> dict[str, str]:
    """File -> "is missing" or "is damaged or was changed", compared with its record.

    Files that came into a folder since do not count: nobody reads them.
    """
    states: dict[str, str] = {}
    for output, current in now.items():
        recorded = before.get(output)
        if isinstance(recorded, dict):
            present = current if isinstance(current, dict) else {}
            pairs = {f"{output}/{k}": (v, present.get(k)) for k, v in recorded.items()}
        else:
            pairs = {output: (recorded, None if isinstance(current, dict) else current)}
        for name, (old, new) in pairs.items():
            if old != new:
                states[name] = "is missing" if new is None else "is damaged or was changed"
    return states
