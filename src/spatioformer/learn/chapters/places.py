"""Chapter 4: richness, one spectrum in different places, location features, two validations."""

import numpy as np
import torch
from matplotlib.figure import Figure

from spatioformer.common.style import INK, SERIES, styled
from spatioformer.learn.chapters.pictures import WIDTH, bar
from spatioformer.learn.facts import Facts, Language, Number, Picture, Table, Text, Value
from spatioformer.learn.invented import FOLDS, REFLECTANCES, TILE, Landscape
from spatioformer.learn.tools import Tools
from spatioformer.nn.geolocation import LocationEncoder, Sinusoids, SphereWaves

SPECIES = {
    "A": {"roble", "coihue", "quila", "maqui"},
    "B": {"roble", "coihue", "arrayán"},
    "C": {"tepú", "ciprés", "coihue", "junco", "canelo"},
}
"""Three plots with few species, to count by hand."""
WAVES = (220.0, 110.0)  # degrees; they divide 360 by no whole number
PLACE = ("Fiyi", "Fiji", 178.0, -18.0)
ALIKE = 100  # pairs of plots with the most similar reflectances


def facts(tools: Tools) -> Facts:
    """Everything that the chapter names."""
    landscape = tools.landscape
    return _diversity() | _spectra(landscape) | _location() | _validation(landscape)


def _diversity() -> Facts:
    rows: list[list[Value]] = [
        [name, ", ".join(sorted(species)), Number(len(species))]
        for name, species in SPECIES.items()
    ]
    alpha = float(np.mean([len(species) for species in SPECIES.values()]))
    gamma = len(set.union(*SPECIES.values()))
    table = Table(
        [Text("parcela", "plot"), Text("especies", "species"), Text("riqueza", "richness")],
        rows,
        Text(
            "Tres parcelas inventadas, con nombres comunes de Chile.",
            "Three invented plots, with common names of Chile.",
        ),
    )
    exercise: dict[str, Value] = {
        "exercise_gamma": Number(10 + 10 - 5),
        "exercise_beta": Number((10 + 10 - 5) / 10, 1),
    }
    return Facts(
        {"alpha": Number(alpha, 1), "gamma": Number(gamma), "beta": Number(gamma / alpha, 2)}
        | exercise,
        {"species": table},
    )


def _spectra(landscape: Landscape) -> Facts:
    """How much richness differs between plots that look alike."""
    values = landscape.reflectances
    first, second = np.triu_indices(len(values), 1)
    distances = np.linalg.norm(values[first] - values[second], axis=1)
    differences = np.abs(landscape.richness[first] - landscape.richness[second])
    alike = np.argsort(distances, kind="stable")[:ALIKE]
    pair = alike[differences[alike].argmax()]
    rows: list[list[Value]] = [
        [
            *(
                Number(float(landscape.bands[plot, landscape.names.index(band)]), 3)
                for band in REFLECTANCES
            ),
            Number(float(landscape.richness[plot])),
        ]
        for plot in (first[pair], second[pair])
    ]
    table = Table(
        [
            Text("azul", "blue"),
            Text("verde", "green"),
            Text("rojo", "red"),
            Text("infrarrojo", "near infrared"),
            Text("especies", "species"),
        ],
        rows,
        Text(
            f"De los {ALIKE} pares de parcelas más parecidos, el que más difiere en especies.",
            f"Of the {ALIKE} most similar pairs of plots, the one that differs most in species.",
        ),
    )
    values_: dict[str, Value] = {
        "plots": Number(len(landscape.richness)),
        "pairs": Number(ALIKE),
        "alike": Number(float(differences[alike].mean()), 1),
        "all_pairs": Number(float(differences.mean()), 1),
    }
    return Facts(values_, {"pair": table})


