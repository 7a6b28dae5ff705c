"""Attacks on the daemon's ports, with what was stolen of a site or a host."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from foolscap.api import RemoteException
from foolscap.ipb import DeadReferenceError, IConnectionHintHandler
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater, react
from zope.interface import implementer

from lae_localcloud.certificates import self_sign
from lae_protocol.furl import Furl
from lae_protocol.host_messages import DayCounts, Report
from lae_protocol.ids import OwnerSecret, new_request_id, signup_id_of_form
from lae_protocol.messages import AskDoors, Refused, Register
from lae_protocol.process.call import FacetError, ask
from lae_protocol.process.tub import make_tub
from lae_protocol.question import Question
from tests.attack.pace import Pace, Tally
from tests.attack.target import FROM, Target

_IN_FLIGHT = 1500
_REGISTERING = 50
#: For an answer, before the next flood.
_PATIENCE = 3.0  # s
#: Over one connection, before the next connection.
_FLOODS = 2
#: As large as SQLite's integers.
_TOO_MUCH = 2**63 - 1
_NAMES = 4000
_LOST = (DeadReferenceError, ConnectError, ConnectionClosed)


@implementer(IConnectionHintHandler)
class _FromThere:
    """Connections from the attacker's own address."""

    def hint_to_endpoint(self, hint: str, reactor: Any, _: Any) -> Any:
        _, host, port = hint.split(":")
        return TCP4ClientEndpoint(reactor, "127.0.0.1", int(port), 10, (FROM, 0)), host


def _new_tub() -> Any:
    """A peer that nobody has seen before; its key takes no time, as an RSA one would."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = self_sign(key, "attacker").public_bytes(serialization.Encoding.PEM)
    tub = make_tub(pem=public + text)
    tub.removeAllConnectionHintHandlers()
    tub.addConnectionHintHandler("tcp", _FromThere())
    tub.startService()
    return tub


def _run(work: Callable[[Any], Awaitable[None]]) -> None:
    """Run the reactor until *work* is done."""
    try:
        react(lambda reactor: Deferred.fromCoroutine(work(reactor)))
    except SystemExit as e:
        if e.code:
            raise


async def _rest(reactor: Any, pace: Pace) -> None:
    await deferLater(reactor, pace.owed() + 0.001)


def invented_names(target: Target, pace: Pace, tally: Tally) -> None:
    """Connections that each name a host that nobody has, one name for all."""
    real = target.host_furl
    name = "h" + secrets.choice("abcdefgh") * (len(real.swissnum) - 1)
    invented = real.reveal().replace(real.swissnum, name)
    held: list[Any] = []

    async def work(reactor: Any) -> None:
        while not pace.over:
            if len(held) < _NAMES:
                try:
                    held.append(await _new_tub().getReference(invented))
                except (RemoteException, *_LOST) as e:
                    tally.note(type(e).__name__)
                else:
                    tally.note("named")
                    held[-1].notifyOnDisconnect(tally.note, "closed by the daemon")
            await _rest(reactor, pace)

    _run(work)


def host_floods(target: Target, pace: Pace, tally: Tally) -> None:
    """One host with hundreds of calls in flight, again and again."""
    report = Report("ready", datetime.now(UTC), 0, 0, 0, None)
    _flood(target.host_furl, pace, tally, lambda: report, _IN_FLIGHT)


def lying_host(target: Target, pace: Pace, tally: Tally) -> None:
    """One host that says that it sent more than there is."""

    def lie() -> Report:
        now = datetime.now(UTC)
        day = DayCounts(now.date(), _TOO_MUCH, _TOO_MUCH, ())
        return Report("ready", now, _TOO_MUCH, _TOO_MUCH, 0, None, _TOO_MUCH, (day,))

    _flood(target.host_furl, pace, tally, lie, 2)


def registrations(target: Target, pace: Pace, tally: Tally) -> None:
    """Who stole a site's furl registers without end, and pays for nothing."""

    async def work(reactor: Any) -> None:
        reference = await _new_tub().getReference(target.site_furl.reveal())
        doors = await ask(reactor, reference, AskDoors(), 10)
        assert not isinstance(doors, Refused), doors

        def register() -> Register:
            nonce = secrets.token_bytes(16)
            email = f"{nonce.hex()}@example.net"
            secret = OwnerSecret(secrets.token_urlsafe(32))
            return Register(
                signup_id_of_form(nonce), secret, email, doors.plans[0], "en"
            )

        while not pace.over:
            await _ask_many(reactor, reference, pace, tally, register, _REGISTERING)
            await _rest(reactor, pace)

    _run(work)


def _flood(
    furl: Furl,
    pace: Pace,
    tally: Tally,
    question: Callable[[], Question[Any]],
    many: int,
) -> None:
    async def work(reactor: Any) -> None:
        while not pace.over:
            # A connection whose calls were refused is heard no more at once.
            reference = await _new_tub().getReference(furl.reveal())
            for _ in range(_FLOODS):
                await _ask_many(reactor, reference, pace, tally, question, many)
                await _rest(reactor, pace)

    _run(work)


async def _ask_many(
    reactor: Any,
    reference: Any,
    pace: Pace,
    tally: Tally,
    question: Callable[[], Question[Any]],
    many: int,
) -> None:
    """Ask so often at once, and note each answer that comes in time."""
    patience = min(_PATIENCE, pace.left + 1)

    async def one() -> None:
        try:
            told = await ask(reactor, reference, question(), patience, new_request_id())
        except FacetError as e:
            tally.note(type(e).__name__)
        else:
            tally.note(told.code if isinstance(told, Refused) else "answered")

    await gatherResults([Deferred.fromCoroutine(one()) for _ in range(many)])
