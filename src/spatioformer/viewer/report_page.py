"""The report of a run, beside its map and its model explorer."""

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from spatioformer.viewer.app import unchanged

REPORT = "report.html"

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
"""What the report may load: nothing; its styles and pictures are inside it."""


def report_router(folder: Path) -> APIRouter:
    """Route of the report of a run folder; none where it has no report."""
    routes = APIRouter()
    if not (folder / REPORT).is_file():
        return routes
    report = (folder / REPORT).read_bytes()

    @routes.get(f"/{REPORT}", include_in_schema=False)
    def report_page(request: Request) -> Response:
        answer = unchanged(request, Response(report, media_type="text/html"))
        answer.headers["content-security-policy"] = POLICY
        return answer

    return routes
