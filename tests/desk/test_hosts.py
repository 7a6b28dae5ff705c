"""What a host may ask: its identity once, for one key; then to report of itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define, evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.desk.hosts import CLAIM_BOUND, BootstrapFacet, HostDesk, HostFacet
from lae_flapp.desk.usage_view import usage_of
from lae_flapp.desk.view import see, see_as_owner
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal import (
    cells,
    contacts,
    events,
    host_troubles,
    hosts,
    identities,
    listing,
    outbox,
    signups,
)
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.identities import IDENTITIES
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.sealed import context_of
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.transaction import WriteTx
from lae_protocol import wire
from lae_protocol.furl import Furl
from lae_protocol.host_messages import (
    Claim,
    Claimed,
    DayCounts,
    Desired,
    NodeIdentity,
    Report,
)
from lae_protocol.ids import Generation, OwnerSecret, new_grid_label, signup_id_of_form
from lae_protocol.messages import Requests
from lae_protocol.process.answer import Answering
from lae_protocol.process.crash import on_crash_point
from lae_protocol.remote import BOOTSTRAP, HOST
from lae_protocol.secret import Secret
from lae_provision.doors import IdentityRequest, Sealed
from lae_provision.errors import TryLater
from tests.desk.claiming import claim_of, cloud_key
from tests.twins.asking import ask, ask_raw, begin
from tests.twins.cloud import Cloud
from tests.twins.doors import Line
from tests.twins.ground import CELL, PLAN, START
from tests.twins.identities import MemoryIdentities, MemorySealer
from tests.twins.journal import answer, open_journal
from tests.twins.weather import Fault

SU = signup_id_of_form(b"1")
ONE, TWO = Generation(1), Generation(2)


def bootstrap_of(generation: int) -> Secret:
    return Secret("b" + "2345"[generation] * 52)


@define(slots=False)
class Hosts:
    """A paid signup whose host is launched, and the desk that it asks."""

    folder: Path
    clock: Clock = Factory(Clock)
    woken: list[str] = Factory(list)
    faults: list[Fault] = Factory(list)
    cloud: Cloud = Factory(Cloud)
    cloud_keys: tuple[Any, ...] = ()
    journal: Journal = None
    desk: HostDesk = None

    def start(self) -> None:
        self.journal = open_journal(self.folder, self.clock)
        self.journal.hear_of_signups(lambda signup_id, _: self.woken.append(signup_id))
        line = Line(self.cloud, self.clock, self._weather)
        self.identities = MemoryIdentities(line)
        self.desk = HostDesk(
            journal=self.journal,
            furls=CustomerFurls(self.journal, self.identities, MemorySealer()),
            sealer=MemorySealer(),
            s3_endpoint="http://s3.example",
            host_furl=lambda name: Furl("t" * 32, ("h:1",), name),
            cloud_keys=self.cloud_keys,
        )

    def stop(self) -> None:
        answer(Deferred.fromCoroutine(self.journal.close()))

    def restart(self) -> None:
        self.stop()
        self.start()

    def _weather(self, call: str) -> Fault:
        return self.faults.pop(0) if self.faults else Fault.NONE

    def write(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.write(work, *args, **kwargs))

    def read(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.read(work, *args, **kwargs))

    def sign_up(self) -> None:
        made = answer(self.identities.make(self._request()))

        def everything(tx: WriteTx) -> None:
            cells.put(tx, CELL)
            signups.register(
                tx,
                SU,
                OwnerSecret("x" * 40),
                grid_label=new_grid_label(),
                cell=CELL,
                agreement=Agreement(PLAN, tx.now, "en"),
            )
            contacts.put(tx, SU, "ann@example.org", "ann@example.org")
            self.put_in(tx, "paid")
            sealed = made.sealed
            identities.put(tx, SU, ONE, sealed.body, key_id="k", vault_key=sealed.key)
            identities.vaulted(tx, SU, ONE)

        self.write(everything)

    @staticmethod
    def put_in(tx: WriteTx, state: str) -> None:
        """The signup in some state, without the way there."""
        row = signups.SIGNUPS.c.signup_id == SU
        tx.run(signups.SIGNUPS.update().where(row).values(state=state))

    @staticmethod
    def _request() -> IdentityRequest:
        return IdentityRequest(SU, 1, "g1", "S4 g1", "g1.example", 3456, 3457, None)

    def want(self, generation: int = 1) -> None:
        """A generation has begun; its launch is not answered."""

        def begun(tx: WriteTx) -> None:
            assert hosts.begin(tx, SU).generation == generation
            expires = tx.now + timedelta(minutes=30)
            hosts.issue_bootstrap(
                tx, SU, Generation(generation), bootstrap_of(generation), expires
            )

        self.write(begun)

    def launch(self, generation: int = 1) -> None:
        at = datetime.fromtimestamp(START, UTC)
        name = f"i-{generation}"
        self.write(hosts.launched, SU, Generation(generation), name, at)

    def claim(self, claim: Claim | bytes, generation: int = 1) -> Any:
        facet = self.bootstrap(bootstrap_of(generation))
        return self.claim_over(facet, claim)

    def bootstrap(self, swissnum: Secret) -> Answering:
        return Answering(BOOTSTRAP, BootstrapFacet(self.desk, swissnum).answer)

    @staticmethod
    def claim_over(facet: Answering, claim: Claim | bytes) -> Any:
        if isinstance(claim, bytes):
            return ask_raw(facet, Claim, claim)
        return ask(facet, claim)

    def report(self, host_furl: Secret, phase: str, problem: str | None = None) -> Any:
        name = Secret(host_furl.reveal().rsplit("/", 1)[1])
        at = datetime.fromtimestamp(self.clock.seconds(), UTC)
        days = (DayCounts(at.date(), 7, 8, (Requests("put", 9),)),)
        report = Report(phase, at, 5, 1, 2, problem, 6, days, slowed=True)
        return ask(Answering(HOST, HostFacet(self.desk, name).answer), report)

    def host(self, generation: int = 1) -> HostRow:
        return self.read(hosts.get, SU, Generation(generation))

    def kinds(self) -> list[str]:
        return [e.kind for e in self.read(events.since, SU, 0)]

    def troubled_mails(self) -> list[Any]:
        return [m for m in self.read(outbox.of, SU) if m.kind == "troubled"]


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Hosts]:
    """A paid signup; its host is wanted and launched."""
    clock = Clock()
    clock.advance(START)
    made = Hosts(tmp_path / "journal", clock)
    made.start()
    made.sign_up()
    made.want()
    made.launch()
    made.woken.clear()
    yield made
    made.stop()


def test_first_claim(ours, key) -> None:
    """The first claim binds the furl, is told as progress, and gets all of it."""
    told = ours.claim(claim_of(key))
    assert isinstance(told, Claimed)
    assert told.identity.signup_id == SU
    assert told.identity.announcement_seqnum == 2**32
    assert told.storage.bucket.startswith("s4test-g")
    assert (told.storage.region, told.storage.quota) == ("eu-west-1", 250 * 10**9)
    assert told.storage.endpoint == "http://s3.example"
    assert ours.host().state == "claimed"
    assert ours.kinds() == ["registered", "claimed"]
    assert ours.woken == [SU]
    assert told.host_furl.reveal().encode() not in ours.host().furl_sealed


def test_a_lost_answer(ours, key) -> None:
    """The same key gets the same bytes again, after a restart of the daemon too."""
    claim = claim_of(key)
    answers = [wire.encode(ours.claim(claim))]
    answers.append(wire.encode(ours.claim(claim)))
    ours.restart()
    answers.append(wire.encode(ours.claim(claim)))
    assert len(set(answers)) == 1
    assert ours.kinds().count("claimed") == 1


def test_death_between_binding_and_answering(ours, key) -> None:
    """A daemon that dies after the commit gives the answer in its next life."""

    class Died(BaseException):
        pass

    def die(name: str) -> None:
        assert name == CLAIM_BOUND
        raise Died

    claim = wire.encode(claim_of(key))
    on_crash_point(die)
    try:
        facet = BootstrapFacet(ours.desk, bootstrap_of(1))
        dying = begin(Answering(BOOTSTRAP, facet.answer), wire.decode(Claim, claim))
        died = []
        dying.addErrback(lambda failure: died.append(failure.type))
        assert died == [Died]
    finally:
        on_crash_point(None)
    ours.restart()
    assert isinstance(ours.claim(claim), Claimed)
    assert ours.kinds().count("claimed") == 1


def test_the_key_service_is_away(ours, key) -> None:
    """When the identity cannot be opened now, the same claim gets it later."""
    claim = claim_of(key)
    ours.faults[:] = [Fault.THROTTLED]
    assert ours.claim(claim).code == "try-later"
    assert isinstance(ours.claim(claim), Claimed)


def test_another_key(ours, key) -> None:
    """Another key gets nothing; the host is quarantined, an operator told, once."""
    thief = Ed25519PrivateKey.generate()
    ours.claim(claim_of(key))
    told = ours.claim(claim_of(thief))
    assert told.code == "unknown-signup"
    assert ours.host().state == "quarantined"
    assert "another key" in ours.read(signups.get, SU).problem
    for _ in range(3):
        assert ours.claim(claim_of(thief)).code == "unknown-signup"
    # Not the first key either: who of the two is the host is for a person to say.
    assert ours.claim(claim_of(key)).code == "unknown-signup"
    assert ours.kinds() == ["registered", "claimed", "claim-refused", "troubled"]
    (mail,) = ours.troubled_mails()
    assert mail.kind == "troubled"
    assert ours.woken == [SU, SU]


def test_another_instance(ours, key) -> None:
    """A claim of another instance quarantines the host."""
    told = ours.claim(claim_of(key, instance_id="i-2"))
    assert told.code == "unknown-signup"
    assert ours.host().state == "quarantined"
    assert "another instance" in ours.read(signups.get, SU).problem
    assert len(ours.troubled_mails()) == 1
    assert ours.host().furl_sealed is None


def test_forged_signature(ours, key) -> None:
    """A claim that its key did not sign is refused, and harms nobody."""
    good = claim_of(key)
    stranger = Ed25519PrivateKey.generate()
    for forged in (
        evolve(good, signature=claim_of(stranger).signature),
        evolve(good, public_key=b"short"),
    ):
        assert ours.claim(forged).code == "malformed"
    assert ours.host().state == "launched"
    assert isinstance(ours.claim(good), Claimed)


def test_too_late(ours, key) -> None:
    """An expired furl is good for nothing, for the first key too."""
    ours.claim(claim_of(key))
    ours.clock.advance(30 * 60)
    assert ours.claim(claim_of(key)).code == "unknown-signup"
    assert ours.claim(claim_of(Ed25519PrivateKey.generate())).code == "unknown-signup"
    assert ours.host().state == "claimed"


def test_retired(ours, key) -> None:
    """The furl of a host on its way out is good for nothing."""
    ours.write(hosts.move, SU, ONE, {"launched"}, "retiring")
    assert ours.claim(claim_of(key)).code == "unknown-signup"
    assert ours.host().state == "retiring"


def test_too_early(ours, key) -> None:
    """A host that is faster than the cloud's answer to us asks again, and gets it."""
    ours.write(hosts.move, SU, ONE, {"launched"}, "gone")
    ours.want(2)
    claim = claim_of(key, "i-2")
    assert ours.claim(claim, 2).code == "try-later"
    assert ours.kinds() == ["registered"]
    ours.launch(2)
    assert isinstance(ours.claim(claim, 2), Claimed)


