"""How every command ends.

Exit codes: 0 done; 2 the user's mistake, one sentence on stderr; 130 interrupted; 1 a defect, with
its traceback.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import typer

from spatioformer.common.errors import SpatioformerError

Command = Callable[..., None]


def command(
    app: typer.Typer, name: str | None = None, *, help: str | None = None, example: str
) -> Callable[[Command], Command]:
    """Register a command of `app` whose user errors become one sentence and an exit code.

    Args:
        name: the command's name; None takes that of the function.
        help: the help text; None takes the function's docstring.
        example: one call of the command, shown below its options.
    """

    def register(function: Command) -> Command:
        @app.command(name, help=help, epilog=f"Example: {example}")
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except SpatioformerError as error:
                print(f"spatioformer: {error}", file=sys.stderr)
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                print(
                    "spatioformer: interrupted; finished results are kept, and the same command "
                    "continues from them",
                    file=sys.stderr,
                )
                raise typer.Exit(130) from None

        return function

    return register
