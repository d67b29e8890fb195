"""What a stage of a run needs and makes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spatioformer.run.context import RunContext

if TYPE_CHECKING:
    from spatioformer.config.schema import RunConfig


@dataclass(frozen=True)
class Stage:
    """What a stage needs and makes.

    Attributes:
        needs: stages whose results it reads.
        sections: keys and properties of the configuration it depends on.
        inputs: files it reads from outside the run folder.
        outputs: files or folders it writes, relative to the run folder.
        kept: patterns of folders with intermediate results, from which a later call continues.
        of_imagery: whether a run on a plot table alone has no such stage.
        reads: outputs of stages that come before it, on whose content alone it depends, not on how
            they were made. If such a stage runs again and the output is the same, this one does
            not.
    """

    run: Callable[[RunContext], str]
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    inputs: Callable[["RunConfig"], list[str]]
    outputs: tuple[str, ...]
    kept: tuple[str, ...] = ()
    of_imagery: bool = False
    reads: tuple[str, ...] = ()


def no_inputs(config: "RunConfig") -> list[str]:
    """Of a stage that reads no file from outside the run folder."""
    return []