def likeness(encoder: LocationEncoder, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Cosine of the features of each place and those of `PLACE`."""
    features = encoder(torch.from_numpy(lon), torch.from_numpy(lat)).numpy()
    one = encoder(torch.tensor([PLACE[2]]), torch.tensor([PLACE[3]])).numpy()[0]
    lengths = np.linalg.norm(features, axis=-1) * np.linalg.norm(one)
    return np.asarray(features @ one / lengths)


def _location() -> Facts:
    lon, lat = np.meshgrid(np.linspace(-180, 180, 181), np.linspace(90, -90, 91))
    kinds = (
        (Text("plano", "plane"), likeness(Sinusoids(WAVES), lon, lat)),
        (Text("esfera", "sphere"), likeness(SphereWaves(WAVES), lon, lat)),
    )
    beyond = {
        name: likeness(encoder, np.array([-178.0]), np.array([PLACE[3]]))[0]
        for name, encoder in (("plane", Sinusoids(WAVES)), ("sphere", SphereWaves(WAVES)))
    }

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        grid = figure.subplots(2, 1, sharex=True)
        for axes, (title, values) in zip(grid, kinds, strict=True):
            image = axes.imshow(
                values, cmap="viridis", extent=(-180, 180, -90, 90), vmin=-1, vmax=1
            )
            axes.plot(PLACE[2], PLACE[3], "o", color=SERIES[1], ms=7, clip_on=False)
            axes.set_title(title.of(language), fontsize=9.5, color=INK, loc="left")
            axes.set(ylabel=Text("latitud", "latitude").of(language))
        grid[-1].set(xlabel=Text("longitud", "longitude").of(language))
        bar(figure, image, grid, fraction=0.05)
        return figure

    picture = Picture(
        draw,
        Text(
            "Dos mapas del mundo. En el plano, lo parecido a Fiyi se corta en el borde; en la "
            "esfera continúa al otro lado.",
            "Two maps of the world. In the plane, what is like Fiji ends at the edge; on the "
            "sphere it continues on the other side.",
        ),
        Text(
            f"Coseno entre los vectores de cada lugar y los de {PLACE[0]} (círculo), con ondas de "
            f"{WAVES[0]:g}° y {WAVES[1]:g}°.",
            f"Cosine of the vectors of each place and those of {PLACE[1]} (circle), with waves of "
            f"{WAVES[0]:g}° and {WAVES[1]:g}°.",
        ),
    )
    values: dict[str, Value] = {
        "beyond_plane": Number(float(beyond["plane"]), 2),
        "beyond_sphere": Number(float(beyond["sphere"]), 2),
    }
    return Facts(values, {"likeness": picture})


def _validation(landscape: Landscape) -> Facts:
    random, tiles = landscape.random_folds(), landscape.tile_folds()
    scores = {
        (folds, location): landscape.r2(random if folds == "random" else tiles, location=location)
        for folds in ("random", "tiles")
        for location in (True, False)
    }
    rows: list[list[Value]] = [
        [name, *(Number(scores[folds, location], 2) for folds in ("random", "tiles"))]
        for name, location in (
            (Text("con la ubicación", "with location"), True),
            (Text("sin la ubicación", "without location"), False),
        )
    ]
    table = Table(
        [
            Text("proceso gaussiano", "Gaussian process"),
            Text("al azar", "at random"),
            Text("por cuadros", "by tiles"),
        ],
        rows,
        Text(
            f"r2 de las parcelas apartadas: {FOLDS} grupos al azar, o de cuadros de "
            f"{Number(TILE, 2).of('es')}°.",
            f"r2 of held-out plots: {FOLDS} folds at random, or of tiles of {TILE:g}°.",
        ),
    )
    values: dict[str, Value] = {
        "lost": Number(scores["random", True] - scores["tiles", True], 2),
        "gained_random": Number(scores["random", True] - scores["random", False], 2),
        "gained_tiles": Number(scores["tiles", True] - scores["tiles", False], 2),
    }
    return Facts(values, {"validation": table, "folds": _folds(landscape, random, tiles)})


def _folds(landscape: Landscape, random: np.ndarray, tiles: np.ndarray) -> Picture:
    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
        titles = (Text("al azar", "at random"), Text("por cuadros", "by tiles"))
        for axes, folds, title in zip(
            figure.subplots(1, 2, sharey=True), (random, tiles), titles, strict=True
        ):
            for fold in range(FOLDS):
                here = folds == fold
                x, y = landscape.lon[here], landscape.lat[here]
                axes.scatter(x, y, s=9, color=SERIES[fold], marker="osD^v"[fold])
            axes.set_title(title.of(language), fontsize=9.5, color=INK, loc="left")
            axes.set(xlabel=Text("longitud", "longitude").of(language), aspect="equal")
        return figure

    return Picture(
        draw,
        Text(
            "Dos mapas de parcelas. Al azar, los colores se mezclan; por cuadros, cada cuadro "
            "tiene un solo color.",
            "Two maps of plots. At random, the colours mix; by tiles, each tile has one colour.",
        ),
        Text(
            "Cada color es un grupo, que se predice a partir de los demás.",
            "Each colour is a fold, which is predicted from the others.",
        ),
    )
