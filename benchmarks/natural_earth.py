"""Make the outlines of countries that the package bundles, `geo/land/countries.npz`, once more.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python -m benchmarks.natural_earth package src/spatioformer/geo/land/countries.npz

The countries are those of Natural Earth 4.1 at 1:50 million. Islands that 1:50 million leaves out
come from 1:10 million. TopoJSON joins polygons over the antimeridian and round the South Pole; here
they are cut there again, repaired, and brought to the grid of `geo.land.store`.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from spatioformer.common.earth import MEAN_RADIUS_KM, on_sphere
from spatioformer.geo.land.store import STEP, Countries, pack
from spatioformer.geo.vector.zones import polygonal

APART = 0.1  # degrees between an island of 1:10 million and the land of 1:50 million
SMALLEST = 2e-6  # square degrees (2 ha at the equator) of an island that is kept
MERGED = {"Baikonur": "Kazakhstan", "USNB Guantanamo Bay": "Cuba"}
"""Areas of 1:10 million that 1:50 million counts to a country."""


def arcs_of(topology: dict[str, Any]) -> list[np.ndarray]:
    """The arcs of a quantised topology, (k, 2) each, degrees."""
    scale, translate = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
    return [np.cumsum(np.array(arc), axis=0) * scale + translate for arc in topology["arcs"]]


def ring_of(numbers: list[int], arcs: list[np.ndarray]) -> np.ndarray:
    """A ring (k, 2) of arcs; ~i is arc i backwards."""
    lines = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in numbers]
    return np.concatenate([lines[0], *(line[1:] for line in lines[1:])])


def polygon_of(rings: list[np.ndarray]) -> BaseGeometry:
    """A polygon of rings that may cross the antimeridian or go round a pole, cut at 180 degrees."""
    unwrapped = []
    for ring in rings:
        if ring[:, 1].max() < -89.9:  # the South Pole as a hole, which comes before its land
            continue
        steps = np.diff(ring[:, 0])
        turns = np.concatenate([[0], np.cumsum(-360 * np.round(steps / 360))])
        lon = ring[:, 0] + turns
        line = np.column_stack([lon, ring[:, 1]])
        if abs(lon[-1] - lon[0]) > 180:  # round the South Pole: Antarctica
            line = np.vstack([line, [(lon[-1], -90), (lon[0], -90)]])
        unwrapped.append(line)
    outer = shapely.make_valid(shapely.Polygon(unwrapped[0]))
    for hole in unwrapped[1:]:
        shift = 360 * np.round((shapely.centroid(outer).x - hole[:, 0].mean()) / 360)
        outer = shapely.difference(outer, shapely.make_valid(shapely.Polygon(hole + (shift, 0))))
    parts = []
    for turn in (-720, -360, 0, 360, 720):
        part = shapely.clip_by_rect(outer, -180 - turn, -90, 180 - turn, 90)
        parts.append(shapely.transform(part, lambda xy, turn=turn: xy + (turn, 0)))
    return polygonal(shapely.union_all(parts))


def countries_of(topology: dict[str, Any]) -> Iterator[tuple[str, BaseGeometry]]:
    """Names and outlines of the countries of a topology, lon and lat."""
    arcs = arcs_of(topology)
    for shape in topology["objects"]["countries"]["geometries"]:
        polygons = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
        rings = [[ring_of(numbers, arcs) for numbers in polygon] for polygon in polygons]
        # Rings of three points are islands smaller than the grid of TopoJSON.
        kept = [[ring for ring in polygon if len(ring) > 3] for polygon in rings]
        parts = [polygon_of(polygon) for polygon in kept if polygon]
        yield shape["properties"]["name"], polygonal(shapely.union_all(parts))


def small_islands(fine: dict[str, BaseGeometry], land: BaseGeometry) -> dict[str, list]:
    """Islands of the finer outlines that lie apart from all land of the coarser ones."""
    near = land.buffer(APART)
    shapely.prepare(near)
    islands: dict[str, list] = {}
    for name, shape in fine.items():
        parts = shapely.get_parts(shape)
        apart = parts[~shapely.intersects(near, parts) & (shapely.area(parts) >= SMALLEST)]
        if len(apart):
            islands[MERGED.get(name, name)] = list(apart)
    return islands


def quantised(shape: BaseGeometry) -> BaseGeometry:
    """A shape in whole numbers of steps, valid."""
    steps = shapely.transform(shape, lambda xy: xy / STEP)
    valid = shapely.set_precision(shapely.make_valid(steps), 1.0)
    parts = shapely.get_parts(valid)
    return shapely.MultiPolygon([p for p in parts if p.geom_type == "Polygon" and p.area > 0])


def build(folder: Path) -> Countries:
    """The countries of the folder of world-atlas."""
    coarse = dict(countries_of(json.loads((folder / "countries-50m.json").read_text())))
    fine = dict(countries_of(json.loads((folder / "countries-10m.json").read_text())))
    land = polygonal(shapely.union_all(list(coarse.values())))
    islands = small_islands(fine, land)
    print(f"{sum(map(len, islands.values())):,} islands of 1:10 million")
    for name, parts in islands.items():
        whole = shapely.union_all([coarse.get(name, shapely.Polygon()), *parts])
        coarse[name] = shapely.make_valid(whole)
    print_errors(fine, polygonal(shapely.union_all(list(coarse.values()))))
    names = sorted(coarse)
    return Countries(names, [quantised(coarse[name]) for name in names])


def print_errors(fine: dict[str, BaseGeometry], land: BaseGeometry) -> None:
    """Distances of the coast of 1:10 million between 60 S and 60 N from that of 1:50 million."""
    from scipy.spatial import KDTree

    shore = polygonal(shapely.union_all(list(fine.values()))).boundary
    points = shapely.get_coordinates(shapely.segmentize(shore, 0.05))
    points = points[(np.abs(points[:, 1]) < 60) & (np.abs(points[:, 0]) < 179.9)]
    coast = shapely.get_coordinates(shapely.segmentize(land.boundary, 0.005))
    apart = KDTree(on_sphere(coast)).query(on_sphere(points))[0]
    shapely.prepare(land)
    beyond = apart[~shapely.intersects_xy(land, *points.T)]
    for title, values in (("distance", apart), ("of those in the sea", beyond)):
        shares = np.quantile(values[values < 0.1 * MEAN_RADIUS_KM], (0.5, 0.9, 0.95, 0.99))
        print(title, "of the coasts, km, 50, 90, 95, 99 %:", np.round(shares, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the npm package world-atlas 2.0.2")
    parser.add_argument("out", type=Path, help="countries.npz")
    given = parser.parse_args()
    countries = build(given.folder)
    pack(countries, given.out)
    print(f"{given.out}: {len(countries.names)} countries, {given.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
