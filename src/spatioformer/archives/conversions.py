"""Units that a file states for its numbers, and the units into which they are converted."""

from collections.abc import Mapping

CONVERSIONS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("K", "degC"): (1.0, -273.15),
    ("m", "mm"): (1000.0, 0.0),
    ("m**3 m**-3", "m3 m-3"): (1.0, 0.0),
    ("J m**-2", "MJ m-2"): (1e-6, 0.0),
}
"""(unit of the file, unit of the band) -> (factor, summand): value = number * factor + summand."""


def conversion(file_unit: str, unit: str) -> tuple[float, float]:
    """Factor and summand that convert numbers from one unit into another.

    Raises:
        ValueError: the pair is not in the table.
    """
    if file_unit == unit:
        return 1.0, 0.0
    if (file_unit, unit) not in CONVERSIONS:
        pairs = ", ".join(f"{old} to {new}" for old, new in CONVERSIONS)
        raise ValueError(
            f"`file_unit` {file_unit!r} cannot be converted to `unit` {unit!r}; known are {pairs}"
        )
    return CONVERSIONS[file_unit, unit]
