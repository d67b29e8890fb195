"""The configuration: what is refused and in which words, what is changed, and its round trip."""

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from spatioformer.common.errors import ConfigError, ImageryError, SpatioformerError
from spatioformer.config.file import build_config, expand, load_config, to_yaml
from spatioformer.config.schema import RunConfig
from tests.helpers import landscape
from tests.helpers.tiny_run import assert_refused, spatioformer, write_config

LAYER = "imagery.layers.0"
REGION_WORDS = (
    "it must be [W, E, S, N] in degrees with W < E and S < N, for example [112, 154, -44, -10]"
)
WRONG: list[tuple[str, Any, str]] = [
    # an unknown key, and what was meant
    ("trian", {}, "unknown key `trian`; did you mean `train`"),
    ("train.epoch", 3, "unknown key `train.epoch`; did you mean `epochs`"),
    (f"{LAYER}.pth", "x", f"unknown key `{LAYER}.pth`; did you mean `path`"),
    ("plots.columns.richnes", "n", "unknown key `plots.columns.richnes`; did you mean `richness`"),
    (
        "map.colour",
        "red",
        "unknown key `map.colour`; known keys are model, samples, sd_step, memory, workers, "
        "years",
    ),
    # a value of the wrong type
    ("plots", 3, "`plots` is 3: it must be a section: keys and values, indented below it"),
    ("train", None, "`train` is empty: it must be a section: keys and values, indented below it"),
    ("train.epochs", "many", "`train.epochs` is 'many': it must be a whole number"),
    ("train.epochs", 1.5, "`train.epochs` is 1.5: it must be a whole number"),
    ("train.learning_rate", "fast", "`train.learning_rate` is 'fast': it must be a number"),
    (
        "train.learning_rate", math.inf,
        "`train.learning_rate` is inf: it must be a finite number",
    ),
    (f"{LAYER}.scale", math.nan, f"`{LAYER}.scale` is nan: it must be a finite number"),
    (f"{LAYER}.categorical", "x", f"`{LAYER}.categorical` is 'x': it must be true or false"),
    ("imagery.layers", "a.tif", "`imagery.layers` is 'a.tif': it must be a list, such as [a, b]"),
    ("name", 2024, "`name` is 2024: it must be text; put it in quotes"),
    ("model.covariates", {1: 2}, "`model.covariates`: the key 1 must be text; put it in quotes"),
    (
        "model.covariates",
        ["a", ["b"]],
        "`model.covariates` is ['a', ['b']]: each name must be that of a column, not ['b']",
    ),
    (
        "model.covariates",
        [{"a": 1}],
        "`model.covariates` is [{'a': 1}]: each name must be that of a column, not {'a': 1}",
    ),
    ("title", {"A": "b"}, "`title` is {'A': 'b'}: it must be text; put it in quotes"),
    ("out", None, "`out` is empty: it must be text; put it in quotes"),
    # a value that cannot be
    ("train.epochs", 0, "`train.epochs` is 0: it must be greater than or equal to 1"),
    ("plots.max_rejected", 1.5, "`plots.max_rejected` is 1.5: it must be less than or equal to 1"),
    (
        "train.validation_share", 1,
        "`train.validation_share` is 1: it must be less than 1",
    ),
    ("seed", -1, "`seed` is -1: it must be greater than or equal to 0"),
    (
        "model.patch", 4,
        "`model.patch` is 4: it must be odd, for a chip needs a centre pixel; try 5",
    ),
    ("model.width", 9, "`model`: width 9 does not divide into 2 heads; choose a multiple"),
    ("imagery.layers", [], "`imagery.layers` is []: it needs at least one entry"),
    ("imagery.region", [154, 112, -44, -10], f"`imagery.region` is [154, 112, -44, -10]: "
     f"{REGION_WORDS}"),
    ("imagery.region", [112, 154, -10, -44], f"`imagery.region` is [112, 154, -10, -44]: "
     f"{REGION_WORDS}"),
    ("imagery.region", [112, 154, -44], "`imagery.region.3` is missing; add it"),
    (
        "imagery.region", [112, 154, -44, -10, 0],
        "`imagery.region` is [112, 154, -44, -10, 0]: it has too many entries",
    ),
    (
        "imagery.grid", {"crs": "EPSG:3577", "resolution": 1000},
        "`imagery`: with `grid`, give `region: [W, E, S, N]` too: it sets the extent",
    ),
    (
        f"{LAYER}.bounds", [10, 0, 0, 10],
        f"`{LAYER}.bounds` is [10, 0, 0, 10]: it must be [W, E, S, N] with W < E and S < N",
    ),
    (
        f"{LAYER}.resampling", "linear",
        f"`{LAYER}.resampling` is 'linear': it must be 'nearest', 'bilinear', 'cubic', 'average' "
        "or 'mode'",
    ),
    (
        f"{LAYER}.name", "my layer",
        f"`{LAYER}.name` is 'my layer': it may hold letters, digits, _ and -, a letter first, only",
    ),
    (
        "evaluate.models", ["forest"],
        "`evaluate.models.0` is 'forest': it must be 'spatioformer', 'spatioformer-dense', "
        "'spatioformer-distilled', 'spatioformer-no-location', "
        "'spatioformer-stacked', 'spatioformer-published', 'spatioformer-published-no-location', "
        "'cnn-published', 'factoformer', 'extra-trees', 'gradient-boosting', 'lightgbm', "
        "'forest-kriging', 'gaussian-process', 'stack', 'random-forest' or 'location-knn'",
    ),
    (
        "evaluate.models", ["location-knn"] * 2,
        "`evaluate.models` is ['location-knn', 'location-knn']: an entry repeats; name each once",
    ),
    (
        "evaluate.models", ["cnn-published"],
        "`model.patch` is 3, and cnn-published needs 7 or more; raise it, or leave that model out "
        "of `evaluate.models` and `map.model`",
    ),
    (
        "evaluate.splits.0.folds", 1,
        "`evaluate.splits.0.folds` is 1: it must be greater than or equal to 2",
    ),
    (
        "evaluate.splits.0.name", "tiles",
        "`evaluate`: the split names ['tiles', 'tiles'] repeat; give each split its own name",
    ),
    (
        "evaluate.splits.0.name", "curve-1",
        "`evaluate`: the split name 'curve-1' is reserved for the curve; choose another",
    ),
    (
        "evaluate.splits.0.name", "My tiles",
        "`evaluate.splits.0.name` is 'My tiles': it may hold small letters, digits and -, a letter "
        "first, only",
    ),
    (
        "evaluate.splits.0.kind", "spatial",
        "`evaluate.splits.0.kind` is 'spatial': it must be 'random', 'tiles', 'knndm', 'regions' "
        "or 'column'",
    ),
    (
        "evaluate.curve_sizes", [1, 200],
        "`evaluate.curve_sizes.1` is 200: it must be less than or equal to 180",
    ),
    ("evaluate.workers", 0, "`evaluate.workers` is 0: it must be greater than or equal to 1"),
    (
        "map.samples", 1,
        "`map.samples` is 1: one sample has no spread; give 0 for none, or at least 2",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "sentence"), WRONG, ids=[f"{key}={value}" for key, value, _ in WRONG]
)
def test_a_wrong_value_is_one_sentence(tmp_path, key, value, sentence):
    """The file, the key, the value, the fix; and nothing is written."""
    config = write_config(tmp_path, (key, value))
    assert_refused(spatioformer("run", config), f"{config}: {sentence}")
    assert not (tmp_path / "run").exists()


