"""How every command ends.

Exit codes: 0 done; 2 the user's mistake, one sentence on stderr; 130 interrupted; 1 a defect, with
its traceback.
"""

import functools
import sys
from collections.abc import Callable

import typer

from spatioformer.common.errors import SpatioformerError


def command(app: typer.Typer, name: str | None = None, help: str | None = None) -> Callable:
    """Register a command of `app` whose user errors become one sentence and an exit code."""

    def register(function: Callable) -> Callable:
        @app.command(name, help=help)
        @functools.wraps(function)
        def guarded(*args, **kwargs) -> None:
            try:
                function(*args, **kwargs)
            except SpatioformerError as error:
                print(f"spatioformer: {error}", file=sys.stderr)
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                print(
                    "spatioformer: interrupted; what was finished is kept and the same command "
                    "continues",
                    file=sys.stderr,
                )
                raise typer.Exit(130) from None

        return function

    return register
