"""The virtual flora: known answers, honest noise, uneven surveys, and place that matters."""

import math
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import virtual_flora as benchmark
from spatioformer.common.errors import ImageryError, PlotError
from spatioformer.geo.virtual import flora as virtual_flora
from spatioformer.geo.virtual import niches
from spatioformer.geo.virtual.niches import Environment, membership, presence
from spatioformer.geo.virtual.pip_rasters import read_landscape

pytestmark = pytest.mark.slow

GRADIENTS = ("temperature", "log_precipitation", "greenness", "soil")


def small_landscape() -> dict[str, np.ndarray]:
    """60 x 80 pixels of a quarter degree; sea in the north-west, warm in the north, wet in the
    east, greenness in blobs of a few pixels; off land, nothing that could be computed with."""
    lon, lat = np.meshgrid(120.125 + 0.25 * np.arange(80), -20.125 - 0.25 * np.arange(60))
    land = (lon - 120) + (-20 - lat) > 4
    rng = np.random.default_rng(7)
    blobs = np.kron(rng.random((20, 20)), np.ones((3, 4)))
    fields = {
        "temperature": 24 + (lat + 20),
        "precipitation": 200 * np.exp((lon - 120) / 10),
        "greenness": blobs + 0.1 * rng.random(land.shape),
    }
    return {"lon": lon, "lat": lat, "land": land} | {
        name: np.where(land, field, np.nan) for name, field in fields.items()
    }


@pytest.fixture(scope="module")
def flora() -> virtual_flora.VirtualFlora:
    return virtual_flora.simulate(**small_landscape(), species=150, seed=3)


def one_species(**changes: float) -> pd.DataFrame:
    """At home at 140 E, 30 S, 20 degrees C, 500 mm, median greenness and soil."""
    traits = {"lon": 140.0, "lat": -30.0, "province": 0, "range": 10.0}
    traits |= {"prevalence": 0.8, "leak": 0.25}
    optimum = (20.0, math.log(500), 0.5, 0.0)
    tolerance = (4.0, 0.7, 0.2, 1.5)
    for name, best, width in zip(GRADIENTS, optimum, tolerance, strict=True):
        traits |= {f"{name}_optimum": best, f"{name}_tolerance": width}
    return pd.DataFrame([traits | changes])


def place(**changes: float) -> Environment:
    home = {"lon": 140.0, "lat": -30.0, "temperature": 20.0, "precipitation": 500.0}
    home |= {"greenness": 0.5, "soil": 0.0}
    return Environment(**{name: np.array([value]) for name, value in (home | changes).items()})


ONE_PROVINCE = pd.DataFrame({"lon": [140.0], "lat": [-30.0]})


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 1.0),
        ({"temperature": 24.0}, math.exp(-1 / 2)),
        ({"temperature": 12.0}, math.exp(-4 / 2)),
        ({"precipitation": 500 * math.exp(0.7)}, math.exp(-1 / 2)),
        ({"greenness": 0.3}, math.exp(-1 / 2)),
        ({"soil": -3.0}, math.exp(-4 / 2)),
        # A chord of ten degrees' arc is one range, along the meridian of home.
        ({"lat": -30 + math.degrees(2 * math.asin(math.radians(10) / 2))}, math.exp(-1 / 2)),
        ({"temperature": 24.0, "soil": 1.5, "greenness": 0.9}, math.exp(-(1 + 1 + 4) / 2)),
    ],
)
def test_presence_is_the_product_of_the_niches(changes, share):
    p = presence(place(**changes), one_species(), ONE_PROVINCE)
    assert p.shape == (1, 1)
    assert p[0, 0] == pytest.approx(0.8 * share, rel=1e-9)


def test_a_border_holds_back_what_does_not_leak():
    provinces = pd.DataFrame({"lon": [140.0, 150.0], "lat": [0.0, 0.0]})
    at_border = place(lon=145.0, lat=0.0)
    np.testing.assert_allclose(membership(at_border, provinces), [[0.5, 0.5]], rtol=1e-9)
    # One degree inside, the centres are 4 and 6 degrees away.
    inside = 1 / (1 + math.exp(-2 / niches.BORDER))
    shares = membership(place(lon=144.0, lat=0.0), provinces)
    np.testing.assert_allclose(shares, [[inside, 1 - inside]], rtol=1e-6)
    wide = {"range": 1e6, "prevalence": 1.0}
    native = presence(at_border, one_species(**wide), provinces)[0, 0]
    assert native == pytest.approx(0.25 + 0.75 * 0.5, rel=1e-9)
    beyond = presence(place(lon=150.0, lat=0.0), one_species(**wide), provinces)[0, 0]
    assert beyond == pytest.approx(0.25, abs=1e-6)
    widespread = presence(at_border, one_species(**wide, leak=1.0), provinces)[0, 0]
    assert widespread == pytest.approx(1.0, rel=1e-9)


