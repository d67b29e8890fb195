"""Slides of the course: what stands on them, and in a browser keys, notes, sizes and PDF."""

import re

import pytest

pytest.importorskip("tokenizers")

from spatioformer.common.errors import OutputError
from spatioformer.common.languages import LANGUAGES
from spatioformer.learn.build import SHORTENED, build
from spatioformer.learn.chapters import CHAPTERS
from spatioformer.learn.facts import Facts, Number
from spatioformer.learn.pdf import find_chromium, print_pdf
from spatioformer.learn.prose import parse
from spatioformer.learn.slides import Deck, lead, pieces
from spatioformer.learn.tools import (
    QUICK_RECIPE,
    VISION_RECIPE,
    CampaignSizes,
    SpanishModel,
    Tools,
    campaign_folder,
)
from tests.helpers.browser import chromium_or_skip, expect, uncomplaining
from tests.helpers.course import TinyTools, tiny_spanish
from tests.helpers.pictures import SVG
from tests.helpers.tiny_run import assert_refused, spatioformer

TEXT = """# 1. One

First words. {{ n }} of them.

## Two

Prose with **a bold sentence that is long enough.**

$$a = b$$

::figure f

After the figure.

- one
- two

::figure g

## Prose alone

Only words.

## Exercises

**1.** What is it?

::answer
It is this.
::end
"""


def deck(text: str = TEXT, note: str = "") -> Deck:
    facts = Facts({"n": Number(2)})
    return Deck(facts, "en", lambda name: f"[{name}]", note).add(parse(text))


class TestDeck:
    def test_one_idea_a_slide(self):
        slides = deck().slides
        assert [(slide.kind, slide.title) for slide in slides] == [
            ("title", "1. One"),
            ("section", "Two"),
            ("figure", "Two"),
            ("section", "Two"),
            ("figure", "Two"),
            ("section", "Prose alone"),
            ("section", "Exercises"),
            ("question", "Exercises"),
        ]
        assert slides[1].body[0] == '<p class="key">a bold sentence that is long enough.</p>'
        assert 'class="display"' in slides[1].body[1]
        assert slides[2].body == ["[f]"]
        assert slides[2].notes == ["After the figure."]
        assert "<li>one</li>" in slides[3].body[0]

    def test_html(self):
        html = deck(note="[note]").html()
        assert html.count("<section") == 7, "a heading without words is no slide"
        assert "First words. 2 of them.</p>\n</div>[note]" in html
        assert '<div class="answer"><p>It is this.</p>' in html
        assert '<div class="lead"><p>Only words.</p>' in html
        assert html.count("[note]") == 1

    def test_all_prose_is_on_a_slide_or_in_notes(self):
        html = deck().html()
        for words in ("First words", "Prose with", "After the figure", "Only words", "What is it"):
            assert words in html

    def test_an_exercise(self):
        text = "# T\nx\n\n::exercise n 0\nHow many?\n::choice One.\n::choice *Two*.\n"
        slide = deck(f"{text}::hint Count.\n::answer\n{{{{ n }}}}.\n::end\n::end").slides[-1]
        assert (slide.kind, slide.title, slide.notes) == ("question", "T", ["Count."])
        assert "How many?" in "".join(slide.body)
        assert "<ol><li>One.</li><li><em>Two</em>.</li></ol>" in slide.body
        assert slide.body[-1] == '<div class="answer"><p>2.</p>\n</div>'

    def test_a_long_paragraph_gives_its_first_sentence(self):
        assert lead("Short. Two.") == "Short. Two."
        assert lead("The first. " + 60 * "more ") == "The first."

    def test_pieces(self):
        text = "## A\nb\n\n| c |\n|---|\n| d |\n\n- e\n\n  f\n- g"
        assert [kind for kind, _ in pieces(text)] == [
            *("heading_open", "paragraph_open", "table_open", "bullet_list_open")
        ]


class Quick(TinyTools):
    """Tools that say that they were trained for a few seconds."""

    shortened = True


def test_a_quick_training_is_named_on_the_pages(tmp_path, monkeypatch):
    monkeypatch.setattr("spatioformer.learn.build.find_chromium", lambda: None)
    monkeypatch.setattr("spatioformer.learn.show.drawn", lambda *_: SVG)
    for slides in (False, True):
        build(tmp_path / "x", Quick(None), chapters=CHAPTERS[2:3], slides=slides)
        text = (tmp_path / "x" / "patches.html").read_text(encoding="utf-8")
        for language in LANGUAGES:
            assert text.count(SHORTENED.of(language)) == 1
        assert SHORTENED.es not in (tmp_path / "x" / "index.html").read_text(encoding="utf-8")
    index = (tmp_path / "x" / "index.html").read_text(encoding="utf-8")
    assert "save as PDF" in index
    assert (tmp_path / "x" / "slides.js").is_file()


def test_what_counts_as_quick(tmp_path):
    model = SpanishModel.open(tiny_spanish())
    assert not TinyTools(model).shortened
    assert not TinyTools(model, tmp_path).shortened
    rows = [{"step": float(QUICK_RECIPE.steps)}]
    quick = SpanishModel(model.model, rows, model.scores)
    assert TinyTools(quick, tmp_path, quick=True).shortened
    assert TinyTools(None, tmp_path, quick=True).shortened, "the cache has no ViT that took longer"


