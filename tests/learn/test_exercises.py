"""Exercises: what a reader writes, and whether it is right."""

import pytest

pytest.importorskip("tokenizers")

from spatioformer.common.errors import ArgumentError
from spatioformer.learn import exercises
from spatioformer.learn.exercises import check, expected, readings
from spatioformer.learn.facts import Facts, Number
from spatioformer.learn.forms import form
from spatioformer.learn.prose import parse, render

WORDS = Facts(
    {
        "exercise_size": Number(640_000),
        "third": Number(1 / 3, 1, percent=True),
        "exercise_shift": Number(2),
        "exercise_cold": Number(0.8808, 1, percent=True),
        "likeliest_share": Number(0.2, 1, percent=True),
    }
)
READINGS = {
    "4": [4],
    " −1,5 ": [-1.5],
    "0.375": [0.375, 375],
    "33,3 %": [33.3],
    "640 000": [640_000],
    "640\u202f000": [640_000],
    "640.000": [640, 640_000],
    "1,234.5": [1234.5],
    "1.234.567": [1_234_567],
    ",5": [0.5],
    "1,23,4": [],
    "1.234,5.6": [],
    "1/3": [],
    "four": [],
    "": [],
    "1e3": [],
    "-": [],
}


@pytest.mark.parametrize("text", READINGS)
def test_readings(text):
    assert readings(text) == pytest.approx(READINGS[text])


class TestCheck:
    @pytest.mark.parametrize(
        ("number", "answer"),
        [(1, 640_000), (1, "640.000"), (2, 33), (2, "33,3 %"), (2, 33.8), (3, 2), (4, "88,1")],
    )
    def test_right(self, number, answer):
        verdict = check("words", number, answer, facts=WORDS)
        assert verdict
        assert repr(verdict) == "Correcto."

    @pytest.mark.parametrize(
        ("number", "answer"), [(1, 640_001), (1, "64"), (2, 0.333), (2, 33.9), (3, 1), (4, -88.1)]
    )
    def test_wrong(self, number, answer):
        assert not check("words", number, answer, facts=WORDS)

    def test_hints(self):
        assert repr(check("words", 2, 1, facts=WORDS)) == (
            "No. Pista: Las probabilidades suman 100 %."
        )
        verdict = check("words", 1, 1, language="en", facts=WORDS)
        assert repr(verdict).startswith("No. Hint: It has a column")
        assert "*" not in repr(verdict)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("word", 1, 1), r"'word' is not in the course; give one of \['words'"),
            (("words", 0, 1), "words has the exercises 1 to 5; give one of them instead of 0"),
            (("words", 1, "many"), "'many' is no number"),
            (("words", 1, True), "True is no number"),
            (("words", 1, None), "None is no number"),
            (("words", 1, float("nan")), "nan is no number"),
            (("words", 3, 4), "exercise 3 of words has the choices 1 to 3"),
            (("words", 5, 1), "exercise 5 of words: .* sword-text-sparv"),
        ],
    )
    def test_mistakes(self, arguments, message):
        with pytest.raises(ArgumentError, match=message):
            check(*arguments, facts=WORDS)

    def test_language(self):
        with pytest.raises(ArgumentError, match="'fr' is not in the course"):
            check("words", 1, 1, language="fr", facts=WORDS)

    def test_facts_are_computed_once(self, monkeypatch):
        calls = []

        def facts(tools):
            calls.append(tools)
            return WORDS

        chapter = exercises.CHAPTERS[0]
        monkeypatch.setattr(exercises, "CHAPTERS", [type(chapter)("words", chapter.title, facts)])
        monkeypatch.setattr(exercises, "spanish_model", lambda *_: None)
        exercises._facts.cache_clear()
        assert check("words", 1, 640_000)
        assert not check("words", 1, 1)
        assert len(calls) == 1
        exercises._facts.cache_clear()


def test_form():
    text = "::exercise third 0.5\nHow much?\n::hint *a* {{ third }}\n::answer\nb\n::end\n::end"
    html = render(parse(text), WORDS, "es", str, form(WORDS, "es"))
    assert 'data-expected="33.33' in html
    assert "±0,5" in html
    assert "<template><p><em>a</em> 33,3" in html
    assert html.index("How much?") < html.index("<form>") < html.index("<details>")
    (block,) = parse(text)
    assert expected(block, WORDS) == pytest.approx(100 / 3)
    chosen = text.replace("third 0.5", "exercise_shift 0").replace("::hint", "::choice x<y\n::hint")
    html = render(parse(chosen), WORDS, "en", str, form(WORDS, "en"))
    assert html.count('type="radio"') == 1
    assert "<span>x&lt;y</span>" in html