def by_hand(flora: virtual_flora.VirtualFlora, row: int, col: int) -> list[float]:
    """Probability of each species at a pixel, one scalar at a time."""

    def chord(lon: float, lat: float) -> float:
        points = []
        for x, y in (
            (lon, lat),
            (flora.environment.lon[row, col], flora.environment.lat[row, col]),
        ):
            x, y = math.radians(x), math.radians(y)
            points.append((math.cos(y) * math.cos(x), math.cos(y) * math.sin(x), math.sin(y)))
        return math.degrees(math.dist(*points))

    def arc(lon: float, lat: float) -> float:
        return math.degrees(2 * math.asin(math.radians(chord(lon, lat)) / 2))

    weights = [math.exp(-arc(p.lon, p.lat) / niches.BORDER) for p in flora.provinces.itertuples()]
    value = {name: getattr(flora.environment, name)[row, col] for name in ("temperature", "soil")}
    value["greenness"] = flora.environment.greenness[row, col]
    value["log_precipitation"] = math.log(flora.environment.precipitation[row, col])
    result = []
    for _, s in flora.species.iterrows():
        p = s["prevalence"] * math.exp(-((chord(s["lon"], s["lat"]) / s["range"]) ** 2) / 2)
        for name in GRADIENTS:
            z = (value[name] - s[f"{name}_optimum"]) / s[f"{name}_tolerance"]
            p *= math.exp(-(z**2) / 2)
        share = weights[int(s["province"])] / sum(weights)
        result.append(p * (share + s["leak"] * (1 - share)))
    return result


def test_truth_and_noise_are_sums_over_species(flora):
    rows, cols = np.nonzero(flora.land)
    for k in (0, 1000, 2500, rows.size - 1):
        p = by_hand(flora, rows[k], cols[k])
        assert len(p) == 150
        assert flora.truth[rows[k], cols[k]] == pytest.approx(sum(p), rel=1e-6)
        noise = sum(q * (1 - q) for q in p)
        assert flora.noise_variance[rows[k], cols[k]] == pytest.approx(noise, rel=1e-6)
    assert np.isnan(flora.truth[~flora.land]).all()
    assert np.isfinite(flora.truth[flora.land]).all()
    assert flora.truth.dtype == flora.noise_variance.dtype == np.float32


def test_a_flora_of_one_species_is_its_niche():
    flora = virtual_flora.simulate(**small_landscape(), species=1, seed=0)
    places = flora.environment[flora.land]
    p = presence(places, flora.species, flora.provinces)[:, 0]
    np.testing.assert_allclose(flora.truth[flora.land], p, rtol=1e-6)
    np.testing.assert_allclose(flora.noise_variance[flora.land], p * (1 - p), rtol=1e-5)
    home = flora.species.iloc[0]
    best = np.flatnonzero((places.lon == home["lon"]) & (places.lat == home["lat"]))
    assert p[best[0]] == pytest.approx(home["prevalence"], rel=0.15)  # a border may be near
    assert p.max() <= home["prevalence"]


def test_species_live_at_home_in_their_own_province(flora):
    rows, cols = np.nonzero(flora.land)
    places = flora.environment[rows, cols]
    province = membership(places, flora.provinces).argmax(axis=1)
    for _, species in flora.species.iterrows():
        (k,) = np.flatnonzero((places.lon == species["lon"]) & (places.lat == species["lat"]))
        assert province[k] == species["province"]
        for name, gradient in places.gradients.items():
            assert species[f"{name}_optimum"] == gradient[k]
            low, high = virtual_flora.TOLERANCES[name]
            assert low <= species[f"{name}_tolerance"] <= high
    assert sorted(flora.provinces["preference"]) == pytest.approx(np.linspace(0, 1, 8))


def test_homes_follow_the_preference_of_their_province():
    flora = virtual_flora.simulate(**small_landscape(), species=1500, seed=1)
    places = flora.environment[flora.land]
    province = membership(places, flora.provinces).argmax(axis=1)
    for k, preference in enumerate(flora.provinces["preference"]):
        own = np.sort(places.greenness[province == k])
        optima = flora.species.loc[flora.species["province"] == k, "greenness_optimum"]
        rank = np.searchsorted(own, optima).mean() / own.size
        # A normal of sd 0.2 cut off at 0 and 1: its mean is pulled inwards by up to 0.16.
        assert abs(rank - preference) < 0.2
        assert rank < 0.35 if preference < 0.2 else rank > 0.25


