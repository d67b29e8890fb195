"""Answers of the explorer: one thread computes at a time, and what has no input is kept."""

import threading
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.responses import RedirectResponse, Response

from spatioformer.viewer.answers import JSON
from spatioformer.viewer.app import unchanged

Content = dict[str, Any]

Number = Annotated[int, InPath(ge=0, lt=2**31)]


class Answers:
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


def with_first_page(routes: APIRouter) -> APIRouter:
    """Routes of which the first page leads to explorer.html: there is no map."""

    @routes.get("/", include_in_schema=False)
    @routes.get("/index.html", include_in_schema=False)
    def index() -> Response:
        return RedirectResponse("explorer.html", 307)

    return routes
