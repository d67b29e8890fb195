"""Limits on threads: those of threadpoolctl, without its search at each call."""

import sys
from types import ModuleType

import numpy as np  # loads a BLAS
import pytest
import sklearn.ensemble  # noqa: F401  loads OpenMP
import torch
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from spatioformer.common import threads


def counts() -> dict[str, set[int]]:
    """Numbers of threads by interface, as threadpoolctl finds them now."""
    found: dict[str, set[int]] = {"blas": set(), "openmp": set()}
    for library in threadpool_info():
        found[library["user_api"]].add(library["num_threads"])
    return found


@pytest.mark.parametrize("user_api", [None, "blas", "openmp"])
@pytest.mark.parametrize("limit", [1, 3])
def test_the_limits_are_those_of_threadpoolctl_and_end_with_the_context(user_api, limit):
    with threadpool_limits(2):
        before = counts()
        with threadpool_limits(limit, user_api=user_api):
            expected = counts()
        with threads.limited_threads(limit, user_api):
            assert counts() == expected
            with threads.limited_threads(1):
                assert counts() == {"blas": {1}, "openmp": {1}}
            assert counts() == expected
        assert counts() == before
    assert expected != before


def test_libraries_are_searched_again_after_an_import_only(monkeypatch):
    searches = []

    class Counted(ThreadpoolController):
        def __init__(self):
            searches.append(1)
            super().__init__()

    monkeypatch.setattr(threads, "ThreadpoolController", Counted)
    threads._controller.cache_clear()
    for _ in range(3):
        with threads.limited_threads(1):
            np.ones((2, 2)) @ np.ones((2, 2))
    assert len(searches) == 1
    monkeypatch.setitem(sys.modules, "a_library_that_is_new", ModuleType("new"))
    with threads.limited_threads(1):
        pass
    assert len(searches) == 2
    threads._controller.cache_clear()


@pytest.mark.parametrize("before", [1, 2, 3])
def test_one_thread_in_the_block_only(before):
    outside = torch.get_num_threads()
    torch.set_num_threads(before)
    try:
        with threadpool_limits(before):
            with threads.one_thread():
                assert torch.get_num_threads() == 1
                assert counts() == {"blas": {1}, "openmp": {1}}
            assert torch.get_num_threads() == before
            assert counts() == {"blas": {before}, "openmp": {before}}
    finally:
        torch.set_num_threads(outside)
