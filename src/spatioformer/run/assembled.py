"""Files that hold results of several stages: the runner alone writes them, no stage does.

Each stage writes its own results. After each stage, and at the start of each run, the runner brings
these files up to date, so a file that was deleted or left half done comes back.
"""

from collections.abc import Sequence
from pathlib import Path

from spatioformer.common.files import writing
from spatioformer.models.licence import LICENCE

UNCERTAINTY = ("uncertainty.npz", "uncertainty.json")


def write_rejected(parts: Sequence[Path], out: Path) -> None:
    """Write rejected.csv: the rows that each of the stages rejected, in the order of the stages.

    Args:
        parts: one CSV file a stage, all with the same header.

    Raises:
        OutputError: `out` cannot be written.
    """
    texts = [part.read_bytes() for part in parts]
    header = texts[0].partition(b"\n")[0] + b"\n"
    _write_changed(out, header + b"".join(text.partition(b"\n")[2] for text in texts))


def attach_uncertainty(evaluation: Path, model: Path) -> None:
    """Copy the uncertainty that an evaluation measured into the model's folder, or remove it there.

    Raises:
        OutputError: the model's folder cannot be written.
    """
    for name in UNCERTAINTY:
        if (evaluation / name).is_file():
            _write_changed(model / name, (evaluation / name).read_bytes())
        else:  # the evaluation gives no intervals
            (model / name).unlink(missing_ok=True)


def attach_licence(licence: str | None, model: Path) -> None:
    """Write the licence of the map into the model's folder, or remove it there.

    It is no part of the trained model, so a change of the licence does not train it again.

    Raises:
        OutputError: the model's folder cannot be written.
    """
    if licence is None:
        if (model / LICENCE).is_file():  # where training failed there may be no such folder
            (model / LICENCE).unlink()
    else:
        _write_changed(model / LICENCE, f"{licence}\n".encode())


def _write_changed(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        with writing(path) as part:
            part.write_bytes(content)
