"""What the cases of files from others share: a secret, a record of opened files, one sentence."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = b"the secret of another folder " * 20


def one_sentence(error: Exception) -> str:
    message = str(error)
    assert "\n" not in message
    assert len(message) < 600
    return message


def traced(log: Path, script: str, names: list[Path]) -> tuple[str, list[str]]:
    """What a script prints, and the system calls that open, or connect, of it and its threads."""
    if shutil.which("strace") is None:
        pytest.skip("strace is absent: opened files are not recorded")
    watch = ["strace", "-f", "-qq", "-s", "400", "-e", "trace=open,openat,connect", "-o", str(log)]
    done = subprocess.run(
        [*watch, sys.executable, "-c", script, *map(str, names)], capture_output=True, text=True
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr[:100]}")
    assert done.returncode == 0, done.stderr
    return done.stdout, log.read_text().splitlines()
