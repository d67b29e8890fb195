"""A map that is killed, runs out of disk, loses its input or its tiles ends with the same bytes.

`make soak` runs more of the same: SPATIOFORMER_SOAK is the number of kills.
"""

import multiprocessing
import os
import re
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from spatioformer.common.errors import ImageryError, OutputError
from spatioformer.mapping import Resources, engine, journal, map_raster
from spatioformer.mapping.journal import Journal, decode, encode, tiles_folder
from spatioformer.mapping.predictor import Totals
from tests.helpers.maps import disk_of, noise, read, small

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("SPATIOFORMER_SOAK", 4))
TILES = 5 * 6


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """75 x 83 pixels, mapped in 30 tiles."""
    monkeypatch.setattr("spatioformer.mapping.predictor.UNIT", 16)
    return noise(tmp_path / "a.tif", (75, 83))


@pytest.fixture
def expected(tmp_path, scene) -> bytes:
    """The map of an undisturbed run."""
    return mapped(scene, tmp_path / "whole.tif")


def mapped(scene: Path, out: Path, **options) -> bytes:
    map_raster(small(), scene, out, samples=2, sd_step=4, **options)
    return out.read_bytes()


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """The numbers of the tiles computed."""
    numbers: list[int] = []
    original = engine.record

    def counted(predictor, grid, number, tile):
        numbers.append(number)
        return original(predictor, grid, number, tile)

    monkeypatch.setattr(engine, "record", counted)
    return numbers


# --- the journal ----------------------------------------------------------------------------------


def layers_of(tile: int) -> np.ndarray:
    values = np.random.default_rng(tile).normal(size=(2, 3, 5)).astype(np.float32)
    values[0, 0, 0] = np.nan
    return values


def test_a_record_comes_back_as_it_went():
    totals = Totals(pixels=14, negative=1, mean=0.1, sd=2.0, inside=3.0, low=-0.5, high=7.25)
    tile, numbers, flat = decode(encode(2**40, totals, layers_of(1)))
    assert tile == 2**40
    assert numbers == totals
    np.testing.assert_array_equal(flat.reshape(2, 3, 5), layers_of(1))
    assert decode(encode(3, Totals(), None)) == (3, Totals(), None)


def test_a_tile_with_the_totals_of_another_version_is_computed_again(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("spatioformer.mapping.journal.asdict", lambda totals: {"pixels": 14})
        older = encode(3, Totals(), None)
    assert decode(older) is None


def written(out: Path, tiles: int) -> tuple[Path, list[int]]:
    """A journal of some tiles: its log, and where each record ends."""
    ends = []
    with Journal(out, {"asked": 1}, 10) as kept:
        for tile in range(tiles):
            kept.append(tile, encode(tile, Totals(pixels=tile), layers_of(tile)))
            ends.append(kept.bytes())
    return tiles_folder(out) / "1-of-1.log", ends


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_wrong_bit_costs_one_tile(tmp_path_factory, place, bit):
    out = tmp_path_factory.mktemp("bit") / "map.tif"
    log, ends = written(out, 4)
    content = bytearray(log.read_bytes())
    at = int(place * len(content))
    content[at] ^= 1 << bit
    log.write_bytes(content)
    hurt = next(tile for tile, end in enumerate(ends) if at < end)
    with Journal(out, {"asked": 1}, 10) as kept:
        whole = [tile for tile in range(10) if tile in kept]
        assert whole == [tile for tile in range(4) if tile != hurt]
        for tile in whole:
            totals, flat = kept.read(tile)
            assert totals.pixels == tile
            np.testing.assert_array_equal(flat.reshape(2, 3, 5), layers_of(tile))
        kept.append(hurt, encode(hurt, Totals(pixels=hurt), layers_of(hurt)))
    with Journal(out, {"asked": 1}, 10) as kept:
        assert [tile for tile in range(10) if tile in kept] == [0, 1, 2, 3]


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1))
def test_a_log_cut_anywhere_keeps_its_whole_records(tmp_path_factory, share):
    out = tmp_path_factory.mktemp("cut") / "map.tif"
    log, ends = written(out, 4)
    size = int(share * ends[-1])
    os.truncate(log, size)
    with Journal(out, {"asked": 1}, 10) as kept:
        assert kept.done.sum() == sum(end <= size for end in ends)
        assert log.stat().st_size == max([0, *(end for end in ends if end <= size)])


