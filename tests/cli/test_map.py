"""`spatioformer map MODEL RASTER -o OUT.tif`: a model of a finished run, and what may be wrong."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from spatioformer import mapping
from tests.helpers.landscape import imagery, write_raster
from tests.helpers.tiny_run import Ended, assert_refused, finished, half_written, spatioformer

pytestmark = pytest.mark.integration

NAMES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a finished run."""
    return finished(tmp_path_factory.mktemp("run")).parent / "run"


def test_the_stack_of_the_run_gives_the_map_of_the_run(run, tmp_path):
    out = tmp_path / "new" / "map.tif"
    arguments = ("map", run / "model", run / "imagery.tif", "-o", out)
    ended = spatioformer(*arguments, "--samples", 2, "--sd-step", 2)
    assert ended == Ended(0, "", f"{out}: 3,844 pixels predicted\n")
    with rasterio.open(out) as one, rasterio.open(run / "map.tif") as other:
        np.testing.assert_array_equal(one.read(), other.read())
    assert_refused(
        spatioformer(*arguments),
        f"{out} exists; give --force to replace it, or name another file",
    )
    again = spatioformer(*arguments, "--samples", 0, "--quiet", "--force")
    assert again == Ended(0, "", "")
    with rasterio.open(out) as one:
        assert "standard deviation" not in str(one.descriptions)


def test_raw_imagery_without_names_is_taken_in_order(run, tmp_path):
    raster = write_raster(tmp_path / "raw.tif", imagery())
    arguments = ("-o", tmp_path / "map.tif", "--samples", 2, "--sd-step", 2, "-q")
    assert spatioformer("map", run / "model", raster, *arguments).code == 0
    with rasterio.open(tmp_path / "map.tif") as one, rasterio.open(run / "map.tif") as other:
        np.testing.assert_array_equal(one.read(), other.read())


def damaged(name: str, content: bytes | None) -> Callable[[Path, Path], tuple[Path, Path]]:
    """The run's model with one file cut to `content`, or gone."""

    def case(run: Path, folder: Path) -> tuple[Path, Path]:
        model = shutil.copytree(run / "model", folder / "model")
        if content is None:
            (model / name).unlink()
        else:
            (model / name).write_bytes(content)
        return model, run / "imagery.tif"

    return case


def raster(data: np.ndarray, **options) -> Callable[[Path, Path], tuple[Path, Path]]:
    def case(run: Path, folder: Path) -> tuple[Path, Path]:
        return run / "model", write_raster(folder / "in.tif", data, **options)

    return case


def text(run: Path, folder: Path) -> tuple[Path, Path]:
    (folder / "in.tif").write_text("no raster")
    return run / "model", folder / "in.tif"


