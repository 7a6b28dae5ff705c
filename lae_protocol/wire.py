"""Messages as bytes: JSON of frozen attrs classes, strict on the way in.

Foolscap carries the bytes and bounds their size (:mod:`lae_protocol.remote`); what
is inside is checked here, once, at the edge.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal, get_args, get_origin

import cattrs
from attrs import has
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from lae_protocol.ids import OwnerSecret
from lae_protocol.messages import Refused
from lae_protocol.question import A, Question
from lae_protocol.secret import Secret

#: What SQLite and PostgreSQL keep in an integer, but for its sign.
_BITS = 63
#: An amount of money, to a millionth.
_AMOUNT = re.compile(r"-?\d{1,15}(\.\d{1,6})?", re.ASCII)


class MalformedMessage(ValueError):
    """Bytes that are no message of the type expected.  Do not try again."""


def _moment(text: Any, _: object) -> datetime:
    if not isinstance(text, str):
        raise TypeError("a time must be text")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone")
    return moment


def _day(text: Any, _: object) -> date:
    if not isinstance(text, str):
        raise TypeError("a day must be text")
    return date.fromisoformat(text)


def _amount(text: Any, _: object) -> Decimal:
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise TypeError("an amount is digits, with a point and six more at most")
    return Decimal(text)


def _exactly(kind: type) -> Any:
    def structure(value: Any, _: object) -> Any:
        # bool is an int to Python, and never meant as one.
        if type(value) is not kind:
            raise TypeError(f"{kind.__name__} expected, not {type(value).__name__}")
        return value

    return structure


def _text(value: Any, _: object = None) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text expected, not {type(value).__name__}")
    # JSON can name half a character, which no file and no database takes.
    value.encode()
    return value


def _number(value: Any, _: object) -> int:
    number: int = _exactly(int)(value, None)
    if number.bit_length() > _BITS:
        raise ValueError("a number that no database takes")
    return number


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _choice(value: Any, kind: Any) -> Any:
    # Not only equal: True == 1 == 1.0.
    for allowed in get_args(kind):
        if type(value) is type(allowed) and value == allowed:
            return value
    raise ValueError("none of the words allowed")


def _sequence(made: cattrs.Converter) -> Any:
    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, list):
            raise TypeError(f"a list expected, not {type(value).__name__}")
        inner: tuple[Any, ...] = get_args(kind)
        if inner[-1] is Ellipsis:
            inner = inner[:1] * len(value)
        pairs = zip(value, inner, strict=True)
        return tuple(made.structure(item, of) for item, of in pairs)

    return structure


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: two readers might believe different ones."""
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a key stands twice")
    return read


@cache
def converter() -> cattrs.Converter:
    """The one converter: unknown keys refused, nothing coerced.

    A class with ``OMITS_DEFAULTS`` is written without the fields that hold their
    default, so that a peer of an earlier release reads what uses nothing new.
    """
    made = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)
    made.register_structure_hook(str, _text)
    made.register_structure_hook(int, _number)
    made.register_structure_hook(bool, _exactly(bool))
    made.register_structure_hook_func(lambda k: _origin(k) is Literal, _choice)
    made.register_structure_hook_func(lambda k: _origin(k) is tuple, _sequence(made))
    made.register_structure_hook(datetime, _moment)
    made.register_unstructure_hook(datetime, lambda m: m.isoformat())
    made.register_structure_hook(date, _day)
    made.register_unstructure_hook(date, lambda d: d.isoformat())
    made.register_structure_hook(Decimal, _amount)
    made.register_unstructure_hook(Decimal, lambda amount: f"{amount:f}")
    made.register_structure_hook(bytes, lambda t, _: base64.b64decode(t, validate=True))
    made.register_unstructure_hook(bytes, lambda b: base64.b64encode(b).decode("ascii"))
    for secret in (Secret, OwnerSecret):
        made.register_structure_hook(secret, lambda text, cls: cls(_text(text)))
        made.register_unstructure_hook(secret, lambda s: s.reveal())
    made.register_structure_hook_factory(
        has, lambda c: make_dict_structure_fn(c, made, _cattrs_forbid_extra_keys=True)
    )
    made.register_unstructure_hook_factory(
        has,
        lambda c: make_dict_unstructure_fn(
            c, made, _cattrs_omit_if_default=getattr(c, "OMITS_DEFAULTS", False)
        ),
    )
    return made


def encode(message: Any) -> bytes:
    """The message as JSON; raises :class:`MalformedMessage` for half a character."""
    try:
        return _json(converter().unstructure(message))
    except UnicodeEncodeError:
        raise MalformedMessage("a text that is no Unicode") from None


def decode(kind: Any, data: bytes) -> Any:
    """Read one message; raises :class:`MalformedMessage`, whose text tells no value."""
    return _read(kind.__name__, data, lambda value: converter().structure(value, kind))


def encode_answer(question: type[Question[Any]], told: Any) -> bytes:
    """The answer to a question of this class; raises TypeError for any other."""
    answer = question.answer()
    if type(told) is not (get_origin(answer) or answer):
        raise TypeError(f"{question.__name__} is not answered by {type(told).__name__}")
    return _json({"answer": converter().unstructure(told)})


def encode_refusal(refused: Refused) -> bytes:
    """A refusal, in the place of the answer to any question."""
    return _json({"refused": converter().unstructure(refused)})


def decode_answer(question: type[Question[A]], data: bytes) -> A | Refused:
    """Read an answer, or a refusal; raises as :func:`decode` does."""

    def told(value: Any) -> Any:
        match value:
            case {"answer": answer, **rest} if not rest:
                return converter().structure(answer, question.answer())
            case {"refused": refused, **rest} if not rest:
                return converter().structure(refused, Refused)
        raise ValueError("neither an answer nor a refusal")

    read: A | Refused = _read(f"answer to {question.__name__}", data, told)
    return read


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _read(name: str, data: bytes, structure: Callable[[Any], Any]) -> Any:
    try:
        return structure(json.loads(data, object_pairs_hook=_object))
    except Exception as e:  # noqa: BLE001  (cattrs raises what the hooks raise)
        raise MalformedMessage(f"not a {name}: {type(e).__name__}") from None
