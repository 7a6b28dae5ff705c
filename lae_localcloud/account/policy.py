"""IAM's decision, as a pure function of policies, action, resource and context.

moto's own evaluator knows neither conditions nor most resources, so a policy that AWS
would refuse or accept could not be tried with it.  What this one does not know it
refuses loudly: a policy with an unknown operator is an error, never an "allow".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from attrs import define, field

Policy = Mapping[str, Any]
Context = Mapping[str, tuple[str, ...]]


class UnknownPolicyElement(Exception):
    """The policy has an element that this evaluator cannot judge."""


@define(frozen=True)
class Ask:
    """One thing to be allowed: an action on a resource, and what is known of it.

    *context* maps condition keys (lower case, ``aws:requesttag/s4:x``) to values.
    """

    action: str
    resource: str
    context: dict[str, tuple[str, ...]] = field(factory=dict)


def is_allowed(
    ask: Ask, policies: Sequence[Policy], boundary: Policy | None = None
) -> bool:
    """An explicit deny wins; else some policy *and* the boundary must allow."""
    verdicts = {v for p in policies for v in _verdicts(p, ask)}
    limits = {"Allow"} if boundary is None else set(_verdicts(boundary, ask))
    if "Deny" in verdicts | limits:
        return False
    return "Allow" in verdicts and "Allow" in limits


def _verdicts(policy: Policy, ask: Ask) -> Iterable[str]:
    statements = policy.get("Statement", ())
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        if _applies(statement, ask):
            yield str(statement["Effect"])


def _applies(statement: Policy, ask: Ask) -> bool:
    known = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource"}
    strange = set(statement) - known - {"Condition"}
    if strange:
        raise UnknownPolicyElement(", ".join(sorted(strange)))
    return (
        _named(statement, "Action", ask.action.lower(), str.lower)
        and _named(statement, "Resource", ask.resource, lambda p: _filled(p, ask))
        and all(
            _holds(operator, key, expected, ask)
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _named(
    statement: Policy, element: str, value: str, prepared: Callable[[str], str]
) -> bool:
    if element in statement:
        return any(_like(prepared(p), value) for p in _many(statement[element]))
    if "Not" + element in statement:
        patterns = _many(statement["Not" + element])
        return not any(_like(prepared(p), value) for p in patterns)
    raise UnknownPolicyElement(f"a statement without {element}")


def _filled(pattern: str, ask: Ask) -> str:
    """With policy variables (``${aws:ResourceTag/x}``); unknown ones match nothing."""

    def value(found: re.Match[str]) -> str:
        values = ask.context.get(found[1].lower(), ())
        return values[0] if len(values) == 1 else "\0"

    return re.sub(r"\$\{([^}]+)\}", value, pattern)


def _many(value: Any) -> list[str]:
    return [_text(v) for v in (value if isinstance(value, list) else [value])]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts), re.DOTALL)


def _like(pattern: str, value: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda expected, actual: expected == actual,
    "StringEqualsIgnoreCase": lambda e, a: e.lower() == a.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda expected, actual: expected.lower() == actual.lower(),
    "NumericEquals": lambda expected, actual: float(expected) == float(actual),
    "NumericLessThanEquals": lambda expected, actual: float(actual) <= float(expected),
    "NumericGreaterThanEquals": lambda e, a: float(a) >= float(e),
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _holds(operator: str, key: str, expected: Any, ask: Ask) -> bool:
    actual = ask.context.get(key.lower())
    if operator == "Null":
        return (actual is None) == (_many(expected) == ["true"])
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if actual is None and if_exists:
        return True
    negated = name in _NEGATED
    name = _NEGATED.get(name, name)
    if name not in _OPERATORS:
        raise UnknownPolicyElement(f"condition operator {operator}")
    wanted = [_filled(e, ask) for e in _many(expected)]

    def fits(value: str) -> bool:
        found = any(_OPERATORS[name](e, value) for e in wanted)
        return found is not negated

    if quantifier == "ForAllValues":
        return all(fits(v) for v in actual or ())
    if quantifier == "ForAnyValue":
        return any(fits(v) for v in actual or ())
    if quantifier:
        raise UnknownPolicyElement(f"condition operator {operator}")
    if actual is None:
        return negated
    return any(fits(v) for v in actual) if not negated else all(map(fits, actual))
