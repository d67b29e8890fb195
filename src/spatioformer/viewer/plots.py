"""The plots of a run and the sites to survey next, as GeoJSON points."""

from typing import Any

import pandas as pd

from spatioformer.analysis.survey import propose, survey_outline
from spatioformer.common.errors import SpatioformerError
from spatioformer.viewer.run import ViewedRun

SITES = 20
"""Number of proposed sites."""


def plots_json(run: ViewedRun) -> dict[str, Any]:
    """Points with id, observed, predicted (held out), residual, area (m2) and year.

    Raises:
        ImageryError: the run has no chips.
    """
    plots = run.plots
    table = pd.DataFrame(
        {
            "id": plots["plot_id"],
            "observed": plots["observed"].astype(float),
            "predicted": plots["predicted"].astype(float).round(3),
            "residual": (plots["observed"] - plots["predicted"]).astype(float).round(3),
            "area": plots["area_m2"].astype(float),
            "year": plots["year"].astype(float),
        }
    )
    return _points(table, plots["lon"], plots["lat"])


def sites_json(run: ViewedRun) -> dict[str, Any]:
    """The best sites to survey next: points with order, gain, interval width and reason.

    Raises:
        SpatioformerError: no sites can be proposed, as `analysis.survey.propose` says.
    """
    if "sites" not in run.memo:
        run.memo["sites"] = _sites(run)
    return run.memo["sites"]


def _sites(run: ViewedRun) -> dict[str, Any]:
    try:
        outline = survey_outline(run.folder)
        sites = propose(run.folder, SITES, outline=outline)
    except SpatioformerError:
        sites = propose(run.folder, SITES)  # plots of no bundled country
    table = pd.DataFrame(
        {
            "order": sites["site"],
            "gain": sites["gain"].round(6),
            "width": sites["width"].round(3),
            "dissimilarity": sites["di"].round(4),
            "applies": sites["inside"].astype(bool),
        }
    )
    collection = _points(table, sites["lon"], sites["lat"])
    for feature in collection["features"]:
        feature["properties"]["why"] = _why(feature["properties"], run.unit)
    return collection


def _why(site: dict[str, Any], unit: str) -> dict[str, str]:
    share, width = f"{100 * site['gain']:.1f} %", f"{site['width']:.3g}"
    unit_es = {"species": "especies", "proportion": "proporción"}.get(unit, unit)
    return {
        "en": f"Removes {share} of the map's dissimilarity to its plots; its interval is {width} "
        f"{unit} wide.",
        "es": f"Elimina el {share} de la disimilitud del mapa con sus parcelas; su intervalo mide "
        f"{width} {unit_es}.",
    }


def _points(table: pd.DataFrame, lon: pd.Series, lat: pd.Series) -> dict[str, Any]:
    rows = table.to_dict("records")
    places = zip(rows, lon.round(6).tolist(), lat.round(6).tolist(), strict=True)
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {str(k): v for k, v in row.items()},
                "geometry": {"type": "Point", "coordinates": [x, y]},
            }
            for row, x, y in places
        ],
    }
