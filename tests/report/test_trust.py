"""The report's panel on intervals and applicability, and its reporting protocol."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rasterio

from spatioformer.common.files import read_json, write_json
from spatioformer.models.uncertainty import HeldOut, Uncertainty
from spatioformer.report import maps
from spatioformer.report.odmap import odmap
from spatioformer.report.page import write_report
from spatioformer.report.results import Results
from spatioformer.report.trust import region_places, trust
from spatioformer.report.verdict import where_not
from tests.helpers import report_run
from tests.helpers.landscape import write_raster

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A known run whose model was calibrated and whose map holds the dissimilarity."""
    folder = tmp_path_factory.mktemp("known")
    config = report_run.write(folder)
    plots = pd.read_parquet(folder / "evaluation" / "predictions.parquet")
    rows = plots.query("model == 'spatioformer' and split == 'tiles'").reset_index(drop=True)
    held = HeldOut(
        rows[["observed"]].to_numpy() * 3,
        *(rows[c].to_numpy() for c in ("lon", "lat", "observed", "predicted", "fold")),
    )
    known, tried, di = Uncertainty.calibrate(held, ["red"])
    known.facts["split"] = "tiles"
    known.save(folder / "evaluation")
    rows = rows.assign(di=di, inside=di <= known.area.threshold_)
    for kind, intervals in tried.items():
        rows[[f"lower-{kind}", f"upper-{kind}"]] = intervals.bounds
        rows[f"crps-{kind}"] = intervals.crps
    rows.to_parquet(folder / "evaluation" / "intervals.parquet")
    with rasterio.open(folder / "map.tif") as source:
        mean, sd = source.read()
    di = np.where(np.isfinite(mean), np.linspace(0, 2, mean.shape[1]), np.nan)
    names = [f"richness, {n}" for n in ("mean", "standard deviation", "dissimilarity index")]
    write_raster(folder / "map.tif", np.stack([mean, sd, di]), nodata=np.nan, names=names)
    summary = read_json(folder / "map.json")
    write_json(folder / "map.json", summary | {"inside_share": 0.61})
    return Results(folder, config)


def test_the_panel_says_what_was_measured(run):
    panel = trust(run)
    kind = run.uncertainty.kind(True)
    plots = run.intervals
    bounds = plots[f"lower-{kind}"], plots[f"upper-{kind}"]
    coverage = ((bounds[0] <= plots["observed"]) & (plots["observed"] <= bounds[1])).mean()
    assert f"held {coverage:.1%} of 60 held-out plots (split tiles)" in panel["sentence"]
    assert (
        " 61% of the mapped pixels lie inside the area of applicability. For the other pixels, "
        f"intervals are wider: {run.uncertainty.widening[kind].step:.2f} times just outside"
    ) in panel["sentence"]
    rows = {name: cells for name, *cells in panel["groups"]}
    inside = plots["inside"]
    if inside.sum() >= 20:
        assert rows["inside the area of applicability"][0] == str(inside.sum())
    assert sum(int(n) for name, (n, *_) in rows.items() if "dissimilarity" in name) <= 60
    assert any(name.startswith("region around 1") for name in rows)
    used = [name for name, used, *_ in panel["kinds"] if used]
    assert len(used) == 1
    assert panel["map"].caption.endswith("61% of the mapped pixels lie inside.")


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (None, "no held-out plot shows how large the error is."),
        (
            {"plots": 0, "harder": 0, "farthest": None},
            "No held-out plot lies outside, so the coverage there is unknown, not 90%; the factor "
            "rests on virtual floras alone.",
        ),
        (
            {"plots": 0, "harder": 7, "farthest": 3.0},
            "so the coverage there is unknown, not 90%; the factor rests on virtual floras and 7 "
            "predictions of harder folds.",
        ),
        (
            {"plots": 1, "harder": 1234, "farthest": 3.0},
            "The factor rests on 1 held-out plot outside, 1,234 predictions of harder folds, and "
            "virtual floras with a weight of 20 plots.",
        ),
        (
            {"plots": 12, "harder": 0, "farthest": 1.0},
            "% of the mapped pixels are more dissimilar than all of these; their factor is "
            "extrapolated.",
        ),
    ],
)
def test_the_panel_says_what_the_widths_outside_rest_on(run, evidence, expected, monkeypatch):
    facts = {k: v for k, v in run.uncertainty.facts.items() if k != "outside"}
    if evidence is not None:
        facts["outside"] = evidence | {"prior_plots": 20}
    known = replace(run.uncertainty, facts=facts)
    monkeypatch.setitem(run.__dict__, "uncertainty", known)
    assert trust(run)["sentence"].endswith(expected)


