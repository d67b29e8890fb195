"""The pages in a browser, opened from the disk: language, tables that the reader changes, links."""

import pytest

pytest.importorskip("tokenizers")

from spatioformer.learn.build import build
from spatioformer.learn.tools import SpanishModel
from tests.helpers.browser import chromium_or_skip
from tests.helpers.course import TinyTools, train_spanish

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    spanish = SpanishModel.open(train_spanish(folder / "spanish"))
    with pytest.MonkeyPatch.context() as patch:
        svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="300"/>'
        patch.setattr("spatioformer.learn.show.files", lambda _: (b"", svg))
        return build(folder / "course", TinyTools(spanish)).parent


@pytest.fixture(scope="module")
def browser():
    with chromium_or_skip() as opened:
        yield opened


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: _local(request.url, problems))
    yield page
    assert problems == []
    context.close()


def _local(url: str, problems: list[str]) -> None:
    if not url.startswith(("file:", "data:")):
        problems.append(f"asked for {url}")


def test_the_language_is_remembered(page, site):
    page.goto((site / "words.html").as_uri())
    assert page.locator("h1:visible").inner_text() == "1. Palabras"
    page.click("[data-choose=en]")
    assert page.locator("h1:visible").inner_text() == "1. Words"
    assert page.evaluate("document.documentElement.lang") == "en"
    page.click("nav >> text=2. Attention")
    assert page.locator("h1:visible").inner_text() == "2. Attention"
    assert page.title() == "2. Attention · Spatioformer"


def test_a_term_of_the_glossary(page, site):
    page.goto((site / "words.html").as_uri())
    page.click("article:visible >> text=coseno")
    page.wait_for_url("**/glossary.html#cosine-es")
    assert page.locator("dt:target").inner_text().startswith("similitud de coseno")


def test_temperature(page, site):
    page.goto((site / "words.html").as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=softmax]")
    shares = box.locator(".share")

    def largest() -> float:
        return float(shares.first.inner_text().split("%")[0].strip().replace(",", "."))

    box.locator("input").fill("0.1")
    before = largest()
    box.locator("input").fill("3")
    assert largest() < before


def test_a_word_is_taken_out_and_put_back(page, site):
    page.goto((site / "words.html").as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=hidden]")
    whole = box.locator(".bars").inner_text()
    button = box.locator("button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert box.locator(".bars").inner_text() != whole
    button.click()
    assert box.locator(".bars").inner_text() == whole


def test_layers_and_heads(page, site):
    page.goto((site / "attention.html").as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=attention]").last
    before = box.locator("table").inner_text()
    box.locator("select").last.select_option("0")
    assert box.locator("table").inner_text() != before
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, "no page scrolls sideways on a phone"
