"""The answer of the catalogues in a file reads back to the same, and differences are counted."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from spatioformer.archives.answer import changes, identity, read_answer, write_answer
from spatioformer.archives.items import Asset, Item
from spatioformer.common.errors import ImageryError
from spatioformer.config.imagery import ImagerySection

MOMENT = datetime(2020, 3, 1, 1, 30, 5, 250_000, tzinfo=UTC)


def item(name: str, href: str = "https://a.org/x.tif", **properties: object) -> Item:
    return Item(
        name, "toy", MOMENT, MOMENT, (179.5, -20.0, -179.5, -19.0),
        {"red": Asset(href, 2, nodata=0.0, scale=0.1), "qa": Asset(href)},
        crs="EPSG:32760", transform=(10.0, 0.0, 5.0, 0.0, -10.0, 7.0), shape=(3, 4),
        properties=properties, href="https://a.org/items/x",
    )  # fmt: skip


def section(folder) -> ImagerySection:
    sources = [
        {"name": "far", "collection": "toy", "years": [2020]},
        {"name": "near", "collection": "toy", "years": [2020], "endpoint": str(folder / "scenes")},
    ]
    return ImagerySection.model_validate({"sources": sources, "region": [178, -178, -20, -18]})


def test_it_reads_back_to_the_same(tmp_path):
    (tmp_path / "scenes").mkdir()
    local = str(tmp_path / "scenes" / "a.tif")
    answer = {
        "far": {2020: (item("a", cloud=1.5, platform="x", tiles=[1, 2]), item("b")), 2021: ()},
        "near": {2020: (item("c", local),), 2021: ()},
    }
    write_answer(answer, section(tmp_path), tmp_path / "items.json")
    assert read_answer(section(tmp_path), tmp_path / "items.json") == answer
    assert changes(answer, read_answer(section(tmp_path), tmp_path / "items.json")) == []


def test_a_moved_catalogue_gives_the_same_bytes_and_other_paths(tmp_path):
    written = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "scenes").mkdir(parents=True)
        answer = {"near": {2020: (item("c", str(folder / "scenes" / "sub" / "c.tif")),)}}
        write_answer(answer, section(folder), folder / "items.json")
        written.append((folder / "items.json").read_bytes())
    assert written[0] == written[1]
    moved = read_answer(section(tmp_path / "two"), tmp_path / "one" / "items.json")
    assert moved["near"][2020][0].assets["red"].href == str(
        tmp_path / "two" / "scenes" / "sub" / "c.tif"
    )


def test_a_changed_local_file_is_another_answer(tmp_path):
    (tmp_path / "scenes").mkdir()
    path = tmp_path / "scenes" / "c.tif"
    answer = {"near": {2020: (item("c", str(path)),)}}
    contents = []
    for text in ("one", "longer"):
        path.write_text(text)
        write_answer(answer, section(tmp_path), tmp_path / "items.json")
        contents.append((tmp_path / "items.json").read_bytes())
    assert contents[0] != contents[1]
    assert list(json.loads(contents[1])["files"]["near"]) == ["./c.tif"]


def test_differences_are_counted_by_source_and_year():
    old = {"far": {2020: (item("a"), item("b"), item("c")), 2021: (item("z"),)}}
    new = {
        "far": {2020: (item("a"), item("b", updated="2021"), item("d"), item("e")),
                2021: (item("z"),)},
        "more": {2020: (item("a"),)},
    }  # fmt: skip
    assert changes(old, new) == [
        "far, 2020: 2 new, 1 gone, 1 changed", "more, 2020: 1 new"
    ]  # fmt: skip
    assert identity(item("a")) == identity(item("a"))
    assert identity(item("a")) != identity(replace(item("a"), shape=(3, 5)))


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"items": {"far": {"2020": [{"id": 1}]}}}'])
def test_a_damaged_answer_is_one_sentence(tmp_path, text):
    path = tmp_path / "items.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ImageryError, match=r"holds no items of a search; run with --refresh"):
        read_answer(section(tmp_path), path)
