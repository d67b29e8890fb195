"""Spectral indices by name: the formulas and constants are those of spyndex (extra `stac`).

spyndex evaluates formulas as Python text. Only formulas of its own list are evaluated: a name that
is not in the list is refused first, and bands enter as values, never as text.

Constants have spyndex's defaults: `SAVI` has L = 1, for example, where Huete (1988) has 0.5 for
most land. Wavelengths are those of the collection's bands. The kernels of kNDVI and its like are
radial, exp(-(a - b)^2 / (2 s^2)) with s = (a + b) / 2 in each pixel, as its authors recommend
(Camps-Valls et al. 2021, doi:10.1126/sciadv.abc7447).
"""

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatioformer.archives.collections import Collection
from spatioformer.common.errors import ConfigError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

CONSTANTS = {"WCI1": {"epsilon": 1e-10}, "WCI2": {"epsilon": 1e-10}}
"""Constants of which spyndex says in words that an index has its own."""
OF_SCENES = {"RWI": "n"}
"""Indices with a constant that is computed from a whole scene: they would depend on the window."""


@cache
def _spyndex() -> Any:
    """Import spyndex, which takes a second.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        import spyndex
    except ImportError:
        raise ConfigError(
            "spectral indices need the package spyndex, which is not installed; "
            "run pip install 'spatioformer[stac]'"
        ) from None
    return spyndex


def needed_bands(names: Sequence[str], collection: Collection) -> tuple[str, ...]:
    """Names of the collection's bands that the indices use, in the collection's order.

    Raises:
        ConfigError: if an index is unknown, or uses a band or a number that the collection lacks.
    """
    letters = _letters(collection)
    used = {letter for name in names for letter in _used(name, collection)}
    wanted = {letters[letter] for letter in used}
    return tuple(band.name for band in collection.bands if band.name in wanted)


def spectral_indices(
    values: Mapping[str, Floats], names: Sequence[str], collection: Collection
) -> Floats:
    """Compute spectral indices.

    Args:
        values: (y, x) of each needed band by its name, NaN where missing; reflectances from 0 to 1.
        names: of the indices, as spyndex has them.
        collection: it says which letter of the formulas each band is.

    Returns:
        (index, y, x) float32, computed in float64; NaN where a band is missing or the formula has
        no finite value.

    Raises:
        ConfigError: as `needed_bands`.
    """
    needed = needed_bands(names, collection)
    letters = {letter: band for letter, band in _letters(collection).items() if band in needed}
    bands = {letter: values[band].astype(np.float64) for letter, band in letters.items()}
    shape = np.shape(next(iter(values.values())))
    result = np.empty((len(names), *shape), np.float32)
    for layer, name in zip(result, names, strict=True):
        inputs = {part: _input(part, name, bands, collection) for part in _parts(name)}
        with np.errstate(all="ignore"):
            index = np.asarray(_spyndex().computeIndex(name, inputs), dtype=np.float64)
            layer[...] = np.where(np.isfinite(index), index, np.nan)
        for letter in _used(name, collection):
            layer[np.isnan(bands[letter])] = np.nan
    result[np.isinf(result)] = np.nan
    return result


def _letters(collection: Collection) -> dict[str, str]:
    """Name of the first band of each letter."""
    letters: dict[str, str] = {}
    for band in collection.bands:
        if band.spyndex is not None:
            letters.setdefault(band.spyndex, band.name)
    return letters


def _parts(name: str) -> list[str]:
    """Letters and constants of an index.

    Raises:
        ConfigError: if there is no such index.
    """
    by_name = _spyndex().indices
    if name in by_name:
        return list(by_name[name].bands)
    lower = {other.lower(): other for other in by_name}
    near = [lower[close] for close in difflib.get_close_matches(name.lower()[:40], lower, n=3)]
    hint = f"did you mean {' or '.join(near)}" if near else "spyndex.indices lists all"
    raise ConfigError(f"there is no spectral index {name!r}; {hint}")


def _used(name: str, collection: Collection) -> list[str]:
    """Letters of the bands that an index uses.

    Raises:
        ConfigError: if the collection lacks one, or there is no number for a constant.
    """
    letters, parts = _letters(collection), _parts(name)
    if name in OF_SCENES:
        raise ConfigError(
            f"the spectral index {name} needs {_title(OF_SCENES[name])}, which depends on the "
            "extent of an image; leave it out of `indices`"
        )
    used: list[str] = []
    for part in parts:
        kernel = _kernel(part)
        if part in letters:
            used.append(part)
        elif kernel and all(letter in letters for letter in kernel):
            used += kernel
        elif _constant(part, name, collection) is None:
            raise ConfigError(
                f"the spectral index {name} needs {_title(part)}, which {collection.name} lacks; "
                "leave it out of `indices`"
            )
    return list(dict.fromkeys(used))


def _input(
    part: str, name: str, bands: Mapping[str, Doubles], collection: Collection
) -> Doubles | float | None:
    """Value of a letter, kernel or constant of an index."""
    if part in bands:
        return bands[part]
    kernel = _kernel(part)
    if kernel and all(letter in bands for letter in kernel):
        a, b = (bands[letter] for letter in kernel)
        with np.errstate(all="ignore"):
            likeness: Doubles = np.exp(-((a - b) ** 2) / (2 * ((a + b) / 2) ** 2))
        return likeness
    return _constant(part, name, collection)


def _kernel(part: str) -> tuple[str, str] | None:
    """The two bands of a kernel: kNR is that of N and R."""
    return (part[1], part[2]) if len(part) == 3 and part[0] == "k" else None


def _constant(part: str, name: str, collection: Collection) -> float | None:
    """Number of a constant: an index's own, a band's wavelength in nm, or spyndex's default."""
    if part in CONSTANTS.get(name, {}):
        return CONSTANTS[name][part]
    if part.startswith("lambda"):
        letter = part.removeprefix("lambda")
        return next((b.wavelength for b in collection.bands if b.spyndex == letter), None)
    constant = _spyndex().constants.get(part)
    return None if constant is None or constant.default is None else float(constant.default)


def _title(part: str) -> str:
    """A letter or constant in words."""
    spyndex = _spyndex()
    if part in spyndex.bands:
        return f"the band {part} ({spyndex.bands[part].long_name})"
    if part in spyndex.constants:
        return f"the number {part} ({spyndex.constants[part].description})"
    return f"the input {part}"