@pytest.mark.parametrize(
    ("lon", "expected"),
    [
        ([145.9, 140.2], ["146°E, 35°S", "140°E, 35°S"]),
        ([145.91, 145.94, 145.9], ["145.91°E, 35.25°S", "145.94°E, 35.25°S", "145.9°E, 35.25°S"]),
        ([-179.6, 179.7], ["179.6°W, 35.3°S", "179.7°E, 35.3°S"]),
        ([145.9, 145.9], ["145.9°E, 35.251°S"] * 2),
    ],
)
def test_regions_have_decimals_that_tell_them_apart(lon, expected):
    groups = [{"by": "region", "lon": east, "lat": -35.251} for east in lon]
    assert region_places([{"by": "area", "inside": True}, *groups]) == expected


@pytest.mark.parametrize(
    ("plots", "words"),
    [
        (0, "no plot shows how"),
        (1, "only 1 held-out plot shows how"),
        (20, "only 20 held-out plots show how"),
    ],
)
def test_the_verdict_says_how_many_plots_lay_outside(run, plots, words, monkeypatch):
    outside = {"plots": plots, "harder": 0, "farthest": 3.0, "prior_plots": 20}
    known = replace(run.uncertainty, facts=run.uncertainty.facts | {"outside": outside})
    monkeypatch.setitem(run.__dict__, "uncertainty", known)
    assert f"and {words} large the error is." in where_not(run.verdict, run)[0]


def test_outside_is_hatched():
    values = np.tile(np.linspace(0, 2, 20), (20, 1))
    frame = maps.Frame(*np.meshgrid(np.arange(20.0), -np.arange(20.0)))
    drawn = []
    for threshold in (1.0, 3.0):
        outside = values > threshold
        figure = maps.draw_map(values, frame, limits=(0, 2), label="index", outside=outside)
        hatched = [c for c in figure.axes[0].collections if getattr(c, "hatches", [None])[0]]
        drawn.append(len(hatched))
        words = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        assert ("do not trust" in words) == outside.any()
    assert drawn == [1, 0], "nothing to hatch where nothing is above"


@pytest.mark.slow
def test_the_page_has_the_panel_and_the_protocol(run):
    html = write_report(run.folder, run.config).read_text("utf-8")
    assert '<section id="trust">' in html
    assert "to be filled in by the author" in html
    assert "39% of the mapped pixels lie outside" in html


@pytest.mark.slow
def test_a_run_without_intervals_has_no_panel(tmp_path):
    config = report_run.write(tmp_path)
    results = Results(tmp_path, config)
    assert trust(results) is None
    assert '<section id="trust">' not in write_report(tmp_path, config).read_text("utf-8")
    assert dict(odmap(results))["Assessment: intervals"] == "none calibrated"


def test_the_protocol_is_filled_with_what_the_run_knows(run):
    rows = dict(odmap(run))
    assert rows["Overview: focal taxon"] == "plant species richness"
    assert rows["Data: predictors"] == "red"
    assert rows["Data: partitioning"].startswith("random: 5 folds on plots held out at random")
    assert rows["Data: sampling design"] is None
    assert {name.split(":")[0] for name in rows} == {
        "Overview", "Data", "Model", "Assessment", "Prediction",
    }  # fmt: skip
