"""Searches of a real STAC API on loopback, and the sentences about empty ones."""

import dataclasses
import json

import pytest

from spatioformer.archives.collections import collection_of
from spatioformer.archives.remote import RemoteError
from spatioformer.archives.search import empty_message, look_up, search
from spatioformer.common.errors import ConfigError, ImageryError
from tests.archives.embeddings.imitations import tessera_vectors, tessera_zone
from tests.helpers.catalogues import access_to, scene, source

REGION = (10.2, 10.4, 40.2, 40.4)
FIJI = (179.5, -179, -17.9, -17.1)


def at(api, **values):
    return source(**({"kind": "stac-api", "endpoint": api} | values))


def found(api, cache, region=REGION, year=2020, **values):
    section = at(api, **values)
    return look_up(section, collection_of(section), region, year, access_to(cache))


def days(result):
    return [f"{item.start:%Y-%m-%d}" for item in result.items]


def test_items_of_a_year_in_a_region(api, tmp_path):
    result = found(api, tmp_path)
    assert days(result) == ["2020-03-01", "2020-04-02", "2020-12-31"]
    assert result.older == 1
    assert result.items[0].id.endswith("20210310_02_T1")
    assert result.items[0].collection == "landsat-c2-l2"
    section = at(api)
    again = search(section, collection_of(section), REGION, 2020, access_to(tmp_path))
    assert again == list(result.items)


def test_seasons(api, tmp_path):
    assert days(found(api, tmp_path, season=("12-01", "02-28"))) == ["2020-12-31", "2021-01-01"]
    assert days(found(api, tmp_path, season=("04-01", "04-30"))) == ["2020-04-02"]


def test_cloud(api, tmp_path):
    result = found(api, tmp_path, max_cloud=0.5)
    # An item whose catalogue states no cloud stays.
    assert days(result) == ["2020-03-01", "2020-12-31"]
    assert (result.cloudy, result.least_cloud) == (1, 0.9)


def test_a_region_across_the_antimeridian(api, tmp_path):
    result = found(api, tmp_path, FIJI)
    assert [item.id[10:16] for item in result.items] == ["073072", "074072"]
    east_alone = found(api, tmp_path, (-179, -178.5, -17.9, -17.1))
    assert [item.id[10:16] for item in east_alone.items] == ["073072"]
    assert result.items[1].bbox == (179, -18, -179.5, -17)


def test_items_that_lack_a_quality_band(api, tmp_path):
    with pytest.raises(ImageryError) as error:
        found(api, tmp_path, year=2019)
    assert str(error.value) == (
        "imagery.sources[0]: 1 of 2 items lack the band qa_pixel (qa_pixel in the catalogue), for "
        "example LC05_L2SP_190031_20190301_20190310_02_T1; leave the band out of `bands`, or leave "
        "such items out with `on_error: skip`"
    )
    result = found(api, tmp_path, year=2019, on_error="skip")
    assert days(result) == ["2019-03-02"]
    assert result.lacking == (("LC05_L2SP_190031_20190301_20190310_02_T1", "qa_pixel"),)


def test_a_band_that_no_item_has(api, tmp_path):
    with pytest.raises(ImageryError, match=r"all items lack the band thermal .lwir11 or lwir in"):
        found(api, tmp_path, bands=("thermal",), on_error="skip")


def test_offline_repeats_what_was_asked(api, tmp_path):
    online = found(api, tmp_path)
    section = at(api)
    offline = access_to(tmp_path, offline=True)
    collection = collection_of(section)
    assert look_up(section, collection, REGION, 2020, offline) == online
    with pytest.raises(RemoteError, match=r"imagery.sources.0.*not in the cache"):
        look_up(section, collection, REGION, 2023, offline)


def test_a_season_of_yearly_images():
    section = source("ga_ls8cls9c_gm_cyear_3", season=("01-01", "03-31"))
    with pytest.raises(ConfigError, match="has one image a year, so `season` selects nothing"):
        look_up(section, collection_of(section), REGION, 2020, None)


