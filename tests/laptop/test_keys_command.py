"""``lae keys``: a key is changed, the one before stays good for as long as it is needed."""

from __future__ import annotations

import base64
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from lae_flapp.desk.operators import resealing
from lae_flapp.journal import effects, hosts, identities, sealed
from lae_flapp.journal.effects import EFFECTS, EffectKey
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.sealed import context_of
from lae_flapp.settings import DaemonSettings
from lae_protocol.ids import Generation, signup_id_of_form
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import load
from lae_protocol.secret import Secret
from lae_provision.aws.key_file import FileDataKeys
from lae_provision.identity.journal_sealer import JournalSealer
from lae_provision.identity.sealing import seal
from lae_site.settings import SiteSettings
from tests.laptop.conftest import Place
from tests.twins.journal import answer

#: Before the journal's daemon started.
BEFORE = 1_700_000_000
FURL = "pb://" + "a" * 32 + "@flapp.example.org:4001/f" + "a" * 52


def secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def key(letter: str) -> str:
    return base64.b64encode(letter.encode() * 32).decode()


@pytest.fixture
def machine(place: Place) -> Place:
    """Daemon and site on one machine, with their keys."""
    text = (config_folder() / "site.example.yaml").read_text("utf-8")
    (place.folder / "site.yaml").write_text(text.replace("/etc/s4", str(place.folder)))
    text = (config_folder() / "plans.yaml").read_text("utf-8")
    (place.folder / "plans.yaml").write_text(text)
    for folder, first in (
        ("journal-keys", key("j")),
        ("cookie-keys", "k" * 64),
        ("webhook-secrets", "whsec_one"),
        ("stripe-keys", "rk_live_one"),
    ):
        (place.folder / folder).mkdir()
        secret(place.folder / folder / "0001.key", first)
    secret(place.folder / "front-desk.furl", FURL)
    return place


def keys(machine: Place, *arguments: object, **more: Any):
    files = ("--daemon", machine.settings, "--site", machine.folder / "site.yaml")
    return machine.lae("keys", *arguments, *files, **more)


def listed(machine: Place, kind: str) -> list[tuple[str, str]]:
    told = machine.json(
        *("keys", "list", "--daemon", machine.settings),
        *("--site", machine.folder / "site.yaml"),
    )
    return [
        (k["place"], Path(k["from"]).name) for k in told["keys"] if k["kind"] == kind
    ]


def private_files(machine: Place) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in machine.folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["journal", "cookie"])
def test_rotate(machine, kind) -> None:
    """A new key is first, in a private file of its own; the one before is accepted; no
    settings are changed, and they are good.
    """
    before = private_files(machine)
    told = keys(machine, "rotate", kind)
    assert told.exit_code == 0, told.output
    assert listed(machine, kind) == [("current", "0002.key"), ("accepted", "0001.key")]
    path = machine.folder / f"{kind}-keys" / "0002.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(path) in told.output
    assert path.read_text().strip() not in told.output
    after = private_files(machine)
    made = after.pop(path)
    assert after == before
    settings = machine.folder / ("site.yaml" if kind == "cookie" else "daemon.yaml")
    read = load(settings, SiteSettings if kind == "cookie" else DaemonSettings)
    folder = read.cookie_keys if kind == "cookie" else read.sealing.journal_keys
    assert folder.read()[0].reveal() == made.decode().strip()
    if kind == "cookie":
        assert machine.lae("config", "check", settings).exit_code == 0


def test_first_key(machine) -> None:
    """An empty folder gets its first key, and a folder that is missing is named."""
    (machine.folder / "journal-keys" / "0001.key").unlink()
    assert keys(machine, "rotate", "journal").exit_code == 0
    assert listed(machine, "journal") == [("current", "0001.key")]
    shutil.rmtree(machine.folder / "journal-keys")
    told = keys(machine, "rotate", "journal")
    assert (told.exit_code, "journal-keys: No such file" in told.output) == (1, True)


