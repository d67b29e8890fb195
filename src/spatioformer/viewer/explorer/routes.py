"""Addresses of the explorer of a run."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from spatioformer.viewer import ground
from spatioformer.viewer.app import error_answers
from spatioformer.viewer.explorer.embedding import Method
from spatioformer.viewer.explorer.kept import Answers, Number, with_first_page
from spatioformer.viewer.explorer.run import EFFECT_SET, PROCESS_SET, RunExplorer
from spatioformer.viewer.folder import RunFolder
from spatioformer.viewer.report_page import report_router

Lon = Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, description="degrees")]
Lat = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="degrees")]
Name = Annotated[str, InPath(max_length=40)]
Network = Annotated[int | None, Query(ge=0, lt=2**31, description="none: the first that is shown")]


def run_router(run: RunFolder) -> APIRouter:
    """Routes of the explorer of a run."""
    routes, answers, explorer = APIRouter(prefix="/api"), Answers(), RunExplorer(run)

    @routes.get("/explorer.json", responses=error_answers(422))
    def explorer_json(request: Request) -> Response:
        """The model, its place features, training, scores and response curves."""
        return answers.keep(request, "facts", explorer.facts)

    @routes.get("/explorer/location/{name}.json", responses=error_answers(400, 404, 422))
    def location_json(request: Request, name: Name, network: Network = None) -> Response:
        """Location features at the places of a coarse grid over the map."""
        if name == EFFECT_SET and explorer.has_effect:
            return answers.keep(request, name, explorer.effect)
        if name == PROCESS_SET and explorer.kernel is not None:
            return answers.keep(request, name, explorer.likeness)
        sets = explorer.sets(network)
        if name not in sets:
            known = ", ".join(sets)
            raise HTTPException(404, f"there are no such location features; there are {known}")
        kept = f"location {name} {network}"
        return answers.keep(request, kept, lambda: explorer.location(name, network))

    @routes.get("/explorer/embedding/{method}.json", responses=error_answers(400, 422))
    def embedding_json(request: Request, method: Method) -> Response:
        """The plots in two dimensions."""
        return answers.keep(request, method, lambda: explorer.embedding(method))

    @routes.get("/explorer/plot/{row}.json", responses=error_answers(400, 422))
    def plot_json(row: Number, network: Network = None) -> Response:
        """Attention and occlusion over the chip of a plot."""
        return answers.make(lambda: explorer.plot(row, network))

    @routes.get("/explorer/at.json", responses=error_answers(400, 422))
    def at_json(lon: Lon, lat: Lat, network: Network = None) -> Response:
        """Attention and occlusion over the chip of a place."""
        return answers.make(lambda: explorer.at(lon, lat, network))

    return routes


def explorer_router(run: RunFolder) -> APIRouter:
    """Routes of a run without a map: its explorer, to which the first page leads."""
    routes, answers = APIRouter(), Answers()
    routes.include_router(run_router(run))
    routes.include_router(report_router(run.folder))

    @routes.get("/api/ground.json")
    def ground_json(request: Request) -> Response:
        """Coasts, borders and names of places around the plots, as GeoJSON."""
        explorer = RunExplorer(run)
        return answers.keep(request, "ground", lambda: ground.to_json(explorer.places.bounds))

    return with_first_page(routes)
