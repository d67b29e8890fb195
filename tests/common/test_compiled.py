"""Whether numba is there, and functions that it compiles."""

import sys

import pytest

from spatioformer.common.compiled import has_numba, kernel


@pytest.fixture(autouse=True)
def forget():
    has_numba.cache_clear()
    yield
    has_numba.cache_clear()


def test_a_numba_that_refuses_numpy_counts_as_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)  # `import numba` raises ImportError
    assert not has_numba()


def test_where_no_cache_can_be_written_functions_are_compiled_all_the_same(monkeypatch):
    numba = pytest.importorskip("numba")
    assert has_numba()
    whole = numba.njit

    def njit(*functions, **options):
        if options.get("cache"):
            raise RuntimeError("no locator available")
        return whole(*functions, **options)

    monkeypatch.setattr(numba, "njit", njit)

    def double(x):
        return 2 * x

    compiled = kernel(double)
    assert compiled(3) == 6
    assert compiled.nopython_signatures
