"""Remote files against their bytes: threads, processes, kills, changes, offline."""

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatioformer.archives import remote
from spatioformer.archives.remote import RemoteError, RemoteFile
from spatioformer.archives.remote import source as sources
from tests.helpers import servers

CONTENT = np.random.default_rng(0).bytes(400_000)


@pytest.fixture
def url(served) -> str:
    (served.folder / "b.bin").write_bytes(CONTENT)
    return f"{served.url}/b.bin"


def asked(server: servers.FileServer) -> list[tuple[int, int]]:
    return [sent.range for sent in server.sent if sent.range is not None]


@pytest.mark.parametrize("local", [False, True])
def test_reads_and_seeks_agree_with_the_bytes(served, url, access, local):
    href = str(served.folder / "b.bin") if local else url
    draw = random.Random(1)
    with RemoteFile(href, access) as file, open(served.folder / "b.bin", "rb") as plain:
        assert file.size() == len(CONTENT)
        for _ in range(100):
            whence = draw.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
            place = draw.randrange(len(CONTENT))
            offset = place - {0: 0, 1: plain.tell(), 2: len(CONTENT)}[whence]
            assert file.seek(offset, whence) == plain.seek(offset, whence)
            length = draw.choice([0, 1, 7, 900, 5_000, 50_000, -1])
            assert file.read(length) == plain.read(length)
            assert file.tell() == plain.tell()
        buffer = bytearray(100)
        file.seek(-50, os.SEEK_END)
        assert file.readinto(buffer) == 50
        assert buffer[:50] == CONTENT[-50:]
        with pytest.raises(ValueError, match="before the start"):
            file.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_nothing_is_read_twice_and_little_more_than_needed(served, url, access):
    with RemoteFile(url, access) as file:
        file.read_at(100_000, 50_000)
        file.read_at(120_000, 60_000)
        file.read_at(0, 100)
    assert asked(served) == [(0, 16_384), (100_000, 150_000), (150_000, 180_000)]


def test_small_reads_fetch_what_follows_but_not_for_ever(served, url, access):
    with RemoteFile(url, access) as file:
        for start in range(0, 400_000, 1_000):
            assert file.read_at(start, 4) == CONTENT[start : start + 4]
    assert len(served.sent) < 100
    assert served.bytes < 16_384 + 20 * 16_384 + 2_000


def test_pyarrow_reads_only_the_columns_it_needs(served, access):
    table = pa.table({f"c{i}": np.random.default_rng(i).normal(size=20_000) for i in range(20)})
    pq.write_table(table, served.folder / "index.parquet", compression="none")
    with RemoteFile(f"{served.url}/index.parquet", access) as file:
        read = pq.read_table(file, columns=["c3"])
    assert read["c3"].equals(table["c3"])
    assert served.bytes < 0.15 * (served.folder / "index.parquet").stat().st_size


def test_zarr_reads_through_ranges(served, access):
    zarr = pytest.importorskip("zarr")
    values = np.arange(60_000, dtype="float32").reshape(200, 300)
    with zarr.storage.ZipStore(served.folder / "store.zip", mode="w") as store:
        zarr.create_array(store, data=values, chunks=(50, 50))
    import zipfile

    with RemoteFile(f"{served.url}/store.zip", access) as file, zipfile.ZipFile(file) as archive:
        assert "c/0/0" in archive.namelist()
        assert archive.testzip() is None


def test_fetch_merges_neighbours_and_reads_need_no_network(served, url, access):
    with RemoteFile(url, access) as file:
        spans = [(50_000, 60_000), (60_008, 70_000), (200_000, 210_000), (399_000, 500_000)]
        file.fetch(spans)
        assert sorted(asked(served)) == [
            (0, 16_384),
            (50_000, 70_000),
            (200_000, 210_000),
            (399_000, 400_000),
        ]
        served.clear()
        for start, stop in spans:
            assert file.read_at(start, stop - start) == CONTENT[start:stop]
        file.fetch(spans)
    assert served.sent == []


