"""The outline of a run: what the imagery stage leaves out, and what it says."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import box

from spatioformer.common.files import read_json
from spatioformer.config.file import load_config
from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.land.countries import countries_of
from spatioformer.run.imagery import build_imagery
from spatioformer.run.imagery_build import build_years
from spatioformer.run.outline import elsewhere
from spatioformer.run.runner import Run
from tests.helpers import archive_run, landscape
from tests.helpers.tiny_run import refuses, spatioformer, write_config

pytestmark = [
    pytest.mark.integration,
    pytest.mark.usefixtures("small_forests_of_module"),
]

PARK = box(142.3, -11.3, 142.6, -10.9)


@pytest.fixture
def straits(tmp_path) -> Path:
    """Imagery from New Guinea to Cape York, and plots on Cape York."""
    landscape.write(tmp_path)
    landscape.write_raster(
        tmp_path / "image.tif", landscape.imagery(), transform=from_origin(140, -5, 0.1, 0.1)
    )
    plots = landscape.plots(60)
    rng = np.random.default_rng(1)
    plots["lon"], plots["lat"] = rng.uniform(142.2, 142.8, 60), rng.uniform(-11.3, -10.9, 60)
    plots.to_csv(tmp_path / "plots.csv", index=False)
    return tmp_path


def predicted(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the stack is predicted, and lon and lat of its pixels."""
    with rasterio.open(folder / "run" / "imagery.tif") as stack:
        mask, place = stack.read_masks(1) > 0, stack.transform
    rows, cols = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    return mask, place.c + cols * place.a, place.f + rows * place.e


def test_auto_leaves_other_countries_out(straits):
    ended = spatioformer("imagery", write_config(straits, ("imagery.outline", "auto")))
    assert ended.code == 0
    assert "note: outline: Australia; land of other countries and the open sea lie out" in ended.err
    mask, lon, lat = predicted(straits)
    country = countries_of(lon, lat).reshape(mask.shape)
    assert set(country[mask]) == {"Australia", ""}
    assert mask[country == "Australia"].all()
    facts = read_json(straits / "run" / "imagery.json")["outline"]
    assert facts["countries"] == ["Australia"]
    assert facts["pixels_outside"] == (~mask).sum() > 2000


def test_without_an_outline_as_before(straits):
    for change in ((), (("imagery.outline", "none"),)):
        assert spatioformer("imagery", write_config(straits, *change), "--quiet").code == 0
        mask, *_ = predicted(straits)
        assert mask.all()
        assert "outline" not in read_json(straits / "run" / "imagery.json")
        assert not (straits / "run" / "plots.parquet").exists(), "the imagery needs no plots"


@pytest.mark.parametrize("key", ["outline", "region"])
def test_a_file(straits, key):
    """As the outline it leaves the grid as it is; as the region it clips it too."""
    gpd.GeoDataFrame(geometry=[PARK], crs=4326).to_file(straits / "park.gpkg")
    config = write_config(straits, (f"imagery.{key}", "park.gpkg"))
    ended = spatioformer("imagery", config)
    assert ended.code == 0, ended.err
    mask, lon, lat = predicted(straits)
    assert mask.shape == ((64, 64) if key == "outline" else (4, 3))
    inside = (abs(lon - 142.45) < 0.15) & (abs(lat + 11.1) < 0.2)
    np.testing.assert_array_equal(mask, inside)
    assert "of 60 plots lie outside the outline" in ended.err
    resolved = (straits / "run" / "config.resolved.yaml").read_text()
    assert str(straits / "park.gpkg") in resolved
    assert Run(straits / "run" / "config.resolved.yaml").is_current("imagery")


def test_a_change_of_the_file_or_the_plots_is_noticed(straits):
    gpd.GeoDataFrame(geometry=[PARK], crs=4326).to_file(straits / "park.gpkg")
    config = write_config(straits, ("imagery.outline", "park.gpkg"))
    spatioformer("imagery", config, "--quiet")
    assert Run(config).is_current("imagery")
    table = pd.read_csv(straits / "plots.csv")
    table.iloc[1:].to_csv(straits / "plots.csv", index=False)
    assert not Run(config).is_current("plots")
    spatioformer("plots", config, "--quiet")
    assert not Run(config).is_current("imagery")
    spatioformer("imagery", config, "--quiet")
    gpd.GeoDataFrame(geometry=[PARK.buffer(0.2)], crs=4326).to_file(straits / "park.gpkg")
    assert not Run(config).is_current("imagery")


