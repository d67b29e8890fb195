"""CONFIG|RUN|MODEL: every command takes a configuration, a run folder and a model folder alike."""

import shutil
from pathlib import Path

import pytest

from spatioformer.cli.source import Kind, kind_of, model_folder, open_run, run_folder
from spatioformer.common.errors import ConfigError
from spatioformer.run.stages import STAGES
from tests.helpers.tiny_run import assert_refused, finished, spatioformer

pytestmark = pytest.mark.integration

UNCHANGED = "".join(f"{name:<9} unchanged, kept\n" for name in STAGES)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a finished run, whose configuration is beside it."""
    return finished(tmp_path_factory.mktemp("run")).parent / "run"


@pytest.fixture(params=["configuration", "run", "model"])
def source(request, run) -> Path:
    """Each of the three ways to name the run."""
    paths = {"configuration": run.parent / "tiny.yaml", "run": run, "model": run / "model"}
    return paths[request.param]


def test_what_each_path_is(run):
    assert kind_of(run.parent / "tiny.yaml") is Kind.CONFIG
    assert kind_of(run / "config.resolved.yaml") is Kind.CONFIG
    assert kind_of(run) is Kind.RUN
    assert kind_of(run / "model") is Kind.MODEL


def test_all_three_name_the_run_and_its_model(run, source):
    assert run_folder(source) == run
    assert model_folder(source) == run / "model"
    opened = open_run(source, None, True)
    assert opened.folder == run
    assert all(opened.is_current(name) for name in STAGES)


def test_the_working_folder_may_be_the_run_or_its_model(run, monkeypatch):
    monkeypatch.chdir(run / "model")
    assert run_folder(Path()) == run
    assert run_folder(Path("..")) == Path("..")
    monkeypatch.chdir(run)
    assert run_folder(Path()) == Path()
    assert run_folder(Path("model")) == Path()
    assert open_run(Path("model"), None, True).folder == run


@pytest.mark.parametrize("command", ["run", "report"])
def test_commands_of_a_run_take_all_three(source, command):
    assert spatioformer(command, source).err == UNCHANGED


def test_survey_takes_all_three(source, tmp_path):
    out = tmp_path / "sites.csv"
    ended = spatioformer("survey", source, "-o", out, "-n", 3, "-q")
    assert ended.code == 0, ended
    assert out.read_text().count("\n") == 4


def test_the_others_ask_the_same_function(monkeypatch, run, source, tmp_path):
    """`drivers` and `zonal --run` compute much; what they are given is what counts here."""
    calls = []

    def stop(*arguments, **_):
        calls.append(arguments)
        raise ConfigError("enough")

    monkeypatch.setattr("spatioformer.analysis.drivers.drivers", stop)
    monkeypatch.setattr("spatioformer.analysis.zonal.correlation_of", stop)
    spatioformer("drivers", source)
    spatioformer("zonal", run / "map.tif", "parks.gpkg", "-o", tmp_path / "z.csv", "--run", source)
    assert calls == [(run,), (run / "map.tif", run / "model")]


COMMANDS = [
    *((name, "{}") for name in ("run", *STAGES)),
    ("survey", "{}", "-o", "sites.gpkg"),
    ("drivers", "{}"),
    ("map", "{}", "scene.tif", "-o", "map.tif"),
    ("years", "{}", "2019=a.tif", "2020=b.tif", "2021=c.tif", "-o", "trend"),
    ("project", "{}", "warmer.yaml", "-o", "warmer"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_one_sentence_names_the_three_possibilities(words, tmp_path):
    place = tmp_path / "place"
    remedy = (
        "give a configuration (.yaml), a run folder (with config.resolved.yaml) or a model folder "
        "(with config.json)"
    )
    arguments = [word.format(place) for word in words]
    assert_refused(spatioformer(*arguments), f"{place} does not exist; {remedy}")
    place.mkdir()
    assert_refused(spatioformer(*arguments), f"{place} is none of the three; {remedy}")


@pytest.mark.parametrize("name", ["x" * 300, "a\nb"], ids=["long", "line"])
def test_a_path_that_no_file_has_is_one_line(name):
    for command in ("run", "drivers"):
        ended = spatioformer(command, name)
        assert ended.code == 2
        assert ended.err.count("\n") == 1
        assert " does not exist; give a configuration (.yaml), a run folder" in ended.err


def test_a_configuration_may_have_any_name(run, tmp_path):
    config = tmp_path / "tiny.conf"
    shutil.copy(run / "config.resolved.yaml", config)
    assert spatioformer("report", config).err == UNCHANGED


def test_a_model_outside_a_run_names_none(run, tmp_path):
    model = shutil.copytree(run / "model", tmp_path / "model")
    for words in (("report",), ("survey", "-o", tmp_path / "sites.csv"), ("drivers",)):
        assert_refused(
            spatioformer(words[0], model, *words[1:]),
            f"{model} is a model folder outside a run, and this command needs the run; give the "
            "run's folder or its configuration",
        )
    assert model_folder(model) == model


def test_a_run_without_a_model_says_how_to_make_one(tmp_path):
    config = finished(tmp_path)
    shutil.rmtree(tmp_path / "run" / "model")
    assert_refused(
        spatioformer("map", config, tmp_path / "run" / "imagery.tif", "-o", tmp_path / "map.tif"),
        f"{config} has no model yet: {tmp_path / 'run' / 'model'} is missing; run `spatioformer "
        f"train {config}` first",
    )


def test_a_moved_run_stays_where_it_was_moved(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "moved")
    assert spatioformer("report", moved).err == UNCHANGED
    assert f"out: {moved}\n" in (moved / "config.resolved.yaml").read_text()


def test_out_names_the_run_folder(run, tmp_path):
    config, other = run.parent / "tiny.yaml", tmp_path / "other"
    assert spatioformer("plots", config, "-o", other, "-q").code == 0
    assert (other / "plots.parquet").read_bytes() == (run / "plots.parquet").read_bytes()
    assert spatioformer("plots", run, "--set", f"out={tmp_path / 'third'}", "-q").code == 0
    assert (tmp_path / "third" / "plots.parquet").exists()
    assert_refused(
        spatioformer("run", config, "-o", other, "--set", "out=x"),
        f"-o {other} and --set out=FOLDER both name the run folder; give one",
    )


def test_force_with_a_stage_is_the_old_spelling_of_redo(run):
    ended = spatioformer("run", run, "--until", "plots", "--force", "plots")
    assert ended.err.splitlines()[:2] == [
        "spatioformer: --force STAGE is now --redo STAGE; the old spelling still works",
        "plots     forced ...",
    ]
    assert spatioformer("run", run, "--until", "plots", "--force", "plots", "-q").err == ""
    assert_refused(
        spatioformer("run", run, "--force", "mapping", "-q"),
        "there is no stage 'mapping'; stages are plots, imagery, chips, train, evaluate, map, "
        "report",
    )


def test_force_before_the_run_is_no_stage(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    ended = spatioformer("run", "--force", "run", "--until", "plots")
    assert ended.err.splitlines()[0] == "plots     forced ..."
