"""The configurations in examples/ are valid and name what the tables of archives hold."""

from pathlib import Path

import pytest

from spatioformer.archives.collections import collection_of
from spatioformer.archives.opening import sources_of
from spatioformer.config.archives import MaskSourceSection
from spatioformer.config.file import load_config
from spatioformer.run.masks import check_mask
from spatioformer.run.sources import grid_of_sources

EXAMPLES = Path(__file__).parents[1] / "examples"
OF_ARCHIVES = {
    "alphaearth": ["alphaearth"],
    "dea": ["ga_ls8cls9c_gm_cyear_3", "ga_ls_fc_pc_cyear_3"],
    "landsat": ["landsat-c2-l2"],
    "predictors": ["copernicus-dem-90", "chelsa-bioclim", "soilgrids"],
    "sentinel2": ["sentinel-2-l2a"],
    "spatioformer_australia": ["ga_ls8cls9c_gm_cyear_3"],
}


@pytest.fixture(autouse=True)
def _data(monkeypatch):
    monkeypatch.setenv("SPATIOFORMER_DATA", "data")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_configuration(path):
    config = load_config(path)
    assert config.out.endswith(f"runs/{config.name}")


@pytest.mark.parametrize("name", OF_ARCHIVES)
def test_collections_bands_years_and_classes_exist(name):
    section = load_config(EXAMPLES / f"{name}.yaml").imagery
    sources = sources_of(section, offline=True)
    assert [source.collection.name for source in sources] == OF_ARCHIVES[name]
    for source in sources:
        years = source.section.every_year
        if years:
            first, last = source.collection.years
            assert first <= years[0]
            assert last is None or years[-1] <= last
        assert len(source.band_names) == len(set(source.band_names))
        assert source.read
        assert source.collection.attribution
        assert source.collection.endpoint.startswith("https://")
    for number, mask in enumerate(section.masks):
        assert isinstance(mask, MaskSourceSection)
        check_mask(mask, number, section.collections)
        assert collection_of(mask.source(2020)).kind == "classes"
    grid = grid_of_sources(section)
    assert grid.crs.to_epsg() == 3577


def test_the_study_has_its_bands_years_masks_and_trend():
    config = load_config(EXAMPLES / "spatioformer_australia.yaml")
    (source,) = sources_of(config.imagery, offline=True)
    bands = ["blue", "green", "red", "nir", "swir1", "swir2"]
    assert source.band_names == [f"landsat_{band}" for band in bands]
    assert source.composite == "none"
    assert config.map.every_year == tuple(range(2015, 2024))
    assert config.model.patch == 9
    assert config.imagery.masks[0].exclude == ("cropland", "water", "built-up")


def test_bands_of_composites_are_named_after_their_source():
    names = {
        name: [b for s in sources_of(load_config(EXAMPLES / f"{name}.yaml").imagery)
               for b in s.band_names]
        for name in OF_ARCHIVES
    }  # fmt: skip
    assert names["landsat"][-2:] == ["landsat_NDVI", "landsat_NDMI"]
    assert names["sentinel2"][:3] == ["s2_blue_p10", "s2_blue_p50", "s2_blue_p90"]
    assert (names["alphaearth"][0], names["alphaearth"][-1]) == ("aef_A00", "aef_A63")
