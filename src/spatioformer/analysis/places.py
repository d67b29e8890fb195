"""Predict richness at the places of a table."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spatioformer.common.errors import ImageryError, PlotError
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.geo.covariates import Covariates
from spatioformer.geo.cutting import cut_chips
from spatioformer.mapping.covariates import covariates_of, stated_covariates, takes_imagery
from spatioformer.mapping.predictor import Predictor, open_predictor
from spatioformer.models.base import Model

if TYPE_CHECKING:
    from spatioformer.geo.plots.table import PlotIntake

COLUMNS = ("predicted", "sd", "lower", "upper", "dissimilarity", "inside")
"""What a model predicts of a place: species, their standard deviation by dropout, the ends of the
interval, the dissimilarity index, and whether the place is in the area of applicability."""


def read_places(
    path: str | Path,
    covariates: Covariates,
    *,
    columns: Mapping[str, str | None] | None = None,
    crs: str | None = None,
    separator: str | None = None,
    layer: str | None = None,
    decimal: str | None = None,
    date_order: str | None = None,
) -> "PlotIntake":
    """Read a table of places, with the covariates of a model.

    Args:
        path: a table as for plots; a richness is not needed.
        covariates: of the model; the table has a column of each name, or a date for "year".
        columns, crs, separator, layer, decimal, date_order: as for plots, see `read_plots`.

    Returns:
        The places, whose richness is NaN, and the rows that are no places.

    Raises:
        PlotError: a file, setting or column that cannot be used, or no row is a place.
    """
    from spatioformer.geo.plots.table import read_plots

    kinds = {c.name: c.kind for c in covariates.covariates if c.name not in ("area_m2", "year")}
    return read_plots(
        path,
        columns=columns,
        crs=crs,
        separator=separator,
        layer=layer,
        decimal=decimal,
        date_order=date_order,
        covariates=kinds,
        kind=None,
        max_rejected=1.0,
    )


def predict_table(
    folder: str | Path,
    path: str | Path,
    *,
    imagery: str | Path | None = None,
    samples: int = 20,
    seed: int = 0,
    **reading: Any,
) -> pd.DataFrame:
    """Predict the places of a table file with a saved model.

    Args:
        folder, imagery, samples, seed: as for `predict_places`.
        reading: settings of `read_places`.

    Returns:
        One row for each row of the file, in order: source_line, plot_id, lon and lat (degrees, NaN
        for a row that is no place), the columns of `COLUMNS` that the model can give, and reason.

    Raises:
        SpatioformerError: the table, the imagery or the model cannot be used.
    """
    covariates, _ = stated_covariates(folder) or (Covariates(), [])
    intake = read_places(path, covariates, **reading)
    places = pd.DataFrame(intake.table.drop(columns="geometry"))
    predicted = predict_places(folder, places, imagery=imagery, samples=samples, seed=seed)
    kept = [n for n in ("source_line", "plot_id", "lon", "lat", *COLUMNS) if n in predicted]
    bad = intake.rejected[["source_line", "plot_id", "reason"]]
    rows = pd.concat([predicted[[*kept, "reason"]], bad], ignore_index=True)
    return rows.sort_values("source_line", kind="stable", ignore_index=True)


def predict_places(
    folder: str | Path,
    places: pd.DataFrame,
    *,
    imagery: str | Path | None = None,
    samples: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict the places of a table with a saved model.

    Args:
        folder: a model's folder.
        places: columns lon and lat (degrees), and one for each covariate of the model: numbers, NaN
            where missing; or classes, '' where missing.
        imagery: raster with the model's bands by name; needed unless the model learned from a plot
            table alone.
        samples: passes of Monte Carlo dropout for `sd`; 0 leaves it out.
        seed: of the dropout.

    Returns:
        `places` with the columns of `COLUMNS` that the model can give, and `reason`: why a place
        has no prediction, or ''.

    Raises:
        ImageryError: the imagery is needed, cannot be read, or lacks a band of the model.
        ModelError: the folder is no model's, or the places lack a covariate.
        PlotError: no place has values that the model can take.
    """
    predictor = open_predictor(folder, None, samples, 1, seed)
    covariates = covariates_of(predictor.model)
    reasons = covariates.reasons(places)
    good = places[reasons == ""]
    if good.empty:
        raise PlotError(
            f"none of the {len(places)} places can be predicted, the first because {reasons[0]}; "
            "correct the table"
        )
    if takes_imagery(predictor.model):
        if imagery is None:
            raise ImageryError(
                f"the model {folder} takes the bands {', '.join(predictor.model.bands)} of imagery;"
                " give a raster that has them with --imagery"
            )
        with tempfile.TemporaryDirectory() as scratch:
            store, lost = _from_imagery(predictor.model, good, covariates, imagery, Path(scratch))
            predictions = predict_store(predictor, store, seed)
        reasons[lost.index] = lost["reason"].to_numpy()
        good = good.drop(index=lost.index)
    else:
        if imagery is not None:
            raise ImageryError(
                f"the model {folder} learned from a plot table alone, and takes no imagery; leave "
                "--imagery out"
            )
        predictions = predict_store(predictor, _of_table(predictor.model, good, covariates), seed)
    return places.join(predictions.set_axis(good.index)).assign(reason=reasons)


