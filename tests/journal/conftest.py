"""A journal that answers at once, and signups in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.journal import cells, contacts, sessions, signups
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.sessions import Payment
from lae_flapp.journal.signups import Agreement, Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import OwnerSecret, SignupId, new_grid_label, signup_id_of_form
from lae_protocol.messages import Plan
from tests.twins.journal import answer, open_journal

CELL = Cell("one", "s4test", "000000000000", "eu-test-1", "eu-test-1a", "g.example")
PLAN = Plan("p1", "Personal", 500, "eur", "month", 10**12, 10**12, "2026-11")


@define
class Desk:
    """A journal with its clock: ``read`` and ``write`` answer in place."""

    folder: Path
    clock: Clock = field(factory=Clock)
    journal: Journal = field(init=False)
    cell: Cell = CELL

    def __attrs_post_init__(self) -> None:
        self.clock.advance(1_800_000_000)
        self.journal = open_journal(self.folder, self.clock)

    def read(self, work: Callable[..., object], *args: object, **kw: object) -> object:
        return answer(self.journal.read(work, *args, **kw))

    def write(self, work: Callable[..., object], *args: object, **kw: object) -> object:
        return answer(self.journal.write(work, *args, **kw))

    def register(self, name: str = "a", email: str | None = None) -> Signup:
        typed = email or f"{name}@example.org"

        def everything(tx: WriteTx) -> Signup:
            cells.put(tx, CELL)
            signup, _ = signups.register(
                tx,
                self.id(name),
                self.secret(name),
                grid_label=new_grid_label(),
                cell=CELL,
                agreement=Agreement(PLAN, tx.now, "en"),
            )
            contacts.put(tx, signup.signup_id, typed, typed)
            return signup

        return self.write(everything)

    def put_in(self, name: str, state: str) -> SignupId:
        """A signup in some state, without the way there."""
        self.register(name)
        self.move_to(name, state)
        return self.id(name)

    def move_to(self, name: str, state: str) -> None:
        """Bring a signup to some state now, without the way there."""

        def force(tx: WriteTx) -> None:
            row = signups.SIGNUPS.c.signup_id == self.id(name)
            there = {"state": state, "changed_at": tx.now}
            tx.run(signups.SIGNUPS.update().where(row).values(**there))

        self.write(force)

    def pay(self, signup_id: SignupId, payment: Payment) -> object:
        """Settle a paid session, as whoever hears of one does."""

        def settle(tx: WriteTx) -> str:
            state = signups.get(tx, signup_id).state
            return sessions.paid(tx, signup_id, state, payment)

        return self.write(settle)

    @staticmethod
    def id(name: str) -> SignupId:
        return signup_id_of_form(name.encode())

    @staticmethod
    def secret(name: str) -> OwnerSecret:
        return OwnerSecret(f"secret of {name}")

    def close(self) -> None:
        answer(Deferred.fromCoroutine(self.journal.close()))

    def rows(self, table: str) -> int:
        def count(tx: ReadTx) -> int:
            query = f"SELECT count(*) FROM {table}"
            return tx.connection.exec_driver_sql(query).scalar()

        return self.read(count)


@pytest.fixture
def make_desk() -> Iterator[Callable[[], Desk]]:
    """Fresh desks: Hypothesis wants one for each example."""
    with tempfile.TemporaryDirectory() as folder:
        made: list[Desk] = []

        def make() -> Desk:
            made.append(Desk(Path(folder) / f"desk{len(made)}"))
            return made[-1]

        yield make
        for desk in made:
            desk.close()


@pytest.fixture
def desk(make_desk: Callable[[], Desk]) -> Desk:
    return make_desk()
