"""Random streams: distinct numbers, one registry, and the draws of earlier versions."""

import ast
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import spatioformer
from spatioformer.common import streams
from spatioformer.common.streams import FAMILIES, Stream, family_generator, family_seed, generator

pytestmark = pytest.mark.slow

PACKAGE = Path(spatioformer.__file__).parent
NAMED, MEMBERS = {"generator"}, {"family_generator", "family_seed"}


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """Module, called name and node of every call in the package outside the registry."""
    nodes = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if module == "common.streams":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                nodes.append((module, name, node))
    return nodes


def test_numbers_are_distinct_and_stay():
    # By hand: a changed number changes the results of every run with the same seed.
    assert {stream.name: stream.value for stream in Stream} == {
        "FLORA": 0,
        "FLORA_PLOTS": 1,
        "PREDICTION_POINTS": 2,
        "UNCERTAINTY_PLOTS": 3,
        "IMPORTANCE_PLOTS": 4,
        "SURVEY": 5,
        "ERROR_GROUPS": 6,
        "IMPORTANCE_SHUFFLES": 7,
        "SENSITIVITY_DIRECTIONS": 8,
        "DRIVERS_PLOTS": 9,
        "RANGE_PLOTS": 13,
        "CHOICE_SAMPLES": 14,
        "VERDICT": 15,
        "MAP_PAIRS": 16,
        "EXAMPLE_LAND": 17,
        "EXAMPLE_PLACES": 18,
    }
    assert len({stream.value for stream in Stream}) == len(Stream.__members__)


@pytest.mark.parametrize("stream", Stream)
def test_each_stream_draws_what_its_bare_number_drew(stream):
    expected = np.random.default_rng([7, stream.value]).random(5)
    np.testing.assert_array_equal(generator(7, stream).random(5), expected)


def test_families_draw_what_their_bare_numbers_drew():
    expected = np.random.default_rng([7, 3]).random(5)
    np.testing.assert_array_equal(family_generator(7, 3).random(5), expected)
    assert family_seed(7, 3, 1) == np.random.SeedSequence([7, 3, 1]).generate_state(1)[0]


@pytest.mark.slow
def test_every_stream_is_used_once():
    used = [
        ast.unparse(node.args[1])
        for _, name, node in calls()
        if name in NAMED and len(node.args) == 2
    ]
    assert sorted(used) == sorted(f"Stream.{name}" for name in Stream.__members__)


def test_every_family_is_listed():
    assert {module for module, name, _ in calls() if name in MEMBERS} == set(FAMILIES)


def test_no_bare_numbers():
    for module, name, node in calls():
        assert name != "SeedSequence", f"{module}:{node.lineno} goes past common.streams"
        if name == "default_rng":
            assert not any(isinstance(argument, ast.List | ast.Tuple) for argument in node.args), (
                f"{module}:{node.lineno} goes past common.streams"
            )


def test_every_stream_says_what_it_draws():
    source = ast.parse(Path(streams.__file__).read_text(encoding="utf-8"))
    (enum,) = [node for node in source.body if isinstance(node, ast.ClassDef)]
    kinds = [type(node) for node in enum.body[1:]]
    assert kinds == [ast.Assign, ast.Expr] * len(Stream)
