"""What customers' hosts may ask: their identity once, and then to report.

Neither facet is registered ahead: the name in the furl is its whole right, and the
journal keeps only its hash.  So a facet is made for any name, and looks up at the
call whose it is; a stranger's name and a dead one get the same refusal.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from attrs import define, evolve
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from twisted.logger import Logger

from lae_flapp.desk.claims import is_signed, what_is_wrong
from lae_flapp.grid import moves, requests
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal import (
    events,
    host_troubles,
    hosts,
    identities,
    images,
    rollout_hosts,
    signups,
    usage,
)
from lae_flapp.journal.hosts import HOSTS, HostRow
from lae_flapp.journal.identities import Identity
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.sealed import context_of
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol import wire
from lae_protocol.furl import Furl
from lae_protocol.host_messages import (
    Claim,
    Claimed,
    Desired,
    NodeIdentity,
    Report,
    StoragePlace,
)
from lae_protocol.ids import SignupId, base32
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.secret import Secret
from lae_provision.doors import Sealer
from lae_provision.errors import ProvisionError
from lae_provision.errors import Refused as SealRefused
from lae_provision.hosts.programs import is_reference
from lae_provision.identity.keys import at_generation

NOBODY = Refused("unknown-signup", "This furl is good for nothing (any more).")
#: The host is faster than the cloud's answer to us: it asks again.
TOO_EARLY = Refused("try-later", "The launch is not recorded yet.")

#: The host asks again.
CLOSED = Refused("try-later", "Its keys cannot be opened now.")
#: How the problem of a signup begins whose host waits for that.
_CLOSED = "the grid's keys cannot be opened"

CLAIM_BOUND = declare("claim.bound", "the claim is journaled, not answered")

#: Reports of the same phase that come sooner are answered and not written down.
PAUSE = timedelta(seconds=5)


@define(frozen=True)
class HostDesk:
    """What the facets of all hosts share.

    *s3_endpoint* is what hosts are told (None on AWS); *host_furl* makes a furl of a
    swissnum.  *cloud_keys* check the cloud's signature of identity documents; without
    any, documents are only compared.
    """

    journal: Journal
    furls: CustomerFurls
    sealer: Sealer
    s3_endpoint: str | None
    host_furl: Callable[[str], Furl]
    cloud_keys: tuple[RSAPublicKey, ...] = ()


@define(frozen=True)
class _Bound:
    """A claim that holds."""

    signup: Signup
    identity: Identity
    host: HostRow


@define(frozen=True)
class _Quarantined:
    """A claim that makes the host suspicious."""

    signup_id: SignupId
    why: str


def _wanted(
    signup: Signup, host: HostRow
) -> Literal["serving", "suspended", "stopping"]:
    """What a host shall be: pure."""
    if host.state == "quarantined":
        return "stopping"
    match signup.state:
        case "paid" | "active" | "past-due":
            return "serving"
        case "suspended":
            return "suspended"
        case _:
            return "stopping"


class BootstrapFacet:
    """The holder of one launch's furl, who has not shown anything else yet."""

    _log = Logger()

    def __init__(self, desk: HostDesk, swissnum: Secret) -> None:
        self._desk, self._swissnum = desk, swissnum

    async def answer(self, claim: Claim, request_id: str) -> Claimed | Refused:
        """Bind the furl to the first key and instance; the same key gets the same."""
        if not is_signed(claim):
            return Refused("malformed", "the claim is not signed by its key")
        # Strangers can only make us read: writes are one after the other.
        known = await self._desk.journal.read(hosts.by_bootstrap, self._swissnum)
        if known is None:
            return NOBODY
        bound = await self._desk.journal.write(self._bind, claim)
        match bound:
            case Refused():
                self._log.warn(
                    "claim {request_id}: {said}",
                    request_id=request_id,
                    said=bound.message,
                )
                return bound
            case _Quarantined(signup_id, why):
                self._log.error(
                    "claim {request_id}: {signup_id} has its host quarantined: {said}",
                    request_id=request_id,
                    signup_id=signup_id,
                    said=why,
                )
                return NOBODY
            case _Bound():
                crash_point(CLAIM_BOUND)
                try:
                    identity = await self._desk.furls.open(bound.identity)
                except (ProvisionError, DeadlinePassed) as e:
                    await self._desk.journal.write(_note_closed, bound.signup, e)
                    return CLOSED
                if _waits_for_keys(bound.signup):
                    await self._desk.journal.write(moves.go_on, bound.signup.signup_id)
                return self._claimed(bound, identity)

    def _bind(self, tx: WriteTx, claim: Claim) -> _Bound | _Quarantined | Refused:
        host = hosts.by_bootstrap(tx, self._swissnum)
        # Looked at first: who finds a dead furl later can do the host no harm.
        if host is None or not host.is_claimable(tx.now):
            return NOBODY
        signup_id, generation = host.signup_id, host.generation
        identity = identities.latest(tx, signup_id)
        if host.instance_id is None or identity is None:
            return TOO_EARLY
        wrong = what_is_wrong(claim, host, self._desk.cloud_keys)
        if wrong is not None:
            return self._quarantine(tx, host, f"a claim was refused: {wrong}")
        match hosts.claim(tx, signup_id, generation, claim.public_key):
            case "dead":
                return NOBODY
            case "another-key":
                why = "a claim was refused: it is of another key than the first"
                return self._quarantine(tx, host, why)
            case "bound":
                moves.claimed(tx, signup_id, generation)
            case "repeated":
                pass
        return _Bound(signups.get(tx, signup_id), identity, self._with_furl(tx, host))

    def _with_furl(self, tx: WriteTx, host: HostRow) -> HostRow:
        """Make the host's own furl, or find the one that it was given before."""
        swissnum = Secret("h" + base32(secrets.token_bytes(32)))
        return hosts.issue_furl(
            tx,
            host.signup_id,
            host.generation,
            swissnum,
            self._desk.sealer.seal(
                swissnum.reveal().encode(),
                context_of(HOSTS, host.signup_id, host.generation),
            ),
        )

    def _quarantine(self, tx: WriteTx, host: HostRow, why: str) -> _Quarantined:
        """Somebody else has the furl: whatever runs there is not trusted any more, and
        nobody gets anything over the furl now, nor can fill the log with more claims.
        """
        signup_id, generation = host.signup_id, host.generation
        events.note(tx, signup_id, "claim-refused", "host", why)
        hosts.move(tx, signup_id, generation, {host.state}, "quarantined")
        cause = f"quarantine-{generation}"
        moves.trouble(tx, signup_id, cause, f"host {generation}: {why}")
        return _Quarantined(signup_id, why)

    def _claimed(self, bound: _Bound, identity: NodeIdentity) -> Claimed:
        signup, host = bound.signup, bound.host
        assert host.furl_sealed is not None, "a claim that holds has a furl"
        plain = self._desk.sealer.unseal(
            host.furl_sealed, context_of(HOSTS, signup.signup_id, host.generation)
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
            Secret(self._desk.host_furl(plain.decode("ascii")).reveal()),
        )


