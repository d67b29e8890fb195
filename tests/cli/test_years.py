"""`spatioformer years`: which options go with a model, and which with maps."""

import re
from pathlib import Path

import pytest

from spatioformer.analysis import years
from spatioformer.mapping import Output, Resources
from tests.helpers.tiny_run import Ended, assert_refused, spatioformer

SUMMARY = {"tested": 9, "years": [1, 2, 3], "rising": 2, "falling": 1, "autocorrelation": 0.25}
BY_YEAR = {year: Path(f"{year}.tif") for year in (2019, 2020, 2021)}
RASTERS = [f"{year}={path}" for year, path in BY_YEAR.items()]
TREND = "--fdr 0.1 --least 4 --rho 0.3 --force"


@pytest.fixture
def calls(monkeypatch) -> dict:
    """The arguments of `map_years` and `map_trend`, which compute nothing here."""
    recorded = {}

    def recorder(name):
        def record(*arguments, console, **options):
            recorded[name] = arguments, options
            return SUMMARY

        return record

    for name in ("map_years", "map_trend"):
        monkeypatch.setattr(years, name, recorder(name))
    return recorded


@pytest.fixture
def model(tmp_path) -> Path:
    """A folder that looks like a model's."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_every_option_reaches_the_years(calls, model):
    words = (
        "--samples 3 --sd-step 2 --layers mean,sd --stac --outline park.gpkg --grid grid.tif "
        f"--memory 1GB --workers 4 --scheduler tcp://host:1 --worker-timeout 7 {TREND}"
    )
    ended = spatioformer("years", model, *RASTERS, "-o", "out", *words.split())
    assert ended == Ended(
        0,
        "",
        "out/trend.tif: 9 pixels tested over 3 years, 2 rise and 1 fall significantly "
        "(autocorrelation 0.25 allowed for)\n",
    )
    assert calls == {
        "map_years": (
            (model, BY_YEAR, Path("out")),
            {
                "samples": 3, "sd_step": 2, "outline": Path("park.gpkg"), "grid": Path("grid.tif"),
                "output": Output(("mean", "sd")), "stac": True,
                "resources": Resources(10**9, 4, "tcp://host:1", worker_timeout=7),
                "fdr": 0.1, "least": 4, "rho": 0.3, "overwrite": True,
            },
        )
    }  # fmt: skip


def test_every_option_reaches_the_trend(calls):
    spatioformer("years", "--maps", *RASTERS, "-o", "out", *TREND.split())
    assert calls == {
        "map_trend": (
            (BY_YEAR, Path("out")),
            {"fdr": 0.1, "least": 4, "rho": 0.3, "overwrite": True},
        )
    }


def test_the_model_may_be_that_of_a_run(calls, model):
    (model.parent / "config.resolved.yaml").write_text("{}")
    assert spatioformer("years", model.parent, *RASTERS, "-o", "out", "-q").code == 0
    assert calls["map_years"][0] == (model, BY_YEAR, Path("out"))


def test_the_old_spelling_of_force(calls):
    ended = spatioformer("years", "--maps", *RASTERS, "-o", "out", "--overwrite")
    assert ended.code == 0
    assert ended.err.splitlines()[0] == (
        "spatioformer: --overwrite is now --force; the old spelling still works"
    )
    assert calls["map_trend"][1]["overwrite"]


@pytest.mark.parametrize(
    "option",
    ["--samples=3", "--sd-step=2", "--layers=mean", "--stac", "--outline=a", "--grid=a",
     "--memory=1GB", "--workers=2", "--scheduler=a", "--worker-timeout=3"],
)  # fmt: skip
def test_options_of_a_model_need_one(calls, option):
    assert_refused(
        spatioformer("years", "--maps", *RASTERS, "-o", "out", option),
        f"{option.split('=')[0]} says how a model maps, and with --maps no model does; leave it "
        "out, or give a model's folder and imagery instead of --maps",
    )
    assert calls == {}


def test_help_groups_the_options():
    text = spatioformer("years", "--help").out
    with_model = set(re.findall(r"│ +(--[\w-]+)", text.split("With a model")[1]))
    assert with_model == {
        "--samples", "--sd-step", "--layers", "--stac", "--outline", "--grid", "--memory",
        "--workers", "--scheduler", "--worker-timeout",
    }  # fmt: skip
