"""The notebooks of the course: as committed, runnable, and with the numbers of the pages."""

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

import matplotlib.pyplot as plt

from spatioformer.common.errors import ArgumentError
from spatioformer.common.languages import LANGUAGES
from spatioformer.learn.chapters import CHAPTERS
from spatioformer.learn.facts import Number
from spatioformer.learn.lesson import Lesson
from spatioformer.learn.notebooks import Cells, assigned, compose, markdown, write_notebooks
from spatioformer.learn.prose import flat
from spatioformer.learn.texts import texts
from spatioformer.learn.tools import SpanishModel
from tests.helpers.course import TinyTools, tiny_spanish
from tests.helpers.pictures import SVG
from tests.helpers.tiny_run import assert_refused, spatioformer

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "examples" / "notebooks"
COMMAND = "rm -r examples/notebooks; spatioformer learn --notebooks examples/notebooks"
NAMES = [chapter.name for chapter in CHAPTERS]


@pytest.fixture(scope="module")
def tools():
    return TinyTools(SpanishModel.open(tiny_spanish()))


@pytest.fixture
def opened(tools, monkeypatch):
    """Lessons with tiny models; pictures are not drawn."""
    monkeypatch.setattr("spatioformer.learn.lesson.open_tools", lambda _: tools)
    monkeypatch.setattr("spatioformer.learn.show.drawn", lambda *_: SVG)
    yield
    plt.close("all")


def run(chapter: str, language: str) -> dict:
    """Execute the code cells in one namespace, as a kernel does."""
    namespace: dict = {}
    for number, (kind, source) in enumerate(compose(chapter, language)[0]):
        if kind == "code":
            plt.close("all")
            exec(compile(source, f"{chapter}.{language} cell {number}", "exec"), namespace)
    return namespace


def test_the_committed_notebooks_are_those_of_the_texts(tmp_path):
    paths = write_notebooks(tmp_path / "new")
    assert [path.name for path in paths] == [
        f"{n}.{each}.ipynb" for n in NAMES for each in LANGUAGES
    ]
    assert {path.name for path in NOTEBOOKS.iterdir()} == {path.name for path in paths}, COMMAND
    for path in paths:
        committed = (NOTEBOOKS / path.name).read_text(encoding="utf-8")
        assert path.read_text(encoding="utf-8") == committed, COMMAND


@pytest.mark.parametrize("chapter", NAMES)
def test_every_cell_of_the_code_is_used(chapter):
    for language in LANGUAGES:
        _, code = compose(chapter, language)
        assert code.left == [], (
            "no prose names a variable of these cells, or no figure has the name"
        )


@pytest.mark.slow
@pytest.mark.parametrize("chapter", NAMES)
def test_the_code_gives_the_numbers_of_the_page(chapter, tools, opened):
    facts = next(each for each in CHAPTERS if each.name == chapter).facts(tools)
    namespace = run(chapter, "es")
    printed = "\n".join(source for kind, source in compose(chapter, "es")[0] if kind == "code")
    named = {name for block in flat(texts(chapter)["es"]) for name in block.names()}
    for name in sorted(named):
        expected, value = facts.values[name], namespace.get(name)
        if value is None:
            assert f'"{name}"' in printed, f"neither a variable nor printed: {name}"
        elif isinstance(expected, Number):
            assert math.isclose(value, expected.value, rel_tol=1e-4, abs_tol=1e-6), name
        else:
            assert value == expected, name


@pytest.mark.slow
@pytest.mark.parametrize("chapter", NAMES)
def test_it_runs_without_the_corpus(chapter, monkeypatch, opened, capsys):
    monkeypatch.setattr("spatioformer.learn.lesson.open_tools", lambda _: TinyTools(None))
    namespace = run(chapter, "en")
    named = [
        n for b in texts(chapter)["en"] if b.kind == "spanish" for i in flat([b]) for n in i.names()
    ]
    if "verdict" in named:
        assert "verdict = This part needs the Spanish model" in capsys.readouterr().out
    assert "lesson" in namespace


