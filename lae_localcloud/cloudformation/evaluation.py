"""What a template's functions and conditions come to.  Pure.

A value that is not known before something is made is :data:`LATER`, as change sets
of AWS write it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from lae_localcloud.cloudformation.reading import TemplateWrong
from lae_localcloud.cloudformation.template import Template, unresolved

LATER = "{{changeSet:KNOWN_AFTER_APPLY}}"
#: A property that AWS::NoValue takes out.
ABSENT = object()
_SUBSTITUTED = re.compile(r"\$\{(!?)([^}]*)\}")


@define(frozen=True)
class Known:
    """What others may ask of a resource that exists."""

    physical_id: str
    attributes: Mapping[str, Any] = field(factory=dict)


@define(frozen=True)
class Scope:
    """What names stand for.

    *parameters* hold the pseudo parameters, too; *known* are resources that exist,
    *later* those that are yet to be made, and *conditions* have been decided.
    """

    parameters: Mapping[str, Any]
    zones: tuple[str, ...] = ()
    mappings: Mapping[str, Any] = field(factory=dict)
    conditions: Mapping[str, bool] = field(factory=dict)
    known: Mapping[str, Known] = field(factory=dict)
    later: frozenset[str] = frozenset()

    def ref(self, name: str) -> Any:
        """What Ref gives."""
        if name == "AWS::NoValue":
            return ABSENT
        if name in self.parameters:
            return self.parameters[name]
        if name in self.later:
            return LATER
        if name in self.known:
            return self.known[name].physical_id
        raise unresolved([name])

    def attribute(self, name: str, attribute: str) -> Any:
        """What GetAtt gives."""
        if name in self.later:
            return LATER
        if name not in self.known:
            raise unresolved([name])
        try:
            return self.known[name].attributes[attribute]
        except KeyError:
            raise TemplateWrong(
                f"Template error: resource {name} does not support attribute type"
                f" {attribute} in Fn::GetAtt"
            ) from None


def decide_conditions(template: Template, scope: Scope) -> dict[str, bool]:
    """All conditions; raises :class:`TemplateWrong` for a circle."""
    decided: dict[str, bool] = {}
    asked: list[str] = []

    def decide(name: str) -> bool:
        if name not in template.conditions:
            raise TemplateWrong(
                f"Template format error: Unresolved condition dependency {name}"
            )
        if name in asked:
            raise TemplateWrong(
                "Template error: Found circular condition dependency between"
                f" {asked[0]} and {name}"
            )
        if name not in decided:
            asked.append(name)
            decided[name] = _holds(template.conditions[name], scope, decide)
            asked.pop()
        return decided[name]

    for name in template.conditions:
        decide(name)
    return decided


def _holds(said: Any, scope: Scope, decide: Callable[[str], bool]) -> bool:
    match _function(said):
        case "Condition", str(name):
            return decide(name)
        case "Fn::Equals", [one, other]:
            return same_words(evaluate(one, scope), evaluate(other, scope))
        case "Fn::Not", [one]:
            return not _holds(one, scope, decide)
        case "Fn::And", [*several] if len(several) > 1:
            return all(_holds(one, scope, decide) for one in several)
        case "Fn::Or", [*several] if len(several) > 1:
            return any(_holds(one, scope, decide) for one in several)
    raise TemplateWrong(
        "Template format error: Conditions can only be boolean operations on"
        " parameters and other conditions"
    )


def same_words(one: Any, other: Any) -> bool:
    """Tell whether two values are one to AWS: ``true`` and ``"true"`` are."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _function(said: Any) -> tuple[str, Any]:
    """Function and argument; an empty name for what is no function."""
    if isinstance(said, dict) and len(said) == 1:
        ((name, argument),) = said.items()
        if name in ("Ref", "Condition") or name.startswith("Fn::"):
            return name, argument
    return "", said


def evaluate(said: Any, scope: Scope) -> Any:
    """The value of an expression; raises :class:`TemplateWrong`."""
    name, argument = _function(said)
    # A policy's own Condition is a mapping, and no function.
    if name and not (name == "Condition" and isinstance(argument, dict)):
        return _call(name, argument, scope)
    if isinstance(said, dict):
        pairs = ((k, evaluate(v, scope)) for k, v in said.items())
        return {k: v for k, v in pairs if v is not ABSENT}
    if isinstance(said, list):
        return [v for v in (evaluate(one, scope) for one in said) if v is not ABSENT]
    return said


