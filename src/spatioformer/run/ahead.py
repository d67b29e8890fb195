"""Train the model of the map beside the evaluation, as soon as the choice of it is known.

The choice depends on the map-like split alone, whose jobs come first. A worker process then trains
the chosen model while the others go on with the remaining splits. The result is kept under the
fingerprint of the training stage, which takes it, or else trains the same model itself.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatioformer.common.cache import Cache
from spatioformer.common.errors import SpatioformerError
from spatioformer.common.files import (
    hash_file,
    read_json,
    write_json,
    writing,
    writing_folder,
)
from spatioformer.common.parts import sweep
from spatioformer.common.progress import Console
from spatioformer.config.learning import LOGS
from spatioformer.config.schema import RunConfig
from spatioformer.run.context import RunContext
from spatioformer.training import distributed

if TYPE_CHECKING:
    from spatioformer.run.jobs import Job

KEPT = ".stages/train-*.fitted"
"""Pattern of the folders of kept results."""
RECORD = "record.json"
"""File of such a folder: what the training said, and the hashes of the files."""


class Lines(Console):
    """Keeps messages, for the stage that says them later."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@dataclass(frozen=True)
class Training:
    """The training of the map's model, as a task of a worker process.

    Attributes:
        config, folder, resume: as in `RunContext`.
        fingerprint: of the training stage.
    """

    config: RunConfig
    folder: Path
    resume: bool
    fingerprint: str

    def __call__(self) -> "Sequence[Job]":
        """Train and keep the result; this finishes no job.

        A training that fails keeps nothing. The training stage then meets the same error.
        """
        from spatioformer.run.map_model import train_model

        console = Lines()
        run = RunContext(self.config, self.folder, console, self.resume, lambda *_: "")
        checkpoint = checkpoints(self.folder).path(self.fingerprint)
        with (
            suppress(SpatioformerError),
            writing_folder(_results(self.folder).path(self.fingerprint)) as part,
        ):
            message = train_model(run, checkpoint, part)
            record = {"lines": console.lines, "message": message, "sha256": _hashes(part)}
            write_json(part / RECORD, record)
        return ()


def training(run: RunContext) -> Training | None:
    """The training of the map's model, where its stage follows; None if nothing has to be done."""
    fingerprint = None if distributed.launched() else run.to_run("train")
    if fingerprint is None or _record(_results(run.folder).path(fingerprint)) is not None:
        return None
    return Training(run.config, run.folder, run.resume, fingerprint)


@contextmanager
def beside(run: RunContext) -> Iterator[None]:
    """Remove what a worker process was writing in a `Training`, if the block fails."""
    try:
        yield
    except BaseException:
        sweep(run.folder / ".stages")
        raise


def take(run: RunContext, fingerprint: str) -> str | None:
    """Move the kept result of a training into the run folder, and say what the training said.

    Args:
        fingerprint: of the training stage.

    Returns:
        The message of the training stage; None if no whole result is kept.
    """
    results = _results(run.folder)
    kept = results.path(fingerprint)
    record = _record(kept)
    if record is not None:
        with writing_folder(run.folder / "model") as part:
            shutil.copytree(kept / "model", part, dirs_exist_ok=True)
        for old in run.folder.glob(LOGS):
            old.unlink()
        for log in kept.glob(LOGS):
            with writing(run.folder / log.name) as part:
                part.write_bytes(log.read_bytes())
        for line in record["lines"]:
            run.console.say(line)
    results.clear()
    return None if record is None else f"{record['message']}, trained beside the evaluation"


def checkpoints(folder: Path) -> Cache:
    """The checkpoints of the training in a run folder, by fingerprint of the training stage."""
    return Cache(folder / ".stages", "train", ".checkpoint")


def _results(folder: Path) -> Cache:
    return Cache(folder / ".stages", "train", ".fitted")


def _record(kept: Path) -> dict[str, Any] | None:
    """The record of a kept result; None if it is absent or a file is not as it was written."""
    try:
        record = read_json(kept / RECORD)
        return dict(record) if record["sha256"] == _hashes(kept) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _hashes(kept: Path) -> dict[str, str]:
    """File -> hash of its content, of all files of a kept result but the record."""
    files = sorted(path for path in kept.rglob("*") if path.is_file() and path.name != RECORD)
    return {path.relative_to(kept).as_posix(): hash_file(path) for path in files}
