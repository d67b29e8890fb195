"""A real server on loopback: ports, raw requests, its end, and the map in a notebook."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import spatioformer as sf
from spatioformer.common.errors import OutputError
from spatioformer.common.progress import Console
from spatioformer.viewer.notebook import _address
from spatioformer.viewer.routes import router
from spatioformer.viewer.serve import bind, start
from tests.helpers.tiny_run import assert_refused, spatioformer


class Said(Console):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def port(run):
    place = bind("127.0.0.1", 0)
    stop = start([router(run)], place)
    yield place.port
    stop()


def raw(port: int, request: bytes) -> bytes:
    """The answer to a request of bytes, which no client has tidied up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /api/run.json HTTP/1.1", 200),
        (b"GET /../../../../../../etc/passwd HTTP/1.1", 404),
        (b"GET /tiles/../../../etc/passwd HTTP/1.1", 404),
        (b"GET /tiles/..%2f..%2fmap/all/0/0/0.png HTTP/1.1", 404),
        (b"GET http://example.org/api/run.json HTTP/1.1", 404),
        (b"GET /%ff%fe HTTP/1.1", 404),
        (b"GET /tiles/mean/all/4/14/8.png?url=/vsicurl/http://example.org/a HTTP/1.1", 200),
        (b"BREW / HTTP/1.1", 405),
        (b"nonsense", 400),
    ],
)
def test_raw_requests(port, line, status):
    answer = raw(port, line + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert int(answer.split()[1]) == status, answer[:300]
    assert b"root:" not in answer


def test_a_request_without_or_with_two_hosts_is_refused(port):
    one = b"GET /api/run.json HTTP/1.1\r\nConnection: close\r\n"
    for hosts in (b"", b"Host: 127.0.0.1\r\nHost: evil.example\r\n"):
        assert int(raw(port, one + hosts + b"\r\n").split()[1]) in (400, 403)


def test_the_next_free_port_is_taken_and_said():
    first, said = bind("127.0.0.1", 0), Said()
    second = bind("127.0.0.1", first.port, said)
    assert first.port < second.port <= first.port + 50
    assert said.lines == [f"port {first.port} is in use; taking {second.port}"]
    assert second.address == f"http://127.0.0.1:{second.port}/"
    for place in (first, second):
        place.socket.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "example.invalid"])
def test_a_host_that_is_not_of_this_machine(host):
    with pytest.raises(OutputError, match=rf"^cannot listen at {host}, port 8421 \(.*\); choose"):
        bind(host, None)


def test_a_port_that_does_not_exist(folder):
    ended = spatioformer("view", folder, "--port", "70000")
    assert ended.code == 2
    assert "--port" in ended.err


def test_beyond_this_machine_the_address_holds_a_token():
    everywhere = bind("0.0.0.0", 0)
    assert everywhere.is_open
    assert everywhere.gate.always
    token = re.fullmatch(r"http://[^/]+:\d+/\?token=(.{32})", everywhere.address)[1]
    assert everywhere.gate.holds(token)
    assert not everywhere.gate.holds(None)
    here = bind("localhost", 0)
    assert not here.is_open
    assert here.gate.token is None
    for place in (everywhere, here):
        place.socket.close()


@pytest.mark.slow
def test_the_command_serves_until_a_signal_and_ends_well(folder):
    command = [sys.executable, "-m", "spatioformer", "view", str(folder), "--no-browser"]
    with subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline()
            address = re.fullmatch(r"the map is at (\S+) \(stop with Ctrl-C\)\n", line)[1]
            with urllib.request.urlopen(f"{address}api/run.json", timeout=60) as answer:
                assert json.load(answer)["name"] == "linear"
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_a_notebook_shows_the_map_in_a_frame(folder, monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    shown = sf.view(folder, height=300)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", shown.url)
    assert repr(shown) == f"<map at {shown.url}>"
    assert shown._repr_html_() == (
        f'<iframe src="{shown.url}" title="Map" style="width: 100%; height: 300px; border: 0">'
        "</iframe>"
    )
    with urllib.request.urlopen(f"{shown.url}api/run.json", timeout=20) as answer:
        assert "frame-ancestors" not in answer.headers["content-security-policy"]
    shown.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(shown.url, timeout=5)


def test_a_hub_of_notebooks_is_reached_through_its_proxy(monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    assert _address(None, 80, "t") == "http://127.0.0.1:80/"
    assert _address("/proxy/{port}/", 80, "t") == "/proxy/80/?token=t"
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ana/")
    assert _address(None, 80, "t") == "/user/ana/proxy/80/?token=t"


def test_without_the_extra_the_command_says_what_to_install(folder, monkeypatch):
    from spatioformer.viewer import needs

    monkeypatch.setattr(needs, "LIBRARIES", ("fastapi", "no_such_library"))
    assert_refused(
        spatioformer("view", folder),
        "the map in a browser needs no_such_library; install it with "
        "`pip install 'spatioformer[view]'`",
    )


def test_the_page_is_served_and_named_files_only(tmp_path, run):
    from spatioformer.viewer.app import create_app
    from spatioformer.viewer.security import Gate
    from tests.viewer.conftest import client_of

    page = tmp_path / "page"
    (page / "inner").mkdir(parents=True)
    (page / "index.html").write_text("<p>page</p>")
    (page / "map.js").write_text("const a = 1;\n" * 200)
    (page / "inner" / "secret.js").write_text("secret")
    client = client_of(create_app([router(run)], Gate(), page))
    assert client.get("/").text == client.get("/index.html").text == "<p>page</p>"
    script = client.get("/map.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["content-encoding"] == "gzip"
    assert script.text == "const a = 1;\n" * 200
    assert client.get("/map.js", headers={"accept-encoding": "identity"}).text == script.text
    same = client.get("/map.js", headers={"if-none-match": script.headers["etag"]})
    assert same.status_code == 304
    for path in ("/inner/secret.js", "/inner", "/Map.js", "/map.js/", "/%2e/map.js"):
        assert client.get(path).status_code == 404
    assert Path(page / "map.js").exists()
