"""Intervals and applicability beside a model: known answers, coverage, round trips, bad input."""

from dataclasses import replace

import numpy as np
import pytest

from spatioformer.common.errors import EvaluationError, ModelError
from spatioformer.common.files import read_json, write_json
from spatioformer.evaluation import AreaOfApplicability, Conformal
from spatioformer.models.uncertainty import HeldOut, Uncertainty

pytestmark = pytest.mark.slow

BANDS = ["red", "green"]


def held_out(n: int = 400, seed: int = 0, *, growing: bool = False, lon: float = 140.0) -> HeldOut:
    """Plots in five folds; with `growing`, errors grow as the first band leaves 0."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, 1, (n, 2))
    scale = 0.5 + 3 * pixels[:, 0] ** 2 if growing else np.full(n, 2.0)
    predicted = 40 + 3 * pixels[:, 1]
    return HeldOut(
        pixels,
        (lon + rng.uniform(-2, 2, n) + 180) % 360 - 180,
        rng.uniform(-30, -25, n),
        predicted + rng.normal(0, scale),
        predicted,
        rng.integers(0, 5, n),
    )


def place(held: HeldOut) -> dict[str, np.ndarray]:
    return {"pixels": held.pixels, "lon": held.lon, "lat": held.lat}


def test_the_layers_are_the_formula():
    """Against the tools it is made of, put together by hand."""
    held = held_out(55)  # fewer than a window are left of each fold: one margin for all
    made, _, di = Uncertainty.calibrate(held, BANDS, np.array([2.0, 1.0, 0.5, 0.5]))
    columns = np.column_stack([held.pixels, held.lon - made.lon_origin, held.lat])
    area = AreaOfApplicability([2, 1, 0.5, 0.5]).fit(columns, held.fold)
    np.testing.assert_allclose(di, area.training_di_, rtol=1e-9)
    new = held_out(50, seed=1)
    layers = made.layers(new.predicted, None, **place(new))
    there = np.column_stack([new.pixels, new.lon - made.lon_origin, new.lat])
    np.testing.assert_allclose(layers["di"], area.di(there), rtol=1e-6)
    assert np.array_equal(layers["inside"], area.inside(there))
    assert made.kind(with_spread=False) == "constant"
    margin = Conformal(0.9).calibrate(held.observed, held.predicted).margin_
    widening, ratio = made.widening["constant"], layers["di"].astype(float) / area.threshold_
    factor = np.where(layers["inside"], 1, widening.step * ratio**widening.power)
    assert 0 < layers["inside"].sum() < len(ratio)
    np.testing.assert_allclose(layers["lower"], new.predicted - factor * margin, rtol=1e-5)
    np.testing.assert_allclose(layers["upper"], new.predicted + factor * margin, rtol=1e-5)


@pytest.mark.slow
def test_errors_that_grow_with_dissimilarity_give_wider_intervals_there():
    held = held_out(1500, growing=True)
    made, cross, _ = Uncertainty.calibrate(held, BANDS, np.array([1.0, 0, 0, 0]))
    assert made.kind(with_spread=False) == "dissimilarity"
    scores = {kind: found.scores["interval_score"] for kind, found in cross.items()}
    assert scores["dissimilarity"] < 0.98 * scores["constant"]
    new = held_out(4000, seed=1, growing=True)
    layers = made.layers(new.predicted, None, **place(new))
    within = (layers["lower"] <= new.observed) & (new.observed <= layers["upper"])
    assert 0.87 < within.mean() < 0.93
    width = layers["upper"] - layers["lower"]
    far = layers["di"] > np.quantile(layers["di"], 0.9)
    assert width[far].mean() > 2 * width[~far].mean()
    assert (np.diff(made.expected_error(np.linspace(0, 3, 50))) >= 0).all()


@pytest.mark.slow
def test_a_spread_that_knows_the_error_is_taken():
    rng = np.random.default_rng(0)
    held = held_out(1000)
    spread = rng.uniform(0.5, 6, 1000)
    held = replace(held, observed=held.predicted + rng.normal(0, spread), spread=spread)
    made, _, _ = Uncertainty.calibrate(held, BANDS)
    assert made.kind(with_spread=True) == "spread"
    where = [[0, 0]] * 2, [140, 140], [-27, -27]
    layers = made.layers(np.full(2, 50.0), np.array([1.0, 2.0]), *where)
    width = layers["upper"] - layers["lower"]
    assert width[1] == pytest.approx(2 * width[0])
    # A map without a spread has the next best intervals.
    assert made.kind(with_spread=False) == "constant"
    layers = made.layers(np.full(2, 50.0), None, *where)
    width = layers["upper"] - layers["lower"]
    np.testing.assert_allclose(width, 2 * made.margins["constant"], rtol=1e-6)


@pytest.mark.parametrize("growing", [pytest.param(False, marks=pytest.mark.soak), True])
def test_no_plot_has_a_part_in_its_own_interval(growing):
    """Another count in one plot moves the intervals of other folds, never those of its own."""
    held = held_out(1500, growing=growing)
    observed = held.observed.copy()
    row = int(np.argmin(np.abs(observed - held.predicted)))
    observed[row] += 30  # from well inside the margin to well outside
    _, before, _ = Uncertainty.calibrate(held, BANDS)
    _, after, _ = Uncertainty.calibrate(replace(held, observed=observed), BANDS)
    own = held.fold == held.fold[row]
    for kind in ("constant", "dissimilarity"):
        one, other = before[kind].bounds, after[kind].bounds
        assert np.array_equal(one[own], other[own])
        assert not np.array_equal(one[~own], other[~own])


@pytest.mark.slow
def test_cross_fitted_coverage_is_the_level():
    cover = []
    for seed in range(6):
        made, cross, _ = Uncertainty.calibrate(held_out(500, seed), BANDS, level=0.8)
        cover.append(cross["constant"].scores["coverage"])
        curve = made.facts["kinds"]["constant"]["calibration"]
        assert curve["level"] == [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
        np.testing.assert_allclose(curve["coverage"], curve["level"], atol=0.07)
        assert (np.diff(curve["width"]) > 0).all()
    assert np.mean(cover) == pytest.approx(0.8, abs=0.02)


def test_there_are_no_fewer_than_no_species():
    held = replace(held_out(), predicted=np.zeros(400), observed=np.abs(held_out().observed) / 40)
    made, cross, _ = Uncertainty.calibrate(held, BANDS)
    layers = made.layers(np.array([-3.0, 0.1]), None, [[0, 0]] * 2, [140, 140], [-27, -27])
    assert (layers["lower"] == 0).all()
    assert (layers["upper"] >= 0).all()
    assert (cross["constant"].bounds >= 0).all()


def test_the_date_line_is_no_seam():
    here = held_out(lon=140.0)
    there = replace(here, lon=(here.lon + 40 + 180) % 360 - 180)  # straddles 180
    assert there.lon.min() < -170
    assert there.lon.max() > 170
    one, _, di = Uncertainty.calibrate(here, BANDS)
    other, _, same = Uncertainty.calibrate(there, BANDS)
    np.testing.assert_allclose(same, di, rtol=1e-9)
    assert list(other.margins) == list(one.margins)
    for kind, margin in one.margins.items():
        np.testing.assert_allclose(other.margins[kind], margin, err_msg=kind)


def test_a_band_that_does_not_vary_counts_for_nothing():
    held = held_out()
    flat = replace(held, pixels=np.column_stack([held.pixels[:, :1], np.full(400, 7.1)]))
    made, _, _ = Uncertainty.calibrate(flat, BANDS)
    other = np.column_stack([held.pixels[:5, :1], np.full(5, 99.0)])
    layers = made.layers(np.full(5, 40.0), None, other, held.lon[:5], held.lat[:5])
    np.testing.assert_allclose(layers["di"], 0, atol=1e-6)


def test_round_trip(tmp_path):
    held = held_out(growing=True)
    made, _, _ = Uncertainty.calibrate(held, BANDS, np.array([1.0, 0.2, 0.1, 0.0]))
    assert not Uncertainty.is_in(tmp_path)
    made.save(tmp_path)
    assert Uncertainty.is_in(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["uncertainty.json", "uncertainty.npz"]
    opened = Uncertainty.load(tmp_path)
    new = held_out(70, seed=2)
    for name, values in made.layers(new.predicted, None, **place(new)).items():
        got = opened.layers(new.predicted, None, **place(new))[name]
        assert np.array_equal(got, values), name
    assert opened.facts == made.facts
    assert list(opened.margins.items()) == list(made.margins.items())
    assert opened.widening == made.widening
    assert opened.bands == BANDS
    assert opened.level == 0.9
    opened.save(tmp_path / "again")
    for name in ("uncertainty.json", "uncertainty.npz"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_many_plots_are_thinned_for_the_area_only(monkeypatch):
    held = held_out(600)
    monkeypatch.setattr("spatioformer.models.uncertainty.known.MOST_PLOTS", 200)
    made, cross, di = Uncertainty.calibrate(held, BANDS)
    assert made.area.training_di_.shape == (200,)
    assert cross["constant"].bounds.shape == (600, 2)
    assert np.isfinite(di).all()
    # A plot left out looks to other folds only, as those that are remembered do.
    columns = np.column_stack([held.pixels, held.lon - made.lon_origin, held.lat])
    among = made.area.di(columns)
    assert (di >= among - 1e-12).all()
    assert (di > among).any()


@pytest.mark.parametrize(
    ("n", "level", "sentence"),
    [
        (10, 0.9, "plot.s., too few for coverage 0.9; use at least 9, or a lower coverage"),
        (50, 0.99, "too few for coverage 0.99; use at least 99"),
        (50, 1.0, "coverage 1.0 must lie between 0 and 1, such as 0.9"),
        (50, 0.0, "coverage 0.0 must lie between 0 and 1"),
    ],
)
def test_too_few_plots_for_the_level(n, level, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        Uncertainty.calibrate(held_out(n), BANDS, level=level)


def test_bad_input():
    held = held_out(100)
    with pytest.raises(
        EvaluationError,
        match="all predictors of the 100 plots are constant or have the weight 0; check the bands",
    ):
        Uncertainty.calibrate(
            replace(held, pixels=np.ones((100, 2)), lon=np.ones(100), lat=np.ones(100)), BANDS
        )
    with pytest.raises(EvaluationError, match="weight -1 of predictor 0 is negative"):
        Uncertainty.calibrate(held, BANDS, np.array([-1.0, 1, 1, 1]))
    pixels = held.pixels.copy()
    pixels[3, 1] = np.nan
    with pytest.raises(EvaluationError, match=r"predictors hold 1 NaN .* drop or fill"):
        Uncertainty.calibrate(replace(held, pixels=pixels), BANDS)
    with pytest.raises(
        EvaluationError,
        match=r"100 training plot\(s\) in one fold cannot be compared with another fold; give "
        "at least two folds",
    ):
        Uncertainty.calibrate(replace(held, fold=np.zeros(100, int)), BANDS)
    made, _, _ = Uncertainty.calibrate(held, BANDS)
    with pytest.raises(EvaluationError, match="do not fit the 4 columns"):
        made.layers(np.ones(1), None, np.ones((1, 3)), [140.0], [-27.0])


def test_a_damaged_folder_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match=r"holds no uncertainty.json; run `spatioformer evaluate`"):
        Uncertainty.load(tmp_path)
    made, _, _ = Uncertainty.calibrate(held_out(), BANDS)
    made.save(tmp_path)
    arrays = (tmp_path / "uncertainty.npz").read_bytes()
    (tmp_path / "uncertainty.npz").write_bytes(arrays[:-20])
    with pytest.raises(ModelError, match=r"is damaged or of another version \(uncertainty.npz bel"):
        Uncertainty.load(tmp_path)
    (tmp_path / "uncertainty.npz").write_bytes(arrays)
    said = read_json(tmp_path / "uncertainty.json")
    write_json(tmp_path / "uncertainty.json", said | {"format": 99})
    with pytest.raises(
        ModelError, match=r"another version \(format 99\); run `spatioformer evaluate --force`"
    ):
        Uncertainty.load(tmp_path)
