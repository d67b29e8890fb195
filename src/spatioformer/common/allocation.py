"""How the C library hands out memory for arrays."""

import contextlib
import ctypes
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # numbers of glibc's mallopt
HELD = 2**28  # bytes of free memory that a process keeps for its next arrays


@cache
def keep_freed_memory() -> None:
    """Let this process keep freed arrays for its next ones, up to HELD bytes.

    Otherwise glibc returns a large array to the system and gets the next one anew, page by page.
    The first Gaussian process of 2,000 plots in a process then takes 3.0 processor seconds, not
    2.0. Nothing happens where the C library is another one.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
                library.mallopt(parameter, HELD)