def test_a_replaced_host(ours, key) -> None:
    """The second host gets the same identity, but for a higher announcement."""
    first = ours.claim(claim_of(key)).identity
    ours.write(hosts.move, SU, ONE, {"claimed"}, "gone")
    ours.want(2)
    ours.launch(2)
    second = ours.claim(claim_of(Ed25519PrivateKey.generate(), "i-2"), 2)
    assert second.identity.announcement_seqnum == 2 * 2**32
    assert evolve(
        second.identity, generation=1, announcement_seqnum=2**32
    ) == first  # fmt: skip
    assert ours.read(hosts.get, SU, TWO).furl_sealed is not None


def test_unknown_furls_look_alike(ours, key) -> None:
    """A name that nobody was given gets what a dead one gets."""
    claim = claim_of(key)
    stranger = ours.bootstrap(Secret("b" + "z" * 52))
    unknown = ours.claim_over(stranger, claim)
    ours.write(hosts.move, SU, ONE, {"launched"}, "retiring")
    assert unknown == ours.claim(claim)


def test_malformed_claims(ours) -> None:
    """Bytes that are no claim are refused, whatever furl they come over."""
    for data in (b"", b"{}", b"[]", b"\xff"):
        assert ours.claim(data).code == "malformed"


def test_the_clouds_own_word(ours, key) -> None:
    """With the cloud's keys known, who claims without a document is not believed."""
    ours.cloud_keys = (cloud_key().public_key(),)
    ours.restart()
    assert ours.claim(claim_of(key)).code == "unknown-signup"
    assert "no identity document" in ours.read(signups.get, SU).problem


