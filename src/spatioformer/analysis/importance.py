"""Permutation importance: how much larger errors become when an input is shuffled among plots.

Sources: Breiman 2001, Mach. Learn. 45:5; Fisher et al. 2019, JMLR 20:177. The evaluation measures
it with the models of its folds (`run/jobs.py`), `spatioformer drivers` with models fitted anew.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.streams import Stream, generator
from spatioformer.geo.chips import ChipStore

if TYPE_CHECKING:
    from spatioformer.models.base import Model

Floats = NDArray[np.float64]

ROWS = 4096
"""Number of plots that are predicted at once."""

LOCATION, IMAGERY = "location", "imagery"
"""Groups of every store: longitude with latitude, and all bands."""


@dataclass(frozen=True)
class Group:
    """Inputs that are shuffled together.

    Attributes:
        name: of the group.
        bands: numbers of the bands.
        columns: columns of the plot table.
        is_location: whether longitude and latitude of the chips are shuffled.
    """

    name: str
    bands: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    is_location: bool = False


def groups_of(store: ChipStore) -> list[Group]:
    """Each band, all bands ("imagery"), each covariate of the plots, and the location.

    A band or covariate that is called like one of the other groups gets a prefix.
    """
    names: list[str] = []

    def named(kind: str, name: str) -> str:
        taken = {LOCATION, IMAGERY, *names}
        names.append(f"{kind} {name}" if name in taken else name)
        return names[-1]

    every = tuple(range(len(store.bands)))
    groups = [Group(named("band", band), (number,)) for number, band in enumerate(store.bands)]
    groups.append(Group(IMAGERY, every))
    groups += [Group(named("covariate", name), columns=(name,)) for name in store.covariates]
    return [*groups, Group(LOCATION, columns=("lon", "lat"), is_location=True)]


def shuffles(seed: int) -> np.random.Generator:
    """The random generator of the shuffles."""
    return generator(seed, Stream.IMPORTANCE_SHUFFLES)


def shuffled(store: ChipStore, group: Group, rng: np.random.Generator) -> ChipStore:
    """Copy of the store in which the inputs of a group are permuted among the plots."""
    order = rng.permutation(len(store))
    changed: dict[str, Any] = {}
    if group.bands:
        chips, columns = store.chips.copy(), list(group.bands)
        chips[..., columns] = chips[order][..., columns]
        changed["chips"] = chips
    if group.is_location:
        changed |= {"lon": store.lon[order], "lat": store.lat[order]}
    if group.columns:  # a stack reads the location of a plot from the table
        values = {name: store.table[name].to_numpy()[order] for name in group.columns}
        changed["table"] = store.table.assign(**values)
    return replace(store, **changed)


def taken(store: ChipStore, rows: NDArray[np.int64]) -> ChipStore:
    """Copy some plots of a store into memory."""
    chips, lon, lat = (np.array(a[rows]) for a in (store.chips, store.lon, store.lat))
    table = store.table.iloc[rows].reset_index(drop=True)
    return replace(store, chips=chips, lon=lon, lat=lat, table=table, unlabelled=None)


def predictions(model: "Model", store: ChipStore) -> Floats:
    """Predictions of all plots of a store with their own covariates, (n,), species."""
    from spatioformer.models.target import bounded

    values = np.asarray(model.predict_rows(store, np.arange(len(store))), np.float64)
    return bounded(values, store.target_kind)


def predictions_of(model: "Model", stores: Iterable[ChipStore]) -> Iterator[Floats]:
    """Predictions of each of several stores; about `ROWS` plots are predicted at once.

    Some models, such as forests, take as long for ten plots as for a thousand.
    """
    waiting: list[ChipStore] = []
    for store in stores:
        waiting.append(store)
        if sum(map(len, waiting)) >= ROWS:
            yield from _at_once(model, waiting)
            waiting = []
    yield from _at_once(model, waiting)


def _at_once(model: "Model", stores: list[ChipStore]) -> list[Floats]:
    if not stores:
        return []
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(store, name) for store in stores])
        for name in ("chips", "lon", "lat")
    }
    table = pd.concat([store.table for store in stores], ignore_index=True)
    ends = np.cumsum([len(store) for store in stores])[:-1]
    return np.split(predictions(model, replace(stores[0], **arrays, table=table)), ends)


def shuffled_errors(
    model: "Model",
    store: ChipStore,
    groups: Sequence[Group],
    rng: np.random.Generator,
    repeats: int,
) -> Floats:
    """Mean squared errors, species squared: without a shuffle, then with each group shuffled.

    Args:
        model: fitted without the plots of the store.
        repeats: number of shuffles of a group, over which the squared error is averaged.

    Returns:
        (1 + groups,).
    """

    copies = (shuffled(store, group, rng) for group in groups for _ in range(repeats))
    squared = [
        np.mean((predicted - store.richness) ** 2)
        for predicted in predictions_of(model, chain([store], copies))
    ]
    return np.array([squared[0], *np.reshape(squared[1:], (len(groups), repeats)).mean(axis=1)])


def pooled_rises(
    names: Iterable[str], folds: Sequence[tuple[int, Floats]]
) -> tuple[float, list[dict[str, Any]]]:
    """Importance of each group over all folds.

    Args:
        names: of the groups.
        folds: number of plots of each fold, and its result of `shuffled_errors`.

    Returns:
        RMSE without a shuffle, species. Rows of group, rise (of the RMSE, species; mean over folds,
        weighted by plots) and sd (over folds, NaN if there is one), the largest rise first.
    """
    sizes = np.array([size for size, _ in folds])
    errors = np.array([values for _, values in folds])
    rises = np.sqrt(errors[:, 1:]) - np.sqrt(errors[:, :1])
    sd = rises.std(axis=0, ddof=1) if len(folds) > 1 else np.full(rises.shape[1], np.nan)
    means = np.average(rises, axis=0, weights=sizes)
    rows = [
        {"group": name, "rise": float(mean), "sd": float(deviation)}
        for name, mean, deviation in zip(names, means, sd, strict=True)
    ]
    rmse = float(np.sqrt(np.average(errors[:, 0], weights=sizes)))
    return rmse, sorted(rows, key=lambda row: -row["rise"])


def largest(rises: Mapping[str, float], names: Iterable[str], most: int) -> list[str]:
    """At most `most` of the names, those with the largest rises first; the others keep their order.

    Args:
        rises: group -> rise of the RMSE; a name that it lacks comes last.
    """
    return sorted(names, key=lambda name: -rises.get(name, -np.inf))[:most]
