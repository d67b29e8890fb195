"""Chapter 1: tokens, the embedding matrix, directions, unembedding and softmax."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from spatioformer.common.style import ACCENT, SERIES, styled
from spatioformer.learn.chapters.pictures import SHARE, WIDTH, heat
from spatioformer.learn.facts import Facts, Language, Number, Picture, Table, Text, Value, Widget
from spatioformer.learn.tools import SpanishModel, Tools
from spatioformer.text.model import TextModel
from spatioformer.text.trace import trace_text
from spatioformer.text.vectors import WordVectors, model_vectors

FOX = "El zorro café saltó sobre el perro flojo"
ENGLISH_FOX = "The brown fox jumped over the lazy dog"
COLUMNS = ("king", "queen", "tree", "forest", "water", "rain")
CHANNELS = 12  # rows of the matrix that are drawn
PAIRS = (("France", "Paris"), ("Germany", "Berlin"), ("Spain", "Madrid"), ("England", "London"))
NEIGHBOURS = ("tree", "plant", "water", "king", "flor")
SPANISH_NEIGHBOURS = ("hijo", "David", "padre", "agua", "árbol")
QUESTIONS = (
    ("king", "man", "woman", "queen"),
    ("brother", "man", "woman", "sister"),
    ("father", "man", "woman", "mother"),
    ("Paris", "France", "Italy", "Rome"),
    ("Paris", "France", "Germany", "Berlin"),
    ("Berlin", "Germany", "Spain", "Madrid"),
    ("bigger", "big", "small", "smaller"),
    ("walked", "walk", "play", "played"),
    ("cars", "car", "dog", "dogs"),
    ("padre", "hombre", "mujer", "madre"),
)
"""Chosen before any answer was known; all are shown."""
PROMPT = "En el principio crió Dios los cielos y la"
HIDDEN_PROMPT = "El rey de los hijos de"
LOGITS = (2.0, 1.0, 0.0)
TEMPERATURES = (0.5, 1.0, 2.0)
ROWS = 8  # next tokens that are shown


def facts(tools: Tools) -> Facts:
    """Everything that the chapter names."""
    found = _tokens(tools) | _directions(tools.words) | _by_hand()
    return found if tools.spanish is None else found | _spanish(tools.spanish)


def pieces(model: TextModel, sentence: str, caption: Text) -> Table:
    """Words of a sentence and their tokens with ids."""
    ids, spans = model.tokenizer.encode_spans(sentence)
    rows: list[list[Value]] = []
    start = 0
    for word in sentence.split(" "):
        end = start + len(word)
        # A token may begin with the space before its word, or be that space.
        inside = [i for i, (a, _) in zip(ids, spans, strict=True) if start - 1 <= a < end]
        shown = " + ".join(model.tokenizer.show(i) for i in inside)
        rows.append([word, shown, ", ".join(str(i) for i in inside)])
        start = end + 1
    return Table(
        [Text("palabra", "word"), Text("tokens", "tokens"), Text("números", "ids")], rows, caption
    )


def _tokens(tools: Tools) -> Facts:
    encoder = tools.encoder
    vocabulary, width = (int(encoder.network.config[key]) for key in ("vocabulary", "width"))
    caption = Text(
        "Los tokens de MiniLM, un modelo entrenado con textos en inglés. ## quiere decir: sigue a "
        "la pieza anterior, sin espacio.",
        "The tokens of MiniLM, a model trained on English texts. ## means: follows the piece "
        "before, without a space.",
    )
    return Facts(
        {
            "encoder_vocabulary": Number(vocabulary),
            "encoder_width": Number(width),
            "encoder_matrix": Number(vocabulary * width),
            "exercise_size": Number(64 * 10_000),
        },
        {
            "pieces_english": pieces(encoder, ENGLISH_FOX, caption),
            "pieces_foreign": pieces(encoder, FOX, caption),
        },
    )


def _directions(vectors: WordVectors) -> Facts:
    cosine = {
        word: float(vectors.directions[vectors.row("king")] @ vectors.directions[vectors.row(word)])
        for word in ("queen", "tree")
    }
    ranked = [(question, vectors.rank(*question)) for question in QUESTIONS]
    return Facts(
        {
            "vectors_count": Number(len(vectors.rows)),
            "vectors_width": Number(vectors.directions.shape[1]),
            "cosine_queen": Number(cosine["queen"], 2),
            "cosine_tree": Number(cosine["tree"], 2),
            "analogies": Number(len(ranked)),
            "analogies_first": Number(sum(rank == 1 for _, rank in ranked)),
            "analogies_ten": Number(sum(rank <= 10 for _, rank in ranked)),
            "queen_rank": Number(vectors.rank("king", "man", "woman", "queen")),
        },
        {
            "matrix": _matrix(vectors),
            "neighbours": neighbours(vectors, NEIGHBOURS),
            "capitals": _capitals(vectors),
            "analogies": _analogies(vectors),
        },
    )


def neighbours(vectors: WordVectors, words: Sequence[str]) -> Table:
    """The most similar words of those that have a vector."""

    def nearest(word: str, language: Language) -> str:
        ranked = vectors.neighbours(word, 4)
        return " · ".join(f"{other} {Number(cosine, 2).of(language)}" for other, cosine in ranked)

    rows: list[list[Value]] = [
        [word, Text(nearest(word, "es"), nearest(word, "en"))]
        for word in words
        if word in vectors.rows
    ]
    caption = Text(
        "Las palabras más parecidas, con el coseno entre los dos vectores.",
        "The most similar words, with the cosine of the two vectors.",
    )
    return Table([Text("palabra", "word"), Text("las más parecidas", "nearest")], rows, caption)


def _analogies(vectors: WordVectors) -> Table:
    rows: list[list[Value]] = [
        [
            f"{word} − {minus} + {plus}",
            answer,
            Number(vectors.rank(word, minus, plus, answer)),
            ", ".join(other for other, _ in vectors.analogy(word, minus, plus, 3)),
        ]
        for word, minus, plus, answer in QUESTIONS
    ]
    header = [
        Text("pregunta", "question"),
        Text("respuesta buena", "right answer"),
        Text("su lugar", "its rank"),
        Text("los tres primeros", "first three"),
    ]
    caption = Text(
        "Todas las preguntas que hicimos, también las que fallan. Lugar 1: la respuesta es buena.",
        "All the questions that we asked, also those that fail. Rank 1: the answer is right.",
    )
    return Table(header, rows, caption)


def _matrix(vectors: WordVectors) -> Picture:
    values = np.stack([vectors.directions[vectors.row(word)][:CHANNELS] for word in COLUMNS], 1)

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
        title = Text("una columna por palabra", "a column for each word").of(language)
        row = Text("fila", "row").of(language)
        names = [f"{row} {i + 1}" for i in range(CHANNELS)]
        heat(figure.subplots(), values, names, COLUMNS, title, language, digits=2)
        return figure

    return Picture(
        draw,
        Text(
            f"Tabla de colores: {CHANNELS} filas y {len(COLUMNS)} columnas de la matriz de "
            "embedding, con un número positivo o negativo en cada celda.",
            f"Table of colours: {CHANNELS} rows and {len(COLUMNS)} columns of the embedding "
            "matrix, with a positive or negative number in each cell.",
        ),
        Text(
            f"Las primeras {CHANNELS} filas de seis columnas de una matriz real (wordllama).",
            f"The first {CHANNELS} rows of six columns of a real matrix (wordllama).",
        ),
    )


def _capitals(vectors: WordVectors) -> Picture:
    """Cosines of the steps from each country to its capital."""

    def step(country: str, capital: str) -> np.ndarray:
        difference = vectors.directions[vectors.row(capital)].astype(float)
        difference -= vectors.directions[vectors.row(country)]
        return difference / np.linalg.norm(difference)

    steps = np.stack([step(*pair) for pair in PAIRS])
    cosines = steps @ steps.T
    names = [f"{capital} − {country}" for country, capital in PAIRS]

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        title = Text("coseno", "cosine").of(language)
        heat(figure.subplots(), cosines, names, names, title, language, colours=SHARE, digits=2)
        return figure

    return Picture(
        draw,
        Text(
            f"Tabla de cosenos de {len(PAIRS)} pasos de país a capital entre sí.",
            f"Table of the cosines of {len(PAIRS)} steps from country to capital.",
        ),
        Text(
            "Coseno entre los pasos de cada país a su capital. Si una sola dirección quisiera "
            "decir «capital de», todos serían 1. Si no hubiera ninguna, los de fuera de la "
            "diagonal serían casi 0.",
            "Cosine of the steps from each country to its capital. If one direction alone meant "
            "“capital of”, all would be 1. If there were none, those off the diagonal would be "
            "nearly 0.",
        ),
    )


def softmax(logits: Sequence[float], temperature: float) -> list[float]:
    """Probabilities of logits at a temperature, as the formula of the chapter says."""
    weights = [math.exp(logit / temperature) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def _by_hand() -> Facts:
    columns = [softmax(LOGITS, temperature) for temperature in TEMPERATURES]
    rows: list[list[Value]] = [
        [Number(logit, 1), *(Number(column[i], 1, percent=True) for column in columns)]
        for i, logit in enumerate(LOGITS)
    ]
    header: list[Value] = [
        "logit",
        *(
            Text(f"τ = {temperature:g}".replace(".", ","), f"τ = {temperature:g}")
            for temperature in TEMPERATURES
        ),
    ]
    caption = Text(
        "Softmax de tres logits, a tres temperaturas.", "Softmax of three logits, at three τ."
    )
    return Facts(
        {"third": Number(softmax((1, 1, 1), 1.0)[0], 1, percent=True)},
        {"by_hand": Table(header, rows, caption)},
    )


def _spanish(spanish: SpanishModel) -> Facts:
    model = spanish.model
    config = model.network.config
    vectors = model_vectors(model, "the Spanish model")
    caption = Text(
        "Los tokens del modelo en español. · es el espacio delante de la palabra.",
        "The tokens of the Spanish model. · is the space before the word.",
    )
    token, share = model.next(PROMPT, 1)[0]
    return Facts(
        {
            "spanish_vocabulary": Number(len(model.tokenizer)),
            "spanish_width": Number(int(config["width"])),
            "spanish_parameters": Number(sum(p.numel() for p in model.network.parameters())),
            "prompt": PROMPT,
            "likeliest": token,
            "likeliest_share": Number(share, 1, percent=True),
            **_scores(spanish),
        },
        {
            "pieces_spanish": pieces(model, FOX, caption),
            "spanish_neighbours": neighbours(vectors, SPANISH_NEIGHBOURS),
            "temperature": _temperature(model),
            "hidden": _hidden(model),
            "training": _training(spanish),
        },
    )


def _scores(spanish: SpanishModel) -> dict[str, Value]:
    perplexity, baseline = (spanish.scores[key] for key in ("perplexity", "baseline_perplexity"))
    if perplexity < baseline:
        verdict = Text(
            "La red gana: usa contextos más largos que los de los trigramas.",
            "The network wins: it uses longer contexts than those of trigrams.",
        )
    else:
        verdict = Text(
            "La red pierde: con tan poco texto y tan poco tiempo, contar tríos de tokens predice "
            "mejor. Los modelos grandes ganan porque leen millones de veces más texto.",
            "The network loses: with so little text and time, counting triples of tokens predicts "
            "better. Large models win because they read millions of times more text.",
        )
    return {
        "perplexity": Number(perplexity, 1),
        "baseline": Number(baseline, 1),
        "verdict": verdict,
        "steps": Number(spanish.rows[-1]["step"]),
    }


def _temperature(model: TextModel) -> Widget:
    logits = trace_text(model, PROMPT).trace["logits"][-1, : len(model.tokenizer)]
    tokens = [model.tokenizer.show(i) for i in range(len(logits))]
    values = [round(float(logit), 3) for logit in logits]
    caption = Text(
        f"El token que sigue a «{PROMPT}». Mueva la temperatura.",
        f"The token after “{PROMPT}”. Move the temperature.",
    )
    return Widget("softmax", {"tokens": tokens, "logits": values, "count": ROWS}, caption)


def _hidden(model: TextModel) -> Widget:
    words = HIDDEN_PROMPT.split(" ")

    def following(kept: Sequence[str]) -> list[list[str | float]]:
        return [[token, round(share, 4)] for token, share in model.next(" ".join(kept), ROWS)]

    without = [following([*words[:i], *words[i + 1 :]]) for i in range(len(words))]
    caption = Text(
        f"El token que sigue a «{HIDDEN_PROMPT}», y cómo cambia si falta una palabra.",
        f"The token after “{HIDDEN_PROMPT}”, and how it changes if a word is missing.",
    )
    data = {"words": words, "whole": following(words), "without": without}
    return Widget("hidden", data, caption)


def _training(spanish: SpanishModel) -> Picture:
    steps = [row["step"] for row in spanish.rows]
    baseline = spanish.scores["baseline_perplexity"]

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axes = figure.subplots()
        perplexity = [row["perplexity"] for row in spanish.rows]
        network = Text("la red", "the network").of(language)
        axes.plot(steps, perplexity, "o-", ms=4, color=ACCENT, label=network)
        label = Text("trigramas", "trigrams").of(language)
        axes.axhline(baseline, color=SERIES[1], ls="--", label=label)
        xlabel = Text("paso del entrenamiento", "training step").of(language)
        axes.set(
            xlabel=xlabel, ylabel=Text("perplejidad", "perplexity").of(language), ylim=(0, None)
        )
        axes.legend()
        return figure

    return Picture(
        draw,
        Text(
            "Curva: la perplejidad de la red baja con los pasos; una línea marca la de los "
            "trigramas.",
            "Curve: the perplexity of the network falls with the steps; a line marks that of "
            "trigrams.",
        ),
        Text(
            "Perplejidad en el 5 % del texto que no se usó para entrenar. Menos es mejor.",
            "Perplexity on the 5 % of the text that was not used for training. Less is better.",
        ),
    )
