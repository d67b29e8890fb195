"""A file server on loopback that understands ranges and fails on command, for tests of reading.

    with FileServer(folder) as server:
        open_remote(f"{server.url}/scene.tif", server.access(cache))
        server.sent[-1].range, server.bytes

Faults come from a plan, a function of the request, which is deterministic:

    FileServer(folder, plan=always(status(503)))                    each request fails
    FileServer(folder, plan=first(2, truncated()))                  the first two of each path
    FileServer(folder, plan=sometimes(0.3, seed=1))                 30 % of the requests, all kinds
    FileServer(folder, plan=only("*_B04.tif", always(stall(5))))    some of the paths

`server.tokens = {"secret"}` makes it refuse requests whose parameter `sig` is not among them, and
`server.tags["/a.tif"] = "2"` changes a file's entity tag. `server.serves_tokens()` also makes it
give tokens as the Planetary Computer does.
"""

import contextlib
import gzip
import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from spatioformer.archives.remote import Access
from tests.helpers.faults import (
    Asked,
    Fault,
    Plan,
    all_kinds,
    always,
    compressed,
    dropped,
    first,
    longer,
    no_range,
    only,
    redirect,
    shorter,
    slow,
    sometimes,
    stall,
    status,
    truncated,
    wrong_range,
)

__all__ = [
    "Asked",
    "Fault",
    "FileServer",
    "Plan",
    "Sent",
    "all_kinds",
    "always",
    "compressed",
    "dropped",
    "first",
    "longer",
    "no_range",
    "only",
    "redirect",
    "shorter",
    "slow",
    "sometimes",
    "stall",
    "status",
    "truncated",
    "wrong_range",
]

SIGNATURE = re.compile(r"sig=[^&]*")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Sent:
    """A line of the server's log.

    Attributes:
        path, query: path and parameters of the request.
        range: first byte and the byte after the last that were asked for, or None.
        status: status of the answer; 0 for none.
        bytes: bytes of the body, as far as it is sent.
        fault: kind of the fault, or None.
        headers: headers of the request, in small letters.
    """

    path: str
    query: str
    range: tuple[int, int] | None
    status: int
    bytes: int
    fault: str | None
    headers: dict[str, str]


