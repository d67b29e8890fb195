"""Chapter 2: queries and keys, scores, mask, heads, MLP, the stack."""

import math

import numpy as np
from matplotlib.figure import Figure

from spatioformer.common.style import ACCENT, SERIES, styled
from spatioformer.learn.chapters.pictures import SHARE, WIDTH, heat
from spatioformer.learn.chapters.sentences import BANCO, BANK, SENSES
from spatioformer.learn.facts import (
    Facts,
    Language,
    Number,
    Picture,
    Shown,
    Table,
    Text,
    Value,
    Widget,
)
from spatioformer.learn.tools import SpanishModel, Tools
from spatioformer.text.model import TextModel
from spatioformer.text.senses import Senses, compare
from spatioformer.text.trace import TextTrace, trace_text

SENTENCE = "the brown fox jumped over the lazy dog"
PLAIN = "the fox jumped over the dog"
SPANISH_BEGINNING, SPANISH_ADJECTIVE = "El zorro", " café"
SPANISH = "El zorro café saltó sobre el perro flojo"
LAYER, HEAD = 1, 5  # of all heads, the one in which both nouns look most at their adjectives
CHANNELS = 8  # of queries and keys that are drawn
WIDTHS = (1, 4, 16, 64, 256)
KEYS, DRAWS = 10, 2000  # keys among which a random query chooses, and random queries


def facts(tools: Tools) -> Facts:
    """Everything that the chapter names."""
    traced = trace_text(tools.encoder, SENTENCE)
    found = (
        _senses(tools.encoder)
        | _moved(tools.encoder)
        | _head(traced)
        | _scaling()
        | _heads(traced)
        | _parts(tools.encoder, traced)
    )
    return found if tools.spanish is None else found | _spanish(tools.spanish)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _senses(encoder: TextModel) -> Facts:
    values: dict[str, Value] = {}
    for name, comparison in (
        ("bank", compare(encoder, "bank", BANK)),
        ("banco", compare(encoder, "banco", BANCO)),
    ):
        means = comparison.within_and_between()
        assert means is not None, "the sentences have several senses, each more than once"
        values |= {
            f"{name}_within": Number(means[0], 3),
            f"{name}_between": Number(means[1], 3),
            f"{name}_agreeing": Number(comparison.agreeing()),
            f"{name}_count": Number(len(comparison.senses)),
        }
    comparison = compare(encoder, "bank", BANK)
    first, last = (trace_text(encoder, BANK[i].sentence) for i in (0, -1))
    rows = [traced.trace["embedding"][traced.tokens.index("bank")] for traced in (first, last)]
    values["bank_embedding"] = Number(cosine(*rows), 3)
    table = Table(
        [Text("sentido", "sense"), Text("frase", "sentence")],
        [[SENSES[sense.label], sense.sentence] for sense in BANK],
        Text("Las frases, con su sentido.", "The sentences, with their sense."),
    )
    return Facts(values, {"sentences": table, "bank": _plane(comparison)})


def _plane(senses: Senses) -> Picture:
    labels = list(dict.fromkeys(sense.label for sense in senses.senses))

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
        axes = figure.subplots()
        for i, label in enumerate(labels):
            rows = [r for r, sense in enumerate(senses.senses) if sense.label == label]
            name = SENSES[label].of(language)
            x, y = senses.plane[rows].T
            axes.scatter(x, y, s=44, color=SERIES[i], marker="os"[i], label=name)
        axis = Text("eje principal", "principal axis").of(language)
        axes.set(xlabel=f"{axis} 1", ylabel=f"{axis} 2")
        axes.legend()
        return figure

    return Picture(
        draw,
        Text(
            "Ocho puntos en un plano, uno por frase, con una marca por sentido.",
            "Eight points in a plane, one for each sentence, with a mark for each sense.",
        ),
        Text(
            "El vector de bank en ocho frases, después de la última capa de MiniLM.",
            "The vector of bank in eight sentences, after the last layer of MiniLM.",
        ),
    )


def _moved(encoder: TextModel) -> Facts:
    plain, whole = trace_text(encoder, PLAIN), trace_text(encoder, SENTENCE)

    def moved(noun: str, layer: int) -> float:
        name = f"layer{layer}.output"
        vectors = [t.trace[name][t.tokens.index(noun)] for t in (plain, whole)]
        return cosine(*vectors)

    rows: list[list[Value]] = [
        [Number(layer), *(Number(moved(noun, layer), 3) for noun in ("fox", "dog"))]
        for layer in range(1, whole.trace.layers + 1)
    ]
    table = Table(
        [Text("capa", "layer"), "fox", "dog"],
        rows,
        Text(
            "Coseno entre el vector del sustantivo con adjetivo y sin él, después de cada capa. "
            "Menos de 1: el adjetivo lo movió.",
            "Cosine of the noun's vector with and without its adjective, after each layer. Below "
            "1: the adjective moved it.",
        ),
    )
    return Facts({"plain": PLAIN, "sentence": SENTENCE}, {"moved": table})


