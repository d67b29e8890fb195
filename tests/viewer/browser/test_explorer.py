"""The model explorer in Chromium: a run, a text model, a Vision Transformer; known numbers."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import yaml

from spatioformer.common.palette import LIGHT
from spatioformer.models.inside import patterns_of
from spatioformer.nn import Ensemble, Spatioformer
from spatioformer.text.model import TextModel
from spatioformer.viewer.explorer.model_routes import model_router
from spatioformer.viewer.explorer.routes import explorer_router
from spatioformer.viewer.explorer.run import RunExplorer
from spatioformer.viewer.export import export
from spatioformer.viewer.folder import RunFolder
from spatioformer.viewer.routes import router
from spatioformer.viewer.run import ViewedRun
from tests.helpers import explored_run, text
from tests.helpers.browser import eventually, expect
from tests.viewer.browser.conftest import served, shown
from tests.viewer.browser.reading import becomes
from tests.viewer.explorer.test_vision import png, save

pytestmark = [pytest.mark.slow, pytest.mark.integration]

PAGE = "explorer.html"
WORDS = Path(__file__).parents[3] / "page" / "src" / "explorer" / "words.js"


@pytest.fixture(scope="module")
def viewed(tmp_path_factory) -> ViewedRun:
    return ViewedRun(explored_run.write(tmp_path_factory.mktemp("explored") / "run"))


@pytest.fixture(scope="module")
def run(viewed) -> Iterator[str]:
    with served(router(viewed)) as address:
        yield address
    viewed.rasters.close()


@pytest.fixture(scope="module")
def gpt(tmp_path_factory) -> TextModel:
    folder = tmp_path_factory.mktemp("text") / "gpt"
    text.random_model().save(folder, [{"step": 1, "training_loss": 3.0, "validation_loss": 4.0}])
    return TextModel.open(folder)


@pytest.fixture(scope="module")
def gpt_address(gpt, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served") / "gpt"
    gpt.save(folder, [{"step": 1, "training_loss": 3.0, "validation_loss": 4.0}])
    with served(model_router(folder)) as address:
        yield address


@pytest.fixture(scope="module")
def vit_address(tmp_path_factory) -> Iterator[str]:
    labels = [str(i) for i in range(10)]
    folder = save(tmp_path_factory.mktemp("vision") / "vit", (8, 8), 2, 1, labels)
    with served(model_router(folder)) as address:
        yield address


def check_axe(page) -> None:
    """No violation of accessibility that is serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is absent")
    found = axe.Axe().run(page).response["violations"]
    bad = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [f"{one['id']}: {one['nodes'][0]['html']}" for one in bad] == []


def test_run(visit, run, viewed):
    page = visit("#lang=en", address=run, path=PAGE)
    expect(page.locator("h1")).to_have_text("A known run")
    expect(page.locator("#scores .strong .value")).to_have_text("0.625")
    expect(page.locator("#place .feature")).to_have_count(12)
    page.wait_for_selector("#chip .heads")
    page.wait_for_selector("#plots canvas.scatter")
    check_axe(page)

    page.locator("#place select").select_option("published")
    page.wait_for_selector("#place .feature >> text=g15")
    page.locator("#place .feature").first.click()
    explorer = RunExplorer(viewed)
    values = explorer.sets()["published"].at(*explorer.places.lonlat)[:, 0]
    expected = f"From {values.min():.2f} to {values.max():.2f}".replace("-", "−")
    expect(page.locator("#place .readout")).to_have_text(expected)


def test_likeness_of_places(visit, run, viewed):
    """The page's cosine is that of the features; the least alike place has the smallest."""
    page = visit("#lang=en", address=run, path=PAGE)
    page.wait_for_selector("#place .features")
    explorer = RunExplorer(viewed)
    lon, lat = explorer.places.lonlat
    features = explorer.sets()["encoder"].at(lon, lat).astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    words = page.locator("#place .readout").inner_text()
    least = float(words.rsplit(" ", 1)[1].rstrip(".").replace("−", "-"))
    smallest = (unit @ unit.T).min(axis=1)
    assert np.abs(smallest - least).min() < 0.011
    caption = page.locator("#place figcaption")
    before = caption.inner_text()
    page.locator("#place canvas.geo").press("ArrowRight")
    expect(caption).not_to_have_text(before)
    expect(caption).to_contain_text("Likeness to")


