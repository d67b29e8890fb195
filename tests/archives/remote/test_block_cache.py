"""The cache on disk: versions, damage, limits."""

import os
import time

import pytest

from spatioformer.archives.remote import Access, RemoteError, RemoteFile, default_cache
from spatioformer.archives.remote import source as sources
from spatioformer.archives.remote.block_cache import LEFT, BlockCache
from spatioformer.archives.remote.transport import Identity
from spatioformer.common.errors import OutputError
from spatioformer.common.parts import part_of

OLD, NEW = Identity(1000, "a", "Monday"), Identity(1000, "b", "Monday")


@pytest.fixture
def entry(tmp_path):
    entry = BlockCache(tmp_path, 10**6).entry("https://a.org/x.tif")
    entry.set_identity(OLD)
    return entry


def test_pieces_come_back(entry, tmp_path):
    entry.save(OLD, 100, b"abc")
    entry.save(OLD, 20, b"defg")
    again = BlockCache(tmp_path, 10**6).entry("https://a.org/x.tif")
    assert again.identity() == OLD
    assert again.spans(OLD) == [(20, 24), (100, 103)]
    assert again.load(OLD, (100, 103)) == b"abc"
    assert again.load(OLD, (100, 104)) is None
    other = BlockCache(tmp_path, 10**6).entry("https://a.org/y.tif")
    assert (other.identity(), other.spans(OLD)) == (None, [])


def test_versions_do_not_mix(entry):
    entry.save(OLD, 0, b"old")
    assert entry.spans(NEW) == []
    assert entry.load(NEW, (0, 3)) is None
    entry.set_identity(NEW)
    entry.save(NEW, 0, b"new")
    assert entry.load(OLD, (0, 3)) is None
    assert entry.load(NEW, (0, 3)) == b"new"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: b"X" + content[1:],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content + b"more",
    ],
)
def test_a_damaged_piece_is_absent_and_removed(entry, damage):
    entry.save(OLD, 0, b"some bytes")
    [path] = entry.folder.glob("*-0-10")
    path.write_bytes(damage(path.read_bytes()))
    assert entry.load(OLD, (0, 10)) is None
    assert not path.exists()


def test_a_piece_under_another_name_is_damaged(entry):
    entry.save(OLD, 0, b"some bytes")
    [path] = entry.folder.glob("*-0-10")
    path.rename(path.with_name(path.name.replace("-0-10", "-10-20")))
    assert entry.load(OLD, (10, 20)) is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"address": "other", "size": 1}', "nonsense"])
def test_a_damaged_identity_is_absent(entry, text):
    (entry.folder / "identity.json").write_text(text)
    assert entry.identity() is None


def test_the_pieces_used_longest_ago_go_first(tmp_path):
    cache = BlockCache(tmp_path, 10_000)
    entry = cache.entry("https://a.org/x.tif")
    entry.set_identity(OLD)
    for number in range(30):
        entry.save(OLD, number * 1000, bytes(1000))
        past = time.time() - 3600 + number
        [path] = entry.folder.glob(f"*-{number * 1000}-*")
        os.utime(path, (past, past))
        assert entry.load(OLD, (0, 1000)) == bytes(1000)  # used all the time
        assert cache.size() <= 10_000 + 1100
    assert (0, 1000) in entry.spans(OLD)
    assert (1000, 2000) not in entry.spans(OLD)
    assert (29_000, 30_000) in entry.spans(OLD)


def test_what_killed_processes_left_is_removed(entry, tmp_path):
    entry.save(OLD, 0, b"some bytes")
    for age in (LEFT + 10, 10):
        part = part_of(entry.folder / f"x-{age}")
        part.write_bytes(b"half")
        os.utime(part, (time.time() - age, time.time() - age))
    BlockCache(tmp_path, 10**6).prune()
    assert [path.name.partition(".")[0] for path in entry.folder.glob("*.part*")] == ["x-10"]


def test_a_disk_too_small_is_said_before_the_work(served, raster, tmp_path):
    access = served.access(tmp_path / "cache", limit_gb=1e9, owner="imagery.sources[0]")
    message = (
        r"imagery\.sources\[0\]: the cache .*cache may take 1e\+09 GB, but its disk has room for "
        r".* GB; set imagery\.cache\.gb to less, or imagery\.cache\.path to"
    )
    with pytest.raises(RemoteError, match=message):
        RemoteFile(f"{served.url}/a.tif", access)
    assert served.sent == []


def test_a_cache_that_cannot_be_written(served, raster, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        RemoteFile(f"{served.url}/a.tif", served.access(tmp_path / "file" / "cache"))


def test_a_full_disk_is_said(served, raster, access, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spatioformer.archives.remote.block_cache.os.replace", full)
    with pytest.raises(OutputError, match="no space left; free some space and run again"):
        RemoteFile(f"{served.url}/a.tif", access)


def test_a_limit_smaller_than_what_is_read_costs_time_but_no_bytes(served, tmp_path):
    content = os.urandom(300_000)
    (served.folder / "b.bin").write_bytes(content)
    access = served.access(tmp_path / "cache", limit_gb=2e-5)  # 20 kB
    for _ in range(2):
        with RemoteFile(f"{served.url}/b.bin", access) as file:
            file.fetch([(start, start + 10_000) for start in range(0, 300_000, 20_000)])
            assert file.read() == content
        sources.forget_all()
    assert BlockCache(tmp_path / "cache", 1).size() <= 300_000


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/big/cache"}, "/big/cache/spatioformer/archives"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "{home}/.cache/spatioformer/archives"),
        ("linux", {}, "{home}/.cache/spatioformer/archives"),
        ("darwin", {}, "{home}/Library/Caches/spatioformer/archives"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/spatioformer/archives"),
    ],
)
def test_the_default_folder(platform, variables, expected, monkeypatch, tmp_path):
    monkeypatch.setattr("spatioformer.common.files.sys.platform", platform)
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_cache().as_posix() == expected.format(home=tmp_path)


def test_an_access_can_be_sent_to_another_process(tmp_path):
    import pickle

    access = Access(("a.org",), tmp_path)
    assert pickle.loads(pickle.dumps(access)) == access
    error = pickle.loads(pickle.dumps(RemoteError("a sentence", "https://a.org/x")))
    assert (str(error), error.href) == ("a sentence", "https://a.org/x")
