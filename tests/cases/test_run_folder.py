"""A run folder is whole, or says what is not: locks, damage, left-overs, what changed."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from spatioformer.common.files import write_text, writing_folder
from spatioformer.common.lock import Held, lock
from spatioformer.common.related import related_files
from spatioformer.run.runner import Run
from spatioformer.run.stages import STAGES
from spatioformer.training import loop
from tests.helpers import landscape
from tests.helpers.tiny_run import Ended, finished, half_written, spatioformer, write_config

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """Content of a finished run's files."""
    folder = finished(tmp_path_factory.mktemp("whole")).parent / "run"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["run", *STAGES])
def test_a_second_run_says_who_holds_the_folder(tmp_path, stage):
    config = finished(tmp_path)
    path = tmp_path / "run" / ".stages" / "lock"
    with lock(path):
        holder = json.loads(path.read_text())
        ended = spatioformer(stage, config, "-q")
    assert holder["pid"] == os.getpid()
    assert ended == Ended(
        2,
        "",
        f"spatioformer: another run works in {tmp_path / 'run'} (process {os.getpid()} on "
        f"{socket.gethostname()}, since {holder['since']}); wait for it to end, or choose another "
        "folder with --set out=FOLDER\n",
    )
    assert not path.exists()
    assert spatioformer("plots", config, "-q") == Ended(0, "", "")


def test_a_lock_dies_with_its_process(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from spatioformer.common.lock import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    path = tmp_path / "lock"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Held) as held, lock(path):
            pass
        assert held.value.holder.pid == process.pid
        process.kill()
    assert path.exists()
    with lock(path):
        pass
    assert not path.exists()


# --- damage ---------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    """Damage one byte in the middle; the size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


DAMAGED = [
    ("chips/chips.npy", "chips"),
    ("model/model.safetensors", "train"),
    ("evaluation/uncertainty.npz", "evaluate"),
    ("report.html", "report"),
]
"""A result of the stages that read others and make several files, and one of each kind of file."""

OTHERS = [
    ("plots.parquet", "plots"),
    ("imagery.tif", "imagery"),
    ("map.json", "map"),
    ("plots.json", "plots"),
    (".stages/plots.rejected.csv", "plots"),
    ("imagery.json", "imagery"),
    ("chips/store.json", "chips"),
    ("model/config.json", "train"),
    ("training.csv", "train"),
    ("scores.csv", "evaluate"),
    ("evaluation/predictions.parquet", "evaluate"),
    ("map.tif", "map"),
]
"""The other results, which `make soak` damages too."""


@pytest.mark.parametrize(
    ("name", "stage"), DAMAGED + (OTHERS if os.environ.get("SPATIOFORMER_SOAK") else [])
)
def test_a_damaged_result_is_named_and_made_anew(tmp_path, whole, name, stage):
    config, run = finished(tmp_path), tmp_path / "run"
    flip(run / name)
    damaged = (run / name).read_bytes()
    assert Run(config).reason(stage) == f"{name} is damaged or was changed"
    ended = spatioformer("run", config)
    assert ended.code == 0
    inside = name.startswith(("chips/", "model/"))
    kept = run / f"{Path(name).name if inside else name}.damaged"
    assert f"{stage:<9} {name} is damaged or was changed ...\n" in ended.err
    assert f"  {run / name} is damaged or was changed; kept as {kept}, and made again\n" in (
        ended.err
    )
    assert kept.read_bytes() == damaged
    if stage != "report":  # it states when the stages ran
        assert (run / name).read_bytes() == whole[name]
    assert [line.split()[0] for line in ended.err.splitlines() if "..." in line] == [
        n for n in STAGES if n == stage or stage in needs(n)
    ]
    again = spatioformer("run", config, "-q")
    assert again.code == 0
    assert all(Run(config).is_current(n) for n in STAGES)


def needs(name: str) -> set[str]:
    return set(STAGES[name].needs).union(*(needs(n) for n in STAGES[name].needs))


NOT_RECORDS = [b"", b"{", b"\xff\xfe\x00", b"[1]", b"3", b'{"fingerprint": 3}', b"[" * 100_000]


@pytest.mark.parametrize("content", NOT_RECORDS, ids=range(len(NOT_RECORDS)))
@pytest.mark.parametrize("name", ["plots.json", "hashes.json"])
def test_damaged_bookkeeping_is_set_aside(tmp_path, whole, name, content):
    config, path = finished(tmp_path), tmp_path / "run" / ".stages" / name
    path.write_bytes(content)
    ended = spatioformer("plots", config)
    assert ended.code == 0
    assert f"  {path} is damaged or was changed; kept as {path}.damaged" in ended.err
    assert path.with_name(f"{name}.damaged").read_bytes() == content
    json.loads(path.read_text())
    assert all(Run(config).is_current(n) for n in STAGES)


