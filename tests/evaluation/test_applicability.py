"""Area of applicability: known answers, properties, CAST's values, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import applicability
from spatioformer.evaluation.applicability import AreaOfApplicability, ExpectedError

LINE = np.array([[0.0], [1.0], [2.0], [10.0]])  # standard deviation 4.573..., mean 3.25


def test_known_answer_on_a_line():
    area = AreaOfApplicability().fit(LINE)
    scale = LINE.std(ddof=1)
    # pair distances 1 2 10 1 9 8: mean 31/6
    assert area.mean_distance_ == pytest.approx(31 / 6 / scale)
    assert area.training_di_ == pytest.approx(np.array([1, 1, 1, 8]) / (31 / 6))
    # quartiles 1 and 2.75: the fence 2.75 + 1.5 * 1.75 lies below the largest, 8
    assert area.threshold_ == pytest.approx(5.375 / (31 / 6))
    assert area.training_lpd_.tolist() == [2, 2, 2, 0]
    assert area.di([[0.5], [6.0], [-9.0]]) == pytest.approx(np.array([0.5, 4, 9]) / (31 / 6))
    assert area.inside([[0.5], [6.0], [-9.0]]).tolist() == [True, True, False]
    assert area.lpd([[0.5], [6.0], [-9.0]]).tolist() == [3, 3, 0]


def test_folds_look_beyond_themselves():
    area = AreaOfApplicability().fit(LINE, folds=["a", "a", "b", "b"])
    assert area.training_di_ == pytest.approx(np.array([2, 1, 1, 9]) / (31 / 6))
    # quartiles 1 and 3.75, fence 7.875: of the other fold, 0 and 1 see one plot each, 2 sees both
    assert area.training_lpd_.tolist() == [1, 1, 2, 0]
    assert area.mean_distance_ == AreaOfApplicability().fit(LINE).mean_distance_


def test_threshold_is_the_largest_when_nothing_sticks_out():
    pair = AreaOfApplicability().fit([[0.0], [1.0]])
    assert pair.threshold_ == pair.training_di_.max() == 1
    assert pair.training_lpd_.tolist() == [0, 0]  # strictly below the threshold
    assert pair.inside([[0.0], [2.0], [2.1]]).tolist() == [True, True, False]  # equal is inside


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
@pytest.mark.slow
def test_agrees_with_all_pairs_and_ignores_units(seed):
    rng = np.random.default_rng(seed)
    X, new = rng.normal(size=(40, 5)), rng.normal(size=(70, 5)) * 2
    weights = rng.uniform(0, 3, 5)
    area = AreaOfApplicability(weights).fit(X)
    z, z_new = ((a - X.mean(0)) / X.std(0, ddof=1) * weights for a in (X, new))
    pairs = np.linalg.norm(z[:, None] - z, axis=2)
    to_new = np.linalg.norm(z_new[:, None] - z, axis=2) / (pairs.sum() / (40 * 39))
    assert area.di(new) == pytest.approx(to_new.min(axis=1), rel=1e-12)
    assert area.lpd(new).tolist() == (to_new < area.threshold_).sum(axis=1).tolist()
    units = np.array([1e-3, 5, 1e4, 1, 0.1])
    other = AreaOfApplicability(7 * weights).fit(X * units + 3)
    assert other.di(new * units + 3) == pytest.approx(area.di(new), rel=1e-6)
    assert other.threshold_ == pytest.approx(area.threshold_, rel=1e-6)
    assert AreaOfApplicability(weights).fit(X).di(X) == pytest.approx(np.zeros(40), abs=1e-15)


def test_weight_zero_leaves_a_predictor_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    constant = np.column_stack([X[:, :2], np.ones(30)])
    assert np.array_equal(
        AreaOfApplicability([1, 2, 0]).fit(constant).training_di_,
        AreaOfApplicability([1, 2]).fit(X[:, :2]).training_di_,
    )


def test_blocks_and_threads_do_not_change_values(monkeypatch):
    rng = np.random.default_rng(1)
    X, new = rng.normal(size=(50, 4)), rng.normal(size=(1003, 4)).astype(np.float32)
    whole = AreaOfApplicability(workers=1).fit(X)
    di, lpd = whole.di(new), whole.lpd(new)
    monkeypatch.setattr(applicability, "BLOCK", 50 * 7)
    parts = AreaOfApplicability(workers=3).fit(X)
    assert np.array_equal(parts.di(new), di)
    assert np.array_equal(parts.lpd(new), lpd)


@pytest.mark.parametrize(
    ("weights", "X", "folds", "sentence"),
    [
        (None, [[1, np.nan], [2, 3]], None, "predictors hold 1 NaN"),
        (None, [[1, 5], [2, 5]], None, r"predictor column\(s\) 1 have one value"),
        (None, [[1], [2]], [3, 3], "2 training plot.* in one fold"),
        (None, [[1], [2]], [1, 2, 3], "folds have 3 rows where 2 are expected"),
        ([1, -0.5], [[1, 2], [2, 1]], None, "weight -0.5 of predictor 1 is negative"),
        ([1, 2, 3], [[1, 2], [2, 1]], None, "3 weights do not fit 2 predictors"),
        ([0, 0], [[1, 2], [2, 1]], None, "all weights are 0"),
        (None, [1, 2, 3], None, "predictors must be a table"),
    ],
)
def test_bad_training_input_is_one_sentence(weights, X, folds, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        AreaOfApplicability(weights).fit(X, folds)


def test_bad_cells_are_one_sentence():
    area = AreaOfApplicability().fit(np.random.default_rng(0).normal(size=(20, 2)))
    cells = np.zeros((60_000, 2))
    cells[41_234, 1] = np.nan
    for method in (area.di, area.lpd, area.inside):
        with pytest.raises(EvaluationError, match="the first in row 41234; leave those rows out"):
            method(cells)
    with pytest.raises(EvaluationError, match=r"shape \(4, 3\) do not fit the 2 columns"):
        area.di(np.zeros((4, 3)))


def test_expected_error_rises_and_knows_its_window():
    rng = np.random.default_rng(0)
    di = rng.uniform(0, 1, 800)
    error = rng.normal(0, 2 + 6 * di)
    curve = ExpectedError().fit(di, error, np.zeros(800))
    assert curve.predict([0.2, 0.5, 0.8]) == pytest.approx([3.2, 5, 6.8], rel=0.2)
    assert (np.diff(curve.predict(np.linspace(0, 2, 50))) >= 0).all()
    assert curve.predict([5.0]) == curve.predict([1.0])
    order = np.argsort(di)
    by_hand = np.sqrt(np.mean(error[order[10:60]] ** 2))
    assert curve.window_rmse_[10] == pytest.approx(by_hand, rel=1e-12)
    assert curve.window_di_[10] == di[order[34]]
    with pytest.raises(EvaluationError, match="49 held-out predictions are fewer than the 50"):
        ExpectedError().fit(di[:49], error[:49], error[:49])


# Agreement with CAST


@pytest.fixture(scope="module")
def cast(conformance_dir):
    folder = conformance_dir / "cast"
    variables = pd.read_csv(folder / "scaleparam.csv")["variable"].tolist()
    return folder, pd.read_csv(folder / "splot.csv"), variables


SETTINGS = {
    "A_equal_nocv": (None, None),
    "B_equal_cv5": (None, "fold5"),
    "C_weight_nocv": ("weights.csv", None),
    "D_weight_cv5": ("weights.csv", "fold5"),
    "model_rf_random10": ("model_weights_random10.csv", "random10"),
    "model_rf_knndm_gc_hier_k5": ("model_weights_knndm_gc_hier_k5.csv", "knndm_gc_hier_k5"),
}


def fitted(cast, setting: str) -> AreaOfApplicability:
    folder, plots, variables = cast
    weights, fold = SETTINGS[setting]
    weights = None if weights is None else pd.read_csv(folder / weights)["weight"].to_numpy()
    named = plots if fold == "fold5" else pd.read_csv(folder / "folds_item6.csv")
    folds = None if fold is None else named[fold].to_numpy()
    return AreaOfApplicability(weights).fit(plots[variables].to_numpy(), folds)


@pytest.mark.parametrize("setting", SETTINGS)
def test_training_values_are_those_of_cast(cast, setting):
    folder = cast[0]
    area = fitted(cast, setting)
    summary = pd.read_csv(folder / "trainDI_summary.csv").set_index("setting")
    if setting in summary.index:
        expected = summary.loc[setting]
        assert area.mean_distance_ == pytest.approx(expected["trainDist_avrgmean"], rel=1e-12)
        assert area.threshold_ == pytest.approx(expected["threshold"], rel=1e-12)
        assert area.training_lpd_.mean() == pytest.approx(expected["meanTrainLPD"], rel=1e-12)
    path = folder / f"trainDI_{setting}.csv"
    if path.exists():
        rows = pd.read_csv(path)
        assert area.training_di_ == pytest.approx(rows["trainDI"].to_numpy(), rel=1e-12, abs=1e-15)
        assert area.training_lpd_.tolist() == rows["trainLPD"].tolist()
    else:
        assert setting == "D_weight_cv5"


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name[0] != "D"])
def test_cells_are_those_of_cast(cast, setting):
    folder, _, variables = cast
    cells = pd.read_csv(folder / "aoa_A_equal_nocv.csv").set_index("cell")
    rows = pd.read_csv(folder / f"aoa_{setting}.csv").set_index("cell")
    X = cells.loc[rows.index, variables].to_numpy()
    area = fitted(cast, setting)
    assert area.di(X) == pytest.approx(rows["DI"].to_numpy(), rel=1e-12, abs=0)
    assert area.inside(X).tolist() == (rows["AOA"] == 1).tolist()
    if "LPD" in rows:
        assert area.lpd(X).tolist() == rows["LPD"].tolist()


@pytest.mark.slow
def test_whole_raster_is_that_of_cast(cast, data_dir):
    rasterio = pytest.importorskip("rasterio")
    folder, _, variables = cast
    with rasterio.open(data_dir / "south_america" / "predictors_chile.tif") as raster:
        assert list(raster.descriptions) == variables
        bands = raster.read(masked=True)
    X = bands.data[:, ~bands.mask.any(axis=0)].T  # (cells, 11)
    expected = pd.read_csv(folder / "aoa_share.csv").set_index("setting")
    for setting in expected.index:
        area = fitted(cast, setting)
        di, lpd = area.di(X), area.lpd(X)
        assert len(di) == expected.loc[setting, "n_cells"]
        assert (di <= area.threshold_).sum() == expected.loc[setting, "n_inside"]
        assert di.mean() == pytest.approx(expected.loc[setting, "meanDI"], rel=1e-12)
        assert di.max() == pytest.approx(expected.loc[setting, "maxDI"], rel=1e-12)
        assert lpd.mean() == pytest.approx(expected.loc[setting, "meanLPD"], rel=1e-12)
        assert lpd.max() == expected.loc[setting, "maxLPD"]


@pytest.mark.parametrize("folds", ["random10", "knndm_gc_hier_k5"])
def test_moving_error_is_that_of_cast(cast, folds):
    folder = cast[0]
    held_out = pd.read_csv(folder / "cv_predictions.csv")
    held_out = held_out[(held_out["model"] == "rf") & (held_out["cv"] == folds)].sort_values("row")
    di = pd.read_csv(folder / f"trainDI_model_rf_{folds}.csv")["trainDI"].to_numpy()
    curve = ExpectedError().fit(di, held_out["obs"], held_out["pred"])
    rows = pd.read_csv(folder / f"errorprofile_DI_scam_{folds}.csv")  # the windows inside the area
    inside = slice(0, len(rows))
    assert curve.window_di_[inside] == pytest.approx(rows["DI"].to_numpy(), rel=1e-11)
    assert curve.window_rmse_[inside] == pytest.approx(rows["metric"].to_numpy(), rel=1e-11)
    # Another monotone fit than CAST's P-spline, and a closer one.
    ours = curve.predict(rows["DI"]) - rows["metric"]
    theirs = rows["fitted"] - rows["metric"]
    assert np.sqrt(np.mean(ours**2)) < np.sqrt(np.mean(theirs**2))


def test_parity_would_break_with_a_population_sd(cast, monkeypatch):
    monkeypatch.setattr(applicability, "moments", lambda X: (X.mean(0), X.std(0)))
    folder = cast[0]
    expected = pd.read_csv(folder / "trainDI_summary.csv").set_index("setting").loc["A_equal_nocv"]
    area = fitted(cast, "A_equal_nocv")
    assert area.mean_distance_ != pytest.approx(expected["trainDist_avrgmean"], rel=1e-12)
