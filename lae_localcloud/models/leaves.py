"""Single values, from the texts that stand for them in a URL, a form or XML."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

_INTEGER = re.compile(r"-?\d{1,19}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE]-?\d+)?")


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("is no integer")
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError("is no number")
    return float(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text == "true"


def _timestamp(text: str) -> datetime:
    from botocore.utils import parse_timestamp  # noqa: PLC0415  (slow to import)

    try:
        found: datetime = parse_timestamp(text)
    except ValueError:
        raise ValueError("is no time") from None
    return found


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("is no base64") from None


_OF: dict[str, Callable[[str], Any]] = {
    "string": str,
    "character": str,
    "integer": _integer,
    "long": _integer,
    "float": _number,
    "double": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}


def leaf(shape: Any, text: str) -> Any:
    """The value of a text; raises ValueError whose words follow the value's name."""
    if shape.type_name not in _OF:
        raise ValueError(f"is a text, and must be a {shape.type_name}")
    return _OF[shape.type_name](text)
