"""Abundances of species as present, absent or unreadable.

A species is present if its abundance is a number above 0, a sign of the Braun-Blanquet scale (r,
+, 2m, 2a, 2b; Braun-Blanquet 1964, Pflanzensoziologie; Barkman, Doing & Segal 1964 for the
divisions of 2), the x of a check list, or a word such as present. Case does not matter.
"""

import re

from spatioformer.geo.plots.source import MISSING

UNREADABLE, ABSENT, PRESENT = -1, 0, 1
ABSENT_WORD, PRESENT_WORD = 2, 3  # words, which in a matrix may also be answers such as grazed: yes

_PRESENT_SIGNS = frozenset({"r", "+", "2m", "2a", "2b", "x", "inf", "+inf", "infinity"})
_ABSENT_SIGNS = frozenset({".", "-"})
_PRESENT_WORDS = frozenset({"present", "presence", "yes", "y", "true"})
_ABSENT_WORDS = frozenset({"absent", "absence", "no", "n", "false"})

_LONGEST = 400  # characters of a number

# Any decimal and thousands signs: whether a number is above 0 does not depend on them.
_AMOUNT = re.compile(r"[<>~]?\s?[+-]?([0-9.,]+)(?:e[+-]?[0-9]+)?\s?%?", re.ASCII)

_ZERO = re.compile(r"\+?0+(?:[.,]0*)?(?:[eE][+-]?\d+)?\s*%?", re.ASCII)

_STATES = (
    (_PRESENT_SIGNS, PRESENT),
    (_ABSENT_SIGNS, ABSENT),
    (_PRESENT_WORDS, PRESENT_WORD),
    (_ABSENT_WORDS, ABSENT_WORD),
)


def is_zero(text: str) -> bool:
    """Whether a count or cover is zero: 0, 0.0, 0,00, 0 %."""
    return bool(_ZERO.fullmatch(text))


class Abundances(dict[str, int]):
    """Map from text of an abundance to one of the states above; parses each text once.

    Args:
        blank: what a blank cell, or a word for missing such as NA, means.
    """

    def __init__(self, blank: int):
        super().__init__()
        self._blank = blank

    def __missing__(self, text: str) -> int:
        self[text] = self._parse(text.casefold())
        return self[text]

    def _parse(self, text: str) -> int:
        if text in MISSING:
            return self._blank
        for signs, state in _STATES:
            if text in signs:
                return state
        match = _AMOUNT.fullmatch(text) if len(text) <= _LONGEST else None
        if not match or not match[1].strip(".,"):
            return UNREADABLE
        if not match[1].strip("0.,"):
            return ABSENT
        return UNREADABLE if "-" in text.split("e")[0] else PRESENT