def _head(traced: TextTrace) -> Facts:
    """Queries, keys, scores and pattern of one head, and one score by hand."""
    h, name, tokens = HEAD - 1, f"layer{LAYER}", traced.tokens
    queries, keys, scores, pattern = (
        traced.trace[f"{name}.{part}"][h].astype(np.float64)
        for part in ("queries", "keys", "scores", "pattern")
    )
    query, key = tokens.index("fox"), tokens.index("brown")
    width = queries.shape[1]
    product = float(queries[query] @ keys[key])
    shares = np.exp(scores[query] - scores[query].max())
    shares /= shares.sum()
    assert abs(product / math.sqrt(width) - scores[query, key]) < 1e-3, "the formula of the text"
    assert abs(shares[key] - pattern[query, key]) < 1e-3, "the formula of the text"
    values: dict[str, Value] = {
        "layer": Number(LAYER),
        "head": Number(HEAD),
        "head_width": Number(width),
        "product": Number(product, 2),
        "score": Number(product / math.sqrt(width), 2),
        "weight": Number(shares[key], 1, percent=True),
        "dog_weight": Number(
            float(pattern[tokens.index("dog"), tokens.index("lazy")]), 1, percent=True
        ),
        "tokens": Number(len(tokens)),
    }
    pictures: dict[str, Shown] = {
        "queries_keys": _two(
            (queries[:, :CHANNELS], keys[:, :CHANNELS]),
            ("Q", "K"),
            tokens,
            [str(i + 1) for i in range(CHANNELS)],
            Text(
                f"Las primeras {CHANNELS} de {width} columnas de las consultas Q y las claves K.",
                f"The first {CHANNELS} of {width} columns of the queries Q and the keys K.",
            ),
        ),
        "scores": _two(
            (scores,),
            ("q · k / √d",),
            tokens,
            tokens,
            Text(
                "Los puntajes: una fila por token que mira, una columna por token mirado.",
                "The scores: a row for each token that looks, a column for each one looked at.",
            ),
        ),
        "pattern": _two(
            (pattern,),
            ("softmax",),
            tokens,
            tokens,
            Text(
                "El patrón de atención: el softmax de cada fila. Cada fila suma 1.",
                "The attention pattern: the softmax of each row. Each row sums to 1.",
            ),
            colours=SHARE,
        ),
    }
    return Facts(values, pictures)


def _two(
    matrices: tuple[np.ndarray, ...],
    titles: tuple[str, ...],
    rows: list[str],
    columns: list[str],
    caption: Text,
    colours: str = "RdBu_r",
) -> Picture:
    """Matrices above each other, with the same names of rows and columns."""

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.2 * len(matrices)), layout="constrained")
        digits = 1 if len(matrices) == 1 else None
        for axes, matrix, title in zip(
            figure.subplots(len(matrices), 1, squeeze=False)[:, 0], matrices, titles, strict=True
        ):
            heat(axes, matrix, rows, columns, title, language, colours=colours, digits=digits)
        return figure

    names = ", ".join(titles)
    alt = Text(
        f"Tabla de colores de {names}, con una fila por token de la frase.",
        f"Table of colours of {names}, with a row for each token of the sentence.",
    )
    return Picture(draw, alt, caption)