def test_counts_have_the_truths_mean_and_variance(flora):
    rng = np.random.default_rng(11)
    rows, cols = np.nonzero(flora.land)
    draws = 4000
    for k in (10, 1200, 3000):
        counts = virtual_flora.observe(flora, np.full(draws, rows[k]), np.full(draws, cols[k]), rng)
        mean, variance = (f[rows[k], cols[k]] for f in (flora.truth, flora.noise_variance))
        assert counts.dtype == np.int64
        assert abs(counts.mean() - mean) < 4 * math.sqrt(variance / draws)
        # The standard error of a variance is about variance * sqrt(2 / draws).
        assert counts.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / draws))


def test_the_ceiling_is_what_the_truth_scores(flora):
    rng = np.random.default_rng(5)
    rows, cols = (index[::12] for index in np.nonzero(flora.land))
    truth = flora.truth[rows, cols].astype(float)
    sse = sst = 0.0
    for _ in range(60):
        counts = virtual_flora.observe(flora, rows, cols, rng)
        sse += ((counts - truth) ** 2).sum()
        sst += ((counts - counts.mean()) ** 2).sum()
    assert virtual_flora.noise_ceiling(flora, rows, cols) == pytest.approx(1 - sse / sst, abs=0.01)


def test_equal_seeds_give_equal_floras_and_surveys(flora):
    again = virtual_flora.simulate(**small_landscape(), species=150, seed=3)
    np.testing.assert_array_equal(again.truth, flora.truth)
    pd.testing.assert_frame_equal(again.species, flora.species)
    one, two = (virtual_flora.survey(f, plots=200, seed=4) for f in (flora, again))
    pd.testing.assert_frame_equal(one, two)
    other = virtual_flora.simulate(**small_landscape(), species=150, seed=2)
    assert np.nanstd(other.truth - flora.truth) > 1
    assert not one.equals(virtual_flora.survey(flora, plots=200, seed=5))


def test_only_the_order_of_greenness_counts(flora):
    landscape = small_landscape()
    landscape["greenness"] = np.exp(3 * landscape["greenness"]) - 7
    bent = virtual_flora.simulate(**landscape, species=150, seed=3)
    np.testing.assert_array_equal(bent.truth, flora.truth)


def test_soil_is_a_standard_field_of_short_range():
    flora = virtual_flora.simulate(**small_landscape(), species=1, seed=8)
    soil = flora.environment.soil[flora.land]
    assert abs(soil.mean()) < 0.3
    assert soil.std() == pytest.approx(1, abs=0.2)
    field = flora.environment.soil
    ahead = field[:, 20:] * field[:, :-20]  # five degrees: beyond every wave's length
    assert abs(np.nanmean(ahead)) < 0.2


def test_a_survey_is_uneven_distinct_and_in_its_pixels(flora):
    plots = virtual_flora.survey(flora, plots=401, seed=1)
    assert list(plots) == ["plot_id", "lon", "lat", "richness", "row", "col", "programme"]
    assert plots["programme"].value_counts().to_dict() == {
        "local": 200,
        "roadside": 121,
        "systematic": 80,
    }
    for columns in (["plot_id"], ["row", "col"], ["lon", "lat"]):
        assert not plots.duplicated(columns).any()
    rows, cols = plots["row"], plots["col"]
    assert flora.land[rows, cols].all()
    assert (np.abs(plots["lon"] - flora.environment.lon[rows, cols]) < 0.125).all()
    assert (np.abs(plots["lat"] - flora.environment.lat[rows, cols]) < 0.125).all()
    assert plots["richness"].dtype == np.int64
    # The mild, wet south-east corner holds a fifth of the land and far more of the local plots.
    corner = (plots["lon"] > 134) & (plots["lat"] < -25)
    on_corner = (flora.environment.lon > 134) & (flora.environment.lat < -25)
    by_programme = corner.groupby(plots["programme"]).mean()
    assert by_programme["local"] > 2 * (on_corner & flora.land).sum() / flora.land.sum()
    # Clusters: a local plot's nearest fellow is nearer than a systematic one's, at equal numbers.
    local, systematic = (
        plots.loc[plots["programme"] == name, ["lon", "lat"]].to_numpy()[:80]
        for name in ("local", "systematic")
    )
    assert nearest(local) < 0.7 * nearest(systematic)


def nearest(points: np.ndarray) -> float:
    """Mean distance to the nearest other point."""
    apart = np.hypot(*(points[:, None] - points[None]).T)
    np.fill_diagonal(apart, np.inf)
    return float(apart.min(axis=0).mean())