def test_a_tile_that_rots_while_the_map_is_assembled(tmp_path):
    log, ends = written(tmp_path / "map.tif", 2)
    with Journal(tmp_path / "map.tif", {"asked": 1}, 10) as kept:
        content = bytearray(log.read_bytes())
        content[ends[0] + 50] ^= 1
        log.write_bytes(content)
        assert kept.read(0)[0].pixels == 0
        with pytest.raises(OutputError, match=r"tile 1 in .* run the same command again, which"):
            kept.read(1)


# --- interruptions --------------------------------------------------------------------------------


def test_a_finished_tile_is_never_computed_again(tmp_path, scene, expected, computed, monkeypatch):
    out, original = tmp_path / "map.tif", Journal.append

    def interrupted(self, tile, record):
        if self.done.sum() == 11:
            raise KeyboardInterrupt
        original(self, tile, record)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mapped(scene, out, resources=Resources(workers=1))
    assert not out.exists()
    computed.clear()
    assert mapped(scene, out) == expected
    assert len(computed) == TILES - 11
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("a.tif", "map.qml", "map.tif", "whole.qml", "whole.tif")
    ]


def test_a_map_that_was_computed_is_only_assembled(
    tmp_path, scene, expected, computed, monkeypatch
):
    out = tmp_path / "map.tif"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("spatioformer.geo.raster.cog.to_cog", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mapped(scene, out)
    computed.clear()
    assert mapped(scene, out) == expected
    assert computed == []


def slow_map(scene: Path, out: Path) -> None:
    """Map in this process, with time enough to be killed at any tile."""
    original = engine.record

    def slowly(*arguments):
        time.sleep(0.01)
        return original(*arguments)

    engine.record = slowly
    mapped(scene, out, resources=Resources(workers=2))


def started(*arguments) -> multiprocessing.Process:
    """A process of its own; forked, since imports take longer than the map."""
    process = multiprocessing.get_context("fork").Process(target=slow_map, args=arguments)
    process.start()
    return process


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path, scene, expected):
    """Every other kill waits for a tile: a busy machine may not have got to one by itself."""
    moments = np.random.default_rng(1).uniform(0.02, 0.2, KILLS)
    out, killed, kept = tmp_path / "map.tif", 0, [0]
    log = tiles_folder(out) / "1-of-1.log"
    for number, moment in enumerate(moments):
        process = started(scene, out)
        while number % 2 == 0 and size(log) <= kept[-1] and process.is_alive():
            time.sleep(0.001)
        process.join(moment)
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        if out.exists():  # the kill came too late
            assert out.read_bytes() == expected
            out.unlink()
        kept.append(size(log))
    assert killed >= KILLS / 2
    assert max(kept) > 0, "some tiles outlived a kill"
    assert mapped(scene, out) == expected


def test_two_runs_on_one_map_refuse_each_other(tmp_path, scene, expected):
    out = tmp_path / "map.tif"
    process = started(scene, out)
    try:
        log = tiles_folder(out) / "1-of-1.log"
        deadline = time.monotonic() + 120
        while not size(log) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGSTOP)  # it holds its map however long this one takes
        with pytest.raises(OutputError) as refused:
            mapped(scene, out)
        assert re.fullmatch(
            rf"cannot write {out}: another run is writing it \(process {process.pid} on "
            rf"{socket.gethostname()}, since \d{{4}}-\d\d-\d\d \d\d:\d\d\); wait for it to end, "
            r"or name another file",
            str(refused.value),
        )
    finally:
        process.kill()
        process.join()
    assert mapped(scene, out) == expected, "the lock died with its process"


