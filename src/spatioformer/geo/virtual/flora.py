"""Virtual flora: simulated species in a real landscape, whose true richness is known everywhere.

Species have niches in climate, greenness and a hidden soil gradient, a range and a home province;
`niches` has the formula. Expected richness is the sum of their probabilities of presence; the count
of one plot is one Bernoulli draw a species. In each province most species prefer the same part of
the greenness gradient, and another part in the next province. So the relation of imagery and
richness depends on the place.

docs/virtual_flora.md explains how the numbers were chosen, and the scores of models on such a
flora. Practice of virtual species: Zurell et al. 2010 (Oikos 119:622), Leroy et al. 2016 (Ecography
39:599). All output is virtual and must be labelled so wherever it is shown.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from spatioformer.common.earth import unit_vectors
from spatioformer.common.errors import ImageryError, PlotError
from spatioformer.common.streams import Stream, generator
from spatioformer.geo.virtual.niches import Environment, Floats, arc, chunks, presence

PROVINCES = 8
POOL_SPREAD = 0.2  # sd of the log of a province's share of all species
WATER = 0.5  # the density of species' homes is proportional to precipitation to this power
PREFERENCE_SPREAD = 0.2  # sd of homes around the province's preferred greenness percentile
SOIL_WAVES = 200
SOIL_WAVELENGTHS = (0.3, 3.0)  # degrees
# Ranges from which species' traits are drawn uniformly (the range: uniformly in the logarithm).
TOLERANCES = {
    "temperature": (5.0, 10.0),  # degrees Celsius
    "log_precipitation": (0.8, 1.6),  # natural log of mm a year: a factor of 2.2 to 5
    "greenness": (0.1, 0.25),  # percentiles / 100
    "soil": (1.0, 2.5),  # standard deviations
}
RANGES = (12.0, 30.0)  # degrees of arc
PREVALENCES = (0.4, 1.0)
WIDESPREAD = 0.25  # share of species that occur in all provinces
LEAK = 0.1  # factor on the prevalence of other species outside their province

# A survey: programmes and their shares of the plots.
PROGRAMMES = {"local": 0.5, "roadside": 0.3, "systematic": 0.2}
PLOTS_PER_TOWN = 60
MILD, MILD_SPREAD = 16.0, 4.0  # temperature of settlements, mean and sd, degrees Celsius
WET = 600.0  # mm a year at which settlement density is half of its maximum
OUTBACK = 0.1  # share of settlements spread evenly, independent of climate
NEAR_TOWN, NEAR_ROAD = 0.5, 0.1  # e-folding distance of the density of plots, degrees


@dataclass(frozen=True)
class VirtualFlora:
    """A simulated flora and its true richness.

    Attributes:
        environment: fields [y, x]; NaN off land, except lon and lat.
        land: [y, x] bool.
        truth: [y, x] float32, expected number of species in one plot; NaN off land.
        noise_variance: [y, x] float32, variance of one plot's count; NaN off land.
        species: one row each: lon, lat (home), province, range (degrees), prevalence, leak, and
            <gradient>_optimum and <gradient>_tolerance for each of `Environment.gradients`.
        provinces: one row each: lon, lat (centre), preference (greenness percentile within it).
        seed: the seed given to `simulate`.
    """

    environment: Environment
    land: NDArray[np.bool_]
    truth: NDArray[np.float32]
    noise_variance: NDArray[np.float32]
    species: pd.DataFrame
    provinces: pd.DataFrame
    seed: int

    def at(self, rows: ArrayLike, cols: ArrayLike) -> Environment:
        """Environment of land pixels.

        Raises:
            ImageryError: a pixel off the grid or off land.
        """
        rows, cols = np.atleast_1d(rows), np.atleast_1d(cols)
        height, width = self.land.shape
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        bad = ~inside
        bad[inside] = ~self.land[rows[inside], cols[inside]]
        if bad.any():
            row, col = rows[bad][0], cols[bad][0]
            raise ImageryError(
                f"the pixel at row {row}, column {col} is not on the flora's land; "
                "choose pixels where `land` is true"
            )
        return self.environment[rows, cols]


def simulate(
    lon: ArrayLike,
    lat: ArrayLike,
    land: ArrayLike,
    temperature: ArrayLike,
    precipitation: ArrayLike,
    greenness: ArrayLike,
    *,
    species: int = 600,
    seed: int = 0,
) -> VirtualFlora:
    """Draw a flora for a landscape, and compute its richness; equal seeds give equal floras.

    Args:
        lon, lat: [y, x] pixel centres, degrees.
        land: [y, x] bool, True where plants grow; values of other pixels are not used.
        temperature: [y, x] annual mean, degrees Celsius.
        precipitation: [y, x] annual sum, mm, above 0.
        greenness: [y, x] vegetation index in any unit; only the order of values matters.
        species: number of species; expected richness is proportional to it.
        seed: random seed of all draws.

    Raises:
        ImageryError: fields of different shapes, too little land, or invalid values.
    """
    land = np.asarray(land, bool)
    given: dict[str, ArrayLike] = {
        "lon": lon,
        "lat": lat,
        "temperature": temperature,
        "precipitation": precipitation,
        "greenness": greenness,
    }
    fields: dict[str, Floats] = {name: np.asarray(v, np.float64) for name, v in given.items()}
    _check(fields, land, species)
    rng = generator(seed, Stream.FLORA)
    on_land = {name: field[land] for name, field in fields.items()}
    on_land["greenness"] = percentile(on_land["greenness"])
    on_land["soil"] = _draw_soil(unit_vectors(on_land["lon"], on_land["lat"]), rng)
    places = Environment(**on_land)
    provinces = _draw_provinces(places, rng)
    traits = _draw_species(places, provinces, species, rng)
    mean, variance = np.empty(land.sum()), np.empty(land.sum())
    for part in chunks(len(mean)):
        p = presence(places[part], traits, provinces)
        mean[part] = p.sum(axis=1)
        variance[part] = (p * (1 - p)).sum(axis=1)

    def unmask(values: Floats) -> Floats:
        field = np.full(land.shape, np.nan)
        field[land] = values
        return field

    fields_2d = {name: unmask(values) for name, values in on_land.items()}
    return VirtualFlora(
        environment=Environment(**fields_2d | {"lon": fields["lon"], "lat": fields["lat"]}),
        land=land,
        truth=unmask(mean).astype(np.float32),
        noise_variance=unmask(variance).astype(np.float32),
        species=traits,
        provinces=provinces,
        seed=seed,
    )


def observe(
    flora: VirtualFlora, rows: ArrayLike, cols: ArrayLike, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Count the species of one new plot at each pixel, [n]; species are independent.

    Raises:
        ImageryError: a pixel off land.
    """
    environment = flora.at(rows, cols)
    counts = np.empty(len(environment.lon), np.int64)
    for part in chunks(len(counts)):
        p = presence(environment[part], flora.species, flora.provinces)
        counts[part] = (rng.random(p.shape) < p).sum(axis=1)
    return counts


