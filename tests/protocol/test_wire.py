"""Every message comes back as it was sent; nothing else is taken for one."""

from __future__ import annotations

import json
import typing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal

import pytest
from attrs import NOTHING, define, fields, has
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lae_protocol
from lae_protocol import wire
from lae_protocol.cost_messages import MonthCosts
from lae_protocol.host_messages import Claim, Desired, Report
from lae_protocol.ids import OwnerSecret, SignupId
from lae_protocol.looking_messages import (
    AskHealth,
    EventsSince,
    Page,
    ShowSignup,
    SignupRow,
)
from lae_protocol.messages import (
    Owner,
    Plan,
    Progress,
    Refused,
    StripeEvent,
    Taken,
)
from lae_protocol.question import Question
from lae_protocol.remote import BOOTSTRAP, FRONT_DESK, HOST, OPERATOR
from lae_protocol.secret import Secret

TEXT = st.text(max_size=20)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])
OF_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(-(2**63) + 1, 2**63 - 1),
    bytes: st.binary(max_size=40),
    datetime: st.datetimes(timezones=ZONES),
    date: st.dates(),
    Decimal: st.decimals(-(10**15) + 1, 10**15 - 1, places=6),
    Secret: TEXT.map(Secret),
    OwnerSecret: TEXT.map(OwnerSecret),
    type(None): st.none(),
}


FACETS = (FRONT_DESK, OPERATOR, BOOTSTRAP, HOST)
#: All that processes say to each other: a new module of messages is found by its name.
MODULES = [
    import_module(f"lae_protocol.{one.name}")
    for one in iter_modules(lae_protocol.__path__)
    if one.name.endswith("messages")
]


def message_classes() -> list[type]:
    """All classes of all modules."""
    found = [
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type)
        and has(value)
        and not issubclass(value, Secret)
        and not getattr(value, "__parameters__", ())
    ]
    return sorted(set(found), key=lambda c: c.__name__)


def question_classes() -> list[type[Question[Any]]]:
    """All that can be asked."""
    return [kind for kind in message_classes() if issubclass(kind, Question)]


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Anything of a type that a message's field has."""
    kind = getattr(kind, "__supertype__", kind)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind in OF_TYPE:
        return OF_TYPE[kind]
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=3).map(tuple)
    if origin is Page:
        pages = st.lists(values(args[0]), max_size=3).map(tuple)
        return st.builds(Page, pages, st.none() | TEXT)
    if args:
        return st.one_of([values(a) for a in args])
    return builds(kind)


def builds(kind: type) -> st.SearchStrategy[Any]:
    """Any message of a class, whose every field is of its type."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{f.name: values(hints[f.name]) for f in fields(kind)})


@pytest.mark.parametrize("kind", message_classes(), ids=lambda c: c.__name__)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_round_trip(kind, data) -> None:
    """A message of every class comes back equal, and equal messages are equal bytes."""
    message = data.draw(values(kind))
    sent = wire.encode(message)
    assert wire.decode(kind, sent) == message
    assert wire.encode(wire.decode(kind, sent)) == sent


@pytest.mark.parametrize("kind", question_classes(), ids=lambda c: c.__name__)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_round_trip_of_answers(kind, data) -> None:
    """The answer to each question comes back as it was, and so does a refusal."""
    answer = data.draw(values(kind.answer()))
    assert wire.decode_answer(kind, wire.encode_answer(kind, answer)) == answer
    refused = data.draw(values(Refused))
    assert wire.decode_answer(kind, wire.encode_refusal(refused)) == refused


def test_every_question_has_its_facet() -> None:
    """Each question is asked of one facet alone, by a name that is no other's, and has
    bounds that the facet's interface lets through.
    """
    asked = [q for facet in FACETS for q in facet.by_name.values()]
    assert sorted(asked, key=lambda q: q.__name__) == question_classes()
    for facet in FACETS:
        (method,) = facet.interface
        schema = facet.interface[method]
        message, largest_answer = (
            schema.argConstraints["message"],
            schema.getResponseConstraint(),
        )
        for name, question in facet.by_name.items():
            assert has(typing.get_origin(question.answer()) or question.answer())
            assert question.VERSION >= 1
            assert 0 < question.LARGEST <= message.maxLength
            assert 0 < question.LARGEST_ANSWER <= largest_answer.maxLength
            assert name == question.__name__
            assert len(name) <= 64


def test_no_other_answer() -> None:
    """What does not answer the question is not sent as its answer."""
    for wrong in (Taken(known=True), Refused("full", ""), None, AskHealth):
        with pytest.raises(TypeError):
            wire.encode_answer(AskHealth, wrong)


@pytest.mark.parametrize("kind", message_classes(), ids=lambda c: c.__name__)
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_unknown_key(kind, data) -> None:
    """A key that the class has not is refused in every class."""
    sent = json.loads(wire.encode(data.draw(values(kind))))
    with pytest.raises(wire.MalformedMessage):
        wire.decode(kind, json.dumps(sent | {"surplus": 1}).encode())


@pytest.mark.parametrize("kind", message_classes(), ids=lambda c: c.__name__)
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_wrong_types(kind, data) -> None:
    """A field's value of another kind, or none, is refused in every class."""
    sent = json.loads(wire.encode(data.draw(values(kind))))
    for name, wrong in ((n, w) for n in sent for w in (1.5, {"a": 1}, [[1]])):
        with pytest.raises(wire.MalformedMessage):
            wire.decode(kind, json.dumps(sent | {name: wrong}).encode())
    for name in (f.name for f in fields(kind) if f.default is NOTHING):
        fewer = {key: value for key, value in sent.items() if key != name}
        with pytest.raises(wire.MalformedMessage):
            wire.decode(kind, json.dumps(fewer).encode())