@pytest.mark.soak  # tests/api/test_notebooks.py has a kernel; the cells run above, in this process
def test_it_runs_in_jupyter(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="nbclient and nbformat run the notebooks")
    nbclient = pytest.importorskip("nbclient", reason="nbclient and nbformat run the notebooks")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(NOTEBOOKS / "patches.es.ipynb", as_version=4)
    nbformat.validate(notebook)
    tiny = (
        "import spatioformer.learn.lesson as lessons\nfrom tests.helpers.course import TinyTools\n"
        "lessons.open_tools = lambda _: TinyTools(None)"
    )
    notebook.cells.insert(0, nbformat.v4.new_code_cell(tiny))
    shown = nbformat.v4.new_code_cell('lesson.figure("answer")')
    notebook.cells.append(shown)
    resources = {"metadata": {"path": str(ROOT)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert "La imagen es un" in shown.outputs[0]["data"]["text/html"]


def test_notebooks_have_no_outputs_and_no_marks():
    for path in NOTEBOOKS.iterdir():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs")
            text = "".join(cell["source"])
            assert "{{" not in text
            assert "::" not in text.replace("::-1", "").replace("[::", ""), text
            assert ".html)" not in text


class TestLesson:
    def test_a_table_is_shown_in_its_language(self, tools, opened, capsys):
        assert "riqueza" in Lesson("places", "es").figure("species")._repr_html_()
        lesson = Lesson("places", "en")
        assert "richness" in lesson.figure("species")._repr_html_()
        assert 'src="data:image/svg+xml' in lesson.figure("folds").html
        lesson.numbers("alpha", "gamma")
        assert capsys.readouterr().out == "alpha = 4.0\ngamma = 9\n"

    def test_exercises_are_checked(self, opened, capsys, monkeypatch):
        lesson = Lesson("places", "en")
        lesson.check(1, 1.5)
        assert capsys.readouterr().out == "Right.\n"
        lesson.check(1, 2)
        assert capsys.readouterr().out.startswith("No. Hint: ")
        monkeypatch.setattr("spatioformer.learn.lesson.open_tools", lambda _: TinyTools(None))
        Lesson("words").check(5, 1)
        assert "instale sword-text-sparv" in capsys.readouterr().out

    def test_a_figure_for_a_page_says_so(self, opened):
        assert "open it with spatioformer learn" in Lesson("words", "en").figure("temperature").html

    def test_mistakes(self, opened, monkeypatch):
        with pytest.raises(ArgumentError, match="'word' is not in the course; give one of"):
            Lesson("word")
        with pytest.raises(ArgumentError, match="'fr' is not in the course"):
            Lesson("words", "fr")
        with pytest.raises(ArgumentError, match="the chapter places has no 'alfa'"):
            Lesson("places").numbers("alfa")
        monkeypatch.setattr("spatioformer.learn.lesson.open_tools", lambda _: TinyTools(None))
        with pytest.raises(ArgumentError, match="the chapter words has no 'hiden'"):
            Lesson("words").figure("hiden")
        assert "instale sword-text-sparv" in Lesson("words").figure("hidden").html


class TestCells:
    SOURCE = (
        "header = 1\n# %% setup\nimport x\n# %% values\na, (b, *c) = 1, (2, 3)\n"
        "# %% figure f\nd = [e for e in c]\n# %% values\nprint(1)\n"
    )

    def test_each_cell_comes_once_and_where_it_is_needed(self):
        cells = Cells.of(self.SOURCE)
        assert cells.setup == "import x"
        assert list(cells.values(["d", "b", "a", "z"])) == [
            "a, (b, *c) = 1, (2, 3)",
            'lesson.numbers("z")',
        ]
        assert cells.figure("f") == "d = [e for e in c]"
        assert cells.figure("f") == 'lesson.figure("f")'
        assert list(cells.values(["a", "d", "z"])) == []
        assert cells.left == [("values", "print(1)")]

    def test_variables_inside_functions_do_not_count(self):
        code = "def f():\n    x = 1\nif y:\n    z = [w for w in q]\nfor i in j: k += 1"
        assert assigned(code) == {"z", "i", "k"}

    def test_prose(self):
        text = "[one](glossary.html#a) {{ n }} [two](words.html) $x_i$"
        assert markdown(text, "es") == "*one* `n` [two](words.es.ipynb) $x_i$"


def test_the_command(tmp_path):
    ended = spatioformer("learn", "--notebooks", tmp_path / "mine")
    assert ended.code == 0, ended.err
    assert len(list((tmp_path / "mine").iterdir())) == 2 * len(CHAPTERS)
    assert_refused(
        spatioformer("learn", "--notebooks", tmp_path / "mine"),
        f"{tmp_path / 'mine'} is not empty; name a new folder for the notebooks",
    )
