"""What customers' hosts may ask: their identity once, and then to report.

Neither facet is registered ahead: the name in the furl is its whole right, and the
journal keeps only its hash.  So a facet is made for any name, and looks up at the
call whose it is; a stranger's name and a dead one get the same refusal.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from foolscap.api import Referenceable
from twisted.logger import Logger
from zope.interface import implementer

from lae_flapp.facets.furls import CustomerFurls
from lae_flapp.journal import bootstraps, events, host_furls, hosts, identities, signups
from lae_flapp.journal.bootstraps import Bootstrap
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.host_furls import HostFurl
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.identities import Identity
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.signup import requests
from lae_protocol import wire
from lae_protocol.host_messages import (
    VERSION,
    Claim,
    ClaimAnswer,
    Claimed,
    Desired,
    NodeIdentity,
    Report,
    ReportAnswer,
    StoragePlace,
)
from lae_protocol.ids import SignupId, base32
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal, answers
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.remote import RIBootstrap, RIHost
from lae_protocol.secret import Secret
from lae_provision.doors import Sealer
from lae_provision.identity.keys import at_generation

NOBODY = Refused("unknown-signup", "This furl is good for nothing (any more).")
#: The host is faster than the cloud's answer to us: it asks again.
TOO_EARLY = Refused("try-later", "The launch is not recorded yet.")

CLAIM_BOUND = declare("claim.bound", "the claim is journaled, not answered")


def claim_text(instance_id: str, launch_time: str) -> bytes:
    """What the agent signs."""
    return b"s4 claim v1\0" + instance_id.encode() + b"\0" + launch_time.encode()


def is_signed(claim: Claim) -> bool:
    """Whether the claimer holds the private half of the key that it shows.  Pure."""
    try:
        key = Ed25519PublicKey.from_public_bytes(claim.public_key)
        key.verify(claim.signature, claim_text(claim.instance_id, claim.launch_time))
    except (InvalidSignature, ValueError):
        return False
    return True


def is_of_instance(claim: Claim, host: HostRow) -> bool:
    """Whether the claim names the instance that was launched.  Pure."""
    if claim.instance_id != host.instance_id:
        return False
    if host.launch_time is not None:
        try:
            told = datetime.fromisoformat(claim.launch_time)
        except ValueError:
            return False
        if told.tzinfo is None:
            told = told.replace(tzinfo=UTC)
        if abs((told - host.launch_time).total_seconds()) > 1:
            return False
    if claim.identity_document is not None:
        try:
            document = json.loads(claim.identity_document)
        except ValueError:
            return False
        return bool(document.get("instanceId") == host.instance_id)
    return True


@define(frozen=True)
class HostDesk:
    """What the facets of all hosts share.

    *s3_endpoint* is what hosts are told (None on AWS); *host_furl* makes a furl of a
    swissnum; *nudge* wakes the worker for a signup.
    """

    journal: Journal
    furls: CustomerFurls
    sealer: Sealer
    s3_endpoint: str | None
    host_furl: Callable[[str], str]
    nudge: Callable[[SignupId], object]


@define(frozen=True)
class _Bound:
    """A claim that holds."""

    signup: Signup
    identity: Identity
    host: HostRow
    host_furl: HostFurl


def _no() -> Refusal:
    return Refusal(NOBODY)


@implementer(RIBootstrap)  # type: ignore[misc]  # foolscap has no types
class BootstrapFacet(Referenceable):
    """The holder of one launch's furl, who has not shown anything else yet."""

    _log = Logger()

    def __init__(self, desk: HostDesk, swissnum: Secret) -> None:
        self._desk, self._swissnum = desk, swissnum

    @answers(VERSION, Claim, ClaimAnswer)
    async def remote_claim(self, claim: Claim, request_id: str) -> Any:
        """Bind the furl to the first key and instance; the same key gets the same."""
        if not is_signed(claim):
            return Refused("malformed", "the claim is not signed by its key")
        bound = await self._desk.journal.write(self._bind, claim)
        if isinstance(bound, Refused):
            self._log.warn("claim {id}: {why}", id=request_id, why=bound.message)
            return bound
        crash_point(CLAIM_BOUND)
        self._desk.nudge(bound.signup.signup_id)
        identity = await self._desk.furls.open(bound.identity)
        return self._answer(bound, identity)

    def _bind(self, tx: WriteTx, claim: Claim) -> _Bound | Refused:
        row = bootstraps.by_swissnum(tx, self._swissnum)
        if row is None:
            return NOBODY
        signup_id, generation = row.signup_id, row.generation
        host = hosts.find(tx, signup_id, generation)
        if host is None or host.instance_id is None:
            return TOO_EARLY
        if not is_of_instance(claim, host):
            return self._quarantine(tx, row, "a claim names another instance")
        match bootstraps.claim(
            tx, signup_id, generation, claim.public_key, claim.instance_id
        ):
            case "dead":
                return NOBODY
            case "another-key":
                return self._quarantine(tx, row, "a claim with another key")
            case "bound":
                events.tell(tx, signup_id, "claimed", "host")
                hosts.move(tx, signup_id, generation, {"launched"}, "claimed")
            case "repeated":
                pass
        return self._bound(tx, row, host)

    def _bound(self, tx: WriteTx, row: Bootstrap, host: HostRow) -> _Bound | Refused:
        identity = identities.latest(tx, row.signup_id)
        if identity is None:
            return TOO_EARLY
        swissnum = Secret("h" + base32(secrets.token_bytes(32)))
        furl = host_furls.issue(
            tx,
            row.signup_id,
            row.generation,
            swissnum,
            self._desk.sealer.seal(
                swissnum.reveal().encode(), self._context(row.signup_id, row.generation)
            ),
        )
        return _Bound(signups.get(tx, row.signup_id), identity, host, furl)

    def _quarantine(self, tx: WriteTx, row: Bootstrap, why: str) -> Refused:
        """Somebody else has the furl: whatever runs there is not trusted any more."""
        events.note(tx, row.signup_id, "claim-refused", "host", why)
        signups.set_problem(tx, row.signup_id, f"host quarantined: {why}")
        try:
            hosts.move(
                tx,
                row.signup_id,
                row.generation,
                {"launched", "claimed", "ready"},
                "quarantined",
            )
        except StateChanged:
            # Quarantined before, or on its way out.
            return NOBODY
        events.tell(tx, row.signup_id, "troubled", "daemon", why)
        return NOBODY

    def _answer(self, bound: _Bound, identity: NodeIdentity) -> Claimed:
        signup, host = bound.signup, bound.host
        plain = self._desk.sealer.unseal(
            bound.host_furl.sealed, self._context(signup.signup_id, host.generation)
        )
        storage = StoragePlace(
            bucket=requests.resource_name(signup),
            region=signup.cell.region,
            endpoint=self._desk.s3_endpoint,
            quota=signup.agreement.plan.quota,
        )
        return Claimed(
            at_generation(identity, host.generation),
            storage,
            Secret(self._desk.host_furl(plain.decode("ascii"))),
        )

    @staticmethod
    def _context(signup_id: str, generation: int) -> str:
        return f"host furl of {signup_id} generation {generation}"


