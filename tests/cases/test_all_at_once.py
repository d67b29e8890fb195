"""All mistakes of a configuration are listed before any work, each with its key and a remedy."""

import time

import pytest
import yaml

from spatioformer.config.file import load_config
from spatioformer.run.check import check_run, problems_of
from spatioformer.run.check_imagery import is_apart
from spatioformer.run.stages import STAGES
from tests.helpers import landscape
from tests.helpers.landscape import imagery, write_raster
from tests.helpers.tiny_run import assert_refused, spatioformer, write_config

pytestmark = pytest.mark.integration

LAYER = {"path": "image.tif", "name": "image", "band_names": ["red", "green", "blue"]}
COVARIATES = (
    "column 'height' (model.covariates, height) is not in plots.csv; its columns are 'plot', "
    "'lon', 'lat', 'richness', 'area'"
)
YEAR = (
    "no plot has a value of the covariate 'year'; name its column in `plots.columns` (date: ...), "
    "or leave it out of `model.covariates`"
)


@pytest.fixture
def project(tmp_path):
    return landscape.write(tmp_path).parent


def computed(folder):
    """Names in the run folder, but for what every run writes there first."""
    kept = (".stages", "run.log")
    return sorted(path.name for path in (folder / "run").glob("*") if path.name not in kept)


def test_every_mistake_is_listed_before_any_work(project):
    write_raster(project / "two.tif", imagery()[:2])
    write_raster(project / "plain.tif", imagery(), crs=None)
    config = write_config(
        project,
        ("plots.columns.lon", "east"),
        ("plots.columns.richness", "species"),
        ("plots.crs", "EPSG:999999"),
        (
            "imagery.layers",
            [LAYER, {"path": "two.tif", "name": "two", "bands": [1, 5]}]
            + [{"path": "plain.tif", "name": "plain"}, {"path": "none.tif", "name": "none"}],
        ),
        ("imagery.masks", [{"path": "mask.tif", "name": "water", "exclude": [1]}]),
        ("imagery.region", [0, 10, 0, 10]),
        ("model.covariates", {"height": None, "year": 2020}),
        ("truth", {"path": "t.tif", "noise_path": "n.tif"}),
    )
    ended = spatioformer("run", config)
    assert ended.code == 2
    assert computed(project) == ["config.resolved.yaml", "provenance.json"]
    first, *lines = ended.err.splitlines()
    assert first == f"spatioformer: 12 problems in {config}:"
    expected = [
        "plots.columns.lon: column 'east' (columns.lon) is not in plots.csv; its columns are "
        "'plot', 'lon', 'lat', 'richness', 'area'",
        "plots.columns.richness: column 'species' (columns.richness) is not in plots.csv; its "
        "columns are 'plot', 'lon', 'lat', 'richness', 'area'",
        "plots.crs: crs 'EPSG:999999' is unknown; give one such as 'EPSG:4326'",
        f"model.covariates.height: {COVARIATES}",
        f"model.covariates.year: {YEAR}",
        f"imagery.layers.1: layer two: band 5 is not in {project}/two.tif, which has bands 1 to 2; "
        "correct `bands`",
        f"imagery.layers.2: layer plain: {project}/plain.tif has no coordinate reference system; "
        "set `crs: EPSG:...` in the layer's configuration",
        f"imagery.layers.3: layer none: {project}/none.tif does not exist; correct its `path`",
        f"imagery.masks.0: layer water: {project}/mask.tif does not exist; correct its `path`",
        "imagery.region: the region W, E, S, N = [0.0, 10.0, 0.0, 10.0] lies outside the imagery, "
        "which covers [140.0, 146.4, -26.4, -20.0]; give a region inside it",
        f"truth.path: {project}/t.tif, given by `truth`, cannot be read",
        f"truth.noise_path: {project}/n.tif, given by `truth`, cannot be read",
    ]
    assert len(lines) == len(expected)
    for line, sentence in zip(lines, expected, strict=True):
        assert line.startswith(f"  {sentence}")


