"""What a run would find wrong with a configuration, as sentences."""

from pathlib import Path

from spatioformer.config.schema import RunConfig
from spatioformer.run.check import problems_of
from spatioformer.run.stages import stages_of


def problems_with(config: RunConfig) -> list[str]:
    """All problems that a run of all stages would list before the first one starts."""
    folder = Path(config.out)
    while not folder.is_dir():  # a run makes it
        folder = folder.parent
    problems = problems_of(config, list(stages_of(config)), folder)
    return [f"{key}: {error}" for key, error in problems]