# Reports.


def test_a_host_of_an_earlier_release(ours, key) -> None:
    """A host that speaks the version before is told so, and nothing is kept of what it
    says; a report that the journal has from that time is read all the same.
    """
    furl = ours.claim(claim_of(key)).host_furl
    name = Secret(furl.reveal().rsplit("/", 1)[1])
    facet = Answering(HOST, HostFacet(ours.desk, name).answer)
    old = (
        b'{"phase":"serving","at":"2026-11-23T00:00:00+00:00","used_bytes":5,'
        b'"share_count":1,"advisories":0,"problem":null}'
    )
    assert ask_raw(facet, Report, old, Report.VERSION - 1).code == "version"
    assert ours.host().report is None
    ours.write(hosts.reported, SU, ONE, old.decode())
    seen = ours.read(usage_of, SU, 31)
    assert (seen.stored, seen.noncurrent, seen.days) == (5, None, ())
    ours.clock.advance(60)
    assert ours.report(furl, "serving").state == "serving"
    assert ours.read(usage_of, SU, 31).noncurrent == 6


def test_way_to_ready(ours, key) -> None:
    """The self-test is told once, and "ready" kills the bootstrap furl."""
    furl = ours.claim(claim_of(key)).host_furl
    for phase in ("starting", "serving"):
        wanted = Desired("serving", 250 * 10**9, 10**12)
        assert ours.report(furl, phase) == wanted
    assert ours.host().state == "claimed"
    for phase in ("self-test-passed", "self-test-passed", "ready", "ready"):
        assert ours.report(furl, phase).state == "serving"
    assert ours.kinds() == ["registered", "claimed", "self-test-passed"]
    assert ours.host().state == "ready"
    assert ours.claim(claim_of(key)).code == "unknown-signup"
    seen = ours.read(usage_of, SU, 31)
    assert (seen.stored, seen.noncurrent, seen.advisories, seen.slowed) == (
        5,
        6,
        2,
        True,
    )
    assert (seen.sent_this_month, seen.days[0].requests) == (8, (Requests("put", 9),))
    secret = OwnerSecret("x" * 40)
    owner = ours.read(see_as_owner, SU, secret, 0, lambda _: False)[0].owner
    assert owner.usage == evolve(seen, days=())
    assert ours.read(see, SU, 0).owner is None
    kept = wire.decode(Report, ours.host().report.encode())
    assert (kept.phase, kept.used_bytes) == ("ready", 5)