def test_several_mistakes_are_listed(tmp_path):
    config = write_config(tmp_path, ("train.epochs", 0), ("model.patch", 4), ("seed", "x"))
    assert_refused(
        spatioformer("run", config),
        f"3 problems in {config}:\n"
        "  `seed` is 'x': it must be a whole number\n"
        "  `model.patch` is 4: it must be odd, for a chip needs a centre pixel; try 5\n"
        "  `train.epochs` is 0: it must be greater than or equal to 1",
    )


@pytest.mark.parametrize("key", ["plots.path", "imagery.layers.0.name", "evaluate.splits.0.kind"])
def test_a_missing_key_is_named(key, tmp_path):
    raw = landscape.settings(tmp_path)
    *parents, last = (int(k) if k.isdigit() else k for k in key.split("."))
    node = raw
    for parent in parents:
        node = node[parent]
    del node[last]
    with pytest.raises(ConfigError, match=rf"^here: `{key}` is missing; add it$"):
        build_config(raw, "here", tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "contains no settings; start from a file in examples/"),
        ("# only a comment\n", "contains no settings; start from a file in examples/"),
        ("- a\n- b\n", "contains no settings; start from a file in examples/"),
        (
            "name: x\nout: [1,\n",
            "is not valid YAML at line 3: expected the node content, but found '<stream end>'; "
            "correct it there",
        ),
        (
            "name: x\n\ttrain: 1\n",
            "is not valid YAML at line 2: found character '\\t' that cannot start any token; "
            "correct it there",
        ),
        (
            "name: x\ntrain:\n  epochs: 3\nseed: 1\ntrain: {}\n",
            "is not valid YAML at line 5: the key 'train' occurs twice; correct it there",
        ),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, text, sentence):
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    assert_refused(spatioformer("run", path), f"{path} {sentence}")


def test_no_file_a_folder_and_bytes(tmp_path):
    none = tmp_path / "none.yaml"
    assert_refused(
        spatioformer("run", none), f"{none} does not exist; give the path of a YAML file"
    )
    folder = spatioformer("run", tmp_path)
    assert folder.code == 2
    assert "is none of the three; give a configuration (.yaml), a run folder" in folder.err
    with pytest.raises(ConfigError, match=r"\(.*Is a directory.*\); give a YAML text file$"):
        load_config(tmp_path)
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00n")
    with pytest.raises(ConfigError, match=r"a\.yaml cannot be read \(.*\); give a YAML text file$"):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("train.epochs", "is not an assignment; write it as --set train.epochs=10"),
        ("=3", "is not an assignment; write it as --set train.epochs=10"),
        ("name.x=3", "`name` is a value, not a section; shorten the key"),
        ("imagery.layers.5.path=x", "'5' is not an index of a list of 1; count from 0"),
        ("imagery.layers.first.path=x", "'first' is not an index of a list of 1; count from 0"),
        ("train.epochs=[1", "the value is not YAML; quote it"),
    ],
)
def test_a_wrong_assignment_is_one_sentence(tmp_path, change, sentence):
    colon = "" if sentence.startswith("is") else ":"
    ended = spatioformer("run", write_config(tmp_path), "--set", change)
    assert_refused(ended, f"--set {change!r}{colon} {sentence}")