def test_every_land_pixel_can_be_surveyed(flora):
    plots = virtual_flora.survey(flora, plots=int(flora.land.sum()), seed=0)
    assert not plots.duplicated(["row", "col"]).any()


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.integers(-5, 5), min_size=1, max_size=40),
    total=st.integers(1, 5000),
)
def test_percentiles_and_shares_add_up(values, total):
    array = np.array(values, float)
    ranks = virtual_flora.percentile(array)
    by_hand = [np.mean((array < v) + 0.5 * (array == v)) for v in array]
    np.testing.assert_allclose(ranks, by_hand, rtol=1e-12)
    shares = virtual_flora._shares(total, [0.5, 0.3, 0.2])
    assert shares.sum() == total
    assert (np.abs(shares - total * np.array([0.5, 0.3, 0.2])) <= 1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lon": np.zeros((3, 3))}, r"lon has shape \(3, 3\) and land \(60, 80\)"),
        ({"temperature": np.full((60, 80), np.nan)}, "temperature is nan on 4"),
        ({"precipitation": np.zeros((60, 80))}, r"precipitation is 0\.0 on 4"),
        ({"land": np.zeros((60, 80), bool)}, "0 land pixels .* too few for 8 provinces"),
        ({"species": 0}, "a flora of 0 species is empty; choose at least one species"),
    ],
)
def test_a_landscape_that_cannot_be_used_is_refused(changes, message):
    with pytest.raises(ImageryError, match=message):
        virtual_flora.simulate(**small_landscape() | changes)


@pytest.mark.parametrize(("row", "col"), [(0, 0), (-1, 79), (60, 0), (59, 80)])
def test_pixels_off_land_are_refused(flora, row, col):
    rng = np.random.default_rng(0)
    message = f"row {row}, column {col} is not on the flora's land"
    with pytest.raises(ImageryError, match=message):
        virtual_flora.observe(flora, [59, row], [79, col], rng)
    with pytest.raises(ImageryError, match=message):
        virtual_flora.noise_ceiling(flora, [59, row], [79, col])


@pytest.mark.parametrize("plots", [0, 5000])
def test_impossible_numbers_of_plots_are_refused(flora, plots):
    with pytest.raises(PlotError, match=f"{plots} plots cannot be placed on 4"):
        virtual_flora.survey(flora, plots=plots)


# Over Australia, on real imagery: what the generator is for. Ten trees a forest are enough to
# see it; the page on the virtual flora has the figures of two hundred.
# `make soak` takes five floras, `make test` one.
TREES = 10
SEEDS = range(5 if os.environ.get("SPATIOFORMER_SOAK") else 1)


@pytest.fixture(scope="module")
def australia():
    return read_landscape(benchmark.AUSTRALIA)


@pytest.fixture(scope="module")
def cases(australia) -> dict[int, benchmark.Case]:
    return {seed: benchmark.make_case(australia, seed) for seed in SEEDS}


@pytest.fixture(scope="module")
def r2(cases) -> pd.Series:
    """Mean over the seeds by (model, degrees of the tiles)."""
    scored = [
        benchmark.measure(case, benchmark.forests(seed, TREES), seed)
        for seed, case in cases.items()
    ]
    return pd.DataFrame(scored).mean()


@pytest.mark.parametrize("tiles", benchmark.TILES)
def test_place_matters_imagery_and_location_beat_either(r2, tiles):
    assert benchmark.margin(r2, tiles) >= 0.05
    assert r2["both", tiles] > 0.5


def test_neighbours_cannot_draw_it(r2):
    assert r2["both", 1.0] - r2["neighbours", 1.0] >= 0.05
    assert r2["neighbours", 1.0] < 0.7


def test_richness_is_plausible(cases):
    for case in cases.values():
        low, middle, high = np.percentile(case.truth, [1, 50, 99])
        assert 2 < low < 20
        assert 15 < middle < 45
        assert 45 < high < 100
        assert 0.8 < case.ceiling < 0.95


def without_place(monkeypatch):
    """Every species everywhere, wherever its greenness is: location says nothing more."""
    monkeypatch.setattr(virtual_flora, "LEAK", 1.0)
    monkeypatch.setattr(virtual_flora, "RANGES", (1e4, 2e4))
    wide = dict.fromkeys(("temperature", "log_precipitation", "soil"), (1e4, 2e4))
    monkeypatch.setattr(virtual_flora, "TOLERANCES", virtual_flora.TOLERANCES | wide)


def without_imagery(monkeypatch):
    """No niche in what is fine-grained: a surface that nearest neighbours draw."""
    wide = dict.fromkeys(("greenness", "soil"), (1e4, 2e4))
    monkeypatch.setattr(virtual_flora, "TOLERANCES", virtual_flora.TOLERANCES | wide)


@pytest.mark.parametrize(
    "mutation", [without_place, pytest.param(without_imagery, marks=pytest.mark.soak)]
)
def test_the_proof_can_fail(australia, monkeypatch, mutation):
    mutation(monkeypatch)
    case = benchmark.make_case(australia, seed=0)
    scored = benchmark.measure(case, benchmark.forests(0, TREES), 0, tiles=(1.0,))
    assert benchmark.margin(scored, 1.0) < 0.05