def _call(name: str, argument: Any, scope: Scope) -> Any:  # noqa: PLR0911  (a table)
    match name, argument:
        case "Ref", str(of):
            return scope.ref(of)
        case "Fn::GetAtt", [str(of), attribute]:
            return scope.attribute(of, str(evaluate(attribute, scope)))
        case "Fn::GetAtt", str(dotted):
            of, _, attribute = dotted.partition(".")
            return scope.attribute(of, attribute)
        case "Fn::If", [str(condition), yes, no]:
            return evaluate(yes if _decided(condition, scope) else no, scope)
        case "Fn::Sub", str(text):
            return _substitute(text, {}, scope)
        case "Fn::Sub", [str(text), dict(more)]:
            return _substitute(text, evaluate(more, scope), scope)
        case "Fn::FindInMap", [first, second, third]:
            return _find(
                scope.mappings, [evaluate(key, scope) for key in (first, second, third)]
            )
        case _:
            return _compute(name, evaluate(argument, scope), scope)


def _compute(name: str, argument: Any, scope: Scope) -> Any:  # noqa: PLR0911  (a table)
    """The functions whose arguments are values alone."""
    match name, argument:
        case "Fn::Join", [str(between), [*parts]]:
            return between.join(_text(part) for part in parts)
        case "Fn::Join", [str(), str(later)] if later == LATER:
            return LATER
        case "Fn::Split", [str(between), str(text)] if between:
            return LATER if text == LATER else text.split(between)
        case "Fn::Select", [_, str(later)] if later == LATER:
            return LATER
        case "Fn::Select", [index, [*values]]:
            return _select(index, values)
        case "Fn::GetAZs", _:
            return list(scope.zones)
        case "Fn::Base64", str(text):
            return base64.b64encode(text.encode()).decode()
    raise TemplateWrong(f"Template error: the arguments of {name} are wrong")


def _decided(condition: str, scope: Scope) -> bool:
    if condition not in scope.conditions:
        raise TemplateWrong(
            f"Template format error: Unresolved condition dependency {condition}"
        )
    return scope.conditions[condition]


def _select(index: Any, values: Sequence[Any]) -> Any:
    try:
        place = int(index)
    except (TypeError, ValueError):
        place = -1
    if not 0 <= place < len(values):
        raise TemplateWrong(
            "Template error: Fn::Select cannot select nonexistent value at index"
            f" {index}"
        )
    return values[place]


def _find(mappings: Mapping[str, Any], keys: Sequence[Any]) -> Any:
    found: Any = mappings
    for key in keys:
        try:
            found = found[key]
        except (KeyError, TypeError):
            raise TemplateWrong(
                f"Template error: Unable to get mapping for {'::'.join(map(str, keys))}"
            ) from None
    return found


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise TemplateWrong("Template error: every value of a text must be a text")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _substitute(text: str, more: Mapping[str, Any], scope: Scope) -> str:
    def value(found: re.Match[str]) -> str:
        literal, name = found[1], found[2].strip()
        if literal:
            return "${" + found[2] + "}"
        if name in more:
            return _text(more[name])
        if "." in name:
            of, _, attribute = name.partition(".")
            return _text(scope.attribute(of, attribute))
        return _text(scope.ref(name))

    return _SUBSTITUTED.sub(value, text)


def references(  # noqa: C901  (a table)
    said: Any, conditions: Mapping[str, bool]
) -> Iterator[tuple[str, str | None]]:
    """Every name that is asked for, and which attribute (None: by Ref).

    The side of an Fn::If that is not taken asks for nothing.
    """
    match _function(said):
        case "Ref", str(name):
            yield name, None
        case "Fn::GetAtt", [str(name), str(attribute)]:
            yield name, attribute
        case "Fn::GetAtt", str(dotted):
            name, _, attribute = dotted.partition(".")
            yield name, attribute
        case "Fn::If", [str(condition), yes, no]:
            taken = yes if conditions.get(condition) else no
            yield from references(taken, conditions)
        case "Fn::Sub", str(text):
            yield from _substituted(text, ())
        case "Fn::Sub", [str(text), dict(more)]:
            yield from _substituted(text, more)
            yield from references(more, conditions)
        case _ if isinstance(said, dict):
            for one in said.values():
                yield from references(one, conditions)
        case _ if isinstance(said, list):
            for one in said:
                yield from references(one, conditions)


def _substituted(
    text: str, own: Mapping[str, Any] | tuple[()]
) -> Iterator[tuple[str, str | None]]:
    for literal, inside in _SUBSTITUTED.findall(text):
        name = inside.strip()
        if literal or name in own:
            continue
        of, dot, attribute = name.partition(".")
        yield of, attribute if dot else None
