"""Predict richness at the places of a table."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.geo.chips import CONSTANT, ChipStore, cut_chips, open_chips
from spatioformer.geo.covariates import Covariates
from spatioformer.mapping.predictor import Predictor, open_predictor
from spatioformer.models.base import Model

COLUMNS = ("predicted", "sd", "lower", "upper", "dissimilarity", "inside")
"""What a model predicts of a place: species, their standard deviation by dropout, the ends of the
interval, the dissimilarity index, and whether the place is in the area of applicability."""


def covariates_of(model: Model) -> Covariates:
    """The covariates of the plot table that the model learned from.

    Raises:
        ModelError: the model's facts do not describe them.
    """
    try:
        return Covariates.from_json(model.facts.get("covariates", []))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "the facts of the model do not describe its covariates; train the model again"
        ) from error


def takes_imagery(model: Model) -> bool:
    """Whether the model's bands are those of imagery, not covariates of a plot table."""
    own = covariates_of(model).columns or [CONSTANT]
    return list(model.bands) != own


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
    """
    predictor = open_predictor(folder, None, samples, 1, seed)
    covariates = covariates_of(predictor.model)
    reasons = covariates.reasons(places)
    good = places[reasons == ""]
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
