"""Hostile configurations: one sentence within a second, exit code 2, no traceback."""

import os
import shutil
import sys
import time

import pytest

from spatioformer.common.errors import ConfigError
from spatioformer.config.file import load_config
from spatioformer.config.messages import shown
from tests.helpers.tiny_run import assert_refused, spatioformer, write_config

pytestmark = pytest.mark.integration

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
ALIASES = (
    "cannot be used at line 4: with its aliases written out it has more than 10,000 values; "
    "remove aliases (*name) or entries"
)
DEEP = "cannot be used at line 1: it nests more than 20 levels deep; a configuration has at most 5"
QUOTE = "put it in quotes if it is text, else correct it"
TAG = "is not read in a configuration; remove it, or put a value that is text in quotes"

TEXTS = {
    "aliases of aliases": (BOMB, ALIASES),
    "an alias of itself": (
        "title: &a [*a]",
        "cannot be used at line 1: the alias 'a' lies inside what it stands for; remove it",
    ),
    "brackets": ("title: " + "[" * 90_000, DEEP),
    "braces": ("title: " + "{a: " * 20_000, DEEP),
    "dashes": ("- " * 50_000, DEEP),
    "question marks": ("? " * 50_000, DEEP),
    "indentation": (
        "\n".join(f"{' ' * i}a:" for i in range(400)),
        DEEP.replace("line 1", "line 20"),
    ),
    "too many keys": (
        "\n".join(f"k{i}: 1" for i in range(9000)),
        ALIASES.replace("line 4", "line 5001"),
    ),
    "a day that is none": (
        "title: 2001-13-45",
        f"cannot be used at line 1: '2001-13-45' is not a date; {QUOTE}",
    ),
    "an offset that is none": (
        "title: 2001-01-01 00:00:00 +99:99",
        f"cannot be used at line 1: '2001-01-01 00:00:00 +99:99' is not a date; {QUOTE}",
    ),
    "0x_": ("seed: 0x_", f"cannot be used at line 1: '0x_' is not a whole number; {QUOTE}"),
    "0b_": ("seed: 0b_", f"cannot be used at line 1: '0b_' is not a whole number; {QUOTE}"),
    "a long integer": (
        "seed: " + "1" * 5000,
        f"cannot be used at line 1: '{'1' * 76}... is not a whole number; {QUOTE}",
    ),
    "a long hexadecimal": (
        "seed: 0x" + "f" * 5000,
        f"cannot be used at line 1: '0x{'f' * 74}... is not a whole number; {QUOTE}",
    ),
    "base 60": (
        "seed: 1" + ":59" * 5000,
        f"cannot be used at line 1: '1{':59' * 25}... is not a whole number; {QUOTE}",
    ),
    "a truth that is none": (
        "title: !!bool maybe",
        f"cannot be used at line 1: 'maybe' is neither true nor false; {QUOTE}",
    ),
    "a number that is none": (
        "title: !!float x",
        f"cannot be used at line 1: 'x' is not a number; {QUOTE}",
    ),
    "a date by its tag": (
        "title: !!timestamp x",
        f"cannot be used at line 1: 'x' is not a date; {QUOTE}",
    ),
    "a set": ("title: !!set {a}", f"cannot be used at line 1: the tag '!!set' {TAG}"),
    "binary data": ("title: !!binary aa", f"cannot be used at line 1: the tag '!!binary' {TAG}"),
    "a command": (
        'title: !!python/object/apply:os.system ["ls"]',
        f"cannot be used at line 1: the tag '!!python/object/apply:os.system' {TAG}",
    ),
    "a map that is none": (
        "title: !!map x",
        "cannot be used at line 1: the tag '!!map' is for keys and values; remove it",
    ),
    "an equals sign": ("title: =", f"cannot be used at line 1: the tag '!!value' {TAG}"),
    "a tag over two lines": (
        "title: !<a%0Ab> x",
        rf"cannot be used at line 1: the tag 'a\nb' {TAG}",
    ),
    "a code point that is none": (
        r'title: "\UFFFFFFFF"',
        "is not valid YAML: not YAML; correct it there",
    ),
    "a control character": (
        "title: \x01",
        "is not valid YAML: character 8 cannot be in a text file; correct it there",
    ),
    "a long text": (
        f'title: "{"x" * 9000}"',
        "cannot be used at line 1: a text of 9,000 characters, more than 4,096; shorten it",
    ),
    "a long file": (
        "#" * 200_001,
        "has 200,001 bytes, more than the 200,000 that a configuration may have; give the path of "
        "a YAML file",
    ),
    "a long alias": (
        f"title: *{'a' * 1000}",
        f"is not valid YAML at line 1: found undefined alias '{'a' * 274}...; correct it there",
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_hostile_file_is_one_sentence(tmp_path, case):
    text, sentence = TEXTS[case]
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    started = time.process_time()
    ended = spatioformer("plots", path)
    assert_refused(ended, f"{path} {sentence}")
    counted = 3 if sys.gettrace() else 1  # lines that are counted take longer
    assert time.process_time() - started < counted


VALUES = {
    "a NUL": (
        "a\0b",
        r"`plots.path` is 'a\x00b': it holds the control character '\x00'; remove it",
    ),
    "half a character": (
        "a\ud800",
        r"`plots.path` is 'a\ud800': it holds the control character '\ud800'; remove it",
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_path_that_no_file_can_have(tmp_path, case):
    value, sentence = VALUES[case]
    config = write_config(tmp_path, ("plots.path", value))
    assert_refused(spatioformer("plots", config), f"{config}: {sentence}")


def test_a_path_that_is_too_long(tmp_path):
    config = write_config(tmp_path, ("plots.path", "a" * 300))
    with pytest.raises(ConfigError) as refused:
        load_config(config)
    assert str(refused.value).endswith(
        f"a name in it has 300 bytes and all of it {len(str(tmp_path)) + 301}, where a file system "
        "takes 255 and 4095; shorten it"
    )
    config = write_config(tmp_path, ("out", "a/" * 2047))
    with pytest.raises(ConfigError, match=r"where a file system takes 255 and 4095; shorten it$"):
        load_config(config)


def test_a_path_over_two_lines(tmp_path):
    config = write_config(tmp_path, ("plots.path", "/a\nb"))
    assert_refused(
        spatioformer("plots", config),
        r"`path` is '/a\nb': it holds the control character '\n'; rename the file or folder",
    )


def test_a_key_that_is_long_or_over_two_lines(tmp_path):
    known = (
        "known keys are name, out, title, licence, seed, target, plots, imagery, model, train, "
        "evaluate, map, truth"
    )
    config = write_config(tmp_path, ("k" * 1000, 1))
    assert_refused(spatioformer("plots", config), f"{config}: unknown key `{'k' * 77}...`; {known}")
    config = write_config(tmp_path, ("q\nq", 1))
    assert_refused(spatioformer("plots", config), rf"{config}: unknown key `q\nq`; {known}")


SETTINGS = {
    "title=2001-13-45": f"'2001-13-45' is not a date; {QUOTE}",
    "seed=0x_": f"'0x_' is not a whole number; {QUOTE}",
    "seed=" + "1" * 5000: f"'{'1' * 76}... is not a whole number; {QUOTE}",
    "title=!!bool maybe": f"'maybe' is neither true nor false; {QUOTE}",
    "title=" + "[" * 5000: "it nests more than 20 levels deep; a configuration has at most 5",
    "title=[&a [x, x], *a": "the value is not YAML; quote it",
    "train={epochs: 1, epochs: 2}": "the value is not YAML; quote it",
    ".".join("a" * 50) + "=1": "the key has 50 parts; shorten the key",
    "imagery.layers.²=1": "'²' is not an index of a list of 1; count from 0",
    f"imagery.layers.{'1' * 5000}=1": (
        f"'{'1' * 76}... is not an index of a list of 1; count from 0"
    ),
    "evaluate.models.0.x=1": "`0` is a value, not a section; shorten the key",
}


@pytest.mark.parametrize("change", SETTINGS, ids=[change[:30] for change in SETTINGS])
def test_a_hostile_assignment_is_one_sentence(tmp_path, change):
    ended = spatioformer("plots", write_config(tmp_path), "--set", change)
    assert_refused(ended, f"--set {shown(change)}: {SETTINGS[change]}")


def test_what_is_no_regular_file(tmp_path):
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert_refused(
        spatioformer("plots", pipe), f"{pipe} is not a file; give the path of a YAML file"
    )


def test_aliases_and_merged_keys_are_read(tmp_path):
    config = write_config(tmp_path)
    text = config.read_text().replace("train:\n", "train:\n  <<: {patience: 3}\n")
    config.write_text(f"{text}title: &t Plants\ntarget: *t\n")
    read = load_config(config)
    assert (read.train.patience, read.title, read.target.name) == (3, "Plants", "Plants")


@pytest.mark.parametrize("size", [1, 5, 79, 80, 81, 500])
def test_a_value_is_cut_before_it_is_written_out(size):
    assert shown("x" * size) == (repr("x" * size) if size < 79 else f"'{'x' * 76}...")
    assert len(shown([{"a": ("x", size)}] * size)) <= 80
    nested: list = []
    for _ in range(5000):
        nested = [nested] * 10
    assert shown(nested).startswith("[[[[")


def test_small_values_are_shown_exactly():
    for value in ([], {}, (), (1,), ["a", None, 2.5], {"a": [1, {"b": ()}]}, "a'b", True):
        assert shown(value) == repr(value)


GIVEN = ("alias-bomb", "impossible-date", "0x_", "tag-bool", "long-int", "deep-list")


@pytest.mark.parametrize("name", GIVEN)
def test_the_given_files(cases_dir, tmp_path, name):
    path = tmp_path / "case.yaml"
    shutil.copy(cases_dir / "hostile" / f"{name}.yaml", path)
    started = time.process_time()
    ended = spatioformer("plots", path)
    counted = 3 if sys.gettrace() else 1  # lines that are counted take longer
    assert time.process_time() - started < counted
    assert ended.code == 2
    assert ended.err.startswith(f"spatioformer: {path} cannot be used at line ")
    assert ended.err.count("\n") == 1
