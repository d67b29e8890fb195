"""Rasters that cannot be used: one sentence, exit code 2, nothing half-written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.transform import from_origin

from spatioformer.geo.chips import open_chips
from tests.helpers import landscape
from tests.helpers.landscape import SIDE, STEP, imagery, plots, write_raster
from tests.helpers.tiny_run import refuses, spatioformer, write_config

pytestmark = pytest.mark.integration

N = len(plots())


@pytest.fixture
def project(tmp_path):
    """Imagery, plots and configuration on disk, for a case to spoil."""
    return landscape.write(tmp_path).parent


IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda p: p.unlink(), "layer image: {} does not exist; correct its `path`"),
    "text": (
        lambda p: p.write_text("lon,lat\n" * 99),
        "layer image: {} cannot be opened as a raster (...); give a GeoTIFF, NetCDF or JPEG",
    ),
    "empty": (
        lambda p: p.write_bytes(b""),
        "layer image: {} cannot be opened as a raster (...); give a GeoTIFF, NetCDF or JPEG",
    ),
    "cut in its header": (
        lambda p: p.write_bytes(p.read_bytes()[:200]),
        "layer image: {} cannot be opened as a raster (...); give a GeoTIFF, NetCDF or JPEG",
    ),
    "cut in its data": (
        lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
        "{} cannot be read (...): the file is damaged or cut short; fetch it again",
    ),
    "no crs": (
        lambda p: write_raster(p, imagery(), crs=None),
        "layer image: {} has no coordinate reference system; set `crs: EPSG:...` in the "
        "layer's configuration",
    ),
    "all nodata": (
        lambda p: write_raster(p, imagery() * 0, nodata=0),
        "band red has no data at all on the chosen grid and region (all nodata, or the rasters "
        "do not overlap); check the files, `nodata` and `region`",
    ),
    "two bands": (
        lambda p: write_raster(p, imagery()[:2]),
        "layer image: 3 band names for 2 bands; give one name a band",
    ),
}


@pytest.mark.parametrize("case", IMAGES)
def test_images(project, case):
    spoil, sentence = IMAGES[case]
    path = project / "image.tif"
    spoil(path)
    refuses(project, "imagery", sentence.replace("{}", str(path)))
    assert not (project / "run" / "imagery.tif").exists()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_an_image_without_a_place(project):
    path = write_raster(project / "image.tif", imagery(), transform=Affine.identity())
    refuses(
        project,
        "imagery",
        f"layer image: {path} has no corner and pixel size; add `bounds: [W, E, S, N]` to the "
        "layer's configuration",
    )


def with_layer(**layer) -> tuple[str, dict]:
    return "imagery.layers", [
        {"path": "image.tif", "name": "image", "band_names": ["red", "green", "blue"]},
        {"path": "other.tif", "name": "other"} | layer,
    ]


SECOND: dict[str, tuple[Callable[[Path], object], dict, str]] = {
    "elsewhere": (
        lambda p: write_raster(p, imagery()[0], transform=from_origin(0, 0, STEP, STEP)),
        {},
        "band other has no data at all on the chosen grid and region (all nodata, or the rasters "
        "do not overlap); check the files, `nodata` and `region`",
    ),
    "band 9": (
        lambda p: write_raster(p, imagery()),
        {"bands": [1, 9]},
        "layer other: band 9 is not in {}, which has bands 1 to 3; correct `bands`",
    ),
    "a name twice": (
        lambda p: write_raster(p, imagery()[0]),
        {"band_names": ["red"]},
        "band name 'red' occurs twice; set `band_names` in one layer",
    ),
    "classes of a measurement": (
        lambda p: write_raster(p, (imagery()[0] / 2).astype(np.float32)),
        {"categorical": True},
        "layer other: {} holds values like ..., not classes; remove `categorical: true` or give a "
        "class raster",
    ),
    "classes without end": (
        lambda p: write_raster(p, np.arange(SIDE**2, dtype=np.int32).reshape(SIDE, SIDE)),
        {"categorical": True},
        f"layer other: {SIDE**2} classes in {{}}, more than 64; list those to use under `classes`",
    ),
    "classes in three bands": (
        lambda p: write_raster(p, imagery()),
        {"categorical": True},
        "layer other: a categorical raster needs one band, but {} has 3; choose one with `bands`",
    ),
    "unknown crs": (
        lambda p: write_raster(p, imagery()),
        {"crs": "EPSG:999999"},
        "layer other: crs 'EPSG:999999' is unknown; give one such as EPSG:4326",
    ),
    "a crs of heights": (
        lambda p: write_raster(p, imagery()),
        {"crs": "EPSG:5773"},
        "layer other: crs 'EPSG:5773' (EGM96 height) is neither geographic nor projected; give one "
        "such as EPSG:4326",
    ),
}


@pytest.mark.parametrize("case", SECOND)
def test_a_second_layer(project, case):
    make, settings, sentence = SECOND[case]
    path = project / "other.tif"
    make(path)
    refuses(project, "imagery", sentence.replace("{}", str(path)), with_layer(**settings))
    assert not (project / "run" / "imagery.tif").exists()


def test_text_called_netcdf(project):
    (project / "other.nc").write_text("not at all")
    sentence = f"{project}/other.nc cannot be read (...): the file is damaged or cut short; fetch "
    refuses(project, "imagery", f"{sentence}it again", with_layer(path="other.nc"))


GRIDS: list[tuple[dict, str]] = [
    (
        {"crs": "EPSG:999999", "resolution": 1},
        "imagery.grid: crs 'EPSG:999999' is unknown; give one such as EPSG:4326",
    ),
    (
        {"crs": "EPSG:3577", "resolution": 0.1},
        "imagery.grid: resolution 0.1 makes ... pixels of the region; give it in units of "
        "EPSG:3577 (metre)",
    ),
    (
        {"crs": "+proj=ortho +lat_0=80", "resolution": 1000},
        "imagery.grid: the region [141.0, 145.0, -24.0, -21.0] has no place in crs '+proj=ortho "
        "+lat_0=80'; choose a CRS made for that region",
    ),
]


@pytest.mark.parametrize(("grid", "sentence"), GRIDS)
def test_grids(project, grid, sentence):
    region = ("imagery.region", [141, 145, -24, -21])
    refuses(project, "imagery", sentence, region, ("imagery.grid", grid))


def test_a_region_elsewhere_and_masks_that_leave_nothing(project):
    refuses(
        project,
        "imagery",
        "the region W, E, S, N = [0.0, 9.0, 0.0, 9.0] lies outside the imagery, which covers "
        "[140.0, 146.4, -26.4, -20.0]; give a region inside it",
        ("imagery.region", [0, 9, 0, 9]),
    )
    write_raster(project / "sea.tif", imagery()[0] * 0)
    refuses(
        project,
        "imagery",
        "no pixel with data in every band remains after the masks; check that the rasters overlap "
        "(image), and which classes `exclude` names",
        ("imagery.masks", [{"path": "sea.tif", "name": "sea", "exclude": [0]}]),
    )


def test_a_useless_stack_replaces_no_good_one(project):
    config = write_config(project)
    assert spatioformer("imagery", config, "--quiet").code == 0
    good = (project / "run" / "imagery.tif").read_bytes()
    write_raster(project / "image.tif", imagery() * 0, nodata=0)
    assert spatioformer("imagery", config, "--quiet").code == 2
    assert (project / "run" / "imagery.tif").read_bytes() == good


def test_another_crs_is_no_mistake(project):
    """Imagery in UTM: the plots find their pixels."""
    write_raster(
        project / "image.tif",
        imagery(),
        crs="EPSG:32754",
        transform=from_origin(380_000, 7_810_000, 11_000, 11_500),
    )
    assert spatioformer("chips", write_config(project), "--quiet").code == 0
    store = open_chips(project / "run" / "chips")
    off = np.abs([store.lon[:, 1, 1], store.lat[:, 1, 1]] - store.coordinates.T)
    assert len(store) > 0.9 * N
    assert off.max() < 0.08
