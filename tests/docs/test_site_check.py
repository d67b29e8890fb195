"""The check of the built site finds what a reader would: errors, requests outside, dead links."""

import importlib.util
from pathlib import Path

import pytest

from tests.helpers.browser import chromium_or_skip

FILE = Path(__file__).parents[2] / ".ci" / "site.py"


@pytest.fixture(scope="module")
def site():
    spec = importlib.util.spec_from_file_location("ci_site", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = {
    "index.html": '<a href="b/two.html#here">2</a>'
    '<a href="https://example.org/">out</a><a href="mailto:x@example.org">post</a>',
    "b/two.html": '<p id="here"><a href="../index.html">1</a>',
    "b/glossary.html": '<p id="term-es"><a href="#term">t</a>',
    "_static/template.html": "<script src='{{ nothing }}'></script>",
}
WRONG = {
    "gone.html": '<a href="nowhere.html">x</a><a href="index.html#nothing">y</a>',
    "loud.html": "<script>console.error('loud')</script>",
    "thrown.html": "<script>throw new Error('thrown')</script>",
    "asks.html": '<img src="https://127.0.0.1:9/x.png">',
    "lost.html": '<script src="lost.js"></script>',
}


def write(folder: Path, pages: dict[str, str]) -> Path:
    for name, body in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        icon = '<link rel="icon" href="data:,">'
        (folder / name).write_text(f"<!doctype html><title>x</title>{icon}{body}")
    return folder


@pytest.mark.slow
def test_a_good_site_and_a_bad_one(site, tmp_path):
    with chromium_or_skip() as browser:
        assert site.check(write(tmp_path / "good", PAGES), browser) == []
        problems = site.check(write(tmp_path / "bad", PAGES | WRONG), browser)
    for words in (
        "nowhere.html leads nowhere",
        "gone.html: index.html has no part nothing",
        "loud.html: loud",
        "thrown.html: thrown",
        "asks.html: asks for https://127.0.0.1:9/x.png",
        "lost.js gives 404",
    ):
        assert any(words in problem for problem in problems), (words, problems)
    named = {problem.split(":")[0] for problem in problems}
    assert named == set(WRONG), problems


def test_without_a_site(site, tmp_path, capsys):
    assert site.main(str(tmp_path)) == 2
    assert "run make docs first" in capsys.readouterr().err
