"""Spans of bytes: which are missing, which are fetched together, how they are kept in pieces."""

from collections.abc import Iterable
from itertools import pairwise

Span = tuple[int, int]
"""First byte, and the byte after the last."""

LONGEST_REQUEST = 8 * 2**20
"""Bytes of one request at most, unless one span is longer: a failed one is asked for again."""
SMALLEST_PIECE = 2**19
"""Bytes from which a piece of several spans gets no further span."""
TIGHTEST_GAP = 64
"""Bytes between two spans that never hinder a common request."""
LARGEST_GAP = 0.03
"""Largest gap between two spans of a common request, as a share of the shorter one."""


def missing(wanted: Span, known: Iterable[Span]) -> list[Span]:
    """The parts of a span that no known one covers. `known` is sorted by its first bytes."""
    parts, position, stop = [], *wanted
    for first, last in known:
        if last <= position:
            continue
        if first >= stop:
            break
        if first > position:
            parts.append((position, first))
        position = max(position, last)
    if position < stop:
        parts.append((position, stop))
    return parts


def requests(wanted: Iterable[Span]) -> list[list[Span]]:
    """Group spans, sorted and without overlap, into requests of neighbours.

    Each request covers its spans and the small gaps between them.
    """
    groups: list[list[Span]] = []
    for span in sorted(set(wanted)):
        if groups and _fits(groups[-1], span):
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _fits(group: list[Span], span: Span) -> bool:
    before = group[-1]
    gap = span[0] - before[1]
    shorter = min(span[1] - span[0], before[1] - before[0])
    near = gap <= max(TIGHTEST_GAP, LARGEST_GAP * shorter)
    return near and span[1] - group[0][0] <= LONGEST_REQUEST


def pieces(group: list[Span]) -> list[Span]:
    """Divide a request into the pieces that are kept, whose borders are those of its spans."""
    borders = [group[0][0]]
    for span, after in pairwise(group):
        if span[1] - borders[-1] >= SMALLEST_PIECE:
            borders.append(after[0])  # the gap belongs to the piece before it
    borders.append(group[-1][1])
    return list(pairwise(borders))


def union(spans: Iterable[Span]) -> list[Span]:
    """Spans without overlap that cover the same bytes; spans that only touch stay apart."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if last <= first:
            continue
        if joined and first < joined[-1][1]:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined
