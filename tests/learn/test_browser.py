"""The pages in a browser, opened from the disk: language, figures that the reader changes, links.

What the page computes is compared with what the networks compute in Python.
"""

import re

import numpy as np
import pytest
import torch

pytest.importorskip("tokenizers")

from spatioformer.learn.chapters.answers import SPOT
from spatioformer.learn.chapters.played import START
from spatioformer.learn.exercises import readings
from spatioformer.learn.tools import SpanishModel
from spatioformer.learn.weights import text_model
from spatioformer.nn import GPT
from spatioformer.text.model import TextModel
from spatioformer.text.tokenizer import Tokenizer
from spatioformer.text.trace import trace_text
from tests.helpers.browser import chromium_or_skip, eventually, expect, uncomplaining
from tests.helpers.course import TinyTools, tiny_site, tiny_spanish
from tests.helpers.text import CORPUS
from tests.learn.test_exercises import READINGS

pytestmark = pytest.mark.slow


TEXTS = [
    "En el principio crió Dios los cielos y la",
    "  ¡Qué  niño, l'eau 1234!\n x_y",
    "😀 años—«dijo»",
    "a",
]


@pytest.fixture(scope="module")
def tools():
    return TinyTools(SpanishModel.open(tiny_spanish()))


@pytest.fixture(scope="module")
def site():
    return tiny_site()


@pytest.fixture(scope="module")
def browser():
    with chromium_or_skip() as opened:
        yield opened


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    with uncomplaining(page):
        yield page
    context.close()


def test_the_language_is_remembered(page, site):
    page.goto((site / "words.html").as_uri())
    expect(page.locator("h1:visible")).to_have_text("1. Palabras")
    page.click("[data-choose=en]")
    expect(page.locator("h1:visible")).to_have_text("1. Words")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.click("nav >> text=2. Attention")
    expect(page.locator("h1:visible")).to_have_text("2. Attention")
    expect(page).to_have_title("2. Attention · Spatioformer")


def test_a_term_of_the_glossary(page, site):
    page.goto((site / "words.html").as_uri())
    page.click("article:visible >> text=coseno")
    page.wait_for_url("**/glossary.html#cosine-es")
    expect(page.locator("dt:target")).to_have_text(re.compile("^similitud de coseno"))


def test_temperature(page, site):
    page.goto((site / "words.html").as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=softmax]")
    shares = box.locator(".share")

    def largest() -> float:
        return float(shares.first.inner_text().split("%")[0].strip().replace(",", "."))

    box.locator("input").fill("0.1")
    expect(box.locator("output")).to_have_text("0,1")
    before = largest()
    box.locator("input").fill("3")
    expect(box.locator("output")).to_have_text("3,0")
    eventually(page, lambda: largest() < before)


def test_a_word_is_taken_out_and_put_back(page, site):
    page.goto((site / "words.html").as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=hidden]")
    whole = box.locator(".bars").inner_text()
    button = box.locator("button").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(box.locator(".bars")).not_to_have_text(whole, use_inner_text=True)
    button.click()
    expect(box.locator(".bars")).to_have_text(whole, use_inner_text=True)


def test_layers_and_heads(page, site):
    page.goto((site / "attention.html").as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=attention]").last
    before = box.locator("table").inner_text()
    box.locator("select").last.select_option("0")
    expect(box.locator("table")).not_to_have_text(before, use_inner_text=True)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, "no page scrolls sideways on a phone"


@pytest.fixture
def sentence(page, site):
    page.goto((site / "attention.html").as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=sentence]")
    box.scroll_into_view_if_needed()
    box.locator("table").wait_for()
    return box


@pytest.fixture
def place(page, site):
    page.goto((site / "places.html").as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=place]")
    box.scroll_into_view_if_needed()
    box.locator("table").first.wait_for()
    return box


def with_words() -> TextModel:
    """A model with whole words, sinusoids and ReLU, with random weights."""
    torch.manual_seed(0)
    network = GPT(70, 24, 16, 2, 2, positions="sinusoidal", activation="relu")
    return TextModel(network, Tokenizer.train_words(CORPUS, 60))


def test_the_gpt_of_the_page_is_that_of_python(page, sentence, tools):
    trained, other = tools.spanish.model, with_words()
    read = page.evaluate(
        """([other, texts]) => [models.spanish, other].map((model) => {
            const network = new Network(model), tokenizer = new Tokenizer(model.tokenizer);
            return texts.map((text) => {
                const ids = tokenizer.encode(text);
                return { ids, ...network.next(ids) };
            });
        })""",
        [text_model(other), TEXTS],
    )
    for model, answers in zip((trained, other), read, strict=True):
        for text, answer in zip(TEXTS, answers, strict=True):
            trace = trace_text(model, text).trace
            assert answer["ids"] == model.tokenizer.encode(text)
            np.testing.assert_allclose(answer["logits"], trace["logits"][-1], atol=1e-5)
            for number, layer in enumerate(answer["layers"], 1):
                for name in ("scores", "pattern"):
                    expected = trace[f"layer{number}.{name}"]
                    np.testing.assert_allclose(layer[name], expected, atol=1e-5)


def test_a_hidden_token_is_no_key_of_others(page, sentence, tools):
    network, ids = tools.spanish.model.gpt, tools.spanish.model.ids(TEXTS[0])
    valid = torch.ones(ids.shape, dtype=torch.bool)
    valid[0, 3] = False
    with torch.inference_mode():
        x = network.embedding(ids) + network.positions(ids.shape[1], 0)
        shares = network.unembed(network.transformer(x, valid)[0, -1]).softmax(-1)
    before = sentence.locator(".bars").inner_text()
    sentence.locator("button").nth(3).click()
    expect(sentence.locator(".bars")).not_to_have_text(before, use_inner_text=True)
    share = f"{100 * float(shares.max()):.1f} %".replace(".", ",").replace(" ", "\xa0")
    # A pattern, since a text would match with any space.
    expect(sentence.locator(".share").first).to_have_text(re.compile(f"^{share}$"))
    expect(sentence.locator("[role=status]")).to_contain_text(re.compile(f"con {share}"))
    expect(sentence.locator(".bar.before")).to_have_count(8)
    sentence.locator("button").nth(3).click()
    expect(sentence.locator(".bars")).to_have_text(before, use_inner_text=True)


def test_a_sentence_is_written(page, sentence, tools):
    box = sentence.get_by_label("Escriba una frase")
    box.fill("El rey")
    tokens = [
        tools.spanish.model.tokenizer.show(i)
        for i in tools.spanish.model.tokenizer.encode("El rey")
    ]
    line = sentence.locator("[role=status]")
    expect(sentence.locator("button")).to_have_text(tokens, use_inner_text=True)
    expect(sentence.locator("button").last).to_be_disabled()
    expect(sentence.locator("tr")).to_have_count(len(tokens) + 1)
    box.fill(" ")
    expect(line).to_contain_text("al menos una palabra")
    expect(sentence.locator("table")).to_have_count(0)
    box.fill("x" * 40)
    expect(line).to_contain_text("24 como máximo: quite ")
    sentence.get_by_label("o elija una").select_option(index=1)
    expect(box).to_have_value("El rey de los hijos de")
    sentence.get_by_label("Tabla").select_option("pattern")
    expect(sentence.locator("td.cell").first).to_have_text("1,00")


def test_the_map_of_the_page_is_that_of_python(page, place, tools):
    lesson = tools.placed
    spots = [(1, 1), SPOT, (148, 30)]
    predicted = page.evaluate(
        """(spots) => {
            const network = new Network(models.landscape);
            const land = new Landscape(models.landscape.land);
            return spots.map(([row, column, y, x]) =>
                network.species(land.chip(y, x, 1), ...land.center(row, column)).species);
        }""",
        [[*spot, *other] for spot in spots for other in spots],
    )
    expected = [lesson.species(*spot, pixels_of=other) for spot in spots for other in spots]
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)


def test_a_place_is_moved_by_keyboard_and_by_pointer(page, place, tools):
    lesson, line = tools.placed, place.locator("[role=status]")
    east, north = place.get_by_label("Longitud"), place.get_by_label("Latitud")
    row, column = (int(abs(a - b) / 0.02) for a, b in zip(START[::-1], (-38, -72), strict=True))

    def sentence_of(species: float) -> str:
        return f"La red predice {species:.1f} especies.".replace(".", ",", 1)

    expect(line).to_contain_text(sentence_of(lesson.species(row, column)))
    vectors, numbers = (place.locator(part).first for part in (".strip", "table"))
    before = [part.inner_html() for part in (vectors, numbers)]
    place.get_by_role("checkbox").check()
    east.press("ArrowRight")
    north.press("ArrowUp")
    moved = lesson.species(row - 1, column + 1, pixels_of=(row, column))
    expect(line).to_contain_text(sentence_of(moved))
    expect(line).to_contain_text("Los píxeles son los de −70,99°")
    for part, html in zip((vectors, numbers), before, strict=True):
        eventually(page, lambda part=part, html=html: part.inner_html() != html)
    place.get_by_role("checkbox").uncheck()
    expect(line).to_contain_text(sentence_of(lesson.species(row - 1, column + 1)))
    place.locator("canvas").scroll_into_view_if_needed()
    bounds = place.locator("canvas").bounding_box()
    page.mouse.move(bounds["x"] + 5, bounds["y"] + 5)
    page.mouse.down()
    page.mouse.move(bounds["x"] + bounds["width"] / 2, bounds["y"] + bounds["height"] / 2)
    page.mouse.up()
    page.mouse.move(bounds["x"] + 5, bounds["y"] + 5)
    expect(east).to_have_value("75")  # the last move was without the button
    expect(north).to_have_value("74")


def test_a_model_that_is_missing(browser, site, tmp_path):
    page = browser.new_page()
    file = tmp_path / "attention.html"
    text = (site / "attention.html").read_text(encoding="utf-8")
    file.write_text(text.replace("course.css", "").replace('src="', f'src="{site.as_uri()}/'))
    page.goto(file.as_uri())
    box = page.locator("article[lang=es] .widget[data-kind=sentence]")
    box.scroll_into_view_if_needed()
    box.get_by_text("No se puede leer models/spanish.js").wait_for()
    page.close()


def test_readings_are_those_of_python(page, site):
    page.goto((site / "words.html").as_uri())
    texts = [*READINGS, *(f"{a}{b}" for a in ("1", "12.345", "") for b in (",6", ".789", "%", "+"))]
    found = page.evaluate("(texts) => texts.map(readings)", texts)
    assert found == [readings(text) for text in texts]


LINES = {
    "es": ("Escriba un número, como 0,5.", "Elija una respuesta.", "No. Pista: ", "Correcto."),
    "en": ("Write a number, such as 0.5.", "Choose an answer.", "No. Hint: ", "Right."),
}
ANSWER_ALL = """(language) => {
    const exercises = document.querySelectorAll(`article[lang=${language}] .exercise`);
    return [...exercises].map((exercise) => {
        const { expected } = exercise.dataset, form = exercise.querySelector("form");
        const radios = [...form.querySelectorAll("[type=radio]")];
        const answers = radios.length ? [null, expected === "1" ? 1 : 0, expected - 1]
            : [null, "-99", expected];
        const lines = answers.map((answer) => {
            if (answer !== null && radios.length) radios[answer].checked = true;
            else if (answer !== null) form.querySelector("input").value = answer;
            form.requestSubmit();
            return [exercise.querySelector("[role=status]").textContent,
                exercise.querySelector("details").open];
        });
        return [radios.length, lines];
    });
}"""


@pytest.mark.parametrize("chapter", ["words", "attention", "patches", "places"])
def test_exercises(page, site, chapter):
    page.goto((site / f"{chapter}.html").as_uri())
    for language, (no_number, no_choice, hint, right) in LINES.items():
        answered = page.evaluate(ANSWER_ALL, language)
        assert 3 <= len(answered) <= 5
        for choices, (none, wrong, correct) in answered:
            assert none == [no_choice if choices else no_number, False]
            assert wrong[0].startswith(hint)
            assert wrong[1] is False
            assert correct == [right, True]


def test_an_exercise_by_keyboard(page, site):
    page.goto((site / "patches.html").as_uri())
    exercise = page.locator("article[lang=es] .exercise").first
    exercise.get_by_label("Su respuesta").fill("197")
    page.keyboard.press("Enter")
    expect(exercise.locator("[role=status]")).to_have_text("Correcto.")
    expect(exercise.get_by_text("14 × 14 + 1 = 197")).to_be_visible()
    last = page.locator("article[lang=es] .exercise").last
    last.get_by_label("No: ve la misma bolsa de parches.").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(last.locator("[role=status]")).to_have_text("Correcto.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def show_models(article) -> None:
    """Scroll to the figures that read a model, which then grow."""
    for box in article.locator("[data-model]").all():
        box.scroll_into_view_if_needed()
        box.locator("table").first.wait_for()


@pytest.mark.parametrize(
    ("chapter", "part"), [("attention", ".ready, .exercise"), ("places", "body")]
)
def test_no_barrier(page, site, chapter, part):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is absent").Axe()
    page.goto((site / f"{chapter}.html").as_uri())
    show_models(page.locator("article[lang=es]"))
    for box in page.locator("article[lang=es] [type=text]").all():
        box.fill("El rey")  # axe examines each cell of the table
    page.locator("article[lang=es] .exercise button").first.click()
    # Without `preload` axe does not read the style sheet, which a page of the disk may not.
    found = axe.run(page, part, {"preload": False}).response["violations"]
    grave = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in grave] == []
