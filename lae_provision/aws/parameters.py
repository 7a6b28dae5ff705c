"""Parameters of AWS' query protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """``{"Filter": [{"Name": "a", "Value": ["b"]}]}`` as the query protocol has it:
    ``Filter.1.Name=a``, ``Filter.1.Value.1=b``.  None is left out.
    """
    if value is None:
        return {}
    if isinstance(value, Mapping):
        items = [(f"{prefix}.{key}" if prefix else key, v) for key, v in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"{prefix}.{n}", v) for n, v in enumerate(value, 1)]
    elif isinstance(value, bool):
        return {prefix: "true" if value else "false"}
    else:
        return {prefix: str(value)}
    return {
        name: text for key, sub in items for name, text in flatten(sub, key).items()
    }


def members(items: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as IAM names them: ``{"Tags": [x]}`` to ``{"Tags": {"member": [x]}}``."""
    return {
        key: {"member": list(value)} if isinstance(value, list | tuple) else value
        for key, value in items.items()
    }