@implementer(RIHost)  # type: ignore[misc]  # foolscap has no types
class HostFacet(Referenceable):
    """The host of one generation, reporting of itself alone."""

    def __init__(self, desk: HostDesk, swissnum: Secret) -> None:
        self._desk, self._swissnum = desk, swissnum

    @answers(VERSION, Report, ReportAnswer)
    async def remote_report(self, report: Report, request_id: str) -> Any:
        """Journal how it is, and tell it what it shall be."""
        del request_id
        signup = await self._desk.journal.write(self._journaled, report)
        self._desk.nudge(signup.signup_id)
        state = "serving" if signup.state in {"paid", "active"} else "stopping"
        return Desired(state, signup.agreement.plan.quota)  # type: ignore[arg-type]

    def _journaled(self, tx: WriteTx, report: Report) -> Signup:
        row = host_furls.by_swissnum(tx, self._swissnum)
        if row is None:
            raise _no()
        signup_id, generation = row.signup_id, row.generation
        text = wire.encode(report).decode()
        hosts.reported(tx, signup_id, generation, text)
        host = hosts.get(tx, signup_id, generation)
        if report.phase == "self-test-passed" and host.state == "claimed":
            self._told_once(tx, signup_id, host)
        if report.phase == "ready" and host.state == "claimed":
            self._told_once(tx, signup_id, host)
            hosts.move(tx, signup_id, generation, {"claimed"}, "ready")
            # Ready: the bootstrap furl has done its work and dies.
            bootstraps.kill(tx, signup_id, generation)
        return signups.get(tx, signup_id)

    @staticmethod
    def _told_once(tx: WriteTx, signup_id: SignupId, host: HostRow) -> None:
        told = events.since(tx, signup_id, 0, public=True)
        if not any(
            e.kind == "self-test-passed" and e.at >= host.wanted_at for e in told
        ):
            events.tell(tx, signup_id, "self-test-passed", "host")
