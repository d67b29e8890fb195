"""Figures whose models run in the page: a sentence to write, a place to move."""

from spatioformer.learn.facts import Facts, Number, PageModel, Text, Widget
from spatioformer.learn.placed import STEP, PlacedLesson
from spatioformer.learn.tools import Tools
from spatioformer.learn.weights import Json, packed, place_model, text_model

SENTENCES = (
    "En el principio crió Dios los cielos y la",
    "El rey de los hijos de",
    "El zorro café saltó sobre el perro flojo",
    "Y dijo Moisés al",
)
MOST = 24  # tokens of a sentence; a table of more does not fit a screen
COUNT = 8  # next tokens that are shown
START = (-71.0, -39.5)


def sentence(tools: Tools) -> Facts:
    """A sentence for the Spanish model; nothing where it is absent."""
    if tools.spanish is None:
        return Facts()
    model = tools.spanish.model
    caption = Text(
        "Nuestro modelo en español, en esta página. Cambie la frase, o esconda tokens: los demás "
        "dejan de mirarlos.",
        "Our Spanish model, in this page. Change the sentence, or hide tokens: the others stop "
        "looking at them.",
    )
    most = min(MOST, model.gpt.config["context"])
    data = {"sentences": SENTENCES, "count": COUNT, "most": most}
    figure = Widget("sentence", data, caption, PageModel("spanish", lambda: text_model(model)))
    return Facts({"most_tokens": Number(most)}, {"sentence": figure})


def place(tools: Tools) -> Facts:
    """A place of the invented landscape, and the network that maps it."""
    lesson = tools.placed
    caption = Text(
        "Mueva el punto. Los números de la ubicación cambian poco a poco; los de los píxeles, a "
        "saltos.",
        "Move the point. The numbers of the location change little by little; those of the pixels, "
        "in jumps.",
    )
    return Facts(
        {
            "placed_r2": Number(lesson.r2, 2),
            "placed_r2_without": Number(lesson.r2_without, 2),
            "placed_parameters": Number(lesson.model.parameters),
        },
        {"place": Widget("place", {}, caption, PageModel("landscape", lambda: landscape(lesson)))},
    )


def landscape(lesson: PlacedLesson) -> Json:
    """The network and its land, as page/place.js reads them."""
    side = len(lesson.lon)
    pixel = float(lesson.lon[-1] - lesson.lon[0]) / (side - 1)
    land = {
        "west": round(float(lesson.lon[0]) - pixel / 2, 9),
        "north": round(float(lesson.lat[0]) + pixel / 2, 9),
        "pixel": round(pixel, 9),
        "side": side,
        "step": STEP,
        "bands": lesson.bands,
        "levels": packed(lesson.levels),
        "plots": lesson.plots.tolist(),
    }
    return place_model(lesson.model) | {"land": land, "start": START}