def test_a_file_that_holds_no_plot_is_refused(straits):
    gpd.GeoDataFrame(geometry=[box(0, 50, 1, 51)], crs=4326).to_file(straits / "park.gpkg")
    table = pd.read_csv(straits / "plots.csv")
    refuses(
        straits,
        "imagery",
        f"none of the 60 plots lies inside the outline {straits}/park.gpkg (first: lon "
        f"{table['lon'][0]:g}, lat {table['lat'][0]:g}; outline W, E, S, N = [0.0, 1.0, 50.0, "
        "51.0]); give the outline of the plots' area, or correct its CRS",
        ("imagery.outline", "park.gpkg"),
    )


def test_an_outline_beside_the_imagery_is_refused(tmp_path):
    landscape.write(tmp_path)
    gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs=4326).to_file(tmp_path / "far.gpkg")
    table = pd.DataFrame({"lon": [0.5], "lat": [0.5]})
    section = ImagerySection.model_validate(
        {
            "layers": [{"path": str(tmp_path / "image.tif"), "name": "rgb"}],
            "outline": str(tmp_path / "far.gpkg"),
        }
    )
    with pytest.raises(Exception, match="no pixel of the imagery lies inside the outline") as error:
        build_imagery(section, tmp_path / "stack.tif", places=lambda: table.to_numpy())
    assert type(error.value).__name__ == "ImageryError"
    assert not (tmp_path / "stack.tif").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            [("imagery.outline", "none.gpkg")],
            "{folder}/none.gpkg cannot be read (no such file); give a GeoPackage, GeoJSON, "
            "shapefile or GeoParquet (.gpkg, .geojson, .shp, .parquet)",
        ),
        (
            [("imagery.region", "a.gpkg"), ("imagery.outline", "auto")],
            "{folder}/tiny.yaml: `imagery`: `region` is the file 'a.gpkg', which is the outline "
            "too, and `outline` is 'auto'; leave one out, or give `region: [W, E, S, N]`",
        ),
        (
            [("imagery.region", "a.gpkg"), ("imagery.grid", {"crs": "EPSG:3577", "resolution": 1})],
            "{folder}/tiny.yaml: `imagery`: `region` is the file 'a.gpkg', and with `sources` or "
            "`grid` it must be [W, E, S, N] in degrees; give that, and the file as `outline`",
        ),
        (
            [("imagery.outline", " ")],
            "{folder}/tiny.yaml: `imagery.outline` is ' ': it must be auto, none, or a file of "
            "polygons",
        ),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, changes, sentence):
    landscape.write(tmp_path)
    refuses(tmp_path, "imagery", sentence.format(folder=tmp_path), *changes)


def test_a_map_of_other_countries_is_noted(straits):
    """New Guinea lies north of 9 degrees south, and is nearly all of the land here."""
    landscape.write_raster(
        straits / "map.tif",
        np.ones((1, 64, 64), np.float32),
        transform=from_origin(140, -5, 0.1, 0.1),
        nodata=np.nan,
    )
    table = pd.read_csv(straits / "plots.csv")
    note, facts = elsewhere(straits / "map.tif", lambda: table[["lon", "lat"]].to_numpy())
    assert facts["countries"] == ["Papua New Guinea", "Indonesia"]
    assert 0.4 < facts["share"] < 0.7
    assert note == (
        f"{facts['share']:.0%} of the map lies in countries without a plot (Papua New Guinea, "
        "Indonesia); `imagery.outline: auto` leaves them out, `imagery.outline: none` maps them "
        "without this note"
    )
    everywhere = np.array([[143, -12], [144, -6], [140.5, -6], [150, -45]])
    assert elsewhere(straits / "map.tif", lambda: everywhere) == ("", {})
    assert elsewhere(straits / "map.tif", lambda: everywhere[3:]) == ("", {})


def test_imagery_of_archives_in_an_outline(tmp_path):
    """In a run, and in `imagery build`, which has no run folder with the plots."""
    park = box(140, -22, 143, -20)
    tmp_path.joinpath("park.geojson").write_text(gpd.GeoSeries([park], crs=4326).to_json())
    settings = archive_run.settings(tmp_path, outline="park.geojson", year=2020)
    config = archive_run.write(tmp_path, settings)
    folder = Run(config).stage("imagery")
    build_years(load_config(config), tmp_path / "years", [2020])
    for path in (folder / "imagery.tif", tmp_path / "years" / "imagery_2020.tif"):
        with rasterio.open(path) as stack:
            wanted = stack.read_masks(1) > 0
        assert wanted[:20, :30].mean() > 0.95
        assert not wanted[20:].any()
        assert not wanted[:, 30:].any()
    assert (tmp_path / "years" / "composites" / "imagery_2020.tif").exists()
    assert Run(config).stages["chips"].sections[-3:] == (
        "imagery.chips", "imagery.years", "imagery.max_years",
    )  # fmt: skip
    assert "outline" not in load_config(config).imagery.chips, "chips do not depend on it"
    ended = spatioformer("check", config)
    assert "mapped inside park.geojson" in " ".join(ended.out.split())
