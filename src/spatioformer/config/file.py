"""Read a YAML file as a checked configuration, and write a configuration as YAML.

An invalid configuration raises one sentence with the key, the value and the remedy.
"""

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from spatioformer.common.errors import ConfigError
from spatioformer.common.pip_files import locate
from spatioformer.config.messages import sentence
from spatioformer.config.schema import PATH_KEYS, RunConfig, Section

AnySection = TypeVar("AnySection", bound=Section)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader that rejects repeated keys, of which one value would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} occurs twice",
                    problem_mark=node.value[i][0].start_mark,
                )
        return super().construct_mapping(node, deep)


def load_config(path: str | Path, changes: list[str] | tuple[str, ...] = ()) -> RunConfig:
    """Read a YAML configuration; relative paths in it start at the folder of the file.

    Args:
        path: the YAML file.
        changes: `a.b=c` assignments that override the file; the value is read as YAML.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown, or a value is invalid.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); give a YAML text file") from error
    try:
        raw = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{path} is not valid YAML{line}: {problem}; correct it there") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} contains no settings; start from a file in examples/")
    return build_config(raw, str(path), path.parent, changes)


def build_config(
    raw: dict[str, Any], source: str, folder: Path, changes: list[str] | tuple[str, ...] = ()
) -> RunConfig:
    """Check a configuration given as plain values; relative paths in it start at `folder`.

    Raises:
        ConfigError: one sentence with the key, the value and the remedy.
    """
    for change in changes:
        _apply(raw, change)
    try:
        config = RunConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{source}: {sentence(error, RunConfig)}") from None
    return resolve_paths(config, folder)


def _apply(raw: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"--set {change!r} is not an assignment; write it as --set train.epochs=10"
        )
    *parents, last = key.strip().split(".")
    node: Any = raw
    for parent in parents:
        node = _child(node, parent, change)
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {change!r}: the value is not YAML; quote it") from None
    if isinstance(node, list):
        node[_index(node, last, change)] = parsed
    else:
        node[last] = parsed


def _child(node: Any, key: str, change: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, key, change)]
    if node.get(key) is None:
        node[key] = {}
    if not isinstance(node[key], dict | list):
        raise ConfigError(f"--set {change!r}: `{key}` is a value, not a section; shorten the key")
    return node[key]


def _index(node: list[Any], key: str, change: str) -> int:
    if not key.isdigit() or int(key) >= len(node):
        raise ConfigError(
            f"--set {change!r}: {key!r} is not an index of a list of {len(node)}; count from 0"
        )
    return int(key)


def resolve_paths(config: RunConfig, folder: Path) -> RunConfig:
    """The same configuration with absolute paths; variables and `pip:` names are resolved.

    `${NAME}` is an environment variable; `pip:NAME` is a raster inside an installed package (see
    docs/dependencies.md); other relative paths start at `folder`. `out` starts at the working
    directory, as a command's output does.
    """
    out = str(Path(expand(config.out)).absolute())
    config = absolute_paths(config, folder).model_copy(update={"out": out})
    config.imagery._folder = folder.absolute()  # no setting, so no part of a fingerprint
    return config


def absolute_paths(section: AnySection, folder: Path) -> AnySection:
    """The same section with every path of an input file absolute, as `resolve_paths` says."""

    def resolved(value: Any) -> Any:
        if isinstance(value, Section):
            return value.model_copy(
                update={
                    k: _path(v, folder) if k in PATH_KEYS and v else resolved(v) for k, v in value
                }
            )
        if isinstance(value, tuple):
            return tuple(resolved(v) for v in value)
        return value

    absolute: AnySection = resolved(section)
    return absolute


def _path(value: str, folder: Path) -> str:
    if value.startswith("pip:"):
        return str(locate(value.removeprefix("pip:")))
    return str((folder / expand(value)).absolute())


def expand(value: str) -> str:
    """Replace `${NAME}` by the environment variable.

    Raises:
        ConfigError: the variable is not set.
    """

    def look_up(match: re.Match[str]) -> str:
        name = match.group(1)
        if not os.environ.get(name):
            raise ConfigError(
                f"the path {value!r} needs the environment variable {name}, which is not set; "
                f"set it to the folder that holds the data"
            )
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$\{(\w+)\}", look_up, value))


def to_yaml(config: RunConfig) -> str:
    """The configuration as YAML text; `load_config` reads it back to the same value."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
