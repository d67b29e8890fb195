"""What is answered about a run: its facts, tiles, plots, and clicked places."""

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi import Path as InPath
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from spatioformer.viewer import at, explain, ground, plots, tiles, zones
from spatioformer.viewer.answers import JSON
from spatioformer.viewer.app import FRESH, error_answers, unchanged
from spatioformer.viewer.cache import ByteCache
from spatioformer.viewer.explorer import routes as explorer_routes
from spatioformer.viewer.layers import Layer
from spatioformer.viewer.rasters import MOST_ZOOM
from spatioformer.viewer.report_page import report_router
from spatioformer.viewer.run import ViewedRun

TILES = 64 * 2**20
"""Largest total of the tiles kept in memory, bytes."""

OTHERS = 8 * 2**20
"""Largest total of other answers kept in memory, bytes."""

Lon = Annotated[float, Query(ge=-360, le=360, allow_inf_nan=False, description="degrees")]
Lat = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="degrees")]
Year = Annotated[int | None, Query(ge=0, le=9999, description="none: the run's own map")]
Zoom = Annotated[int, InPath(ge=0, le=MOST_ZOOM)]
Place = Annotated[int, InPath(ge=0, lt=2**MOST_ZOOM)]

Name = Annotated[str, InPath(max_length=100)]


class Drawn(BaseModel):
    """Polygons that a user drew or uploaded.

    Attributes:
        geometries: one or two GeoJSON geometries, Polygon or MultiPolygon, in degrees.
        year: of the map; none: the run's own map.
    """

    geometries: list[dict[str, Any]] = Field(min_length=1, max_length=2)
    year: int | None = Field(None, ge=0, le=9999)


def router(run: ViewedRun, *, token_needed: bool = False) -> APIRouter:
    """Routes of a run."""
    routes = APIRouter()
    served = _Served(run)
    facts = JSON(run.to_json(token_needed=token_needed))

    @routes.get("/api/run.json")
    def run_json(request: Request) -> Response:
        """Name, extent, layers and verdict of the run."""
        return unchanged(request, facts)

    @routes.get("/api/ground.json")
    def ground_json(request: Request) -> Response:
        """Coasts, borders and names of places around the map, as GeoJSON."""
        return unchanged(request, served.kept("ground", lambda: ground.to_json(run.map.bounds)))

    @routes.get("/api/plots.json", responses=error_answers(422))
    def plots_json(request: Request) -> Response:
        """The plots, as GeoJSON points."""
        return unchanged(request, served.kept("plots", lambda: plots.plots_json(run)))

    @routes.get("/api/sites.json", responses=error_answers(422))
    def sites_json(request: Request) -> Response:
        """The best sites to survey next, as GeoJSON points."""
        return unchanged(request, served.kept("sites", lambda: plots.sites_json(run)))

    @routes.get("/api/at.json", responses=error_answers(400, 404, 422))
    async def at_json(lon: Lon, lat: Lat, year: Year = None) -> Response:
        """What is known of a place."""
        check_year(run, year)
        return JSON(await served.in_pool(at.at, run, lon, lat, year))

    @routes.get("/api/explain.json", responses=error_answers(400, 422))
    async def explain_json(lon: Lon, lat: Lat, year: Year = None) -> Response:
        """Why the model predicts what it predicts at a place: its chip and what it rests on."""
        check_year(run, year)
        return JSON(await run_in_threadpool(explain.explain, run, lon, lat, year))

    @routes.post("/api/zonal.json", responses=error_answers(400, 404, 413, 422))
    async def zonal_json(drawn: Drawn) -> Response:
        """Mean richness in one or two polygons, with intervals, and their difference."""
        check_year(run, drawn.year)
        return JSON(await run_in_threadpool(zones.zonal, run, drawn.geometries, drawn.year))

    @routes.post(
        "/api/zonal.csv",
        responses={200: {"content": {"text/csv": {}}}, **error_answers(400, 404, 413, 422)},
    )
    async def zonal_csv(drawn: Drawn) -> Response:
        """The same as CSV."""
        check_year(run, drawn.year)
        answer = await run_in_threadpool(zones.zonal, run, drawn.geometries, drawn.year)
        headers = {"content-disposition": 'attachment; filename="zones.csv"'}
        return Response(zones.to_csv(answer), media_type="text/csv", headers=headers)

    @routes.get(
        "/tiles/{layer}/{year}/{z}/{x}/{y}.png",
        responses={
            200: {"content": {"image/png": {}}, "description": "numbers, or a picture"},
            204: {"description": "no value in this tile"},
            304: {"description": "the browser has the tile"},
            **error_answers(400, 404, 422),
        },
    )
    async def tile(
        request: Request, layer: Name, year: Name, z: Zoom, x: Place, y: Place
    ) -> Response:
        """A tile of a layer in Web Mercator; `year` is a year or "all"."""
        registered, key = served.layer(layer, year)
        if x >= 2**z or y >= 2**z:
            raise HTTPException(404, f"zoom {z} has columns and rows 0 to {2**z - 1}")
        return await served.tile(request, registered, key, z, x, y)

    if run.has_explorer:
        routes.include_router(explorer_routes.run_router(run))
    routes.include_router(report_router(run.folder))
    return routes


