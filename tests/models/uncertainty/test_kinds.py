"""The kinds of interval: each is taken where it is the truth, and holds; old files still open."""

from dataclasses import replace

import numpy as np
import pytest

from spatioformer.common.errors import EvaluationError
from spatioformer.common.files import hash_file, read_json, write_json
from spatioformer.config.evaluation import IntervalKind
from spatioformer.evaluation import Conformal, Regions, count_bounds
from spatioformer.models.uncertainty import KINDS, HeldOut, Uncertainty
from spatioformer.models.uncertainty.kinds import Intervals
from spatioformer.report.trust import KINDS as WORDS
from tests.models.uncertainty.test_known import BANDS, held_out, place

pytestmark = pytest.mark.slow


def counted(n: int, seed: int = 0, k: float = 0.1) -> HeldOut:
    """Negative binomial counts around predictions from few species to many."""
    rng = np.random.default_rng(seed)
    mean = np.exp(rng.uniform(np.log(3), np.log(150), n))
    drawn = rng.poisson(mean * rng.gamma(1 / k, k, n))
    return replace(held_out(n, seed), predicted=mean, observed=drawn.astype(float))


def uneven(n: int, seed: int = 0) -> HeldOut:
    """Errors four times as large in the west as in the east, a thousand kilometres away."""
    held = held_out(n, seed)
    rng = np.random.default_rng(seed)
    west = rng.random(n) < 0.5
    errors = rng.normal(0, np.where(west, 8, 2))
    lon = np.where(west, held.lon - 5, held.lon + 5)
    return replace(held, lon=lon, observed=np.round(held.predicted + errors))


def coverage(layers: dict, observed: np.ndarray) -> np.ndarray:
    return (layers["lower"] <= observed) & (observed <= layers["upper"])


def test_the_configuration_and_the_report_know_all_kinds():
    assert set(IntervalKind.__args__) == {"auto", *KINDS}
    assert set(WORDS) == set(KINDS)


def test_counts_have_intervals_that_grow_with_their_mean():
    held = counted(1500)
    made, cross, _ = Uncertainty.calibrate(held, BANDS)
    assert made.kind(with_spread=False) == "counts"
    assert made.parameters.dispersion == pytest.approx(0.1, abs=0.02)
    score = {kind: found.scores["interval_score"] for kind, found in cross.items()}
    assert score["counts"] < 0.8 * score["constant"]
    assert cross["counts"].scores["crps"] < cross["constant"].scores["crps"]
    new = counted(4000, seed=1)
    layers = made.layers(new.predicted, None, **place(new))
    few = new.predicted < 12
    within = coverage(layers, new.observed)
    for rows in (few, ~few):
        assert 0.86 < within[rows].mean() < 0.94
    width = layers["upper"] - layers["lower"]
    assert width[~few].mean() > 3 * width[few].mean()


def test_intervals_of_counts_are_cqr_on_their_quantiles():
    held = counted(300)
    made, _, _ = Uncertainty.calibrate(held, BANDS, kind="counts")
    new = counted(50, seed=1)
    layers = replace(made, widening={}).layers(new.predicted, None, **place(new))
    k = made.parameters.dispersion
    base = Conformal(0.9).calibrate(held.observed, count_bounds(held.predicted, k, 0.9))
    expected = np.maximum(base.interval(count_bounds(new.predicted, k, 0.9)), 0)
    # The map interpolates a table of quantiles.
    np.testing.assert_allclose(layers["lower"], expected[:, 0], atol=0.02)
    np.testing.assert_allclose(layers["upper"], expected[:, 1], atol=0.02)


def test_regions_get_margins_of_their_own():
    held = uneven(1000)
    made, cross, _ = Uncertainty.calibrate(held, BANDS, np.array([1.0, 1, 0, 0]))
    assert made.kind(with_spread=False) == "region"
    assert len(made.margins["region"]) == len(made.parameters.centres)
    new = uneven(4000, seed=1)
    layers = made.layers(new.predicted, None, **place(new))
    west = new.lon < 140
    within = coverage(layers, new.observed)
    for rows in (west, ~west):
        assert 0.86 < within[rows].mean() < 0.94
    by_region = [g for g in made.facts["kinds"]["region"]["groups"] if g["by"] == "region"]
    constant = [g for g in made.facts["kinds"]["constant"]["groups"] if g["by"] == "region"]
    assert min(g["coverage"] for g in by_region) > 0.84
    assert min(g["coverage"] for g in constant) < 0.84, "one margin fails the west"
    assert cross["region"].scores["interval_score"] < cross["constant"].scores["interval_score"]


def test_groups_hold_every_plot_once_by_each_way():
    made, _, di = Uncertainty.calibrate(uneven(600), BANDS)
    for said in made.facts["kinds"].values():
        for by in ("region", "dissimilarity", "area"):
            numbers = [g["n"] for g in said["groups"] if g["by"] == by]
            assert sum(numbers) > 600 - 20, by
            assert min(numbers) >= 20, by
    fifth = next(g for g in said["groups"] if g["by"] == "dissimilarity")
    assert fifth["n"] == np.sum((di >= fifth["low"]) & (di < fifth["high"]))


@pytest.mark.slow
def test_a_kind_can_be_asked_for():
    held = counted(400)
    for kind in ("constant", "dissimilarity", "counts", "region"):
        made, _, _ = Uncertainty.calibrate(held, BANDS, kind=kind)
        assert made.kind(with_spread=False) == kind
    for kind in ("spread", "quantiles"):
        with pytest.raises(
            EvaluationError,
            match=f"intervals of the kind '{kind}' cannot be calibrated on these plots with this "
            "model; set `evaluate.interval` to auto or one of constant, dissimilarity, counts, "
            "region",
        ):
            Uncertainty.calibrate(held, BANDS, kind=kind)


