"""`python -m spatioformer.cli.session`: several commands in one process, which imports once.

A line of standard input is a command: JSON {"folder": ..., "words": [...]}. A line of standard
output is its end: JSON {"code": exit code, "printed": what it wrote to both streams}.
"""

import contextlib
import io
import json
import os
import sys

from spatioformer.cli import main


def call(folder: str, words: list[str]) -> tuple[int, str]:
    """Run a command in a folder: its exit code and what it printed."""
    printed = io.StringIO()
    code: int | str | None = 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        try:
            main(words)
        except SystemExit as left:
            code = left.code
    return code if isinstance(code, int) else int(bool(code)), printed.getvalue()


def serve() -> None:
    """Run the commands of standard input until it ends."""
    # What a library writes to standard output by itself must not come between the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for line in sys.stdin:
            code, printed = call(**json.loads(line))
            print(json.dumps({"code": code, "printed": printed}), file=answers, flush=True)


if __name__ == "__main__":
    serve()
