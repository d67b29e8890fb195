"""Chapter 5, its second half: intervals, the area of applicability, sites to survey next."""

import numpy as np

from spatioformer.learn.campaign import SOUTHERNMOST, Campaign, MapRun
from spatioformer.learn.chapters import map_pictures
from spatioformer.learn.facts import Facts, Number, Table, Text, Value

FIRST = 5  # sites that are shown
ALIKE = 0.3  # species: mean errors that differ by less are called equal


def intervals(run: MapRun) -> Facts:
    uncertainty = run.results.uncertainty
    assert uncertainty is not None, "the run calibrated its intervals"
    measured = uncertainty.facts["kinds"][uncertainty.kind(run.results.has_spread)]
    calibration = measured["calibration"]
    rows: list[list[Value]] = [
        [Number(level, percent=True), Number(share, percent=True), Number(width)]
        for level, share, width in zip(
            calibration["level"], calibration["coverage"], calibration["width"], strict=True
        )
    ]
    table = Table(
        [
            Text("prometido", "promised"),
            Text("parcelas dentro", "plots inside"),
            Text("ancho medio", "mean width"),
        ],
        rows,
        Text(
            "Quien promete más necesita intervalos más anchos (en especies).",
            "Who promises more needs wider intervals (in species).",
        ),
    )
    visited = run.results.mean.lonlat[1] > SOUTHERNMOST
    richest = np.where(visited & run.mapped, run.truth, -np.inf).argmax()
    row, col = np.unravel_index(int(richest), run.truth.shape)
    lower, upper = run.ends
    tested = int(measured["scores"]["n"])
    values: dict[str, Value] = {
        "level": Number(uncertainty.level, percent=True),
        "level_count": Number(100 * uncertainty.level),
        "coverage": Number(float(measured["scores"]["coverage"]), percent=True),
        "tested": Number(tested),
        "rich_mean": Number(float(run.results.mean.values[row, col])),
        "rich_lower": Number(float(lower[row, col])),
        "rich_upper": Number(float(upper[row, col])),
        "rich_truth": Number(float(run.truth[row, col])),
    }
    return Facts(values, {"intervals": map_pictures.intervals(run), "levels": table})


def trust(run: MapRun) -> Facts:
    rows: list[list[Value]] = [
        [
            name,
            Number(float(run.areas[where].sum() / run.areas[run.mapped].sum()), percent=True),
            Number(float(run.error[where].mean()), 1),
            Number(float(run.width[where].mean())),
            Number(float(run.covered[where].mean()), percent=True),
        ]
        for name, where in (
            (Text("dentro", "inside"), run.inside),
            (Text("fuera", "outside"), run.outside),
        )
        if where.any()
    ]
    table = Table(
        [
            Text("área de aplicabilidad", "area of applicability"),
            Text("tierra", "land"),
            Text("error", "error"),
            Text("ancho", "width"),
            Text("cobertura", "coverage"),
        ],
        rows,
        Text(
            "Error medio del mapa contra la verdad y ancho medio del intervalo, en especies. "
            "Cobertura: de una parcela nueva en cada píxel.",
            "Mean error of the map against the truth and mean width of the interval, in species. "
            "Coverage: of a new plot in each pixel.",
        ),
    )
    values: dict[str, Value] = {
        "new_coverage": Number(float(run.covered[run.mapped].mean()), percent=True),
        "new_plots": Number(int(run.mapped.sum())),
    }
    return Facts(values, {"trust": map_pictures.trust(run), "inside": table})


def survey(made: Campaign) -> Facts:
    columns = ["site", "lon", "lat", "total_gain"]
    sites = Table(
        [
            Text("sitio", "site"),
            Text("longitud", "longitude"),
            Text("latitud", "latitude"),
            Text("ganancia sumada", "summed gain"),
        ],
        [
            [Number(site), Number(lon, 2), Number(lat, 2), Number(gain, percent=True)]
            for site, lon, lat, gain in made.sites[columns].head(FIRST).to_numpy(float).tolist()
        ],
        Text("Los primeros sitios de sites.csv.", "The first sites of sites.csv."),
    )
    count = len(made.sites)
    runs = (
        (Text("solo el norte", "the north only"), made.north),
        (Text(f"y {count} sitios propuestos", f"and {count} proposed sites"), made.more),
        (Text(f"y {count} sitios al azar", f"and {count} random sites"), made.random),
    )
    after = Table(
        [
            Text("parcelas", "plots"),
            Text("tierra dentro", "land inside"),
            Text("ancho", "width"),
            Text("error", "error"),
            Text("cobertura", "coverage"),
        ],
        [
            [
                name,
                Number(float(run.inside.sum() / run.mapped.sum()), percent=True),
                Number(_mean(run.width, run), 1),
                Number(_mean(run.error, run), 1),
                Number(_mean(run.covered, run), percent=True),
            ]
            for name, run in runs
        ],
        Text(
            "Tierra dentro del área de aplicabilidad; ancho medio del intervalo y error medio, en "
            "especies; cobertura de parcelas nuevas.",
            "Land inside the area of applicability; mean width of the interval and mean error, in "
            "species; coverage of new plots.",
        ),
    )
    values: dict[str, Value] = {
        "sites": Number(count),
        "total_gain": Number(float(made.sites["total_gain"].iloc[-1]), percent=True),
        "narrower": Number(
            1 - _mean(made.more.width, made.more) / _mean(made.north.width, made.north),
            percent=True,
        ),
        "comparison": comparison(made),
    }
    return Facts(values, {"sites": sites, "widths": map_pictures.widths(made), "after": after})


def _mean(values: np.ndarray, run: MapRun) -> float:
    return float(values[run.mapped].mean())


def comparison(made: Campaign) -> Text:
    """What the table says of proposed sites beside random ones; the numbers decide."""
    narrower = _mean(made.more.width, made.more) < _mean(made.random.width, made.random)
    apart = _mean(made.more.error, made.more) - _mean(made.random.error, made.random)
    first = (
        Text(
            "Los sitios propuestos estrecharon los intervalos más que los del azar.",
            "The proposed sites narrowed the intervals more than the random ones.",
        )
        if narrower
        else Text(
            "Esta vez, los sitios del azar estrecharon los intervalos al menos lo mismo.",
            "This time, the random sites narrowed the intervals at least as much.",
        )
    )
    if abs(apart) < ALIKE:
        second = Text(
            "El error verdadero quedó casi igual con unos y otros.",
            "The true error came out nearly the same with both.",
        )
    elif apart < 0:
        second = Text(
            "El error verdadero bajó más con los propuestos.",
            "The true error fell more with the proposed ones.",
        )
    else:
        second = Text(
            "El error verdadero bajó más con los del azar.",
            "The true error fell more with the random ones.",
        )
    return Text(f"{first.es} {second.es}", f"{first.en} {second.en}")
