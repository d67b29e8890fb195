"""kNNDM and nearest-neighbour distances: known answers, CAST's folds and W, refusals."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatioformer.common.earth import S2_RADIUS_M
from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import distances, knndm
from spatioformer.evaluation.clusters import WardTree, kmeans
from spatioformer.evaluation.distances import neighbour_distances, wasserstein
from spatioformer.evaluation.knndm import KNNDM, candidates, deal_clusters, p_clustered
from spatioformer.evaluation.splits import LeaveRegionOut, RandomKFold, SpatialBlockKFold

SPACES = {"gc": "geographic", "laea": "projected", "feat": "feature"}


def clustered_plots(seed: int, n: int = 150) -> np.ndarray:
    """Plots in eight dense clumps of a 40-degree square."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-20, 20, (8, 2))
    return centres[rng.integers(8, size=n)] + rng.normal(0, 0.3, (n, 2))


def square(n: int = 400) -> np.ndarray:
    return np.random.default_rng(99).uniform(-20, 20, (n, 2))


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack([a, b]), axis=1).shape[1]
    return pairs == len(np.unique(a)) == len(np.unique(b))


# Distances


def test_known_distances_on_a_line():
    X = np.array([[0.0, 0], [1000, 0], [3000, 0], [7000, 0]])
    folds = [(np.array([2, 3]), np.array([0, 1])), (np.array([0, 1]), np.array([2, 3]))]
    found = neighbour_distances(X, [[500, 0], [9000, 0]], folds, "projected")
    assert found.sample.tolist() == [1000, 1000, 2000, 4000]
    assert found.held_out.tolist() == [3000, 2000, 2000, 6000]
    assert found.prediction.tolist() == [500, 2000]
    # sorted quarters: |3000-2000|, |2000-500|, |2000-500|, |6000-2000| against 500 500 2000 2000
    assert pytest.approx((1500 + 1500 + 1000 + 4000) / 4) == found.W
    assert found.W_sample == pytest.approx((500 + 500 + 0 + 2000) / 4)
    assert found.unit == "m"


def test_great_circles_have_known_lengths():
    X = [[0.0, 0.0], [179.9, 0.0], [0.0, 60.0]]
    folds = [(np.array([1]), np.array([0]))]
    quarter = np.pi / 2 * S2_RADIUS_M
    found = neighbour_distances(X, [[-180, 0], [10, 90], [90, 0]], folds)
    assert found.prediction == pytest.approx(
        [np.radians(0.1) * 6371010, quarter / 3, quarter * 89.9 / 90]
    )
    assert found.held_out[0] == pytest.approx(np.radians(179.9) * 6371010, rel=1e-12)
    assert np.isnan(found.held_out[1:]).all()


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(0.5, 1e5))
@settings(max_examples=30, deadline=None)
def test_straight_and_ground_distances_are_inverse(lon, lat, metres):
    through = distances.through_earth(metres, "geographic")
    back = distances.along_surface(np.array(through), "geographic")
    assert back == pytest.approx(metres, rel=1e-9)
    north = [lon, lat + np.degrees(metres / S2_RADIUS_M)]
    place = distances.placing(np.zeros((1, 2)), "geographic")
    a, b = place(np.array([[lon, lat], north]))
    assert np.linalg.norm(a - b) == pytest.approx(through, abs=1e-6)


