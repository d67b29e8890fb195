"""Every command line that a page shows is one: its command and its options exist."""

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

from tests.helpers.docs import extension

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINE = re.compile(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(spatioformer [a-z].+)$", re.MULTILINE)
INLINE = re.compile(r"`(spatioformer [a-z][^`]+)`")


def mistake(words: list[str]) -> str | None:
    """The first word of a command line that names no command or option."""
    known = dict(extension("commands").commands())
    count = max(
        (n for n in (1, 2, 3) if " ".join(["spatioformer", *words[:n]]) in known), default=0
    )
    if not count:
        return words[0]
    command, words = known[" ".join(["spatioformer", *words[:count]])], words[count:]
    options = {"--help"}.union(*({*p.opts, *p.secondary_opts} for p in command.params))
    given = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return next((option for option in given if option not in options), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page):
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in [*LINE.findall(text), *INLINE.findall(text)]:
        words = re.split(r"\s[|#]\s|\s{2,}[a-z]", line)[0]  # without what is said of it
        assert mistake(shlex.split(words)[1:]) is None, line


def test_a_mistake_is_found():
    assert mistake(["mapp", "model"]) == "mapp"
    assert mistake(["imagery", "build", "a.yaml", "--model"]) == "--model"
    assert mistake(["map", "model", "a.tif", "--nothing=1"]) == "--nothing"
    assert mistake(["map", "model", "a.tif", "-o", "b.tif"]) is None
