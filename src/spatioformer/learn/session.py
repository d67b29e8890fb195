"""Commands of this program, run one after another in a process of their own.

One process runs them all, so that it imports the libraries once, in about 2 s of processor time.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spatioformer.common.errors import OutputError

Shell = Callable[[Path, str], str]
"""Runs a command in a folder, and returns what it prints."""


@contextmanager
def session() -> Iterator[Shell]:
    """Start the process, and end it after the block.

    The shell raises OutputError if a command fails, for example because the disk is full.
    """
    # The width of a terminal changes nothing but the line breaks of tables.
    plain = {"COLUMNS": "72", "NO_COLOR": "1", "TERM": "dumb"}
    with subprocess.Popen(
        [sys.executable, "-m", "spatioformer.cli.session"],
        env=os.environ | plain,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None, "it is a pipe"
        assert process.stdout is not None, "it is a pipe"
        asked, answers = process.stdin, process.stdout

        def shell(folder: Path, command: str) -> str:
            words = shlex.split(command)[1:]
            try:
                print(json.dumps({"folder": str(folder), "words": words}), file=asked, flush=True)
                answer = answers.readline()
            except BrokenPipeError:
                answer = ""
            if not answer:
                raise OutputError(f"the process in which `{command}` of the course ran has ended")
            ended = json.loads(answer)
            printed: str = ended["printed"]
            if ended["code"]:
                last = printed.strip().splitlines()[-1:] or ["it printed nothing"]
                raise OutputError(f"`{command}` of the course failed: {last[0]}")
            return printed

        try:
            yield shell
        except BaseException:
            process.terminate()
            raise
