"""Each fault of a server: those that pass are tried again, the others end in one sentence."""

import socket

import pytest

from spatioformer.archives import remote
from spatioformer.archives.remote import RemoteError, RemoteFile, fetching, retries
from tests.helpers import servers
from tests.helpers.servers import FileServer, always, first, status


@pytest.fixture
def content(served) -> bytes:
    """The file b.bin of the served folder, longer than the head."""
    data = bytes(i * i % 251 for i in range(200_000))
    (served.folder / "b.bin").write_bytes(data)
    return data


def read(served: FileServer, access: remote.Access, start: int = 50_000, length: int = 60_000):
    with RemoteFile(f"{served.url}/b.bin", access) as file:
        return file.read_at(start, length)


@pytest.mark.parametrize(
    "fault", servers.all_kinds(), ids=lambda fault: f"{fault.kind}{fault.status}"
)
def test_a_fault_that_passes_changes_nothing(served, access, content, fault):
    served.plan = first(2, fault)
    assert read(served, access) == content[50_000:110_000]
    assert served.faults == remote.counters().retries == 2
    assert remote.counters().requests == len(served.sent) == 4
    assert remote.counters().bytes >= 16_384 + 60_000


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (status(500), "the server answered 500 Internal Server Error"),
        (status(429), "the server answered 429 Too Many Requests"),
        (servers.truncated(), "(the connection broke|sent only 8192 of 16384)"),
        (servers.shorter(), "the server sent only 8192 of 16384 bytes"),
        (servers.longer(), "the server sent more than the 16384 of 16384 bytes"),
        (servers.wrong_range(), "the server sent bytes 1-16383 where 0-16383 were asked for"),
        (servers.compressed(), "a body compressed with gzip, unasked"),
        (servers.dropped(), "the connection broke"),
    ],
)
def test_a_fault_that_stays_ends_in_a_sentence(served, access, content, fault, reason):
    served.plan = always(fault)
    with pytest.raises(RemoteError, match=reason) as caught:
        read(served, access)
    message = str(caught.value)
    assert message.startswith(f"imagery.sources[0]: cannot read {served.url}/b.bin: ")
    assert message.endswith("(5 attempts); run again later, what was read is kept")
    assert caught.value.href == f"{served.url}/b.bin"
    assert len(served.sent) == 5


def test_no_number_of_attempts_is_lost(served, access, content):
    served.plan = first(4, status(503))
    assert read(served, access) == content[50_000:110_000]
    served.plan = always(status(503))
    with pytest.raises(RemoteError, match=r"\(2 attempts\)"):
        read(served, served.access(access.cache, attempts=2), 150_000)


@pytest.mark.parametrize("fault", [servers.stall(3), servers.slow(60)])
def test_time_limits(served, content, tmp_path, monkeypatch, fault):
    monkeypatch.setattr("spatioformer.archives.remote.transport.SLOWEST", 10**9)
    served.plan = first(1, fault)
    access = served.access(tmp_path / "cache", timeout=0.3)
    assert read(served, access) == content[50_000:110_000]
    assert remote.counters().retries == served.faults == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (404, r"does not exist \(404\); the catalogue names a file that its server does not have"),
        (410, r"does not exist \(410\)"),
        (
            403,
            r"127\.0\.0\.1 refuses to give .*b\.bin \(403\): the file does not exist, or its host",
        ),
        (401, r"refuses to give .*b\.bin \(401\)"),
        (400, "the server answered 400 Bad Request; check the address"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(served, access, content, code, message):
    served.plan = always(status(code))
    with pytest.raises(RemoteError, match=message) as caught:
        read(served, access)
    assert isinstance(caught.value, remote.NotFound) is (code in (404, 410))
    assert len(served.sent) == 1


def test_a_server_that_ignores_ranges(served, access, content, monkeypatch):
    served.plan = always(servers.no_range())
    assert read(served, access) == content[50_000:110_000]
    assert [sent.bytes for sent in served.sent] == [200_000]  # small: kept whole

    monkeypatch.setattr(fetching, "LARGEST_WHOLE", 100_000)
    (served.folder / "c.bin").write_bytes(content)
    with pytest.raises(
        RemoteError, match=r"its server ignores ranges and sends the whole file \(2"
    ):
        RemoteFile(f"{served.url}/c.bin", access)


def test_an_empty_file(served, access):
    (served.folder / "b.bin").write_bytes(b"")
    with pytest.raises(RemoteError, match="is empty; the archive holds a damaged file"):
        read(served, access)


def unreachable_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("url", [None, "http://no-such-host.invalid"], ids=["port", "name"])
def test_an_unreachable_host(url, tmp_path):
    url = url or unreachable_url()
    host = url.removeprefix("http://")
    access = remote.Access((host,), tmp_path / "cache", attempts=2, owner="imagery.sources[1]")
    with pytest.raises(remote.Unreachable, match=f"cannot reach the host {host}") as caught:
        RemoteFile(f"{url}/a.tif", access)
    message = str(caught.value)
    assert "(2 attempts" in message
    remedy = "check the network and imagery.sources[1].endpoint, or use --offline to read the cache"
    assert message.endswith(f"{remedy} alone")


def test_redirects_to_permitted_hosts_are_followed(served, access, content, tmp_path):
    with FileServer(served.folder) as other:
        served.plan = always(servers.redirect(f"{other.url}{{path}}"))
        allowed = served.access(access.cache, hosts=(served.host, other.host))
        assert read(served, allowed) == content[50_000:110_000]
        assert len(other.sent) == 2
        other.clear()
        with pytest.raises(RemoteError, match=r"127\.0\.0\.1 redirects .* which is not among"):
            read(served, served.access(tmp_path / "new", hosts=(served.host,)))
        assert other.sent == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{path}", "is redirected more than 5 times"),
        ("", r"is redirected to nowhere \(302\); its bucket may lie in another region"),
        ("file:///etc/passwd", "which is not encrypted as the first address is|redirects"),
    ],
)
def test_wrong_redirects(served, access, content, target, message):
    fault = servers.redirect(target) if target else servers.Fault("redirect", 302)
    served.plan = always(fault)
    with pytest.raises(RemoteError, match=message):
        read(served, access)


def test_nothing_is_sent_to_other_hosts(served, content, tmp_path):
    with pytest.raises(RemoteError, match="not among the source's hosts"):
        read(served, remote.Access(("elsewhere.org",), tmp_path / "cache"))
    assert served.sent == []


def test_no_passwords_of_netrc_are_sent(served, access, content, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    read(served, access)
    assert all("authorization" not in sent.headers for sent in served.sent)
    assert all(sent.headers["accept-encoding"] == "identity" for sent in served.sent)


def test_a_hundred_faults_change_nothing(served, access, content):
    """None is lost and none is silent: each is answered by one more attempt."""
    served.plan = servers.sometimes(0.75, seed=3)
    with RemoteFile(f"{served.url}/b.bin", access) as file:
        assert b"".join(file.read_at(start, 2_000) for start in range(0, 200_000, 2_000)) == content
    assert served.faults > 100
    assert served.faults == remote.counters().retries
    assert {sent.fault for sent in served.sent} >= {fault.kind for fault in servers.all_kinds()}


def test_a_delay_is_asked_of_the_clock(served, access, content, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", waits.append)
    served.plan = first(1, status(429, Retry_After="9"))
    read(served, access)
    assert [int(wait) for wait in waits] == [9]