def test_yearly_items_belong_to_the_year_of_their_middle(tmp_path):
    for year in (2019, 2020):
        raw = scene(f"gm{year}", f"{year}-07-01", (10, 40, 11, 41), bands=("nbart_red",))
        # A year of Australian time, as Universal Time.
        raw["properties"] |= {
            "start_datetime": f"{year - 1}-12-31T14:00:00Z",
            "end_datetime": f"{year}-12-31T13:59:59Z",
        }
        del raw["collection"]
        (tmp_path / f"{year}.json").write_text(json.dumps(raw))
    section = source(
        "ga_ls8cls9c_gm_cyear_3", kind="folder", endpoint=str(tmp_path), bands=("red",)
    )
    result = look_up(section, collection_of(section), REGION, 2020, access_to(tmp_path / "cache"))
    assert [item.id for item in result.items] == ["gm2020"]


def sentence(api, cache, region=REGION, year=2020, **values):
    section = at(api, **values)
    collection, access = collection_of(section), access_to(cache)
    result = look_up(section, collection, region, year, access)
    assert not result.items
    return empty_message(section, collection, region, year, access, result)


def test_an_empty_search_names_the_nearest_dates(api, tmp_path):
    assert sentence(api, tmp_path, year=2022) == (
        f"imagery.sources[0]: {api} has no item of landsat-c2-l2 in [10.2, 10.4, 40.2, 40.4] from "
        "2022-01-01 to 2022-12-31; the nearest dates there are 2021-01-01 and 2023-06-01"
    )
    assert sentence(api, tmp_path, year=2026).endswith("the nearest dates there are 2023-06-01")


def test_an_empty_search_names_the_collections(api, tmp_path):
    assert sentence(api, tmp_path, id="landsat-c2l2").endswith(
        "to 2020-12-31: it has the collections landsat-c2-l2, landsat-c2-l1; give one of them as "
        "`id`"
    )


def test_an_empty_search_of_cloud_and_of_place(api, tmp_path):
    assert sentence(api, tmp_path, season=("04-01", "04-30"), max_cloud=0.5).endswith(
        "with at most 50% of cloud: 1 have more, the least 90%; raise `max_cloud`"
    )
    assert sentence(api, tmp_path, region=(60, 61, 10, 11)).endswith(
        "nor within 5 years; check `region`: [W, E, S, N] in degrees"
    )


def test_an_unreachable_host(tmp_path):
    with pytest.raises(RemoteError) as error:
        found("http://127.0.0.1:9", tmp_path)
    assert str(error.value).startswith("imagery.sources[0]: cannot reach the host 127.0.0.1:9")
    assert "--offline" in str(error.value)


def test_a_host_that_is_not_permitted(api, tmp_path):
    section = at(api)
    access = dataclasses.replace(access_to(tmp_path), hosts=("stac.example.org",))
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1"):
        search(section, collection_of(section), REGION, 2020, access)


def test_a_store_of_embeddings(tmp_path):
    store = tmp_path / "store.zarr"
    tessera_zone(store, 55, 600_000.0, -3_900_000.0, {2020: tessera_vectors((40, 48), 1)})
    section = source("tessera", endpoint=str(store))
    collection, access = collection_of(section), access_to(tmp_path)
    result = look_up(section, collection, (148.1, 148.2, -35.3, -35.2), 2020, access)
    assert [item.id for item in result.items] == ["utm55-2020"]
    assert result.items[0].assets["T127"].number == 128
    with pytest.raises(ImageryError, match="holds no year 2017, but 2019, 2020, 2021"):
        look_up(section, collection, (148.1, 148.2, -35.3, -35.2), 2017, access)


def test_two_scenes_of_one_identifier(tmp_path):
    """Items that tools name by their date alone; only one of them would be read."""
    name = "LC08_L2SP_190031_20200301_20200310_02_T1"
    one = scene(name, "2020-03-01", (10, 40, 11, 41), root="https://a.org/one")
    (tmp_path / "one.json").write_text(json.dumps(one))
    (tmp_path / "copy.json").write_text(json.dumps(one))
    section = source(kind="folder", endpoint=str(tmp_path))
    asked = section, collection_of(section), REGION, 2020, access_to(tmp_path / "cache")
    assert len(search(*asked)) == 1
    other = scene(name, "2020-03-01", (10, 40, 11, 41), root="https://a.org/two")
    (tmp_path / "two.json").write_text(json.dumps(other))
    with pytest.raises(ImageryError, match=r"has two items with the id LC08.* and different files"):
        search(*asked)
