"""HTML of an exercise: its question, a field or choices, a place for the verdict, its answer."""

from collections.abc import Callable
from html import escape

from spatioformer.learn.exercises import ROUNDING, expected
from spatioformer.learn.facts import THIN, Facts, Language, Number, Text
from spatioformer.learn.prose import Block, choices, hint, markdown

TITLE = Text("Ejercicio {number}", "Exercise {number}")
YOURS, CHECK = Text("Su respuesta", "Your answer"), Text("Comprobar", "Check")
WITHIN = Text("vale con un error de ±{size}", "within ±{size} is right")


def form(facts: Facts, language: Language) -> Callable[[Block, str, str], str]:
    """A function that gives the HTML of an exercise, from that of its question and answer."""

    def html(exercise: Block, question: str, answer: str) -> str:
        number = exercise.number
        key = f"exercise-{number}-{language}"
        hint_html = markdown(hint(exercise), facts, language)
        return (
            f'<section class="exercise" id="{key}" aria-labelledby="{key}-title" '
            f'data-expected="{expected(exercise, facts)!r}" '
            f'data-tolerance="{exercise.tolerance + ROUNDING!r}">'
            f'<h3 id="{key}-title">{escape(TITLE.of(language).format(number=number))}</h3>'
            f'<div id="{key}-question">{question}</div>'
            f"<form>{_inputs(exercise, key, facts, language)}"
            f'<button type="submit">{escape(CHECK.of(language))}</button></form>'
            f'<div role="status"></div><template>{hint_html}</template>{answer}</section>'
        )

    return html


def _inputs(exercise: Block, key: str, facts: Facts, language: Language) -> str:
    yours = escape(YOURS.of(language))
    if given := choices(exercise):
        # Markdown makes a paragraph, which a label may not hold.
        words = [markdown(each, facts, language).strip()[3:-4] for each in given]
        labels = "".join(
            f'<label><input type="radio" name="{key}" value="{i}"> <span>{each}</span></label>'
            for i, each in enumerate(words, 1)
        )
        question = f'aria-describedby="{key}-question"'
        return f"<fieldset {question}><legend>{yours}</legend>{labels}</fieldset>"
    answer = facts.values[exercise.words]
    assert isinstance(answer, Number), "checked when the course is built"
    unit = " %" if answer.percent else ""
    within = ""
    if exercise.tolerance:
        digits = len(f"{exercise.tolerance:g}".partition(".")[2])
        size = Number(exercise.tolerance, digits).of(language) + unit.replace(" ", THIN)
        within = f" <small>({escape(WITHIN.of(language).format(size=size))})</small>"
    return (
        f'<label>{yours} <input inputmode="decimal" autocomplete="off" size="10" '
        f'aria-describedby="{key}-question">{unit}</label>{within}'
    )
