"""The site of the course with tiny models: complete, self-contained, and right."""

import json
import math
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from spatioformer.common.errors import ModelError, OutputError
from spatioformer.common.languages import LANGUAGES
from spatioformer.common.progress import SILENT
from spatioformer.learn import tools as learn_tools
from spatioformer.learn.build import build
from spatioformer.learn.chapters import CHAPTERS, attention, patches, places, words
from spatioformer.learn.glossary import sorted_terms, terms
from spatioformer.learn.tools import SpanishModel, _make_once, spanish_model
from spatioformer.text.settings import Sizes, TextRecipe
from tests.helpers.course import TinyTools, tiny_site, tiny_spanish
from tests.helpers.pictures import SVG
from tests.helpers.text import CORPUS, write_sword
from tests.helpers.tiny_run import spatioformer

pytestmark = pytest.mark.slow

PAGES = {"index", "words", "attention", "patches", "places", "map", "glossary"}


class Links(HTMLParser):
    """Addresses that a page names, and identifiers that it has."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.identifiers: list[str] = []
        self.alts: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[key] for key in ("href", "src") if key in values]
        self.identifiers += [values["id"]] if "id" in values else []
        if tag == "img":
            self.alts.append(values.get("alt"))


@pytest.fixture(scope="module")
def folder():
    return tiny_spanish()


@pytest.fixture(scope="module")
def tools(folder):
    return TinyTools(SpanishModel.open(folder))


@pytest.fixture(scope="module")
def site():
    return tiny_site()


@pytest.fixture
def blank_svg(monkeypatch):
    """Empty pictures: drawing takes most of the time of a build."""
    monkeypatch.setattr("spatioformer.learn.show.drawn", lambda *_: SVG)


def widgets(site, page: str) -> Iterator[tuple[str, dict]]:
    text = (site / f"{page}.html").read_text(encoding="utf-8")
    pattern = r'data-kind="(\w+)"><script type="application/json">(.*?)</script>'
    for kind, data in re.findall(pattern, text, flags=re.S):
        yield kind, json.loads(data)


class TestSite:
    def test_pages_in_both_languages(self, site):
        assert {path.stem for path in site.glob("*.html")} == PAGES
        for page in PAGES:
            text = (site / f"{page}.html").read_text(encoding="utf-8")
            assert [text.count(f'<article lang="{each}"') for each in LANGUAGES] == [1, 1]
            assert '<html lang="es" data-language="es">' in text
            assert not re.search(r"\{\{|^::|\x02|\x03", text, flags=re.M)

    def test_all_links_lead_somewhere(self, site):
        pages = {page: Links((site / f"{page}.html").read_text("utf-8")) for page in PAGES}
        for page, found in pages.items():
            assert len(set(found.identifiers)) == len(found.identifiers), page
            assert all(found.alts), page
            for link in found.links:
                file, _, anchor = link.partition("#")
                if link.startswith("data:"):
                    continue
                assert not file or (site / file).is_file(), link
                if file == "glossary.html" and anchor:
                    for each in LANGUAGES:
                        assert f"{anchor}-{each}" in pages["glossary"].identifiers, link

    def test_no_request_leaves_the_site(self, site):
        for path in [*site.glob("*.*"), *site.glob("figures/*")]:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(src|href|url)\W{1,3}(https?:|//)", text), path

    def test_every_picture_is_shown(self, site):
        shown = {
            link
            for page in PAGES
            for link in Links((site / f"{page}.html").read_text("utf-8")).links
            if link.startswith("figures/")
        }
        assert shown == {f"figures/{path.name}" for path in site.glob("figures/*")}

    @pytest.mark.soak
    def test_english_pictures_are_drawn_in_their_own_words(self, tools, tmp_path):
        out = tmp_path / "course"
        assert build(out, tools) == out / "index.html"
        english = sorted((out / "figures").glob("*-en.svg"))
        spanish = [path.with_name(path.name.replace("-en.", "-es.")) for path in english]
        assert spanish == sorted((out / "figures").glob("*-es.svg"))
        assert all(path.stat().st_size > 1000 for path in english)
        pairs = zip(english, spanish, strict=True)
        assert sum(en.read_bytes() != es.read_bytes() for en, es in pairs) > len(english) / 2

    def test_the_temperature_table_is_that_of_the_model(self, site, tools):
        _, data = next(found for found in widgets(site, "words") if found[0] == "softmax")
        likeliest = tools.spanish.model.next(words.PROMPT, 3)
        shares = words.softmax(data["logits"], 1.0)
        order = np.argsort(shares)[::-1][:3]
        assert [data["tokens"][i] for i in order] == [token for token, _ in likeliest]
        expected = [share for _, share in likeliest]
        assert [shares[i] for i in order] == pytest.approx(expected, rel=2e-3)

    def test_the_table_without_a_word(self, site, tools):
        _, data = next(found for found in widgets(site, "words") if found[0] == "hidden")
        without_first = " ".join(data["words"][1:])
        (token, share), *_ = tools.spanish.model.next(without_first, 1)
        assert data["without"][0][0] == [token, round(share, 4)]
        assert len(data["without"]) == len(data["words"])

    def test_patterns_sum_to_one_and_the_mask_is_causal(self, site):
        found = [data for kind, data in widgets(site, "attention") if kind == "attention"]
        for data in found:
            pattern = np.array(data["pattern"])
            T = len(data["tokens"])
            assert pattern.shape[2:] == (T, T)
            np.testing.assert_allclose(pattern.sum(axis=-1), 100, atol=T / 2)
        causal, both = (np.array(found[i]["pattern"]) for i in (0, 1))
        assert not np.triu(causal, 1).any()
        assert np.triu(both, 1).any()

    def test_opens_in_the_chosen_language_and_replaces_a_site(self, tools, tmp_path, blank_svg):
        again = tmp_path / "again"
        again.mkdir()
        build(again, tools, language="en", chapters=CHAPTERS[:1])
        build(again, tools, language="en", chapters=[])
        assert 'data-language="en"' in (again / "index.html").read_text(encoding="utf-8")
        assert {path.stem for path in again.glob("*.html")} == {"index", "glossary"}

    def test_another_folder_is_not_replaced(self, tools, tmp_path):
        (tmp_path / "mine.txt").write_text("x")
        with pytest.raises(OutputError, match="is no site of the course; give another folder"):
            build(tmp_path, tools)
        assert (tmp_path / "mine.txt").read_text() == "x"

    def test_without_the_corpus_the_pages_say_what_is_missing(self, tmp_path, blank_svg):
        build(tmp_path / "course", TinyTools(None))
        for page in ("words", "attention"):
            text = (tmp_path / "course" / f"{page}.html").read_text(encoding="utf-8")
            assert "instale sword-text-sparv" in text
            assert "install sword-text-sparv" in text
        assert not [kind for kind, _ in widgets(tmp_path / "course", "words")]


class TestFacts:
    def test_softmax(self):
        assert words.softmax((0, math.log(3)), 1) == pytest.approx([0.25, 0.75])
        assert words.softmax((0, math.log(3)), 0.5) == pytest.approx([0.1, 0.9])

    def test_the_variance_of_scores(self, tools):
        for width, plain, _, scaled, _ in attention.facts(tools).figures["scaling"].rows:
            assert plain.value == pytest.approx(width.value, rel=0.1)
            assert scaled.value == pytest.approx(1, rel=0.1)

    def test_all_tokens_of_a_sentence_are_shown(self, tools):
        facts = words.facts(tools)
        for name, model in (("spanish", tools.spanish.model), ("foreign", tools.encoder)):
            ids, spans = model.tokenizer.encode_spans(words.FOX)
            shown = [row[2] for row in facts.figures[f"pieces_{name}"].rows]
            assert ", ".join(shown) == ", ".join(map(str, ids)), spans

    def test_what_the_prose_says_of_the_real_models(self, tmp_path):
        """MiniLM and wordllama do not change, so sentences may say what they show."""
        tools = learn_tools.Tools(None, tmp_path)
        try:
            encoder, vectors = tools.encoder, tools.words
        except ModelError as error:
            pytest.skip(str(error))
        assert vectors.neighbours("flor", 1)[0][0] == "Florida"
        assert vectors.rank("king", "man", "woman", "queen") > 1
        values = attention.facts(tools).values
        assert values["bank_agreeing"] == values["bank_count"]
        assert values["bank_embedding"].value == pytest.approx(1, abs=1e-6)
        assert values["bank_within"].value - values["bank_between"].value > 0.1
        assert values["banco_within"].value - values["banco_between"].value < 0.02
        assert (values["weight"].value, values["dog_weight"].value) > (0.35, 0.35)
        values = places.facts(tools).values
        for name in ("lost", "gained_random", "gained_tiles"):
            assert values[name].value > 0.02, name
        assert values["alike"].value < values["all_pairs"].value
        assert encoder.tokenizer.encode("café") == encoder.tokenizer.encode("cafe")

    def test_patches(self, tools):
        facts = patches.facts(tools)
        shapes = [row[1] for row in facts.figures["shapes"].rows]
        assert shapes == ["1 × 8 × 8", "16 × 4", "16 × 16", "17 × 16", "17 × 16", "10"]
        assert facts.values["exercise_tokens"].value == 197
        lesson = tools.vision
        answers = lesson.model.predict(lesson.held_out).argmax(axis=1)
        assert lesson.accuracy == pytest.approx((answers == lesson.held_out.targets).mean())
        assert len(lesson.held_out) == 450

    def test_places(self, tools):
        values = places.facts(tools).values
        assert (values["alpha"].value, values["gamma"].value) == (4, 9)
        # Over the date line, 4 degrees away: near on the sphere, at the other end of the plane.
        assert values["beyond_sphere"].value > 0.9 > values["beyond_plane"].value

    def test_folds(self, tools):
        landscape = tools.landscape
        for folds in (landscape.random_folds(), landscape.tile_folds()):
            assert set(folds) == set(range(5))
        tiles = np.floor(np.stack([landscape.lon, landscape.lat]) / 0.75)
        for tile in np.unique(tiles, axis=1).T:
            inside = (tiles == tile[:, None]).all(axis=0)
            assert len(set(landscape.tile_folds()[inside])) == 1

    def test_neighbours_on_a_grid(self):
        x, y = np.meshgrid(np.arange(3), np.arange(2))
        vectors = np.stack([np.ones(6), x.ravel(), y.ravel()], axis=1)
        near, far = patches.near_and_far(vectors, 3)
        assert near > far
        pairs = [(i, j) for i in range(6) for j in range(i)]
        cosines = [attention.cosine(vectors[i], vectors[j]) for i, j in pairs]
        assert 7 * near + 8 * far == pytest.approx(sum(cosines))  # 7 of 15 pairs are side by side


class TestGlossary:
    def test_a_sentence_each(self):
        assert len(terms()) >= 60
        for language in LANGUAGES:
            names = [term.name.of(language) for term in terms()]
            assert len(set(names)) == len(names)
            for term in terms():
                meaning = term.meaning.of(language)
                assert meaning[0].isupper() or meaning[0] == "−", term
                assert meaning.endswith("."), term
                assert ". " not in meaning, term

    def test_order(self):
        names = [term.name.es for term in sorted_terms("es")]
        assert names.index("área de aplicabilidad") < names.index("banda")


class TestSpanishModel:
    def test_trained_once(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SWORD_PATH", str(tmp_path / "sword"))
        assert spanish_model(tmp_path / "cache") is None
        verses = [line for line in CORPUS.splitlines() if line]
        conf = write_sword(tmp_path / "sword", {"nt": [verses]})
        conf.rename(conf.with_name("spaRV1909eb.conf"))
        monkeypatch.setattr(learn_tools, "SIZES", Sizes("words", 40, 12, 16, 2, 1))
        monkeypatch.setattr(learn_tools, "RECIPE", TextRecipe(steps=2, batch=2, warmup=1))
        first = spanish_model(tmp_path / "cache")
        assert first.scores["baseline_perplexity"] > 1
        monkeypatch.setattr(learn_tools, "train_text", None)  # a second training would fail
        again = spanish_model(tmp_path / "cache")
        assert again.rows == first.rows

    @pytest.mark.parametrize("content", [None, "[]", '{"perplexity": "x"}'])
    def test_other_folders_are_refused(self, folder, tmp_path, content):
        model = tmp_path / "model"
        model.mkdir()
        for path in folder.iterdir():
            (model / path.name).write_bytes(path.read_bytes())
        (model / "scores.json").unlink()
        if content is not None:
            (model / "scores.json").write_text(content)
        with pytest.raises(ModelError, match=r"no usable training\.csv and scores\.json"):
            SpanishModel.open(model)


class TestCommand:
    def test_it_builds_and_opens(self, folder, tmp_path, monkeypatch, blank_svg):
        opened = []
        monkeypatch.setattr(learn_tools, "Tools", TinyTools)
        monkeypatch.setattr("webbrowser.open", opened.append)
        out = tmp_path / "course"
        ended = spatioformer("learn", "-o", out, "--model", folder)
        assert ended.code == 0, ended.err
        assert ended.err.splitlines()[-1] == str(out / "index.html")
        assert opened == [(out / "index.html").as_uri()]
        opened.clear()
        arguments = ("-o", out, "-m", folder, "--no-browser", "--language", "en", "--quiet")
        ended = spatioformer("learn", *arguments)
        assert (ended.code, ended.err, opened) == (0, "", [])

    def test_mistakes_are_one_sentence(self, folder, tmp_path):
        (tmp_path / "mine.txt").write_text("x")
        ended = spatioformer("learn", "-o", tmp_path, "-m", folder)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        ended = spatioformer("learn", "-o", tmp_path / "new", "-m", tmp_path / "absent")
        assert ended.code == 2
        assert "absent" in ended.err


def test_of_two_builds_at_once_one_trains_and_the_other_waits(tmp_path):
    """Four threads stand for builds of the course."""
    trained, folder = [], tmp_path / "cache" / "model"

    def train() -> None:
        trained.append(threading.get_ident())
        folder.mkdir()
        (folder / "last").touch()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: _make_once(folder, "last", train, SILENT), range(4)))
    assert len(trained) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
