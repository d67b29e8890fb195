"""A browser, a small run that is served on loopback, and pages that may not complain."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from spatioformer.viewer.routes import router
from spatioformer.viewer.run import ViewedRun
from spatioformer.viewer.serve import bind, start
from tests.helpers.browser import SECONDS, chromium_or_skip

WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    with chromium_or_skip() as opened:
        yield opened


@contextmanager
def served(*routers: Any) -> Iterator[str]:
    """Address on loopback where routers answer during the block."""
    place = bind("127.0.0.1", 0)
    stop = start(list(routers), place)
    try:
        yield place.address
    finally:
        stop()


@contextmanager
def shown(folder: Path) -> Iterator[tuple[ViewedRun, str]]:
    """A run, and the address where `view` shows it during the block."""
    viewed = ViewedRun(folder)
    try:
        with served(router(viewed)) as address:
            yield viewed, address
    finally:
        viewed.rasters.close()


@pytest.fixture(scope="package")
def server(folder) -> Iterator[str]:
    """Address of the run of `folder`, served on loopback."""
    with shown(folder) as (_, address):
        yield address


@dataclass
class Watch:
    """What a page asked for and complained about.

    Attributes:
        origin: where requests may go.
        problems: console errors and warnings, exceptions, failed requests, other hosts.
        expected: parts of problems that the test brings about itself.
        pending: requests whose answers have not come.
    """

    origin: str
    problems: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    pending: set[Any] = field(default_factory=set)

    def follow(self, page: Any) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", self._request)
        page.on("requestfinished", lambda asked: self.pending.discard(asked))
        page.on("requestfailed", self._failed)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text}")

    def _failed(self, asked: Any) -> None:
        self.pending.discard(asked)
        self.problems.append(f"failed: {asked.url}")

    def _request(self, asked: Any) -> None:
        self.pending.add(asked)
        parts = urlsplit(asked.url)
        if parts.scheme in ("data", "blob") or asked.url.startswith(self.origin):
            return
        self.problems.append(f"another host: {asked.url}")

    def left(self) -> list[str]:
        return [one for one in self.problems if not any(part in one for part in self.expected)]


@pytest.fixture
def visit(browser, server) -> Iterator[Callable[..., Any]]:
    """Open the map: `visit("#layer=width", phone=True, dark=True)`; complaints fail the test."""
    opened = []

    def opens(
        hash_: str = "",
        *,
        address: str = server,
        path: str = "",
        phone: bool = False,
        dark: bool = False,
    ) -> Any:
        context = browser.new_context(
            viewport=PHONE if phone else WIDE,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
            accept_downloads=True,
            has_touch=phone,
        )
        page = context.new_page()
        page.set_default_timeout(1000 * SECONDS)
        watch = Watch(address)
        watch.follow(page)
        opened.append((context, watch))
        page.watch = watch
        page.goto(f"{address}{path}{hash_}")
        page.wait_for_selector("[data-ready]")
        return page

    yield opens
    for context, watch in opened:
        context.close()
        assert watch.left() == []
