"""The page: its numbers and words, its labels, nothing from outside, nothing of a user's unescaped.

The run folders come from report_run.py; no model is trained here.
"""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import CRS, Geod, Transformer
from rasterio.transform import from_origin

from spatioformer.common import style, workers
from spatioformer.common.errors import OutputError
from spatioformer.common.style import files, stamp
from spatioformer.geo.vector.zones import polygon_areas
from spatioformer.geo.virtual.truth import noise_ceiling
from spatioformer.report import facts, maps, page, picture, write_report
from spatioformer.report.bands import read_band
from spatioformer.report.downloads import FIGURES
from spatioformer.report.findings import decimal
from spatioformer.report.results import Results
from spatioformer.report.scores import METRICS
from spatioformer.run.preload import start_workers
from tests.helpers import report_run
from tests.helpers.landscape import NORTH, SIDE, STEP, WEST, write_raster
from tests.helpers.pictures import drawn

pytestmark = pytest.mark.slow

SCRIPT = "<script>alert('x')</script>"
VOID = {"meta", "img", "br", "source"}


class Page(HTMLParser):
    """What a browser makes of a report: text, elements with attributes, and tags left open."""

    def __init__(self, html: str):
        super().__init__()
        self.html, self.elements, self.open, self.words = html, [], [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", autouse=True)
def _undrawn():
    """Figures are made but not drawn: what they show is tested elsewhere, and drawing is slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "files", lambda figure, zoom: (b"\x89PNG", b"<svg/>"))
        yield


def render(folder: Path, **options) -> Page:
    return Page(write_report(folder, report_run.write(folder, **options)).read_text("utf-8"))


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> tuple[Page, Path]:
    folder = tmp_path_factory.mktemp("real")
    config = report_run.write(folder, title=f"Title {SCRIPT}", target=f"richness {SCRIPT}")
    table = pd.read_csv(folder / "rejected.csv")
    table.loc[0, ["plot_id", "reason"]] = [f"id {SCRIPT}", f"richness {SCRIPT!r} is not a number"]
    table.to_csv(folder / "rejected.csv", index=False)
    (folder / "model" / "README.md").write_text(f"card {SCRIPT}")
    return Page(write_report(folder, config).read_text("utf-8")), folder


@pytest.fixture(scope="module")
def virtual(tmp_path_factory) -> tuple[Page, Path, int]:
    stamped = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "stamp", lambda *a: (stamped.append(a[1]), stamp(*a)))
        patch.setattr(style, "files", files)
        patch.setattr(style, "DPI", 20)
        patch.setattr(workers, "_started", False)  # a worker process would stamp unseen
        folder = tmp_path_factory.mktemp("virtual")
        made = render(folder, virtual=True)
    assert set(stamped) == {picture.VIRTUAL}
    return made, folder, len(stamped)


def test_every_score_is_in_its_table(real):
    made, folder = real
    scores = pd.read_csv(folder / "scores.csv")
    table = made.html[made.html.index('<table class="scores">') :].split("</table>")[0]
    for model, part in scores[~scores["split"].str.startswith("curve")].groupby("model"):
        row = table[table.index(f'<th scope="row">{model}<') :].split("</tr>")[0]
        cells = re.findall(r'<td class="([^"]*)">([^<]*)</td>', row)
        expected = [decimal(r[m], d) for _, r in part.iterrows() for m, d in METRICS.items()]
        assert [text for _, text in cells] == expected
    for split in ("random", "tiles"):
        assert f'colspan="5" scope="colgroup">{split}<span>5 folds' in table
    assert table.count("n = 60") == 2


def test_the_best_of_each_column_is_marked(real):
    made, folder = real
    scores = pd.read_csv(folder / "scores.csv")
    scores = scores[scores["split"].isin(["random", "tiles"])]
    best = {
        decimal(part.loc[(part[m] if m in ("r", "r2") else -part[m].abs()).idxmax(), m], digits)
        for _, part in scores.groupby("split")
        for m, digits in METRICS.items()
    }
    marked = re.findall(r'<td class="[^"]*best">([^<]*)</td>', made.html)
    assert len(marked) == 10
    assert set(marked) == best


def test_counts_facts_and_sentences(real):
    text = real[0].text
    for part in (
        "From 60 plots, richness",
        "Verdict",
        "To test the map, its model predicted 60 plots in whole tiles of land that the model had",
        "giving every place the mean of all plots explains 0%.",
        "species on average (mean absolute error). Two places whose predictions differ by less",
        "On held-out tiles of 2°, the random forest predicts better than Spatioformer (r2 higher",
        "Effect of location: Spatioformer predicts better than Spatioformer without location (r2",
        "Rows read 65",
        "Used 60 (imagery is missing for 3 more)",
        "Rejected 5",
        "Plot area 400 m²",
        "Dates not stated",
        "55; 9 plots share a location with another plot and stay in the same fold",
        "north (40), south (23)",
        "64 × 64 pixels, EPSG:4326",
        "140°E to 146.4°E, 26.4°S to 20°S",
        "3,456 pixels, 84% of the grid",
        "red 87.5% 0 101.2 255 33.5",
        "Grain: plots of 400 m². Richness increases with plot area: the map does not hold for "
        "other plot sizes.",
        "17 pixels (0.49%) were predicted below 0 species and set to 0",
        "The standard deviation of the predictions with dropout on measures the network's own "
        "uncertainty: 1.50 species on average over the map.",
        "3; the weights of epoch 2 are kept",
        "Inputs chips of 3 × 3 pixels; location is an input",
        "location is a predictor; see the scores by size of the held-out tiles",
        "Validation RMSE 7.25 species",
        "Seed 11",
        "train 3.2 s",
        "sha256 abc123",
    ):
        assert part in text, part
    assert "99.0 s" not in text  # the time of a former report


def test_rejected_rows_are_counted_by_reason_with_the_first_of_each(real):
    table = real[0].html.split("Rejected rows</h3>")[1].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>([^<]*)", row) for row in table.split("<tr>")[2:]]
    assert rows[0] == ["chips", "3", "12", "3 of the chip&#39;s 9 pixels hold no data"]
    assert rows[1][:3] == ["plots", "2", "7"]
    assert len(rows) == 2


def test_what_a_user_wrote_is_escaped(real, monkeypatch):
    made, folder = real
    assert "<script" not in made.html
    assert made.html.count("&lt;script&gt;") >= 6  # title twice, target, plot, reason, card
    assert f"Title {SCRIPT}" in made.text
    environment = page._environment()
    environment.autoescape = False  # the proof that this test can fail
    monkeypatch.setattr(page, "_environment", lambda: environment)
    config = report_run.configure(folder, title=f"Title {SCRIPT}")
    assert "<script" in write_report(folder, config).read_text("utf-8")


def test_nothing_is_loaded_from_outside(virtual):
    made, *_ = virtual
    for tag, attributes in made.elements:
        assert tag not in ("script", "link", "iframe", "object", "base"), tag
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:image/png;").startswith("data:image/png;")
        href = attributes.get("href", "#")
        assert href.startswith(("#", "figures/")), href
        assert attributes.get("srcset", "data:image/png;").startswith("data:image/png;")
    assert "http" not in made.html
    assert "@import" not in made.html
    assert "url(" not in made.html


def test_the_page_is_whole_and_its_pictures_have_words(virtual):
    made, folder, _ = virtual
    assert made.open == []
    ids = {a["id"] for _, a in made.elements if "id" in a}
    inside = {a["href"] for a in made.all("a") if a["href"].startswith("#")}
    assert inside <= {f"#{name}" for name in ids}
    assert {f"#{name}" for name in ids if not name.startswith("term-")} <= inside
    assert {"#term-r2", "#term-noise_ceiling"} <= inside
    files = {a["href"] for a in made.all("a")} - inside
    assert files == {f"figures/{path.name}" for path in (folder / "figures").iterdir()}
    assert len(files) == 3 * len(made.all("figcaption"))
    images = made.all("img")
    first = base64.b64decode(images[0]["src"].split(",")[1])
    assert (folder / "map.png").read_bytes() == first
    assert len(images) == len(made.all("figcaption")) == 14
    for image in images:
        assert len(image["alt"]) > 20
        data = base64.b64decode(image["src"].split(",")[1])
        assert data.startswith(b"\x89PNG")


def test_virtual_runs_are_labelled_everywhere(virtual):
    made, _, stamped = virtual
    assert made.text.index("VIRTUAL FLORA.") < made.text.index("Richness map report")
    assert made.text.index("Verdict virtual") < made.text.index("Contents")
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", made.html, re.DOTALL)
    assert all(c.startswith('<span class="tag">virtual</span>') for c in captions)
    assert stamped == len(captions) + 1  # the map for narrow screens too
    assert "<title>Virtual flora: " in made.html
    assert "From 60 virtual plots, " in made.text
    assert "A virtual flora. The plants are simulated" in made.text


def test_virtual_runs_show_ceiling_and_true_error(virtual):
    made, folder, _ = virtual
    plots = report_run.plots().rename(columns={"observed": "richness"})
    ceiling = decimal(noise_ceiling(plots, folder / "noise.tif"), 3)
    assert (
        f"noise ceiling r2 of a perfect map, because counts are noisy {ceiling} {ceiling}"
        in made.text
    )
    assert f"A perfect map would reach about r2 {ceiling} on these plots" in made.text
    assert (
        "Over 3,456 pixels the map has r2 0.77, r 0.91, RMSE 2.50, MAE 2.00 and bias −2.00"
    ) in made.text


def test_real_runs_carry_no_such_label(real):
    html = real[0].html.lower()
    assert "virtual" not in html
    assert "ceiling</th>" not in html
    assert "true error" not in html


def test_the_same_folder_gives_the_same_bytes(virtual):
    _, folder, _ = virtual
    config = report_run.configure(folder, virtual=True)
    first = write_report(folder, config).read_bytes()
    assert write_report(folder, config).read_bytes() == first


def test_a_second_process_draws_the_same_bytes(virtual, monkeypatch):
    """After an evaluation in two processes, a worker process makes some parts of the page."""
    _, folder, _ = virtual
    config = report_run.configure(
        folder, virtual=True, evaluate=report_run.EVALUATE | {"workers": 2}
    )

    def files() -> dict[str, bytes]:
        made = write_report(folder, config)
        paths = (made, *(folder / FIGURES).iterdir())
        # Ids of clip paths are hashes of places whose last bit may depend on addresses in memory.
        return {p.name: re.sub(rb"\bp[0-9a-f]{10}\b", b"", p.read_bytes()) for p in paths}

    with monkeypatch.context() as patched, drawn():
        patched.setattr(workers, "_started", False)
        alone = files()
    start_workers()
    draw, here = page.chart_pictures.agreement, []
    monkeypatch.setattr(page.chart_pictures, "agreement", lambda r: here.append(1) or draw(r))
    with drawn():
        assert files() == alone
    assert not here, "the worker process draws it"


def test_one_random_split_no_spread_one_pixel_chips_no_curve_nothing_rejected(tmp_path):
    evaluate = {"models": ["random-forest"], "splits": report_run.SPLITS[:1], "curve_sizes": []}
    config = report_run.write(tmp_path, spread=False, evaluate=evaluate, model={"patch": 1})
    rejected = pd.read_csv(tmp_path / "rejected.csv")
    rejected[:0].to_csv(tmp_path / "rejected.csv", index=False)
    made = Page(write_report(tmp_path, config).read_text("utf-8"))
    assert "No plots were held out in space" not in made.text  # its model was not scored
    assert "which makes the predictions, was not scored on held-out plots" in made.text
    assert "rests on the split random, although it is not like the use of the map" in made.text
    assert "No row was rejected." in made.text
    assert "Standard deviation" not in made.text
    assert "standard deviation is not" not in made.text
    assert "Scores by size of the held-out tiles" not in made.text
    assert "the random forest reaches r2" in made.text
    assert " best" not in made.html.split("<tbody>")[1].split("</tbody>")[0]


def test_scores_that_are_no_numbers(tmp_path):
    config = report_run.write(tmp_path, evaluate=report_run.EVALUATE | {"curve_sizes": []})
    scores = pd.read_csv(tmp_path / "scores.csv").assign(r=np.nan, r2=np.nan)
    scores.to_csv(tmp_path / "scores.csv", index=False)
    made = Page(write_report(tmp_path, config).read_text("utf-8"))
    assert "no model has an r2: the observed richness does not vary" in made.text
    assert "spatioformer the configured network; it makes the map n/a n/a" in made.text


def test_nothing_mapped(tmp_path):
    config = report_run.write(tmp_path, virtual=True)
    write_raster(tmp_path / "map.tif", np.full((2, SIDE, SIDE), np.nan, np.float32), nodata=np.nan)
    empty = {"pixels": 0, "mean": None, "min": None, "max": None, "mean_sd": None}
    summary = json.loads((tmp_path / "map.json").read_text()) | empty | {"negative_set_to_0": 0}
    (tmp_path / "map.json").write_text(json.dumps(summary))
    (tmp_path / "map.png").write_bytes(b"of a former run")
    made = Page(write_report(tmp_path, config).read_text("utf-8"))
    assert (
        "From 60 virtual plots, plant species richness could not be mapped at any pixel."
        in made.text
    )
    assert "No pixel could be predicted" in made.text
    assert "true error" not in made.text
    assert "plot size not stated" in made.text
    assert not (tmp_path / "map.png").exists()


def test_a_missing_result_is_named(tmp_path):
    config = report_run.write(tmp_path)
    (tmp_path / "scores.csv").unlink()
    with pytest.raises(
        OutputError, match=r"needs scores\.csv, which is missing; run `spatioformer run` to make it"
    ):
        write_report(tmp_path, config)
    assert not (tmp_path / "report.html").exists()


def test_curves_go_with_their_sizes_whatever_the_order(tmp_path):
    results = Results(tmp_path, report_run.write(tmp_path))
    scores = results.all_scores.set_index(["model", "split"])["r2"]["random-forest"]
    assert results.curve_sizes == [0.5, 4]
    assert results.curves == {
        "random-forest": (scores["random"], [scores["curve-0-5"], scores["curve-4"]])
    }
    no_models = report_run.EVALUATE | {"curve_models": []}
    assert Results(tmp_path, report_run.write(tmp_path, evaluate=no_models)).curves == {}
    distances = results.distances
    assert set(distances) == {"random", "tiles"}
    assert len(distances["tiles"].held_out) == report_run.PLOTS


def test_places_and_sizes_on_the_ground(tmp_path):
    results = Results(tmp_path, report_run.write(tmp_path))
    width, height = results.pixel_size
    middle, earth = NORTH - STEP * SIDE / 2, Geod(ellps="WGS84")
    ends = [middle - STEP / 2, middle + STEP / 2]
    assert height == pytest.approx(earth.line_length([WEST, WEST], ends), rel=1e-9)
    assert width == pytest.approx(earth.line_length([0, STEP], [middle] * 2), rel=1e-9)
    lat = np.radians(NORTH - STEP * (np.arange(SIDE - 10) + 0.5))
    exact = SIDE * (STEP * 111.195) ** 2 * np.cos(lat).sum()
    assert results.mapped_area == pytest.approx(exact, rel=0.005)
    rows, cols = results.mean.places(
        np.array([WEST + STEP * 2.5, WEST]), np.array([NORTH - STEP, NORTH - STEP * 7])
    )
    np.testing.assert_allclose(rows, [0.5, 6.5], atol=1 / 16)
    np.testing.assert_allclose(cols, [2, -0.5], atol=1 / 16)


@pytest.mark.parametrize(
    ("square_km", "text"),
    [
        (7_688_123, "7.69 million km²"),
        (154_321, "154,000 km²"),
        (12.63, "12.6 km²"),
        (0.0456, "0.0456 km²"),
    ],
)
def test_area_has_three_digits(square_km, text):
    assert page._area(square_km) == text


def test_big_rasters_are_read_as_means(tmp_path):
    data = np.arange(24.0, dtype=np.float32).reshape(4, 6)
    data[:2, :2] = np.nan
    data[2, 2] = np.nan
    path = write_raster(tmp_path / "a.tif", data, nodata=np.nan)
    band = read_band(path, longest=3)
    expected = [[np.nan, 5.5, 7.5], [15.5, (15 + 20 + 21) / 3, 19.5]]
    np.testing.assert_allclose(band.values, expected, rtol=1e-6)
    lon, lat = band.lonlat
    np.testing.assert_allclose(lon[0], WEST + STEP * np.array([1, 3, 5]))
    np.testing.assert_allclose(lat[:, 0], NORTH - STEP * np.array([1, 3]))


def test_a_projected_map_has_a_graticule_in_degrees(tmp_path):
    transform = from_origin(500_000, 9_500_000, 30, 30)  # UTM 17 S, on its central meridian
    data = np.ones((40, 50), np.float32)
    band = read_band(
        write_raster(tmp_path / "utm.tif", data, crs="EPSG:32717", transform=transform)
    )
    drawing = maps.draw_map(band.values, maps.Frame(*band.lonlat), limits=(0, 1), label="", width=3)
    labels = [t.get_text() for t in drawing.axes[0].get_xticklabels()]
    assert "81°W" not in labels  # the edge itself; the first round degree lies inside
    assert all(label.startswith("80.99") for label in labels)
    assert maps.Frame(*band.lonlat).aspect == pytest.approx(1, abs=0.01)
    assert len(files(drawing)[0]) > 1000


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:3857", from_origin(1_000_000, 9_400_000, 20_000, 20_000)),  # 53 to 64 N
        ("EPSG:32717", from_origin(500_000, 9_500_000, 30, 30)),
        ("EPSG:4326", from_origin(178, 64, 0.1, 0.1)),  # across 180 degrees
    ],
)
def test_the_area_of_a_map_counts_each_pixel_at_its_own_size(tmp_path, crs, transform):
    data = np.ones((60, 50), np.float32)
    data[:10] = np.nan
    band = read_band(write_raster(tmp_path / "map.tif", data, crs=crs, transform=transform))
    x, y = np.meshgrid(np.arange(50), np.arange(10, 60))
    corners = [band.grid.transform @ (x + i, y + j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(
        *np.stack(corners, axis=-1).reshape(2, -1)
    )
    pixels = shapely.polygons(np.stack(lonlat, axis=-1).reshape(-1, 4, 2))
    exact = polygon_areas(gpd.GeoSeries(pixels, crs="EPSG:4326")).mean()
    assert band.pixel_area == pytest.approx(exact, rel=0.001)


def test_the_unit_of_a_projection_is_that_of_its_pixels(tmp_path):
    results = Results(tmp_path, report_run.write(tmp_path))
    results.grid = replace(results.grid, crs=CRS.from_epsg(2263))
    assert dict(facts.imagery(results))["Pixel"].startswith("0.1 US ft × 0.1 US ft, about")


def test_models_stand_in_the_order_of_their_score_on_tiles(tmp_path):
    results = Results(tmp_path, report_run.write(tmp_path))
    table = results.scores(results.spatial)["r2"]
    assert results.models == ["random-forest", "spatioformer", "spatioformer-no-location"]
    assert list(table[results.models]) == sorted(table, reverse=True)