def test_rotate_in_two_steps(machine) -> None:
    """With several copies of the site a key is accepted by all before any uses it."""
    assert keys(machine, "rotate", "cookie", "--prepare").exit_code == 0
    assert listed(machine, "cookie") == [
        ("current", "0001.key"),
        ("accepted", "0002.next"),
    ]
    assert keys(machine, "rotate", "cookie", "--prepare").exit_code == 1
    assert keys(machine, "retire", "cookie", "--yes").exit_code == 1
    prepared = (machine.folder / "cookie-keys" / "0002.next").read_text()
    assert keys(machine, "rotate", "cookie").exit_code == 0
    assert listed(machine, "cookie") == [
        ("current", "0002.key"),
        ("accepted", "0001.key"),
    ]
    assert (machine.folder / "cookie-keys" / "0002.key").read_text() == prepared
    assert keys(machine, "retire", "cookie", "--yes").exit_code == 0
    assert listed(machine, "cookie") == [("current", "0002.key")]
    told = keys(machine, "retire", "cookie", "--yes")
    assert (told.exit_code, "nothing to retire" in told.output) == (1, True)


@pytest.mark.parametrize(
    ("kind", "folder", "new"),
    [
        ("webhook", "webhook-secrets", "whsec_two"),
        ("stripe", "stripe-keys", "rk_live_two"),
    ],
)
def test_keys_of_stripe(machine, kind, folder, new) -> None:
    """Stripe makes its keys: one is read from standard input, and nothing else is
    taken for one.
    """
    for bad in ("", "sk_live_secret", f"{new} {new}"):
        told = keys(machine, "rotate", kind, stdin=bad)
        assert told.exit_code == 1
        assert "sk_live" not in told.output
    assert listed(machine, kind) == [("current", "0001.key")]
    assert keys(machine, "rotate", kind, stdin=f"{new}\n").exit_code == 0
    assert (machine.folder / folder / "0002.key").read_text() == f"{new}\n"


def test_dry_run(machine) -> None:
    """A dry run writes and deletes no key."""
    assert keys(machine, "rotate", "cookie").exit_code == 0
    before = private_files(machine)
    for command in ("rotate", "retire"):
        told = keys(machine, command, "cookie", "--dry-run")
        assert (told.exit_code, told.output[:6]) == (0, "Would ")
    told = keys(machine, "rotate", "identity", "--dry-run")
    assert (told.exit_code, "there is no" in told.output) == (1, True)
    assert before == private_files(machine)


def test_a_key_is_retired_after_the_daemon_knows_the_new_one(machine) -> None:
    """While the daemon that started before the new key was written may still seal with
    the old one, the old one stays, however empty the journal is.
    """
    machine.fill(0)
    assert keys(machine, "rotate", "journal", "--prepare").exit_code == 0
    prepared = machine.folder / "journal-keys" / "0002.next"
    os.utime(prepared, (BEFORE, BEFORE))
    assert keys(machine, "rotate", "journal").exit_code == 0
    told = keys(machine, "retire", "journal", "--yes")
    assert (told.exit_code, "restart it first" in told.output) == (1, True)
    new = machine.folder / "journal-keys" / "0002.key"
    os.utime(new, (BEFORE, BEFORE))
    assert keys(machine, "retire", "journal", "--yes").exit_code == 0
    assert listed(machine, "journal") == [("current", "0002.key")]
    assert not (machine.folder / "journal-keys" / "0001.key").exists()