def test_quantiles_that_know_the_error_are_taken():
    rng = np.random.default_rng(0)
    held = held_out(1000)
    spread = rng.uniform(0.5, 6, 1000)
    held = replace(
        held,
        observed=held.predicted + rng.normal(0, spread),
        quantiles=held.predicted[:, None] + spread[:, None] * [-1.5, 1.5],
    )
    made, cross, _ = Uncertainty.calibrate(held, BANDS)
    assert made.kind(with_spread=False) == "quantiles"
    assert cross["quantiles"].scores["coverage"] == pytest.approx(0.9, abs=0.02)
    where = [[0, 0]] * 2, [140, 140], [-27, -27]
    quantiles = np.array([[40.0, 60], [48, 52]])
    layers = made.layers(np.full(2, 50.0), None, *where, quantiles)
    q = made.margins["quantiles"]
    np.testing.assert_allclose(layers["lower"], quantiles[:, 0] - q, rtol=1e-6)
    np.testing.assert_allclose(layers["upper"], quantiles[:, 1] + q, rtol=1e-6)
    # A map without them has the next best intervals.
    other = made.layers(np.full(2, 50.0), None, *where)
    next_best = list(made.margins)[1]
    assert made.kind(with_spread=False, with_quantiles=False) == next_best
    assert not np.allclose(other["upper"], layers["upper"])


def test_a_kind_restored_gives_the_same_intervals(tmp_path):
    held = uneven(500)
    spread = np.random.default_rng(0).uniform(1, 2, 500)
    quantiles = held.predicted[:, None] + [-3.0, 3.0]
    held = replace(held, spread=spread, quantiles=quantiles)
    made, cross, di = Uncertainty.calibrate(held, BANDS)
    assert list(cross) == list(KINDS)
    made.save(tmp_path)
    opened = Uncertainty.load(tmp_path)
    at = held.predictions(di)
    for kind in KINDS:
        fresh = Intervals.calibrate(kind, made.parameters, held.observed, at, 0.9)
        again = Intervals.restored(kind, opened.parameters, opened.margins[kind], 0.9)
        assert np.array_equal(fresh(at), again(at)), kind


def test_what_is_no_count_has_no_intervals_of_counts():
    held = uneven(90)
    _, cross, _ = Uncertainty.calibrate(replace(held, observed=held.observed + 0.5), BANDS)
    assert list(cross) == ["constant", "dissimilarity"]
    with pytest.raises(EvaluationError, match="'counts' cannot be calibrated"):
        Uncertainty.calibrate(replace(held, observed=held.observed + 0.5), BANDS, kind="counts")


def test_few_plots_have_no_regions():
    _, cross, _ = Uncertainty.calibrate(uneven(90), BANDS)
    assert list(cross) == ["constant", "dissimilarity", "counts"]


def test_files_of_the_first_format_still_open(tmp_path):
    held = held_out()
    made, _, _ = Uncertainty.calibrate(held, BANDS, kind="constant")
    made.save(tmp_path)
    with np.load(tmp_path / "uncertainty.npz") as arrays:
        old = {name: values for name, values in arrays.items() if name != "centres"}
    np.savez(tmp_path / "uncertainty.npz", **old)
    said = read_json(tmp_path / "uncertainty.json")
    del said["dispersion"], said["widening"]
    said["facts"] = {"split": "tiles"}
    said |= {
        "format": 1,
        "margins": [m for m in said["margins"] if m[0] in ("constant", "dissimilarity")],
        "arrays_sha256": hash_file(tmp_path / "uncertainty.npz"),
    }
    write_json(tmp_path / "uncertainty.json", said)
    opened = Uncertainty.load(tmp_path)
    new = held_out(70, seed=2)
    expected = replace(made, widening={}).layers(new.predicted, None, **place(new))
    for name, values in opened.layers(new.predicted, None, **place(new)).items():
        assert np.array_equal(values, expected[name]), name


def test_regions_far_from_the_plots_take_the_nearest_margin():
    made, _, _ = Uncertainty.calibrate(uneven(600), BANDS, kind="region")
    lonlat = np.array([[100.0, 10], [170, 10]])
    layers = replace(made, widening={}).layers(np.full(2, 50.0), None, [[0, 0]] * 2, *lonlat.T)
    expected = np.array(made.margins["region"])[Regions(made.parameters.centres).at(lonlat)]
    np.testing.assert_allclose(layers["upper"] - 50, expected, rtol=1e-5)
    assert expected[0] > 2 * expected[1]


def test_correlated_errors_are_noted():
    rng = np.random.default_rng(0)
    held = held_out(200)
    wave = 4 * np.sin(3 * held.lon) * np.cos(3 * held.lat)
    made, _, _ = Uncertainty.calibrate(replace(held, observed=held.predicted + wave), BANDS)
    noisy = replace(held, observed=held.predicted + rng.normal(0, 2, 200))
    other, _, _ = Uncertainty.calibrate(noisy, BANDS)
    assert made.facts["correlation"]["nugget_share"] < 0.2
    assert other.facts["correlation"]["nugget_share"] > 0.6


def test_a_mean_of_no_species_spoils_no_score():
    held = counted(300)
    predicted = held.predicted.copy()
    predicted[:20] = 0
    _, cross, _ = Uncertainty.calibrate(replace(held, predicted=predicted), BANDS)
    assert cross["counts"].scores["crps"] < 3 * cross["constant"].scores["crps"]
