"""Freed arrays are kept for the next ones."""

import resource
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from spatioformer.common.allocation import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in range(100_000, 500_000, 10_000):
    np.ones(size)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(what: str) -> int:
    """Page faults of 40 arrays, each larger than the one before, which is freed."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, what], check=True, capture_output=True, text=True
    )
    return int(ended.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_the_next_array_takes_no_new_pages():
    pages = sum(range(100_000, 500_000, 10_000)) * 8 // resource.getpagesize()
    assert faults("leave") > pages / 2
    assert faults("keep") < pages / 5