def test_sealed_anew(machine) -> None:
    """All that the old key sealed is sealed by the new one, in batches of any size and
    from any point on; only then may the old key go.
    """
    old, new = Secret(key("j")), Secret(key("n"))
    machine.fill(3)
    journal = machine.open()
    sealer = JournalSealer((old,))
    su = signup_id_of_form(b"form 1")

    def seal(tx):
        for number in range(7):
            ticket = effects.upcoming(tx, EffectKey(su, "host", f"make-{number}x"))
            plain = f"request {number}".encode()
            request = sealer.seal(plain, context_of(EFFECTS, ticket.token))
            effects.begin(tx, ticket, request, sealed=True)
        ticket = effects.upcoming(tx, EffectKey(su, "checkout", "open"))
        effects.begin(
            tx,
            ticket,
            sealer.seal(b"page", context_of(EFFECTS, ticket.token)),
            sealed=True,
        )
        for generation in (1, 2):
            hosts.begin(tx, su)
            swissnum = Secret(f"h{generation}")
            furl = sealer.seal(b"furl", context_of(HOSTS, su, generation))
            hosts.issue_furl(tx, su, Generation(generation), swissnum, furl)
            hosts.move(tx, su, Generation(generation), {"wanted"}, "gone")

    answer(journal.write(seal))
    path = secret(machine.folder / "journal-keys" / "0002.key", new.reveal())
    os.utime(path, (BEFORE, BEFORE))
    told = keys(machine, "retire", "journal", "--yes")
    assert (told.exit_code, "10 of the journal's rows" in told.output) == (1, True)

    both, cursor, total = JournalSealer((new, old)), None, 0
    while True:
        batch = answer(journal.write(resealing.batch, both, cursor, 3, "operator ann"))
        assert batch.of_rows == 10
        total, cursor = total + batch.sealed, batch.cursor
        if cursor is None:
            break
    assert total == 10
    again = answer(journal.write(resealing.batch, both, None, 500, "operator ann"))
    assert (again.looked, again.sealed) == (10, 0)
    alone = JournalSealer((new,))
    values = answer(journal.read(lambda tx: list(sealed.every(tx, 4))))
    plain = {alone.unseal(v.sealed, v.context) for v in values}
    assert plain == {f"request {n}".encode() for n in range(7)} | {
        b"page",
        b"furl",
    }
    machine.close(journal)
    assert keys(machine, "retire", "journal", "--yes").exit_code == 0
    assert listed(machine, "journal") == [("current", "0002.key")]


def test_recover_needs_a_recovery_key(machine) -> None:
    """A file without one private half, no signup and no --all, or both, are refused
    before the daemon is asked; nothing of the file is shown.
    """
    good = secret(machine.folder / "recovery.key", "# public key\nAGE-SECRET-KEY-1X\n")
    bad = secret(machine.folder / "other.key", "hunter2\n")

    def recover(*arguments: object):
        return machine.lae("keys", "recover", *arguments)

    assert recover("--recovery-key", good).exit_code == 2
    assert recover("--recovery-key", good, "--all", "su1234").exit_code == 2
    told = recover("--recovery-key", bad, "--all")
    assert (told.exit_code, "has no AGE-SECRET-KEY" in told.output) == (1, True)
    assert "hunter2" not in told.output


def test_a_key_of_identities_is_not_retired_while_it_opens_some(machine) -> None:
    """A sealed identity says itself which key opens it: that key stays."""
    machine.fill(1)
    text = machine.settings.read_text("utf-8")
    text = text.replace("  # identity_keys: {folder:", "  identity_keys: {folder:")
    text = "\n".join(t for t in text.split("\n") if not t.startswith("  kms_key:"))
    machine.settings.write_text(text, "utf-8")
    folder = machine.folder / "identity-keys"
    folder.mkdir()
    old = Secret(key("o"))
    secret(folder / "0001.key", old.reveal())
    bound = (("kind", "identity"),)
    wrapped = answer(FileDataKeys((old,)).generate(bound))
    body = seal(b"keys", bound, wrapped, ())
    journal = machine.open()
    su, one = signup_id_of_form(b"form 0"), Generation(1)
    answer(journal.write(identities.put, su, one, body, key_id="in it", vault_key="v"))
    machine.close(journal)
    path = secret(folder / "0002.key", key("n"))
    os.utime(path, (BEFORE, BEFORE))
    told = keys(machine, "retire", "identity", "--yes")
    assert (told.exit_code, "it must stay" in told.output) == (1, True)