class FileServer:
    """Serves a folder over HTTP on a free port of 127.0.0.1, in threads of this process.

    Attributes:
        url: address of the folder, without a slash at its end.
        plan: faults; may be changed while it runs.
        sent: the log, in the order of the answers.
        tags: entity tags by path; others have one made of the file's length.
        tokens: accepted values of the parameter `sig`; None: none is needed.
    """

    def __init__(self, folder: Path, plan: Plan | None = None):
        self.folder, self.plan = folder, plan
        self.sent: list[Sent] = []
        self.tags: dict[str, str] = {}
        self.tokens: set[str] | None = None
        self.issued: Callable[[str], dict[str, str]] | None = None
        self._times: dict[str, int] = {}
        self._again: dict[str, int] = {}
        self._number = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def access(self, cache: Path, **fields) -> Access:
        """An `Access` that permits this server; further fields of `Access` by name."""
        return Access(**({"hosts": (self.host,), "cache": cache, "timeout": 5.0} | fields))

    @property
    def bytes(self) -> int:
        """Bytes of all bodies sent."""
        return sum(sent.bytes for sent in self.sent)

    @property
    def faults(self) -> int:
        """Answers that were faults."""
        return sum(sent.fault is not None for sent in self.sent)

    def clear(self) -> None:
        """Empty the log."""
        self.sent.clear()

    def serves_tokens(self, life: float = 3600.0) -> None:
        """Demand signatures, and give them at /token/ACCOUNT/CONTAINER, each time a new one."""
        self.tokens = set()
        tokens, numbers = self.tokens, itertools.count()

        def issue(place: str) -> dict[str, str]:
            token = f"token{next(numbers)}"
            tokens.clear()  # older ones expire
            tokens.add(token)
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + life))
            return {"msft:expiry": end, "token": f"sv=2026&sig={token}&place={place}"}

        self.issued = issue

    def fault_of(self, path: str, what: str) -> Fault | None:
        with self._lock:
            nth, again = self._times.get(path, 0), self._again.get(what, 0)
            asked = Asked(self._number, path, nth, what, again)
            self._number += 1
            self._times[path], self._again[what] = nth + 1, again + 1
            return None if self.plan is None else self.plan(asked)

    def log(self, sent: Sent) -> None:
        with self._lock:
            self.sent.append(sent)

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        self._stopped.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients hang up on faults."""


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        owner = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FileServer
    timeout = 30

    def log_message(self, *_: object) -> None:
        """Keep the terminal clean."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parts.query
        span = self._range()
        # The signature may be another one at the next attempt.
        fault = self.owner.fault_of(path, f"{path} {SIGNATURE.sub('', query)} {span}")
        code, body = self._answer(path, query, span, fault)
        body, length = self._spoilt(body, fault)
        headers = {name.lower(): text for name, text in self.headers.items()}
        kind = None if fault is None else fault.kind
        # Before it is sent, so that a client which has it finds it in the log.
        self.owner.log(Sent(path, query, span, code, len(body), kind, headers))
        if kind == "dropped":
            self.close_connection = True
            return
        with contextlib.suppress(OSError):
            self._send(code, body, length, fault)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.posted = self.rfile.read(length)
        self.do_GET()

    def do_HEAD(self) -> None:
        self.send_error(405)

    def _range(self) -> tuple[int, int] | None:
        match = RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None:
            return None
        return int(match[1]), int(match[2]) + 1 if match[2] else 2**62

    def _answer(
        self, path: str, query: str, span: tuple[int, int] | None, fault: Fault | None
    ) -> tuple[int, bytes]:
        """Status and body, before what a fault does to the body. Headers lie in `self.extra`."""
        self.extra: dict[str, str] = {}
        if fault is not None and fault.kind == "dropped":
            return 0, b""
        if fault is not None and fault.status is not None:
            self.extra = dict(fault.headers)
            if fault.target:
                self.extra["Location"] = fault.target.replace("{path}", path)
            return fault.status, b"a fault"
        if self.owner.issued is not None and path.startswith("/token/"):
            return 200, json.dumps(self.owner.issued(path.removeprefix("/token/"))).encode()
        if self.owner.tokens is not None:
            sig = parse_qs(query).get("sig", [""])[0]
            if sig not in self.owner.tokens:
                return 403, b"no valid signature"
        file = self.owner.folder / path.lstrip("/")
        if not file.is_file() or not file.resolve().is_relative_to(self.owner.folder.resolve()):
            return 404, b"no such file"
        return self._content(path, file, span, fault)

    def _content(
        self, path: str, file: Path, span: tuple[int, int] | None, fault: Fault | None
    ) -> tuple[int, bytes]:
        size = file.stat().st_size
        tag = f'"{self.owner.tags.get(path, f"{size:x}")}"'
        modified = formatdate(file.stat().st_mtime, usegmt=True)
        self.extra = {"ETag": tag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
        if span is None and self.headers.get("If-None-Match") == tag:
            return 304, b""
        if self.headers.get("If-Range") not in (None, tag, modified):
            span = None
        if span is None or (fault is not None and fault.kind == "no-range"):
            return 200, file.read_bytes()
        start, stop = span[0], min(span[1], size)
        if start >= size:
            self.extra["Content-Range"] = f"bytes */{size}"
            return 416, b""
        if fault is not None and fault.kind == "wrong-range":
            start, stop = (start + 1, stop) if stop < size else (start - 1, stop)
            start, stop = max(start, 0), max(stop, max(start, 0) + 1)
        self.extra["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        with open(file, "rb") as stream:
            stream.seek(start)
            return 206, stream.read(stop - start)

    def _spoilt(self, body: bytes, fault: Fault | None) -> tuple[bytes, int]:
        """The body after a fault, and the length that is stated."""
        kind = "" if fault is None else fault.kind
        if kind == "compressed":
            body = gzip.compress(body)
            self.extra["Content-Encoding"] = "gzip"
        elif kind == "longer":
            body += b"more"
        elif kind == "shorter":
            body = body[: len(body) // 2]
        elif kind in ("truncated", "stall"):
            self.close_connection = True
            return body[: len(body) // 2], len(body)
        return body, len(body)

    def _send(self, code: int, body: bytes, length: int, fault: Fault | None) -> None:
        closing = self.close_connection
        self.send_response(code)
        for name, text in self.extra.items():
            self.send_header(name, text)
        if code != 304:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.close_connection = closing or self.close_connection
        if fault is not None and fault.kind == "slow":
            self._trickle(body, fault.seconds)
            return
        self.wfile.write(body)
        self.wfile.flush()
        if fault is not None and fault.kind == "stall":
            self.owner.wait(fault.seconds)

    def _trickle(self, body: bytes, seconds: float) -> None:
        step = max(len(body) // 50, 1)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            self.owner.wait(seconds / 50)