def test_chip_of_a_plot(visit, run):
    page = visit("#lang=en", address=run, path=PAGE)
    page.locator("#chip .examples button").first.click()
    page.wait_for_selector("#chip >> text=observed 10")
    expect(page.locator("#chip .heads button")).to_have_count(4)
    page.locator("#chip .pictures canvas").nth(1).hover()
    expect(page.locator("#chip .readout")).to_contain_text("rollout on pixel 3, 3")
    page.locator("#plots canvas.scatter").press("ArrowRight")
    page.locator("#plots canvas.scatter").press("Enter")
    page.wait_for_selector("#chip h3 >> text=Plot p0")


def test_attention_between_the_bands_of_one_pixel(visit, tmp_path):
    """A network whose tokens are bands: the table holds the weights of the class token."""
    built = explored_run.network(Spatioformer, patch=1, tokens="bands")
    with shown(explored_run.write(tmp_path / "run", built)) as (one, address):
        page = visit("#lang=en", address=address, path=PAGE)
        table = page.locator("#chip canvas.heat")
        for key in ("ArrowDown", "ArrowRight"):
            table.press(key)
        row = int(page.evaluate("fetch('api/explorer.json').then(a => a.json())")["examples"][6])
        store = one.store
        patterns = patterns_of(one.model, store.chips[row], store.lon[row], store.lat[row])
        expected = f"“class token” attends to “red” with weight {patterns.weights[0, 0, 0, 1]:.3f}."
        expect(page.locator("#chip .readout").nth(1)).to_have_text(expected)


def test_each_network_of_an_ensemble_is_chosen(visit, viewed, tmp_path):
    folder = shutil.copytree(viewed.folder, tmp_path / "run")
    built = explored_run.network(Ensemble, location=explored_run.LOCATION, members=2)
    explored_run.bundle(built).save(folder / "model")
    with shown(folder) as (one, address):
        page = visit("#lang=en", address=address, path=PAGE)
        page.wait_for_selector("#chip >> text=Network 1 of 2 is shown.")
        page.locator("header select").select_option("1")
        page.wait_for_selector("#chip >> text=Network 2 of 2 is shown.")
        becomes(page, "network", "1")
        row = int(page.evaluate("fetch('api/explorer.json').then(a => a.json())")["examples"][6])
        store = one.store
        second = explored_run.bundle(one.model.members[1])
        weights = patterns_of(second, store.chips[row], store.lon[row], store.lat[row]).weights
        others = page.locator("#chip .pictures figure").nth(1).locator(".note").nth(1)
        expect(others).to_have_text(f"class token {weights[0, 0, 0, 0]:.3f}")


def test_a_run_without_a_map_opens_the_explorer(visit, viewed, tmp_path):
    folder = shutil.copytree(viewed.folder, tmp_path / "run")
    (folder / "map.tif").unlink()
    with served(explorer_router(RunFolder(folder))) as address:
        page = visit(address=address)
        page.wait_for_selector("#chip .heads")
        assert urlsplit(page.url).path == f"/{PAGE}"
        expect(page.locator("header")).to_contain_text("The run has no map")
        expect(page.locator("header a", has_text="Map")).to_have_count(0)
        expect(page.locator("#scores .strong .value")).to_have_text("0.625")
        page.wait_for_selector("#place .features")
        page.wait_for_selector("#plots canvas.scatter")
        check_axe(page)


def test_a_table_of_plots_has_no_chips_and_a_score_below_0_is_red(visit, viewed, tmp_path):
    folder = shutil.copytree(viewed.folder, tmp_path / "run")
    (folder / "map.tif").unlink()
    path = folder / "config.resolved.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({k: v for k, v in config.items() if k != "imagery"}))
    scores = pd.read_csv(folder / "scores.csv")
    scores.assign(r2=[-0.3] + [0.4] * (len(scores) - 1)).to_csv(folder / "scores.csv", index=False)
    importance = folder / "evaluation" / "importance.csv"
    changed = pd.read_csv(importance).replace({"group": {"red": "imagery"}}).assign(rise=0.2)
    changed.to_csv(importance, index=False)
    with served(explorer_router(RunFolder(folder))) as address:
        page = visit(address=address)
        page.wait_for_selector("#plots canvas.scatter")
        expect(page.locator("#chip")).to_have_count(0)
        below = page.locator("#scores rect.below")
        expect(below).to_have_count(1)
        red = tuple(int(LIGHT["bad"][k : k + 2], 16) for k in (1, 3, 5))
        expect(below).to_have_css("fill", f"rgb{red}")
        inputs = page.locator("#response")
        expect(inputs).to_contain_text("all covariates")
        whiskers = inputs.locator(".bars line:not(.zero)")
        expect(whiskers).to_have_count(2)
        assert all(float(one.get_attribute("x1")) >= 0 for one in whiskers.all())  # rise .2, sd .5
        expect(inputs).not_to_contain_text("imagery")


