"""Packaging: an exact version of every requirement, ranges in the package, one version number."""

import re
import tomllib
from pathlib import Path

import yaml

import spatioformer

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def names(requirements: list[str]) -> set[str]:
    """Normalised names of requirements, as PEP 503 writes them."""
    written = (re.match(r"[\w.-]+", line)[0] for line in requirements)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in written}


def test_every_requirement_has_an_exact_version():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+]+", pin) for pin in pins)
    assert len(names(pins)) == len(pins)
    required = names(
        [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    )
    assert required <= names(pins)


def test_the_package_requires_ranges():
    assert not [line for line in PROJECT["dependencies"] if "==" in line]
    assert {"torch", "xarray", "rioxarray"} <= names(PROJECT["dependencies"])
    assert set(EXTRAS) == {"text", "fast", "dask", "boost", "zarr", "stac", "view", "docs", "dev"}


def test_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == spatioformer.__version__ == citation["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {spatioformer.__version__}\n" in changes


def test_the_package_says_that_it_is_typed():
    assert Path(spatioformer.__file__).with_name("py.typed").is_file()
