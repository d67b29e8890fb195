"""Chapter 5: from a table of plots to a map, its report, its intervals, and where to go next."""

import numpy as np

from spatioformer.evaluation import verdict as rules
from spatioformer.evaluation.metrics import scores
from spatioformer.learn.campaign import EXAMPLE, SOUTHERNMOST, Campaign, MapRun
from spatioformer.learn.chapters import map_pictures, map_trust
from spatioformer.learn.facts import Facts, Number, Shown, Table, Text, Value
from spatioformer.learn.tools import Tools

ROWS = 4  # of the plot table that are shown
OBSERVED = (20, 30, 40)
GUESSES = (
    (Text("un buen modelo", "a good model"), (22, 29, 41)),
    (Text("siempre la media", "always the mean"), (30, 30, 30)),
    (Text("un modelo al revés", "a model that is upside down"), (40, 30, 20)),
)
"""Three plots, to compute r2 by hand."""
VERDICTS = {
    rules.USE: Text("úselo", "use it"),
    rules.CARE: Text("úselo con cuidado aquí", "use it with care here"),
    rules.REFUSE: Text(
        "no use este mapa para distinguir lugares", "do not use this map to tell places apart"
    ),
}
SPLITS = {
    "random": Text("al azar", "at random"),
    "tiles": Text("por cuadros", "by tiles"),
    "knndm": Text("kNNDM", "kNNDM"),
}
MODELS = {
    "gaussian-process": Text("proceso gaussiano", "Gaussian process"),
    "location-knn": Text("vecinas más cercanas", "nearest neighbours"),
}
YES, NO = Text("sí", "yes"), Text("no", "no")


def facts(tools: Tools) -> Facts:
    """Everything that the chapter names."""
    made = tools.campaign
    return (
        _start(made)
        | _verdict(made.north)
        | _scores(made.north)
        | _by_hand()
        | map_trust.intervals(made.north)
        | map_trust.trust(made.north)
        | map_trust.survey(made)
    )


def _start(made: Campaign) -> Facts:
    run, table = made.north, made.table
    names = list(table.columns)
    plots = Table(
        names,
        [[str(cell) for cell in row] for row in table.head(ROWS).itertuples(index=False)],
        Text(
            "Las primeras filas de north.csv. Las columnas pueden llamarse de otro modo.",
            "The first rows of north.csv. The columns may have other names.",
        ),
    )
    results = run.results
    pixels = Number(int(run.mapped.sum()))
    bands, models = len(results.imagery["bands"]), len(results.models)
    splits = len(results.config.evaluate.splits)
    read = len(results.observed)
    mapper = MODELS[results.mapped]
    steps: list[tuple[str, Text]] = [
        ("plots", Text(f"leyó {read} parcelas", f"read {read} plots")),
        (
            "imagery",
            Text(f"unió {bands} bandas en una malla", f"brought {bands} bands onto one grid"),
        ),
        ("chips", Text("cortó un recorte por parcela", "cut one chip for each plot")),
        (
            "evaluate",
            Text(
                f"examinó {models} modelos con {splits} clases de pliegues",
                f"examined {models} models with {splits} kinds of folds",
            ),
        ),
        (
            "train",
            Text(
                f"entrenó el mejor con todas las parcelas: {mapper.es}",
                f"trained the best on all plots: {mapper.en}",
            ),
        ),
        ("map", Text(f"predijo {pixels.of('es')} píxeles", f"predicted {pixels.of('en')} pixels")),
        ("report", Text("escribió el informe", "wrote the report")),
    ]
    stages = Table(
        [Text("etapa", "stage"), Text("qué hizo aquí", "what it did here")],
        [[name, done] for name, done in steps],
        Text("Las siete etapas de spatioformer run.", "The seven stages of spatioformer run."),
    )
    commands: dict[str, Value] = {
        f"command_{name}": made.commands[name].words
        for name in ("example", "init", "check", "run", "survey", "again", "rerun")
    }
    values: dict[str, Value] = commands | {
        "folder": EXAMPLE,
        "southernmost": Number(-SOUTHERNMOST, 1),
        "plots": Number(len(table)),
        "columns": made.columns,
        "checked": made.commands["check"].printed.strip().splitlines()[-1],
        "ended": _last_lines(made.commands["run"].printed),
    }
    figures: dict[str, Shown] = {
        "plots": plots,
        "stages": stages,
        "prediction": map_pictures.prediction(made),
    }
    return Facts(values, figures)


def _last_lines(printed: str) -> str:
    """What `run` says of the map, from the verdict on."""
    lines = [line.rstrip() for line in printed.strip().splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("verdict:"))
    return "\n".join(lines[start:])


