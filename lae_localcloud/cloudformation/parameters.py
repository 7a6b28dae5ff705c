"""The values of a template's parameters, judged by what it declares.  Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any

from lae_localcloud.cloudformation.reading import TemplateWrong

#: Characters of a value, as AWS counts them.
VALUE_LIMIT = 4_096
#: What must stand for a thing of this kind; whether there is one is asked elsewhere.
_IDS = {
    "AWS::EC2::VPC::Id": r"vpc-[0-9a-f]{8,17}",
    "AWS::EC2::Subnet::Id": r"subnet-[0-9a-f]{8,17}",
    "AWS::EC2::SecurityGroup::Id": r"sg-[0-9a-f]{8,17}",
    "AWS::EC2::Image::Id": r"ami-[0-9a-f]{8,17}",
    "AWS::EC2::Instance::Id": r"i-[0-9a-f]{8,17}",
    "AWS::EC2::Volume::Id": r"vol-[0-9a-f]{8,17}",
    "AWS::Route53::HostedZone::Id": r"Z[0-9A-Z]{1,31}",
    "AWS::EC2::AvailabilityZone::Name": r"[a-z]{2}(-[a-z]+)+-\d[a-z]",
    "AWS::EC2::KeyPair::KeyName": r".{1,255}",
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def fill_parameters(
    declared: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, str],
    previous: Mapping[str, str],
    keep: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """Every parameter's value as text; raises :class:`TemplateWrong`.

    *keep*: those that stay as they are *previous*ly (UsePreviousValue).
    """
    strange = sorted((set(given) | keep) - set(declared))
    if strange:
        raise TemplateWrong(
            f"Parameters: [{', '.join(strange)}] do not exist in the template"
        )
    found, missing = {}, []
    for name, said in declared.items():
        if name in given:
            found[name] = given[name]
        elif name in keep and name in previous:
            found[name] = previous[name]
        elif "Default" in said and name not in keep:
            found[name] = _as_text(said["Default"])
        else:
            missing.append(name)
    if missing:
        raise TemplateWrong(f"Parameters: [{', '.join(missing)}] must have values")
    for name, value in found.items():
        _check(name, declared[name], value)
    return found


def as_value(said: Mapping[str, Any], text: str) -> str | list[str]:
    """What Ref gives: a list for lists."""
    kind = str(said.get("Type", "String"))
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return [part.strip() for part in text.split(",")] if text else []
    return text


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(name: str, said: Mapping[str, Any], text: str) -> None:
    kind = str(said.get("Type", ""))
    if not kind:
        raise TemplateWrong(
            "Template format error: Every Parameters object must contain a Type member."
        )
    if len(text.encode()) > VALUE_LIMIT:
        raise TemplateWrong(
            f"Parameter {name} has a value of {len(text.encode())} bytes;"
            f" {VALUE_LIMIT} at most"
        )
    element = kind.removeprefix("List<").removesuffix(">")
    if element not in {"String", "Number", "CommaDelimitedList", *_IDS}:
        raise TemplateWrong(
            f"Template format error: Unrecognized parameter type: {kind}"
        )
    found = as_value(said, text)
    for value in [found] if isinstance(found, str) else found:
        _check_value(name, said, element, value)


def _check_value(name: str, said: Mapping[str, Any], kind: str, value: str) -> None:
    allowed = [_as_text(v) for v in said.get("AllowedValues", ())]
    if allowed and value not in allowed:
        raise TemplateWrong(f"Parameter '{name}' must be one of AllowedValues")
    pattern = said.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        why = said.get("ConstraintDescription", f"must match pattern {pattern}")
        raise TemplateWrong(f"Parameter {name} failed to satisfy constraint: {why}")
    if kind == "Number" and not _NUMBER.fullmatch(value):
        raise TemplateWrong(f"Parameter '{name}' must be a number.")
    size = float(value) if kind == "Number" else 0
    for bound, too_far, words in (
        ("MinLength", operator.lt, "must contain at least {} characters"),
        ("MaxLength", operator.gt, "must contain at most {} characters"),
        ("MinValue", operator.lt, "must be a number not less than {}"),
        ("MaxValue", operator.gt, "must be a number not more than {}"),
    ):
        measured = size if bound.endswith("Value") else len(value)
        if bound in said and too_far(measured, float(said[bound])):
            raise TemplateWrong(f"Parameter '{name}' {words.format(said[bound])}")
    if kind in _IDS and not re.fullmatch(_IDS[kind], value):
        raise TemplateWrong(
            f"Parameter validation failed: parameter value {value} for parameter name"
            f" {name} does not exist"
        )
