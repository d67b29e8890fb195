"""Pictures of maps and scores: matplotlib axes in, the same axes out.

Colours are safe for the colour-blind, as in the report (`common.style`).
"""

from typing import Any

import geopandas
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spatioformer.api.validation import Scores
from spatioformer.common.errors import ArgumentError
from spatioformer.common.style import INK, MARKERS, NOTHING, SERIES, styled
from spatioformer.evaluation.metrics import scores as score
from spatioformer.geo.grid import LONLAT
from spatioformer.report.maps import degrees, robust_limits


@styled
def map(
    values: xarray.DataArray,
    ax: Axes | None = None,
    *,
    limits: tuple[float, float] | None = None,
    colours: str = "viridis",
    plots: pd.DataFrame | None = None,
) -> Axes:
    """Draw a map with its colour bar; grey means no prediction.

    Args:
        values: (y, x), such as `predict_map` gives.
        ax: axes to draw into; None makes a figure.
        limits: values at the ends of the colours; None takes the 0.5th and 99.5th percentile.
        colours: a colour map of matplotlib's.
        plots: drawn as dots; a table with lon and lat, degrees.

    Returns:
        The axes.

    Raises:
        ArgumentError: several layers, or no axes x and y.

    Examples:
        >>> import numpy as np, rioxarray, xarray
        >>> import spatioformer as sf
        >>> axes = {"y": [-42.5, -43.5], "x": [146.5, 147.5]}
        >>> richness = xarray.DataArray([[12.0, 30.0], [np.nan, 8.0]], axes, name="richness")
        >>> ax = sf.plot.map(richness.rio.write_crs("EPSG:4326"))
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('longitude', 'latitude')
    """
    if values.ndim != 2:
        raise ArgumentError(
            f"the map has the dimensions {', '.join(str(dim) for dim in values.dims)}; choose one "
            "layer, for example richness.sel(layer='mean')"
        )
    values = values.transpose(values.rio.y_dim, values.rio.x_dim)
    ax = plt.subplots(layout="constrained")[1] if ax is None else ax
    x, y = (values[dim].to_numpy() for dim in (values.rio.x_dim, values.rio.y_dim))
    data = values.to_numpy().astype(np.float64)
    low, high = robust_limits(data) if limits is None else limits
    image = ax.imshow(
        np.ma.masked_invalid(data),
        extent=(*_edges(x), *_edges(y)),
        origin="lower",
        cmap=matplotlib.colormaps[colours].with_extremes(bad=NOTHING),
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    ax.set(xlim=sorted(_edges(x)), ylim=sorted(_edges(y)))  # north is up, whatever the rows' order
    crs = values.rio.crs
    if crs is None or crs.is_geographic:
        _in_degrees(ax, float(y.mean()))
    else:
        _in_units(ax, crs.linear_units)
    if plots is not None:
        points = geopandas.points_from_xy(plots["lon"], plots["lat"], crs=LONLAT)
        points = points if crs is None else points.to_crs(crs)
        ax.scatter(points.x, points.y, s=9, color="white", edgecolor=INK, linewidth=0.6)
    finite = data[np.isfinite(data)]
    below, above = bool((finite < low).any()), bool((finite > high).any())
    extend = ("neither", "max", "min", "both")[2 * below + above]
    bar = ax.figure.colorbar(image, ax=ax, extend=extend, shrink=0.8, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_label(_label(values))
    return ax


def _in_degrees(ax: Axes, latitude: float) -> None:
    """Label longitudes and latitudes, with the true proportions at one latitude."""
    ax.set_aspect(1 / np.cos(np.radians(np.clip(latitude, -85, 85))))
    ax.xaxis.set_major_formatter(lambda value, _: degrees(value, "E", "W"))
    ax.yaxis.set_major_formatter(lambda value, _: degrees(value, "N", "S"))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set(xlabel="longitude", ylabel="latitude")


def _in_units(ax: Axes, unit: str) -> None:
    """Label eastings and northings, metres as kilometres."""
    thousand, shown = (1000, "km") if unit in ("m", "metre") else (1, unit)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value / thousand:g}")
        axis.set_major_locator(MaxNLocator(5))
    ax.set_aspect("equal")
    ax.set(xlabel=f"easting ({shown})", ylabel=f"northing ({shown})")


def _edges(centres: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Outer edges of pixels along one axis: of the first and of the last."""
    half = (centres[-1] - centres[0]) / (len(centres) - 1) / 2 if len(centres) > 1 else 0.5
    return float(centres[0] - half), float(centres[-1] + half)


def _label(values: xarray.DataArray) -> str:
    title = values.attrs.get("long_name", values.name or "")
    units = values.attrs.get("units")
    return f"{title} ({units})" if units else str(title)


@styled
def observed_predicted(scores: Scores, ax: Axes | None = None, *, split: str | None = None) -> Axes:
    """Draw held-out predictions against what was observed, a colour and marker a model.

    The line is where both are equal; the legend gives r2 (1 - SSE/SST) and the RMSE.

    Args:
        scores: what `cross_validate` gives.
        ax: axes to draw into; None makes a figure.
        split: name of a split; None takes the first.

    Returns:
        The axes.

    Raises:
        ArgumentError: there is no such split.

    Examples:
        >>> import numpy as np
        >>> import spatioformer as sf
        >>> X, y = np.arange(20.0)[:, None], np.arange(20)
        >>> scores = sf.cross_validate(
        ...     sf.GaussianProcessRegressor(), X, y, splits=sf.RandomKFold(2)
        ... )
        >>> ax = sf.plot.observed_predicted(scores)
        >>> ax.get_xlabel(), ax.get_title()
        ('observed (species)', 'split: random')
    """
    rows, split = _of_split(scores, split)
    ax = plt.subplots(figsize=(4.4, 4.4), layout="constrained")[1] if ax is None else ax
    for i, (model, part) in enumerate(rows.groupby("model", sort=False)):
        reached = score(part["observed"], part["predicted"])
        ax.scatter(
            part["observed"],
            part["predicted"],
            s=14,
            marker=MARKERS[i % len(MARKERS)],
            color=SERIES[i % len(SERIES)],
            alpha=0.6,
            linewidth=0,
            label=f"{model}: r2 {reached['r2']:.2f}, RMSE {reached['rmse']:.1f}",
        )
    both = rows[["observed", "predicted"]].to_numpy()
    low, high = float(both.min()), float(both.max())
    margin = 0.04 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=INK, linewidth=0.8, zorder=0)
    ax.set(xlim=ends, ylim=ends, aspect="equal", title=f"split: {split}")
    ax.set(xlabel="observed (species)", ylabel="predicted (species)")
    ax.legend(loc="upper left")
    return ax


@styled
def folds(scores: Scores, ax: Axes | None = None, *, split: str | None = None) -> Axes:
    """Draw where the plots of each fold lie, a colour and marker a fold.

    Args:
        scores: what `cross_validate` gives.
        ax: axes to draw into; None makes a figure.
        split: name of a split; None takes the first.

    Returns:
        The axes.

    Raises:
        ArgumentError: there is no such split, or the rows have no places.

    Examples:
        >>> import numpy as np
        >>> import spatioformer as sf
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(0, 3, (40, 3))
        >>> model = sf.GaussianProcessRegressor(coordinates=(0, 1))
        >>> tiles = sf.SpatialBlockKFold(3)
        >>> ax = sf.plot.folds(sf.cross_validate(model, X, rng.poisson(9, 40), splits=tiles))
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['fold 0', 'fold 1', 'fold 2']
    """
    rows, split = _of_split(scores, split)
    rows = rows[rows["model"] == rows["model"].iloc[0]]
    if rows["lon"].isna().any():
        raise ArgumentError(
            "the rows of these scores have no places; give cross_validate(..., coordinates=...)"
        )
    ax = plt.subplots(layout="constrained")[1] if ax is None else ax
    for fold, part in rows.groupby("fold"):
        i = int(fold)
        ax.scatter(
            part["lon"],
            part["lat"],
            s=16,
            marker=MARKERS[i % len(MARKERS)],
            color=SERIES[i % len(SERIES)],
            linewidth=0,
            label=f"fold {i}",
        )
    _in_degrees(ax, float(rows["lat"].mean()))
    ax.set_title(f"split: {split}")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _of_split(scores: Scores, split: str | None) -> tuple[pd.DataFrame, str]:
    """The held-out predictions of one split, and its name."""
    predictions = scores.predictions
    names = list(dict.fromkeys(predictions["split"]))
    split = names[0] if split is None else split
    if split not in names:
        raise ArgumentError(f"there is no split {split!r}; choose from {', '.join(names)}")
    return predictions[predictions["split"] == split], split