WRONG_TYPES = {
    "parts": [3, [], {"inputs": 3}, {"inputs": [], "config": {}}],
    "outputs": [3, [], {"plots.parquet": [1]}],
    "seconds": ["x", None, {}],
}


@pytest.mark.parametrize("key", WRONG_TYPES)
def test_a_record_of_wrong_types_is_no_traceback(tmp_path, key):
    config, path = finished(tmp_path), tmp_path / "run" / ".stages" / "plots.json"
    whole = json.loads(path.read_text())
    for value in WRONG_TYPES[key]:
        path.write_text(json.dumps(whole | {key: value}))
        assert spatioformer("plots", config, "-q") == Ended(0, "", ""), value


@pytest.mark.parametrize("hurt", [flip, lambda p: p.write_bytes(b""), lambda p: os.truncate(p, 90)])
def test_a_damaged_job_is_named_and_computed_again(tmp_path, whole, hurt):
    config, run = finished(tmp_path), tmp_path / "run"
    path = min((run / "evaluation").glob("jobs-*/location-knn-*.npy"))
    hurt(path)
    (run / "scores.csv").unlink()
    ended = spatioformer("evaluate", config)
    assert ended.code == 0
    assert f"  {path} is damaged; kept as {path.name}.damaged, and computed again\n" in ended.err
    for name in ("scores.csv", "evaluation/predictions.parquet", str(path.relative_to(run))):
        assert (run / name).read_bytes() == whole[name], name


@pytest.mark.parametrize("hurt", [flip, lambda p: p.write_bytes(b""), lambda p: os.truncate(p, 90)])
def test_a_damaged_checkpoint_is_named_and_the_training_begins_anew(
    tmp_path, whole, monkeypatch, hurt
):
    config, save = landscape.write(tmp_path), loop._State.save

    def save_and_stop(state, path):
        save(state, path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop._State, "save", save_and_stop)
        assert spatioformer("train", config, "-q").code == 130
    (path,) = (tmp_path / "run" / ".stages").glob("train-*.checkpoint")
    hurt(path)
    ended = spatioformer("train", config)
    assert ended.code == 0
    assert f"  {path} is damaged; kept as {path.name}.damaged, and computed again\n" in ended.err
    weights = "model/model.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == whole[weights]


def test_case_08(tmp_path, data_dir):
    """The given case: the source of a VRT is replaced."""
    given = data_dir.parent / "cases" / "08-vrt-source-changed"
    if not given.is_dir():
        pytest.skip(f"{given} is absent")
    folder = tmp_path / "case"
    shutil.copytree(given, folder)
    config = folder / "case.yaml"
    assert spatioformer("imagery", config, "--set", f"out={folder / 'out'}", "-q").code == 0
    shutil.copy(folder / "source-new.tif", folder / "source.tif")
    ended = spatioformer("imagery", config, "--set", f"out={folder / 'out'}")
    assert "imagery   source.tif (of mosaic.vrt) changed ...\n" in ended.err
    with rasterio.open(folder / "out" / "imagery.tif") as made:
        values = made.read(1)
    assert (values.min(), values.max()) == (5000, 5899)


def test_outputs_are_hashed_once(tmp_path, monkeypatch):
    config = finished(tmp_path)
    spatioformer("run", config, "-q")  # the copy has new inodes
    monkeypatch.setattr("spatioformer.run.hashes.hash_file", lambda path: 1 / 0)
    assert spatioformer("run", config, "-q").code == 0


# --- files ----------------------------------------------------------------------------------------


def test_left_overs_of_killed_processes_go_and_those_of_living_ones_stay(tmp_path):
    host = "0" * 6
    ours = __import__("spatioformer.common.parts", fromlist=["_host"])._host()
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], text=True,
                           capture_output=True).stdout.strip()  # fmt: skip
    living = tmp_path / f"a.{os.getppid()}-{ours}-00000000.part.txt"
    remote = tmp_path / f"a.1-{host}-00000000.part.txt"
    old = tmp_path / f"a.2-{host}-00000000.part.txt"
    killed = tmp_path / f"a.{ended}-{ours}-00000000.part.txt"
    other = tmp_path / f"b.{ended}-{ours}-00000000.part.txt"
    for path in (living, remote, old, killed, other):
        path.write_text("half")
    os.utime(old, (1, 1))
    write_text(tmp_path / "a.txt", "whole")
    assert {p.name for p in tmp_path.iterdir()} == {
        "a.txt", living.name, remote.name, other.name
    }  # fmt: skip


