"""The web application: the page's files, and what routers answer."""

import gzip
import mimetypes
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from spatioformer.common.errors import SpatioformerError
from spatioformer.common.files import hash_value
from spatioformer.common.version import __version__
from spatioformer.viewer import style, terms
from spatioformer.viewer.answers import JSON, refusal
from spatioformer.viewer.security import Gate, Guard

PAGE = Path(__file__).with_name("page")
"""The built page; its files are read once, at the start."""

FRESH = "no-cache"
"""Cache-Control of answers: browsers keep them, and ask each time whether they still hold."""

SMALL = 1000
"""Bytes below which an answer is not worth compressing."""


def create_app(routers: Sequence[APIRouter], gate: Gate, page: Path = PAGE) -> FastAPI:
    """The application of some routers and the page.

    Args:
        routers: what answers requests, such as `routes.router` of a run.
        gate: who may ask.
        page: folder of the page's files.
    """
    app = FastAPI(
        title="spatioformer view", version=__version__, docs_url=None, redoc_url=None,
        openapi_url="/api/openapi.json", default_response_class=JSON, lifespan=_lifespan,
        redirect_slashes=False,
    )  # fmt: skip
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(SpatioformerError, _mistake)
    for router in routers:
        app.include_router(router)
    app.include_router(_common())
    app.include_router(page_router(page))
    app.add_middleware(Guard, gate=gate)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI):
    yield


async def _invalid(request: Request, error: Exception) -> Response:
    """One sentence on the first invalid value of a request."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if part not in ("path", "query", "body")]
    name = ".".join(where) or "the body"
    return refusal(f"{name} cannot be used: {first['msg']}", 400)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "there is nothing at this address", 405: "this address is for another method"}
    detail = error.detail
    known = detail and detail not in ("Not Found", "Method Not Allowed")
    sentence = detail if known else sentences.get(error.status_code, "the request cannot be used")
    answer = refusal(sentence, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def _mistake(request: Request, error: Exception) -> Response:
    return refusal(str(error), 422)


def _common() -> APIRouter:
    """What the pages of all models ask for."""
    router = APIRouter()

    @router.get("/api/style.json")
    def style_json(request: Request) -> Response:
        """Colour scales and palette."""
        return unchanged(request, JSON(style.to_json()))

    @router.get("/api/terms.json")
    def terms_json(request: Request) -> Response:
        """Terms of the field and what they mean."""
        return unchanged(request, JSON(terms.to_json()))

    return router


def page_router(folder: Path) -> APIRouter:
    """The page's files, each under its name; no other file can be asked for."""
    router = APIRouter()
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.is_file():
            _add_file(router, f"/{path.name}", path.name, path.read_bytes())
            if path.name == "index.html":
                _add_file(router, "/", path.name, path.read_bytes())
    return router


def _add_file(router: APIRouter, address: str, name: str, content: bytes) -> None:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    is_text = kind.startswith("text/") or kind.endswith(("javascript", "json", "svg+xml"))
    packed = gzip.compress(content, 9, mtime=0) if is_text and len(content) > SMALL else None
    tag = f'"{hash_value(content.hex())[:16]}"'

    async def file(request: Request) -> Response:
        headers = {"cache-control": FRESH, "etag": tag, "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                packed, headers={**headers, "content-encoding": "gzip"}, media_type=kind
            )
        return Response(content, headers=headers, media_type=kind)

    router.add_api_route(address, file, methods=["GET", "HEAD"], include_in_schema=False)


def unchanged(request: Request, answer: Response, tag: str | None = None) -> Response:
    """An answer with its tag, compressed where it pays; 304 where the browser has it already."""
    content = bytes(answer.body)
    tag = tag or f'"{hash_value(content.decode("latin-1"))[:16]}"'
    headers = {"cache-control": FRESH, "etag": tag, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if len(content) > SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        content = gzip.compress(content, 6, mtime=0)
    return Response(content, headers=headers, media_type=answer.media_type)


def error_answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of refusals for the OpenAPI document."""
    content = {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {"type": "string"}},
            }
        }
    }
    return {code: {"description": "refused, in one sentence", "content": content} for code in codes}
