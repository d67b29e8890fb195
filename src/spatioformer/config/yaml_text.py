"""Read YAML text that may come from anywhere: plain values, within limits, in bounded time.

YAML lets a text of some hundred bytes stand for gigabytes (aliases of aliases), nest without end
and call constructors by tags. A configuration needs none of that.
"""

from collections.abc import Callable, Hashable
from typing import Any, ClassVar

import yaml

from spatioformer.config.messages import shown

MOST_BYTES = 200_000
MOST_NODES = 10_000
MOST_LEVELS = 20
MOST_CHARACTERS = 4096  # of one text; the longest path that Linux takes
MOST_DIGITS = 100

_KINDS = {
    "int": "not a whole number",
    "float": "not a number",
    "bool": "neither true nor false",
    "timestamp": "not a date",
}
_TAG = "tag:yaml.org,2002:"


class Refused(yaml.MarkedYAMLError):
    """YAML that is well formed and yet not read; `problem` says why and what to do."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader with limits; repeated keys, of which one value would be lost, are errors.

    Its tags are those of plain values: no sets, binary data or ordered pairs.
    """

    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def __init__(self, text: str):
        super().__init__(text)
        self._level = 0
        self._nodes = 0
        self._sizes: dict[int, int] = {}  # nodes that an anchored node stands for, by its id

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        before = self._nodes
        self._level += 1
        if self._level > MOST_LEVELS:
            raise Refused(
                problem=f"it nests more than {MOST_LEVELS} levels deep; a configuration has at "
                "most 5",
                problem_mark=mark,
            )
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise Refused(
                    problem=f"the alias {shown(event.anchor)} lies inside what it stands for; "
                    "remove it",
                    problem_mark=mark,
                )
            self._nodes += self._sizes[id(node)]
        else:
            self._nodes += 1
            self._sizes[id(node)] = self._nodes - before
        if self._nodes > MOST_NODES:
            raise Refused(
                problem=f"with its aliases written out it has more than {MOST_NODES:,} values; "
                "remove aliases (*name) or entries",
                problem_mark=mark,
            )
        self._level -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise Refused(
                problem="the tag '!!map' is for keys and values; remove it",
                problem_mark=node.start_mark,
            )
        keys = set()
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":  # `<<`, which takes over the keys of an alias
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # PyYAML's own error says so
            if key in keys:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {shown(key)} occurs twice", problem_mark=key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        text = str(self.construct_scalar(node))
        if len(text) > MOST_CHARACTERS:
            raise Refused(
                problem=f"a text of {len(text):,} characters, more than {MOST_CHARACTERS:,}; "
                "shorten it",
                problem_mark=node.start_mark,
            )
        return text

    def construct_unknown(self, node: yaml.Node) -> Any:
        tag = node.tag.replace(_TAG, "!!")
        raise Refused(
            problem=f"the tag {shown(tag)} is not read in a configuration; remove it, or put a "
            "value that is text in quotes",
            problem_mark=node.start_mark,
        )


def _checked(kind: str) -> Callable[[_Loader, yaml.ScalarNode], Any]:
    """Constructor of a kind of value, which PyYAML may leave with any Python error."""
    construct = yaml.SafeLoader.yaml_constructors[_TAG + kind]

    def constructor(loader: _Loader, node: yaml.ScalarNode) -> Any:
        text = str(loader.construct_scalar(node))
        try:
            if len(text) > MOST_DIGITS:
                raise ValueError
            return construct(loader, node)
        except (ValueError, KeyError, AttributeError, IndexError, OverflowError, TypeError):
            raise Refused(
                problem=f"{shown(text)} is {_KINDS[kind]}; put it in quotes if it is text, "
                "else correct it",
                problem_mark=node.start_mark,
            ) from None

    return constructor


for _kind in _KINDS:
    _Loader.add_constructor(_TAG + _kind, _checked(_kind))
for _kind in ("null", "seq", "map"):
    _Loader.add_constructor(_TAG + _kind, yaml.SafeLoader.yaml_constructors[_TAG + _kind])
_Loader.add_constructor(_TAG + "str", _Loader.construct_text)
_Loader.add_constructor(None, _Loader.construct_unknown)


def parse_yaml(text: str) -> Any:
    """The plain values of a YAML text: dicts, lists, text, numbers, dates, true, false, None.

    Raises:
        yaml.YAMLError: not YAML, or a repeated key.
        Refused: YAML beyond the limits, or a value that cannot be, such as 2001-13-45.
    """
    if len(text) > MOST_BYTES:
        raise Refused(problem=f"it is longer than {MOST_BYTES:,} characters; shorten it")
    try:
        return yaml.load(text, _Loader)
    except (ValueError, OverflowError, RecursionError) as error:  # such as "\UFFFFFFFF"
        raise yaml.YAMLError(str(error)) from None


def problem_of(error: yaml.YAMLError) -> str:
    """What is wrong with a YAML text, as the end of a sentence of one line."""
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1} cannot be in a text file"
    problem = " ".join(str(getattr(error, "problem", None) or "not YAML").split())
    return problem if len(problem) <= 300 else f"{problem[:297]}..."