def test_ready_is_safe_from_the_old_furl(ours, key) -> None:
    """Who finds the furl in the user-data later can do a serving host no harm."""
    furl = ours.claim(claim_of(key)).host_furl
    ours.report(furl, "ready")
    thief = Ed25519PrivateKey.generate()
    for claim in (claim_of(thief), claim_of(thief, "i-9"), claim_of(key, "i-9")):
        assert ours.claim(claim).code == "unknown-signup"
    assert ours.host().state == "ready"
    assert ours.troubled_mails() == []


def test_ready_at_once(ours, key) -> None:
    """A report of "ready" alone says that the self-test passed, too."""
    furl = ours.claim(claim_of(key)).host_furl
    ours.report(furl, "ready")
    assert ours.kinds() == ["registered", "claimed", "self-test-passed"]


def test_a_failing_host(ours, key) -> None:
    """A host that fails is journaled with its reason, and is not ready."""
    furl = ours.claim(claim_of(key)).host_furl
    ours.report(furl, "failing", "S3 refuses")
    assert ours.host().state == "claimed"
    assert "S3 refuses" in ours.host().report


def test_revoked(ours, key) -> None:
    """The furl of a retired host reports nothing any more."""
    furl = ours.claim(claim_of(key)).host_furl
    ours.write(hosts.move, SU, ONE, {"claimed"}, "retiring")
    told = ours.report(furl, "ready")
    assert told.code == "unknown-signup"
    assert ours.host().report is None
    assert ours.host().state == "retiring"


