"""Legends of land cover: which codes a class name stands for."""

import pytest

from spatioformer.archives.collections import collection_of
from spatioformer.archives.legends import legend_of, legends, plain
from spatioformer.archives.rows import built_in
from spatioformer.common.errors import ConfigError
from spatioformer.config.archives import MaskSourceSection

PAPER = ["cropland", "water", "built-up"]
"""What the published study excludes."""


@pytest.mark.parametrize(
    ("legend", "codes"),
    [
        ("esa-worldcover", {40, 80, 50}),
        ("modis-mcd12q1", {12, 17, 13}),
        ("modis-mcd12q1-v5", {12, 0, 13}),
        ("dea-land-cover-level3", {111, 220, 215}),
        ("dea-land-cover-level4", {*range(1, 19), *range(98, 105), 93}),
    ],
)
def test_the_classes_of_the_study_have_codes_in_every_legend(legend, codes):
    assert set(legend_of(legend, "m").excluded(PAPER, "m")) == codes


@pytest.mark.parametrize(
    "name", ["Built-up", "built up", "BUILT_UP", " built-up ", "urban", "Urban"]
)
def test_case_and_signs_do_not_count(name):
    assert legend_of("esa-worldcover", "m").excluded([name], "m") == (50,)


def test_a_plural_is_the_same_name():
    legend = legend_of("modis-mcd12q1", "m")
    assert legend.excluded(["cropland", "Croplands"], "m") == (12,)
    assert legend.excluded(["Cropland/Natural Vegetation Mosaics"], "m") == (14,)


def test_a_name_of_a_nested_legend_stands_for_the_classes_below_it():
    legend = legend_of("dea-land-cover-level4", "m")
    assert legend.excluded(["Natural Terrestrial Vegetated"], "m") == tuple(range(19, 37))
    woody = legend.excluded(["Natural Terrestrial Vegetated: Woody"], "m")
    assert woody == (20, 27, 28, 29, 30, 31)


def test_codes_and_names_may_be_mixed():
    assert legend_of("esa-worldcover", "m").excluded([95, "water", 0], "m") == (0, 80, 95)


@pytest.mark.parametrize(
    ("exclude", "words"),
    [
        ("croplnd", "did you mean Cropland?"),
        ("swimming pool", "it has Tree cover, Shrubland"),
        (12, "the code 12, which ESA WorldCover, 2020 .* does not have; it has 10, 20"),
    ],
)
def test_an_unknown_class_is_refused_with_a_remedy(exclude, words):
    with pytest.raises(ConfigError, match=f"mask m: `exclude` .*{words}"):
        legend_of("esa-worldcover", "mask m").excluded([exclude], "mask m")


def test_an_unknown_legend_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="'worldcover' is not known; did you mean esa-worldcover"):
        legend_of("worldcover", "m")


def test_codes_of_another_version_are_found():
    legend = legend_of("modis-mcd12q1", "m")
    legend.check_codes([1, 17, 255], "m")
    with pytest.raises(ConfigError, match=r"holds the code 0, .* fits the legend modis-mcd12q1-v5"):
        legend.check_codes([0, 1, 12], "m")


def test_the_table_holds_no_name_twice():
    for legend in legends().values():
        names = [plain(title) for title in legend.classes.values()]
        assert len(set(names)) == len(names), legend.name
        assert legend.nodata not in legend.classes
        assert all(set(codes) <= set(legend.classes) for codes in legend.also.values())
        assert legend.source.startswith("https://")


def test_every_collection_of_classes_has_a_legend_and_one_band():
    found = []
    for name, row in built_in().items():
        assert (row.kind == "classes") == (row.legend is not None), name
        if row.legend is not None:
            legend = legend_of(row.legend, name)
            mask = MaskSourceSection(collection=name, exclude=PAPER)
            collection = collection_of(mask.source(2020))
            assert len(collection.bands) == 1
            assert collection.bands[0].nodata == legend.nodata
            found.append(name)
    assert found == ["esa-worldcover", "dea-land-cover-level3", "dea-land-cover-level4"]
