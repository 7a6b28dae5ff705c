"""Requests are checked against stripe-python's own parameter types.

``stripe.params`` publishes one TypedDict per operation.  A parameter that it does not
know, or of another type, is refused as Stripe refuses it, so that code which runs
here asks for nothing that today's API would not understand.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import stripe
import stripe._request_options
import stripe.params
import stripe.params.billing_portal
import stripe.params.checkout
import stripe.params.test_helpers
from stripe._request_options import RequestOptions
from typing_extensions import get_type_hints, is_typeddict

from lae_localcloud.stripe.errors import ApiError, missing

_INTEGER = re.compile(r"^-?\d{1,18}$")
_DECIMAL = re.compile(r"^-?\d{1,18}(\.\d{1,12})?$")
#: Limits that the reference documentation states beside the types.
METADATA_KEYS, METADATA_KEY, METADATA_VALUE = 50, 40, 500


def parameters_of(name: str) -> type:
    """``checkout.SessionCreateParams`` → stripe-python's TypedDict."""
    found: Any = stripe.params
    for part in name.split("."):
        found = getattr(found, part)
    assert isinstance(found, type)
    return found


@cache
def _hints(kind: Any) -> dict[str, Any]:
    # What the options inherited name is known in their own module, or to type
    # checkers only; they are no parameters of a body.
    names = {**vars(stripe._request_options), "StripeContext": Any}  # noqa: SLF001
    hints = get_type_hints(kind, localns=names)
    own = set(RequestOptions.__annotations__)
    return {name: hint for name, hint in hints.items() if name not in own}


def checked(kind: Any, given: dict[str, Any], path: str = "") -> dict[str, Any]:
    """*given* (leaves are texts) as *kind* has it; raises :class:`ApiError`."""
    hints = _hints(kind)
    result = {}
    for name, value in given.items():
        where = f"{path}[{name}]" if path else name
        if name not in hints:
            raise ApiError(
                f"Received unknown parameter: {where}",
                code="parameter_unknown",
                param=where,
            )
        result[name] = _value(hints[name], value, where)
    for name in sorted(kind.__required_keys__ & set(hints)):
        if name not in given:
            raise missing(f"{path}[{name}]" if path else name)
    return result


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), value, where)
    if origin is Literal:
        return _literal(get_args(hint), value, where)
    if origin is list:
        return _list(get_args(hint)[0], value, where)
    if origin is dict:
        return _metadata(value, where)
    if is_typeddict(hint):
        if not isinstance(value, dict):
            raise ApiError(f"Invalid object: {where}", param=where)
        return checked(hint, value, where)
    return _leaf(hint, value, where)


def _list(hint: Any, value: Any, where: str) -> list[Any]:
    if not isinstance(value, dict) or not all(key.isdigit() for key in value):
        raise ApiError(f"Invalid array: {where}", param=where)
    ordered = sorted(value.items(), key=lambda pair: int(pair[0]))
    return [_value(hint, item, f"{where}[{i}]") for i, item in ordered]


def _metadata(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ApiError(f"Invalid hash: {where}", param=where)
    if len(value) > METADATA_KEYS:
        raise ApiError(f"{where} can have up to {METADATA_KEYS} keys", param=where)
    for key, item in value.items():
        inner = f"{where}[{key}]"
        if not isinstance(item, str):
            raise ApiError(f"Metadata values must be texts: {inner}", param=inner)
        if len(key) > METADATA_KEY or len(item) > METADATA_VALUE:
            raise ApiError(
                f"Metadata keys can be {METADATA_KEY} and values {METADATA_VALUE} "
                f"characters long: {inner}",
                param=inner,
            )
    return value


def _literal(allowed: tuple[Any, ...], value: Any, where: str) -> Any:
    if value in allowed:
        return value
    names = ", ".join(str(a) for a in allowed if a != "")
    raise ApiError(f"Invalid {where}: must be one of {names}", param=where)


def _one_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    """The first that fits.

    The library writes enumerations as ``Literal[…] | str``, to be open for values of
    later versions; the API of this version refuses them, and so do we.
    """
    allowed = [a for h in hints if get_origin(h) is Literal for a in get_args(h)]
    if isinstance(value, str) and value in allowed:
        return value
    closed = any(allowed) and str in hints
    failure: ApiError | None = None
    if closed:
        hints = tuple(h for h in hints if h is not str)
    for hint in hints:
        if _only_python(hint):
            continue
        try:
            return _value(hint, value, where)
        except ApiError as e:
            failure = failure or e
    raise failure or ApiError(f"Invalid value for {where}", param=where)


def _only_python(hint: Any) -> bool:
    """Whether it is UntypedStripeObject: for callers in Python, never on the wire."""
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, stripe.StripeObject)


def _leaf(hint: Any, value: Any, where: str) -> Any:
    if not isinstance(value, str):
        raise ApiError(f"Invalid value for {where}: a hash", param=where)
    if hint not in _LEAVES:
        raise ApiError(f"Not understood by the local Stripe: {where}", param=where)
    try:
        return _LEAVES[hint](value)
    except ValueError as e:
        raise ApiError(f"Invalid {e}: {value}", param=where) from None


def _integer(text: str) -> int:
    if not _INTEGER.match(text):
        raise ValueError("integer")
    return int(text)


def _number(text: str) -> float:
    if not _DECIMAL.match(text):
        raise ValueError("decimal")
    return float(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("boolean")
    return text == "true"


_LEAVES: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _integer,
    float: _number,
    Decimal: _number,
    bool: _boolean,
}