def test_threads_share_what_they_fetch(served, url, access):
    """Twenty threads read overlapping parts; no byte comes twice."""

    def read(seed: int) -> bool:
        draw = random.Random(seed)
        with RemoteFile(url, access) as file:
            places = [draw.randrange(0, 390_000) for _ in range(20)]
            return all(file.read_at(p, 10_000) == CONTENT[p : p + 10_000] for p in places)

    served.plan = servers.sometimes(0.1, seed=1, kinds=[servers.status(503)])
    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(read, range(20)))
    good = [sent.range for sent in served.sent if sent.fault is None]
    bytes_of = [byte for start, stop in good for byte in range(start, stop)]
    assert len(bytes_of) == len(set(bytes_of))


def test_a_failed_part_of_a_fetch_is_said_and_the_rest_is_kept(served, url, access):
    with RemoteFile(url, access) as file:
        number = len(served.sent)
        served.plan = lambda asked: servers.status(404) if asked.number == number else None
        with pytest.raises(remote.NotFound):
            file.fetch([(start, start + 2_000) for start in range(20_000, 120_000, 10_000)])
        served.plan = None
        served.clear()
        file.fetch([(start, start + 2_000) for start in range(20_000, 120_000, 10_000)])
    assert len(served.sent) == 1


def change(served, tag: str = "other") -> bytes:
    content = bytes(reversed(CONTENT))
    (served.folder / "b.bin").write_bytes(content)
    served.tags["/b.bin"] = tag
    return content


def test_a_file_that_changes_is_never_mixed(served, url, access):
    with RemoteFile(url, access) as file, RemoteFile(url, access) as second:
        assert file.read_at(0, 5_000) == CONTENT[:5_000]
        content = change(served)
        with pytest.raises(remote.FileChanged, match="has changed on its server") as caught:
            file.read_at(100_000, 5_000)
        assert str(caught.value).endswith("what was kept of it is removed: run again")
        with pytest.raises(remote.FileChanged):  # the header of the old version is of no use
            second.read_at(0, 5_000)
    with RemoteFile(url, access) as file:
        assert file.read() == content


def test_a_file_that_changed_between_runs_is_read_anew(served, url, access):
    with RemoteFile(url, access) as file:
        file.read_at(100_000, 5_000)
    sources.forget_all()
    content = change(served)
    with pytest.raises(remote.FileChanged):
        with RemoteFile(url, access) as file:
            file.read_at(200_000, 5_000)
    with RemoteFile(url, access) as file:
        assert file.read() == content


def test_a_file_that_became_shorter(served, url, access):
    with RemoteFile(url, access) as file:
        (served.folder / "b.bin").write_bytes(CONTENT[:50_000])
        with pytest.raises(remote.FileChanged, match="is shorter than it was"):
            file.read_at(300_000, 5_000)


def test_a_damaged_cache_is_read_again(served, url, access):
    with RemoteFile(url, access) as file:
        file.read_at(100_000, 5_000)
    for path in access.cache.rglob("*-*-*"):
        if path.is_file():
            path.write_bytes(b"damaged" + path.read_bytes()[7:])
    sources.forget_all()
    served.clear()
    with RemoteFile(url, access) as file:
        assert file.read_at(100_000, 5_000) == CONTENT[100_000:105_000]
        assert file.read_at(0, 5_000) == CONTENT[:5_000]
    assert asked(served) == [(100_000, 105_000), (0, 5_000)]


def test_offline_reads_the_cache_alone(served, url, access):
    offline = replace(access, offline=True)
    with pytest.raises(remote.NotCached, match=r"b\.bin is not in the cache .*cache, or not all"):
        RemoteFile(url, offline)
    with RemoteFile(url, access) as file:
        file.read_at(100_000, 5_000)
    served.clear()
    sources.forget_all()
    with RemoteFile(url, offline) as file:
        assert file.read_at(101_000, 4_000) == CONTENT[101_000:105_000]
        with pytest.raises(remote.NotCached, match="run once without --offline"):
            file.read_at(101_000, 4_001)
    assert served.sent == []


