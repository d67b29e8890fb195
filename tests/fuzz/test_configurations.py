"""Configurations of any shape: taken, or refused in sentences."""

import copy
import math

import numpy as np
import pytest
import yaml

from spatioformer.config.file import build_config, load_config
from spatioformer.run.check import check_run
from spatioformer.run.stages import STAGES
from tests.fuzz.harness import damaged, fuzz, pick
from tests.helpers import landscape

pytestmark = pytest.mark.slow

VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 10**6, 10**12, -(10**12), 2**63, 10**90, 0.5, 1e-300),
    *(1e300, math.inf, -math.inf, math.nan, "", " ", "x", "a.tif", "plots.csv", "image.tif", "."),
    *("..", "/", "~", "~nobody/x", "${HOME}", "${NOT_SET}", "$", "pip:", "pip:moon", "\t", ";"),
    *("EPSG:4326", "EPSG:3577", "EPSG:999999", "IAU_2015:30100", "+proj=longlat", "+proj=nonsense"),
    *("random-forest", "spatioformer", "mode", "tiles", "knndm", "0x10", "1e3", "2001-01-01"),
    *("\0", "\x1b[31m", "a\nb", "ı", "İ", "\ud800", "\u2028", "=1+1", "x" * 300, "x/" * 1500),
    *([], [1], [1, 2, 3, 4], [140, 146, -26, -20], [0, 0, 0, 0], ["a", "a"], [[]], [None]),
    *({}, {"a": 1}, {"path": "a.tif"}, {"lon": "lon"}, {1: 2}, {"\n": 1}, [{}]),
]
TEXTS = [
    *(
        "2001-13-45",
        "0x_",
        "!!bool maybe",
        "!!set {a}",
        "=",
        "*x",
        "&a [*a]",
        "[" * 200,
        "{a: " * 99,
    ),
    *("!!python/name:os.system", "1" * 5000, ">", "|", "'", '"', "- - - -", "? x", "<<", "1:60:60"),
]


@pytest.fixture
def folder(tmp_path):
    landscape.write(tmp_path)
    return tmp_path


def places(node, path=()):
    """Every path of keys and indices in nested values."""
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(entries):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def changed(rng: np.random.Generator, raw: dict) -> dict:
    """Settings with some values replaced, removed, added or moved."""
    raw = copy.deepcopy(raw)
    for _ in range(int(rng.integers(1, 4))):
        path = pick(rng, list(places(raw)))
        parent = raw
        for key in path[:-1]:
            parent = parent[key]
        match int(rng.integers(4)):
            case 0 | 1:
                parent[path[-1]] = copy.deepcopy(pick(rng, VALUES))
            case 2:
                del parent[path[-1]]
            case 3:
                value = copy.deepcopy(pick(rng, VALUES))
                if isinstance(parent, dict):
                    parent[pick(rng, ["x", "layer", "nodata", "covariates", "truth"])] = value
                else:
                    parent.append(value)
        if not raw:
            break
    return raw


def test_configurations(folder):
    whole = landscape.settings(folder) | {
        "truth": {"path": "image.tif", "noise_path": "image.tif"},
        "seed": 1,
        "model": {"covariates": {"area_m2": None}},
    }
    whole["imagery"]["masks"] = [{"path": "image.tif", "name": "m", "bands": [1], "exclude": [0]}]
    whole["imagery"]["region"] = [140, 146, -26, -20]
    path = folder / "fuzzed.yaml"
    check_run(build_config(whole, "here", folder), "here", STAGES, folder)  # imports the libraries

    def case(rng: np.random.Generator) -> None:
        text = yaml.safe_dump(changed(rng, whole), allow_unicode=True).encode(errors="replace")
        changes = []
        match int(rng.integers(4)):
            case 0:
                text = damaged(rng, text)
            case 1:
                text += f"\ntitle: {pick(rng, TEXTS)}\n".encode()
            case 2:
                key = ".".join(str(k) for k in pick(rng, list(places(whole))))
                changes = [f"{key}={pick(rng, [*TEXTS, *map(str, VALUES)])}"]
        path.write_bytes(text)
        config = load_config(path, changes)
        check_run(config, str(path), STAGES, folder)

    assert fuzz(case, full=2_000, listing=True) > 50
