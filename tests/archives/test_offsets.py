"""The offset of Sentinel-2: dark pixels against what the catalogue claims."""

from dataclasses import replace

import numpy as np
import pytest
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.offsets import Verdict, claimed, judged, verdict
from spatioformer.archives.scenes import SceneReader
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.write import offsets
from spatioformer.geo.grid import Grid
from tests.archives.test_stack import Lines
from tests.helpers.scenes import COLLECTION, CORNER, UTM55, source, write_scene

CLAIM = "earthsearch:boa_offset_applied"
SENTINEL = replace(
    COLLECTION,
    masks=(),
    offset_claim=CLAIM,
    bands=tuple(replace(band, offset=-0.1) for band in COLLECTION.bands),
)
FIELDS = {"blue": (250, 900), "green": (400, 1200), "red": (250, 1600), "swir2": (400, 3000)}
"""Lowest and highest reflectance x 10,000 of a scene of fields, as in summer scenes of France."""
DESERT = {"blue": (1100, 1800), "green": (1800, 2600), "red": (2500, 3600), "swir2": (3500, 5000)}
OLD, NEW = {"s2:processing_baseline": "02.14"}, {"s2:processing_baseline": "05.09"}


def scene(ranges, offset: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        name: (rng.integers(low, high, (128, 128)) + offset).astype(np.uint16)
        for name, (low, high) in ranges.items()
    }


@pytest.mark.parametrize(
    ("ranges", "offset", "expected"),
    [(FIELDS, 0, False), (FIELDS, 1000, True), (DESERT, 0, None), (DESERT, 1000, None)],
)
def test_dark_land_tells_and_deserts_do_not(ranges, offset, expected):
    assert judged({k: v.ravel() for k, v in scene(ranges, offset).items()}) is expected


def test_one_band_with_numbers_under_the_offset_is_enough():
    numbers = {"blue": np.full(1000, 1100), "red": np.r_[np.full(990, 1100), np.full(10, 500)]}
    assert judged(numbers) is False
    assert judged({}) is None


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (OLD, False),
        (NEW, True),
        (NEW | {CLAIM: True}, False),
        (NEW | {CLAIM: False}, True),
        (OLD | {CLAIM: False}, False),
        ({}, None),
        ({"s2:processing_baseline": "?"}, None),
        ({"processing:version": "04.00"}, True),
    ],
)
def test_what_a_catalogue_claims(tmp_path, properties, expected):
    item = write_scene(tmp_path, "a", {"red": np.ones((4, 4), np.uint16)}, properties=properties)
    assert claimed(item, CLAIM) is expected


CASES = [
    # rule, offset in the file, claim, what is subtracted, disagree
    ("auto", 1000, NEW | {CLAIM: True}, True, True),  # the catalogue says it had removed it
    ("auto", 0, NEW | {CLAIM: False}, False, True),
    ("auto", 1000, OLD, True, True),  # an old scene processed anew
    ("auto", 0, NEW | {CLAIM: True}, False, False),
    ("auto", 1000, {}, True, False),
    ("metadata", 1000, NEW | {CLAIM: True}, False, False),
    ("metadata", 0, NEW, True, False),
    ("none", 1000, NEW, False, False),
]


@pytest.mark.parametrize(("rule", "offset", "properties", "carried", "disagree"), CASES)
def test_the_rule_decides(tmp_path, rule, offset, properties, carried, disagree):
    bands = scene(FIELDS, offset)
    item = write_scene(tmp_path, "a", bands, properties=properties)
    of = source([item], SENTINEL, bands=["red"], offset=rule)
    found = verdict(item, of)
    assert (found.carried, found.disagree) == (carried, disagree)
    grid = Grid(CRS.from_user_input(UTM55), CORNER, 128, 128)
    out = SceneReader(of, grid).read(item, Window(0, 0, 128, 128))[0]
    expected = bands["red"] * 0.0001 - (0.1 if carried else 0)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-7)


def test_a_bright_scene_is_as_the_catalogue_says(tmp_path):
    for properties, carried in ((NEW, True), (OLD, False)):
        item = write_scene(tmp_path, f"d{carried}", scene(DESERT, 0), properties=properties)
        of = source([item], SENTINEL, bands=["red"])
        assert verdict(item, of) == Verdict(carried, carried, None)


def test_items_of_which_nothing_is_known_are_named(tmp_path):
    """A folder of bright scenes without metadata: .1 of reflectance may be too much."""
    items = [
        write_scene(tmp_path, name, scene(ranges, 0), properties=properties)
        for name, ranges, properties in (
            *(("bright", DESERT, {}), ("dark", FIELDS, {}), ("known", DESERT, NEW)),
            ("wrong", FIELDS, NEW),
        )
    ]
    grid = Grid(CRS.from_user_input(UTM55), CORNER, 128, 128)
    for rule, unknown in (("auto", "1 of 4 items of 2021 (bright)"), ("none", None)):
        console = Lines()
        of = source(items, SENTINEL, bands=["red"], offset=rule)
        found = offsets(SourceStack((of,), grid), 2021, console)
        assert found == ({"s": {"wrong": "kept"}} if unknown else {})
        said = [line for line in console.lines if "neither the catalogue" in line]
        assert len(said) == bool(unknown)
        assert not unknown or f"of {unknown} carry the offset of 1000; they are taken" in said[0]


def test_a_large_file_without_overviews_is_sampled_in_pieces(tmp_path):
    rng = np.random.default_rng(1)
    values = rng.integers(1200, 2500, (1500, 900)).astype(np.uint16)
    item = write_scene(tmp_path, "big", {"red": values, "blue": values})
    of = source([item], SENTINEL, bands=["red"])
    assert verdict(item, of).seen is True
