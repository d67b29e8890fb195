"""Commands that are a stage of a run, and the name of a group: `imagery`, `plots`."""

from typing import Any

import typer
from typer.core import TyperCommand


def stage_or_group(app: typer.Typer) -> type[TyperCommand]:
    """The class of a command `NAME RUN`, the stage, unless a command of `app` follows its name."""

    class StageOrGroup(TyperCommand):
        @property
        def subcommands(self) -> Any:
            """The commands by name, as those of a group."""
            return typer.main.get_group(app).commands

        def make_context(
            self, info_name: str | None, args: list[str], *rest: Any, **extra: Any
        ) -> Any:
            """The context of the stage, or of the group of commands."""
            if args and args[0] in self.subcommands:
                group = typer.main.get_group(app)
                return group.make_context(info_name, args, *rest, **extra)
            return super().make_context(info_name, args, *rest, **extra)

    return StageOrGroup
