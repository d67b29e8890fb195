"""Chapter 3: an image as a sentence of patches, positions, class token, attention over an image."""

import numpy as np
from matplotlib.figure import Figure

from spatioformer.common.style import ACCENT, INK, styled
from spatioformer.learn.chapters.attention import cosine
from spatioformer.learn.chapters.pictures import WIDTH, heat
from spatioformer.learn.facts import Facts, Language, Number, Picture, Table, Text, Value
from spatioformer.learn.tools import Tools, VisionLesson
from spatioformer.nn.positions import sinusoids
from spatioformer.vision.trace import VisionTrace, trace_image

EXAMPLE = 3  # of the images held out
POSITIONS, CHANNELS = 24, 32  # of the picture of sinusoids
DISCOVERED = 0.1  # difference of cosines from which on neighbours count as discovered
ANSWERS = 3  # classes that are shown


def facts(tools: Tools) -> Facts:
    """Everything that the chapter names."""
    lesson = tools.vision
    image = lesson.held_out[EXAMPLE : EXAMPLE + 1]
    traced = trace_image(lesson.model, image)
    assert image.targets is not None, "the digits have classes"
    truth = lesson.model.labels[int(image.targets[0])]
    return _steps(lesson, traced) | _positions(traced) | _answer(lesson, traced, truth)