def predict_store(predictor: Predictor, store: ChipStore, seed: int = 0) -> pd.DataFrame:
    """Predict the plots of a chip store: a row each, with the columns of `COLUMNS` that it can."""
    model, uncertainty = predictor.model, predictor.uncertainty
    rows = np.arange(len(store))
    inputs: tuple[Any, ...] = (*model.plot_chips(store, rows), model.named_covariates(store, rows))
    mean = model.predict(*inputs, bands=store.bands)
    out = {"predicted": np.maximum(mean, 0)}
    spread = quantiles = None
    if predictor.samples and model.draws is not None:
        spread = model.draws.spread(*inputs, samples=predictor.samples, seed=seed)
        out["sd"] = spread
    if uncertainty is not None:
        if uncertainty.kind(spread is not None) == "quantiles":
            assert model.quantile_pair is not None  # such intervals are calibrated on them
            quantiles = model.quantile_pair.quantiles(*inputs)
        half = store.patch // 2
        pixels = np.asarray(store.chips[:, half, half], np.float64)
        lon, lat = store.coordinates.T
        layers = uncertainty.layers(mean, spread, pixels, lon, lat, quantiles)
        out |= {name: layers[name] for name in ("lower", "upper")}
        out |= {"dissimilarity": layers["di"], "inside": layers["inside"]}
    return pd.DataFrame(out)


def _of_table(model: Model, places: pd.DataFrame, covariates: Covariates) -> ChipStore:
    """Chips of one pixel, whose bands are the covariates of the places."""
    lon, lat = (places[name].to_numpy(np.float64)[:, None, None] for name in ("lon", "lat"))
    values = covariates.filled(places).to_numpy(np.float32)
    if not covariates.covariates:
        values = np.zeros((len(places), 1), np.float32)
    return ChipStore(values[:, None, None], lon, lat, places, list(model.bands))


def _from_imagery(
    model: Model,
    places: pd.DataFrame,
    covariates: Covariates,
    imagery: str | Path,
    folder: Path,
) -> tuple[ChipStore, pd.DataFrame]:
    """Chips around the places, and the places without a chip with their reasons."""
    encoded = covariates.encoded(places)
    table = places.join(encoded[[name for name in encoded if name not in places]])
    lost = cut_chips(
        Path(imagery),
        table.reset_index(names="place"),
        model.patch,
        folder / "chips",
        bands=list(model.bands),
    )
    return open_chips(folder / "chips"), lost.set_index("place")