def _verdict(run: MapRun) -> Facts:
    made = run.results.verdict
    skill = made.skill
    assert skill is not None, "the mapped model was scored"
    asked: list[tuple[Text, float | None, float, bool]] = [
        (
            Text("r2 de las parcelas apartadas", "r2 of held-out plots"),
            skill.r2,
            rules.GOOD_SKILL,
            False,
        ),
        (
            Text("extremo inferior de su intervalo", "lower end of its interval"),
            skill.r2_low,
            rules.CERTAIN_SKILL,
            False,
        ),
        (
            Text("tierra en el área de aplicabilidad", "land in the area of applicability"),
            made.inside,
            1 - rules.MOST_OUTSIDE,
            True,
        ),
        (
            Text("tierra a distancias examinadas", "land at examined distances"),
            made.reached,
            rules.LEAST_REACHED,
            True,
        ),
        (
            Text("cobertura de los intervalos", "coverage of the intervals"),
            made.coverage,
            made.level - rules.COVERAGE_SHORT,
            True,
        ),
    ]
    rows: list[list[Value]] = []
    for name, value, least, percent in asked:
        assert value is not None, "the run measured it"
        digits = 0 if percent else 2
        rows.append(
            [
                name,
                Number(least, digits, percent=percent),
                Number(value, digits, percent=percent),
                YES if value >= least else NO,
            ]
        )
    table = Table(
        [
            Text("regla", "rule"),
            Text("al menos", "at least"),
            Text("aquí", "here"),
            Text("¿se cumple?", "met?"),
        ],
        rows,
        Text(
            "Las reglas de «úselo». Si falla una, el veredicto es más cauto.",
            "The rules of “use it”. If one fails, the verdict is more careful.",
        ),
    )
    values: dict[str, Value] = {
        "verdict": VERDICTS[made.verdict],
        "error": Number(skill.mae, 1),
        "apart": Number(skill.apart),
        "broken": Number(sum(row[3] is NO for row in rows)),
    }
    return Facts(values, {"rules": table})


def _scores(run: MapRun) -> Facts:
    results = run.results
    models = results.models_mapped_first
    rows: list[list[Value]] = []
    for split in results.config.evaluate.splits:
        far = float(np.nanmedian(results.distances[split.name].held_out)) / 1000
        r2 = [Number(results.r2(model, split), 2) for model in models]
        rows.append([SPLITS[split.name], Number(far), *r2])
    far = float(np.median(results.map_distance)) / 1000
    rows.append([Text("los píxeles", "the pixels"), Number(far), *["?"] * len(models)])
    table = Table(
        [
            Text("pliegues", "folds"),
            "km",
            *(Text(f"r2: {MODELS[m].es}", f"r2: {MODELS[m].en}") for m in models),
        ],
        rows,
        Text(
            "km: de cada parcela apartada, o de cada píxel, a la parcela conocida más cercana "
            "(mediana).",
            "km: from each held-out plot, or from each pixel, to the nearest known plot (median).",
        ),
    )
    judged, worst = results.judged, models[-1]
    values: dict[str, Value] = {
        "judged": results.judged.name,
        "worst": MODELS[worst],
        "worst_r2": Number(results.r2(worst, judged), 2),
        "worst_means": _meaning(results.r2(worst, judged)),
        "map_far": Number(far),
    }
    return Facts(values, {"scores": table})


def _meaning(r2: float) -> Text:
    """What the r2 of the worst model says."""
    if r2 < 0:
        return Text(
            "Está bajo cero: tan lejos de las parcelas, decir siempre la media acierta más.",
            "It is below zero: so far from the plots, always saying the mean is better.",
        )
    return Text(
        "Está sobre cero: es algo mejor que decir siempre la media.",
        "It is above zero: somewhat better than always saying the mean.",
    )


def _by_hand() -> Facts:
    observed = np.array(OBSERVED, float)
    rows: list[list[Value]] = []
    for name, predicted in GUESSES:
        errors = observed - np.array(predicted, float)
        r2 = float(scores(observed, np.array(predicted, float))["r2"])
        rows.append(
            [name, ", ".join(map(str, predicted)), Number(float((errors**2).sum())), Number(r2, 2)]
        )
    table = Table(
        [Text("quién predice", "who predicts"), Text("predicho", "predicted"), "SSE", "r2"],
        rows,
        Text(
            f"En tres parcelas se contaron {', '.join(map(str, OBSERVED))} especies.",
            f"In three plots, {', '.join(map(str, OBSERVED))} species were counted.",
        ),
    )
    values: dict[str, Value] = {"sst": Number(float(((observed - observed.mean()) ** 2).sum()))}
    return Facts(values, {"by_hand": table})
