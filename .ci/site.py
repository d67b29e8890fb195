"""Open every page of the documentation in Chromium, from the disk and from a plain server.

    python .ci/site.py site

A page fails if it writes an error to the console, asks for something outside of the site, or has a
link inside the site that leads nowhere. Exit code 1 if a page fails; 0 with a message where there
is no Chromium.
"""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SEARCHED, IN_CHAPTER = "attention", "core.html"
"""A word, and a page that the search must find with it."""
PARTS = """() => [
  [...document.querySelectorAll("a[href]")].map((link) => link.href),
  [...document.querySelectorAll("[id]")].map((part) => part.id),
]"""


class Quiet(SimpleHTTPRequestHandler):
    """A server that prints nothing."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Visit:
    """A browser's page at a site, and what went wrong there."""

    def __init__(self, browser, address: str):
        self.address, self.problems = address, Counter()
        self.at = ""
        self.page = browser.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._problem(str(error)))
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("requestfailed", lambda request: self._failed(request))
        self.page.on("response", lambda answer: self._response(answer))

    def open(self, name: str) -> None:
        self.at = name
        self.page.goto(f"{self.address}/{name}", wait_until="load")

    def _problem(self, words: str) -> None:
        self.problems[f"{self.at}: {words}"] += 1

    def _console(self, message) -> None:
        if message.type == "error":
            self._problem(message.text)

    def _request(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self._problem(f"asks for {url}")

    def _failed(self, request) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # the page was left before
            self._problem(f"{request.url} fails: {request.failure}")

    def _response(self, answer) -> None:
        if answer.status >= 400:
            self._problem(f"{answer.url} gives {answer.status}")


def broken(site: Path, links: dict[str, list[str]], parts: dict[str, set[str]]) -> Iterator[str]:
    """Links of pages, as addresses on the disk, that lead nowhere."""
    for page, addresses in links.items():
        for address in sorted(set(addresses)):
            where = urlsplit(address)
            if where.scheme != "file":
                continue
            target, anchor = Path(unquote(where.path)), unquote(where.fragment)
            if not target.is_relative_to(site) or not target.exists():
                yield f"{page}: the link {address} leads nowhere"
                continue
            known = parts.get(target.relative_to(site).as_posix())
            # The glossary of the course has an entry a language, and chooses by a script.
            if anchor and known is not None and not {anchor, f"{anchor}-es"} & known:
                yield f"{page}: {target.name} has no part {anchor}"


def check(site: Path, browser) -> list[str]:
    """What is wrong with a site; an empty list: nothing."""
    # _static holds templates of the theme, which are no pages.
    names = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    pages = [name for name in names if not name.startswith("_static/")]
    problems: list[str] = []
    links: dict[str, list[str]] = {}
    parts: dict[str, set[str]] = {}
    with served(site) as server:
        for address in (site.as_uri(), server):
            visit = Visit(browser, address)
            for name in pages:
                visit.open(name)
                if address != server:
                    links[name], found = visit.page.evaluate(PARTS)
                    parts[name] = set(found)
            if "search.html" in pages:
                visit.open(f"search.html?q={SEARCHED}")
                visit.page.wait_for_selector(f'#search-results a[href*="{IN_CHAPTER}"]')
            visit.page.close()
            problems += visit.problems
    print(
        f"{len(pages)} pages from the disk and from a server, {sum(map(len, links.values()))} links"
    )
    return [*problems, *broken(site, links, parts)]


def main(folder: str) -> int:
    site = Path(folder).resolve()
    if not (site / "index.html").is_file():
        print(f"{site} has no site; run make docs first", file=sys.stderr)
        return 2
    from spatioformer.learn.pdf import find_chromium

    path = find_chromium()
    if path is None:
        print("the pages are not opened: Chromium is absent (make install-browser)")
        return 0
    from playwright.sync_api import sync_playwright
    from tests.helpers.browser import OPTIONS

    with sync_playwright() as library:
        browser = library.chromium.launch(executable_path=path, args=OPTIONS)
        problems = check(site, browser)
        browser.close()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