def survey(flora: VirtualFlora, plots: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Survey the flora unevenly, as real surveys do: one count at each of `plots` pixels.

    Three programmes share the plots (`PROGRAMMES`): "local" is dense around towns, "roadside"
    follows the roads between towns, "systematic" is spread evenly over the land. Towns are where
    the climate is mild and wet, so in Australia the south-east is dense and the interior sparse.
    The region must not cross the date line.

    Returns:
        One row a plot: plot_id, lon, lat (degrees, somewhere in the pixel), richness (int64), row,
        col (of the pixel), programme.

    Raises:
        PlotError: no plots, or more than there are land pixels.
    """
    rows, cols = np.nonzero(flora.land)
    if not 1 <= plots <= rows.size:
        raise PlotError(
            f"{plots} plots cannot be placed on {rows.size} land pixels, one in each; choose 1 to "
            f"{rows.size}"
        )
    rng = generator(seed, Stream.FLORA_PLOTS)
    places = flora.environment[rows, cols]
    pixel = np.empty(0, np.intp)
    programme = np.repeat(list(PROGRAMMES), _shares(plots, list(PROGRAMMES.values())))
    towns = max(3, plots // PLOTS_PER_TOWN)
    for name, log_weight in _intensities(places, towns, rng).items():
        log_weight[pixel] = -np.inf
        count = int(np.count_nonzero(programme == name))
        pixel = np.concatenate([pixel, _draw_distinct(log_weight, count, rng)])
    rows, cols = rows[pixel], cols[pixel]
    lon, lat = flora.environment.lon, flora.environment.lat
    # At most 0.49 pixels from the centre, so that rounding moves no plot into the next pixel.
    east, south = rng.uniform(-0.49, 0.49, size=(2, plots))
    return pd.DataFrame(
        {
            "plot_id": [f"virtual-{number:05d}" for number in range(1, plots + 1)],
            "lon": lon[rows, cols] + east * (lon[0, 1] - lon[0, 0]),
            "lat": lat[rows, cols] + south * (lat[1, 0] - lat[0, 0]),
            "richness": observe(flora, rows, cols, rng),
            "row": rows,
            "col": cols,
            "programme": programme,
        }
    )


def noise_ceiling(flora: VirtualFlora, rows: ArrayLike, cols: ArrayLike) -> float:
    """The r2 = 1 - SSE/SST of the true map against counts at these pixels.

        1 - sum(v) / (sum((truth - mean truth)^2) + (1 - 1/n) sum(v)),   v the noise variance

    the ratio of the expectations of SSE and SST over the counting noise.

    Raises:
        ImageryError: a pixel off land.
    """
    rows, cols = np.asarray(rows), np.asarray(cols)
    flora.at(rows, cols)  # the check
    truth = flora.truth[rows, cols].astype(np.float64)
    noise = flora.noise_variance[rows, cols].astype(np.float64).sum()
    total = ((truth - truth.mean()) ** 2).sum() + (1 - 1 / truth.size) * noise
    return float(1 - noise / total)


def percentile(values: Floats) -> Floats:
    """Percentile rank of each value, 0-1; equal values have their mean rank."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return ((np.cumsum(count) - count / 2) / values.size)[inverse]


def _check(fields: dict[str, Floats], land: NDArray[np.bool_], species: int) -> None:
    for name, field in fields.items():
        if field.shape != land.shape or field.ndim != 2:
            raise ImageryError(
                f"{name} has shape {field.shape} and land {land.shape}; give fields [y, x] "
                "of one grid"
            )
        bad = ~np.isfinite(field[land])
        if name == "precipitation":
            bad |= ~(field[land] > 0)
        if bad.any():
            raise ImageryError(
                f"{name} is {field[land][bad][0]} on {bad.sum()} land pixels; fill it, or remove "
                "them from the land mask"
            )
    if land.sum() < PROVINCES or min(land.shape) < 2:
        raise ImageryError(
            f"{land.sum()} land pixels on a grid of {land.shape[0]} x {land.shape[1]} are too few "
            f"for {PROVINCES} provinces; widen the region"
        )
    if species < 1:
        raise ImageryError(f"a flora of {species} species is empty; choose at least one species")


def _draw_soil(position: Floats, rng: np.random.Generator) -> Floats:
    """Draw a smooth random field at places [n, 3], mean 0 and variance 1 in expectation.

    A sum of cosine waves of random direction, length and phase through space (random Fourier
    features of a stationary Gaussian field), sampled on the sphere.
    """
    direction = rng.standard_normal((SOIL_WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    shortest, longest = np.log(SOIL_WAVELENGTHS)
    wavelength = np.exp(rng.uniform(shortest, longest, size=SOIL_WAVES))
    phase = rng.uniform(0, 2 * np.pi, size=SOIL_WAVES)
    soil = np.empty(len(position))
    for part in chunks(len(position)):
        angle = position[part] @ (direction * (360 / wavelength)[:, None]).T + phase
        soil[part] = np.sqrt(2 / SOIL_WAVES) * np.cos(angle).sum(axis=1)
    return soil


def _draw_provinces(places: Environment, rng: np.random.Generator) -> pd.DataFrame:
    """Draw province centres spread over the land, and the greenness that their species prefer.

    Each centre is the candidate farthest from the centres before, of 20 (Mitchell's best
    candidate). Preferences are spaced evenly over 0-1 and assigned at random, so they always
    differ.
    """
    area = _area(places)
    position = places.position
    centres = [rng.choice(area.size, p=area)]
    while len(centres) < PROVINCES:
        candidates = rng.choice(area.size, size=min(20, area.size), replace=False, p=area)
        distance = arc(position[candidates], position[centres]).min(axis=1)
        centres.append(candidates[distance.argmax()])
    return pd.DataFrame(
        {
            "lon": places.lon[centres],
            "lat": places.lat[centres],
            "preference": rng.permutation(np.linspace(0, 1, PROVINCES)),
        }
    )


def _draw_species(
    places: Environment, provinces: pd.DataFrame, count: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw the traits of `count` species; at its home a species is at its optimum.

    A home is a land pixel of the species' province, likely one with the province's preferred
    greenness. So every optimum occurs in the landscape.
    """
    centre = unit_vectors(provinces["lon"], provinces["lat"])
    nearest = np.concatenate(
        [arc(places[part].position, centre).argmin(1) for part in chunks(len(places.lon))]
    )
    fertile = _area(places) * places.precipitation**WATER
    pool = np.array([fertile[nearest == k].mean() for k in range(PROVINCES)])
    pool *= np.exp(POOL_SPREAD * rng.standard_normal(PROVINCES))
    province = rng.choice(PROVINCES, size=count, p=pool / pool.sum())
    home = np.empty(count, np.intp)
    for k, preference in enumerate(provinces["preference"]):
        pixels, members = np.flatnonzero(nearest == k), province == k
        away = (percentile(places.greenness[pixels]) - preference) / PREFERENCE_SPREAD
        weight = fertile[pixels] * np.exp(-(away**2) / 2)
        home[members] = rng.choice(pixels, size=members.sum(), p=weight / weight.sum())
    smallest, largest = np.log(RANGES)
    traits = {
        "lon": places.lon[home],
        "lat": places.lat[home],
        "province": province,
        "range": np.exp(rng.uniform(smallest, largest, size=count)),
        "prevalence": rng.uniform(*PREVALENCES, size=count),
        "leak": np.where(rng.random(count) < WIDESPREAD, 1.0, LEAK),
    }
    for name, gradient in places.gradients.items():
        traits[f"{name}_optimum"] = gradient[home]
        traits[f"{name}_tolerance"] = rng.uniform(*TOLERANCES[name], size=count)
    return pd.DataFrame(traits)


def _intensities(places: Environment, towns: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Log of the relative density of each programme's plots at each land pixel, (n,)."""
    # Degrees of arc on a plane that is accurate near the region's middle latitude.
    x, y = places.lon * np.cos(np.radians(places.lat.mean())), places.lat
    mild = np.exp(-(((places.temperature - MILD) / MILD_SPREAD) ** 2) / 2)
    mild *= places.precipitation**2 / (places.precipitation**2 + WET**2)
    area = _area(places)
    settled = np.log((1 - OUTBACK) * mild * area / (mild * area).sum() + OUTBACK * area)
    town = _draw_distinct(settled, min(towns, x.size), rng)
    to_town, to_road = np.full(x.size, np.inf), np.full(x.size, np.inf)
    for start in town:
        between = np.hypot(x[town] - x[start], y[town] - y[start])
        for end in town[np.argsort(between)[:3]]:  # the town itself, and roads to the nearest two
            reach = _distance_to_segment(x, y, start, end)
            nearest = to_town if end == start else to_road
            np.minimum(nearest, reach, out=nearest)
    return {
        "local": settled - to_town / NEAR_TOWN,
        "roadside": -to_road / NEAR_ROAD,
        "systematic": np.log(area),
    }


def _distance_to_segment(x: Floats, y: Floats, start: int, end: int) -> Floats:
    """Distance of every point (x, y) from the straight line between two of them."""
    along_x, along_y = x[end] - x[start], y[end] - y[start]
    length = along_x**2 + along_y**2
    share = ((x - x[start]) * along_x + (y - y[start]) * along_y) / length if length else 0.0
    share = np.clip(share, 0, 1)
    return np.hypot(x - x[start] - share * along_x, y - y[start] - share * along_y)


def _draw_distinct(log_weight: Floats, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw `count` distinct indices with probability proportional to the weights (Gumbel top-k)."""
    return np.argsort(-(log_weight + rng.gumbel(size=log_weight.size)), kind="stable")[:count]


def _shares(total: int, shares: list[float]) -> NDArray[np.int64]:
    """Whole numbers proportional to `shares` (which sum to 1), with the sum `total`."""
    edges = np.rint(total * np.cumsum([0.0, *shares])).astype(np.int64)
    return np.diff(edges)


def _area(places: Environment) -> Floats:
    """Share of each pixel in the total area, proportional to cos(lat) on a lon/lat grid."""
    area = np.cos(np.radians(places.lat))
    return area / area.sum()
