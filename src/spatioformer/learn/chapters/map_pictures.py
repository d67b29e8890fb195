"""Figures of chapter 5: the map, the intervals of the plots, where not to trust, where to go."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke

from spatioformer.common.style import BAD, INK, MUTED, SERIES, styled
from spatioformer.geo.virtual.example import NORTH, PIXEL, SIDE, WEST
from spatioformer.learn.campaign import Campaign, MapRun
from spatioformer.learn.chapters.pictures import WIDTH, bar
from spatioformer.learn.facts import Language, Number, Picture, Text

REACH = PIXEL * SIDE  # degrees: side of the landscape
SHAPE = 1 / np.cos(np.radians(NORTH - REACH / 2))  # of a pixel: degrees of longitude are shorter
FAINT = 0.45  # opacity outside the area of applicability
NUMBERED = 5  # sites with a number
NEAR = 0.4  # degrees: a number stands on the left of a site with another one so near in the east


def _land(
    axes: Axes, values: np.ndarray, language: Language, *, colours: str, low: float, high: float
) -> AxesImage:
    image = axes.imshow(
        values,
        cmap=colours,
        vmin=low,
        vmax=high,
        extent=(WEST, WEST + REACH, NORTH - REACH, NORTH),
        aspect=SHAPE,
        interpolation="nearest",
    )
    lon, lat = (WEST + np.arange(4)).astype(int), (NORTH - np.arange(4)).astype(int)
    axes.set_xticks(lon, [f"{Number(degrees).of(language)}°" for degrees in lon])
    axes.set_yticks(lat, [f"{Number(degrees).of(language)}°" for degrees in lat])
    return image


def _edge(axes: Axes, run: MapRun) -> None:
    """Draw the edge of the area of applicability."""
    centres = (np.arange(SIDE) + 0.5) * PIXEL
    axes.contour(
        WEST + centres, NORTH - centres, run.inside, levels=[0.5], colors=INK, linewidths=1
    )


def _title(axes: Axes, title: Text, language: Language) -> None:
    axes.set_title(title.of(language), fontsize=9.5, color=INK, loc="left")


def prediction(made: Campaign) -> Picture:
    """The first map, and the plots that it rests on."""
    run = made.north
    values = run.results.mean.values
    low, high = (float(np.nanpercentile(values, share)) for share in (1, 99))

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 4.1), layout="constrained")
        axes = figure.subplots()
        image = _land(axes, values, language, colours="viridis", low=low, high=high)
        colours = image.to_rgba(values)
        colours[run.outside, :3] = 1 - FAINT * (1 - colours[run.outside, :3])
        image.set_data(colours)
        _edge(axes, run)
        table = made.table
        axes.scatter(table["longitude"], table["latitude"], s=8, color="white", ec=INK, lw=0.5)
        shades = ScalarMappable(image.norm, image.cmap)
        bar(figure, shades, axes, fraction=0.045).set_label(
            Text("especies en una parcela", "species in a plot").of(language)
        )
        return figure

    return Picture(
        draw,
        Text(
            "Mapa de la riqueza predicha. Todas las parcelas están en el norte; la mayor parte del "
            "sur está pálida, fuera del área de aplicabilidad.",
            "Map of predicted richness. All plots lie in the north; most of the south is pale, "
            "outside the area of applicability.",
        ),
        Text(
            "El mapa. Puntos: las parcelas. Línea: el borde del área de aplicabilidad; fuera de "
            "ella, los colores son pálidos.",
            "The map. Dots: the plots. Line: the edge of the area of applicability; outside of it, "
            "the colours are pale.",
        ),
    )


def intervals(run: MapRun) -> Picture:
    """The intervals of the held-out plots, and what was counted."""
    kind = run.results.uncertainty.kind(run.results.has_spread)  # type: ignore[union-attr]
    table = run.results.intervals.sort_values("predicted")
    low, high = table[f"lower-{kind}"].to_numpy(), table[f"upper-{kind}"].to_numpy()
    observed = table["observed"].to_numpy()
    inside = (low <= observed) & (observed <= high)
    place = np.arange(len(table))

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.vlines(place, low, high, color=SERIES[0], lw=1.2, alpha=0.35)
        axes.plot(place[inside], observed[inside], "o", ms=2.6, color=SERIES[0])
        axes.plot(place[~inside], observed[~inside], "X", ms=6, color=BAD)
        axes.set(
            xlabel=Text("parcelas, de menos a más predicho", "plots, in order of prediction").of(
                language
            ),
            ylabel=Text("especies", "species").of(language),
            xticks=[],
        )
        return figure

    outside = int((~inside).sum())
    return Picture(
        draw,
        Text(
            f"{len(table)} líneas verticales, una por parcela. En {outside} de ellas, lo contado "
            "cae fuera de la línea.",
            f"{len(table)} vertical lines, one for each plot. In {outside} of them, the count lies "
            "outside the line.",
        ),
        Text(
            "Líneas: los intervalos de las parcelas apartadas. Puntos: lo contado. Cruces: lo "
            "contado que cayó fuera.",
            "Lines: the intervals of held-out plots. Dots: counts. Crosses: counts outside.",
        ),
    )


def trust(run: MapRun) -> Picture:
    """The dissimilarity, and the error that only an invented landscape shows."""
    assert run.results.dissimilarity is not None, "the run calibrated its intervals"
    panels = (
        (Text("disimilitud", "dissimilarity"), run.results.dissimilarity.values, "cividis", 2.0),
        (Text("error verdadero, especies", "true error, species"), run.error, "magma", 25.0),
    )

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        for axes, (title, values, colours, high) in zip(
            figure.subplots(1, 2, sharey=True), panels, strict=True
        ):
            image = _land(axes, values, language, colours=colours, low=0, high=high)
            _edge(axes, run)
            _title(axes, title, language)
            bar(figure, image, axes, location="bottom", extend="max", fraction=0.06)
        return figure

    return Picture(
        draw,
        Text(
            "Dos mapas. La disimilitud crece hacia el sur. El error es grande en manchas, a "
            "los dos lados del borde del área.",
            "Two maps. The dissimilarity grows towards the south. The error is large in patches, "
            "on both sides of the edge of the area.",
        ),
        Text(
            "La disimilitud sale de las parcelas y los rásteres. El error verdadero solo se conoce "
            "aquí, porque las plantas son inventadas.",
            "The dissimilarity comes from plots and rasters. The true error is known here alone, "
            "because the plants are invented.",
        ),
    )


def widths(made: Campaign) -> Picture:
    """Width of the intervals before and after the proposed sites were surveyed."""
    low, high = float(np.nanmin(made.more.width)), float(np.nanmax(made.north.width))
    panels = (
        (Text("antes", "before"), made.north, SERIES[1]),
        (Text("después", "after"), made.more, "white"),
    )

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        grid = figure.subplots(1, 2, sharey=True)
        for axes, (title, run, colour) in zip(grid, panels, strict=True):
            image = _land(axes, run.width, language, colours="viridis_r", low=low, high=high)
            _edge(axes, run)
            _title(axes, title, language)
            table, sites = made.table, made.sites
            axes.plot(table["longitude"], table["latitude"], ".", ms=2, color=MUTED)
            axes.plot(sites["lon"], sites["lat"], "o", ms=5, color=colour, mec=INK, mew=0.7)
        places = made.sites[["lon", "lat"]].to_numpy(float)[:NUMBERED]
        for number, place in enumerate(places, start=1):
            east, north = (places - place).T
            crowded = bool(((east > 0) & (east < NEAR) & (abs(north) < NEAR)).any())
            grid[0].annotate(
                str(number),
                tuple(place),
                (-3, 3) if crowded else (3, 3),
                ha="right" if crowded else "left",
                textcoords="offset points",
                fontsize=9,
                color=INK,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )
        below = bar(figure, image, grid, location="bottom", fraction=0.06)
        below.set_label(
            Text("ancho del intervalo, especies", "interval width, species").of(language)
        )
        return figure

    count = len(made.sites)
    return Picture(
        draw,
        Text(
            "Dos mapas del ancho de los intervalos. Antes, el sur es oscuro y está fuera del área "
            "de aplicabilidad; después, casi todo es claro.",
            "Two maps of the width of the intervals. Before, the south is dark and outside the "
            "area of applicability; after, nearly all of it is light.",
        ),
        Text(
            f"Círculos: los {count} sitios propuestos, los primeros con su número. Línea: el borde "
            "del área de aplicabilidad.",
            f"Circles: the {count} proposed sites, the first ones with their number. Line: the "
            "edge of the area of applicability.",
        ),
    )
