"""Places that cannot be written and disks that fill up: one sentence, whole files or none."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spatioformer.common.errors import OutputError
from spatioformer.common.files import read_json, save_array, write_json, write_text, writing_folder
from spatioformer.geo.raster.writing import check_written
from spatioformer.run.runner import Run
from spatioformer.run.stages import STAGES
from tests.helpers import landscape
from tests.helpers.tiny_run import Ended, assert_refused, finished, half_written, spatioformer

pytestmark = pytest.mark.integration

resource = pytest.importorskip("resource", reason="file size limits are POSIX")


@contextlib.contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: what a full disk does to the last file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


KEPT_APART = (".stages", "config.", "provenance.", "run.log")
"""Files that are no results."""

SPACE = "no space left; free some space and run again"
PARTLY = "only a part of it reached the disk; free some space and run again"
# A raster's driver may notice, in its own words, or not: then the file is read back.
RASTER = rf"(: {PARTLY}| \(.*\); check that the disk has space and the folder can be written)"
FULL = [
    # (stage, the file that no longer fits, what is short of it, how the sentence goes on)
    ("plots", "plots.parquet", "plots.parquet", f": {SPACE}"),
    ("imagery", "imagery.tif", "imagery.tif", RASTER),
    ("chips", "chips", "chips/chips.npy", f": {SPACE}"),
    ("train", ".stages/train-.*.checkpoint", "model/model.safetensors", f": {SPACE}"),
    ("evaluate", "evaluation/predictions.parquet", "evaluation/predictions.parquet", f": {SPACE}"),
    # its tiles, or the map itself, or what the evaluation found
    ("map", r"(map.tif|model/uncertainty\S+)", "map.tif", rf"({RASTER}|: {SPACE})"),
]  # and the report, which takes seconds, as any text


@pytest.mark.parametrize("left", [pytest.param(0.4, marks=pytest.mark.soak), 0.97, 0.9999])
@pytest.mark.parametrize(("stage", "named", "largest", "words"), FULL, ids=[c[0] for c in FULL])
def test_a_disk_that_fills_up(tmp_path, capfd, stage, named, largest, words, left):
    """Most of the file is missing, some, or its last byte: the sentence; yesterday's file stays."""
    config = finished(tmp_path)
    run = tmp_path / "run"
    before = contents(run)
    with disk_of(int((run / largest).stat().st_size * left)):
        ended = spatioformer("run", config, "--until", stage, "--redo", stage, "--quiet")
    pattern = rf"spatioformer: cannot write {re.escape(str(run))}/{named}{words}\n"
    assert re.fullmatch(pattern, ended.err), ended.err
    assert ended.code == 2
    assert not half_written(tmp_path)
    after = contents(run)
    assert set(before) - set(after) == {f".stages/{stage}.json"}, "only its record is gone"
    results = {n for n in before if not n.startswith(KEPT_APART)}
    assert {name: after[name] for name in results} == {name: before[name] for name in results}
    assert Run(config).is_current("plots") == (stage != "plots")
    capfd.readouterr()  # libtiff says its own on the process's stderr


def test_after_a_full_disk_the_run_goes_on(tmp_path, capfd):
    config = landscape.write(tmp_path)
    with disk_of(12_000):
        assert spatioformer("run", config, "--until", "map", "-q").code == 2
    capfd.readouterr()
    assert spatioformer("run", config, "--until", "map", "-q") == Ended(0, "", "")
    expected = finished(tmp_path / "whole").parent / "run" / "map.tif"
    assert (tmp_path / "run" / "map.tif").read_bytes() == expected.read_bytes()


# What stands in the way, of which stage, and the sentence about it.
BLOCKED = [
    ("run", "file", "plots", "run: not a directory; choose a folder you can write to"),
    ("run/.stages", "file", "plots", "run: file exists; choose a folder you can write to"),
    ("run/chips", "file", "chips", "run/chips: not a directory; choose a folder you can write to"),
    ("run/model", "file", "train", "run/model: not a directory; choose a folder you can write to"),
    *(
        (f"run/{name}", "folder", stage, f"run/{name}: it is a folder; remove it or name a file")
        for name, stage in [
            ("config.resolved.yaml", "plots"),
            ("rejected.csv", "plots"),
            ("plots.parquet", "plots"),
            ("imagery.tif", "imagery"),
            ("training.csv", "train"),
            ("scores.csv", "evaluate"),
            ("map.tif", "map"),
        ]
    ),
]


