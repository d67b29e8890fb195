"""The cache by key and the record of what outputs are made of: whole, or made anew."""

import json
import pickle

import numpy as np
import pytest

from spatioformer.common.cache import Arrays, Cache, Record

KEY, OTHER = "a" * 64, "b" * 64


def test_a_key_has_its_own_place(tmp_path):
    cache = Cache(tmp_path, "train", ".checkpoint")
    assert cache.path(KEY) == tmp_path / f"train-{'a' * 16}.checkpoint"
    assert cache.path(OTHER) != cache.path(KEY)
    assert Cache(tmp_path, "jobs").arrays(KEY).folder == tmp_path / f"jobs-{'a' * 16}"


def test_pruning_keeps_one_key_and_what_is_not_of_the_cache(tmp_path):
    jobs, checkpoints = Cache(tmp_path, "jobs"), Cache(tmp_path, "train", ".checkpoint")
    for key in (KEY, OTHER):
        jobs.arrays(key).save("x", np.arange(3))
        checkpoints.path(key).write_text("state")
    (tmp_path / "train.json").write_text("{}")
    jobs.prune(KEY)
    checkpoints.prune(OTHER)
    assert {path.name for path in tmp_path.iterdir()} == {
        jobs.path(KEY).name,
        checkpoints.path(OTHER).name,
        "train.json",
    }
    jobs.clear()
    checkpoints.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["train.json"]
    Cache(tmp_path / "absent", "jobs").clear()


def test_an_array_is_computed_once(tmp_path):
    arrays, calls = Cache(tmp_path, "jobs").arrays(KEY), []

    def compute():
        calls.append(1)
        return np.arange(4.0)

    assert arrays.load("x") is None
    for _ in range(2):
        np.testing.assert_array_equal(arrays.get("x", compute), np.arange(4.0))
    assert len(calls) == 1
    assert arrays.names() == {"x"}
    assert pickle.loads(pickle.dumps(arrays)) == arrays, "jobs take it to other processes"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: bytes(len(content)),
        lambda content: content.replace(b"'descr'", b"((((((("),
        lambda content: content.replace(b"<f8", b"|O8"),
        lambda content: b"no array at all",
    ],
)
def test_a_damaged_array_is_absent_and_made_anew(tmp_path, damage):
    arrays = Arrays(tmp_path)
    arrays.save("x", np.arange(4.0))
    content = arrays.path("x").read_bytes()
    arrays.path("x").write_bytes(damage(content))
    assert arrays.load("x") is None
    np.testing.assert_array_equal(arrays.get("x", lambda: np.arange(4.0)), np.arange(4.0))
    assert arrays.path("x").read_bytes() == content


def test_what_a_killed_process_was_writing_is_no_array(tmp_path):
    arrays = Arrays(tmp_path)
    arrays.save("x", np.arange(4.0))
    (tmp_path / "y.part.npy").write_bytes(b"half")
    assert arrays.names() == {"x"}
    arrays.remove_parts()
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
    with pytest.raises(ZeroDivisionError):
        arrays.get("y", lambda: 1 / 0)
    assert arrays.names() == {"x"}


# --- records --------------------------------------------------------------------------------------


def test_an_output_is_what_its_record_says(tmp_path):
    path, output = tmp_path / "years.json", tmp_path / "map.tif"
    made_of = {"layers": ("mean", "sd"), "seed": 0}
    record = Record(path)
    assert not record.matches(output, made_of)
    output.write_text("an older map")
    record.begin(output, made_of)
    assert not output.exists(), "the old output goes before the new one is announced"
    assert not record.matches(output, made_of), "a kill here leaves a statement without output"
    output.write_text("map")
    again = Record(path)
    assert again.matches(output, made_of)
    assert again.matches(output, {"seed": 0, "layers": ["mean", "sd"]})
    assert not again.matches(output, made_of | {"seed": 1})
    assert again.facts(output) is None
    again.finish(output, {"pixels": 3})
    assert Record(path).facts(output) == {"pixels": 3}
    assert json.loads(path.read_text()) == {
        "map.tif": {"made_of": {"layers": ["mean", "sd"], "seed": 0}, "facts": {"pixels": 3}}
    }
    again.begin(output, made_of)
    assert Record(path).facts(output) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '{"map.tif": 3}'])
def test_a_damaged_record_states_nothing(tmp_path, text):
    (tmp_path / "years.json").write_text(text)
    (tmp_path / "map.tif").write_text("map")
    record = Record(tmp_path / "years.json")
    assert record.made_of(tmp_path / "map.tif") is None
    assert not record.matches(tmp_path / "map.tif", {"seed": 0})


def test_a_record_of_version_0_1_is_read(tmp_path):
    old = {"map.tif": {"asked": {"seed": 0}}, "trend.tif": {"asked": 1, "found": {"tested": 3}}}
    (tmp_path / "years.json").write_text(json.dumps(old))
    for name in old:
        (tmp_path / name).write_text("a map")
    record = Record(tmp_path / "years.json")
    assert record.matches(tmp_path / "map.tif", {"seed": 0})
    assert record.facts(tmp_path / "map.tif") is None
    assert record.facts(tmp_path / "trend.tif") == {"tested": 3}