PLAN = {
    "plan_id": "p", "name": "P", "price": 1, "currency": "eur", "interval": "month",
    "quota": 1, "traffic": 1, "terms_version": "1",
}  # fmt: skip


def plan(**change: Any) -> str:
    return json.dumps(PLAN | change)


def claim(**change: Any) -> str:
    good = json.loads(wire.encode(Claim(b"k", b"s", "i-1", "", None)))
    return json.dumps(good | change)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Plan, plan(price=True)),
        (Plan, plan(price=1.0)),
        (Plan, plan(price="1")),
        (Plan, plan(price=None)),
        (Plan, plan(price=2**63)),
        (Plan, plan(price=-(2**80))),
        (Plan, plan(interval="week")),
        (Plan, plan(interval=["month"])),
        (Plan, plan(name=3)),
        (Plan, plan(name=None)),
        (Plan, plan(name="half a character: \ud800")),
        (Plan, plan()[:-1] + ', "price": 2}'),
        (Plan, "[" + plan() + "]"),
        (Taken, '{"known": 1}'),
        (Taken, '{"known": "true"}'),
        (ShowSignup, '{"signup_id": {}}'),
        (Owner, '{"signup_id": "su", "owner_secret": 3}'),
        (Owner, '{"signup_id": "su", "owner_secret": false}'),
        (Page[SignupRow], '{"rows": {}, "cursor": null}'),
        (Page[SignupRow], '{"rows": "", "cursor": null}'),
        (EventsSince, '{"signup_id": null, "since": 1e3}'),
        (EventsSince, '{"signup_id": null, "since": NaN}'),
        (Desired, '{"state": "serving", "quota": true}'),
        (StripeEvent, '{"hint": "evt_1"}'),
        (StripeEvent, '{"hint": {"event_id": 3, "kind": "k"}}'),
        (Claim, claim(public_key="not base64!")),
        (Claim, claim(public_key="YQ==\n")),
        (Claim, claim(public_key=3)),
        *(
            (MonthCosts, f'{{"tax": {text}}}')
            for text in ("1", "1.5", "null", '""', '"1e3"', '"NaN"', '" 1"', '"+1"')
        ),
        (MonthCosts, '{"tax": "0.0000001"}'),
        (MonthCosts, '{"tax": "1000000000000000"}'),
        (MonthCosts, '{"tax": "\u0661"}'),
        (AskHealth, "[]"),
        (AskHealth, '""'),
        (AskHealth, "null"),
        (AskHealth, ""),
        (AskHealth, "{} {}"),
    ],
)
def test_refused(kind, text) -> None:
    """Nothing is coerced, nothing is guessed."""
    with pytest.raises(wire.MalformedMessage):
        wire.decode(kind, text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "text",
    [
        '{"known": true}',
        '{"answer": {"known": 1}}',
        '{"answer": {"known": true}, "refused": {"code": "full", "message": "m"}}',
        '{"refused": {"code": "full"}}',
        '{"refused": {"code": "no such code", "message": "m"}}',
        '{"answer": null}',
        "{}",
        "[]",
        "null",
        "",
    ],
)
def test_refused_answers(text) -> None:
    """What is neither the question's answer nor a refusal is malformed."""
    with pytest.raises(wire.MalformedMessage):
        wire.decode_answer(StripeEvent, text.encode())


