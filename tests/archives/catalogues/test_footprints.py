"""Where items lie, also at the antimeridian."""

import pytest

from spatioformer.archives.catalogues.footprints import bounds_of, touching
from spatioformer.archives.catalogues.query import boxes_of
from tests.helpers.catalogues import outline, scene

FIJI = boxes_of((177, -178, -20, -15))


def placed(bbox, geometry=None):
    return {"id": "a", "bbox": bbox, "geometry": geometry}


ACROSS_WRONG = {
    "type": "Polygon",
    "coordinates": [[[179, -18], [-179.5, -18], [-179.5, -17], [179, -17], [179, -18]]],
}
"""A scene at the antimeridian whose outline is drawn round the rest of the globe."""
GLOBE = outline((-180, -90, 180, 90))


@pytest.mark.parametrize(
    ("raw", "bounds"),
    [
        (placed([10, 40, 11, 41]), (10, 40, 11, 41)),
        (placed([10, 40, 0, 11, 41, 900]), (10, 40, 11, 41)),
        (placed([179, -18, -179.5, -17]), (179, -18, -179.5, -17)),
        (placed([179, -18, 180.5, -17]), (179, -18, -179.5, -17)),
        (placed([-181, -18, -179.5, -17]), (179, -18, -179.5, -17)),
        (placed([-179.5, -18, 179, -17], ACROSS_WRONG), (179, -18, -179.5, -17)),
        (placed([-180, -18, 180, -17], outline((179, -18, -179.5, -17))), (179, -18, -179.5, -17)),
        (placed([-180, -90, 180, 90], GLOBE), (-180, -90, 180, 90)),
        (placed(None, outline((10, 40, 11, 41))), (10, 40, 11, 41)),
        # Bounding boxes that are wrong: a part, a point, too large, east and west exchanged.
        (placed([10, 40, 10.1, 40.1], outline((10, 40, 11, 41))), (10, 40, 11, 41)),
        (placed([10.5, 40, 12, 40.5], outline((10, 40, 11, 41))), (10, 40, 12, 41)),
        (placed([0, 0, 0, 0], outline((10, 40, 11, 41))), (10, 40, 11, 41)),
        (placed([9, 40, 12, 41], outline((10, 40, 11, 41))), (9, 40, 12, 41)),
        (placed([11, 40, 10, 41], outline((10, 40, 11, 41))), (10, 40, 11, 41)),
        # Right ones whose footprint is rounded, or drawn on one side alone.
        (placed([10, 40, 11, 41], outline((9.9999, 40, 11, 41))), (10, 40, 11, 41)),
        (placed([179, -18, -179.5, -17], outline((179, -18, 179.9, -17))), (179, -18, -179.5, -17)),
        (placed([179, -18, -179, -17], outline((-179.9, -18, -179.1, -17))), (179, -18, -179, -17)),
    ],
)
def test_bounds(raw, bounds):
    assert bounds_of(raw) == pytest.approx(bounds)


def test_what_is_no_place():
    with pytest.raises(ValueError, match="not in degrees"):
        bounds_of(placed([500000, 4600000, 600000, 4700000]))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (placed([40, 10, 41, 11], outline((10, 40, 11, 41))), r"the bbox \[40.0, .* lies apart"),
        (placed(None), "NoneType"),
        (placed([10, 40, 11, 41], {"type": "Polygon", "coordinates": [[1]]}), "is no GeoJSON"),
    ],
)
def test_places_that_contradict_themselves(raw, sentence):
    """Latitude and longitude exchanged: the item would never be read, and nobody would know."""
    with pytest.raises((ValueError, TypeError), match=sentence):
        touching([raw], boxes_of((10, 11, 40, 41)))


def test_touching_needs_an_area():
    box = boxes_of((10, 11, 40, 41))
    inside = scene("in", "2020-01-01", (10.5, 40.5, 12, 42))
    beside = scene("edge", "2020-01-01", (11, 40, 12, 41))
    tilted = scene("tilted", "2020-01-01", (9, 39, 12, 42))
    # The bounds of a tilted scene hold the box, its outline does not.
    tilted["geometry"]["coordinates"] = [[[9, 39], [12, 39], [12, 39.5], [9, 42], [9, 39]]]
    far = scene("far", "2020-01-01", (9, 39, 12, 42))
    far["geometry"]["coordinates"] = [[[9, 39], [9.5, 39], [9, 42], [9, 39]]]
    no_outline = placed([10.5, 40.5, 12, 42])
    hit = touching([inside, beside, tilted, far, no_outline], box)
    assert list(hit) == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("raw", "hit"),
    [
        (placed([-179.5, -18, 179, -17], ACROSS_WRONG), True),
        (scene("a", "2020-01-01", (179, -18, -179.5, -17)), True),
        (placed([179, -18, 180.5, -17]), True),
        (scene("b", "2020-01-01", (177.5, -18, 178, -17)), True),
        (scene("c", "2020-01-01", (-179, -18, -178.5, -17)), True),
        (scene("d", "2020-01-01", (-170, -18, -169, -17)), False),
        (scene("e", "2020-01-01", (0, -18, 1, -17)), False),
    ],
)
def test_touching_across_the_antimeridian(raw, hit):
    assert list(touching([raw], FIJI)) == [hit]
    assert list(touching([raw], boxes_of((10, 11, 40, 41)))) == [False]


def test_touching_beyond_the_antimeridian_alone():
    across = scene("a", "2020-01-01", (179, -18, -179.5, -17))
    bare = placed([179, -18, 180.5, -17])
    for region, hit in (((-180, -179.7, -18, -17), True), ((-179.4, -179, -18, -17), False)):
        assert list(touching([across, bare], boxes_of(region))) == [hit, hit]
    assert list(touching([across, bare], boxes_of((178, 179.5, -18, -17)))) == [True, True]


def test_no_items():
    assert len(touching([], FIJI)) == 0
