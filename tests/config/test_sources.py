"""`imagery.sources` and `map.years`: what is taken, what is refused, and what records see of it."""

from typing import Any

import pytest

from spatioformer.common.errors import ConfigError
from spatioformer.config.file import build_config, load_config, to_yaml
from spatioformer.config.schema import RunConfig
from tests.helpers import landscape
from tests.helpers.tiny_run import write_config

SOURCE = {"name": "dea", "collection": "ga_ls8cls9c_gm_cyear_3", "years": [2015, 2023]}
REGION = [140, 144, -24, -20]


def imagery(*changes: tuple[str, Any], source: dict[str, Any] | None = None) -> dict[str, Any]:
    """A section with one source; `source` is laid over it, `changes` over the section."""
    values: dict[str, Any] = {"sources": [SOURCE | (source or {})], "region": REGION}
    return values | dict(changes)


def build(tmp_path, section: dict[str, Any], **others: Any) -> RunConfig:
    return build_config(landscape.settings(tmp_path) | {"imagery": section} | others, "here",
                        tmp_path)  # fmt: skip


def test_a_source_alone_needs_only_a_region(tmp_path):
    section = build(tmp_path, imagery()).imagery
    assert section.layers == ()
    assert section.years == tuple(range(2015, 2024))
    assert section.map_year == 2023
    assert section.max_years == 1
    assert build(tmp_path, imagery(("year", 2017))).imagery.map_year == 2017
    alone = build(tmp_path, imagery(source={"years": 2020})).imagery
    assert alone.sources[0].years == (2020,)
    listed = build(tmp_path, imagery(source={"years": [2015, 2018, 2023]})).imagery
    assert listed.years == (2015, 2018, 2023)


def test_the_years_are_those_that_all_sources_have(tmp_path):
    other = {"name": "s2", "collection": "x", "years": [2019, 2025], "max_years": 0}
    section = build(tmp_path, imagery(("sources", [SOURCE, other]))).imagery
    assert section.years == (2019, 2020, 2021, 2022, 2023)
    assert section.max_years == 0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "`imagery`: it needs `layers`, your rasters, or `sources`, those of archives"),
    (
        {"sources": [SOURCE]},
        "`imagery`: `sources` alone have no extent; give `region: [W, E, S, N]` in degrees, and "
        'for a grid of your own grid: {crs: "EPSG:3577", resolution: 30}',
    ),
    (
        imagery(("region", [112, 154, -44, -10])),
        "`imagery`: the region is 42 degrees wide, and a UTM zone has 6; choose a CRS for it and a "
        'resolution, for example grid: {crs: "EPSG:3577", resolution: 30}',
    ),
    (
        imagery(("sources", [SOURCE, SOURCE])),
        "`imagery.sources` is [{'name': 'dea', 'collection': 'ga_ls8cls9c_gm_cyear_3', 'years': "
        "[2015, 2023...: the name 'dea' repeats; give each source a name of its own",
    ),
    (
        imagery(("year", 2024)),
        "`imagery`: `year` is 2024, and the sources have 2015 to 2023 in common; choose one of "
        "these",
    ),
    (
        imagery(("sources", [SOURCE, SOURCE | {"name": "old", "years": [1999, 2001]}])),
        "`imagery`: the sources have no year in common (dea: 2015 to 2023, old: 1999 to 2001); "
        "give them years that overlap",
    ),
    (
        {"layers": [{"path": "image.tif", "name": "image"}], "year": 2020},
        "`imagery`: `year` belongs to `sources`, and there are none; remove it",
    ),
    (
        imagery(source={"years": [2023, 2015]}),
        "`imagery.sources.0.years` is [2023, 2015]: years rise; give the first and the last, or "
        "every year in order",
    ),
    (
        imagery(source={"years": [1950]}),
        "`imagery.sources.0.years.0` is 1950: it must be greater than or equal to 1972",
    ),
    (
        imagery(source={"season": ["02-30", "03-31"]}),
        "`imagery.sources.0.season` is ['02-30', '03-31']: '02-30' is not a day written MM-DD; "
        'give the first and the last day, such as ["10-01", "03-31"]',
    ),
    (
        imagery(source={"percentiles": [5]}),
        "`imagery.sources.0`: `percentiles` belong to `composite: percentiles`; set that too",
    ),
    (
        imagery(source={"composite": "median", "deviations": True}),
        "`imagery.sources.0`: `deviations` are those of the geometric median, and `composite` is "
        "median; set `composite: geomedian`, or leave `deviations` out",
    ),
    (
        imagery(source={"kind": "stac-geoparquet"}),
        "`imagery.sources.0`: `kind: stac-geoparquet` needs `endpoint`, the address or path of "
        "that catalogue; add it, or leave `kind` out",
    ),
    (
        imagery(source={"endpoint": "s3://bucket/x"}),
        "`imagery.sources.0.endpoint` is 's3://bucket/x': an address begins with https:// or "
        "http://; give that one",
    ),
    (
        imagery(source={"hosts": ["https://a.org"]}),
        "`imagery.sources.0.hosts` is ['https://a.org']: 'https://a.org' is not the name of a "
        "host; give one such as data.example.org, or *.example.org for all below it",
    ),
    (
        imagery(source={"offest": "auto"}),
        "unknown key `imagery.sources.0.offest`; did you mean `offset`",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("section", "sentence"), WRONG)