def check_year(run: ViewedRun, year: int | None) -> None:
    """Refuse a year that the run has no map of."""
    if run.map_of(year) is None:
        years = ", ".join(map(str, run.years)) or "none"
        raise HTTPException(404, f"the run has no map of {year}; its years are {years}")


class _Served:
    """Answers of a run that are kept in memory, and work that is done in its threads."""

    def __init__(self, run: ViewedRun):
        self._run = run
        self._tiles = ByteCache(TILES)
        self._others: dict[str, JSON] = {}
        self._making: dict[tuple[Any, ...], asyncio.Future[bytes | None]] = {}

    def kept(self, name: str, make: Callable[[], Any]) -> JSON:
        """An answer that is made once."""
        if name not in self._others:
            self._others[name] = JSON(make())
        return self._others[name]

    async def in_pool(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the rasters' threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._run.rasters.pool, function, *arguments)

    def layer(self, name: str, year: str) -> tuple[Layer, int | str]:
        """A registered layer and a year of it; anything else is refused."""
        layer = self._run.catalogue.layers.get(name)
        key: int | str = int(year) if re.fullmatch(r"[0-9]{1,4}", year) else year
        if layer is None or key not in layer.rasters:
            known = ", ".join(self._run.catalogue.layers)
            years = "" if layer is None else f" for {', '.join(map(str, layer.rasters))}"
            what = f"the run has no such layer; its layers are {known}"
            raise HTTPException(404, what if layer is None else f"{name} is there{years} only")
        return layer, key

    async def tile(
        self, request: Request, layer: Layer, year: int | str, z: int, x: int, y: int
    ) -> Response:
        """A tile from memory, or made once for all who ask for it now."""
        size, changed = layer.rasters[year].stamp
        tag = f'"{layer.id}-{year}-{z}-{x}-{y}-{size:x}-{changed:x}"'
        headers = {"cache-control": FRESH, "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        key = (layer.id, year, z, x, y)
        if key in self._tiles:
            content = self._tiles.get(key)
        else:
            content = await self._make(key, layer)
        if content is None:
            return Response(status_code=204, headers=headers)
        return Response(content, media_type="image/png", headers=headers)

    async def _make(self, key: tuple[Any, ...], layer: Layer) -> bytes | None:
        making = self._making.get(key)
        if making is None:
            _, year, z, x, y = key
            making = asyncio.ensure_future(
                self.in_pool(
                    tiles.tile, self._run.rasters, self._run.unmapped, layer, year, z, x, y
                )
            )
            self._making[key] = making
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)

    def _made(self, key: tuple[Any, ...], done: "asyncio.Future[bytes | None]") -> None:
        del self._making[key]
        if not done.cancelled() and done.exception() is None:
            self._tiles.put(key, done.result())