SINGLE = {
    "a covariate": ("model.covariates", {"height": 1.0}, COVARIATES),
    "a covariate without a column": ("model.covariates", {"year": None}, YEAR),
    "a region elsewhere": (
        "imagery.region",
        [0, 10, 0, 10],
        "the region W, E, S, N = [0.0, 10.0, 0.0, 10.0] lies outside the imagery, which covers "
        "[140.0, 146.4, -26.4, -20.0]; give a region inside it",
    ),
    "a grid of another place": (
        "imagery",
        {
            "layers": [LAYER],
            "region": [140, 146, -26, -20],
            "grid": {"crs": "EPSG:999999", "resolution": 1000},
        },
        "imagery.grid: crs 'EPSG:999999' is unknown; give one such as EPSG:4326",
    ),
    "a band name twice": (
        "imagery.layers",
        [LAYER, {**LAYER, "name": "again"}],
        "band name 'blue' occurs twice; set `band_names` in one layer",
    ),
    "a column": (
        "plots.columns.area_m2",
        "size",
        "column 'size' (columns.area_m2) is not in plots.csv; its columns are 'plot', 'lon', "
        "'lat', 'richness', 'area'",
    ),
    "a species file": (
        "plots",
        {
            "path": "plots.csv",
            "columns": {"plot_id": "plot", "lon": "lon", "lat": "lat"},
            "species": {"layout": "long", "path": "plots.csv", "species": "taxon"},
        },
        "column 'taxon' (species.species) is not in plots.csv; its columns are 'plot', 'lon', "
        "'lat', 'richness', 'area'",
    ),
}


@pytest.mark.parametrize("case", SINGLE)
def test_one_mistake_keeps_its_sentence_and_is_found_before_any_work(project, case):
    key, value, sentence = SINGLE[case]
    assert_refused(spatioformer("run", write_config(project, (key, value)), "--quiet"), sentence)
    assert computed(project) == ["config.resolved.yaml", "provenance.json"]


def test_a_mask_elsewhere(project):
    write_raster(project / "mask.tif", imagery()[0], transform=landscape_at(0, 0))
    config = write_config(
        project, ("imagery.masks", [{"path": "mask.tif", "name": "water", "exclude": [1]}])
    )
    assert_refused(
        spatioformer("imagery", config, "--quiet"),
        "mask water lies outside the imagery: it covers W, E, S, N = [0.0, 6.4, -6.4, 0.0], the "
        "imagery [140.0, 146.4, -26.4, -20.0]; check its file, or remove the mask",
    )


def landscape_at(west, north):
    from rasterio.transform import from_origin

    return from_origin(west, north, landscape.STEP, landscape.STEP)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("knndm", "use fewer folds or more sites"), ("regions", "use fewer regions")],
)
def test_too_few_plots_for_a_split_are_found_before_any_work(project, kind, remedy):
    split = {"name": "far", "kind": kind, "folds": 160}
    assert_refused(
        spatioformer("run", write_config(project, ("evaluate.splits", [split])), "--quiet"),
        "evaluate.splits, far: 150 plots make 150 separate site(s), too few for 160 folds; "
        f"{remedy}",
    )
    assert computed(project) == ["config.resolved.yaml", "provenance.json"]


def test_too_little_memory_for_any_map(project):
    assert_refused(
        spatioformer("run", write_config(project, ("map.memory", 0.01)), "--quiet"),
        "`map.memory` is 0.01 (GB): 10MB is below what a map takes before it reads any imagery "
        "(500MB); set `map.memory: 2`",
    )
    assert computed(project) == ["config.resolved.yaml", "provenance.json"]


def test_a_stage_asks_only_for_what_it_needs(project):
    """Plots can be read before there is any imagery, or a truth."""
    config = write_config(
        project,
        ("imagery.layers", [{**LAYER, "path": "none.tif"}]),
        ("truth", {"path": "t.tif", "noise_path": "n.tif"}),
    )
    assert spatioformer("plots", config, "--quiet").code == 0


def test_what_is_finished_is_not_asked_again(project):
    config = write_config(project)
    assert spatioformer("chips", config, "--quiet").code == 0
    settings = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(settings | {"title": "Another"}))
    assert spatioformer("chips", config, "--quiet").code == 0


