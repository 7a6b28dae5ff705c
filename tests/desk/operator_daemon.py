"""A daemon's private Tub on a real journal, as a process of its own.

``operator_daemon.py FOLDER`` writes the furls into FOLDER, says "ready", and obeys
the lines that it reads: ``note SIGNUP TEXT``, ``state SIGNUP STATE``, ``cause KIND
SUBJECT: WHAT``, ``revoke``, ``hang``.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver

from lae_flapp.desk.hosts import HostDesk, HostFacet
from lae_flapp.desk.operators.facet import operator_facet
from lae_flapp.desk.tubs import furl_of, new_name, serve_operators, serving_tub
from lae_flapp.journal import (
    causes,
    cells,
    contacts,
    effects,
    events,
    hosts,
    operators,
    sessions,
    signups,
)
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import Home
from lae_flapp.journal.sessions import Payment
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.threads import JournalThreads
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.settings import TubSettings
from lae_localcloud.ports import free_ports
from lae_protocol.ids import (
    Generation,
    GridLabel,
    OwnerSecret,
    SignupId,
    signup_id_of_form,
)
from lae_protocol.looking_messages import ListSignups
from lae_protocol.process.answer import Answering
from lae_protocol.process.budget import CallShare
from lae_protocol.remote import HOST, OPERATOR
from lae_protocol.secret import Secret
from tests.twins.cloud import Cloud, Instance
from tests.twins.payments import Account, MemoryPayments

sys.path.insert(0, str(Path(__file__).parent))
try:
    from an_operator_desk import CELL, PLAN, make_desk
finally:
    sys.path.pop(0)

#: What the addresses look like; the ninth is as long as SMTP lets one be.
EMAILS = (
    "ann@example.org",
    "o'neil+x&co@exämple.org",
    "[bold]rich@example.org",
    "b@example.org",
    "c@example.org",
    "d@example.org",
    "e@example.org",
    "f@example.org",
    "l" * 64 + "@" + ".".join(["d" * 60] * 3) + ".org",
    "j@example.org",
    "k@example.org",
    "ann@example.com",
)


#: The session that the first of them paid.
PAID = "cs_1"


def an_account() -> Account:
    """What Stripe has of the first of them."""
    return Account(charged={"sub_1": PLAN.price}, currencies={"sub_1": PLAN.currency})


def id_of(number: int) -> SignupId:
    return signup_id_of_form(f"form {number}".encode())


def label_of(number: int) -> GridLabel:
    return GridLabel("g" + "abcdefghijklmno"[number % 15] * 15)


def fill(tx: WriteTx) -> None:
    """Twelve signups: the first active and paid, the second stuck, the third bouncing."""
    cells.put(tx, CELL)
    for number, email in enumerate(EMAILS):
        signup_id = id_of(number)
        signups.register(
            tx,
            signup_id,
            OwnerSecret(f"secret {number}" * 5),
            grid_label=label_of(number),
            cell=CELL,
            agreement=Agreement(PLAN, tx.now, "en"),
        )
        contact = contacts.put(tx, signup_id, email, email)
        if number == 2:
            contacts.mark(tx, contact.number, "bouncing")
    sessions.opened(tx, id_of(0), PAID, "", tx.now)
    payment = Payment(PAID, "cus_1", "sub_1", None, "pi_1", tx.now)
    sessions.paid(tx, id_of(0), "registered", payment)
    _force(tx, id_of(0), "active")
    _force(tx, id_of(1), "paid")
    events.tell(tx, id_of(1), "paid", "daemon")
    problem = "the cloud has no room for instances of this type (InsufficientCapacity)"
    signups.set_problem(tx, id_of(1), problem)
    events.tell(tx, id_of(1), "delayed", "daemon", problem)
    hosts.begin(tx, id_of(0))
    hosts.launched(tx, id_of(0), Generation(1), "i-0123456789abcdef0", tx.now)
    hosts.issue_bootstrap(tx, id_of(0), Generation(1), Secret("b" * 53), tx.now)
    key = effects.EffectKey(id_of(1), "host", "make-host", Generation(1))
    effect = effects.begin(tx, effects.upcoming(tx, key), b"{}")
    effects.fail(tx, effect.number, "InsufficientInstanceCapacity: no room")
    effects.begin(tx, effects.upcoming(tx, key), b"{}")


def _force(tx: WriteTx, signup_id: SignupId, state: str) -> None:
    row = signups.SIGNUPS.c.signup_id == signup_id
    tx.run(signups.SIGNUPS.update().where(row).values(state=state))


class Obeying(LineOnlyReceiver):
    delimiter = b"\n"

    def __init__(self, journal: Journal, hanging: dict[str, bool]) -> None:
        self._journal, self._hanging = journal, hanging

    def lineReceived(self, line: bytes) -> None:
        verb, *rest = line.decode().split(" ", 2)
        if verb == "note":
            done = self._journal.write(events.note, SignupId(rest[0]), "noted", rest[1])
        elif verb == "state":
            done = self._journal.write(_force, SignupId(rest[0]), rest[1])
        elif verb == "cause":
            done = self._journal.write(causes.begin, rest[0], *rest[1].split(": "))
        elif verb == "revoke":
            done = self._journal.write(operators.revoke, "ann", "bob")
        else:
            self._hanging["hang"] = True
            done = Deferred()
            done.callback(None)
        done.addCallback(lambda _: self.sendLine(b"done"))

    def connectionLost(self, reason: Any = None) -> None:
        reactor.stop()


async def main(folder: Path) -> None:
    home = Home("test", "s4test", "000000000000", "test")
    (folder / "journal").mkdir(mode=0o700)
    path = folder / "journal" / "journal.sqlite"
    journal = Journal(path, home, reactor, JournalThreads(reactor))
    await journal.open()
    reactor.addSystemEventTrigger(
        "before", "shutdown", lambda: Deferred.fromCoroutine(journal.close())
    )
    await journal.write(fill)
    name = new_name("o")
    await journal.write(operators.add, "ann", Secret(name), "test")
    port = free_ports(1)[0]
    location = f"127.0.0.1:{port}"
    settings = TubSettings(f"tcp:{port}:interface=127.0.0.1", location)
    tub = serving_tub(reactor, settings, folder / "tub.pem", journal.is_live)
    hanging: dict[str, bool] = {}
    cloud = Cloud()
    cloud.instances["i-0123456789abcdef0"] = Instance(
        None,  # type: ignore[arg-type]  # only its console is asked for
        "i-0123456789abcdef0",
        0.0,
        0.0,
        0.0,
        console=f"boot\t[ ok ]\nfurl pb://{'a' * 32}@h.example:1/{'b' * 53}\n\x1b[31mend",
    )
    desk = make_desk(
        journal,
        reactor,
        new_furl=lambda: furl_of(tub, location, new_name("o")),
        woken=[],
        started_at=datetime.now(UTC),
        folder=folder / "journal",
        cloud=cloud,
        payments=MemoryPayments(an_account(), reactor),
    )

    def facet(swissnum: Secret, share: CallShare) -> Answering:
        inner = operator_facet(desk, swissnum)._answer

        async def answer(question: Any, request_id: str) -> Any:
            """Never, once told so."""
            if hanging.get("hang") and isinstance(question, ListSignups):
                sys.stdout.write("asked\n")
                sys.stdout.flush()
                await Deferred()
            return await inner(question, request_id)

        return Answering(OPERATOR, answer, share)

    serve_operators(tub, facet, reactor.seconds)
    host_desk: HostDesk = None  # type: ignore[assignment]  # it is never asked
    another = HostFacet(host_desk, Secret("h" * 53))
    tub.registerReference(Answering(HOST, another.answer), "another")
    tub.startService()
    for file, swissnum in (
        ("operator.furl", name),
        ("stranger.furl", new_name("o")),
        ("another.furl", "another"),
        ("unknown.furl", "zzzz"),
    ):
        furl = folder / file
        furl.write_text(furl_of(tub, location, swissnum).reveal() + "\n")
        furl.chmod(0o600)
    StandardIO(Obeying(journal, hanging))
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def start(folder: Path) -> None:
    done = ensureDeferred(main(folder))
    done.addErrback(lambda failure: (failure.printTraceback(), reactor.stop()))


if __name__ == "__main__":
    reactor.callWhenRunning(start, Path(sys.argv[1]))
    reactor.run()