def test_twins_are_at_distance_zero():
    X = [[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]
    found = neighbour_distances(X, X, [], "projected")
    assert found.sample[:2].tolist() == [0, 0]


def test_feature_distances_are_in_standard_deviations():
    X = np.array([[0.0, 0], [10, 1], [20, 2]])
    found = neighbour_distances(X, [[10, 2]], [], "feature")
    assert found.prediction[0] == pytest.approx(1)
    assert found.sample[0] == pytest.approx(np.sqrt(2))


def test_splitters_report_their_distances():
    X = clustered_plots(0)
    random = RandomKFold(5).distances(X, square())
    regions = LeaveRegionOut(5).distances(X, square())
    assert random.W > 2 * regions.W
    assert random.W_sample == regions.W_sample


def test_plot_draws_three_curves():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.subplots()
    SpatialBlockKFold(3, size=5.0).distances(clustered_plots(0), square()).plot(axes)
    assert [line.get_label() for line in axes.lines] == [
        "plot to plot",
        "held-out plot to training",
        "map to plot",
    ]
    assert "km" in axes.get_xlabel()
    assert axes.get_title(loc="left").startswith("W = ")


# Folds


@pytest.mark.parametrize("clustering", ["hierarchical", "kmeans"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=2, deadline=None)
@pytest.mark.slow
def test_folds_keep_sites_and_sizes(clustering, seed):
    X = clustered_plots(seed, 60)
    X[40:] = X[:20]
    found = KNNDM(3, prediction_points=square(100), clustering=clustering).search(X)
    assert set(found.folds) == {0, 1, 2}
    assert np.array_equal(found.folds[40:], found.folds[:20])
    assert np.bincount(found.folds).max() <= 30
    assert found.method == clustering
    assert found.W == min(found.grid.values()) == found.grid[found.n_clusters]


def test_folds_match_the_map_better_than_others():
    X, target = clustered_plots(1), square()
    matched = KNNDM(5, prediction_points=target, strict=True)
    W = matched.search(X).W
    assert pytest.approx(matched.distances(X, target).W, rel=1e-9) == W
    assert W < 0.5 * SpatialBlockKFold(5, size=1.0).distances(X, target).W
    assert W < 0.2 * RandomKFold(5).distances(X, target).W


def test_plots_spread_like_the_map_get_random_folds():
    X = np.stack(np.meshgrid(np.arange(-19, 20, 3), np.arange(-19, 20, 3)), axis=-1)
    X = X.reshape(-1, 2) + np.random.default_rng(0).uniform(-1, 1, (169, 2))
    found = KNNDM(5, prediction_points=square()).search(X)
    assert found.method == "random"
    assert found.n_clusters is None
    assert sorted(np.bincount(found.folds)) == [33, 34, 34, 34, 34]


def test_groups_stay_whole():
    X = clustered_plots(2)
    groups = np.arange(len(X)) // 3  # three plots from anywhere
    found = KNNDM(4, prediction_points=square()).search(X, groups)
    assert (found.folds.reshape(-1, 3) == found.folds[::3, None]).all()


def test_ward_tree_cuts_by_merges():
    X = np.array([[0.0, 0], [1, 0], [10, 0], [12, 0], [30, 0]])
    tree = WardTree(X, "projected")
    assert tree.cut(5).tolist() == [0, 1, 2, 3, 4]
    assert tree.cut(4).tolist() == [0, 0, 1, 2, 3]
    assert tree.cut(3).tolist() == [0, 0, 1, 1, 2]
    assert tree.cut(2).tolist() == [0, 0, 0, 0, 1]


def test_kmeans_is_seeded_and_starts_differ():
    X = np.random.default_rng(0).normal(size=(200, 2))
    assert np.array_equal(kmeans(X, 9, seed=1), kmeans(X, 9, seed=1))
    starts = [kmeans(X, 9, 1, start) for start in range(4)]
    assert all(len(np.unique(labels)) == 9 for labels in starts)
    assert not any(same_partition(a, b) for a, b in itertools.combinations(starts, 2))


def test_large_clusters_are_folds_and_small_ones_take_turns():
    cluster = np.repeat([0, 1, 2, 3, 4, 5], [8, 2, 2, 2, 2, 8])
    axis = np.repeat([5.0, 1, 2, 3, 4, 0], [8, 2, 2, 2, 2, 8])
    fold = deal_clusters(cluster, axis, 4)  # 24 plots: clusters of 6 or more are folds
    of_cluster = [int(fold[cluster == c][0]) for c in range(6)]
    assert of_cluster == [1, 2, 3, 2, 3, 0]
    even = np.repeat([0, 1, 2, 3, 4], [4, 1, 1, 2, 4])  # exactly n/k is large enough
    assert deal_clusters(even, even.astype(float), 3).tolist() == [0] * 4 + [2] * 4 + [1] * 4


def test_candidates_run_from_folds_to_sites():
    counts = candidates(5, 703, large=False)
    assert counts[:3] == [5, 6, 7]
    assert counts[-1] == 701
    assert len(counts) <= 100
    assert candidates(5, 100_000, large=True)[-1] == 1000
    assert candidates(5, 6, large=False) == [5]


def test_clustering_test_has_known_p():
    apart, like = np.arange(200.0), np.arange(200.0) + 0.5
    assert p_clustered(apart, like) == pytest.approx(np.exp(-2 * 100 * (1 / 200) ** 2))
    # every plot distance below every map distance, n = m = 3: one order in C(6, 3)
    assert p_clustered(np.arange(3.0), np.arange(3.0) + 9) == pytest.approx(1 / 20)
    assert p_clustered(np.arange(3.0) + 9, np.arange(3.0)) == 1


def test_many_sites_are_clustered_by_kmeans(monkeypatch):
    monkeypatch.setattr(knndm, "HIERARCHICAL_LIMIT", 100)
    found = KNNDM(5, prediction_points=square()).search(clustered_plots(3))
    assert found.method == "kmeans"
    assert len(found.grid) <= knndm.CANDIDATES_LARGE


@pytest.mark.parametrize(
    ("options", "points", "X", "sentence"),
    [
        ({}, [[350000, 6e6]], clustered_plots(0), r"prediction points row 0 \(350000, 6e\+06\)"),
        ({}, [[1, 2, 3]], clustered_plots(0), "prediction points must have 2 columns"),
        ({}, [[1, np.nan]], clustered_plots(0), "prediction points hold 1 NaN"),
        ({}, square(), np.ones((9, 2)), "9 plots make 1 separate site"),
        ({}, square(), clustered_plots(0)[:3], "3 plots make 3 separate site.*for 5 folds"),
        ({"space": "projected"}, square(), 1e6 + 1e4 * square(), "mix degrees and metres"),
        (
            {"space": "projected"},
            1e7 + 1e4 * square(),
            1e5 + 1e4 * square(),
            "start 13,.* km from the plots, so their CRS probably differs; reproject",
        ),
        ({"space": "feature"}, np.ones((3, 4)), clustered_plots(0), "4 columns where .* have 2"),
        (
            {"space": "feature"},
            square(),
            np.column_stack([np.arange(9.0), np.ones(9)]),
            r"predictor column\(s\) 1 have one value in all 9 training rows",
        ),
        ({"clustering": "spectral"}, square(), clustered_plots(0), "'spectral' is unknown"),
    ],
)
def test_bad_input_is_one_sentence(options, points, X, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        KNNDM(5, prediction_points=points, **options).search(X)


def test_one_dominant_clump_is_refused():
    # 30 plots at one place among 40: whatever the clusters, a fold holds more than half.
    X = np.vstack([np.full((30, 2), 1.5), 10 + np.arange(20).reshape(10, 2)])
    sentence = "30 of 40 plots are at one site or in one group, the first at 1.5, 1.5, so that"
    with pytest.raises(EvaluationError, match=sentence):
        KNNDM(3, prediction_points=square()).search(X)
    with pytest.raises(EvaluationError, match=sentence):
        KNNDM(3).require_parts(X)
    with pytest.raises(EvaluationError, match="40 plots make 11 separate site"):
        KNNDM(12).require_parts(X)
    KNNDM(3).require_parts(X[20:])  # 10 of 20 are half
    KNNDM(3).require_parts(X[22:])  # of fewer than 20 plots the folds may be random
    group = np.r_[np.zeros(30, int), 1 + np.arange(10)]
    apart = X + np.arange(40)[:, None] / 1000
    with pytest.raises(EvaluationError, match="30 of 40 plots are at one site or in one group"):
        KNNDM(3, prediction_points=square()).search(apart, group)
    KNNDM(3).require_parts(apart)


@pytest.mark.parametrize("pixels", [10, 30, 2000])
def test_a_crowded_site_is_never_dealt_at_random(pixels):
    """What `require_parts` foretells without a map holds on every map of 10 or more pixels."""
    rng = np.random.default_rng(pixels)
    X = np.vstack([np.zeros((11, 2)), rng.uniform(-60, 60, (9, 2))])
    with pytest.raises(EvaluationError, match="11 of 20 plots"):
        KNNDM(3).require_parts(X)
    for _ in range(20):
        with pytest.raises(EvaluationError, match="11 of 20 plots"):
            KNNDM(3, prediction_points=rng.uniform(-60, 60, (pixels, 2))).search(X)


# Agreement with CAST


@pytest.fixture(scope="module")
def cast(conformance_dir):
    folder = conformance_dir / "cast"
    plots, laea = pd.read_csv(folder / "splot.csv"), pd.read_csv(folder / "splot_laea.csv")
    target = pd.read_csv(folder / "predpoints.csv")
    predictors = pd.read_csv(folder / "scaleparam.csv")["variable"].tolist()
    laea_columns = ["laea_x", "laea_y"]
    places = {
        "gc": (plots[["lon", "lat"]].to_numpy(), target[["lon", "lat"]].to_numpy()),
        "laea": (laea[laea_columns].to_numpy(), target[laea_columns].to_numpy()),
        "feat": (plots[predictors].to_numpy(), target[predictors].to_numpy()),
    }
    return folder, places, plots["fold5"].to_numpy()


HIERARCHICAL = ["gc_hier_k5", "gc_hier_k10", "laea_hier_k5", "laea_hier_k10", "feat_hier_k5"]
KMEANS = ["laea_kmeans_k5", "laea_kmeans_k10", "feat_kmeans_k5", "feat_kmeans_k10"]


def pairs_of(fold: np.ndarray):
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)]


@pytest.mark.parametrize("name", HIERARCHICAL + ["feat_hier_k10"])
def test_hierarchical_folds_and_W_are_those_of_cast(cast, name):
    folder, places, _ = cast
    space, _, k = name.split("_")
    X, target = places[space]
    found = KNNDM(int(k[1:]), prediction_points=target, space=SPACES[space]).search(X)
    expected = pd.read_csv(folder / "knndm_summary.csv").set_index("setting").loc[name]
    assert found.n_clusters == int(expected["q"])
    assert pytest.approx(expected["W"], rel=1e-9) == found.W
    sizes = sorted(int(size) for size in expected["fold_sizes"].split("/"))
    assert sorted(np.bincount(found.folds).tolist()) == sizes
    if name in HIERARCHICAL:
        rows = pd.read_csv(folder / f"knndm_{name}_samples.csv")
        assert same_partition(found.folds, rows["cluster"].to_numpy())
    grid = pd.read_csv(folder / "knndm_grid.csv").set_index("setting").loc[name]
    assert list(found.grid) == grid["nk"].tolist()
    W = grid["W"].fillna(np.inf).to_numpy()
    assert np.array(list(found.grid.values())) == pytest.approx(W, rel=1e-9)


@pytest.mark.parametrize("name", HIERARCHICAL + KMEANS)
def test_distances_of_given_folds_are_those_of_cast(cast, name):
    folder, places, _ = cast
    space = name.split("_")[0]
    rows = pd.read_csv(folder / f"knndm_{name}_samples.csv")
    found = neighbour_distances(*places[space], pairs_of(rows["cluster"].to_numpy()), SPACES[space])
    expected = pd.read_csv(folder / "knndm_summary.csv").set_index("setting").loc[name]
    # 1 nanometre on the ground: what is left of 16 digits of the Earth's radius
    assert found.held_out == pytest.approx(rows["Gjstar"].to_numpy(), rel=1e-12, abs=2e-9)
    assert found.sample == pytest.approx(rows["Gj"].to_numpy(), rel=1e-12, abs=2e-9)
    assert pytest.approx(expected["W"], rel=1e-11) == found.W
    assert found.W_sample == pytest.approx(expected["W_Gj_Gij"], rel=1e-11)


@pytest.mark.parametrize(
    "name", ["laea_kmeans_k5", pytest.param("feat_kmeans_k10", marks=pytest.mark.soak)]
)
@pytest.mark.slow
def test_kmeans_W_is_at_most_that_of_cast(cast, name):
    folder, places, _ = cast
    space, _, k = name.split("_")
    X, target = places[space]
    splitter = KNNDM(int(k[1:]), prediction_points=target, space=SPACES[space], clustering="kmeans")
    expected = pd.read_csv(folder / "knndm_summary.csv").set_index("setting").loc[name]
    assert 1.05 * expected["W"] >= splitter.search(X).W


@pytest.mark.parametrize("name", ["gc", "laea", "feature"])
def test_nearest_neighbour_distances_are_those_of_cast(cast, name):
    folder, places, fold = cast
    key = "feat" if name == "feature" else name
    found = neighbour_distances(*places[key], pairs_of(fold), SPACES[key])
    samples = pd.read_csv(folder / f"geodist_{name}_samples.csv")
    prediction = pd.read_csv(folder / f"geodist_{name}_pred.csv")
    assert found.sample == pytest.approx(samples.iloc[:, 2].to_numpy(), rel=1e-12, abs=2e-9)
    assert found.held_out == pytest.approx(samples.iloc[:, 3].to_numpy(), rel=1e-12, abs=2e-9)
    assert found.prediction == pytest.approx(prediction.iloc[:, 1].to_numpy(), rel=1e-12, abs=2e-9)
    setting = {"gc": "great_circle", "laea": "laea_euclidean", "feature": "feature_euclidean"}[name]
    W = pd.read_csv(folder / "geodist_summary.csv").set_index("setting").loc[setting]
    assert pytest.approx(W["W_CV"], rel=1e-11) == found.W
    assert found.W_sample == pytest.approx(W["W_sample"], rel=1e-11)


@pytest.mark.slow
def test_the_random_branch_is_taken_where_cast_takes_it(cast):
    folder, places, _ = cast
    X = places["gc"][0]
    points = pd.read_csv(folder / "knndm_noise_predpoints.csv")
    summary = pd.read_csv(folder / "knndm_noise_summary.csv").set_index("noise_sd")
    for noise, rows in points.groupby("noise_sd"):
        target = rows[["lon", "lat"]].to_numpy()
        found = neighbour_distances(X, target, [])
        assert found.prediction == pytest.approx(rows["Gij"].to_numpy(), rel=1e-12, abs=2e-9)
        if noise in summary.index:
            p = p_clustered(found.sample, found.prediction)
            assert p == pytest.approx(summary.loc[noise, "ks_p"], rel=1e-9)
            assert found.W_sample == pytest.approx(summary.loc[noise, "W_Gj_Gij"], rel=1e-9)
        is_random = KNNDM(5, prediction_points=target).search(X).method == "random"
        assert is_random == (noise < 0.015)


def test_parity_would_break_on_a_flat_earth(cast):
    """The tolerance sees a wrong radius, and degrees taken for a plane."""
    folder, places, _ = cast
    W = pd.read_csv(folder / "geodist_summary.csv").set_index("setting").loc["great_circle"]
    found = neighbour_distances(*places["gc"], [])
    assert found.W_sample * 6371008.8 / 6371010 != pytest.approx(W["W_sample"], rel=1e-11)
    flat = neighbour_distances(*(np.asarray(x) * 111195 for x in places["gc"]), [], "projected")
    assert wasserstein(flat.sample, flat.prediction) != pytest.approx(W["W_sample"], rel=1e-2)
