"""Settings of `plots import`: how a table is read, as in the section `plots` of a configuration."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from spatioformer.common.errors import ConfigError
from spatioformer.config.file import apply_change
from spatioformer.config.messages import message
from spatioformer.config.schema import PlotsSection


def plot_settings(changes: Sequence[str], crs: str | None) -> dict[str, Any]:
    """Settings from assignments such as `columns.richness=trees`, and a CRS; those that are set.

    Raises:
        ConfigError: a key or a value cannot be used.
    """
    raw: dict[str, Any] = {}
    for change in changes:
        apply_change(raw, change.strip().removeprefix("plots."))
    if isinstance(raw.get("species"), dict):
        raw["species"].setdefault("layout", "long")
    if crs is not None:
        raw["crs"] = crs
    try:
        section = PlotsSection.model_validate({"path": "plots", **raw})
    except ValidationError as error:
        raise ConfigError(message(error, PlotsSection, "--set")) from None
    return section.model_dump(exclude_none=True, exclude={"path"})
