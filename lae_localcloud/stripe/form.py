"""Stripe's request bodies: form-encoded, with brackets for what is nested."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from lae_localcloud.stripe.errors import ApiError

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")


def nested(encoded: bytes) -> dict[str, Any]:
    """``a[b][0]=c`` → ``{"a": {"b": {"0": "c"}}}``; ``a[]=x`` counts up.

    All leaves are texts; lists are dictionaries of numbers still, since only the
    type asked for tells which is meant.
    """
    top: dict[str, Any] = {}
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, errors="strict"
        )
    except ValueError as e:
        raise ApiError("Invalid encoding of the request body") from e
    for key, value in pairs:
        matched = _KEY.match(key)
        if matched is None:
            raise ApiError(f"Invalid parameter name: {key}", param=key)
        _place(top, [matched[1], *_PART.findall(matched[2])], value, key)
    return top


def _place(top: dict[str, Any], parts: list[str], value: str, key: str) -> None:
    here = top
    for i, part in enumerate(parts):
        name = part or str(len(here))
        if i == len(parts) - 1:
            if isinstance(here.get(name), dict):
                raise ApiError(f"Invalid parameter: {key}", param=key)
            here[name] = value
        else:
            there = here.setdefault(name, {})
            if not isinstance(there, dict):
                raise ApiError(f"Invalid parameter: {key}", param=key)
            here = there
