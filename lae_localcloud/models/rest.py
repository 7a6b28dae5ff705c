"""REST calls (Route 53, S3): an input in path, query, headers and body."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from attrs import define, field

from lae_localcloud.exchange import ApiRequest
from lae_localcloud.models.elements import read_xml
from lae_localcloud.models.leaves import leaf

#: Of every signed request, and of ``Expect``; in no model.
_ENVELOPE = frozenset(
    {
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-security-token",
        "x-amz-user-agent",
        "x-amz-decoded-content-length",
        "x-amz-trailer",
        "x-amz-sdk-checksum-algorithm",
    }
)
_PREFIX = "x-amz-meta-"


@define
class _Call:
    request: ApiRequest
    found: dict[str, Any] = field(factory=dict)
    complaints: list[str] = field(factory=list)
    query: dict[str, str] = field(factory=dict)
    headers: dict[str, str] = field(factory=dict)

    def take(self, member: str, shape: Any, where: str, text: str) -> None:
        element = shape.member if shape.type_name == "list" else shape
        texts = text.split(",") if shape.type_name == "list" else [text]
        try:
            values = [leaf(element, t.strip()) for t in texts]
        except ValueError as e:
            self.complaints.append(f"{where} {e}")
            return
        self.found[member] = values if shape.type_name == "list" else values[0]


def read_rest(
    operation: Any, request: ApiRequest, named: dict[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """The input, and what cannot be read or is in no model, in words.

    *named* are the parts of the path by their names, where the caller knows them.
    """
    call = _Call(request)
    call.query = dict(parse_qsl(request.query, keep_blank_values=True))
    call.headers = dict(request.headers)
    _method_and_path(call, operation, named)
    shape = operation.input_shape
    body_members = {}
    for member, inner in ({} if shape is None else shape.members).items():
        name = inner.serialization.get("name", member)
        match inner.serialization.get("location"):
            case "querystring":
                if (text := call.query.pop(name, None)) is not None:
                    call.take(member, inner, f"?{name}", text)
            case "header":
                if (text := call.headers.pop(name.lower(), None)) is not None:
                    call.take(member, inner, name, text)
            case "headers":
                call.found[member] = {
                    n.removeprefix(_PREFIX): call.headers.pop(n)
                    for n in [h for h in call.headers if h.startswith(_PREFIX)]
                }
            case "uri":
                pass
            case _:
                body_members[member] = inner
    if shape is not None:
        _body(call, shape, body_members)
    call.query.pop("x-id", None)
    call.complaints += [f"?{name} is in no model" for name in call.query]
    call.complaints += [
        f"{name} is in no model"
        for name in sorted(call.headers)
        if name.startswith("x-amz-")
        and name not in _ENVELOPE
        # Computed by AWS's own clients for any call with a body.
        and not name.startswith("x-amz-checksum-")
    ]
    return call.found, call.complaints


def _method_and_path(call: _Call, operation: Any, named: dict[str, str]) -> None:
    http = operation.http
    if http["method"] != call.request.method:
        call.complaints.append(f"{call.request.method} is not {http['method']}")
    template, _, static = http["requestUri"].partition("?")
    for name, value in parse_qsl(static, keep_blank_values=True):
        if call.query.get(name) != value:
            call.complaints.append(f"?{name}={value} is missing")
        elif name not in _querystrings(operation):
            call.query.pop(name)
    if named:
        call.found.update(named)
        return
    pattern = "".join(
        f"(?P<{part[1:-1].rstrip('+')}>{'.+' if '+' in part else '[^/]+'})"
        if part.startswith("{")
        else re.escape(part)
        for part in re.split(r"(\{[^}]+\})", template)
    )
    # Route 53 takes a path with or without the last slash; txAWS leaves it out.
    matched = re.fullmatch(pattern.rstrip("/"), call.request.path.rstrip("/"))
    if matched is None:
        call.complaints.append(f"the path is not {template}")
        return
    uris = {
        inner.serialization.get("name", member): member
        for member, inner in operation.input_shape.members.items()
        if inner.serialization.get("location") == "uri"
    }
    for name, text in matched.groupdict().items():
        call.found[uris[name]] = unquote(text)


def _querystrings(operation: Any) -> set[str]:
    return {
        inner.serialization.get("name", member)
        for member, inner in operation.input_shape.members.items()
        if inner.serialization.get("location") == "querystring"
    }


def _body(call: _Call, shape: Any, members: dict[str, Any]) -> None:
    payload = shape.serialization.get("payload")
    body = call.request.body
    if payload is None:
        if members:
            _members(call, shape, set(members))
        elif body:
            call.complaints.append("a body is in no model")
        return
    inner = shape.members[payload]
    if inner.type_name == "blob":
        call.found[payload] = body
    elif inner.type_name == "string":
        call.found[payload] = body.decode("utf-8", "replace")
    elif body:
        root = inner.serialization.get("name", payload)
        call.found[payload], wrong = read_xml(inner, root, body)
        call.complaints += wrong


def _members(call: _Call, shape: Any, members: set[str]) -> None:
    root = shape.serialization.get("name", shape.name)
    found, wrong = read_xml(shape, root, call.request.body)
    call.complaints += wrong
    call.complaints += [
        f"{n} does not belong in the body" for n in set(found) - members
    ]
    call.found.update(found)