def _note_closed(
    tx: WriteTx, signup: Signup, error: ProvisionError | DeadlinePassed
) -> None:
    """Show why the host gets no further, and what opens the keys all the same."""
    signup_id = signup.signup_id
    problem = (
        f"{_CLOSED} ({error}): mend the key service, or open them with the recovery key"
        f" (lae keys recover --recovery-key FILE {signup_id})"
    )
    if signups.get(tx, signup_id).problem == problem:
        return
    if isinstance(error, SealRefused):
        moves.trouble(tx, signup_id, "keys-closed", problem)
    else:
        moves.delay(tx, signup_id, problem)


def _waits_for_keys(signup: Signup) -> bool:
    return (signup.problem or "").startswith(_CLOSED)


class HostFacet:
    """The host of one generation, reporting of itself alone."""

    def __init__(self, desk: HostDesk, swissnum: Secret) -> None:
        self._desk, self._swissnum = desk, swissnum

    async def answer(self, report: Report, _: str) -> Desired | Refused:
        """Journal how it is, and tell it what it shall be.

        A report that cannot be true is refused as a whole: nothing of it is kept, and
        that it came is journaled once.
        """
        journal = self._desk.journal
        wrong = usage.what_is_impossible(report)
        if wrong is not None:
            if await journal.read(self._is_believed):
                await journal.write(self._note_impossible, wrong)
            return Refused("malformed", f"this report cannot be true: {wrong}")
        desired = await journal.read(self._seen_already, report)
        if desired is None:
            desired = await journal.write(self._journaled, report)
        return desired

    def _known(self, tx: ReadTx) -> HostRow:
        host = hosts.by_furl(tx, self._swissnum)
        if host is None:
            raise Refusal(NOBODY)
        return host

    def _seen_already(self, tx: ReadTx, report: Report) -> Desired | None:
        """A host that reports without a pause makes us read, not write."""
        host = self._known(tx)
        last = usage.read_report(host.report)
        if last is None or host.reported_at is None or not self._is_believed(tx):
            return None
        if tx.now - host.reported_at >= PAUSE or _is_news(last, report):
            return None
        return _desired(tx, host, report)

    def _is_believed(self, tx: ReadTx) -> bool:
        """Whether no report of it is refused for what it says."""
        host = self._known(tx)
        found = host_troubles.of(tx, host.signup_id)
        return all(one.kind != host_troubles.IMPOSSIBLE for one in found)

    def _note_impossible(self, tx: WriteTx, wrong: str) -> None:
        host = self._known(tx)
        what = f"its host's reports are refused, as they cannot be true: {wrong}"
        found = {host_troubles.IMPOSSIBLE: (what, tx.now)}
        if host_troubles.note(tx, host, found):
            events.note(tx, host.signup_id, "report-refused", "host", wrong)

    def _journaled(self, tx: WriteTx, report: Report) -> Desired:
        known = self._known(tx)
        signup_id, generation = known.signup_id, known.generation
        hosts.reported(tx, signup_id, generation, wire.encode(report).decode())
        usage.told(tx, signup_id, report)
        host_troubles.note(tx, known, {})
        host = hosts.get(tx, signup_id, generation)
        if host.state == "claimed" and report.phase in {"self-test-passed", "ready"}:
            # Proved: the bootstrap furl has done its work and is dead.
            host = moves.self_test_passed(tx, signup_id, generation)
        rollout_hosts.heard(tx, signup_id, generation, report)
        if report.program != host.image and is_reference(report.program):
            images.note(tx, signup_id, generation, report.program)
        return _desired(tx, host, report)


def _is_news(last: Report, report: Report) -> bool:
    """Whether a report says something else than how much is stored."""
    programs = (report.program, report.program_refused)
    return (
        last.phase != report.phase or (last.program, last.program_refused) != programs
    )


def _desired(tx: ReadTx, host: HostRow, report: Report) -> Desired:
    """What a host is told; one that does not say what it runs could not go back, so it
    is told no program.
    """
    signup = signups.get(tx, host.signup_id)
    plan = signup.agreement.plan
    desired = Desired(_wanted(signup, host), plan.quota, plan.traffic)
    if not report.program:
        return desired
    program, floor = rollout_hosts.wished(
        tx, signup.cell.name, host.signup_id, host.generation
    )
    return evolve(desired, program=program, floor=floor)
