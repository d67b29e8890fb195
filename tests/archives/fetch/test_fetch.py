"""Whole files: complete, checked, resumed, cached; each fault passes or ends in one sentence."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spatioformer.archives.fetch import download, fetch, fetch_file, file_cache
from spatioformer.archives.remote import (
    NotCached,
    NotFound,
    RemoteError,
    Unreachable,
    counters,
    default_cache,
)
from spatioformer.common.errors import ArgumentError, OutputError
from spatioformer.common.progress import Console
from tests.helpers import servers
from tests.helpers.servers import always, first, status


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data).hexdigest()}"


def refusal(url: str, kind: type[Exception] = RemoteError, **options) -> str:
    with pytest.raises(kind) as caught:
        fetch(url, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def ranges(served) -> list:
    return [(sent.status, sent.range and sent.range[0]) for sent in served.sent]


# --- the cache ------------------------------------------------------------------------------------


def test_a_file_is_fetched_once(served, content):
    path = fetch(f"{served.url}/a.bin")
    assert path.name == "a.bin"
    assert path.read_bytes() == content
    assert fetch(f"{served.url}/a.bin") == path
    assert ranges(served) == [(200, None), (304, None)]
    assert fetch(f"{served.url}/a.bin", checksum=md5(content)) == path
    assert fetch(f"{served.url}/a.bin", offline=True) == path
    assert len(served.sent) == 2  # the checksum says that it is the file


def test_a_file_that_changed_is_fetched_again(served, content):
    path = fetch(f"{served.url}/a.bin")
    (served.folder / "a.bin").write_bytes(b"new")
    assert fetch(f"{served.url}/a.bin", offline=True).read_bytes() == content
    assert fetch(f"{served.url}/a.bin").read_bytes() == b"new"
    assert fetch(f"{served.url}/a.bin", offline=True) == path


def test_a_damaged_file_of_the_cache_is_fetched_again(served, content):
    url = f"{served.url}/a.bin"
    path = fetch(url)
    path.write_bytes(content[:-1] + b"x")
    os.utime(path, ns=(1, 1))
    assert "a.bin is not in the cache" in refusal(url, NotCached, offline=True)
    assert fetch(url).read_bytes() == content
    os.utime(path, ns=(1, 1))  # a copied cache is not fetched again
    assert fetch(url).read_bytes() == content
    assert [sent.status for sent in served.sent] == [200, 200, 304]


def test_offline(served, content):
    url = f"{served.url}/a.bin"
    assert refusal(url, NotCached, offline=True).endswith("run once without --offline")
    fetch(url)
    assert "does not have the checksum md5:" in refusal(url, checksum=md5(b""), offline=True)
    served.plan = always(servers.truncated())
    (served.folder / "a.bin").write_bytes(content + b"more")
    refusal(url)  # what came of the new file is not taken for the old one
    assert fetch(url, offline=True).read_bytes() == content


def test_names_and_addresses(served, content, tmp_path):
    (served.folder / "download").write_bytes(content)
    assert fetch(f"{served.url}/download?id=5").name == "download"
    assert fetch(f"{served.url}/download?id=5", name="b.zip").name == "b.zip"
    assert fetch(f"{served.url}/download?id=6").read_bytes() == content
    assert [sent.status for sent in served.sent] == [200] * 3
    assert "'../b' cannot be the name" in refusal(served.url, ArgumentError, name="../b")
    local = tmp_path / "c.bin"
    local.write_bytes(b"c")
    assert fetch(str(local)) == fetch(local.as_uri(), checksum=md5(b"c")) == local
    assert "c.bin does not have the checksum" in refusal(str(local), checksum=md5(b""))
    assert refusal(str(tmp_path / "d")).endswith("/d; check the path")
    assert "only addresses of http, https, s3 and gs are" in refusal("ftp://a.org/b")
    assert "holds a user name or password" in refusal("http://a:b@a.org/b")


# --- interruptions --------------------------------------------------------------------------------


def test_an_interruption_is_resumed(served, content):
    served.plan = first(1, servers.truncated())
    assert fetch(f"{served.url}/a.bin").read_bytes() == content
    assert ranges(served) == [(200, None), (206, 150_000)]
    assert served.sent[-1].headers["if-range"] == '"493e0"'
    assert counters().bytes == len(content)


def test_a_later_run_resumes(served, content):
    url = f"{served.url}/a.bin"
    served.plan = first(1, servers.truncated())
    with pytest.raises(RemoteError, match="the connection broke") as caught:
        fetch_file(url, served.access(file_cache_folder(), attempts=1))
    assert str(caught.value).endswith("(1 attempt); run again later, what was read is kept")
    assert refusal(url, NotCached, offline=True, cache=file_cache_folder())
    assert fetch(url, cache=file_cache_folder(), checksum=md5(content)).read_bytes() == content
    assert ranges(served)[-1] == (206, 150_000)


def file_cache_folder() -> Path:
    return default_cache() / "other"


def test_a_file_that_changes_meanwhile_is_fetched_anew(served, content):
    def plan(asked):
        if asked.nth == 1:
            (served.folder / "a.bin").write_bytes(b"n" * 200_000)
        return servers.truncated() if asked.nth == 0 else None

    served.plan = plan
    assert fetch(f"{served.url}/a.bin").read_bytes() == b"n" * 200_000
    assert ranges(served) == [(200, None), (200, 150_000)]


def test_a_server_without_ranges_or_versions(served, content, monkeypatch):
    served.plan = lambda asked: servers.truncated() if asked.nth == 0 else servers.no_range()
    assert fetch(f"{served.url}/a.bin").read_bytes() == content
    monkeypatch.setattr(download, "_stated", lambda response, size: file_cache.Identity(size))
    served.plan = first(2, servers.truncated())
    (served.folder / "b.bin").write_bytes(content)
    assert fetch(f"{served.url}/b.bin").read_bytes() == content
    assert ranges(served)[-3:] == [(200, None)] * 3  # nothing tells that the rest would fit
    fetch(f"{served.url}/b.bin")
    assert ranges(served)[-1] == (200, None)  # nor that it has not changed


def test_a_weak_entity_tag_is_no_condition_of_a_range(served, content, monkeypatch):
    stated = download._stated

    def weak(response, size):
        identity = stated(response, size)
        return file_cache.Identity(size, f"W/{identity.etag}", identity.modified)

    monkeypatch.setattr(download, "_stated", weak)
    served.plan = first(1, servers.truncated())
    assert fetch(f"{served.url}/a.bin").read_bytes() == content
    assert served.sent[-1].headers["if-range"].endswith("GMT")


def test_a_complete_part_needs_no_byte(served, content, monkeypatch):
    url = f"{served.url}/a.bin"
    publish = file_cache.FileEntry.publish
    monkeypatch.setattr(file_cache.FileEntry, "publish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # stands for a killed process
        fetch(url)
    monkeypatch.setattr(file_cache.FileEntry, "publish", publish)
    assert fetch(url).read_bytes() == content
    assert ranges(served) == [(200, None), (416, 300_000)]


@pytest.mark.parametrize(
    "fault",
    [f for f in servers.all_kinds() if f.kind not in ("shorter", "longer")],
    ids=lambda fault: f"{fault.kind}{fault.status}",
)
def test_a_fault_that_passes_changes_nothing(served, content, fault):
    served.plan = lambda asked: (
        fault if asked.nth in (1, 2) else servers.truncated() if asked.nth == 0 else None
    )
    assert fetch(f"{served.url}/a.bin", checksum=md5(content)).read_bytes() == content


def test_many_faults_of_a_long_file(served):
    """Attempts count anew after each megabyte, so a bad line does not end a long download."""
    data = os.urandom(1 << 20) * 9
    (served.folder / "long.bin").write_bytes(data)
    served.plan = lambda asked: servers.truncated() if asked.nth < 30 else None
    assert "(5 attempts)" in refusal(f"{served.url}/long.bin")
    assert len(served.sent) == 11  # after 4.7, 7.1, 8.3 and 9.4 MB another five
    served.plan = None
    assert fetch(f"{served.url}/long.bin").read_bytes() == data


def test_a_stall_and_a_slow_server(served, content, monkeypatch):
    access = served.access(file_cache_folder(), timeout=0.2)
    served.plan = first(1, servers.stall(3))
    assert fetch_file(f"{served.url}/a.bin", access).read_bytes() == content
    assert ranges(served) == [(200, None), (206, 150_000)]
    monkeypatch.setattr(download, "SLOWEST", 10**9)
    (served.folder / "b.bin").write_bytes(content)
    served.plan = first(1, servers.slow(30))
    assert fetch_file(f"{served.url}/b.bin", access).read_bytes() == content
    assert ranges(served)[-1][0] == 206


# --- refusals -------------------------------------------------------------------------------------


def test_a_wrong_checksum(served, content):
    url = f"{served.url}/a.bin"
    text = refusal(url, checksum=md5(b""))
    assert text == (
        f"fetch: {url} has the checksum {md5(content)}, not {md5(b'')} as stated, so it was "
        "changed or damaged; check the address and the checksum"
    )
    assert "is not in the cache" in refusal(url, NotCached, offline=True)
    assert fetch(url, checksum="SHA256:" + hashlib.sha256(content).hexdigest()).exists()
    for bad in ("md5:12", "crc32:12345678", "d41d8cd98f00b204e9800998ecf8427e"):
        assert "is no checksum; give the algorithm" in refusal(url, ArgumentError, checksum=bad)


def test_damaged_bytes_of_an_earlier_run_are_fetched_anew(served, content):
    url = f"{served.url}/a.bin"
    served.plan = always(servers.truncated())
    with pytest.raises(RemoteError):
        fetch_file(url, served.access(file_cache_folder(), attempts=1))
    [part] = file_cache_folder().rglob("part")
    part.write_bytes(bytes(150_000))
    served.plan = None
    assert fetch(url, cache=file_cache_folder(), checksum=md5(content)).read_bytes() == content
    assert ranges(served)[-2:] == [(206, 150_000), (200, None)]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (status(404), r"does not exist \(404\); check the address"),
        (status(403), r"refuses to give .*a\.bin \(403\)"),
        (status(503), r"the server answered 503 Service Unavailable \(5 attempts\)"),
        (servers.dropped(), r"the connection broke \(5 attempts\)"),
        (servers.compressed(), "a body compressed with gzip, unasked"),
        (
            servers.redirect("http://elsewhere.org/x"),
            r"give it as a host \(--host elsewhere\.org\)",
        ),
    ],
)
def test_faults_that_stay(served, content, fault, message):
    served.plan = always(fault)
    with pytest.raises(RemoteError, match=message) as caught:
        fetch(f"{served.url}/a.bin")
    assert isinstance(caught.value, NotFound) is (fault.status == 404)


def test_an_unreachable_host(tmp_path):
    text = refusal("http://no-such-host.invalid/a", Unreachable)
    assert "check the network and the address, or use --offline" in text


def test_a_redirect_to_a_host_that_is_given(served, content):
    with servers.FileServer(served.folder) as other:
        served.plan = always(servers.redirect(f"{other.url}{{path}}"))
        path = fetch(f"{served.url}/a.bin", hosts=(other.host,))
    assert path.read_bytes() == content


def test_a_length_that_is_not_stated(served, content, monkeypatch):
    def without(self, code, body, length, fault):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    monkeypatch.setattr(servers._Handler, "_send", without)
    assert "does not state its length" in refusal(f"{served.url}/a.bin")
    assert fetch(f"{served.url}/a.bin", checksum=md5(content)).read_bytes() == content


def test_a_full_disk(served, content, monkeypatch):
    url = f"{served.url}/a.bin"

    def full(stream, chunk):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_put", full)
    assert "no space left; free some space and run again" in refusal(url, OutputError)
    monkeypatch.undo()
    usage = (100, 90, 10)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": usage[2]}))
    assert "free some space and run again" in refusal(url, OutputError)


def test_the_limit_of_the_cache(served, content, monkeypatch):
    access = served.access(file_cache_folder(), limit_gb=0.0007)
    urls = []
    for number in range(4):
        (served.folder / f"{number}.bin").write_bytes(content)
        urls.append(f"{served.url}/{number}.bin")
    fetch_file(urls[0], access)
    fetch_file(urls[1], access)
    with pytest.raises(RemoteError, match=r"which may take 0\.0007 GB and holds files used within"):
        fetch_file(urls[2], access)
    monkeypatch.setattr(file_cache, "IN_USE", -1)
    fetch_file(urls[0], access)  # is the one used last
    fetch_file(urls[2], access)
    kept = {path.name for path in file_cache_folder().rglob("*.bin")}
    assert kept == {"0.bin", "2.bin"}
    small = served.access(file_cache_folder(), limit_gb=0.0002)
    with pytest.raises(RemoteError, match=r"set imagery\.cache\.gb to more"):
        fetch_file(urls[3], small)


# --- several at once ------------------------------------------------------------------------------


def test_threads_and_processes_fetch_a_file_once(served, content):
    served.plan = first(1, servers.slow(0.5))
    url = f"{served.url}/a.bin"
    call = f"fetch({url!r}, checksum={md5(content)!r})"
    code = f"from spatioformer.archives.fetch import fetch; print({call})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetch(url, checksum=md5(content))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out, _ = process.communicate(timeout=60)
    assert {str(path) for path in paths} == {out.strip()}
    assert paths[0].read_bytes() == content
    assert len(served.sent) == 1


def test_a_killed_process_leaves_what_came(served, tmp_path):
    data = os.urandom(1 << 20) * 4
    (served.folder / "b.bin").write_bytes(data)
    served.plan = first(1, servers.stall(60))
    url = f"{served.url}/b.bin"
    code = f"from spatioformer.archives.fetch import fetch; fetch({url!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    folder = tmp_path / "home"
    while not any(part.stat().st_size == len(data) // 2 for part in folder.rglob("part")):
        time.sleep(0.05)
        assert process.poll() is None
    process.kill()
    process.wait()
    assert fetch(url).read_bytes() == data
    assert ranges(served)[-1] == (206, len(data) // 2)


def test_progress_in_megabytes(served, capsys, monkeypatch):
    (served.folder / "b.bin").write_bytes(bytes(3_000_000))
    monkeypatch.setattr("spatioformer.common.progress.INTERVAL", -1)
    fetch(f"{served.url}/b.bin", console=Console(interactive=False))
    assert "b.bin, MB: 3 of 3" in capsys.readouterr().err
