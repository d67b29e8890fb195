"""Folds in space: partitions, sites, tiles with known edges, balance, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import cross_val_predict

from spatioformer.common.earth import S2_KM_PER_DEGREE
from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import splits
from spatioformer.evaluation.splits import (
    BufferedKFold,
    DegenerateFolds,
    LeaveRegionOut,
    RandomKFold,
    SpatialBlockKFold,
)
from spatioformer.evaluation.units import deal, overlapping, sites


def random_plots(seed: int, n: int = 120) -> np.ndarray:
    """Clustered plots, a third of them visited twice."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform([-180, -60], [180, 60], (15, 2))
    plots = centres[rng.integers(15, size=n)] + rng.normal(0, 1.5, (n, 2))
    plots[:, 0] = (plots[:, 0] + 180) % 360 - 180
    plots[-n // 3 :] = plots[: n // 3]
    return plots


SPLITTERS = [
    RandomKFold(4, seed=3),
    SpatialBlockKFold(4, size=2.0, seed=3),
    SpatialBlockKFold(4, size=150.0, unit="km", seed=3),
    LeaveRegionOut(4, seed=3),
]


def great_circle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kilometres between all pairs of lon/lat by the haversine formula, (n, m)."""
    lon, lat = np.radians(a).T
    lon2, lat2 = np.radians(b).T
    h = (
        np.sin((lat[:, None] - lat2) / 2) ** 2
        + np.cos(lat)[:, None] * np.cos(lat2) * np.sin((lon[:, None] - lon2) / 2) ** 2
    )
    return 2 * 6371.01 * np.arcsin(np.sqrt(np.minimum(1, h)))


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
@pytest.mark.filterwarnings("ignore::spatioformer.evaluation.splits.DegenerateFolds")
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_folds_are_a_partition_by_sites(splitter, seed):
    plots = random_plots(seed)
    folds = list(splitter.split(plots))
    assert len(folds) == splitter.get_n_splits(plots) == 4
    held_out = np.concatenate([test for _, test in folds])
    assert sorted(held_out) == list(range(len(plots)))
    for train, test in folds:
        assert len(test) > 0
        assert sorted([*train, *test]) == list(range(len(plots)))
        assert not set(map(tuple, plots[train])) & set(map(tuple, plots[test]))


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_seed_decides_and_repeats(splitter):
    plots = random_plots(1)
    again = type(splitter)(**vars(splitter))
    other = type(splitter)(**{**vars(splitter), "seed": 4})
    assert np.array_equal(splitter.assign(plots), again.assign(plots))
    assert not np.array_equal(splitter.assign(plots), other.assign(plots))


def test_repeats_straddle_only_when_asked():
    plots = random_plots(3)
    train, test = next(RandomKFold(4, keep_sites=False).split(plots))
    assert set(map(tuple, plots[train])) & set(map(tuple, plots[test]))


def test_chips_overlap_when_both_axes_are_within_a_side():
    side = 9.0
    places = [[0, 0], [8, 8], [16, 8], [16, 17], [0, 9], [30, 0], [0, 0]]
    # 0-1-2 chain; 4 only touches 0 but overlaps 1; 3 only touches 2; 5 is alone
    assert overlapping(places, side).tolist() == [0, 0, 0, 1, 0, 2, 0]
    with pytest.raises(EvaluationError, match="chip side 0 "):
        overlapping(places, 0)


def test_overlapping_chips_stay_in_one_fold():
    rng = np.random.default_rng(0)
    plots = rng.uniform(0, 10, (300, 2))
    fold = SpatialBlockKFold(4, size=1.0).assign(plots, overlapping(plots, 0.1))
    apart = np.abs(plots[:, None] - plots).max(axis=2)  # (n, n)
    touching = (apart < 0.1) & (fold[:, None] != fold)
    assert not touching.any()
    alone = SpatialBlockKFold(4, size=1.0).assign(plots)
    assert ((apart < 0.1) & (alone[:, None] != alone)).any()


def test_sites_chain_places_and_groups():
    places = [[0, 0], [1, 1], [0, 0], [2, 2], [3, 3]]
    assert sites(places).tolist() == [0, 1, 0, 2, 3]
    # row 1 shares group b with row 2, which shares its place with row 0
    assert sites(places, ["a", "b", "b", "c", "d"]).tolist() == [0, 0, 0, 1, 2]


def test_groups_hold_tiles_together():
    plots = np.column_stack([np.arange(0.5, 12), np.zeros(12)])
    groups = np.repeat(np.arange(6), 2)  # neighbouring tiles, two by two
    fold = SpatialBlockKFold(3, size=1.0).assign(plots, groups)
    assert np.array_equal(fold[0::2], fold[1::2])
    assert len(set(SpatialBlockKFold(3, size=1.0).assign(plots)[0:4].tolist())) > 1


def test_degree_tiles_have_published_edges():
    tiles = SpatialBlockKFold(2, size=1.0).tiles
    lon = [10.0, 10.999, 11.0, 9.999, -180.0, 180.0, 190.5, -169.5]
    assert tiles([[x, 0.5] for x in lon]).tolist() == [0, 0, 1, 2, 3, 3, 4, 4]
    lat = [-0.001, 0.0, 0.999, 1.0, -1.0, -1.001]
    assert tiles([[5.5, y] for y in lat]).tolist() == [0, 1, 1, 2, 0, 3]


def test_degree_tiles_of_another_size_count_from_the_south_west():
    # 7 does not divide 90: the edge is at -90 + 13 * 7 = 1, not at 0
    tiles = SpatialBlockKFold(2, size=7.0).tiles
    assert tiles([[0, 0.9], [0, 1.1], [0, 7.9], [0, 8.1]]).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("lat", [0.0, 35.0, -35.0, 60.0, 75.0])
def test_kilometre_tiles_are_square_at_every_latitude(lat):
    size = 100.0
    splitter = SpatialBlockKFold(2, size=size, unit="km")
    lon = np.linspace(-180, 180, 20001)[:-1]
    around = splitter.tiles(np.column_stack([lon, np.full(len(lon), lat)]))
    width = 360 * S2_KM_PER_DEGREE * np.cos(np.radians(lat)) / (around.max() + 1)
    assert width == pytest.approx(size, rel=0.035)  # cos(lat) against cos(middle of the row)
    north = lat + np.linspace(0, 10, 2001)
    rows = splitter.tiles(np.column_stack([np.full(len(north), 1e-9), north]))
    edges = north[np.flatnonzero(np.diff(rows)) + 1]
    assert np.diff(edges) * S2_KM_PER_DEGREE == pytest.approx(size, abs=1.2)


def test_kilometre_tiles_keep_their_area():
    splitter = SpatialBlockKFold(2, size=200.0, unit="km")
    rng = np.random.default_rng(0)
    sphere = np.column_stack(
        [rng.uniform(-180, 180, 100_000), np.degrees(np.arcsin(rng.uniform(-0.94, 0.94, 100_000)))]
    )  # even in area between 70 S and 70 N, about 9 a tile
    tiles = splitter.tiles(sphere)
    counts = np.bincount(tiles)
    whole = counts[np.abs(np.bincount(tiles, sphere[:, 1]) / counts) < 65]
    assert whole.mean() == pytest.approx(100_000 * 200**2 / (4 * np.pi * 6371.0088**2 * 0.94), 0.02)
    assert whole.std() < 1.05 * np.sqrt(whole.mean())  # no more than chance


def test_projected_tiles_are_squares_of_kilometres():
    tiles = SpatialBlockKFold(2, size=1.5, unit="km", space="projected").tiles
    places = [[0, 0], [1499, 1499], [1500, 0], [-1, 0], [1499, 1500]]
    assert tiles(places).tolist() == [0, 0, 1, 2, 3]


def test_deal_balances_uneven_units():
    sizes = [50, 20, 20, 20, 10, 10, 10, 10]
    fold = deal(sizes, 3, seed=5)
    assert np.bincount(fold, sizes).tolist() == [50, 50, 50]
    counts = np.bincount(deal(np.ones(23, dtype=int), 5, seed=0))
    assert sorted(counts.tolist()) == [4, 4, 5, 5, 5]


def test_tiles_are_balanced_in_plots():
    plots = random_plots(2, 600)
    counts = np.bincount(SpatialBlockKFold(5, size=1.0, seed=1).assign(plots))
    assert counts.max() - counts.min() <= 2


@pytest.mark.filterwarnings("ignore::spatioformer.evaluation.splits.DegenerateFolds")
@given(seed=st.integers(0, 2**32 - 1), distance=st.floats(1, 400))
@settings(max_examples=15, deadline=None)
def test_no_training_plot_lies_in_the_buffer(seed, distance):
    plots = random_plots(seed)
    inner = SpatialBlockKFold(4, size=2.0)
    whole = list(inner.split(plots))
    for fold, (train, test) in enumerate(BufferedKFold(inner, distance=distance).split(plots)):
        assert np.array_equal(test, whole[fold][1])
        nearest = great_circle(plots[whole[fold][0]], plots[test]).min(axis=1)
        assert np.array_equal(train, whole[fold][0][nearest > distance])


def test_buffer_in_projected_metres_and_standard_deviations():
    line = np.column_stack([np.arange(10) * 1000.0, np.zeros(10)])
    folds = BufferedKFold(RandomKFold(5, space="projected"), distance=1.0)
    for train, test in folds.split(line):
        assert np.abs(line[train, 0][:, None] - line[test, 0]).min() == 2000
    features = np.column_stack([np.arange(10.0), np.arange(10.0) % 2])
    standard = (features - features.mean(0)) / features.std(0, ddof=1)
    for train, test in BufferedKFold(RandomKFold(5, space="feature"), distance=0.9).split(features):
        assert np.linalg.norm(standard[train][:, None] - standard[test], axis=2).min() > 0.9


def test_buffer_that_takes_too_much_warns_or_refuses():
    line = np.column_stack([np.arange(20) * 0.1, np.zeros(20)])  # 11.1 km apart
    halves = np.repeat(["west", "east"], 10)
    sentence = r"a buffer of 70 leaves fold . only 4 of 10 training plots"
    with pytest.warns(DegenerateFolds, match=sentence):
        list(BufferedKFold(LeaveRegionOut(), distance=70).split(line, groups=halves))
    strict = BufferedKFold(LeaveRegionOut(strict=True), distance=70)
    with pytest.raises(EvaluationError, match=sentence):
        list(strict.split(line, groups=halves))
    with pytest.raises(EvaluationError, match="leaves fold 0 no training plot"):
        list(BufferedKFold(LeaveRegionOut(), distance=8000).split(line, groups=halves))


def test_named_regions_are_held_out_one_by_one():
    plots = random_plots(5)[:40]
    region = np.array(["north", "east", "south", "east"])[np.arange(40) % 4]
    splitter = LeaveRegionOut()
    folds = list(splitter.split(plots, groups=region))
    assert splitter.get_n_splits(groups=region) == len(folds) == 3
    assert [set(region[test]) for _, test in folds] == [{"north"}, {"east"}, {"south"}]
    assert all(not set(region[train]) & set(region[test]) for train, test in folds)


def test_compact_regions_are_found_without_names():
    rng = np.random.default_rng(0)
    # Two of the four clumps face each other across the antimeridian and are one region.
    centres = np.array([[-179.0, 10], [179.0, 10], [0, 50], [60, -30]])
    plots = np.repeat(centres, 25, axis=0) + rng.normal(0, 1, (100, 2))
    plots[:, 0] = (plots[:, 0] + 180) % 360 - 180
    region = LeaveRegionOut(3).assign(plots)
    assert region.tolist() == [0] * 50 + [1] * 25 + [2] * 25


def test_uneven_folds_warn_or_refuse():
    plots = np.vstack([np.tile([[5.5, 5.5]], (50, 1)), [[7.5, 5.5]], [[9.5, 5.5]]])
    with pytest.warns(DegenerateFolds, match="folds of 50, 1, 1 plots are uneven"):
        SpatialBlockKFold(3).assign(plots)
    with pytest.raises(EvaluationError, match="uneven"):
        next(SpatialBlockKFold(3, strict=True).split(plots))


def test_works_inside_scikit_learn():
    plots = random_plots(0)
    richness = np.arange(len(plots), dtype=float)
    folds = list(SpatialBlockKFold(4, size=2.0).split(plots))
    predicted = cross_val_predict(DummyRegressor(), np.zeros((len(plots), 1)), richness, cv=folds)
    for train, test in folds:
        assert predicted[test] == pytest.approx(richness[train].mean())


@pytest.mark.parametrize(
    ("splitter", "plots", "sentence"),
    [
        (RandomKFold(5), [[0, 0], [1, 1]], "2 plots make 2 separate site.* for 5 folds"),
        (RandomKFold(2), [[3, 3]] * 9, "9 plots make 1 separate site"),
        (LeaveRegionOut(2), [[3, 3]] * 9, "9 plots make 1 separate site"),
        (BufferedKFold(3, distance=1), [[3, 3]] * 9, "9 plots make 1 separate site"),
        (SpatialBlockKFold(3), [[0.1, 0.1], [0.2, 0.2], [1.5, 0]], "2 tile.* of 1 degrees"),
        (SpatialBlockKFold(2), [[0, 0], [np.nan, 1]], "1 NaN"),
        (SpatialBlockKFold(2), [[-33.0, 151.0], [-34, 150]], r"row 0 \(-33, 151\) .*swap"),
        (SpatialBlockKFold(2), [[350000, 6e6], [1, 1]], "projected"),
        (SpatialBlockKFold(2), [[1, 2, 3], [4, 5, 6]], "2 columns"),
        (SpatialBlockKFold(2), [1, 2, 3], "table"),
    ],
)
def test_bad_plots_are_one_sentence(splitter, plots, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        splitter.assign(plots)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n_splits": 1}, "n_splits = 1 "),
        ({"n_splits": 2.5}, "n_splits = 2.5 "),
        ({"size": 0}, "block size 0 "),
        ({"size": float("nan")}, "block size nan "),
        ({"unit": "miles"}, "'miles' is unknown"),
        ({"space": "flat"}, "'flat' is unknown"),
        ({"space": "feature"}, "'feature' has no tiles"),
        ({"space": "projected"}, "use unit='km'"),
    ],
)
def test_bad_settings_are_one_sentence(settings, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        SpatialBlockKFold(**settings)


@pytest.mark.parametrize(
    ("splitter", "groups", "sentence"),
    [
        (RandomKFold(2), [1, 2], "groups have 2 rows where 3 are expected"),
        (LeaveRegionOut(), ["a", "b", "c"], r"plots at \(0.0, 0.0\) lie in more than one region"),
        (LeaveRegionOut(), ["a", "a", "a"], "all 3 plots lie in region a"),
    ],
)
def test_bad_groups_are_one_sentence(splitter, groups, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        splitter.assign([[0, 0], [1, 1], [0, 0]], groups=groups)


@pytest.mark.parametrize("distance", [0, -1, float("nan")])
def test_bad_buffers_are_one_sentence(distance):
    with pytest.raises(EvaluationError, match="buffer distance"):
        BufferedKFold(distance=distance)


def test_block_folds_would_fail_if_tiles_were_ignored(monkeypatch):
    """The partition test sees a splitter that forgets its tiles."""
    plots = random_plots(1)
    splitter = SpatialBlockKFold(4, size=2.0)
    monkeypatch.setattr(splits.SpatialBlockKFold, "tiles", lambda self, X: np.arange(len(X)))
    train, test = next(splitter.split(plots))
    assert set(map(tuple, plots[train])) & set(map(tuple, plots[test]))


def test_ausplots_visits_stay_with_their_site(data_dir):
    sites_table = pd.read_csv(data_dir / "ausplots" / "sites.csv")
    lonlat = sites_table[["Longitude", "Latitude"]].to_numpy()
    repeated = pd.DataFrame(lonlat).duplicated(keep=False).to_numpy()
    assert repeated.sum() > 18
    for splitter in (RandomKFold(5), SpatialBlockKFold(5, size=2.0)):
        fold = splitter.assign(lonlat)
        per_site = pd.Series(fold[repeated]).groupby([*lonlat[repeated].T]).nunique()
        assert (per_site == 1).all()
        assert np.ptp(np.bincount(fold)) <= 2
