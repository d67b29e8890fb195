"""The runner: what is made again after which change, and what is never made twice."""

import hashlib
import importlib.util
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from spatioformer import __version__
from spatioformer.common.errors import ModelError
from spatioformer.config.fields import Section
from spatioformer.config.file import load_config
from spatioformer.config.schema import RunConfig
from spatioformer.mapping.predictor import identity
from spatioformer.models.licence import licence_in
from spatioformer.models.store import load
from spatioformer.run import fingerprint
from spatioformer.run.fingerprint import code_hash, dependencies, source_file
from spatioformer.run.provenance import LIBRARIES
from spatioformer.run.runner import Run
from spatioformer.run.stages import STAGES
from tests.helpers import landscape
from tests.helpers.tiny_run import Ended, finished, half_written, spatioformer, write_config

pytestmark = pytest.mark.integration

ALL = set(STAGES)
UNCHANGED = "".join(f"{name:<9} unchanged, kept\n" for name in STAGES)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """Configuration of a finished run, which the tests read and do not change."""
    return finished(tmp_path_factory.mktemp("finished"))


def stale(config: Path, *changes: str) -> set[str]:
    """The stages that a run of the changed configuration would make again."""
    run = Run(config, changes)
    return {name for name in STAGES if not run.is_current(name)}