def test_assignments_are_laid_over_the_file(tmp_path):
    changes = [
        "train.epochs=7",
        "train.learning_rate=1e-4",  # YAML 1.1 takes it for text
        "imagery.layers.0.name=photo",
        "evaluate.splits.1={name: far, kind: tiles, size: 2}",
        "map.sd_step=4",
        "title='A title: with a colon'",
    ]
    config = load_config(write_config(tmp_path), changes)
    assert config.train.epochs == 7
    assert config.train.learning_rate == 1e-4
    assert config.imagery.layers[0].name == "photo"
    assert config.evaluate.splits[1].size == 2
    assert config.evaluate.splits[0].name == "random"
    assert config.map.sd_step == 4
    assert config.title == "A title: with a colon"


def test_paths_start_at_the_file_and_out_at_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    config = write_config(tmp_path / "sub", ("plots.path", "../data/plots.csv"), ("out", "runs/x"))
    monkeypatch.chdir(tmp_path)
    read = load_config(config.relative_to(tmp_path))
    assert read.plots.path == str(tmp_path / "sub" / "../data/plots.csv")
    assert read.imagery.layers[0].path == str(tmp_path / "sub" / "image.tif")
    assert read.out == str(tmp_path / "runs/x")


def test_variables_and_names_of_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PLOT_HOME", str(tmp_path / "there"))
    monkeypatch.delenv("NOWHERE", raising=False)
    config = load_config(write_config(tmp_path, ("plots.path", "${PLOT_HOME}/plots.csv")))
    assert config.plots.path == str(tmp_path / "there" / "plots.csv")
    assert_refused(
        spatioformer("plots", write_config(tmp_path, ("plots.path", "${NOWHERE}/plots.csv"))),
        "the path '${NOWHERE}/plots.csv' needs the environment variable NOWHERE, which is not set; "
        "set it to the folder that holds the data",
    )
    with pytest.raises(
        ImageryError, match=r"^no raster of a pip package is called 'moon'; choose one of "
    ):
        load_config(write_config(tmp_path, (f"{LAYER}.path", "pip:moon")))
    assert expand("a$b{c}") == "a$b{c}"


def test_the_resolved_file_reads_back_to_the_same(tmp_path):
    config = load_config(
        write_config(
            tmp_path,
            ("imagery.region", [140, 146, -26, -20]),
            ("imagery.masks", [{"name": "m", "path": "m.tif", "exclude": [0, 12]}]),
            (f"{LAYER}.bands", [1, 2, 3]),
            ("plots.species", {"layout": "matrix", "path": "s.csv", "plot_id": "plot"}),
            ("title", "Größe: 50 % # no comment"),
            ("truth", {"path": "t.tif", "noise_path": "n.tif"}),
        )
    )
    resolved = tmp_path / "elsewhere" / "config.resolved.yaml"
    resolved.parent.mkdir()
    resolved.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(resolved) == config


def test_nodata_may_be_nan_and_survives(tmp_path):
    config = load_config(write_config(tmp_path, (f"{LAYER}.nodata", math.nan)))
    again = yaml.safe_load(to_yaml(config))["imagery"]["layers"][0]["nodata"]
    assert math.isnan(again)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=5),
    st.lists(st.integers(-3, 3), max_size=5), st.dictionaries(st.text(max_size=3), st.none(),
                                                              max_size=2),
)  # fmt: skip
KEYS = [
    f"{section}.{key}" if section else key
    for section, model in [("", RunConfig)]
    + [(n, f.annotation) for n, f in RunConfig.model_fields.items() if n in ("model", "train",
                                                                            "evaluate", "map")]
    for key in model.model_fields
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(key=st.sampled_from(KEYS), value=VALUES)
def test_any_value_is_taken_or_refused_in_a_sentence(tmp_path_factory, key, value):
    """Whatever a key is given, there is no traceback; and what is taken reads back the same."""
    folder = tmp_path_factory.getbasetemp()
    raw = landscape.settings(folder)
    section, dot, last = key.rpartition(".")
    (raw[section] if dot else raw)[last] = value
    try:
        config = build_config(raw, "here", folder)
    except SpatioformerError as error:
        message = str(error)
    else:
        message = "`taken`"
        assert build_config(yaml.safe_load(to_yaml(config)), "again", folder) == config
    first, *listed = message.split("\n")
    assert not listed or first == f"{len(listed)} problems in here:"
    for line in listed or [first]:
        assert "`" in line
        assert len(line) <= 600
