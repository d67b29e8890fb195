"""Location encoders: known values, no seam where the Earth has none, how networks take them in."""

import math

import pytest
import torch
from scipy.special import sph_harm_y

from spatioformer.common.errors import ModelError
from spatioformer.nn.geolocation import (
    ENCODERS,
    AddLocation,
    FiLM,
    LocationDropout,
    RandomFourier,
    Sinusoids,
    SphereWaves,
    extent_of,
    jittered,
    location_encoder,
    unit_vector,
    wavelengths_over,
)
from spatioformer.nn.harmonics import spherical_harmonics

WAVES = (60.0, 17.0, 5.0)
SEAMLESS = ("sphere", "harmonics", "fourier")


def made(name: str):
    torch.manual_seed(0)
    return location_encoder(name, None if name == "paper" else WAVES, 16)


def places(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    lon, lat = torch.rand(2, count, generator=generator, dtype=torch.float64)
    return 360 * lon - 180, 170 * lat - 85


@pytest.mark.parametrize("name", ENCODERS)
def test_features_have_the_promised_number_and_dtype(name):
    encoder, (lon, lat) = made(name), places(6)
    assert encoder(lon.view(2, 3), lat.view(2, 3)).shape == (2, 3, encoder.features)
    assert encoder(lon, lat).dtype == torch.float32
    assert encoder.double()(lon, lat).dtype == torch.float64
    assert encoder(lon, lat).abs().max() <= 1


@pytest.mark.parametrize("name", SEAMLESS)
def test_the_date_line_and_the_poles_are_places_like_others(name):
    encoder, lat = made(name).double(), torch.linspace(-80, 80, 9, dtype=torch.float64)
    west, east = torch.full_like(lat, -180), torch.full_like(lat, 180)
    torch.testing.assert_close(encoder(west, lat), encoder(east, lat), rtol=0, atol=1e-12)
    lon = torch.tensor([-170.0, 0, 10, 123], dtype=torch.float64)
    pole = encoder(lon, torch.full_like(lon, 90))
    torch.testing.assert_close(pole, pole[:1].expand_as(pole), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["paper", "sinusoids"])
def test_flat_encoders_do_have_a_seam(name):
    encoder, lat = made(name), torch.zeros(1, dtype=torch.float64)
    assert (encoder(lat - 180, lat) - encoder(lat + 180, lat)).abs().max() > 0.1


@pytest.mark.parametrize("name", ENCODERS)
def test_a_tenth_of_a_metre_is_seen_only_because_coordinates_stay_float64(name):
    encoder = location_encoder(name, None if name == "paper" else (0.01,), 16).double()
    lon = torch.tensor([150.0], dtype=torch.float64)
    lat = torch.tensor([-33.0], dtype=torch.float64)
    moved = encoder(lon + 1e-6, lat) - encoder(lon, lat)
    assert moved.abs().max() > 0
    # Rounded first, that step is no step at all.
    assert torch.equal((lon + 1e-6).float(), lon.float())


def test_sinusoids_are_waves_in_three_directions():
    lon, lat = torch.tensor([12.0]).double(), torch.tensor([-7.0]).double()
    along = [12 * math.cos(a) - 7 * math.sin(a) for a in (0, 2 * math.pi / 3, 4 * math.pi / 3)]
    phase = [2 * math.pi * x / w for x in along for w in WAVES]
    expected = [math.sin(p) for p in phase] + [math.cos(p) for p in phase]
    found = Sinusoids(WAVES).encode(lon, lat)[0]
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_a_wavelength_is_a_distance_on_the_ground():
    """On the equator near 90 E, x is arc: a whole wave away only y has changed, by little."""
    w = 4.0
    lon, lat = torch.tensor([90.0, 90.0 + w]).double(), torch.zeros(2).double()
    sphere = SphereWaves([w]).encode(lon, lat)[:, [0, 3]]  # sine and cosine along x
    torch.testing.assert_close(sphere[0], sphere[1], rtol=0, atol=6e-3)
    half = SphereWaves([w]).encode(lon - torch.tensor([0, w / 2]), lat)[:, 3]
    torch.testing.assert_close(half[0], -half[1], rtol=0, atol=1e-2)


def test_random_fourier_directions_are_seeded_and_travel_with_the_weights():
    lon, lat = places()
    one, same, other = (RandomFourier(WAVES, 16, seed) for seed in (0, 0, 1))
    assert torch.equal(one(lon, lat), same(lon, lat))
    assert not torch.equal(one(lon, lat), other(lon, lat))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(lon, lat), other(lon, lat))