@pytest.mark.soak
def test_run_in_spanish_on_a_dark_phone(visit, run):
    page = visit("#lang=es", address=run, path=PAGE, phone=True, dark=True)
    for part in ("#place .features", "#chip .heads", "#plots canvas.scatter"):
        page.wait_for_selector(part)
    expect(page.locator("#chip h2")).to_have_text("Recorte y atención")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    check_axe(page)
    page.get_by_role("button", name="English").click()
    expect(page.locator("#chip h2")).to_have_text("Chip and attention")


def test_static_files_from_disk(visit, viewed, tmp_path):
    """An export holds the explorer; without a server a click shows the nearest example."""
    folder = tmp_path / "export"
    export(viewed, folder)
    page = visit("#lang=en", address=folder.as_uri(), path=f"/{PAGE}")
    expect(page.locator("header")).to_contain_text("only the example plots have chips")
    page.wait_for_selector("#place .features")
    facts = json.loads((folder / "api" / "explorer.json").read_text())
    west, south, east, north = facts["places"]["bounds"]
    chips = [
        json.loads((folder / "api" / "explorer" / "plot" / f"{row}.json").read_text())
        for row in facts["examples"]
    ]
    first, other = chips[len(chips) // 2], chips[0]
    expect(page.locator("#chip h3").first).to_have_text(f"Plot {first['id']}")
    box = page.locator("#chip canvas.geo").bounding_box()
    x = (other["lon"] - west) / (east - west) * box["width"]
    y = (north - other["lat"]) / (north - south) * box["height"]
    page.locator("#chip canvas.geo").click(position={"x": x, "y": y})
    expect(page.locator("#chip h3").first).to_have_text(f"Plot {other['id']}")


def test_text(visit, gpt, gpt_address):
    """Scores, weights and probabilities are those of `text attend` and `text next`."""
    page = visit("#lang=en", address=gpt_address, path=PAGE)
    page.fill("#sentence", "El rey come")
    page.press("#sentence", "Enter")
    reading = gpt.read("El rey come")
    tokens = [token.removeprefix("·").strip() or token for token in reading.tokens]
    expect(page.locator(".tokens .token b")).to_have_text(tokens)
    page.wait_for_selector(f"h3 >> text=Tokens ({len(tokens)})")
    page.locator(".heads button").nth(3).click()  # layer 2, head 2
    table = page.locator("canvas.heat").nth(1)
    for _ in range(2):  # the first key stroke chooses the first cell
        table.press("ArrowDown")
    score, weight = reading.scores[1, 1, 1, 0], reading.weights[1, 1, 1, 0]
    expected = f"score {score:.3f}, weight {weight:.3f}.".replace("-", "−")
    expect(page.locator(".readout")).to_have_text(re.compile(f"{re.escape(expected)}$"))
    check_axe(page)

    page.locator("#temperature").fill("50")
    share = gpt.next("El rey come", 1, 0.5)[0][1]
    value = page.locator(".next .strong .value")
    near = pytest.approx(100 * share, abs=0.51)
    eventually(page, lambda: float(value.inner_text().rstrip(" %")) == near)

    page.watch.expected.append("422")
    page.fill("#sentence", "rey " * 60)
    page.press("#sentence", "Enter")
    expect(page.locator(".failure")).to_contain_text("the page shows at most 32; shorten it")


def test_vision(visit, vit_address):
    page = visit("#lang=en", address=vit_address, path=PAGE)
    page.wait_for_selector(".pictures canvas")
    expect(page.locator(".thumb")).to_have_count(24)
    check_axe(page)
    page.locator(".pictures canvas").first.click(position={"x": 5, "y": 5})
    expect(page.locator("text=Attending: patch 1, 1")).to_have_count(1)
    image = {"name": "a.png", "mimeType": "image/png", "buffer": png((8, 8), "L")}
    page.set_input_files("#image-file", image)
    page.wait_for_selector(".overlay img[alt*='the image']")


def test_texts_are_complete_in_both_languages():
    """Every text has an English and a Spanish form with the same places for numbers."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is absent")
    show = "m => console.log(JSON.stringify(m.WORDS))"
    program = f"import({json.dumps(WORDS.as_uri())}).then({show})"
    command = [node, "--experimental-default-type=module", "-e", program]
    words = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for key, forms in words.items():
        assert set(forms) == {"en", "es"}, key
        assert all(forms.values()), key
        english, spanish = (sorted(re.findall(r"\{(\w+)\}", forms[one])) for one in ("en", "es"))
        assert english == spanish, key
