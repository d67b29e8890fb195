"""How every command ends.

Exit codes: 0 done; 2 the user's mistake, one sentence on stderr; 130 interrupted (Ctrl-C); 143
terminated (SIGTERM); 1 a defect, with its traceback.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from spatioformer.cli import signals
from spatioformer.common.errors import SpatioformerError

Command = Callable[..., None]


def command(
    app: typer.Typer,
    name: str | None = None,
    *,
    help: str | None = None,
    example: str,
    cls: type[TyperCommand] = TyperCommand,
) -> Callable[[Command], Command]:
    """Register a command of `app` whose user errors become one sentence and an exit code.

    Args:
        name: the command's name; None takes that of the function.
        help: the help text; None takes the function's docstring.
        example: one call of the command, shown below its options.
        cls: how the command reads its arguments.
    """

    def register(function: Command) -> Command:
        @app.command(name, cls=cls, help=help, epilog=f"Example: {example}")
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            with signals.handled() as arrival:
                _guard(functools.partial(function, *args, **kwargs), arrival)

        return function

    return register


def _guard(call: Callable[[], None], arrival: signals.Arrival) -> None:
    """Call a command; a signal that arrived decides the exit code, however it surfaces.

    A library may turn the KeyboardInterrupt into another exception, or swallow it.
    """
    try:
        call()
    except BaseException as error:
        if arrival.number is None and not isinstance(error, KeyboardInterrupt):
            if not isinstance(error, SpatioformerError):
                raise
            print(f"spatioformer: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
    else:
        if arrival.number is None:
            return
    print(signals.message(arrival.code), file=sys.stderr)
    raise typer.Exit(arrival.code) from None