def half(run: Path, folder: Path) -> tuple[Path, Path]:
    whole = (run / "imagery.tif").read_bytes()
    (folder / "in.tif").write_bytes(whole[: len(whole) // 2])
    return run / "model", folder / "in.tif"


PLACELESS = (
    "in.tif has no georeference (coordinate reference system, corner and pixel size); write it "
    "into the file, for example with gdal_edit.py -a_srs EPSG:4326 -a_ullr WEST NORTH EAST SOUTH"
)
CASES: dict[str, tuple[Callable[[Path, Path], tuple[Path, Path]], str]] = {
    "no model": (
        lambda run, folder: (folder / "none", run / "imagery.tif"),
        "none does not exist; give a configuration (.yaml), a run folder (with "
        "config.resolved.yaml) or a model folder (with config.json)",
    ),
    "no weights": (
        damaged("model.safetensors", None),
        "model is not a model folder: model.safetensors is missing; give a folder that "
        "`spatioformer train` wrote",
    ),
    "weights cut short": (
        damaged("model.safetensors", b"\x10" * 99),
        "model.safetensors is damaged or cut short (",
    ),
    "settings cut short": (
        damaged("config.json", b'{"format": 1,'),
        "config.json does not describe a model that this version (",
    ),
    "no raster": (
        lambda run, folder: (run / "model", folder / "none.tif"),
        "none.tif does not exist; give the path of a raster",
    ),
    "text": (text, "in.tif cannot be opened as a raster ("),
    "cut short": (half, "the file is damaged or cut short; fetch it again"),
    "fewer bands": (
        raster(imagery()[:2], names=NAMES[:2]),
        "in.tif lacks 1 of the 3 bands the model needs, among them 'blue' (it has red, green); "
        "give imagery with the bands red, green, blue, named by their descriptions",
    ),
    "other bands": (
        raster(imagery(), names=("nir", "red", "green")),
        "in.tif lacks 1 of the 3 bands the model needs, among them 'blue' (it has nir, red, "
        "green); give imagery with the bands red, green, blue, named by their descriptions",
    ),
    "no crs": (
        raster(imagery(), names=NAMES, crs=None),
        "in.tif has no coordinate reference system; write one into the file, for example with "
        "gdal_edit.py -a_srs EPSG:4326",
    ),
    "no corner": (raster(imagery(), names=NAMES, transform=Affine.identity()), PLACELESS),
}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("case", CASES)
def test_what_it_cannot_use(run, tmp_path, case):
    make, sentence = CASES[case]
    out = tmp_path / "out" / "map.tif"
    ended = spatioformer("map", *make(run, tmp_path), "-o", out)
    assert ended.code == 2
    assert sentence in ended.err
    assert ended.err.startswith("spatioformer: ")
    assert ended.err.count("\n") == 1
    assert not out.exists()
    assert not half_written(tmp_path)


def test_what_is_missing_or_too_much(run, tmp_path):
    model, stack = run / "model", run / "imagery.tif"
    out = ("-o", tmp_path / "map.tif")
    assert_refused(
        spatioformer("map", model, stack),
        f"with the model {model}, give a raster and -o OUT.tif",
    )
    assert_refused(
        spatioformer("map", model, *out),
        f"with the model {model}, give a raster and -o OUT.tif",
    )
    assert_refused(
        spatioformer("map", model, stack, *out, "--samples", 1),
        "--samples 1 has no spread; give 0 for none, or at least 2",
    )
    config = run.parent / "tiny.yaml"
    for source in (config, run):
        assert_refused(
            spatioformer("map", source, stack),
            f"with the model {source}, give a raster and -o OUT.tif",
        )
        for given, name in (["--memory", "1GB"], "memory"), (out, "out"):
            assert_refused(
                spatioformer("map", source, *given),
                f"{source} is a run, whose configuration says what is mapped and how; leave out "
                f"{name!r} (--set map.KEY=VALUE changes a value), or give a raster and -o too",
            )


def test_changes_of_a_configuration_need_one(run, tmp_path):
    model, stack = run / "model", run / "imagery.tif"
    assert_refused(
        spatioformer("map", model, stack, "-o", tmp_path / "map.tif", "--set", "seed=1"),
        f"--set belongs to a run's configuration, and {stack} is none; leave it out, or give a "
        "configuration for the raster",
    )
    assert not (tmp_path / "map.tif").exists()


def test_every_option_reaches_the_map(tmp_path, monkeypatch):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    calls = []

    def record(*arguments, console, **options):
        calls.append((arguments, options))
        return {"tiles": 3, "pixels": 5}

    monkeypatch.setattr(mapping, "map_raster", record)
    words = (
        "--samples 3 --sd-step 2 --layers mean,sd --outline park.gpkg --grid grid.tif --memory 1GB "
        "--workers 4 --scheduler tcp://host:1 --worker-timeout 7 --dtype uint16 --compress zstd "
        "--separate --year 2021 --stac --zarr --shards 2/3 --force"
    )
    out = tmp_path / "map.tif"
    ended = spatioformer("map", model, "scene.tif", "-o", out, *words.split())
    assert ended == Ended(0, "", f"{out}: 3 tiles of part 2/3 computed\n")
    assert calls == [
        (
            (model, Path("scene.tif"), out),
            {
                "samples": 3, "sd_step": 2, "outline": Path("park.gpkg"), "grid": Path("grid.tif"),
                "output": mapping.Output(
                    ("mean", "sd"), "uint16", "zstd", separate=True, year=2021, stac=True, zarr=True
                ),
                "resources": mapping.Resources(10**9, 4, "tcp://host:1", (2, 3), 7),
                "overwrite": True, "tags": {},
            },
        )
    ]  # fmt: skip
    spatioformer("map", model, "scene.tif", "-o", out, "--samples", 0)
    (_, options) = calls[1]
    assert options["output"] == mapping.Output()
    assert options["resources"] == mapping.Resources()
    assert not options["overwrite"]


def test_help_groups_the_options_by_what_is_mapped():
    text = spatioformer("map", "--help").out
    panels = re.split(r"╭─ ([\w ]+) ─+╮", text)
    options = {
        title: set(re.findall(r"│ +(--[\w-]+)", panel))
        for title, panel in zip(panels[1::2], panels[2::2], strict=True)
    }
    assert options["Options"] == {"--force", "--quiet", "--help"}
    assert options["With a configuration"] == {"--set", "--offline"}
    assert options["With a model"] == {
        "--out", "--fixed", "--dtype", "--compress", "--separate", "--year", "--stac", "--zarr",
        "--shards",
        "--samples", "--sd-step", "--layers", "--outline", "--grid", "--memory",
        "--workers", "--scheduler", "--worker-timeout",
    }  # fmt: skip


def test_a_run_can_stand_for_its_imagery(run, tmp_path):
    config, maps = run.parent / "tiny.yaml", []
    for model, source in (run / "model", config), (config, run), (run, run / "imagery.tif"):
        maps.append(tmp_path / f"{len(maps)}.tif")
        ended = spatioformer("map", model, source, "-o", maps[-1], "--samples", 0)
        assert ended.code == 0, ended
    assert len({path.read_bytes() for path in maps}) == 1


def test_the_old_spelling_of_force(run, tmp_path):
    out = tmp_path / "map.tif"
    arguments = ("map", run / "model", run / "imagery.tif", "-o", out, "--samples", 0)
    assert spatioformer(*arguments, "-q").code == 0
    assert spatioformer(*arguments, "--overwrite") == Ended(
        0,
        "",
        "spatioformer: --overwrite is now --force; the old spelling still works\n"
        f"{out}: 3,844 pixels predicted\n",
    )


def test_a_runs_map_does_not_depend_on_its_memory(run):
    before = (run / "map.tif").read_bytes()
    config = run.parent / "tiny.yaml"
    ended = spatioformer("map", config, "--set", "map.memory=0.9", "--set", "map.workers=1")
    assert ended.code == 0, ended
    assert (run / "map.tif").read_bytes() == before
    refused = spatioformer("map", config, "--set", "map.memory=0.001", "--force")
    assert refused.code == 2
    assert "1MB is below what" in refused.err


def test_places_where_no_map_can_be(run, tmp_path):
    arguments = ("map", run / "model", run / "imagery.tif", "-o")
    assert_refused(
        spatioformer(*arguments, tmp_path),
        f"cannot write {tmp_path}: it is a folder; remove it or name a file",
    )
    (tmp_path / "file").write_text("x")
    assert_refused(
        spatioformer(*arguments, tmp_path / "file" / "map.tif"),
        f"cannot write {tmp_path / 'file' / 'map.tif'}: file exists; choose a folder you can "
        "write to",
    )


def test_the_imagery_is_not_written_over(run, tmp_path):
    stack = shutil.copy(run / "imagery.tif", tmp_path / "imagery.tif")
    before = stack.read_bytes()
    assert_refused(
        spatioformer("map", run / "model", stack, "-o", tmp_path / "." / "imagery.tif"),
        f"cannot write {stack}: it is the imagery itself; name another file",
    )
    assert stack.read_bytes() == before


def test_left_overs_of_a_killed_run_are_no_obstacle(run, tmp_path):
    for name in ("map.part.tif", "map.part.tiles.tif"):
        (tmp_path / name).write_bytes((run / "imagery.tif").read_bytes()[:500])
    out = tmp_path / "map.tif"
    ended = spatioformer("map", run / "model", run / "imagery.tif", "-o", out, "--samples", 0)
    assert ended.code == 0
    assert not half_written(tmp_path)
