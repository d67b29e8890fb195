"""HTML of the figures of a chapter; pictures and models are written as files beside the pages."""

import base64
import json
from collections.abc import Callable
from html import escape
from pathlib import Path

from spatioformer.common.files import write_text, writing
from spatioformer.common.style import files
from spatioformer.learn.facts import Facts, Language, Number, Picture, Table, Value, Widget, shown

FOLDER, MODELS = "figures", "models"


IN_PAGE = {
    "es": "El lector cambia esta figura: ábrala con spatioformer learn.",
    "en": "The reader changes this figure: open it with spatioformer learn.",
}


def show(site: Path, chapter: str, name: str, facts: Facts, language: Language) -> str:
    """HTML of a figure, in a language; a picture is drawn and written to `site`/figures."""
    file = f"{chapter}-{name}-{language}.svg"

    def picture(svg: bytes) -> str:
        with writing(site / FOLDER / file) as part:
            part.write_bytes(svg)
        return f"{FOLDER}/{file}"

    def widget(widget: Widget, language: Language) -> str:
        return _widget(site, widget, language)

    return _figure(name, facts, language, picture, widget)


def show_alone(name: str, facts: Facts, language: Language) -> str:
    """HTML of a figure without files beside it and without scripts, for notebooks."""

    def picture(svg: bytes) -> str:
        return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"

    return _figure(
        name, facts, language, picture, lambda _, language: f"<p>{IN_PAGE[language]}</p>"
    )


def _figure(
    name: str,
    facts: Facts,
    language: Language,
    picture: Callable[[bytes], str],
    widget: Callable[[Widget, Language], str],
) -> str:
    figure = facts.figures[name]
    caption = f"<figcaption>{escape(figure.caption.of(language))}</figcaption>"
    if isinstance(figure, Picture):
        address = picture(drawn(figure, language))
        inside = f'<img src="{address}" alt="{escape(figure.alt.of(language))}">'
    elif isinstance(figure, Table):
        inside = _table(figure, language)
    else:
        inside = widget(figure, language)
    return f'<figure id="{name}-{language}">{inside}{caption}</figure>'


def drawn(picture: Picture, language: Language) -> bytes:
    """The picture with the words of a language, drawn as SVG."""
    return files(picture.draw(language))[1]


def _table(table: Table, language: Language) -> str:
    head = "".join(f'<th scope="col">{escape(shown(cell, language))}</th>' for cell in table.header)
    rows = "".join(
        f"<tr>{''.join(_cell(cell, language) for cell in row)}</tr>" for row in table.rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _cell(cell: Value, language: Language) -> str:
    kind = ' class="number"' if isinstance(cell, Number) else ""
    return f"<td{kind}>{escape(shown(cell, language))}</td>"


def _widget(site: Path, widget: Widget, language: Language) -> str:
    model = ""
    if widget.model is not None:
        model = f' data-model="{widget.model.name}"'
        file = site / MODELS / f"{widget.model.name}.js"
        if not file.exists():
            # A script, since a page that is opened from the disk may read no other file.
            text = json.dumps(widget.model.content(), ensure_ascii=False)
            write_text(file, f"models[{json.dumps(widget.model.name)}] = {text};\n")
    # "<" is escaped, so that no token can end the element.
    data = json.dumps(widget.data, ensure_ascii=False).replace("<", "\\u003c")
    without = {"es": "Esta figura necesita JavaScript.", "en": "This figure needs JavaScript."}
    return (
        f'<div class="widget" data-kind="{widget.kind}"{model}>'
        f'<script type="application/json">{data}</script>'
        f"<noscript>{without[language]}</noscript></div>"
    )
