"""Zones of the Universal Transverse Mercator grid, written in a column of the plot table.

A zone is 17, 17S, 17 south, 30T or UTM 30N. The letters C to X name bands of latitude of 8 degrees.
N is north in any case. S is the southern hemisphere, or the band 32 to 40 degrees north: a tenth of
the northings outside that band decide for the hemisphere, other letters of bands for the band.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.source import MISSING, quoted

BANDS = "CDEFGHJKLMNPQRSTUVWX"  # from 80 degrees south; 8 degrees each

_ZONE = re.compile(
    r"(?:epsg:|utm|zone|zona|huso|fuso|fuseau|[\s_-])*([0-9]{1,2}|32[67][0-9]{2})(?:\.0*)?[\s/_-]*"
    r"([a-z]*)",
    re.IGNORECASE | re.ASCII,
)
_NORTH = frozenset({"north", "norte", "nord"})
_SOUTH = frozenset({"south", "sur", "sul", "sud"})

# Band S is 32 to 40 degrees north. In the south these northings are 50 to 59 degrees, which is
# land in Patagonia alone.
_BAND_S = (3_540_000.0, 4_430_000.0)

_MOST_WRONG = 0.1  # share of northings with faults


@dataclass(frozen=True)
class Zones:
    """Zones of a column.

    Attributes:
        codes: EPSG code of each row; 0 if the cell is missing or no zone.
        why: clause that says how the letters were read.
        question: why the hemisphere is open; '' if it is not.
        candidates: EPSG codes that fit if it is open; empty for several zones.
    """

    codes: np.ndarray
    why: str
    question: str = ""
    candidates: tuple[str, ...] = ()


def parse_zones(texts: Sequence[str], northings: np.ndarray) -> Zones:
    """EPSG code of WGS 84 / UTM of each row, from a column of zones.

    Args:
        texts: the cells.
        northings: metres, (n,), NaN if unknown; they tell the band S from the southern hemisphere.
    """
    parsed = {text: _parse(text) for text in dict.fromkeys(texts)}
    letters = {letter for number, letter in parsed.values() if number}
    bands = letters - {"", "n", "s", "north", "south"}
    side = {letter: "north" if letter.upper() >= "N" else "south" for letter in bands}
    side |= {"north": "north", "south": "south", "n": "north"}
    numbers = sorted({number for number, _ in parsed.values() if number})
    example = next((text for text, (number, _) in parsed.items() if number), "")
    why = f"zones such as {quoted(example)}, WGS 84"
    if "s" in letters:
        rows = np.array([parsed[text][1] == "s" for text in texts], dtype=bool)
        low, high = _BAND_S
        outside = (northings[rows] < low) | (northings[rows] > high)
        if outside.mean() > _MOST_WRONG:
            side["s"] = "south"
            why += ", S is the southern hemisphere"
        elif bands:
            side["s"] = "north"
            bands = bands | {"s"}
            why += ", letters are bands of latitude"
        else:
            return Zones(
                np.zeros(len(texts), dtype=np.int64),
                why,
                f"S in {quoted(example)} may be the southern hemisphere or the band 32 to 40 "
                f"degrees north",
                _both(numbers),
            )
    if "" in letters:
        bare = next(text for text, (number, letter) in parsed.items() if number and not letter)
        return Zones(
            np.zeros(len(texts), dtype=np.int64),
            why,
            f"zone {quoted(bare)} names no hemisphere",
            _both(numbers),
        )
    codes = {
        text: (32600 if side[letter] == "north" else 32700) + number if number else 0
        for text, (number, letter) in parsed.items()
    }
    rows = np.array([codes[text] for text in texts], dtype=np.int64)
    if bands:
        rows[_outside_band([parsed[text][1] for text in texts], bands, rows, northings)] = 0
    return Zones(rows, why)


def _outside_band(
    letters: Sequence[str], bands: Collection[str], codes: np.ndarray, northings: np.ndarray
) -> np.ndarray:
    """Mask of rows whose northing lies more than a degree outside the band of their letter."""
    is_band = np.array([letter in bands for letter in letters], dtype=bool)
    south = np.array([-80.0 + 8 * max(BANDS.find(letter[:1].upper()), 0) for letter in letters])
    latitude = (northings - np.where(codes > 32700, 1e7, 0.0)) / 111_000  # to a third of a degree
    height = np.where(south == 72, 12.0, 8.0)
    return is_band & ((latitude < south - 1) | (latitude > south + height + 1))


def require_zones(texts: Sequence[str], northings: np.ndarray, column: str) -> Zones:
    """Zones of a column that `columns.zone` names.

    Raises:
        PlotError: the column holds no zone, or the hemisphere is open.
    """
    zones = parse_zones(texts, northings)
    if zones.question:
        crs = " or ".join(zones.candidates) or "the CRS"
        raise PlotError(
            f"column {column!r} (zone): {zones.question}; write 17N or 17S beside letters such as "
            f"30T, or remove columns.zone and set crs to {crs}"
        )
    if not zones.codes.any():
        raise PlotError(
            f"column {column!r} (zone) holds {quoted(texts[0]) if texts else 'nothing'} and no UTM "
            f"zone such as 17S; set columns.zone to another, or set crs"
        )
    return zones


def holds_zones(texts: Sequence[str]) -> bool:
    """Whether all cells that are not missing are zones, and there is one."""
    known = [text for text in dict.fromkeys(texts) if text.lower() not in MISSING]
    return bool(known) and all(_parse(text)[0] for text in known)


def _parse(text: str) -> tuple[int, str]:
    """Number of a zone, 1 to 60, and its letter or side; number 0 if the text is no zone."""
    match = _ZONE.fullmatch(text) if len(text) <= 20 else None
    if not match:
        return 0, ""
    number, letter = int(match[1]), match[2].lower()
    if number > 60:  # an EPSG code
        side = "north" if number < 32700 else "south"
        number %= 100
        return (number, side) if not letter and 1 <= number <= 60 else (0, "")
    if letter in _NORTH:
        letter = "north"
    elif letter in _SOUTH:
        letter = "south"
    elif letter and letter.upper() not in BANDS:
        return 0, ""
    return (number, letter) if 1 <= number <= 60 else (0, "")


def _both(numbers: Sequence[int]) -> tuple[str, ...]:
    """CRSs of both hemispheres of a single zone."""
    if len(numbers) != 1:
        return ()
    return f"EPSG:{32600 + numbers[0]}", f"EPSG:{32700 + numbers[0]}"
