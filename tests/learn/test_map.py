"""The chapter on maps: its commands, and numbers that follow from the run folders and the truth."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spatioformer.common.errors import OutputError
from spatioformer.common.version import __version__
from spatioformer.geo.virtual.example import PIXEL
from spatioformer.learn.campaign import SOUTHERNMOST, Sizes, campaign, is_finished
from spatioformer.learn.chapters import answers, map_trust
from spatioformer.learn.chapters import map as own_map
from spatioformer.learn.exercises import check
from spatioformer.learn.session import session
from tests.helpers.course import TINY_CAMPAIGN, tiny_campaign

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made():
    return tiny_campaign()


@pytest.fixture(scope="module")
def facts(made):
    return own_map.facts(SimpleNamespace(campaign=made))


def test_the_commands_are_those_that_ran(facts):
    values = facts.values
    assert values["command_run"] == "spatioformer run north.yaml"
    assert values["command_init"].startswith("spatioformer init north.csv climate.tif")
    assert "'evaluate.models=[location-knn]'" in values["command_init"]
    assert values["columns"].splitlines()[1:3] == ["  lon: longitude", "  lat: latitude"]
    assert values["checked"] == "no problem found; start: spatioformer run north.yaml"
    assert values["ended"].startswith("verdict: ")
    assert "\nmap    runs/north/map.tif\n" in values["ended"]


def test_only_the_north_was_surveyed(made):
    assert made.table["latitude"].min() > SOUTHERNMOST
    assert made.north.results.plots["kept"] == len(made.table)
    more = pd.read_csv(made.north.results.folder.parents[1] / "more.csv")
    assert len(more) == len(made.table) + 3
    visited = more.tail(3)
    np.testing.assert_allclose(visited["longitude"], made.sites["lon"], atol=PIXEL / 2)
    np.testing.assert_allclose(visited["latitude"], made.sites["lat"], atol=PIXEL / 2)


def test_r2_by_hand(facts):
    rows = facts.figures["by_hand"].rows
    assert [row[2].value for row in rows] == [6, 200, 800]
    assert [row[3].value for row in rows] == pytest.approx([0.97, 0, -3])
    assert facts.values["sst"].value == 200


def test_the_rules_are_those_of_the_verdict(made, facts):
    verdict = made.north.results.verdict
    rows = facts.figures["rules"].rows
    met = [row[2].value >= row[1].value for row in rows]
    assert [row[3].en == "yes" for row in rows] == met
    assert rows[0][2].value == verdict.skill.r2
    assert facts.values["broken"].value == met.count(False)


def test_errors_and_coverage_against_the_truth(made, facts):
    run = made.north
    low, high = run.ends
    inside = run.inside
    (name, share, error, width, coverage), *_ = facts.figures["inside"].rows
    assert name.en == "inside"
    assert share.value == pytest.approx(run.results.map["inside_share"])
    assert error.value == pytest.approx(np.abs(run.results.mean.values - run.truth)[inside].mean())
    assert width.value == pytest.approx((high - low)[inside].mean())
    hit = (low <= run.counts) & (run.counts <= high)
    assert coverage.value == pytest.approx(hit[inside].mean())


@pytest.mark.parametrize(
    ("width", "error", "sentence"),
    [
        (-1, 0, "The proposed sites narrowed the intervals more than the random ones. The true "
         "error came out nearly the same with both."),
        (1, -1, "This time, the random sites narrowed the intervals at least as much. The true "
         "error fell more with the proposed ones."),
        (-1, 1, "The proposed sites narrowed the intervals more than the random ones. The true "
         "error fell more with the random ones."),
    ],
)  # fmt: skip
def test_the_comparison_follows_the_numbers(width, error, sentence):
    def run(width, error):
        where = np.full((2, 2), True)
        return SimpleNamespace(mapped=where, width=where * width, error=where * error)

    made = SimpleNamespace(more=run(30 + width, 6 + error), random=run(30, 6))
    assert map_trust.comparison(made).en == sentence


def test_the_exercises(made):
    facts = answers.own_map(SimpleNamespace(campaign=made))
    right = ["−1,5", "75 %", 1, 1, "60 %"]
    wrong = [-0.5, 90, 2, 3, 20]
    for number, answer in enumerate(right, 1):
        assert check("map", number, answer, facts=facts), number
    for number, answer in enumerate(wrong, 1):
        assert not check("map", number, answer, facts=facts), number


def test_a_command_that_fails(tmp_path):
    message = "`spatioformer run absent.yaml` of the course failed: spatioformer: absent.yaml"
    with session() as shell:
        assert "Usage" in shell(tmp_path, "spatioformer check --help")
        with pytest.raises(OutputError, match=message):
            shell(tmp_path, "spatioformer run absent.yaml")
        assert shell(tmp_path, "spatioformer --version") == f"{__version__}\n"


def test_a_process_that_ended(tmp_path):
    with session() as shell, pytest.raises(OutputError, match="`spatioformer check` of the course"):
        shell(tmp_path / "absent", "spatioformer check")


@pytest.mark.soak
def test_a_second_build_keeps_what_the_first_did(tmp_path):
    sizes = dataclasses.replace(TINY_CAMPAIGN, settings=Sizes().settings)
    with session() as shell:
        first = campaign(tmp_path, sizes, shell)
    assert is_finished(tmp_path)
    assert "unchanged, kept" not in first.commands["run"].printed
    with session() as shell:
        again = campaign(tmp_path, sizes, shell)
    assert "report    unchanged, kept" in again.commands["run"].printed
    assert own_map.facts(SimpleNamespace(campaign=again)).values == (
        own_map.facts(SimpleNamespace(campaign=first)).values
    )
