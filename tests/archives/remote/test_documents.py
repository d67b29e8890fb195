"""Documents of catalogues: asked for each time, cached for --offline."""

from dataclasses import replace

import pytest

from spatioformer.archives import remote
from spatioformer.archives.remote import read_bytes
from spatioformer.archives.remote import source as sources
from tests.helpers import servers


def test_a_document_is_asked_for_each_time_but_sent_once(served, access):
    path = served.folder / "catalog.json"
    path.write_bytes(b'{"id": "a"}')
    url = f"{served.url}/catalog.json"
    assert read_bytes(url, access, limit=100) == b'{"id": "a"}'
    assert read_bytes(url, access, limit=100) == b'{"id": "a"}'
    assert [(sent.status, sent.bytes) for sent in served.sent] == [(200, 11), (304, 0)]
    path.write_bytes(b'{"id": "new"}')
    assert read_bytes(url, access, limit=100) == b'{"id": "new"}'
    offline = replace(access, offline=True)
    assert read_bytes(url, offline, limit=100) == b'{"id": "new"}'
    with pytest.raises(remote.NotCached, match=r"other\.json is not in the cache"):
        read_bytes(f"{served.url}/other.json", offline, limit=100)


def test_a_damaged_document_of_the_cache_is_read_again(served, access):
    (served.folder / "a.json").write_bytes(b"content")
    read_bytes(f"{served.url}/a.json", access, limit=100)
    [kept] = access.cache.rglob("*-0-7")
    kept.write_bytes(b"c0ntent" + kept.read_bytes()[7:])
    assert read_bytes(f"{served.url}/a.json", access, limit=100) == b"content"
    assert [sent.status for sent in served.sent] == [200, 200]


def test_searches_are_told_apart_by_their_bodies(served, access, monkeypatch):
    (served.folder / "search").write_bytes(b"result")
    url = f"{served.url}/search"
    assert read_bytes(url, access, limit=100, body=b'{"bbox": 1}') == b"result"
    assert served.sent[-1].headers["content-type"] == "application/json"
    offline = replace(access, offline=True)
    assert read_bytes(url, offline, limit=100, body=b'{"bbox": 1}') == b"result"
    with pytest.raises(remote.NotCached):
        read_bytes(url, offline, limit=100, body=b'{"bbox": 2}')
    with pytest.raises(remote.NotCached):
        read_bytes(url, offline, limit=100)


def test_faults_are_tried_again(served, access):
    (served.folder / "a.json").write_bytes(b"content" * 50)
    # Without a range, nothing tells that a body is not the document, if its length is as stated.
    kinds = [f for f in servers.all_kinds() if f.kind not in ("shorter", "longer", "wrong-range")]
    served.plan = servers.sometimes(0.6, seed=1, kinds=kinds)
    for number in range(60):
        read = read_bytes(f"{served.url}/a.json?page={number}", access, limit=1000)
        assert read == b"content" * 50
    assert served.faults > 50
    assert remote.counters().retries == served.faults


@pytest.mark.parametrize("local", [True, False])
def test_limits_and_absence(served, access, local):
    (served.folder / "a.json").write_bytes(bytes(1000))
    base = str(served.folder) if local else served.url
    assert len(read_bytes(f"{base}/a.json", access, limit=1000)) == 1000
    with pytest.raises(remote.RemoteError, match="has more than 999 bytes, which is more than a"):
        read_bytes(f"{base}/a.json", access, limit=999)
    with pytest.raises(remote.NotFound, match=r"b\.json does not exist"):
        read_bytes(f"{base}/b.json", access, limit=999)
    with pytest.raises(remote.RemoteError):
        read_bytes(f"{base}/", access, limit=999)


def test_offline_knows_what_the_server_did_not_have(served, access):
    url = f"{served.url}/c/0/0"
    readers = {
        "document": lambda access: read_bytes(f"{url}.json", access, limit=100),
        "file": lambda access: remote.RemoteFile(url, access).close(),
    }
    offline = replace(access, offline=True)
    for read in readers.values():
        with pytest.raises(remote.NotCached):
            read(offline)
        with pytest.raises(remote.NotFound):
            read(access)
        for forget in (lambda: None, sources.forget_all):
            forget()
            with pytest.raises(remote.NotFound, match=r"c/0/0.* does not exist \(404\)"):
                read(offline)
    (served.folder / "c" / "0").mkdir(parents=True)
    (served.folder / "c" / "0" / "0").write_bytes(b"now")
    readers["file"](access)
    readers["file"](offline)


def test_a_document_cut_short_without_a_length_is_not_kept_for_good(served, access, monkeypatch):
    """Without a length nothing says that it is cut, and its tag says that it is unchanged."""
    (served.folder / "a.json").write_bytes(b'{"id": "a"}')
    send = servers._Handler._send

    def cut(self, code, body, length, fault):
        self.close_connection = True
        head = b'HTTP/1.1 200 OK\r\nConnection: close\r\nETag: "a"\r\n\r\n'
        self.wfile.write(head + body[:5])

    monkeypatch.setattr(servers._Handler, "_send", cut)
    assert read_bytes(f"{served.url}/a.json", access, limit=100) == b'{"id"'
    monkeypatch.setattr(servers._Handler, "_send", send)
    served.tags["/a.json"] = "a"
    assert read_bytes(f"{served.url}/a.json", access, limit=100) == b'{"id": "a"}'
