"""Decide how each raster becomes a layer of the imagery."""

import re
import unicodedata
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.common.pip_files import locate
from spatioformer.config.imagery import RasterSection
from spatioformer.config.messages import message
from spatioformer.geo.raster.checks import Trust
from spatioformer.geo.raster.layers import Layer, open_layer
from spatioformer.geo.raster.remarks import check_pieces
from spatioformer.run.imagery import layer_of
from spatioformer.setup.draft import Draft
from spatioformer.setup.rasters import RasterFacts, examine
from spatioformer.setup.spread import shown_km

MOST_STEPS = 24  # of a NetCDF variable that become a band each without a question


def layer_names(paths: Sequence[str]) -> list[str]:
    """A name for each raster, from its file's name, that bands can begin with; all different."""
    names: list[str] = []
    for path in paths:
        stem = Path(path.removeprefix("pip:")).name.partition(".")[0]
        plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
        name = re.sub(r"[^A-Za-z0-9_]+", "_", plain).strip("_")[:60] or "raster"
        name = name if name[0].isalpha() else f"raster_{name}"
        number = 2
        unique = name
        while unique in names:
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    return names


def examine_rasters(
    paths: Sequence[Path | str],
    sections: Sequence[dict[str, Any]],
    crs: str | None,
    lonlat: NDArray[np.float64] | None,
    draft: Draft,
) -> list[RasterFacts]:
    """Look at rasters and put a layer for each into the draft.

    Args:
        paths: files, or `pip:NAME`.
        sections: settings of each layer: path and name as they are to be written, and what the user
            states.
        crs: CRS of the rasters that have none.
        lonlat: lon, lat (n, 2) of the plots, degrees; None: not known.
    """
    looks, layers = [], []
    for i, (path, section) in enumerate(zip(paths, sections, strict=True)):
        file = locate(path[4:]) if isinstance(path, str) and path.startswith("pip:") else Path(path)
        facts = examine(_layer(file, section), lonlat)
        if facts.lacks_crs and crs is not None and facts.error is None:
            section = section | {"crs": crs}
            draft.comments[f"imagery.layers.{i}.crs"] = "the file states none; given by --crs"
            facts = examine(_layer(file, section), lonlat)
        looks.append(facts)
        layers.append(_decided(i, section, facts, lonlat, draft))
    _name_bands(looks, layers, draft)
    draft.put("imagery.layers", layers)
    return looks


def _layer(path: Path, section: dict[str, Any]) -> Layer:
    """The layer of a section whose settings the user may have given."""
    try:
        checked = RasterSection.model_validate(section | {"path": str(path)})
    except ValidationError as error:
        raise ConfigError(message(error, RasterSection, f"layer {section['name']}")) from None
    return layer_of(checked, Trust(folder=path.parent))


def _decided(
    i: int,
    section: dict[str, Any],
    facts: RasterFacts,
    lonlat: NDArray[np.float64] | None,
    draft: Draft,
) -> dict[str, Any]:
    """Settings of a layer after a look at it; what is found goes to the draft's findings."""
    key, findings = f"imagery.layers.{i}", draft.findings
    name = Path(facts.layer.path).name
    layer = dict(section)
    if facts.error is not None:
        findings.object(f"{key}: {facts.error}")
        return layer
    if facts.variables:
        findings.ask(f"{key}.variable", facts.variables, f"{name} holds several variables")
        return layer
    if facts.layer.variable is not None and "variable" not in layer:
        layer["variable"] = facts.layer.variable
        draft.comments[f"{key}.variable"] = "the only one"
    if facts.lacks_crs:
        findings.ask(f"{key}.crs", _candidates(facts, lonlat), _why_no_crs(facts))
        return layer
    if facts.steps > MOST_STEPS and "reduce" not in layer:
        findings.ask(
            f"{key}.reduce",
            ("mean", "sum", "min", "max"),
            f"{facts.layer.variable or name} has {facts.steps:,} steps, which would be as many "
            "bands",
        )
    if "categorical" not in section and (facts.states_classes or facts.few):
        layer["categorical"] = True
        draft.comments[f"{key}.categorical"] = why_classes(facts)
        facts.bands = ()
    if facts.suspect is not None and "nodata" not in section and not layer.get("categorical"):
        value, share = facts.suspect
        findings.ask(
            f"{key}.nodata",
            (f"{value:.8g}", "null"),
            f"{100 * share:.2g} % of the values of {name} are {value:.8g}, which looks like "
            "missing data, and the file does not say so; null means that they are measurements",
        )
    findings.decide(key, section["name"], in_words(facts, layer, lonlat))
    return layer


