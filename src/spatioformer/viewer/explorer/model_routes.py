"""Addresses of the explorer of a text or vision model, whose page is explorer.html alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from spatioformer.viewer.app import error_answers
from spatioformer.viewer.explorer.kept import Answers, Number, with_first_page
from spatioformer.viewer.explorer.kinds import kind_of

if TYPE_CHECKING:
    from spatioformer.viewer.explorer.text import TextExplorer
    from spatioformer.viewer.explorer.vision import VisionExplorer

MOST_LETTERS = 20_000
"""Longest text of a request, characters; `TextExplorer.read` refuses shorter ones in a sentence."""


class Sentence(BaseModel):
    """A text that a model reads."""

    text: Annotated[str, Field(max_length=MOST_LETTERS)]


def model_router(folder: str | Path) -> APIRouter:
    """Routes of the explorer of a text or vision model; the first page leads to explorer.html.

    Raises:
        ModelError: the folder is no such model, or it cannot be opened.
    """
    if kind_of(folder) == "text":
        from spatioformer.viewer.explorer.text import TextExplorer  # needs the extra `text`

        routes = _text(TextExplorer(Path(folder)))
    else:
        from spatioformer.viewer.explorer.vision import VisionExplorer

        routes = _vision(VisionExplorer(Path(folder)))

    return with_first_page(routes)


def _text(explorer: "TextExplorer") -> APIRouter:
    routes, answers = APIRouter(), Answers()

    @routes.get("/api/explorer.json")
    def explorer_json(request: Request) -> Response:
        """Sizes of the network, a first sentence, training."""
        return answers.keep(request, "facts", explorer.facts)

    @routes.post("/api/explorer/text.json", responses=error_answers(400, 413, 422))
    def text_json(sentence: Sentence) -> Response:
        """Tokens, attention and next tokens of a sentence."""
        return answers.make(lambda: explorer.read(sentence.text))

    return routes


def _vision(explorer: "VisionExplorer") -> APIRouter:
    routes, answers = APIRouter(), Answers()

    @routes.get("/api/explorer.json")
    def explorer_json(request: Request) -> Response:
        """Sizes of the network, images to begin with, training."""
        return answers.keep(request, "facts", explorer.facts)

    @routes.get("/api/explorer/image/{number}.json", responses=error_answers(400, 422))
    def image_json(number: Number) -> Response:
        """Attention over one of the images to begin with."""
        return answers.make(lambda: explorer.sample(number))

    @routes.post("/api/explorer/image.json", responses=error_answers(413, 422))
    async def upload_json(request: Request) -> Response:
        """Attention over an image file, which is the body of the request."""
        content = await request.body()
        return await run_in_threadpool(answers.make, lambda: explorer.upload(content))

    return routes
