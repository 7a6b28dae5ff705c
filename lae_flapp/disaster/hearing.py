"""Whether hosts would be heard: asked over the very furls that they hold.

The daemon's desk for hosts is opened on this machine's loopback alone, with the
restored certificate and a copy of the restored journal; each host's report is made up.
"""

from __future__ import annotations

import random
import socket
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from attrs import define
from sqlalchemy import select
from twisted.internet.defer import maybeDeferred

from lae_flapp.desk.hosts import HostDesk
from lae_flapp.desk.tubs import furl_of, serve_hosts, serving_tub
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal.hosts import HOSTS, RETIRED, HostRow
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.sealed import context_of
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.settings import DaemonSettings, TubSettings
from lae_protocol.host_messages import Desired, Report
from lae_protocol.process.call import FacetError, ask
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.settings import SettingsError
from lae_protocol.process.tub import make_tub
from lae_provision.errors import Refused
from lae_provision.identity.journal_sealer import JournalSealer

CONNECT, ANSWER = 10.0, 10.0  # s


@define(frozen=True)
class Heard:
    """Of *hosts*, some were drawn: *heard* were answered, *deaf* names the others."""

    hosts: int
    heard: int
    deaf: tuple[str, ...]


async def hear(
    reactor: Any, settings: DaemonSettings, journal: Journal, most: int
) -> Heard:
    """Report in the place of at most *most* hosts."""
    rows = await journal.read(_rows)
    if not rows:
        return Heard(0, 0, ())
    try:
        sealer = JournalSealer(settings.sealing.journal_keys.read())
    except SettingsError:
        return Heard(len(rows), 0, tuple(row.signup_id for row in rows))
    location = f"127.0.0.1:{_free_port()}"
    port = location.partition(":")[2]
    here = TubSettings(f"tcp:{port}:interface=127.0.0.1", location)
    served = serving_tub(reactor, here, settings.state / "hosts.pem", journal.is_live)
    desk = HostDesk(
        journal=journal,
        # No host claims here.
        furls=CustomerFurls(journal, None, sealer),  # type: ignore[arg-type]
        sealer=sealer,
        s3_endpoint=None,
        host_furl=lambda name: furl_of(served, location, name),
    )
    serve_hosts(served, desk, reactor.seconds)
    caller = make_tub()
    chosen = random.sample(rows, min(most, len(rows)))
    deaf = []
    for tub in (served, caller):
        tub.startService()
    try:
        for row in chosen:
            if not await _answers(reactor, caller, desk, row):
                deaf.append(row.signup_id)  # noqa: PERF401  (it is awaited)
    finally:
        for tub in (caller, served):
            await maybeDeferred(tub.stopService)
    return Heard(len(rows), len(chosen) - len(deaf), tuple(deaf))


def _rows(tx: ReadTx) -> tuple[HostRow, ...]:
    """Hosts that have a furl of their own."""
    query = select(HOSTS).where(
        HOSTS.c.furl_sealed.is_not(None), HOSTS.c.state.not_in(sorted(RETIRED))
    )
    return tuple(HostRow(*row) for row in tx.all(query))


async def _answers(reactor: Any, tub: Any, desk: HostDesk, row: HostRow) -> bool:
    assert row.furl_sealed is not None
    try:
        plain = desk.sealer.unseal(
            row.furl_sealed, context_of(HOSTS, row.signup_id, row.generation)
        )
        furl = desk.host_furl(plain.decode("ascii"))
        reference = await with_deadline(
            reactor, CONNECT, "the desk", tub.getReference(furl.reveal())
        )
        told = await ask(reactor, reference, _report(), ANSWER)
    except (Refused, DeadlinePassed, FacetError):
        return False
    return isinstance(told, Desired)


def _report() -> Report:
    return Report(
        phase="ready",
        at=datetime.now(UTC),
        used_bytes=0,
        share_count=0,
        advisories=0,
        problem=None,
    )


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