def test_harmonics_equal_scipys():
    lon, lat = places(20)
    theta, phi = (torch.deg2rad(90 - lat).numpy(), torch.deg2rad(lon).numpy())
    found = spherical_harmonics(lon, lat, 12)
    column = 0
    for n in range(13):
        for m in range(-n, n + 1):
            # scipy's are complex and carry the Condon-Shortley phase.
            theirs = sph_harm_y(n, abs(m), theta, phi) * (-1) ** m
            part = theirs.imag if m < 0 else theirs.real
            expected = torch.from_numpy(part * (math.sqrt(2) if m else 1))
            torch.testing.assert_close(found[:, column], expected, rtol=0, atol=1e-12)
            column += 1
    assert column == found.shape[1]


def test_harmonics_are_orthonormal_over_the_sphere():
    """Gauss-Legendre in sin(lat) and equal steps in longitude integrate them exactly."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(8)
    lat = torch.from_numpy(np.degrees(np.arcsin(nodes)))
    lon = torch.arange(16, dtype=torch.float64) * 22.5
    y = spherical_harmonics(lon.repeat(8), lat.repeat_interleave(16), 6)
    area = torch.from_numpy(weights).repeat_interleave(16)[:, None] * (2 * math.pi / 16)
    torch.testing.assert_close(y.T @ (area * y), torch.eye(49).double(), rtol=0, atol=1e-12)


def test_wavelengths_follow_the_extent():
    waves = wavelengths_over(40.0, count=4, finest=0.25)
    assert waves[0] == 80
    assert waves[-1] == pytest.approx(10)
    assert waves[1] / waves[0] == pytest.approx(waves[3] / waves[2])
    assert wavelengths_over(40.0) == (80, 40)


def test_an_extent_may_straddle_the_date_line():
    lat = torch.tensor([-1.0, 1.0])
    assert extent_of(torch.tensor([178.0, -177.0]), lat) == pytest.approx(5)
    assert extent_of(torch.tensor([112.0, 154.0]), torch.tensor([-44.0, -10.0])) == pytest.approx(
        42 * math.cos(math.radians(27))
    )
    assert extent_of(torch.tensor([10.0]), torch.tensor([50.0])) == 0.01


@pytest.mark.parametrize("kind", [FiLM, AddLocation])
def test_location_changes_nothing_at_first(kind):
    torch.manual_seed(0)
    layer, tokens, features = kind(6, 5), torch.randn(2, 3, 6), torch.randn(2, 1, 5)
    assert torch.equal(layer(tokens, features), tokens)
    with torch.no_grad():
        layer.linear.weight.normal_()
    assert not torch.allclose(layer(tokens, features), tokens)


def test_film_scales_and_shifts():
    film = FiLM(2, 1)
    with torch.no_grad():
        film.linear.weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    found = film(torch.tensor([[10.0, 20.0]]), torch.tensor([[1.0]]))
    assert found.tolist() == [[10 * 2 + 3, 20 * 3 + 4]]


def test_dropped_locations_are_unknown_for_the_whole_sample():
    dropout, features = LocationDropout(3, 0.25), torch.ones(4000, 2, 3)
    with torch.no_grad():
        dropout.unknown.fill_(7)
    assert torch.equal(dropout.eval()(features), features)
    torch.manual_seed(0)
    mixed = dropout.train()(features)
    unknown = (mixed == 7).flatten(1)
    assert torch.equal(unknown.all(1), unknown.any(1))
    assert unknown.all(1).float().mean() == pytest.approx(0.25, abs=0.02)


def test_jitter_moves_samples_by_kilometres_whatever_the_latitude():
    torch.manual_seed(0)
    lat = torch.tensor([0.0, -70.0]).double().repeat_interleave(4000)[:, None].expand(-1, 2)
    lon = torch.full_like(lat, 150)
    moved = jittered(lon, lat, km=20)
    assert torch.equal(moved[0][:, 0], moved[0][:, 1])  # pixels of a chip stay together
    moved = [m[:, 0] for m in moved]
    step = (unit_vector(*moved) - unit_vector(lon[:, 0], lat[:, 0])) * 6371.0088
    for part in step.split(4000):
        assert part.square().sum(1).mean().sqrt() == pytest.approx(20 * 2**0.5, rel=0.03)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("globe", WAVES), "location encoder 'globe' is unknown; choose one of paper, sinusoids"),
        (("sphere",), "cannot use the wavelengths None; give at least one number of degrees above"),
        (("sphere", [3, -1]), r"cannot use the wavelengths \[3, -1\]"),
        (("paper", [3.0]), r"has wavelengths of its own; leave out \[3.0\], or choose sinusoids"),
    ],
)
def test_impossible_encoders_are_refused(arguments, sentence):
    with pytest.raises(ModelError, match=sentence):
        location_encoder(*arguments)
