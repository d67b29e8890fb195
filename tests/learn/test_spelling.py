"""Spanish of the course, the glossary and the pages of `view`, read by a spell checker.

It needs a Spanish dictionary of hunspell (Debian and Ubuntu: apt-get install hunspell-es). The
variable DICPATH names another folder. `spanish_words.txt` has the words that it does not know.
"""

import ast
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from spatioformer.common.glossary import terms

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "spatioformer"
PAGES = ROOT / "page" / "src"
KNOWN = Path(__file__).with_name("spanish_words.txt")
FOLDERS = ("/usr/share/hunspell", "/usr/share/myspell/dicts", "/Library/Spelling")
DICTIONARIES = ("es_CL", "es_ES", "es")
STRING = r'"(?:[^"\\]|\\.)*"'
PAIR = re.compile(rf"\bW\(\s*{STRING}\s*,\s*({STRING})")
"""W(English, Spanish) of the pages' lists of words."""
NOT_PROSE = (
    re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE),  # code
    re.compile(r"`[^`\n]*`"),
    re.compile(r"\{\{.*?\}\}|\{\w+\}"),  # names of values
    re.compile(r"^::.*$", re.MULTILINE),
    re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL),  # formulas
    re.compile(r"\]\([^)]*\)"),  # addresses of links
    re.compile(r"--[\w-]+|\b[\w-]+\.\w{1,4}\b"),  # options, names of files
    re.compile(r"<[^>]*>"),
)
WORD = re.compile(r"[^\W\d_]+(?:[’'][^\W\d_]+)?")


@pytest.fixture(scope="module")
def dictionary():
    hunspell = pytest.importorskip("spylls.hunspell", reason="spylls is not installed")
    given = os.environ.get("DICPATH", "").split(os.pathsep)
    for folder in filter(None, (*given, *FOLDERS)):
        for name in DICTIONARIES:
            path = Path(folder) / name
            if path.with_suffix(".dic").is_file():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ResourceWarning)  # spylls leaves files open
                    return hunspell.Dictionary.from_files(str(path))
    pytest.skip("no Spanish dictionary of hunspell: install hunspell-es, or name it with DICPATH")


def words(text: str) -> set[str]:
    """The words of a text; code, formulas, options and addresses are left out."""
    for pattern in NOT_PROSE:
        text = pattern.sub(" ", text)
    return {word for word in WORD.findall(text) if len(word) > 1}


def literals(node: ast.expr) -> str:
    """The constant parts of a string, an f-string or a sum of them."""
    parts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return " ".join(part for part in parts if isinstance(part, str))


def spanish_of(source: str) -> Iterator[str]:
    """Spanish of Python code: Text(es, en), text(en, es), {"es": ...}, sentence["es"] += ..."""
    places = {"Text": 0, "text": 1}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="Text" | "text" as name), args=[_, _] as args):
                yield literals(args[places[name]])
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "es":
                        yield literals(value)
            case ast.AugAssign(target=ast.Subscript(slice=ast.Constant(value="es")), value=value):
                yield literals(value)


def texts() -> dict[str, str]:
    """Name of a source -> its Spanish."""
    sources = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted((SOURCES / "learn" / "text").glob("*.es.md"))
    }
    sources["glossary.yaml"] = " ".join(f"{term.name.es}. {term.meaning.es}" for term in terms())
    for folder in ("learn", "viewer"):
        for path in sorted((SOURCES / folder).rglob("*.py")):
            sources[str(path.relative_to(SOURCES))] = " ".join(
                spanish_of(path.read_text(encoding="utf-8"))
            )
    for path in sorted(PAGES.rglob("words.js")):
        spanish = PAIR.findall(path.read_text(encoding="utf-8"))
        assert len(spanish) > 50, path
        sources[f"{path.parent.name}/words.js"] = " ".join(spanish)
    return sources


def known() -> set[str]:
    """Words of our own: terms, names, and words of other languages that the course shows."""
    lines = KNOWN.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_spanish(dictionary):
    own = known()
    wrong = {
        name: sorted(
            word
            for word in words(text)
            if word not in own and word.lower() not in own and not dictionary.lookup(word)
        )
        for name, text in texts().items()
    }
    assert {name: found for name, found in wrong.items() if found} == {}


def test_what_is_no_prose_is_left_out():
    text = (
        "Mire `spatioformer run` y {{ plots }} en [la red](glossary.html#red), $x_i$ y run.yaml.\n"
        "```\nspatioformer\n```\n::figure mapa\n--set"
    )
    assert words(text) == {"Mire", "en", "la", "red"}


def test_where_python_has_spanish():
    source = 'Text(f"uno {n}" "dos", "a")\ntext("b", "tres")\n{"es": "cuatro", "en": "c"}\n'
    source += 's["es"] += "cinco"\ns["en"] += "d"'
    assert sorted(spanish_of(source)) == ["cinco", "cuatro", "tres", "uno  dos"]