@pytest.mark.parametrize(("path", "kind", "stage", "sentence"), BLOCKED)
def test_a_place_that_is_taken(tmp_path, path, kind, stage, sentence):
    """Tests may run as root, for whom no folder is read-only: something lies in the way."""
    config = landscape.write(tmp_path)
    taken = tmp_path / path
    if kind == "file":
        taken.parent.mkdir(exist_ok=True)
        taken.write_text("mine")
    else:
        (taken / "mine").mkdir(parents=True)
    ended = spatioformer("run", config, "--until", stage, "--quiet")
    assert_refused(ended, f"cannot write {tmp_path}/{sentence}")
    assert not half_written(tmp_path)
    assert taken.read_text() == "mine" if kind == "file" else (taken / "mine").is_dir()


def test_an_evaluation_folder_that_is_a_file(tmp_path):
    config = landscape.write(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "evaluation").write_text("mine")
    ended = spatioformer("evaluate", config, "-q")
    assert ended.code == 2
    assert re.fullmatch(
        r"spatioformer: cannot write \S+/run/evaluation/\S+.npy: (not a directory|file exists); "
        r"choose a folder you can write to\n",
        ended.err,
    )


# --- the parts ------------------------------------------------------------------------------------


def test_an_array_is_whole_or_an_error(tmp_path):
    """numpy's own writer drops the last bytes of a small array on a full disk, and says nothing."""
    array = np.arange(1000.0).reshape(10, 10, 10)
    path = tmp_path / "a.npy"
    size = array.nbytes + 128
    with disk_of(size):
        save_array(path, array)
    np.testing.assert_array_equal(np.load(path), array)
    assert path.stat().st_size == size
    with disk_of(size - 1):
        with pytest.raises(OSError, match="too large"):
            save_array(path, array)
        np.save(tmp_path / "b.npy", array)
    with pytest.raises(ValueError, match="mmap length is greater"):
        np.load(tmp_path / "b.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3, 3), np.float32),
        np.float64(3.5),
        np.arange(6, dtype=np.int16).reshape(2, 3).T,
        np.array([True, False]),
    ],
)
def test_arrays_of_any_kind_come_back(tmp_path, array):
    save_array(tmp_path / "a.npy", array)
    back = np.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(back, array)
    assert back.dtype == np.asarray(array).dtype


def test_a_raster_is_read_back(tmp_path):
    values = landscape.imagery().astype(np.float32)
    values[0, :5] = np.nan
    path = landscape.write_raster(
        tmp_path / "a.tif", values, tiled=True, blockxsize=16, blockysize=16
    )
    check_written(path, path, [59 * 64, 64 * 64, 64 * 64])
    check_written(path, path, [59 * 64])
    with pytest.raises(OutputError, match=PARTLY):
        check_written(path, path, [59 * 64 + 1])
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(OutputError, match=PARTLY):
        check_written(path, path, [59 * 64])


def test_a_folder_is_whole_or_as_it_was(tmp_path):
    folder = tmp_path / "chips"
    for text in ("one", "two"):
        with writing_folder(folder) as part:
            assert re.fullmatch(r"chips\.\S+\.part", part.name)
            (part / f"{text}.txt").write_text(text)
    assert contents(folder) == {"two.txt": b"two"}
    with contextlib.suppress(KeyboardInterrupt), writing_folder(folder) as part:
        (part / "three.txt").write_text("three")
        raise KeyboardInterrupt
    assert contents(folder) == {"two.txt": b"two"}
    assert not half_written(tmp_path)


def test_what_a_killed_run_left_is_no_obstacle(tmp_path):
    (tmp_path / "chips.part").mkdir()
    (tmp_path / "chips.part" / "old.npy").write_text("x")
    with writing_folder(tmp_path / "chips") as part:
        assert list(part.iterdir()) == []
    config = landscape.write(tmp_path)
    (tmp_path / "run").mkdir()
    # GDAL refuses to create a file where a damaged one lies.
    (tmp_path / "run" / "imagery.part.tif").write_bytes(b"II*\0" + (100).to_bytes(4, "little"))
    assert spatioformer("imagery", config, "-q") == Ended(0, "", "")
    (tmp_path / "a.part.txt").write_text("half")
    write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert not half_written(tmp_path)


def test_equal_values_give_equal_json(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None, "é"]})
    write_json(tmp_path / "b.json", {"a": [1.5, None, "é"], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None, "é"], "b": 1}


def test_a_text_is_whole_or_as_it_was(tmp_path):
    write_text(tmp_path / "a.txt", "yesterday")
    with disk_of(100), pytest.raises(OutputError, match=SPACE):
        write_text(tmp_path / "a.txt", "today" * 100)
    assert (tmp_path / "a.txt").read_text() == "yesterday"
    assert not half_written(tmp_path)


def test_every_stage_has_a_case():
    assert [case[0] for case in FULL] == [name for name in STAGES if name != "report"]
