"""What AWS publishes about each resource type: properties, and what a change does.

``schemas.json`` is distilled from the schemas that cfn-lint ships, by
``tests/localcloud/cloudformation/distilled.py``; a test says that it is up to date.
Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lae_localcloud.cloudformation.evaluation import LATER

FILE = Path(__file__).with_name("schemas.json")
Recreation = Literal["Never", "Conditionally", "Always"]


@cache
def _all() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def recreation(kind: str, name: str) -> Recreation:
    """Whether a change of this property makes the resource anew."""
    schema = _all()[kind]
    for key, says in (
        ("createOnlyProperties", "Always"),
        ("conditionalCreateOnlyProperties", "Conditionally"),
    ):
        if any(path.split("/")[2] == name for path in schema.get(key, ())):
            return "Always" if says == "Always" else "Conditionally"
    return "Never"


def takes_tags(kind: str) -> bool:
    """Tell whether the tags of a stack go to resources of this type."""
    tags = _all()[kind]["properties"].get("Tags", {})
    return bool(tags.get("type") == "array")


def complaints_about(kind: str, properties: Mapping[str, Any]) -> list[str]:
    """What the schema does not allow, in AWS's words; none where all is right."""
    schema = _all()[kind]
    shape = {"type": "object", **schema, "additionalProperties": False}
    read = (path.split("/")[2:] for path in schema.get("readOnlyProperties", ()))
    names = {first for first, *deeper in read if not deeper}
    own = set(schema["properties"]) - names
    shape["properties"] = {k: schema["properties"][k] for k in own}
    return list(_judge(shape, properties, "", schema["definitions"]))


def _judge(
    shape: Mapping[str, Any], value: Any, path: str, definitions: Mapping[str, Any]
) -> Iterator[str]:
    if value == LATER:
        return
    if "$ref" in shape:
        shape = definitions[shape["$ref"].rpartition("/")[2]]
    wanted = shape.get("type")
    kinds = [wanted] if isinstance(wanted, str) else list(wanted or ())
    if kinds and not any(_fits(value, one) for one in kinds):
        yield f"{path or '#'}: expected type: {' or '.join(kinds)}"
        return
    if "enum" in shape and str(value) not in map(str, shape["enum"]):
        yield f"{path}: {value} is not a valid enum value"
    yield from _bounds(shape, value, path)
    if isinstance(value, Mapping) and "properties" in shape:
        yield from _members(shape, value, path, definitions)
    if isinstance(value, list) and "items" in shape:
        for number, item in enumerate(value):
            yield from _judge(shape["items"], item, f"{path}/{number}", definitions)


def _members(
    shape: Mapping[str, Any],
    value: Mapping[str, Any],
    path: str,
    definitions: Mapping[str, Any],
) -> Iterator[str]:
    known = shape["properties"]
    for name in shape.get("required", ()):
        if name not in value:
            yield f"Required property [{name}] not found{_at(path)}"
    for name, inner in value.items():
        if name in known:
            yield from _judge(known[name], inner, f"{path}/{name}", definitions)
        elif not shape.get("additionalProperties", True):
            yield f"Unsupported property [{name}]{_at(path)}"


def _at(path: str) -> str:
    return f" at {path}" if path else ""


def _bounds(shape: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str) and len(value) > shape.get("maxLength", len(value)):
        yield f"{path}: expected maxLength: {shape['maxLength']}"
    if not _is_number(value):
        return
    if float(value) < shape.get("minimum", float(value)):
        yield f"{path}: {value} is not greater or equal to {shape['minimum']}"
    if float(value) > shape.get("maximum", float(value)):
        yield f"{path}: {value} is not less or equal to {shape['maximum']}"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _fits(value: Any, kind: str) -> bool:
    """AWS takes texts for numbers and for truth values, and the other way round."""
    match kind:
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return isinstance(value, list)
        case "integer":
            return _is_number(value) and float(value).is_integer()
        case "number":
            return _is_number(value)
        case "boolean":
            return isinstance(value, bool) or value in ("true", "false")
    return isinstance(value, str | bool | int | float)