def test_a_stranger_reports(ours) -> None:
    """A name that nobody was given writes nothing."""
    told = ours.report(Secret(f"pb://{'t' * 32}@h:1/h" + "z" * 52), "ready")
    assert told.code == "unknown-signup"
    assert ours.host().state == "launched"


def test_quarantined_stays_so(ours, key) -> None:
    """A quarantined host cannot report itself ready, and is told to stop."""
    furl = ours.claim(claim_of(key)).host_furl
    ours.claim(claim_of(Ed25519PrivateKey.generate()))
    assert ours.report(furl, "ready").state == "stopping"
    assert ours.host().state == "quarantined"


@pytest.mark.parametrize(
    ("state", "wanted"),
    [("past-due", "serving"), ("suspended", "suspended"), ("stopped", "stopping")],
)
def test_not_paid(ours, key, state, wanted) -> None:
    """In the grace a host serves; after it, it may be read and not written."""
    furl = ours.claim(claim_of(key)).host_furl
    ours.write(Hosts.put_in, state)
    assert ours.report(furl, "serving").state == wanted


@pytest.mark.parametrize(
    "state", ["refunding", "refunded", "cancelled", "ending", "ended", "deleting"]
)
def test_over(ours, key, state) -> None:
    """The host of a signup that has ended is told to stop."""
    furl = ours.claim(claim_of(key)).host_furl
    ours.write(Hosts.put_in, state)
    assert ours.report(furl, "serving").state == "stopping"


def test_second_self_test(ours, key) -> None:
    """A replaced host's self-test is told again: it is another host's."""
    furl = ours.claim(claim_of(key)).host_furl
    ours.report(furl, "ready")
    ours.clock.advance(60)
    ours.write(hosts.move, SU, ONE, {"ready"}, "gone")
    ours.want(2)
    ours.launch(2)
    second = ours.claim(claim_of(Ed25519PrivateKey.generate(), "i-2"), 2).host_furl
    ours.report(second, "self-test-passed")
    assert ours.kinds().count("self-test-passed") == 2


def test_identity_service_breaks(ours, key) -> None:
    """What fails behind the desk is told as "try later", without its reason."""

    class Broken:
        def open(self, sealed: Any) -> Deferred[Any]:
            raise TryLater("KMSInternal", "the key is arn:secret")

    ours.desk = evolve(
        ours.desk, furls=CustomerFurls(ours.journal, Broken(), MemorySealer())
    )
    told = ours.claim(claim_of(key))
    assert told.code == "try-later"
    assert "arn" not in told.message


def test_a_lying_host(ours, key) -> None:
    """A report of what cannot be is refused and nothing of it kept; it is noted once,
    told as long as it lasts, and its customer is shown as before.
    """
    furl = ours.claim(claim_of(key)).host_furl
    name = Secret(furl.reveal().rsplit("/", 1)[1])
    facet = Answering(HOST, HostFacet(ours.desk, name).answer)
    ours.report(furl, "ready")
    ours.write(ours.put_in, "active")
    good, before = ours.host().report, ours.read(usage_of, SU, 31)

    def lie() -> Any:
        today = datetime.fromtimestamp(ours.clock.seconds(), UTC)
        days = tuple(
            DayCounts(today.date() - timedelta(days=n), 0, 2**63 - 1, ())
            for n in (0, 1)
        )
        return ask(facet, Report("ready", today, 5, 1, 2, None, 6, days))

    for _ in range(3):
        ours.clock.advance(60)
        assert lie().code == "malformed"
    assert ours.host().report == good
    assert ours.read(usage_of, SU, 31) == before
    view = ours.read(lambda tx: see_as_owner(tx, SU, OwnerSecret("x" * 40), 0, bool))
    assert view[0].owner.usage.sent_this_month == 8
    assert ours.kinds().count("report-refused") == 1
    (trouble,) = ours.read(host_troubles.of)
    assert (trouble.signup_id, trouble.kind) == (SU, "impossible-report")
    # It is over with the first report that can be true, at once.
    assert ours.report(furl, "ready").state == "serving"
    assert ours.read(host_troubles.of) == ()
    lie()
    assert ours.kinds().count("report-refused") == 2
    # A host that is replaced takes it along.
    ours.write(hosts.move, SU, ONE, {"ready"}, "retiring")
    assert ours.read(host_troubles.of) == ()