def _scaling() -> Facts:
    """Variance of random scores, and how much weight the softmax gives to one key of ten."""
    draw = np.random.default_rng(0)
    rows: list[list[Value]] = []
    plain: list[float] = []
    scaled: list[float] = []
    for width in WIDTHS:
        queries = draw.standard_normal((DRAWS, 1, width))
        keys = draw.standard_normal((DRAWS, KEYS, width))
        scores = (queries * keys).sum(axis=2)
        row: list[Value] = [Number(width)]
        for values, largest in ((scores, plain), (scores / math.sqrt(width), scaled)):
            shares = np.exp(values - values.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            largest.append(float(shares.max(axis=1).mean()))
            row += [Number(float(values.var()), 2), Number(largest[-1], percent=True)]
        rows.append(row)

    @styled
    def picture(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        axes = figure.subplots()
        label = Text("sin dividir", "not divided").of(language)
        axes.plot(WIDTHS, plain, "s--", color=SERIES[1], label=label)
        axes.plot(WIDTHS, scaled, "o-", color=ACCENT, label=Text("÷ √d", "÷ √d").of(language))
        axes.set_xscale("log", base=2)
        axes.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
        ylabel = Text("peso de la clave mayor", "weight of the top key").of(language)
        axes.set(xlabel="d", ylabel=ylabel, ylim=(0, 1))
        axes.legend()
        return figure

    table = Table(
        [
            "d",
            Text("varianza de q·k", "variance of q·k"),
            Text("peso mayor", "largest weight"),
            Text("varianza de q·k/√d", "variance of q·k/√d"),
            Text("peso mayor", "largest weight"),
        ],
        rows,
        Text(
            f"Medido con {DRAWS} consultas al azar y {KEYS} claves cada una.",
            f"Measured with {DRAWS} random queries and {KEYS} keys each.",
        ),
    )
    drawn = Picture(
        picture,
        Text(
            "Sin dividir, el peso de la clave mayor crece con d hasta casi 1; dividido, no cambia.",
            "Not divided, the weight of the top key grows with d to nearly 1; divided, it stays.",
        ),
        Text(
            f"Peso medio de la clave mayor entre {KEYS}.", f"Mean weight of the top key of {KEYS}."
        ),
    )
    return Facts(
        {"keys": Number(KEYS), "plain_large": rows[-1][2], "scaled_large": rows[-1][4]},
        {"scaling": table, "saturation": drawn},
    )


def pattern_widget(traced: TextTrace, layer: int, head: int, caption: Text) -> Widget:
    """The patterns of all layers and heads; `layer` and `head`, from 1, come first."""
    pattern = [
        np.rint(100 * traced.trace[f"layer{number}.pattern"]).astype(int).tolist()
        for number in range(1, traced.trace.layers + 1)
    ]
    data = {"tokens": traced.tokens, "pattern": pattern, "layer": layer - 1, "head": head - 1}
    return Widget("attention", data, caption)


def _heads(traced: TextTrace) -> Facts:
    weights = np.stack(
        [traced.trace[f"layer{number}.pattern"] for number in range(1, traced.trace.layers + 1)]
    )  # (L, H, T, T)
    previous = np.diagonal(weights, -1, 2, 3).mean(axis=-1)  # (L, H)
    following = np.diagonal(weights, 1, 2, 3).mean(axis=-1)
    to_first = weights[..., 0].mean(axis=-1)
    values: dict[str, Value] = {
        "layers": Number(weights.shape[0]),
        "heads": Number(weights.shape[1]),
        "all_heads": Number(weights.shape[0] * weights.shape[1]),
    }
    for name, shares in (("previous", previous), ("following", following), ("cls", to_first)):
        layer, head = np.unravel_index(int(shares.argmax()), shares.shape)
        values |= {
            f"{name}_layer": Number(int(layer) + 1),
            f"{name}_head": Number(int(head) + 1),
            f"{name}_weight": Number(float(shares.max()), percent=True),
        }
    caption = Text(
        "El patrón de cada cabeza de MiniLM. Una fila dice adónde mira su token.",
        "The pattern of each head of MiniLM. A row says where its token looks.",
    )
    return Facts(values, {"heads": pattern_widget(traced, LAYER, HEAD, caption)})


def _parts(encoder: TextModel, traced: TextTrace) -> Facts:
    trace = traced.trace

    def length(name: str) -> Number:
        return Number(float(np.linalg.norm(trace[name], axis=1).mean()), 2)

    rows: list[list[Value]] = [
        [
            Number(layer),
            length(f"layer{layer}.input"),
            length(f"layer{layer}.attention"),
            length(f"layer{layer}.mlp"),
        ]
        for layer in range(1, trace.layers + 1)
    ]
    table = Table(
        [
            Text("capa", "layer"),
            Text("el vector al entrar", "vector on entry"),
            Text("lo que suma la atención", "added by attention"),
            Text("lo que suma el MLP", "added by the MLP"),
        ],
        rows,
        Text("Largo medio de los vectores de la frase.", "Mean length of the sentence's vectors."),
    )
    width, inside = (int(encoder.network.config[key]) for key in ("width", "mlp_hidden"))
    return Facts(
        {
            "width": Number(width),
            "inside": Number(inside),
            "attention_numbers": Number(4 * width * width),
            "mlp_numbers": Number(2 * width * inside),
        },
        {"stream": table},
    )


def _spanish(spanish: SpanishModel) -> Facts:
    model = spanish.model
    before = trace_text(model, SPANISH_BEGINNING)
    after = trace_text(model, SPANISH_BEGINNING + SPANISH_ADJECTIVE)
    whole = trace_text(model, SPANISH)
    count = len(before.tokens)
    assert after.tokens[:count] == before.tokens, "the adjective is no part of earlier tokens"
    change = np.abs(after.trace["output"][:count] - before.trace["output"]).max()
    share = change / np.abs(before.trace["output"]).max()
    assert share < 1e-4, "a causal network does not look at later tokens"
    caption = Text(
        "El patrón de nuestro modelo en español. Arriba de la diagonal todo es cero: nadie mira al "
        "futuro.",
        "The pattern of our Spanish model. Above the diagonal all is zero: nobody looks ahead.",
    )
    values: dict[str, Value] = {
        "beginning": SPANISH_BEGINNING,
        "continued": SPANISH_BEGINNING + SPANISH_ADJECTIVE,
        "change": Number(float(share), 3, percent=True),
    }
    return Facts(values, {"causal": pattern_widget(whole, 1, 1, caption)})
