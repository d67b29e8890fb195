"""Addresses of the explorer. What a model computes, one thread computes at a time."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi import Path as InPath
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from spatioformer.viewer.answers import JSON
from spatioformer.viewer.app import error_answers, unchanged
from spatioformer.viewer.explorer.embedding import Method
from spatioformer.viewer.explorer.kinds import kind_of
from spatioformer.viewer.explorer.run import EFFECT_SET, RunExplorer
from spatioformer.viewer.explorer.text import MOST_LETTERS, TextExplorer
from spatioformer.viewer.explorer.vision import VisionExplorer
from spatioformer.viewer.run import ViewedRun

Content = dict[str, Any]

Lon = Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, description="degrees")]
Lat = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="degrees")]
Name = Annotated[str, InPath(max_length=40)]
Number = Annotated[int, InPath(ge=0, lt=2**31)]


class Sentence(BaseModel):
    """A text that a model reads."""

    text: Annotated[str, Field(max_length=MOST_LETTERS)]


class _Answers:
    """Answers that are computed one at a time; those without an input are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, JSON] = {}

    def make(self, compute: Callable[[], Content]) -> JSON:
        """An answer that is computed anew."""
        with self._lock:
            return JSON(compute())

    def keep(self, request: Request, name: str, compute: Callable[[], Content]) -> Response:
        """An answer that is computed once."""
        with self._lock:
            if name not in self._kept:
                self._kept[name] = JSON(compute())
        return unchanged(request, self._kept[name])


def run_router(run: ViewedRun) -> APIRouter:
    """Routes of the explorer of a run."""
    routes, answers, explorer = APIRouter(prefix="/api"), _Answers(), RunExplorer(run)

    @routes.get("/explorer.json", responses=error_answers(422))
    def explorer_json(request: Request) -> Response:
        """The model, its place features, training, scores and response curves."""
        return answers.keep(request, "facts", explorer.facts)

    @routes.get("/explorer/location/{name}.json", responses=error_answers(400, 404, 422))
    def location_json(request: Request, name: Name) -> Response:
        """Location features at the places of a coarse grid over the map."""
        if name == EFFECT_SET and explorer.has_effect:
            return answers.keep(request, name, explorer.effect)
        if name not in explorer.sets:
            known = ", ".join(explorer.sets)
            raise HTTPException(404, f"there are no such location features; there are {known}")
        return answers.keep(request, f"location {name}", lambda: explorer.location(name))

    @routes.get("/explorer/embedding/{method}.json", responses=error_answers(400, 422))
    def embedding_json(request: Request, method: Method) -> Response:
        """The plots in two dimensions."""
        return answers.keep(request, method, lambda: explorer.embedding(method))

    @routes.get("/explorer/plot/{row}.json", responses=error_answers(400, 422))
    def plot_json(row: Number) -> Response:
        """Attention and occlusion over the chip of a plot."""
        return answers.make(lambda: explorer.plot(row))

    @routes.get("/explorer/at.json", responses=error_answers(400, 422))
    def at_json(lon: Lon, lat: Lat) -> Response:
        """Attention and occlusion over the chip of a place."""
        return answers.make(lambda: explorer.at(lon, lat))

    return routes


def model_router(folder: str | Path) -> APIRouter:
    """Routes of the explorer of a text or vision model; the page is explorer.html alone.

    Raises:
        ModelError: the folder is no such model, or it cannot be opened.
    """
    if kind_of(folder) == "text":
        routes = _text(TextExplorer(Path(folder)))
    else:
        routes = _vision(VisionExplorer(Path(folder)))

    @routes.get("/", include_in_schema=False)
    @routes.get("/index.html", include_in_schema=False)
    def index() -> Response:
        return RedirectResponse("explorer.html", 307)

    return routes


def _text(explorer: TextExplorer) -> APIRouter:
    routes, answers = APIRouter(), _Answers()

    @routes.get("/api/explorer.json")
    def explorer_json(request: Request) -> Response:
        """Sizes of the network, a first sentence, training."""
        return answers.keep(request, "facts", explorer.facts)

    @routes.post("/api/explorer/text.json", responses=error_answers(400, 413, 422))
    def text_json(sentence: Sentence) -> Response:
        """Tokens, attention and next tokens of a sentence."""
        return answers.make(lambda: explorer.read(sentence.text))

    return routes


def _vision(explorer: VisionExplorer) -> APIRouter:
    routes, answers = APIRouter(), _Answers()

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