def test_the_signature_is_no_part_of_the_key(served, url, access):
    with RemoteFile(f"{url}?sv=1&sig=one", access) as file:
        file.read_at(100_000, 5_000)
    served.clear()
    with RemoteFile(f"{url}?sv=1&sig=two", access) as file:
        assert file.read_at(100_000, 5_000) == CONTENT[100_000:105_000]
    assert served.sent == []


READER = """
import sys
from pathlib import Path
from spatioformer.archives.remote import Access, RemoteFile, counters
url, host, cache = sys.argv[1:4]
with RemoteFile(url, Access((host,), Path(cache))) as file:
    for start in range(0, file.size(), 10_000):
        data = file.read_at(start, 10_000)
        print(start, sum(data), flush=True)
print("bytes", counters().bytes)
"""


def reader(served, url: str, cache: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", READER, url, served.host, str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def sums() -> list[str]:
    return [f"{i} {sum(CONTENT[i : i + 10_000])}" for i in range(0, len(CONTENT), 10_000)]


@pytest.mark.slow
def test_a_killed_run_reads_nothing_again(served, url, tmp_path):
    served.plan = lambda asked: servers.slow(0.02)
    with reader(served, url, tmp_path / "cache") as killed:
        assert [killed.stdout.readline().rstrip() for _ in range(15)] == sums()[:15]
        killed.kill()
    served.plan = None
    kept = {sent.range for sent in served.sent[:-1]}
    time.sleep(0.1)
    served.clear()
    again = reader(served, url, tmp_path / "cache")
    assert again.communicate()[0].splitlines()[:-1] == sums()
    ranges = set(asked(served))
    assert len(ranges & kept) <= 1  # the one that was on its way when it was killed
    assert min(ranges)[0] >= 140_000
    served.clear()
    third = reader(served, url, tmp_path / "cache")
    assert third.communicate()[0].splitlines() == [*sums(), "bytes 0"]
    assert served.sent == []


@pytest.mark.slow
def test_two_processes_share_a_cache(served, url, tmp_path):
    served.plan = servers.sometimes(0.2, seed=2, kinds=[servers.status(503, Retry_After="0")])
    both = [reader(served, url, tmp_path / "cache") for _ in range(2)]
    for process in both:
        assert process.communicate()[0].splitlines()[:-1] == sums()
        assert process.returncode == 0
    served.clear()
    with RemoteFile(url, served.access(tmp_path / "cache", offline=True)) as file:
        assert file.read() == CONTENT
    assert not list((tmp_path / "cache").rglob("*.part*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_reads(served, url, access):
    with RemoteFile(url, access) as file:
        file.fetch([(start, start + 2_000) for start in range(20_000, 80_000, 10_000)])
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from spatioformer.archives.remote import Access, RemoteFile\n"
        "access = Access((sys.argv[2],), Path(sys.argv[3]))\n"
        "RemoteFile(sys.argv[1], access).fetch([(0, 50_000), (90_000, 95_000)])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    RemoteFile(sys.argv[1], access).fetch([(100_000, 105_000), (300_000, 305_000)])\n"
        "    os._exit(7)\n"
        "assert os.waitpid(child, 0)[1] >> 8 == 7\n"
    )
    command = [sys.executable, "-c", script, url, served.host, str(access.cache)]
    assert subprocess.run(command, timeout=60).returncode == 0
    assert (300_000, 305_000) in asked(served)


def test_an_error_of_the_first_bytes_leaves_nothing_behind(served, url, access):
    served.plan = servers.always(servers.status(404))
    for _ in range(2):
        with pytest.raises(RemoteError):
            RemoteFile(url, access)
    served.plan = None
    with RemoteFile(url, access) as file:
        assert file.read_at(0, 10) == CONTENT[:10]