def _steps(lesson: VisionLesson, traced: VisionTrace) -> Facts:
    trace = traced.trace
    rows, columns = traced.grid
    patch = int(lesson.model.network.config["patch"])

    def shape(name: str) -> str:
        return " × ".join(str(length) for length in trace[name].shape)

    steps: list[tuple[Text, str]] = [
        (Text("imagen: canales, filas, columnas", "image: channels, rows, columns"), "image"),
        (Text("1. cortar en parches", "1. cut into patches"), "patches"),
        (Text("2. proyectar cada parche", "2. project each patch"), "embedding"),
        (Text("3. y 4. token de clase y posiciones", "3. and 4. class token, positions"), "input"),
        (Text("5. codificador", "5. encoder"), "output"),
        (Text("6. predicción", "6. prediction"), "outputs"),
    ]
    table = Table(
        [Text("paso", "step"), Text("forma", "shape")],
        [[name, shape(array)] for name, array in steps],
        Text(
            "Formas medidas en la red; una fila de la secuencia por token.",
            "Shapes measured in the network; a row of the sequence for each token.",
        ),
    )
    values: dict[str, Value] = {
        "patch": Number(patch),
        "patches": Number(rows * columns),
        "pixels": Number(trace["patches"].shape[1]),
        "width": Number(trace["embedding"].shape[1]),
        "sequence": Number(len(trace["input"])),
        "side": Number(traced.pixels.shape[1]),
        "exercise_tokens": Number((224 // 16) ** 2 + 1),
        "exercise_times": Number(((224 // 8) ** 2 + 1) ** 2 / ((224 // 16) ** 2 + 1) ** 2),
    }
    return Facts(values, {"shapes": table, "cutting": _cutting(traced, patch)})


def _cutting(traced: VisionTrace, patch: int) -> Picture:
    rows, columns = traced.grid
    pixels = traced.pixels[0]

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(3, 1), squeeze=False)[:, 0]
        axes = above.subplots()
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        for edge in range(patch, rows * patch, patch):
            axes.axhline(edge - 0.5, color=ACCENT, lw=2)
        for edge in range(patch, columns * patch, patch):
            axes.axvline(edge - 0.5, color=ACCENT, lw=2)
        axes.set(xticks=[], yticks=[])
        grid = below.subplots(2, rows * columns // 2, squeeze=False)
        for i, small in enumerate(grid.flat):
            y, x = divmod(i, columns)
            part = pixels[y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
            small.imshow(part, cmap="gray", vmin=0, vmax=1)
            small.set(xticks=[], yticks=[])
        return figure

    return Picture(
        draw,
        Text(
            f"Un dígito escrito a mano, cortado en {rows * columns} parches; abajo, los parches en "
            "fila.",
            f"A handwritten digit, cut into {rows * columns} patches; below, the patches in a row.",
        ),
        Text(
            "La imagen y su «frase»: los parches, de izquierda a derecha y de arriba abajo.",
            "The image and its “sentence”: the patches, from left to right and from top to bottom.",
        ),
    )


def near_and_far(vectors: np.ndarray, columns: int) -> tuple[float, float]:
    """Mean cosine of the vectors of patches side by side, and of all other pairs."""
    near: list[float] = []
    far: list[float] = []
    for i in range(len(vectors)):
        for j in range(i):
            steps = np.abs(np.subtract(divmod(i, columns), divmod(j, columns))).sum()
            (near if steps == 1 else far).append(cosine(vectors[i], vectors[j]))
    return float(np.mean(near)), float(np.mean(far))


def _positions(traced: VisionTrace) -> Facts:
    learned = traced.trace["positions"][1:].astype(float)
    fixed = sinusoids(len(learned), learned.shape[1]).numpy()
    columns = traced.grid[1]
    near, far = near_and_far(learned, columns)
    rows: list[list[Value]] = [
        [name, *(Number(share, 2) for share in near_and_far(vectors, columns))]
        for name, vectors in (
            (Text("aprendidas (esta red)", "learned (this network)"), learned),
            (Text("sinusoidales", "sinusoidal"), fixed),
        )
    ]
    table = Table(
        [
            Text("posiciones", "positions"),
            Text("parches vecinos", "patches side by side"),
            Text("los demás pares", "all other pairs"),
        ],
        rows,
        Text("Coseno medio entre los vectores de posición.", "Mean cosine of position vectors."),
    )
    values = sinusoids(POSITIONS, CHANNELS).numpy()

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        rows = [str(i) if i % 4 == 0 else "" for i in range(POSITIONS)]
        names = [str(i) if i % 8 == 0 else "" for i in range(CHANNELS)]
        heat(axes, values, rows, names, "PE", language)
        axes.set(
            xlabel=Text("canal", "channel").of(language),
            ylabel=Text("posición", "position").of(language),
        )
        return figure

    picture = Picture(
        draw,
        Text(
            "Franjas: a la izquierda los colores cambian de fila en fila, a la derecha casi no "
            "cambian.",
            "Stripes: on the left the colours change from row to row, on the right hardly.",
        ),
        Text(
            "Los vectores sinusoidales, uno por fila. Cada par de canales tiene su frecuencia.",
            "The sinusoidal vectors, one a row. Each pair of channels has a frequency.",
        ),
    )
    if near - far > DISCOVERED:
        verdict = Text(
            "En esta red, los vecinos se parecen más que los demás: lo descubrió.",
            "In this network, patches side by side are more alike than others: it did.",
        )
    else:
        verdict = Text(
            "En esta red, los vecinos no se parecen más que los demás: con tan pocas imágenes, tan "
            "pequeñas, no lo descubrió, y acierta igual.",
            "In this network, patches side by side are no more alike than others: with so few "
            "images, and so small ones, it did not, and still it answers well.",
        )
    return Facts({"verdict": verdict}, {"sinusoids": picture, "positions": table})


def _answer(lesson: VisionLesson, traced: VisionTrace, truth: str) -> Facts:
    order = np.argsort(-traced.answer, kind="stable")[:ANSWERS]
    table = Table(
        [Text("clase", "class"), Text("probabilidad", "probability")],
        [[traced.labels[i], Number(float(traced.answer[i]), 1, percent=True)] for i in order],
        Text(f"La imagen es un {truth}.", f"The image is a {truth}."),
    )
    values: dict[str, Value] = {
        "accuracy": Number(lesson.accuracy, 1, percent=True),
        "held_out": Number(len(lesson.held_out)),
    }
    return Facts(values, {"answer": table, "looks": _looks(traced)})


def _looks(traced: VisionTrace) -> Picture:
    """What the class token looks at in each layer, mean of its heads."""
    layers = traced.trace.layers
    shares = [
        traced.trace[f"layer{number}.pattern"][:, 0, 1:].mean(axis=0).reshape(traced.grid)
        for number in range(1, layers + 1)
    ]
    largest = max(float(share.max()) for share in shares)

    @styled
    def draw(language: Language) -> Figure:
        figure = Figure(figsize=(WIDTH, 2.2), layout="constrained")
        grid = figure.subplots(1, layers + 1, squeeze=False)[0]
        grid[0].imshow(traced.pixels[0], cmap="gray", vmin=0, vmax=1)
        layer = Text("capa", "layer").of(language)
        for i, (axes, share) in enumerate(zip(grid[1:], shares, strict=True)):
            image = axes.imshow(share, cmap="viridis", vmin=0, vmax=largest)
            axes.set_title(f"{layer} {i + 1}", fontsize=9, color=INK)
        for axes in grid:
            axes.set(xticks=[], yticks=[])
        figure.colorbar(image, ax=grid, orientation="horizontal", fraction=0.08)
        return figure

    return Picture(
        draw,
        Text(
            "La imagen, y para cada capa un cuadro con el peso de cada parche.",
            "The image, and for each layer a square with the weight of each patch.",
        ),
        Text(
            "Cuánto mira el token de clase a cada parche, media de las cabezas de cada capa.",
            "How much the class token looks at each patch, mean of the heads of each layer.",
        ),
    )
