"""Spans of bytes against sets of bytes."""

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatioformer.archives.remote.spans import (
    LARGEST_GAP,
    SMALLEST_PIECE,
    TIGHTEST_GAP,
    missing,
    pieces,
    requests,
    union,
)

spans = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda s: (s[0], s[0] + s[1]))

quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def covered(given_spans) -> set[int]:
    return {byte for start, stop in given_spans for byte in range(start, stop)}


@quick
@given(spans, st.lists(spans))
def test_missing(wanted, known):
    parts = missing(wanted, sorted(known))
    assert covered(parts) == covered([wanted]) - covered(known)
    assert all(start < stop for start, stop in parts)
    assert sum(stop - start for start, stop in parts) == len(covered(parts))


@quick
@given(st.lists(spans))
def test_union(some):
    joined = union(some)
    assert covered(joined) == covered(some)
    assert all(before[1] <= after[0] for before, after in pairwise(joined))


def test_neighbours_share_a_request():
    block = 100_000
    tiles = [(i * (block + 8), i * (block + 8) + block) for i in (0, 1, 2, 5, 6)]
    groups = requests(tiles)
    assert groups == [tiles[:3], tiles[3:]]
    assert [g[-1][1] - g[0][0] for g in groups] == [300_016, 200_008]


def test_a_request_is_not_too_long_and_its_gaps_are_small():
    far = [(0, 1000), (1000 + TIGHTEST_GAP, 2000), (2000 + TIGHTEST_GAP + 1, 3000)]
    assert requests(far) == [far[:2], far[2:]]
    wide = [(0, 10_000), (10_000 + int(LARGEST_GAP * 10_000), 30_000)]
    assert requests(wide) == [wide]
    long = [(i * 2**20, (i + 1) * 2**20) for i in range(20)]
    assert [len(group) for group in requests(long)] == [8, 8, 4]
    assert requests([(0, 2**25)]) == [[(0, 2**25)]]


@quick
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 900_000)), min_size=1, max_size=12))
def test_pieces_cover_a_request_at_borders_of_its_spans(sizes):
    group, position = [], 0
    for gap, size in sizes:
        group.append((position + gap, position + gap + size))
        position += gap + size
    cut = pieces(group)
    assert cut[0][0] == group[0][0]
    assert cut[-1][1] == group[-1][1]
    assert all(before[1] == after[0] for before, after in pairwise(cut))
    assert {start for start, _ in cut} <= {start for start, _ in group}
    assert all(stop - start >= SMALLEST_PIECE for start, stop in cut[:-1])
