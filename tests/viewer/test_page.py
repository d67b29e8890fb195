"""The page's sources: both languages complete, colours defined once and readable, no other host."""

import re
from pathlib import Path

import pytest

from spatioformer.common import palette
from spatioformer.common.glossary import terms
from tests.viewer.words import SOURCES, words

BUILT = Path(palette.__file__).parents[1] / "viewer" / "page"
SCRIPTS = [
    *sorted(p for p in (SOURCES / "map").glob("*.js") if p.name != "words.js"),
    SOURCES / "shared" / "terms.js",
]
OPEN_KEYS = ("group.", "plots.", "legend.", "kind.", "table.")
"""Keys that the page puts together from a part and a name."""


def used() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    return set(re.findall(r'\bt\(\s*"([\w.-]+)"', text)) | set(
        re.findall(r'"((?:answer|zone|tool|show|nearest|alike|page|year|verdict)\.\w+)"', text)
    )


def test_every_text_is_in_both_languages():
    entries = words()
    count = len(re.findall(r"\bW\(", (SOURCES / "map" / "words.js").read_text("utf-8")))
    assert len(entries) == count > 100
    for key, (en, es) in entries.items():
        assert en.strip(), key
        assert es.strip(), key
        holes = [sorted(re.findall(r"\{(\w+)\}", text)) for text in (en, es)]
        assert holes[0] == holes[1], key


def test_every_text_that_the_page_asks_for_exists_and_none_is_left_over():
    keys = set(words())
    assert used() <= keys
    assert {key for key in keys - used() if not key.startswith(OPEN_KEYS)} == set()


def test_every_term_that_a_page_explains_is_in_the_glossary():
    known = {term.identifier for term in terms()}
    asked = set()
    for name in ("map/panel.js", "map/answer.js", "map/chip.js", "explorer/frame.js"):
        text = (SOURCES / name).read_text("utf-8")
        lists = re.findall(r"^  \w+: \[((?:\"\w+\"(?:, )?)+)\],$", text, re.MULTILINE)
        calls = re.findall(r"(?:titled|meanings)\(.*", text)
        asked |= {one for part in lists for one in re.findall(r'"(\w+)"', part)}
        asked |= {
            one
            for part in calls
            for one in re.findall(r', "(\w+)"|\["(\w+)"\]', part)
            for one in one
            if one
        }
    asked -= {"p", "h3"}
    assert {"interval", "applicability", "dissimilarity", "trend", "attention", "chip"} <= asked
    assert asked <= known


def test_the_page_has_the_colours_of_the_palette():
    assert (SOURCES / "shared" / "variables.css").read_text("utf-8") == palette.css()
    styles = [path for path in SOURCES.rglob("*.css") if path.name != "variables.css"]
    assert not [path for path in styles if re.search(r"#[0-9a-f]{3,8}\b", path.read_text("utf-8"))]


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast as WCAG 2 defines it, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_texts_are_readable(colours):
    assert set(colours) == set(palette.LIGHT)
    for text in ("ink", "muted", "accent", "bad", "care"):
        for ground in ("paper", "pale"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


def test_the_built_page_is_whole_and_asks_no_other_host():
    assert {"index.html", "map.js", "map.css", "LICENSES.txt"} <= {p.name for p in BUILT.iterdir()}
    page = (BUILT / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)  # the policy
    for name in ("index.html", "map.js", "map.css"):
        text = (BUILT / name).read_text("utf-8")
        hosts = set(re.findall(r"https?://([\w.-]+)", text))
        assert hosts <= {"www.w3.org", "leafletjs.com", "www.topografix.com"}, (
            name
        )  # names, no requests
    licences = (BUILT / "LICENSES.txt").read_text("utf-8")
    assert "leaflet 1.9.4 (BSD-2-Clause)" in licences
    assert "SIL OPEN FONT LICENSE" in licences


def test_the_page_is_small():
    import zlib

    size = sum(len(zlib.compress(path.read_bytes(), 9)) for path in BUILT.iterdir())
    assert size < 1_500_000
