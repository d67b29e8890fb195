"""What `import spatioformer as sf` offers."""

from pathlib import Path

import pytest

import spatioformer as sf
from spatioformer.common.errors import OutputError
from tests.helpers import landscape

pytestmark = pytest.mark.integration


def test_every_door_opens():
    for name in sf.__all__:
        assert getattr(sf, name) is not None
    assert sf.plot.map.__module__ == "spatioformer.api.plot"
    assert set(sf.__all__) <= set(dir(sf))


def test_type_checkers_see_the_same_doors():
    """The stub's imports, executed, give the objects that the package offers."""
    stub = Path(sf.__file__).with_suffix(".pyi")
    stubbed: dict[str, object] = {}
    exec(compile(stub.read_text(encoding="utf-8"), str(stub), "exec"), stubbed)
    names = {name for name in stubbed if not name.startswith("__")}
    assert names | {"__version__"} == set(sf.__all__)
    for name in names:
        assert stubbed[name] is getattr(sf, name), name


def test_a_run_and_its_report(tmp_path, blank_pictures):
    path = landscape.write(tmp_path)
    folder = sf.run_config(path, ["evaluate.models=[location-knn]", "map.model=location-knn"])
    assert folder == tmp_path / "run"
    page = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert sf.write_report(folder) == folder / "report.html"
    assert (folder / "report.html").read_bytes() == page
    with pytest.raises(OutputError, match=r"config\.resolved\.yaml is missing"):
        sf.write_report(tmp_path)
