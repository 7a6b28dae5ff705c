"""What is wrong with a request, by the model of its call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from lae_localcloud.exchange import ApiRequest
from lae_localcloud.models.forms import read_form
from lae_localcloud.models.rest import read_rest
from lae_localcloud.models.service_models import NotInModel, operation_model

#: Models write Java's patterns; these are classes of characters that Python lacks.
_CLASSES = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}


def complaints(
    service: str, action: str, request: ApiRequest, path: dict[str, str] | None = None
) -> list[str]:
    """What AWS's own clients would refuse to send, in words; none where all is right.

    *path* are the parts of the request's path by the names that the model gives them,
    for S3, whose models do not say where in the path a bucket stands.
    """
    try:
        operation = operation_model(service, action)
    except NotInModel as e:
        return [str(e)]
    protocol = operation.service_model.metadata["protocol"]
    match protocol:
        case "ec2" | "query":
            found, wrong = read_form(operation, request.form())
        case "json":
            found, wrong = _read_json(operation, request)
        case _:
            found, wrong = read_rest(operation, request, path or {})
    shape = operation.input_shape
    if shape is None:
        return wrong
    return [*wrong, *_by_botocore(shape, found), *_values(shape, found, "")]


def _read_json(operation: Any, request: ApiRequest) -> tuple[dict[str, Any], list[str]]:
    metadata = operation.service_model.metadata
    wrong = []
    target = f"{metadata['targetPrefix']}.{operation.name}"
    if request.headers.get("x-amz-target") != target:
        wrong.append(f"X-Amz-Target is not {target}")
    kind = f"application/x-amz-json-{metadata['jsonVersion']}"
    if request.headers.get("content-type") != kind:
        wrong.append(f"Content-Type is not {kind}")
    return request.json(), wrong


def _by_botocore(shape: Any, found: dict[str, Any]) -> list[str]:
    from botocore.validate import ParamValidator  # noqa: PLC0415  (slow to import)

    report = ParamValidator().validate(found, shape)
    return report.generate_report().splitlines() if report.has_errors() else []


def _values(shape: Any, value: Any, path: str) -> Iterator[str]:
    """What botocore leaves to the service: enumerations, patterns, upper bounds."""
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            for member, inner in shape.members.items():
                if member in value:
                    yield from _values(inner, value[member], f"{path}.{member}")
        case "list" if isinstance(value, list):
            for n, item in enumerate(value):
                yield from _values(shape.member, item, f"{path}[{n}]")
        case "map" if isinstance(value, dict):
            for key, item in value.items():
                yield from _values(shape.key, key, f"{path}.{key}")
                yield from _values(shape.value, item, f"{path}.{key}")
        case "string" if isinstance(value, str):
            yield from _text(shape, value, path)
    yield from _bound(shape, value, path)


def _bound(shape: Any, value: Any, path: str) -> Iterator[str]:
    most = shape.metadata.get("max")
    if most is None or value is None:
        return
    size = value if isinstance(value, int) else _size(shape, value)
    if size > most:
        yield f"{path.lstrip('.')} is {size}, {most} at most"


def _size(shape: Any, value: Any) -> int:
    if shape.type_name == "blob" and isinstance(value, str):
        return len(value.rstrip("=")) * 3 // 4  # base64, in JSON
    return len(value) if isinstance(value, (str, bytes, list, dict)) else 0


def _text(shape: Any, value: str, path: str) -> Iterator[str]:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield f"{path.lstrip('.')} is none of {', '.join(allowed)}"
    pattern = shape.metadata.get("pattern")
    if pattern and not compiled(pattern).fullmatch(value):
        yield f"{path.lstrip('.')} does not match {pattern}"


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A model's pattern as Python's; raises re.error for one that it cannot say."""
    for java, python in _CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)
