"""What the runner gives to a stage of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spatioformer.common.progress import Console
from spatioformer.config.schema import RunConfig


@dataclass(frozen=True)
class RunContext:
    """The run that a stage belongs to.

    Attributes:
        config: the run's configuration.
        folder: the run folder.
        console: where the stage reports its progress.
        resume: whether to continue an interrupted training from its checkpoint.
        fingerprint: `fingerprint(stage)` is the hash of everything the stage's result depends on;
            `fingerprint(stage, sections)` counts only these sections of the configuration, and is
            the cache key of an intermediate result.
        to_run: `to_run(stage)` is the fingerprint of a later stage of this call, or None if that
            stage does not have to run.
        offline: whether nothing may be read from the network.
        scheduler: where composites of archives are computed, as `archives.pools.open_pool`.
    """

    config: RunConfig
    folder: Path
    console: Console
    resume: bool
    fingerprint: Callable[..., str]
    offline: bool = False
    scheduler: str | None = None
    to_run: Callable[[str], str | None] = lambda stage: None

    def rejected(self, stage: str) -> Path:
        """File in which a stage lists the plots that it rejects; the runner joins these files."""
        return self.folder / ".stages" / f"{stage}.rejected.csv"
