"""One YAML file per process, read strictly into frozen attrs classes.

Every mistake is told with its file and line, and, for a misspelt key, with what was
probably meant.  Secrets never stand in the file: a :class:`SecretSource` names the
file or the environment variable that holds one.
"""

from __future__ import annotations

import difflib
import os
import stat
import types
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from attrs import NOTHING, define, fields, has

from lae_protocol.secret import Secret

S = TypeVar("S")

_TAGS = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:float": float,
}
_WORDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    float: "a number",
    Decimal: "a number",
    date: "a day such as 2026-11-28",
}


class SettingsError(Exception):
    """The settings cannot be used; the text says where and why.  Mend the file."""


@define(frozen=True)
class SecretSource:
    """Where one secret is: exactly one of a file (mode 0600) and a variable's name."""

    file: Path | None = None
    env: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.file is None) == (self.env is None):
            raise ValueError("a secret needs either file: or env:")

    def name(self) -> str:
        """The place, for messages."""
        return str(self.file) if self.file is not None else f"variable {self.env}"

    def read(self) -> Secret:
        """Read it; a :class:`SettingsError` names the place, not the value."""
        if self.env is not None:
            if not os.environ.get(self.env):
                raise SettingsError(f"environment variable {self.env} is not set")
            return Secret(os.environ[self.env])
        assert self.file is not None
        return read_private(self.file)


def read_private(path: Path) -> Secret:
    """Read a file that holds one secret, for its owner alone (mode 0600).

    A :class:`SettingsError` names the file, not the value.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        why = getattr(e, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"{path}: {why}") from None
    if mode & 0o077:
        raise SettingsError(
            f"{path}: others can read it (mode {mode:04o}); chmod 600 it"
        )
    if not text:
        raise SettingsError(f"{path}: it is empty")
    return Secret(text)


def load(path: Path, kind: type[S]) -> S:
    """Read *path* as the attrs class *kind*; raises :class:`SettingsError`."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as e:
        raise SettingsError(f"{path}: {e.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(e, "problem", None) or "not UTF-8 text"
        raise SettingsError(f"{path}{line}: not YAML: {problem}") from None
    if root is None:
        raise SettingsError(f"{path}: it is empty")
    made: S = _Reader(path).value(root, kind, "the file")
    return made


@define(frozen=True)
class _Reader:
    path: Path

    def wrong(self, node: yaml.Node, what: str) -> SettingsError:
        return SettingsError(f"{self.path}:{node.start_mark.line + 1}: {what}")

    def value(self, node: yaml.Node, kind: Any, name: str) -> Any:
        """Build what *kind* asks for from a YAML node called *name*."""
        origin = get_origin(kind)
        if origin in (Union, types.UnionType):
            return self.optional(node, kind, name)
        if origin is Literal:
            return self.choice(node, get_args(kind), name)
        if origin is tuple:
            return self.sequence(node, get_args(kind)[0], name)
        if kind is Path:
            # Relative to the file, so that a folder of settings can be moved.
            return self.path.parent / Path(self.scalar(node, str, name)).expanduser()
        if has(kind):
            return self.mapping(node, kind, name)
        return self.scalar(node, kind, name)

    def exact(self, node: yaml.Node, kind: Any, name: str) -> Any:
        """Read what is written, not what a float makes of it; a day is no text."""
        written = node.value if isinstance(node, yaml.ScalarNode) else None
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        try:
            if kind is date and tag == "timestamp":
                return date.fromisoformat(str(written))
            if kind is Decimal and tag in {"int", "float"}:
                read = Decimal(str(written))
                if read.is_finite():
                    return read
        except (ValueError, InvalidOperation):
            pass
        raise self.wrong(node, f"{name}: {_WORDS[kind]} is expected")

    def optional(self, node: yaml.Node, kind: Any, name: str) -> Any:
        if node.tag == "tag:yaml.org,2002:null":
            return None
        (inner,) = (k for k in get_args(kind) if k is not type(None))
        return self.value(node, inner, name)

    def choice(self, node: yaml.Node, allowed: tuple[Any, ...], name: str) -> Any:
        text = self.scalar(node, type(allowed[0]), name)
        if text not in allowed:
            raise self.wrong(
                node, f"{name}: {text!r} is none of {', '.join(map(repr, allowed))}"
            )
        return text

    def sequence(self, node: yaml.Node, kind: Any, name: str) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, f"{name}: a list is expected")
        return tuple(
            self.value(n, kind, f"{name}[{i}]") for i, n in enumerate(node.value)
        )

    def scalar(self, node: yaml.Node, kind: Any, name: str) -> Any:
        if kind in (Decimal, date):
            return self.exact(node, kind, name)
        found = _TAGS.get(node.tag) if isinstance(node, yaml.ScalarNode) else None
        if found is int and kind is float:
            found = float
        if found is None or found is not kind:
            raise self.wrong(node, f"{name}: {_WORDS.get(kind, kind)} is expected")
        if kind is str:
            return node.value
        return found(yaml.safe_load(node.value))

    def mapping(self, node: yaml.Node, kind: Any, name: str) -> Any:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{name}: keys with values are expected")
        hints = get_type_hints(kind)
        known = {f.name: f for f in fields(kind) if f.init}
        values: dict[str, Any] = {}
        for key, value in node.value:
            if key.value not in known:
                near = difflib.get_close_matches(str(key.value), known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise self.wrong(key, f"unknown key {key.value!r} in {name}{hint}")
            if key.value in values:
                raise self.wrong(key, f"{key.value!r} stands twice in {name}")
            values[key.value] = self.value(value, hints[key.value], key.value)
        for field in known.values():
            if field.name not in values and field.default is NOTHING:
                raise self.wrong(node, f"{name} lacks the key {field.name!r}")
        try:
            return kind(**values)
        except (ValueError, TypeError) as e:
            raise self.wrong(node, f"{name}: {e}") from None
