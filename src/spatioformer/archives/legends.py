"""Legends of land cover maps: which codes a class name stands for; `legends.yaml` holds them."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from spatioformer.common.errors import ConfigError
from spatioformer.config.messages import shown
from spatioformer.config.yaml_text import parse_yaml

TABLE = Path(__file__).with_name("legends.yaml")


@dataclass(frozen=True)
class Legend:
    """The classes of a land cover map.

    Attributes:
        name: name in a configuration, such as "esa-worldcover".
        title: name in a sentence.
        source: public document of the codes.
        nodata: code of pixels without a class.
        classes: name of each class, by code.
        also: codes of further names, such as "urban".
        nested: whether a name also stands for the classes whose names begin with it.
    """

    name: str
    title: str
    source: str
    nodata: int
    classes: Mapping[int, str]
    also: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    nested: bool = False

    @cached_property
    def codes(self) -> Mapping[str, frozenset[int]]:
        """Codes of every name, as `plain` writes it."""
        codes_of: dict[str, set[int]] = {}
        for code, title in self.classes.items():
            codes_of.setdefault(plain(title), set()).add(code)
        if self.nested:
            for title in list(codes_of):
                codes_of[title] |= {
                    code
                    for code, other in self.classes.items()
                    if plain(other).startswith(f"{title} ")
                }
        for title, codes in self.also.items():
            codes_of.setdefault(plain(title), set()).update(codes)
        return {title: frozenset(codes) for title, codes in codes_of.items()}

    @property
    def short_names(self) -> list[str]:
        """Names for a message: further ones, and those of classes that have no others below."""
        several = [t for t in self.classes.values() if not self.nested or ":" not in t]
        return [*several, *(name for name in self.also if plain(name) not in map(plain, several))]

    def excluded(self, names: Iterable[str | int], owner: str) -> tuple[int, ...]:
        """Codes of classes given by name or code, ascending.

        Raises:
            ConfigError: the legend lacks one.
        """
        codes: set[int] = set()
        for name in names:
            if isinstance(name, int):
                if name not in self.classes and name != self.nodata:
                    raise ConfigError(
                        f"{owner}: `exclude` holds the code {name}, which {self.title} does not "
                        f"have; it has {_listed(self.classes)}"
                    )
                codes.add(name)
            elif plain(name) in self.codes:
                codes |= self.codes[plain(name)]
            else:
                near = self._near(name)
                hint = f"did you mean {near}?" if near else f"it has {', '.join(self.short_names)}"
                raise ConfigError(
                    f"{owner}: `exclude` names the class {shown(name)}, which {self.title} does "
                    f"not have; {hint}"
                )
        return tuple(sorted(codes))

    def _near(self, name: str) -> str:
        titles = {plain(title): title for title in (*self.classes.values(), *self.also)}
        close = difflib.get_close_matches(plain(name)[:80], titles, n=2, cutoff=0.6)
        return " or ".join(titles[title] for title in close)

    def check_codes(self, codes: Iterable[int], owner: str) -> None:
        """Check that codes of a raster are those of the legend.

        Raises:
            ConfigError: one is not; with a wrong legend, wrong classes would be excluded.
        """
        strange = sorted(set(codes) - set(self.classes) - {self.nodata})
        if strange:
            others = [
                legend.name
                for legend in legends().values()
                if set(codes) <= {*legend.classes, legend.nodata}
            ]
            hint = f"; it fits the legend {' or '.join(others)}" if others else ""
            raise ConfigError(
                f"{owner} holds the code {strange[0]}, which {self.title} does not have (it has "
                f"{_listed(self.classes)}){hint}; correct the legend, or exclude codes without one"
            )


def plain(name: str) -> str:
    """A class name as names are compared: letters and digits in lower case, without a plural -s.

    "Built-up", "built up" and "BUILT_UP" are one name, and so are "Croplands" and "cropland".
    """
    return " ".join(word.removesuffix("s") for word in re.findall("[a-z0-9]+", name.lower()))


def legend_of(name: str, owner: str) -> Legend:
    """The legend of a name.

    Raises:
        ConfigError: there is none.
    """
    by_name = legends()
    if name not in by_name:
        near = difflib.get_close_matches(name[:80], by_name, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(by_name)}."
        raise ConfigError(
            f"{owner}: the legend {shown(name)} is not known; {hint} Without a legend, `exclude` "
            "takes codes"
        )
    return by_name[name]


@cache
def legends() -> dict[str, Legend]:
    """The legends of `legends.yaml` by name."""
    rows = parse_yaml(TABLE.read_text(encoding="utf-8"))
    return {
        name: Legend(
            name=name,
            title=row["title"],
            source=row["source"],
            nodata=row["nodata"],
            classes=dict(row["classes"]),
            also={str(key): tuple(codes) for key, codes in row.get("also", {}).items()},
            nested=row.get("nested", False),
        )
        for name, row in rows.items()
    }


def _listed(codes: Iterable[int]) -> str:
    """Codes for a message; of many the first and the last."""
    listed = list(codes)
    if len(listed) <= 20:
        return ", ".join(map(str, listed))
    return f"{listed[0]} to {listed[-1]}"