def test_a_wrong_source_is_one_sentence(tmp_path, section, sentence):
    with pytest.raises(ConfigError) as error:
        build(tmp_path, section)
    assert str(error.value) == f"here: {sentence}"


def test_problems_are_listed_at_once(tmp_path):
    wrong = imagery(source={"years": [2023, 2015], "season": ["1-1", "2-2"], "min_clear": 0})
    with pytest.raises(ConfigError, match=r"^3 problems in here:\n.*years.*\n.*season.*\n.*clear"):
        build(tmp_path, wrong)


def test_a_region_may_cross_the_antimeridian_with_sources_alone(tmp_path):
    crossing = [178, -178, -20, -15]
    assert build(tmp_path, imagery(("region", crossing))).imagery.region == (178, -178, -20, -15)
    layers = landscape.settings(tmp_path)["imagery"]["layers"]
    for section in ({"layers": layers}, imagery(("layers", layers))):
        with pytest.raises(ConfigError, match="it must be \\[W, E, S, N\\] in degrees with W < E"):
            build(tmp_path, section | {"region": crossing})
    for region in ([178, -182, -20, -15], [5, 5, -20, -15], [178, -178, -15, -20]):
        with pytest.raises(ConfigError, match="it must be \\[W, E, S, N\\] in degrees with W < E"):
            build(tmp_path, imagery(("region", region)))


def test_paths_become_absolute_and_addresses_stay(tmp_path):
    values = imagery(
        ("collections", "more.yaml"),
        ("cache", {"path": "kept"}),
        ("sources", [SOURCE | {"endpoint": "https://a.org/stac"},
                     SOURCE | {"name": "local", "endpoint": "items.parquet"}]),
    )  # fmt: skip
    section = build(tmp_path, values).imagery
    assert section.sources[0].endpoint == "https://a.org/stac"
    assert section.sources[1].endpoint == str(tmp_path / "items.parquet")
    assert section.collections == str(tmp_path / "more.yaml")
    assert section.cache.path == str(tmp_path / "kept")


def test_the_resolved_file_reads_back_to_the_same(tmp_path):
    config = build(
        tmp_path,
        imagery(("year", 2016), source={"season": ["10-01", "03-31"], "percentiles": [5],
                                        "composite": "percentiles", "max_cloud": 0.5}),
        map={"model": "spatioformer", "years": [2015, 2018]},
    )  # fmt: skip
    (tmp_path / "again.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert load_config(tmp_path / "again.yaml") == config
    assert config.map.every_year == (2015, 2016, 2017, 2018)


def test_without_sources_nothing_of_them_is_written(tmp_path):
    """So that fingerprints and resolved files of runs on layers alone stay as they were."""
    config = load_config(write_config(tmp_path))
    assert list(config.plain("imagery")) == ["layers", "region", "grid", "masks", "trust"]
    text = to_yaml(config)
    assert not [key for key in ("sources", "cache", "collections", "year") if f" {key}:" in text]


def test_a_fingerprint_leaves_out_what_changes_no_pixel(tmp_path):
    one = build(tmp_path, imagery(("cache", {"gb": 3}), source={"max_years": 4}))
    assert one.plain("imagery") == build(tmp_path, imagery()).plain("imagery")
    assert one.plain("imagery.search") == build(tmp_path, imagery()).plain("imagery.search")
    buffered = build(tmp_path, imagery(source={"buffer": 2}))
    assert buffered.plain("imagery") != one.plain("imagery")
    assert buffered.plain("imagery.search") == one.plain("imagery.search")


@pytest.mark.parametrize(
    ("section", "years", "sentence"),
    [
        (
            None, [2015, 2017],
            "`map.years` needs `imagery.sources`, from which each year's imagery is made; to map "
            "years of your own rasters run `spatioformer years`",
        ),
        (
            imagery(), [2014, 2017],
            "`map.years` holds 2014, and the sources have 2015 to 2023 in common; choose years of "
            "these, or widen `years` of the sources",
        ),
    ],
)  # fmt: skip
def test_years_of_maps_need_imagery(tmp_path, section, years, sentence):
    section = section or landscape.settings(tmp_path)["imagery"]
    with pytest.raises(ConfigError) as error:
        build(tmp_path, section, map={"model": "spatioformer", "years": years})
    assert str(error.value) == f"here: {sentence}"


def test_networks_that_do_not_normalise_are_not_given_reflectances_from_0_to_1(tmp_path):
    values = landscape.settings(tmp_path) | {"imagery": imagery()}
    values.pop("evaluate", None)
    config = build_config(values, "here", tmp_path)
    assert "spatioformer" in config.evaluate.models
    assert not any("published" in name for name in config.models)
    named = {"models": ["spatioformer-published", "random-forest"]}
    with pytest.raises(ConfigError, match=r"spatioformer-published takes reflectance x 10,000 as"):
        build_config(values | {"evaluate": named}, "here", tmp_path)
