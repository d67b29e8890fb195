"""The prose of the course, and the facts that it names: whatever disagrees is an error."""

import pytest

pytest.importorskip("tokenizers")

from spatioformer.learn.facts import THIN, Facts, Number, Table, Text, shown
from spatioformer.learn.forms import form
from spatioformer.learn.prose import (
    CourseError,
    check,
    choices,
    exercises,
    figures,
    markdown,
    parse,
    render,
    without_spanish,
)

TABLE = Table(["a"], [["b"]], Text("c", "c"))
FACTS = Facts({"n": Number(1234.5, 1), "star": "*<b>*"}, {"t": TABLE})


def texts(es: str, en: str | None = None) -> dict:
    return {"es": parse(es), "en": parse(es if en is None else en)}


class TestCheck:
    WHOLE = "{{ n }} {{ star }}\n::figure t\n"

    def test_agreement(self):
        check("x", texts(self.WHOLE), FACTS)

    @pytest.mark.parametrize(
        ("es", "en", "message"),
        [
            (WHOLE + "{{ absent }}", WHOLE, r"x\.es\.md names value \['absent'\]: not computed"),
            (WHOLE, WHOLE + "{{ absent }}", r"x\.en\.md names value \['absent'\]: not computed"),
            ("{{ n }}\n::figure t", "{{ n }}\n::figure t", r"no text of x uses the value \['star"),
            (WHOLE + "::figure u", WHOLE, r"x\.es\.md names figure \['u'\]: not computed"),
            (WHOLE, "{{ n }}", r"x\.en\.md does not show the figure \['t'\]"),
            (WHOLE, WHOLE + "::figure t", "show other figures"),
            (WHOLE + "::spanish\n{{ absent }}\n::end", WHOLE, "names value"),
        ],
    )
    def test_disagreement(self, es, en, message):
        with pytest.raises(CourseError, match=message):
            check("x", texts(es, en), FACTS)

    @pytest.mark.parametrize(
        "text",
        [
            *("::figur t", "::end", "::figure", "::answer\nx", "::spanish", "::choice", "::hint"),
            *("::exercise n\n::end", "::exercise n -1\n::end", "::exercise n x\n::end"),
        ],
    )
    def test_blocks_that_are_none(self, text):
        with pytest.raises(CourseError):
            parse(text)


QUESTION = "::exercise n 0.5\nHow many?\n::hint count\n::answer\n{{ n }}\n::end\n::end"
CHOICE = QUESTION.replace("::hint", "::choice a\n::choice b\n::hint").replace("n 0.5", "two 0")
NUMBERS = Facts({"n": Number(1234.5, 1), "two": Number(2), "word": "x"})


class TestExercises:
    def test_numbers_choices_and_names(self):
        both = parse(f"{QUESTION}\n::spanish\n{CHOICE}\n::end")
        first, second = exercises(both)
        assert (first.words, first.number, first.tolerance, choices(first)) == ("n", 1, 0.5, [])
        assert (second.words, second.number, choices(second)) == ("two", 2, ["a", "b"])
        check("x", {"es": both, "en": both}, Facts({"n": Number(1), "two": Number(2)}))

    def test_without_the_spanish_model_numbers_stay(self):
        less = without_spanish(parse(f"::spanish\n{CHOICE}\n::end\n{QUESTION}"))
        assert [(each.words, each.number) for each in exercises(less)] == [("n", 2)]

    @pytest.mark.parametrize(
        ("es", "en", "message"),
        [
            (QUESTION, QUESTION.replace("0.5", "0.4"), "other exercises"),
            (QUESTION, "{{ n }}", "other exercises"),
            (QUESTION.replace("::hint count\n", ""), None, "lacks a question, hint or answer"),
            (QUESTION.replace("::hint", "::hint a\n::hint"), None, "lacks"),
            (QUESTION.replace("How many?\n", ""), None, "lacks a question"),
            (QUESTION.replace("e n", "e absent"), None, r"value \['absent'\]: not computed"),
            (QUESTION.replace("e n", "e word"), None, "word of x is no number"),
            (CHOICE.replace("two", "n"), None, "n of x is no number, or none of the choices"),
        ],
    )
    def test_defects_fail_the_build(self, es, en, message):
        rest = "\n{{ n }} {{ two }} {{ word }}"
        with pytest.raises(CourseError, match=message):
            check("x", texts(es + rest, None if en is None else en + rest), NUMBERS)


class TestRender:
    def test_values_are_put_in_as_they_are(self):
        html = markdown("*{{ n }}* and {{ star }}", FACTS, "en")
        assert html == "<p><em>1,234.5</em> and *&lt;b&gt;*</p>\n"

    def test_formulas(self):
        html = markdown("$x_i$ and\n\n$$\\dfrac{a}{b}$$", FACTS, "en")
        assert html.count("<svg") == 2
        assert html.count('class="display"') == 1
        with pytest.raises(ValueError, match="nonsense"):
            markdown(r"$\nonsense{x}$", FACTS, "en")

    def test_markup_of_the_prose_is_text(self):
        assert "&lt;script&gt;" in markdown("<script>", FACTS, "en")

    def test_blocks(self):
        blocks = parse("a\n::answer\nb\n::figure t\n::end\n::spanish\nc\n::end")
        html = render(blocks, FACTS, "es", lambda name: f"[{name}]", form(FACTS, "es"))
        assert "<summary>Respuesta</summary><p>b</p>\n\n[t]</details>" in html
        assert "<p>c</p>" in html
        assert figures(blocks) == ["t"]
        less = render(without_spanish(blocks), FACTS, "en", str, form(FACTS, "en"))
        assert "<p>c</p>" not in less
        assert "apt-get install sword-text-sparv" in less


@pytest.mark.parametrize(
    ("number", "es", "en"),
    [
        (Number(3813021), f"3{THIN}813{THIN}021", "3,813,021"),
        (Number(-1.25, 2), "−1,25", "−1.25"),
        (Number(0.1234, 1, percent=True), f"12,3{THIN}%", f"12.3{THIN}%"),
    ],
)
def test_numbers_as_each_language_writes_them(number, es, en):
    assert (shown(number, "es"), shown(number, "en")) == (es, en)


def test_nothing_is_computed_twice():
    with pytest.raises(AssertionError, match=r"computed twice: \{'n'\}"):
        FACTS | Facts({"n": "x"})
