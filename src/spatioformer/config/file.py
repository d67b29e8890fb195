"""Read a YAML file as a checked configuration, and write a configuration as YAML.

An invalid configuration raises one sentence with the key, the value and the remedy.
"""

import os
import re
import stat
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from spatioformer.common.errors import ConfigError
from spatioformer.common.pip_files import locate
from spatioformer.config.fields import Section, is_path
from spatioformer.config.messages import escaped, message, shown, strange_text
from spatioformer.config.schema import RunConfig
from spatioformer.config.yaml_text import (
    MOST_BYTES,
    MOST_CHARACTERS,
    MOST_LEVELS,
    Refused,
    parse_yaml,
    problem_of,
)

_LONGEST_NAME = 255  # bytes, of a file on the usual file systems

AnySection = TypeVar("AnySection", bound=Section)


def load_config(path: str | Path, changes: list[str] | tuple[str, ...] = ()) -> RunConfig:
    """Read a YAML configuration; relative paths in it start at the folder of the file.

    Args:
        path: the YAML file.
        changes: `a.b=c` assignments that override the file; the value is read as YAML.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown, or a value is invalid.
    """
    path = Path(path)
    return build_config(read_settings(path), str(path), path.parent, changes)


def read_settings(path: Path) -> dict[str, Any]:
    """The plain values in a YAML file.

    Raises:
        ConfigError: the file is missing, not YAML, or holds no settings.
    """
    text = _read_text(path)
    try:
        raw: Any = parse_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        wrong = "cannot be used" if isinstance(error, Refused) else "is not valid YAML"
        remedy = "" if isinstance(error, Refused) else "; correct it there"
        raise ConfigError(f"{path} {wrong}{line}: {problem_of(error)}{remedy}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} contains no settings; start from a file in examples/")
    return raw


def _read_text(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise ConfigError(f"{escaped(path)} is not a file; give the path of a YAML file")
        if stat.S_ISREG(status.st_mode) and status.st_size > MOST_BYTES:
            raise ConfigError(
                f"{path} has {status.st_size:,} bytes, more than the {MOST_BYTES:,} that a "
                "configuration may have; give the path of a YAML file"
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{escaped(path)} does not exist; give the path of a YAML file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL, or bytes that are not UTF-8
        reason = escaped(error)
        raise ConfigError(
            f"{escaped(path)} cannot be read ({reason}); give a YAML text file"
        ) from error


def build_config(
    raw: dict[str, Any], source: str, folder: Path, changes: list[str] | tuple[str, ...] = ()
) -> RunConfig:
    """Check a configuration given as plain values; relative paths in it start at `folder`.

    Raises:
        ConfigError: one sentence with the key, the value and the remedy.
    """
    for change in changes:
        apply_change(raw, change)
    if strange := strange_text(raw):
        raise ConfigError(f"{source}: {strange}")
    try:
        config = RunConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(message(error, RunConfig, source)) from None
    return resolve_paths(config, folder)


def apply_change(raw: dict[str, Any], change: str) -> None:
    """Lay an assignment `a.b=c` over a configuration of plain values; c is read as YAML.

    Raises:
        ConfigError: it is no assignment, or `a` is a value.
    """
    key, equals, value = change.partition("=")
    named = f"--set {shown(change)}"
    if not equals or not key.strip():
        raise ConfigError(f"{named} is not an assignment; write it as --set train.epochs=10")
    *parents, last = key.strip().split(".")
    if len(parents) > MOST_LEVELS:
        raise ConfigError(f"{named}: the key has {len(parents) + 1} parts; shorten the key")
    node: Any = raw
    for parent in parents:
        node = _child(node, parent, named)
    try:
        parsed = parse_yaml(value)
    except Refused as error:
        raise ConfigError(f"{named}: {problem_of(error)}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{named}: the value is not YAML; quote it") from None
    if isinstance(node, list):
        node[_index(node, last, named)] = parsed
    else:
        node[last] = parsed


def _child(node: Any, key: str, named: str) -> Any:
    if isinstance(node, list):
        child = node[_index(node, key, named)]
    else:
        if node.get(key) is None:
            node[key] = {}
        child = node[key]
    if not isinstance(child, dict | list):
        raise ConfigError(f"{named}: `{escaped(key)}` is a value, not a section; shorten the key")
    return child


def _index(node: list[Any], key: str, named: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", key) or int(key) >= len(node):
        raise ConfigError(
            f"{named}: {shown(key)} is not an index of a list of {len(node)}; count from 0"
        )
    return int(key)


def resolve_paths(config: RunConfig, folder: Path) -> RunConfig:
    """The same configuration with absolute paths; variables and `pip:` names are resolved.

    `${NAME}` is an environment variable; `pip:NAME` is a raster inside an installed package (see
    docs/dependencies.md); other relative paths start at `folder`. `out` starts at the working
    directory, as a command's output does.
    """
    config = with_out(absolute_paths(config, folder), expand(config.out))
    if config.imagery is not None:
        config.imagery._folder = folder.absolute()  # no setting, so no part of a fingerprint
    return config


def with_out(config: RunConfig, out: str | Path) -> RunConfig:
    """The same configuration with another run folder, made absolute.

    Raises:
        ConfigError: no file system can take the path.
    """
    return config.model_copy(update={"out": _usable("out", str(Path(out).absolute()))})


def absolute_paths(section: AnySection, folder: Path) -> AnySection:
    """The same section with every path of an input file absolute, as `resolve_paths` says."""

    def resolved(value: Any) -> Any:
        if isinstance(value, Section):
            return value.model_copy(
                update={
                    k: _usable(k, _path(v, folder)) if is_path(k, v) else resolved(v)
                    for k, v in value
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


def _usable(key: str, path: str) -> str:
    """The path, if a file system can take it and a message of one line can name it."""
    if bad := re.search(r"[\t\n\r\u2028\u2029]", path):
        raise ConfigError(
            f"`{key}` is {shown(path)}: it holds the control character {bad[0]!a}; rename "
            "the file or folder"
        )
    longest = max(len(os.fsencode(part)) for part in path.split("/"))
    if longest > _LONGEST_NAME or len(os.fsencode(path)) >= MOST_CHARACTERS:
        raise ConfigError(
            f"`{key}` is {shown(path)}: a name in it has {longest} bytes and all of it "
            f"{len(os.fsencode(path))}, where a file system takes {_LONGEST_NAME} and "
            f"{MOST_CHARACTERS - 1}; shorten it"
        )
    return path


def expand(value: str) -> str:
    """Replace `${NAME}` by the environment variable.

    Raises:
        ConfigError: the variable is not set.
    """

    def look_up(match: re.Match[str]) -> str:
        name = match.group(1)
        if not os.environ.get(name):
            raise ConfigError(
                f"the path {shown(value)} needs the environment variable {escaped(name)}, "
                f"which is not set; set it to the folder that holds the data"
            )
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$\{(\w+)\}", look_up, value))


def to_yaml(config: RunConfig) -> str:
    """The configuration as YAML text; `load_config` reads it back to the same value."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
