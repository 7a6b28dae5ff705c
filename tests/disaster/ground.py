"""A daemon's machine with customers, its backup, and its state bucket; no daemon."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyrage
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.backup.keepsakes import KeptFile, seal_keepsakes
from lae_flapp.backup.layout import (
    About,
    Life,
    about_key,
    journal_path,
    keepsakes_key,
)
from lae_flapp.backup.litestream_run import program
from lae_flapp.desk.tubs import keep_furl
from lae_flapp.journal import (
    cells,
    contacts,
    events,
    hosts,
    identities,
    opening,
    outbox,
    sessions,
    signups,
)
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import Home
from lae_flapp.journal.sealed import context_of
from lae_flapp.journal.sessions import Payment
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.threads import SameThread
from lae_flapp.journal.transaction import WriteTx
from lae_protocol import wire
from lae_protocol.ids import (
    Generation,
    OwnerSecret,
    base32,
    new_grid_label,
    signup_id_of_form,
)
from lae_protocol.process.resources import config_folder
from lae_protocol.process.tub import make_tub
from lae_protocol.secret import Secret
from lae_provision.aws.key_file import FileDataKeys
from lae_provision.doors import IdentityRequest, IVault, Sealed, identity_key
from lae_provision.errors import AlreadyThere
from lae_provision.identity.journal_sealer import JournalSealer
from lae_provision.identity.keys import TubKey, make_tub_key, new_identity
from lae_provision.identity.sealing import seal
from tests.twins.ground import PLAN
from tests.twins.journal import answer

HOME = Home("production", "s4-prod", "123456789012", "live")
CELL = Cell("one", "s4-prod", "123456789012", "eu-west-1", "eu-west-1a", "g.example")
START = 1_795_000_000.0
TOKEN = "0123456789abcdef"
ONE = Generation(1)


@cache
def two_keys() -> tuple[TubKey, TubKey]:
    """Of all grids: to make them takes long, and nothing here looks at them."""
    return make_tub_key(), make_tub_key()


@cache
def certificates() -> tuple[bytes, bytes]:
    """Of the daemon's two Tubs."""
    return make_tub().getCertData(), make_tub().getCertData()


@define
class DictVault(IVault):
    """The state bucket."""

    held: dict[str, Sealed] = field(factory=dict)
    #: What was asked to be written, in order.
    written: list[str] = field(factory=list)

    async def put(self, document: Sealed) -> None:
        self.written.append(document.key)
        if self.held.setdefault(document.key, document) != document:
            raise AlreadyThere("PreconditionFailed", document.key)

    async def get(self, key: str) -> Sealed | None:
        return self.held.get(key)


@define(slots=False)
class Machine:
    """The daemon's machine: settings, keys, certificates and journal, in *folder*;
    *bucket* is the backup, as a folder.
    """

    folder: Path
    bucket: Path
    vault: DictVault = field(factory=DictVault)
    key: Any = field(factory=pyrage.x25519.Identity.generate)
    home: Home = HOME

    @property
    def recovery_key(self) -> Secret:
        return Secret(str(self.key))

    @property
    def settings_file(self) -> Path:
        return self.folder / "etc" / "daemon.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def journal(self) -> Path:
        return self.state / "journal" / "journal.sqlite"

    @property
    def keys(self) -> Path:
        return self.folder / "etc" / "journal-keys"

    def install(self) -> None:
        """Everything that a daemon's first start leaves, but the journal."""
        for folder in (self.folder / "etc", self.keys, self.state, self.journal.parent):
            folder.mkdir(mode=0o700, parents=True)
        text = (config_folder() / "daemon.example.yaml").read_text("utf-8")
        text = text.replace("/var/lib/s4", str(self.state))
        text = text.replace("/etc/s4", str(self.folder / "etc"))
        text = text.replace(
            "deployment: s4-prod", f"deployment: {self.home.deployment}"
        )
        self.settings_file.write_text(text, "utf-8")
        raw = base64.b64encode(secrets.token_bytes(32))
        self._private(self.keys / "0001.key", raw)
        private, own_hosts = certificates()
        self._private(self.state / "private.pem", private)
        self._private(self.state / "hosts.pem", own_hosts)
        tub = make_tub(self.state / "private.pem")
        keep_furl(self.state / "front-desk.furl", tub, "flapp.example.org:4001", "f")
        keep_furl(self.state / "operator.furl", tub, "flapp.example.org:4001", "o")

    def _private(self, path: Path, body: bytes) -> None:
        path.write_bytes(body)
        path.chmod(0o600)

    @property
    def sealer(self) -> JournalSealer:
        return JournalSealer((Secret((self.keys / "0001.key").read_text()),))

    def open(self) -> Journal:
        """What a daemon has open."""
        clock = Clock()
        clock.advance(START)
        opened = Journal(self.journal, self.home, clock, SameThread())
        answer(Deferred.fromCoroutine(opened.open()))
        return opened

    def fill(self, numbers: range = range(3)) -> None:
        """So many customers who are served, and no daemon."""
        journal = self.open()
        for number in numbers:
            customer = Customer.of(number, str(self.key.to_public()))
            self.vault.held[customer.sealed.key] = customer.sealed
            answer(journal.write(customer.sign_up, self.sealer, CELL))
        answer(Deferred.fromCoroutine(journal.close()))

    def files(self) -> list[KeptFile]:
        """What is kept beside the journal."""
        found = [*(self.folder / "etc").rglob("*"), *self.state.glob("*.*")]
        return [
            KeptFile(path, path.stat().st_mode & 0o777, path.read_bytes())
            for path in found
            if path.is_file()
        ]

    def back_up(self, epoch: int = 1, *, batches: int = 1) -> Life:
        """A life whose journal Litestream has in some objects."""
        life = Life(epoch, TOKEN)
        deployment = self.home.deployment
        self.put(
            keepsakes_key(deployment, life),
            seal_keepsakes(self.files(), (str(self.key.to_public()),)),
        )
        self.ship(life)
        for batch in range(1, batches):
            self.fill(range(100 * batch, 100 * batch + 1))
            self.ship(life)
        self.put(about_key(deployment, life), self.about().to_json())
        return life

    def about(self, **said: str) -> About:
        told = {
            "environment": self.home.environment,
            "deployment": self.home.deployment,
            "account": self.home.aws_account,
            "stripe_mode": self.home.stripe_mode,
            "revision": opening.knows()["newest"],
            "release": "0.1.0",
        }
        return About(**(told | said), began=datetime.now(UTC))

    def ship(self, life: Life) -> None:
        """Have Litestream replicate what there is."""
        path = self.bucket / journal_path(self.home.deployment, life)
        config = self.folder / "litestream.yml"
        replica = {"type": "file", "path": str(path)}
        database = {"path": str(self.journal), "replica": replica}
        config.write_text(json.dumps({"dbs": [database]}))
        subprocess.run(
            [program(), "replicate", "-once", "-config", str(config)],
            check=True,
            capture_output=True,
            env={"PATH": os.defpath},
        )

    def put(self, key: str, body: bytes) -> None:
        path = self.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def objects(self, life: Life) -> list[Path]:
        """Of Litestream's, oldest first."""
        path = self.bucket / journal_path(self.home.deployment, life)
        return sorted(path.rglob("*.ltx"))