def test_a_run_sweeps_its_folder(tmp_path):
    config = finished(tmp_path)
    name = "1-000000-00000000.part"
    for path in (f"map.{name}.tif", f"map.{name}.tiles.tif", f"evaluation/x.{name}.npy"):
        (tmp_path / "run" / path).write_text("half")
    (tmp_path / "run" / f"chips.{name}").mkdir()
    (tmp_path / "run" / "my.part.txt").write_text("of the user")
    assert spatioformer("plots", config, "-q").code == 0
    assert half_written(tmp_path) == ["run/my.part.txt"]


def test_files_have_the_mode_of_the_umask_and_are_synced(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(number), fsync(number)))
    with writing_folder(tmp_path / "model") as part:
        (part / "model.safetensors").write_text("x")
        (part / "model.safetensors").chmod(0o600)
    assert stat.S_IMODE((tmp_path / "model" / "model.safetensors").stat().st_mode) == 0o644
    assert len(synced) == 3  # the file, the folder, and the folder above


def test_the_weights_may_be_read_by_others(tmp_path):
    finished(tmp_path)
    mask = os.umask(0o022)
    os.umask(mask)
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask, path


# --- what changed ---------------------------------------------------------------------------------


def vrt(*sources: str, relative: int = 1) -> str:
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{number}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for number, source in enumerate(sources, 1)
    )
    return (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:4326</SRS>'
        f"<GeoTransform>140,0.1,0,-20,0,-0.1</GeoTransform>{bands}</VRTDataset>"
    )


def test_a_stage_runs_again_when_a_source_of_a_vrt_changed(tmp_path):
    """Case 08, with a VRT inside a VRT."""
    landscape.write(tmp_path)
    folder = tmp_path / "täglich & neu"
    folder.mkdir()
    (tmp_path / "image.tif").rename(folder / "b.tif")
    (folder / "inner.vrt").write_text(vrt("b.tif"))
    (tmp_path / "outer.vrt").write_text(vrt("täglich &amp; neu/inner.vrt"))
    config = write_config(
        tmp_path, ("imagery.layers", [{"name": "m", "path": str(tmp_path / "outer.vrt")}])
    )
    assert spatioformer("imagery", config, "-q") == Ended(0, "", "")
    assert Run(config).is_current("imagery")
    with rasterio.open(folder / "b.tif", "r+") as source:
        source.write(source.read(1) // 2 + 120, 1)
    assert Run(config).reason("imagery") == "b.tif (of outer.vrt) changed"
    assert spatioformer("imagery", config, "-q") == Ended(0, "", "")
    with rasterio.open(tmp_path / "run" / "imagery.tif") as made:
        assert np.nanmin(made.read(1, masked=True)) >= 120


@pytest.mark.parametrize(
    "name", ["image.tif.aux.xml", "image.tif.ovr", "image.tif.msk", "image.tfw", "image.TFW"]
)
def test_a_stage_runs_again_when_a_file_beside_changed(tmp_path, name):
    config = finished(tmp_path)
    path = tmp_path / name
    path.write_text("<PAMDataset></PAMDataset>")
    assert Run(config).reason("imagery") == f"{name} (of image.tif) changed"
    assert Run(config).is_current("plots")
    path.unlink()
    assert Run(config).is_current("imagery")


def test_related_files(tmp_path):
    for name in (
        "a.shp",
        "a.shx",
        "a.dbf",
        "b.gpkg",
        "b.gpkg-wal",
        "c.nc",
        "c.nc.aux.xml",
        "d.tif",
    ):
        (tmp_path / name).write_text("x")
    (tmp_path / "e.gpkg").write_text("x")
    (tmp_path / "e.gpkg-wal").write_text("")  # no change waits in it
    (tmp_path / "loop.vrt").write_text(vrt("loop.vrt", "d.tif", "/vsicurl/http://a/b.tif"))
    (tmp_path / "nc.vrt").write_text(vrt("netcdf:c.nc:tp", "NETCDF:&quot;c.nc&quot;:tp", "no.tif"))
    (tmp_path / "absolute.vrt").write_text(vrt(str(tmp_path / "d.tif"), relative=0))

    def names(name: str) -> list[str]:
        return [path.name for path in related_files(tmp_path / name)]

    assert names("a.shp") == ["a.dbf", "a.shx"]
    assert names("b.gpkg") == ["b.gpkg-wal"]
    assert names("c.nc") == ["c.nc.aux.xml"]
    assert names("e.gpkg") == []
    assert names("loop.vrt") == ["d.tif"]
    assert names("absolute.vrt") == ["d.tif"]
    assert names("absent.tif") == []
    assert names("nc.vrt") == ["c.nc", "c.nc.aux.xml"]
    shutil.copy(tmp_path / "d.tif", tmp_path / "D.TIF")
    assert names("d.tif") == []
