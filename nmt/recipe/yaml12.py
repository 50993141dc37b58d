"""The YAML of recipes: the core schema of YAML 1.2, with limits on what a text can hold.

Unlike YAML 1.1, 1e-3 is a number, and no (Norwegian), yes, on, off, 12:30 and dates are words. Tags of other types,
aliases, and texts that are too large, too deep or too long to be a recipe are refused, so that no text takes much
time or memory.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

MAX_CHARACTERS = 1 << 20
MAX_NODES = 20_000
"""Keys and values."""
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"


def _integer(text: str) -> int:
    return int(text, 0 if text[:2] in ("0o", "0x") else 10)


_SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", "~nN", lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true"),
    "int": (r"[-+]?[0-9]{1,99}|0o[0-7]{1,99}|0x[0-9a-fA-F]{1,99}", "-+0123456789", _integer),
    "float": (r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789", float),
}
"""Types of plain values in the order in which they are tried: pattern, first characters, conversion."""


class _Loader(yaml.SafeLoader):
    """Reads maps, sequences, text and the types of ``_SCALARS``, within the limits."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._num_nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        self._num_nodes += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise ComposerError(None, None, "aliases (*) are not allowed", mark)
        if self._depth > MAX_DEPTH:
            raise ComposerError(None, None, f"more than {MAX_DEPTH} levels of nesting", mark)
        if self._num_nodes > MAX_NODES:
            raise ComposerError(None, None, f"more than {MAX_NODES:,} keys and values", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_text(self, node: Any) -> str:
        text: str = self.construct_scalar(node)
        if re.search("[\0\ud800-\udfff]", text):
            raise ConstructorError(None, None, "characters that text can't have", node.start_mark)
        return text


_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    f"{_TAG}map": yaml.SafeLoader.construct_yaml_map,
    f"{_TAG}seq": yaml.SafeLoader.construct_yaml_seq,
    f"{_TAG}str": _Loader.construct_text,
    None: yaml.SafeLoader.construct_undefined,
}


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would read as something else than text."""


def _add_scalar(kind: str, pattern: str, first: str, convert: Callable[[str], Any]) -> None:
    compiled = re.compile(rf"^(?:{pattern})$")

    def construct(loader: _Loader, node: Any) -> Any:
        text = loader.construct_text(node)
        if not compiled.match(text):
            raise ConstructorError(None, None, f"{text[:100]!r} is not of the type {kind}", node.start_mark)
        return convert(text)

    for cls in (_Loader, _Dumper):
        cls.add_implicit_resolver(f"{_TAG}{kind}", compiled, [*first, *([""] if compiled.match("") else [])])
    _Loader.add_constructor(f"{_TAG}{kind}", construct)


for _kind, _row in _SCALARS.items():
    _add_scalar(_kind, *_row)

_OTHER_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Text in double quotes where it holds a line end other than ``\\n``, which other styles read as a space."""
    style = '"' if _OTHER_LINE_ENDS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def load(text: str) -> Any:
    """Reads the value of a text.

    Raises:
        yaml.YAMLError: it isn't YAML, or is beyond a limit.
    """
    if len(text) > MAX_CHARACTERS:
        raise ComposerError(None, None, f"more than {MAX_CHARACTERS:,} characters", None)
    return yaml.load(text, _Loader)


def dump(values: Any) -> str:
    """A text that says so, with keys in their order."""
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text
