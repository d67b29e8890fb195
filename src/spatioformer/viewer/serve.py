"""Serve the map of a run on this machine."""

import contextlib
import errno
import secrets
import signal
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import uvicorn
from fastapi import APIRouter, FastAPI

from spatioformer.common.errors import OutputError
from spatioformer.common.progress import SILENT, Console
from spatioformer.viewer.app import create_app
from spatioformer.viewer.security import LOOPBACK, Gate, host_name

PORT = 8421
"""The first port that is tried."""

TRIED = 50
"""Number of ports that are tried one after the other."""

EVERYWHERE = frozenset({"0.0.0.0", "::", ""})
"""Hosts that stand for all addresses of this machine."""

STOP = 2
"""Seconds for which open requests may go on when the server stops."""


@dataclass(frozen=True)
class Place:
    """Where a server listens.

    Attributes:
        socket: bound, so that nobody else can take the port.
        address: for the browser, with the token if there is one.
        gate: who may ask.
        is_open: whether other machines can reach it.
    """

    socket: socket.socket
    address: str
    gate: Gate
    is_open: bool

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


def bind(
    host: str, port: int | None, console: Console = SILENT, *, notebook: bool = False
) -> Place:
    """Bind the first free port from `port` on, and say so where it is another.

    Args:
        host: name or address to listen at; beyond this machine, every request needs a token.
        port: the first port; None: PORT; 0: any free one.
        notebook: whether the page stands in a notebook, perhaps behind its proxy.

    Raises:
        OutputError: no port is free, or the host is not one of this machine.
    """
    first = PORT if port is None else port
    bound = _bound(host, first)
    taken = bound.getsockname()[1]
    if first and taken != first:
        console.say(f"port {first} is in use; taking {taken}")
    is_open = host_name(_bracketed(host)) not in LOOPBACK
    token = secrets.token_urlsafe(24) if is_open or notebook else None
    names = LOOPBACK if host in EVERYWHERE else LOOPBACK | {host_name(_bracketed(host))}
    gate = Gate(names, token, always=is_open, framed=notebook, cookie=f"spatioformer_view_{taken}")
    shown = socket.gethostname() if host in EVERYWHERE else _bracketed(host)
    address = f"http://{shown}:{taken}/" + (f"?token={token}" if is_open else "")
    return Place(bound, address, gate, is_open)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bound(host: str, first: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last: OSError | None = None
    for port in range(first, min(first + TRIED, 65536)) if first else (0,):
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
            bound.listen(128)
            return bound
        except (OSError, OverflowError) as error:
            bound.close()
            last = error if isinstance(error, OSError) else OSError(0, str(error))
            if not _is_taken(last):
                break
    reason = (last.strerror or str(last)) if last else "no port is left"
    raise OutputError(
        f"cannot listen at {host}, port {first} ({reason}); choose others with --host and --port"
    )


def _is_taken(error: OSError) -> bool:
    return error.errno in (errno.EADDRINUSE, errno.EACCES)


def serve(
    routers: Sequence[APIRouter],
    place: Place,
    console: Console,
    *,
    browser: bool = True,
    warm: Callable[[], None] | None = None,
) -> None:
    """Serve until the user stops the program.

    Args:
        browser: whether to open the page in the user's browser.
        warm: called in a thread at the start; what it loads is there when the user clicks.
    """
    console.say(f"the map is at {place.address} (stop with Ctrl-C)")
    if place.is_open:
        console.say(
            "note: other machines can reach it; whoever has the token in the address may look"
        )
    server = _Server(create_app(routers, place.gate))
    if browser:
        threading.Thread(target=_open_browser, args=(server, place.address), daemon=True).start()
    if warm is not None:
        threading.Thread(target=warm).start()  # no daemon: torch must not be imported at the end
    server.run(sockets=[place.socket])


class _Server(uvicorn.Server):
    """A server that a signal stops; uvicorn's raises the signal again when it has stopped."""

    def __init__(self, app: FastAPI):
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=STOP,
                timeout_keep_alive=30,
                limit_concurrency=2000,
                ws="none",
                proxy_headers=False,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _open_browser(server: uvicorn.Server, address: str) -> None:
    while not server.started:
        time.sleep(0.05)
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(address)


def start(
    routers: Sequence[APIRouter], place: Place, warm: Callable[[], None] | None = None
) -> Callable[[], None]:
    """Serve from a thread, and return the function that stops it; for `warm` see `serve`."""
    server = _Server(create_app(routers, place.gate))
    options = {"sockets": [place.socket]}
    thread = threading.Thread(target=server.run, kwargs=options, daemon=True, name="viewer")
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    if warm is not None:
        threading.Thread(target=warm).start()  # no daemon: torch must not be imported at the end

    def stop() -> None:
        server.should_exit = True
        thread.join(STOP + 5)

    return stop