@pytest.mark.parametrize(
    "at", ["2026-11-23", "2026-11-23T10:00:00", "10:00", "now", 1, None, ""]
)
def test_times_have_a_zone(at) -> None:
    """A naive time, or what is no time, is refused."""
    sent = {"number": 1, "kind": "paid", "at": at}
    with pytest.raises(wire.MalformedMessage):
        wire.decode(Progress, json.dumps(sent).encode())
    good = sent | {"at": "2026-11-23T10:00:00+00:00"}
    assert wire.decode(Progress, json.dumps(good).encode()).at.tzinfo is not None


def test_literals_are_exact() -> None:
    """True and 1.0 equal 1 to Python, and are not meant as one."""

    @define(frozen=True)
    class Versioned:
        format: Literal[1]

    globals()["Versioned"] = Versioned
    assert wire.decode(Versioned, b'{"format":1}').format == 1
    for wrong in (b"true", b"1.0", b'"1"', b"2"):
        with pytest.raises(wire.MalformedMessage):
            wire.decode(Versioned, b'{"format":%s}' % wrong)


def test_pairs_have_their_length() -> None:
    """A tuple of fixed length is read at that length, each part by its own type."""

    @define(frozen=True)
    class Tagged:
        tags: tuple[tuple[str, int], ...]

    assert wire.decode(Tagged, b'{"tags":[["a",1],["b",2]]}').tags == (
        ("a", 1),
        ("b", 2),
    )
    for wrong in (b'[["a"]]', b'[["a",1,2]]', b'[[1,"a"]]', b'["ab"]'):
        with pytest.raises(wire.MalformedMessage):
            wire.decode(Tagged, b'{"tags":%s}' % wrong)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes(data) -> None:
    """Whatever bytes come, they are refused as malformed or are a message."""
    for read, kind in (
        (wire.decode, Owner),
        (wire.decode, Claim),
        (wire.decode, Refused),
        (wire.decode_answer, AskHealth),
    ):
        try:
            read(kind, data)
        except wire.MalformedMessage as e:
            assert e.__cause__ is None


def test_too_deep() -> None:
    """A message nested without end is malformed, not the end of the process."""
    with pytest.raises(wire.MalformedMessage):
        wire.decode(Owner, b"[" * 100_000)


def test_what_it_looks_like() -> None:
    """The bytes are JSON as the other languages write it."""
    sent = wire.encode(Owner(SignupId("su1"), OwnerSecret("word")))
    assert sent == b'{"signup_id":"su1","owner_secret":"word"}'
    told = wire.encode_refusal(Refused("full", "né"))
    assert told.decode() == '{"refused":{"code":"full","message":"né","field":null}}'
    told = wire.encode_answer(StripeEvent, Taken(known=True))
    assert told == b'{"answer":{"known":true}}'


def test_an_older_peer_reads_what_uses_nothing_new() -> None:
    """A host and a daemon that know no program are sent no field of one, unless there
    is something to say.
    """
    assert wire.encode(Desired("serving", 5)) == b'{"state":"serving","quota":5}'
    wished = wire.encode(Desired("serving", 5, program="r@1", floor=2))
    assert json.loads(wished).keys() == {"state", "quota", "program", "floor"}
    at = datetime(2026, 11, 23, tzinfo=UTC)
    known = {"phase", "at", "used_bytes", "share_count", "advisories", "problem"}
    assert json.loads(wire.encode(Report("ready", at, 0, 0, 0, None))).keys() == known


def test_half_a_character_is_not_sent() -> None:
    """A text that is no Unicode is refused before it is sent, as when it comes."""
    with pytest.raises(wire.MalformedMessage, match="Unicode"):
        wire.encode(Owner(SignupId("su\ud800")))