def test_quick_keeps_the_runs_of_a_whole_campaign(tmp_path, monkeypatch):
    monkeypatch.setattr(Tools, "_vision_recipe", VISION_RECIPE)
    assert Tools(None, tmp_path, quick=True).shortened
    assert not Tools(None, tmp_path).shortened
    runs = campaign_folder(tmp_path, CampaignSizes()) / "valdivia" / "runs" / "random"
    runs.mkdir(parents=True)
    (runs / "map.tif").touch()
    assert not Tools(None, tmp_path, quick=True).shortened


def test_the_command_writes_one_thing(tmp_path):
    assert_refused(
        spatioformer("learn", "-o", tmp_path / "a", "--slides", tmp_path / "b"),
        "-o, --slides and --notebooks each name what to write; give one of them alone",
    )
    assert_refused(
        spatioformer("learn", "--quick", "--notebooks", tmp_path / "b"),
        "notebooks open their models when they run; leave out --model and --quick",
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    spanish = SpanishModel.open(tiny_spanish())
    with pytest.MonkeyPatch.context() as patch:
        svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="320" height="460"/>'
        patch.setattr("spatioformer.learn.show.drawn", lambda *_: svg)
        patch.setattr("spatioformer.learn.build.find_chromium", lambda: None)
        return build(
            tmp_path_factory.mktemp("slides") / "deck", TinyTools(spanish), slides=True
        ).parent


@pytest.fixture(scope="module")
def browser():
    with chromium_or_skip() as opened:
        yield opened


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    with uncomplaining(page):
        yield page
    page.close()


SHOWN_HAVE_READ = """() => [...document.querySelectorAll("[data-model]")].every(
  (box) => box.offsetParent === null || box.classList.contains("ready"))"""
"""Whether the figures that run a model, and are shown, have read it."""


@pytest.mark.slow
class TestBrowser:
    def test_nothing_overflows(self, page, site):
        # Two frames after a model is read, its figure has its size.
        fitted = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        measure = """() => slides.deck().map((slide, i) => {
          slides.show(i);
          const frame = slide.querySelector(".frame").getBoundingClientRect();
          const content = slide.querySelector(".content").getBoundingClientRect();
          return [slide.scrollHeight <= 720 && slide.scrollWidth <= 1280
            && content.top >= frame.top - 1 && content.bottom <= frame.bottom + 1
            && content.left >= frame.left - 1 && content.right <= frame.right + 1
            && [...slide.querySelectorAll(".content *")].every((part) => {
              const box = part.getBoundingClientRect();
              const seen = box.width > 2 && box.height > 2;
              return !seen || (box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1);
            }),
            Number(slide.querySelector(".content").style.zoom)];
        })"""
        for chapter in CHAPTERS:
            page.goto((site / f"{chapter.name}.html").as_uri())
            for language in LANGUAGES:
                page.click(f"[data-choose={language}]")
                page.wait_for_function(SHOWN_HAVE_READ)
                page.evaluate(fitted)
                for number, (inside, zoom) in enumerate(page.evaluate(measure), 1):
                    where = f"{chapter.name}.html#{number} in {language}"
                    assert inside, where
                    assert zoom > 0.5, f"{where} is too small to read"

    def test_keys(self, page, site):
        page.goto((site / "words.html").as_uri())
        place = page.locator("#place")
        total = page.evaluate("slides.deck().length")
        title, answer = (page.locator(f".slide.current {part}") for part in ("h1", ".answer"))
        expect(place).to_have_text(f"1 / {total}")
        expect(title).to_have_text("1. Palabras")
        page.keyboard.press("ArrowRight")
        expect(place).to_have_text(f"2 / {total}")
        page.keyboard.press("n")
        expect(page.locator("#notes")).to_be_visible()
        expect(page.locator("#notes")).to_have_text(re.compile(r"^\s*Un token es una palabra"))
        page.keyboard.press("End")
        expect(place).to_have_text(f"{total} / {total}")
        expect(answer).to_be_hidden()
        page.keyboard.press("ArrowRight")
        expect(answer).to_be_visible()
        expect(place).to_have_text(f"{total} / {total}")
        page.keyboard.press("Home")
        page.click("[data-choose=en]")
        expect(title).to_have_text("1. Words")
        page.goto((site / "words.html").as_uri() + "#3")
        page.reload()
        expect(place).to_have_text(f"3 / {total}")

    def test_a_pdf_has_one_page_a_slide(self, page, site, tmp_path):
        page.goto((site / "places.html").as_uri())
        slides = page.evaluate("slides.deck().length")
        print_pdf(find_chromium(), site / "places.html", tmp_path / "x.pdf")
        content = (tmp_path / "x.pdf").read_bytes()
        assert len(re.findall(rb"/Type /Page\b", content)) == slides
        assert b"/MediaBox [0 0 960 540]" in content  # points


def test_a_browser_that_does_not_print(tmp_path):
    (tmp_path / "x.html").write_text("x")
    with pytest.raises(OutputError, match=r"cannot print x\.html \(.*\); print the page from a"):
        print_pdf("/nowhere/chromium", tmp_path / "x.html", tmp_path / "x.pdf")
    with pytest.raises(OutputError, match="it wrote no file"):
        print_pdf("true", tmp_path / "x.html", tmp_path / "x.pdf")