@pytest.mark.parametrize("kept", ["", "{}", "a report of no release"])
def test_a_report_that_cannot_be_read(ours, key, kept) -> None:
    """A report that the journal cannot read is none: owner, operator and the host
    itself go on.
    """
    furl = ours.claim(claim_of(key)).host_furl
    ours.report(furl, "ready")
    ours.write(hosts.reported, SU, ONE, kept)
    view, _ = ours.read(lambda tx: see_as_owner(tx, SU, OwnerSecret("x" * 40), 0, bool))
    assert view.owner.usage is None
    assert ours.report(furl, "ready").state == "serving"
    assert ours.read(usage_of, SU, 0).stored == 5


def recover(ours: Hosts, identity: NodeIdentity) -> None:
    """As ``lae keys recover`` does."""
    plain = wire.encode(identity)
    row = ours.read(identities.latest, SU)
    sealed = MemorySealer().seal(plain, context_of(IDENTITIES, SU, row.generation))
    ours.write(identities.recovered, row, sealed)


def test_keys_that_the_key_service_refuses_to_open(ours, key) -> None:
    """The signup's problem says so, and what to do; an operator is told once.  With what
    the recovery key opened the same claim is answered, in the next life too, and the
    key service is not asked any more.
    """
    row = ours.read(identities.latest, SU)
    identity = answer(ours.identities.open(Sealed(row.vault_key, row.sealed)))
    ours.faults[:] = [Fault.REFUSED] * 2
    claim = claim_of(key)
    for _ in range(2):
        assert ours.claim(claim).code == "try-later"
    problem = ours.read(signups.get, SU).problem
    assert f"lae keys recover --recovery-key FILE {SU}" in problem
    assert len(ours.troubled_mails()) == 1
    recover(ours, identity)
    ours.restart()
    ours.faults[:] = [Fault.REFUSED]
    told = ours.claim(claim)
    assert isinstance(told, Claimed)
    assert told.identity == identity
    assert ours.faults == [Fault.REFUSED]
    assert ours.read(signups.get, SU).problem is None


def test_keys_that_the_key_service_opens_later(ours, key) -> None:
    """While it is away the signup's problem says so, and no mail goes; once the host has
    its keys there is none.
    """
    ours.faults[:] = [Fault.THROTTLED] * 2
    claim = claim_of(key)
    for _ in range(2):
        ours.claim(claim)
    assert "cannot be opened" in ours.read(signups.get, SU).problem
    assert ours.kinds().count("delayed") == 1
    assert ours.troubled_mails() == []
    assert isinstance(ours.claim(claim), Claimed)
    assert ours.read(signups.get, SU).problem is None


def test_a_host_without_s3_is_seen(ours, key) -> None:
    """A signup whose host cannot serve is shown and listed with what the host says, and
    is among those that wait; when the host is well it is not.
    """
    furl = ours.claim(claim_of(key)).host_furl
    ours.report(furl, "ready")
    ours.write(ours.put_in, "active")

    def waiting() -> list[str | None]:
        page = ours.read(listing.page, listing.Filter(waiting=True))
        return [row.problem for row in page.rows]

    assert (waiting(), ours.read(listing.row, SU).problem) == ([], None)
    ours.clock.advance(60)
    ours.report(furl, "ready", "the bucket cannot be used")
    assert ours.read(listing.row, SU).problem == "host: the bucket cannot be used"
    assert waiting() == ["host: the bucket cannot be used"]
    ours.write(signups.set_problem, SU, "its worker waits")
    assert waiting() == ["its worker waits"]
    ours.write(signups.set_problem, SU, None)
    ours.clock.advance(60)
    ours.report(furl, "ready")
    assert (waiting(), ours.read(listing.row, SU).problem) == ([], None)