def contents(folder: Path) -> dict[str, str]:
    """Hashes of all files but the log."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "run.log")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_second_run_does_nothing(config):
    assert spatioformer("run", config).err == UNCHANGED
    before = contents(config.parent)
    ended = spatioformer("run", config)
    assert ended.code == 0
    assert ended.err == UNCHANGED
    assert contents(config.parent) == before
    assert not half_written(config.parent)


def test_a_run_that_is_moved_stays_finished(config):
    assert not (config.parent / "run" / ".stages").is_symlink()
    assert str(config.parent) not in (config.parent / "run" / ".stages" / "train.json").read_text()
    assert stale(config) == set()


AFTER_IMAGERY = ALL - {"plots"}
AFTER_CHIPS = ALL - {"plots", "imagery"}
AFTER_MODEL = AFTER_CHIPS - {"chips"}
AFTER_EVALUATION = {"evaluate", "map", "report"}
CHANGES: dict[str, set[str]] = {
    "plots.max_rejected=0.2": ALL - {"imagery"},
    "plots.columns.programme=plot": ALL - {"imagery"},
    "imagery.region=[140, 146.4, -26.4, -20]": ALL,
    "imagery.layers.0.scale=2": AFTER_IMAGERY,
    "imagery.layers.0.band_names=[a, b, c]": AFTER_IMAGERY,
    "model.patch=5": AFTER_CHIPS,
    "model.width=16": AFTER_MODEL,
    "model.dropout=0.2": AFTER_MODEL,
    "train.epochs=3": AFTER_MODEL,
    "train.validation_tile=1": AFTER_MODEL,
    "seed=1": AFTER_MODEL,
    "evaluate.models=[location-knn]": AFTER_EVALUATION,
    "evaluate.splits.1.size=2": AFTER_EVALUATION,
    "evaluate.curve_sizes=[1]": AFTER_EVALUATION,
    "evaluate.curve_models=[random-forest]": AFTER_EVALUATION,
    "evaluate.level=0.8": AFTER_EVALUATION,
    "evaluate.workers=2": set(),
    "map.model=random-forest": AFTER_MODEL,
    "map.samples=3": {"map", "report"},
    "map.sd_step=1": {"map", "report"},
    "name=other": {"train", "map", "report"},
    "target=moss richness": {"train", "map", "report"},
    "truth={path: plots.csv, noise_path: plots.csv}": {"train", "map", "report"},
    "title=Another": {"report"},
    "licence=CC-BY-4.0": {"report"},
    "train.epochs=2": set(),  # what it was
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_configuration_reruns_what_hangs_on_it(config, change):
    assert stale(config, change) == CHANGES[change]


def test_every_key_of_the_configuration_bears_on_a_stage():
    """A key that no stage watches could change without anything being made again."""
    watched = {section for stage in STAGES.values() for section in stage.sections}
    watched.add("map.years")  # of the stage years, which only a run with sources has
    unwatched = set()
    for name, field in RunConfig.model_fields.items():
        is_section = isinstance(field.default, Section)
        keys = [f"{name}.{k}" for k in type(field.default).model_fields] if is_section else [name]
        unwatched |= {key for key in keys if not {key, name} & watched}
    assert unwatched == {"out", "evaluate.workers", "map.memory", "map.workers"}


@pytest.mark.parametrize(
    ("name", "expected"), [("plots.csv", ALL - {"imagery"}), ("image.tif", AFTER_IMAGERY)]
)
def test_an_input_is_known_by_its_content(tmp_path, name, expected):
    config = finished(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    os.utime(path, (1, 1))
    assert stale(config) == set(), "a new date is no new content"
    path.write_bytes(content[:-1] + b"#")
    assert stale(config) == expected
    path.write_bytes(content)
    assert stale(config) == set()
    path.unlink()
    assert stale(config) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_a_result_that_is_lost_or_cut_is_made_again(tmp_path, stage):
    config = finished(tmp_path)
    for name in STAGES[stage].outputs:
        path = tmp_path / "run" / name
        if not path.exists():  # of another kind of model
            continue
        path.rename(tmp_path / "aside")
        assert stale(config) == {stage}, f"{name} is gone"
        (tmp_path / "aside").rename(path)
        assert stale(config) == set()
        some = next(path.iterdir()) if path.is_dir() else path
        whole = some.read_bytes()
        some.write_bytes(whole[:-1])
        assert stale(config) == {stage}, f"{name} is cut short"
        some.write_bytes(whole)


def test_plots_without_a_chip_make_nothing_old(tmp_path):
    """The plots and the chips stage reject plots; rejected.csv lists those of both."""
    config = landscape.write(tmp_path)
    table = landscape.plots()
    table.loc[:4, "lon"] = 140.05  # the first column of pixels has no neighbour to the west
    table.loc[5, "richness"] = -1
    table.to_csv(tmp_path / "plots.csv", index=False)
    assert spatioformer("chips", config, "-q").code == 0
    rejected = pd.read_csv(tmp_path / "run" / "rejected.csv")
    assert rejected["stage"].tolist() == ["plots"] + ["chips"] * 5
    assert rejected["source_line"].tolist() == [7, 2, 3, 4, 5, 6]
    assert spatioformer("chips", config).err.count("unchanged, kept") == 3
    for stage in ("chips", "plots"):
        assert spatioformer(stage, config, "--force", "-q").code == 0
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "rejected.csv"), rejected)
    (tmp_path / "run" / "rejected.csv").unlink()
    assert spatioformer("imagery", config, "-q").code == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "rejected.csv"), rejected)
    table.loc[5, "richness"] = 20
    table.to_csv(tmp_path / "plots.csv", index=False)
    assert spatioformer("plots", config, "-q").code == 0
    assert (tmp_path / "run" / "rejected.csv").read_text().count("\n") == 1, "chips are out of date"
    assert spatioformer("chips", config, "-q").code == 0
    assert pd.read_csv(tmp_path / "run" / "rejected.csv")["stage"].tolist() == ["chips"] * 5


# --- the code version -----------------------------------------------------------------------------

CODE: dict[str, set[str]] = {
    "spatioformer.geo.plots.table": ALL - {"imagery"},
    "spatioformer.geo.raster.layers": AFTER_IMAGERY,
    "spatioformer.training.loop": AFTER_MODEL,
    "spatioformer.models.base": AFTER_MODEL,
    "spatioformer.models.store": {"map", "report"},  # `load`, which the map stage calls
    "spatioformer.nn.transformer": AFTER_MODEL,
    "spatioformer.evaluation.metrics": AFTER_EVALUATION,
    "spatioformer.models.baselines": AFTER_MODEL,  # models.py, which trains, names it
    "spatioformer.mapping": {"map", "report"},
    "spatioformer.report.page": {"report"},
    "spatioformer.common.progress": set(),
    "spatioformer.config.schema": set(),
    "spatioformer.cli": set(),
}


@pytest.fixture
def edited(monkeypatch):
    """Makes the runner see another source file for a module."""
    copies: dict[str, Path] = {}
    original = fingerprint.source_file
    monkeypatch.setattr(
        fingerprint, "source_file", lambda module: copies.get(module) or original(module)
    )
    dependencies.cache_clear()
    yield copies
    dependencies.cache_clear()


@pytest.mark.parametrize("module", CODE)
def test_new_code_reruns_the_stages_that_use_it(config, tmp_path, edited, module):
    edited[module] = tmp_path / "edited.py"
    edited[module].write_text(source_file(module).read_text() + "\n# edited\n")
    expected = CODE[module]
    if module == "spatioformer.geo.plots.table":
        expected = ALL - {"imagery"}
    assert stale(config) == expected


def test_a_new_template_reruns_the_report(config, tmp_path, edited):
    folder = shutil.copytree(source_file("spatioformer.report").parent, tmp_path / "report")
    edited["spatioformer.report"] = folder / "__init__.py"
    assert stale(config) == set()
    dependencies.cache_clear()
    (folder / "report.html.j2").write_text("{{ title }}")
    assert stale(config) == {"report"}


def test_helpers_beside_a_stage_are_its_code(tmp_path):
    source = "def used():\n    return 1\n\ndef other():\n    return 2\n\ndef stage():\n    used()\n"

    def version(text: str) -> str:
        path = tmp_path / "stages_of_ours.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        importlib.import_module("linecache").clearcache()
        dependencies.cache_clear()
        return code_hash(module.stage)

    assert version(source.replace("return 1", "return 10")) != version(source)
    assert version(source.replace("return 2", "return 20")) == version(source)


# --- what runs ------------------------------------------------------------------------------------


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """Names of the stages that would run, in order; none does."""
    names: list[str] = []
    monkeypatch.setattr(Run, "_run_stage", lambda self, name: names.append(name))
    monkeypatch.setattr("spatioformer.run.summary.print_summary", lambda *_: None)
    return names


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run"], list(STAGES)),
        (["run", "--until", "chips"], ["plots", "imagery", "chips"]),
        (["plots"], ["plots"]),
        (["imagery"], ["imagery"]),
        (["chips"], ["plots", "imagery", "chips"]),
        (["train"], ["plots", "imagery", "chips", "train"]),
        (["evaluate"], ["plots", "imagery", "chips", "evaluate"]),
        (["map"], ["plots", "imagery", "chips", "train", "evaluate", "map"]),
        (["report"], list(STAGES)),
    ],
)
def test_a_command_runs_what_it_needs(tmp_path, ran, arguments, expected):
    command, *options = arguments
    assert spatioformer(command, landscape.write(tmp_path), *options).code == 0
    assert ran == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run"], []),
        (["train"], []),
        (["run", "--redo", "map"], ["map", "report"]),
        (["run", "--redo", "evaluate", "--redo", "map"], ["evaluate", "map", "report"]),
        (["run", "--redo", "imagery", "--until", "train"], ["imagery", "chips", "train"]),
        (["run", "--force", "--until", "chips"], ["plots", "imagery", "chips"]),
        # as it was written until version 0.1
        (["run", "--force", "map"], ["map", "report"]),
        (["run", "--force", "evaluate", "--force=map"], ["evaluate", "map", "report"]),
        (["map", "--force"], ["map"]),
        (["chips", "--force"], ["chips"]),
    ],
)
def test_force_takes_along_what_stands_on_it(config, ran, arguments, expected):
    command, *options = arguments
    assert spatioformer(command, config, *options).code == 0
    assert ran == expected


@pytest.mark.parametrize("option", ["--until", "--redo"])
def test_unknown_stages(config, option):
    ended = spatioformer("run", config, option, "mapping")
    sentence = (
        "spatioformer: there is no stage 'mapping'; stages are plots, imagery, chips, train, "
        "evaluate, map, report\n"
    )
    assert ended == Ended(2, "", sentence)


# --- what it writes down --------------------------------------------------------------------------


def test_the_resolved_configuration_is_the_run_again(config):
    resolved = config.parent / "run" / "config.resolved.yaml"
    assert load_config(resolved) == load_config(config)
    assert stale(resolved) == set()


def test_provenance(config):
    found = json.loads((config.parent / "run" / "provenance.json").read_text())
    assert found["spatioformer"] == __version__
    assert set(found["libraries"]) == set(LIBRARIES)
    assert all(text[0].isdigit() for text in found["libraries"].values())
    assert found["seed"] == 0
    for name in ("plots.csv", "image.tif"):
        content = (config.parent / name).read_bytes()
        path = str(config.parent / name)
        assert found["inputs_sha256"][path] == hashlib.sha256(content).hexdigest()
    assert set(found["stages"]) == ALL
    for name, stage in found["stages"].items():
        assert stage["seconds"] >= 0
        assert stage["fingerprint"] == Run(config).fingerprint(name)


def test_a_lost_provenance_comes_back(tmp_path):
    """The report reads it, so it has to be there before the report is made."""
    config = finished(tmp_path)
    (tmp_path / "run" / "provenance.json").unlink()
    assert spatioformer("plots", config, "-q").code == 0
    assert set(json.loads((tmp_path / "run" / "provenance.json").read_text())["stages"]) == ALL


def test_the_same_run_twice_gives_the_same_bytes(config, tmp_path):
    again = landscape.write(tmp_path)
    assert spatioformer("run", again, "--until", "map", "-q") == Ended(0, "", "")
    for name in (
        "plots.parquet", "imagery.tif", "chips/chips.npy", "model/model.safetensors",
        "training.csv", "scores.csv", "evaluation/predictions.parquet", "map.tif", "map.json",
    ):  # fmt: skip
        assert (tmp_path / "run" / name).read_bytes() == (
            config.parent / "run" / name
        ).read_bytes(), name


def test_another_seed_gives_other_numbers(config, tmp_path):
    """The test above can fail."""
    again = finished(tmp_path)
    assert spatioformer("train", again, "--set", "seed=1", "-q") == Ended(0, "", "")
    name = "run/model/model.safetensors"
    assert (tmp_path / name).read_bytes() != (config.parent / name).read_bytes()


def test_two_workers_give_the_scores_of_one(config, tmp_path):
    again = finished(tmp_path)
    arguments = ("--force", "--set", "evaluate.workers=2", "-q")
    assert spatioformer("evaluate", again, *arguments) == Ended(0, "", "")
    for name in (
        *("scores.csv", "evaluation/predictions.parquet", "evaluation/importance.csv"),
        "evaluation/uncertainty.json",
    ):
        assert (tmp_path / "run" / name).read_bytes() == (
            config.parent / "run" / name
        ).read_bytes(), name
    assert sorted(p.name for p in (tmp_path / "run" / "evaluation").iterdir() if p.is_file()) == [
        *("importance.csv", "intervals.parquet", "predictions.parquet"),
        *("uncertainty.json", "uncertainty.npz"),
    ]  # fmt: skip


def test_a_run_object_sees_what_changed_since(tmp_path):
    config = finished(tmp_path)
    run = Run(write_config(tmp_path))
    assert run.until("plots") == tmp_path / "run"
    landscape.plots(seed=1).to_csv(tmp_path / "plots.csv", index=False)
    run.until("plots")
    assert stale(config) == ALL - {"imagery", "plots"}


def test_the_licence_reaches_the_model_folder_without_a_training(tmp_path):
    path = landscape.write(tmp_path)
    folder = Run(path).until("train")
    weights = {p.name: p.stat().st_mtime_ns for p in (folder / "model").iterdir()}
    before = identity(folder / "model")
    for licence in ("CC-BY-4.0", "ODbL-1.0"):
        Run(path, [f"licence={licence}"]).until("train")
        assert load(folder / "model").facts["licence"] == licence
    assert identity(folder / "model") == before
    Run(path).until("train")
    assert "licence" not in load(folder / "model").facts
    assert {p.name: p.stat().st_mtime_ns for p in (folder / "model").iterdir()} == weights


@pytest.mark.parametrize("content", [b"", b"\xff", b"x" * 5000])
def test_a_licence_that_is_no_name_is_refused(tmp_path, content):
    (tmp_path / "licence.txt").write_bytes(content)
    with pytest.raises(ModelError, match=r"licence\.txt .*remove"):
        licence_in(tmp_path)
    assert licence_in(tmp_path / "none") is None
