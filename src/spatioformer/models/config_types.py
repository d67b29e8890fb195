"""Check the types and sizes of what a model's config.json states, before a model is built."""

import math
from typing import Any

LARGEST_ARGUMENT = 65_536  # no width, depth or number of members comes near


def check_types(config: dict[str, Any]) -> None:
    """Check bands, patch, scaling, covariates, reach and facts, as far as they are stated.

    Raises:
        ValueError: one has another type, or another number of values than the bands or names.
    """
    bands = config.get("bands", [])
    _texts("bands", bands)
    patch = config.get("patch", 1)
    if not isinstance(patch, int) or isinstance(patch, bool) or patch < 1:
        raise ValueError(f"patch is {patch!r}, not a number of pixels")
    facts = config.get("facts", {})
    if not isinstance(facts, dict):
        raise ValueError("facts are not an object")
    if facts.get("region") is not None:
        _numbers("facts.region", facts["region"], 4)
    scaling = _record(config, "scaling")
    for name in ("band_mean", "band_sd"):
        if name in scaling:
            _numbers(f"scaling.{name}", scaling[name], len(bands))
    for name in ("target_mean", "target_sd", "smear"):
        if name in scaling:
            _numbers(f"scaling.{name}", [scaling[name]], 1)
    covariates = _record(config, "covariates")
    if covariates:
        _texts("covariates.names", covariates.get("names"))
        for name in ("mean", "sd", "usual"):
            _numbers(f"covariates.{name}", covariates.get(name), len(covariates["names"]))
    for name, value in _record(config, "reach").items():
        _numbers(f"reach.{name}", [value], 1)


def check_arguments(value: object) -> None:
    """Check that the numbers by which a network is built are finite and not too large for it.

    Raises:
        ValueError: one is not.
    """
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            check_arguments(part)
    elif isinstance(value, int) and abs(value) > LARGEST_ARGUMENT:
        raise ValueError(f"an argument is {value:.3g}, above {LARGEST_ARGUMENT}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"an argument is {value}")


def _record(config: dict[str, Any], name: str) -> dict[str, Any]:
    values = config.get(name) or {}
    if not isinstance(values, dict):
        raise ValueError(f"{name} is not an object")
    return values


def _texts(name: str, values: object) -> None:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} is not a list of names")


def _numbers(name: str, values: object, count: int) -> None:
    if not isinstance(values, list) or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    ):
        raise ValueError(f"{name} is not a list of finite numbers")
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values for {count}")