def in_words(facts: RasterFacts, layer: dict[str, Any], lonlat: NDArray[np.float64] | None) -> str:
    """What is decided on a layer, for the table."""
    grid = facts.grid
    assert grid is not None  # a layer without an error has one
    parts = [f"{grid.height:,} x {grid.width:,} pixels of {pixel_size(facts)}"]
    if layer.get("categorical"):
        parts.append("classes, a 0/1 band each" + _reason(why_classes(facts)))
    else:
        shown = ", ".join(facts.bands[:5]) + (", ..." if len(facts.bands) > 5 else "")
        parts.append(f"{len(facts.bands)} band{'s' * (len(facts.bands) > 1)} ({shown})")
    code = grid.crs.to_authority()
    parts.append(":".join(code) if code else f"a CRS without a code ({grid.crs.name})")
    parts += facts.stated
    if facts.few_bands:
        parts.append(
            f"few different integers in {', '.join(facts.few_bands)}: if they are classes, give "
            "that band as a layer of its own with `categorical: true`"
        )
    if facts.holds is not None and lonlat is not None:
        parts.append(f"holds {int(facts.holds.sum()):,} of {len(lonlat):,} plots")
        if facts.empty:
            parts.append(f"no data at {facts.empty:.0%} of them")
    return "; ".join(parts)


def _reason(why: str) -> str:
    return f" ({why})" if why else ""


def why_classes(facts: RasterFacts) -> str:
    """Why values look like classes; "" if they do not."""
    if facts.states_classes:
        return "the file says that its values are classes"
    if facts.few:
        shown = ", ".join(map(str, facts.few[:6])) + (", ..." if len(facts.few) > 6 else "")
        return f"only {len(facts.few)} different integers: {shown}; false for numbers"
    return ""


def pixel_size(facts: RasterFacts) -> str:
    """Side of a pixel in words, in the unit of the grid."""
    assert facts.grid is not None
    side = float(np.sqrt(abs(facts.grid.transform.determinant)))
    if facts.grid.crs.is_geographic:
        return f"{side:.4g} degrees"
    factor = facts.grid.crs.axis_info[0].unit_conversion_factor
    return shown_km(side * factor / 1000)


def _why_no_crs(facts: RasterFacts) -> str:
    assert facts.bounds is not None
    left, bottom, right, top = facts.bounds
    return (
        f"{Path(facts.layer.path).name} states no coordinate reference system; it reaches from x "
        f"{left:.8g} to {right:.8g} and from y {bottom:.8g} to {top:.8g}"
    )


def _candidates(facts: RasterFacts, lonlat: NDArray[np.float64] | None) -> tuple[str, ...]:
    """EPSG:4326 where the plots lie on the raster if its coordinates are degrees; else none."""
    if lonlat is None or facts.bounds is None:
        return ()
    left, bottom, right, top = facts.bounds
    lon, lat = lonlat.T
    inside = (lon >= left) & (lon <= right) & (lat >= bottom) & (lat <= top)
    return ("EPSG:4326",) if inside.mean() > 0.5 else ()


def pieces_of_one(looks: Sequence[RasterFacts]) -> str:
    """A sentence on two rasters that lie side by side, with the remedy; "" if there are none."""
    with ExitStack() as stack:
        try:
            layers = [facts.layer for facts in looks if facts.grid is not None and not facts.steps]
            check_pieces([stack.enter_context(open_layer(layer)) for layer in layers])
        except ImageryError as error:
            return str(error)
    return ""


def _name_bands(looks: Sequence[RasterFacts], layers: list[dict[str, Any]], draft: Draft) -> None:
    """Rename bands whose names occur in an earlier layer."""
    earlier: set[str] = set()
    for i, (facts, layer) in enumerate(zip(looks, layers, strict=True)):
        repeated = [name for name in facts.bands if name in earlier]
        if repeated and "band_names" not in layer:
            names = [
                f"{layer['name']}_{name}" if name in repeated else name for name in facts.bands
            ]
            layer["band_names"] = names
            facts.bands = tuple(names)
            draft.comments[f"imagery.layers.{i}.band_names"] = (
                f"{', '.join(repeated)} occurs in a layer before it"
            )
        earlier |= set(facts.bands)
