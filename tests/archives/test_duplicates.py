"""Of several processings of a scene the newest stays, and nothing else is lost."""

from datetime import UTC, datetime
from typing import Any

from spatioformer.archives.duplicates import newest
from spatioformer.archives.items import Item

DAY = datetime(2020, 3, 1, tzinfo=UTC)


def item(name: str, **properties: Any) -> Item:
    return Item(name, "c", DAY, DAY, (0, 0, 1, 1), {}, properties=properties)


def kept(*items: Item) -> tuple[list[str], int]:
    found, dropped = newest(items)
    return [one.id for one in found], dropped


def test_sentinel_baselines():
    old = "S2A_MSIL2A_20200301T104021_N0214_R008_T31UFU_20200301T131500"
    new = "S2A_MSIL2A_20200301T104021_N0500_R008_T31UFU_20230401T101010"
    other = "S2A_MSIL2A_20200301T104021_N0214_R008_T31UFT_20200301T131500"
    assert kept(item(old), item(new), item(other)) == ([new, other], 1)


def test_parts_of_a_tile_with_one_baseline_stay():
    one = "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022157"
    other = "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022158"
    assert kept(item(one), item(other)) == ([one, other], 0)


def test_sentinel_items_of_earth_search():
    def of(name: str, baseline: str) -> Item:
        uri = f"S2A_MSIL2A_20200301T104021_N{baseline}_R008_T31UFU_20200301T131500.SAFE"
        return item(name, **{"s2:product_uri": uri})

    assert kept(of("S2A_31UFU_20200301_0_L2A", "0214"), of("S2A_31UFU_20200301_1_L2A", "0500")) == (
        ["S2A_31UFU_20200301_1_L2A"],
        1,
    )

    def without(name: str, baseline: str) -> Item:
        return item(
            name,
            platform="sentinel-2a",
            **{
                "s2:datatake_id": f"GS2A_20200301T104021_024505_N{baseline}",
                "grid:code": "MGRS-31UFU",
            },
        )

    assert kept(without("a", "05.00"), without("b", "02.14")) == (["a"], 1)


def test_landsat_processings():
    names = [
        "LC08_L2SP_047027_20201204_20210313_02_T1",
        "LC08_L2SP_047027_20201204_20220101_02_T1",
        "LC08_L2SR_047027_20201204_20230101_02_T1",
        "LC08_L2SP_047027_20201204_20240101_02_RT",
        "LC09_L2SP_047027_20201204_20210313_02_T1",
        "LC08_L2SP_047028_20201204_20210313_02_T1_SR",
    ]
    assert kept(*map(item, names)) == ([names[1], names[4], names[5]], 3)


def test_versions_of_digital_earth_and_others():
    def of(name: str, version: str, maturity: str = "final") -> Item:
        stated = {"odc:product": "gm", "odc:region_code": "x1y1", "dea:dataset_maturity": maturity}
        return item(name, **stated, **{"odc:dataset_version": version})

    assert kept(of("a", "3.9.0"), of("b", "3.10.0"), of("c", "3.10.0", "interim")) == (["b"], 2)
    hls = [item("HLS.S30.T19LDD.2022166T144741.v1.5"), item("HLS.S30.T19LDD.2022166T144741.v2.0")]
    assert kept(*hls) == (["HLS.S30.T19LDD.2022166T144741.v2.0"], 1)


def test_one_identifier_counts_once():
    assert kept(item("a"), item("a"), item("b")) == (["a", "b"], 0)
