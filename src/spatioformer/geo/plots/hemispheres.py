"""Hemispheres of coordinates in columns of their own: N or S beside lat, E or W beside lon.

The rule, one for each column: if no coordinate has a minus sign, its letter gives the sign. If some
have, all signs have to agree with the letters, which then add nothing. Words such as Sur, Oeste and
Ost are read too. The letter O is refused, because it means west (oeste, ouest) or east (Ost).
"""

from collections.abc import Iterable, Sequence

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.columns import Column
from spatioformer.geo.plots.sexagesimal import has_letter
from spatioformer.geo.plots.source import MISSING, quoted

SIDES = {"lon": "lon_hemisphere", "lat": "lat_hemisphere"}
"""Coordinate -> our name of the column of its hemisphere."""

LETTERS = {"lon": "E or W", "lat": "N or S"}

_LETTERS = {
    "lon": {
        **dict.fromkeys(["e", "east", "este", "leste", "est", "ost"], "E"),
        **dict.fromkeys(["w", "west", "oeste", "ouest"], "W"),
        "o": "O",
    },
    "lat": {
        **dict.fromkeys(["n", "north", "norte", "nord"], "N"),
        **dict.fromkeys(["s", "south", "sur", "sul", "sud", "sued"], "S"),
    },
}
"""Coordinate -> cell in small letters -> letter."""

_CLEAR = vocabulary.word_set("hemisphere hemi hemisferio hemisphaere hemisphare")
_WORDS = _CLEAR | vocabulary.word_set(
    "direction dir direccion direcao richtung cardinal ref letter letra lettre"
)
_PAIRS = {"lon": frozenset(["ew", "we", "eo", "oe", "ow", "wo"]), "lat": frozenset(["ns", "sn"])}
_OF_AXIS = {
    "lon": frozenset(vocabulary.DEGREES) | {"x"},
    "lat": frozenset(vocabulary.DEGREES.values()) | {"y"},
}


def is_named_side(name: str, axis: str) -> bool:
    """Whether a column is named like the hemisphere of a coordinate: lat_dir, N/S, hemisferio."""
    words = list(vocabulary.words(name))
    if "".join(words) in _PAIRS[axis]:
        return True
    rest = [word for word in words if word not in _WORDS | _PAIRS[axis]]
    allowed = _OF_AXIS[axis] | vocabulary.QUALIFIERS
    # A direction alone may be that of a slope.
    is_clear = bool((_CLEAR | _PAIRS[axis] | _OF_AXIS[axis]) & set(words))
    return is_clear and len(rest) < len(words) and all(word in allowed for word in rest)


def are_sides(cells: Iterable[str], axis: str) -> bool:
    """Whether cells that are not missing all name a hemisphere of the axis."""
    return all(cell.lower() in _LETTERS[axis] for cell in cells if cell.lower() not in MISSING)


def find_sides(columns: Sequence[Column], axis: str) -> list[Column]:
    """Columns that are named like the hemisphere of a coordinate, and hold nothing else."""
    return [
        column
        for column in columns
        if is_named_side(column.name, axis) and column.distinct and are_sides(column.distinct, axis)
    ]


def disagreement(texts: Sequence[str], sides: Sequence[str], axis: str) -> tuple[str, str] | None:
    """The first coordinate whose sign or letter is not that of its hemisphere, and its hemisphere.

    Cells that are missing or no hemisphere do not count, nor does 0.
    """
    for text, side in zip(texts, sides, strict=True):
        letter = _LETTERS[axis].get(side.lower(), "")
        if not letter or text.lower() in MISSING or not any(c in "123456789" for c in text):
            continue
        if has_letter(text):
            stated = next(c for c in (text[-1:].upper(), text[:1].upper()) if c in "NSEW")
            agrees = stated == letter
        else:
            agrees = (text[:1] in "-−") == (letter in "SW")
        if not agrees:
            return text, side
    return None


def with_sides(
    texts: Sequence[str], sides: Sequence[str], axis: str, columns: tuple[str, str]
) -> tuple[list[str], str]:
    """Coordinates with the letters of their hemispheres, and a sentence that says so.

    Args:
        texts: cells of the coordinate.
        sides: cells of its hemisphere.
        axis: 'lon' or 'lat'.
        columns: names of both columns in the file, for messages.

    Returns:
        The cells with a letter behind those without one; unchanged if some have a minus sign. Cells
        of which the hemisphere is no such word are joined with it, so that no reader accepts them.

    Raises:
        PlotError: a hemisphere is O, none is stated, or signs and hemispheres disagree.
    """
    if all(side.lower() in MISSING for side in sides):
        raise PlotError(
            f"column {columns[1]!r} ({SIDES[axis]}) is blank in every row; write {LETTERS[axis]}, "
            f"or remove columns.{SIDES[axis]}"
        )
    letters = _LETTERS[axis]
    if any(side.lower() == "o" for side in sides):
        raise PlotError(
            f"column {columns[1]!r} ({SIDES[axis]}) holds 'O', which is west (oeste, ouest) or "
            "east (Ost); write W or E"
        )
    if any(text[:1] in ("-", "−") for text in texts):
        if wrong := disagreement(texts, sides, axis):
            raise PlotError(
                f"column {columns[0]!r} ({axis}) has signs, and {quoted(wrong[0])} does not agree "
                f"with {quoted(wrong[1])} in column {columns[1]!r} ({SIDES[axis]}); correct one of "
                f"them, or remove the column and columns.{SIDES[axis]}"
            )
        return list(texts), f"the signs of {axis} agree with column {columns[1]!r}"
    joined = [
        text
        if text.lower() in MISSING or side.lower() in MISSING or _has_same(text, side, letters)
        else text + letters.get(side.lower(), f" {side}")
        for text, side in zip(texts, sides, strict=True)
    ]
    return joined, f"column {columns[1]!r} gives the hemisphere of {axis}"


def _has_same(text: str, side: str, letters: dict[str, str]) -> bool:
    """Whether a coordinate ends or begins with the letter of its hemisphere already."""
    letter = letters.get(side.lower())
    return letter is not None and letter in (text[:1].upper(), text[-1:].upper())