@define(frozen=True)
class Customer:
    """One who is served."""

    signup_id: Any
    label: Any
    furl: Secret
    sealed: Sealed

    @classmethod
    def of(cls, number: int, recipient: str) -> Customer:
        """With keys of a grid, which the caller puts into the state bucket."""
        signup_id = signup_id_of_form(f"form {number}".encode())
        label = new_grid_label()
        request = IdentityRequest(
            signup_id, 1, label, "S4", f"{label}.g.example", 3456, 3457, None
        )
        identity = new_identity(request, *two_keys())
        context = (
            ("kind", "identity"),
            ("signup_id", str(signup_id)),
            ("generation", "1"),
        )
        file_keys = FileDataKeys((Secret(base64.b64encode(bytes(32)).decode()),))
        data_key = answer(file_keys.generate(context))
        body = seal(wire.encode(identity), context, data_key, (recipient,))
        sealed = Sealed(identity_key(signup_id, 1), body)
        return cls(signup_id, label, Secret(identity.introducer_furl()), sealed)

    def sign_up(self, tx: WriteTx, sealer: JournalSealer, cell: Cell) -> None:
        """All that a journal has of them."""
        signup_id = self.signup_id
        cells.put(tx, cell)
        signups.register(
            tx,
            signup_id,
            OwnerSecret(base32(secrets.token_bytes(32))),
            grid_label=self.label,
            cell=cell,
            agreement=Agreement(PLAN, tx.now, "en"),
        )
        contacts.put(
            tx, signup_id, f"{signup_id}@example.org", f"{signup_id}@example.org"
        )
        session_id = f"cs_{signup_id}"
        sessions.opened(tx, signup_id, session_id, "https://x", tx.now)
        payment = Payment(session_id, "cus_1", None, None, None, tx.now)
        sessions.paid(tx, signup_id, "registered", payment)
        for frm, to, kind in (
            ("registered", "paid", "paid"),
            ("paid", "active", "ready"),
        ):
            signups.move(tx, signup_id, {frm}, to, kind=kind, who="daemon")
        identities.put(
            tx,
            signup_id,
            ONE,
            self.sealed.body,
            key_id="file:1",
            vault_key=self.sealed.key,
        )
        identities.vaulted(tx, signup_id, ONE)
        hosts.begin(tx, signup_id)
        hosts.launched(tx, signup_id, ONE, f"i-{signup_id}", tx.now)
        swissnum = Secret("h" + base32(secrets.token_bytes(32)))
        where = context_of(HOSTS, signup_id, ONE)
        sealed = sealer.seal(swissnum.reveal().encode(), where)
        hosts.move(tx, signup_id, ONE, {"launched"}, "claimed")
        hosts.issue_furl(tx, signup_id, ONE, swissnum, sealed)
        hosts.move(tx, signup_id, ONE, {"claimed"}, "ready")
        outbox.put(tx, signup_id, "active")
        events.note(tx, signup_id, "noted", "test")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below it, whole, and every folder: what must not change."""

    def paths() -> Iterator[Path]:
        yield from folder.rglob("*")

    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in paths()
    }
