"""Sizes of tiles: the extent and spacing of the plots decide, in degrees or kilometres."""

import numpy as np
import pytest

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation.sizes import (
    Tile,
    curve_of,
    extent,
    rounded,
    split_tile,
    splittable,
    usual_tile,
)
from spatioformer.evaluation.splits import SpatialBlockKFold


def scattered(count: int, side: float, at=(10.0, 0.0), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, side, (count, 2)) + at


@pytest.mark.parametrize(
    ("value", "nearest"),
    [(0.9, 1.0), (1.3, 1.0), (1.5, 2.0), (3.3, 5.0), (7.2, 10.0), (0.0042, 0.005), (60, 50.0)],
)
def test_sizes_are_one_two_or_five_times_a_power_of_ten(value, nearest):
    assert rounded(value) == nearest


def test_the_extent_is_of_the_longer_side_and_crosses_180_degrees():
    places = np.array([[179.0, 0.0], [-179.0, 0.0], [180.0, 1.0]])
    assert extent(places) == pytest.approx(2 * np.cos(np.radians(0.5)))
    assert extent(np.array([[0.0, 60.0], [10.0, 60.0]])) == pytest.approx(5.0)
    assert extent(np.array([[5.0, 5.0]])) == 0.001


def test_a_continent_gets_degrees_and_a_valley_kilometres():
    assert usual_tile(scattered(3000, 35.0)) == Tile(1.0, "degrees")
    valley = usual_tile(scattered(100, 0.03))
    assert valley.unit == "km"
    assert valley.size in (0.2, 0.5)
    assert str(valley) == f"{valley.size:g} km"
    assert valley.degrees == pytest.approx(valley.size / 111.19, rel=1e-3)


def test_tiles_hold_several_sites_each_where_plots_are_few():
    places = scattered(100, 30.0)
    tile = usual_tile(places)
    tiles = SpatialBlockKFold(2, size=tile.size, unit=tile.unit).tiles(places)
    assert tile.size > 1
    assert 10 <= len(np.unique(tiles)) <= 100 / 1.5


def test_clustered_plots_get_tiles_small_enough_for_folds():
    centres = np.array([[0.0, 0.0], [40.0, 10.0], [20.0, 30.0]])
    places = np.concatenate([scattered(30, 0.5, at, i) for i, at in enumerate(centres)])
    tile = usual_tile(places)
    assert len(np.unique(SpatialBlockKFold(2, size=tile.size, unit=tile.unit).tiles(places))) >= 10


def test_tiles_are_widened_to_the_range():
    places = scattered(3000, 35.0)
    for reach, size in [(0.0, 1), (100.0, 1), (150.0, 2), (400.0, 5)]:
        choice = split_tile(places, reach, 5)
        assert choice.tile == Tile(size, "degrees")
        assert choice.usual == Tile(1.0, "degrees")
        assert choice.across_km >= reach
    assert str(split_tile(places, 150.0, 5)) == (
        "2°, because the residuals are correlated up to 150 km; by the plots' extent alone 1°"
    )
    assert str(split_tile(places, 100.0, 5)) == (
        "1°, by the plots' extent; the residuals are correlated up to 100 km"
    )


def test_tiles_stay_small_enough_for_even_folds():
    places = scattered(3000, 35.0)
    choice = split_tile(places, 5000.0, 5)
    tiles = SpatialBlockKFold(2, size=choice.tile.size, unit=choice.tile.unit).tiles(places)
    counts = np.bincount(tiles)
    assert len(counts) >= 20
    assert counts.max() <= 600
    assert str(choice).endswith("but larger tiles would leave too few or too uneven folds")
    crowded = np.concatenate([places[:100], scattered(2900, 1.9, (30.02, 30.02))])
    assert split_tile(crowded, 5000.0, 5).tile == usual_tile(crowded)


def test_groups_that_join_tiles_keep_them_small():
    places = scattered(3000, 35.0)
    halves = (places[:, 0] > places[:, 0].mean()).astype(int)
    assert split_tile(places, 400.0, 5, halves).tile == Tile(1.0, "degrees")


def test_an_unknown_range_keeps_the_usual_tiles():
    places = scattered(3000, 35.0)
    choice = split_tile(places, np.nan, 5)
    assert choice.tile == choice.usual
    assert str(choice) == "1°, by the plots' extent; the range of the residuals is not known"


def test_multiples_end_at_half_the_globe():
    assert [Tile(50, "degrees").times(k) for k in (0.5, 2, 4)] == [25, 100, 180]
    assert Tile(0.2, "km").times(8) == 1.6


def test_validation_tiles_shrink_until_there_are_two():
    places = np.array([[0.0, 0.0], [0.3, 0.0], [0.3, 0.1]]) + 0.05
    assert splittable(places, 1.0) == 0.25
    assert splittable(places, 0.2) == 0.2
    assert splittable(places, None) == usual_tile(places).degrees


def test_one_place_cannot_be_split():
    with pytest.raises(EvaluationError, match=r"5 plots lie at 1 place\(s\)"):
        splittable(np.full((5, 2), 10.5), 1.0)


def test_the_curve_has_sides_that_make_folds():
    places = scattered(150, 6.0)
    tile = usual_tile(places)
    sizes = curve_of(places, tile)
    assert sizes[:2] == (tile.size / 2, tile.size)
    tiles = {
        factor: len(
            np.unique(SpatialBlockKFold(2, size=tile.times(factor), unit=tile.unit).tiles(places))
        )
        for factor in (0.5, 1, 2, 4, 8)
    }
    assert sizes == tuple(tile.times(factor) for factor, count in tiles.items() if count >= 5)
    assert len(sizes) < 5, "the largest would make fewer tiles than folds"
