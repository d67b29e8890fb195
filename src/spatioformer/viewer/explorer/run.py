"""What the explorer shows of a run: place, chips, plots in two dimensions, curves and scores."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.analysis.explain import EXPLAINED
from spatioformer.analysis.location import FILE as EFFECT
from spatioformer.common.earth import MEAN_RADIUS_KM, arc, unit_vectors
from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.evaluation.regions import Regions
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.opening import open_raster
from spatioformer.models.base import Model
from spatioformer.models.inside import (
    LocationFeatures,
    PlaceKernel,
    location_features,
    place_kernel,
    place_kind,
    published_features,
    single_networks,
)
from spatioformer.models.network import NetworkModel
from spatioformer.report.ground import places as cities
from spatioformer.viewer.explain import usual_values
from spatioformer.viewer.explorer.chips import (
    Chip,
    attends,
    chip_at,
    chip_of_plot,
    explained_chip,
    stretch_of,
)
from spatioformer.viewer.explorer.curves import training_curve
from spatioformer.viewer.explorer.embedding import METHODS, Method, embed, plot_features, sample
from spatioformer.viewer.explorer.packing import packed
from spatioformer.viewer.explorer.places import (
    Places,
    packed_features,
    places_around,
    places_of,
)
from spatioformer.viewer.folder import MAP, RunFolder
from spatioformer.viewer.report_page import REPORT
from spatioformer.viewer.texts import unit_text

CURVE_POINTS = 60
"""Distances of a curve of correlation."""

REGIONS = 8
"""Largest number of regions by which plots are coloured."""

MOST_PROGRAMMES = 12
"""Largest number of programmes by which plots are coloured."""

EFFECT_SET = "effect"
"""Name under which the effect of location is asked for like a set of features."""

PROCESS_SET = "process"
"""Name under which the kernel of a process is asked for."""

EXAMPLES = 12
"""Plots whose chips a static export holds."""


class RunExplorer:
    """A run as the explorer's page sees it.

    Args:
        run: the served run, with a map or without.
    """

    def __init__(self, run: RunFolder):
        self.run = run

    @property
    def model(self) -> Model:
        return self.run.model

    def facts(self, static: bool = False) -> dict[str, Any]:
        """Content of explorer.json."""
        run, model = self.run, self.model
        return {
            "kind": "run",
            "static": static,
            "name": run.config.name,
            "title": run.config.title or run.config.name,
            "unit": dict(unit_text(run.unit)),
            "model": {
                "name": run.mapped,
                "title": self._title(run.mapped) if run.mapped else model.architecture,
                "about": [list(pair) for pair in model.about],
            },
            "virtual": bool(model.facts.get("virtual")),
            "map": run.has_map,
            "report": (run.folder / REPORT).is_file(),
            "places": self.places.to_json(),
            "place": self._place(),
            "networks": [
                {"member": name, "sets": _described(location_features(network))}
                for name, network in self.networks
            ],
            "network": self.first,
            "sets": _described(self.sets(self.first).values()),
            "effect": self.has_effect,
            "process": self.kernel is not None,
            "patch": model.patch,
            "imagery": (run.folder / "imagery.tif").is_file(),
            "table": run.config.imagery is None,
            "examples": self._examples().tolist(),
            "plots": len(run.store),
            "training": training_curve(run.folder),
            "scores": self._scores(),
            "importance": self._importance(),
            "explained": self._explained(),
        }

    @cached_property
    def places(self) -> Places:
        """Coarse grid over the map, or over the land around the plots."""
        if self.run.has_map:
            return places_of(self.run.folder / MAP)
        return places_around(self.run.store.coordinates)

    @cached_property
    def networks(self) -> list[tuple[str, NetworkModel]]:
        """The networks in the model, each with the name of the stack's member that it is in."""
        return single_networks(self.model)

    @cached_property
    def first(self) -> int:
        """Number of the network that is shown first: the first with attention."""
        if len(self.networks) < 2:
            return 0
        chip = chip_of_plot(self.model, self.run.store, 0)
        attending = (k for k, (_, network) in enumerate(self.networks) if attends(network, chip))
        return next(attending, 0)

    def network(self, number: int | None) -> NetworkModel | None:
        """A network of the model, None: the first that is shown; None where it has none.

        Raises:
            ModelError: there is no such network.
        """
        number = self.first if number is None else number
        if not self.networks and number == 0:
            return None
        if not 0 <= number < len(self.networks):
            raise ModelError(
                f"network {number} does not exist; the model has {len(self.networks)}, counted "
                "from 0"
            )
        return self.networks[number][1]

    def sets(self, number: int | None = None) -> dict[str, LocationFeatures]:
        """Name -> location features of a network of the model; the published ones last.

        Raises:
            ModelError: there is no such network.
        """
        network = self.network(number)
        groups = [published_features()] if network is None else location_features(network)
        return {group.name: group for group in groups}

    @cached_property
    def kernel(self) -> PlaceKernel | None:
        """Correlation over place of the model's process, or None."""
        return place_kernel(self.model)

    def likeness(self) -> dict[str, Any]:
        """What the page needs for the correlation of a place with all others.

        Returns:
            values, points (3, n) of the mapped places; terms, share and range of each field, None
            for one that does not depend on place.
        """
        assert self.kernel is not None, "the caller asks models with a kernel only"
        terms = [
            {"share": share, "range": reach if np.isfinite(reach) else None}
            for share, reach in self.kernel.fields.values()
        ]
        points = self.kernel.points(*self.places.lonlat)
        return {"names": [], "values": packed(points.T), "terms": terms}

    def location(self, name: str, network: int | None = None) -> dict[str, Any]:
        """Features of a set in `sets` at the places."""
        return packed_features(self.sets(network)[name], self.places)

    @property
    def has_effect(self) -> bool:
        """Whether the run computed the effect of location."""
        return (self.run.folder / EFFECT).is_file()

    def effect(self) -> dict[str, Any]:
        """Effect of location on the prediction of the mean imagery, at the mapped places."""
        with open_raster(self.run.folder / EFFECT) as source:
            grid, values = Grid.of(source), source.read(1)
        rows, cols = grid.pixel(*self.places.lonlat)
        rows, cols = rows.clip(0, grid.height - 1), cols.clip(0, grid.width - 1)
        return {"names": ["effect"], "values": packed(values[rows, cols][None])}

    def embedding(self, method: Method) -> dict[str, Any]:
        """Plots in two dimensions; see `_embedding`, which this keeps."""
        if method not in self._embeddings:
            self._embeddings[method] = self._embedding(method)
        return self._embeddings[method]

    @cached_property
    def _embeddings(self) -> dict[str, dict[str, Any]]:
        return {}

    def _embedding(self, method: Method) -> dict[str, Any]:
        """Rows of the plots, and columns that colour them.

        Returns:
            rows; id; x, y; lon, lat; observed; predicted (held out, NaN where not); region and
            programme: names, and the number of each plot's; `basis`, "network" or "imagery";
            shares of the variance along x and y, of PCA; of, number of all plots.
        """
        store, plots = self.run.store, self.run.plots
        rows = sample(len(store), method)
        features, basis = plot_features(self.model, store, rows)
        xy, shares = embed(features, method)
        few = plots.iloc[rows]
        return {
            "method": method,
            "basis": basis,
            "features": features.shape[1],
            "shares": shares,
            "of": len(store),
            "rows": rows.tolist(),
            "id": few["plot_id"].astype(str).tolist(),
            "xy": packed(xy),
            "lonlat": packed(few[["lon", "lat"]].to_numpy()),
            "observed": packed(few["observed"].to_numpy(np.float64)),
            "predicted": packed(few["predicted"].to_numpy(np.float64)),
            "region": self._regions(rows),
            "programme": self._programmes(rows),
        }

    def _regions(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Compact regions of all plots, named by the city nearest to the middle of each."""
        places = self.run.store.coordinates
        regions = Regions.of(places, REGIONS)
        names, lonlat = cities()
        points = unit_vectors(*regions.centres.T)
        near = np.linalg.norm(points[:, None] - unit_vectors(*lonlat.T)[None], axis=2)
        labels = [names[i] for i in near.argmin(axis=1)]
        return {"names": labels, "of": regions.at(places[rows]).tolist()}

    def _programmes(self, rows: NDArray[np.int64]) -> dict[str, Any] | None:
        table = self.run.store.table
        if "programme" not in table:
            return None
        codes, names = pd.factorize(table["programme"].astype(str), sort=True)
        if not 1 < len(names) <= MOST_PROGRAMMES:
            return None
        return {"names": [str(name) for name in names], "of": codes[rows].tolist()}

    def plot(self, row: int, network: int | None = None) -> dict[str, Any]:
        """A plot's chip explained.

        Raises:
            ImageryError: there is no such plot.
            ModelError: there is no such network.
        """
        chip = chip_of_plot(self.model, self.run.store, row)
        plot = self.run.plots.iloc[row]
        return self._explained_chip(chip, network) | {
            "row": row,
            "id": str(plot["plot_id"]),
            "lon": float(plot["lon"]),
            "lat": float(plot["lat"]),
            "observed": float(plot["observed"]),
            "predicted": float(plot["predicted"]),
        }

    def at(self, lon: float, lat: float, network: int | None = None) -> dict[str, Any]:
        """The chip of a place explained.

        Raises:
            ImageryError: there is no complete chip.
            ModelError: there is no such network.
        """
        chip = chip_at(self.model, self.run.folder / "imagery.tif", lon, lat)
        return self._explained_chip(chip, network) | {"lon": lon, "lat": lat}

    def _explained_chip(self, chip: Chip, network: int | None) -> dict[str, Any]:
        usual = usual_values(self.run, self.model)
        return explained_chip(self.model, self.network(network), chip, usual, self._stretch)

    @cached_property
    def _stretch(self) -> Any:
        return stretch_of(self.run.store)

    def _examples(self) -> NDArray[np.int64]:
        """Rows of plots spread over the richness, the poorest first."""
        order = np.argsort(self.run.store.richness, kind="stable")
        count = min(EXAMPLES, len(order))
        return order[np.linspace(0, len(order) - 1, count).round().astype(int)]

    def _place(self) -> dict[str, Any]:
        """How the model knows of place, and its correlation with distance if it has one."""
        west, south, east, north = self.places.bounds
        ends = unit_vectors(np.array([west, min(east, west + 180)]), np.array([south, north]))
        extent = arc(np.linalg.norm(ends[1] - ends[0]) * MEAN_RADIUS_KM, MEAN_RADIUS_KM)
        km = np.linspace(0, float(extent), CURVE_POINTS)
        curves = [] if self.kernel is None else self.kernel.curves(km)
        return {
            "kind": place_kind(self.model),
            "km": km.tolist(),
            "curves": [
                {"field": c.field, "direction": c.direction, "values": c.values.tolist()}
                for c in curves
            ],
        }

    def _scores(self) -> dict[str, Any] | None:
        """Scores of all models on the splits of scores.csv; None without the file."""
        table = self._table("scores.csv")
        if table is None:
            return None
        columns = ["model", "split", "n", "r2", "rmse", "mae", "bias"]
        rows = table[[name for name in columns if name in table]]
        curves = rows["split"].str.startswith("curve-")
        return {
            "split": self.run.config.evaluate.map_like.name,
            "rows": [
                row | {"title": self._title(row["model"])}
                for row in rows[~curves].to_dict("records")
            ],
        }

    def _importance(self) -> list[dict[str, Any]]:
        """Rise of the RMSE of the mapped model when an input is shuffled, the largest first."""
        table = self._table("evaluation/importance.csv")
        if table is None:
            return []
        rows = table[table["model"] == self.run.mapped].sort_values("rise", ascending=False)
        columns = (rows[name].tolist() for name in ("group", "rise", "sd"))
        return [
            {"group": str(group), "rise": rise, "sd": sd}
            for group, rise, sd in zip(*columns, strict=True)
        ]

    def _explained(self) -> dict[str, Any] | None:
        """Response curves of explained.json: input -> value, local, partial."""
        path = self.run.folder / EXPLAINED
        if not path.is_file():
            return None
        content = read_json(path)
        return {"curves": content.get("curves", {}), "location": content.get("location")}

    def _table(self, name: str) -> pd.DataFrame | None:
        path = self.run.folder / name
        return pd.read_csv(path) if path.is_file() else None

    def _title(self, name: str) -> str:
        return CATALOGUE[name].title if name in CATALOGUE else name

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Addresses and contents of all answers that need no server."""
        yield "api/explorer.json", self.facts(static=True)
        for name in self.sets():
            yield f"api/explorer/location/{name}.json", self.location(name)
        if self.has_effect:
            yield f"api/explorer/location/{EFFECT_SET}.json", self.effect()
        if self.kernel is not None:
            yield f"api/explorer/location/{PROCESS_SET}.json", self.likeness()
        for method in METHODS:
            yield f"api/explorer/embedding/{method}.json", self.embedding(method)
        for row in self._examples().tolist():
            yield f"api/explorer/plot/{row}.json", self.plot(row)


def _described(groups: Iterable[LocationFeatures]) -> list[dict[str, Any]]:
    return [
        {"name": group.name, "count": len(group.features), "learned": group.learned}
        for group in groups
    ]