def test_the_check_is_quick(project):
    config = load_config(write_config(project))
    check_run(config, "here", STAGES, project)  # imports
    started = time.perf_counter()
    check_run(config, "here", STAGES, project)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ((140, 146, -26, -20), (0, 6, -26, -20), True),
        ((140, 146, -26, -20), (140, 146, 0, 6), True),
        ((140, 146, -26, -20), (145, 150, -22, 0), False),
        ((-10, 30, 40, 50), (0, 360, 40, 50), False),
        ((-10, -5, 40, 50), (350, 355, 40, 50), False),
        ((-10, -5, 40, 50), (355, 359, 40, 50), True),
        ((170, -170, -10, 10), (-180, -175, -10, 10), False),
        ((170, -170, -10, 10), (0, 10, -10, 10), True),
        ((-180, 180, -90, 90), (10, 20, 0, 5), False),
        ((-180, 180, float("-inf"), 90), (10, 20, 95, 99), False),
    ],
)
def test_regions_apart(one, other, apart):
    assert is_apart(one, other) == is_apart(other, one) == apart


def crowd(project, places):
    """Write 40 plots: those at `places`, the others on a diagonal of the imagery."""
    import pandas as pd

    (project / "run").mkdir()

    spread = [(140.5 + i / 10, -20.5 - i / 10) for i in range(40 - len(places))]
    table = pd.DataFrame([*places, *spread], columns=["lon", "lat"])
    table = table.assign(plot=range(40), richness=range(40), area=100)
    table.to_csv(project / "plots.csv", index=False)


def test_a_crowded_site_is_found_before_any_work(project):
    crowd(project, [(142.25, -23.25)] * 25)
    split = {"name": "map", "kind": "knndm", "folds": 3}
    (project / "run").rmdir()
    assert_refused(
        spatioformer("run", write_config(project, ("evaluate.splits", [split])), "--quiet"),
        "evaluate.splits, map: 25 of 40 plots are at one site or in one group, the first at "
        "142.25, -23.25, so that a kNNDM fold would hold more than half of them; keep fewer of "
        "these plots, or use random folds or tiles",
    )
    assert computed(project) == ["config.resolved.yaml", "provenance.json"]


def test_a_crowded_site_outside_the_imagery_does_not_count(project):
    crowd(project, [(100.0, -23.25)] * 25)
    split = {"name": "map", "kind": "knndm", "folds": 3}
    config = write_config(
        project, ("evaluate.splits", [split]), ("model.patch", 3), ("plots.max_rejected", 0.9)
    )
    assert not problems_of(load_config(config), STAGES, project / "run")


@pytest.mark.parametrize("where", ["first", "all"])
def test_a_large_table_is_read_as_far_as_needed(project, monkeypatch, where):
    """Tiles of 3 degrees are too few in the first 10 rows; they suffice, or not, in all 60."""
    import pandas as pd

    from spatioformer.run import check

    (project / "run").mkdir()
    monkeypatch.setattr(check, "SMALL", 100)
    monkeypatch.setattr(check, "FIRST", 10)
    rows = []
    read = check._problems_of_splits
    monkeypatch.setattr(
        check, "_problems_of_splits", lambda *given: rows.append(given[2:]) or read(*given)
    )
    lon = [141.0 + i / 100 for i in range(60)]
    if where == "all":
        lon[30:] = [144.0 + i / 100 for i in range(30)]
    else:
        lon[::2] = [144.0 + i / 100 for i in range(30)]
    table = pd.DataFrame({"lon": lon, "lat": -21.0, "richness": 3, "plot": range(60), "area": 1})
    table.to_csv(project / "plots.csv", index=False)
    split = {"name": "far", "kind": "tiles", "folds": 2, "size": 3, "unit": "degrees"}
    config = write_config(
        project, ("evaluate.splits", [split]), ("evaluate.curve_sizes", []), ("model.patch", 3)
    )
    assert not problems_of(load_config(config), STAGES, project / "run")
    assert rows == [(10,)] if where == "first" else [(10,), ()]
    split["folds"] = 3
    config = write_config(
        project, ("evaluate.splits", [split]), ("evaluate.curve_sizes", []), ("model.patch", 3)
    )
    ((key, problem),) = problems_of(load_config(config), STAGES, project / "run")
    assert key == "evaluate"
    assert "60 plots make 2 tile(s) of 3 degrees, too few for 3 folds" in str(problem)