def test_parts_share_the_map_but_not_their_part(tmp_path):
    out = tmp_path / "map.tif"
    with journal.locked(out, (1, 2)), journal.locked(out, (2, 2)):
        with pytest.raises(OutputError, match="another run is writing it"):
            with journal.locked(out, (2, 2)):
                pass
        with pytest.raises(OutputError, match="another run is writing it"):
            with journal.locked(out):
                pass
    with journal.locked(out):
        with pytest.raises(OutputError, match="another run is writing it"):
            with journal.locked(out, (1, 2)):
                pass
    with journal.locked(out):
        pass


@pytest.mark.parametrize("size", [300, 10_000])
def test_a_disk_that_fills_up(tmp_path, scene, expected, computed, size):
    """Before the first tile, or at some tile."""
    out = tmp_path / "map.tif"
    with disk_of(size), pytest.raises(OutputError, match=r"map.tif\S*: no space left; free some"):
        mapped(scene, out)
    assert not out.exists()
    kept = len(set(computed)) if size > 300 else 0
    computed.clear()
    assert mapped(scene, out) == expected
    assert TILES - kept <= len(computed) <= TILES - kept // 2


def test_a_disk_that_fills_up_at_the_end(tmp_path, scene, expected, computed, capfd):
    out = tmp_path / "map.tif"
    map_raster(small(), scene, out, samples=2, sd_step=4, resources=Resources(shard=(1, 1)))
    assert len(computed) == TILES
    with disk_of(len(expected) - 1), pytest.raises(OutputError, match=r"cannot write .*map.tif"):
        mapped(scene, out)
    capfd.readouterr()  # libtiff says its own on the process's stderr
    assert not out.exists()
    assert mapped(scene, out) == expected
    assert len(computed) == TILES


def test_imagery_that_vanishes(tmp_path, scene, expected, computed, monkeypatch):
    out, whole = tmp_path / "map.tif", scene.read_bytes()
    stat, original = scene.stat(), engine.read_tile

    def vanishing(source, window, halo):
        if len(computed) == 7:
            os.truncate(scene, 1000)
        return original(source, window, halo)

    with monkeypatch.context() as patched:
        patched.setattr(engine, "read_tile", vanishing)
        patched.setattr("spatioformer.mapping.plan.SMALLEST_CACHE", 0)
        with rasterio.Env(GDAL_CACHEMAX=0), pytest.raises(ImageryError, match="damaged or cut"):
            mapped(scene, out, resources=Resources(workers=1))
    scene.write_bytes(whole)
    os.utime(scene, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    computed.clear()
    assert mapped(scene, out) == expected
    assert len(computed) <= TILES - 7


# --- what an unfinished map is about --------------------------------------------------------------


def test_tiles_of_another_model_are_not_mixed_in(tmp_path, scene, monkeypatch):
    out = tmp_path / "map.tif"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("spatioformer.geo.raster.cog.to_cog", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mapped(scene, out)
    other = small()
    other.network.head[1].bias.data += 1
    with pytest.raises(OutputError, match=r"map.tif.tiles holds the unfinished map of another"):
        map_raster(other, scene, out, samples=2, sd_step=4)
    map_raster(other, scene, out, samples=2, sd_step=4, overwrite=True)
    map_raster(other, scene, tmp_path / "other.tif", samples=2, sd_step=4)
    np.testing.assert_array_equal(read(out), read(tmp_path / "other.tif"))


def test_another_memory_continues_the_same_tiles(tmp_path, scene, expected, computed, monkeypatch):
    out = tmp_path / "map.tif"
    done = map_raster(
        small(), scene, out, samples=2, sd_step=4, resources=Resources(shard=(1, 3))
    )["tiles"]  # fmt: skip
    monkeypatch.setattr("spatioformer.mapping.plan._useful_units", lambda *_: 3)
    computed.clear()
    resources = Resources(memory=4 * 10**9, workers=3)
    assert mapped(scene, out, resources=resources) == expected
    assert len(computed) == TILES - done
