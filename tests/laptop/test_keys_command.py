"""``lae keys``: a key is changed, the one before stays good for as long as it is needed."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from lae_flapp.desk.operators import resealing
from lae_flapp.grid.step import effect_context
from lae_flapp.journal import effects, inbox, sealed
from lae_flapp.journal.effects import EffectKey
from lae_flapp.machine.key_lists import KeyList
from lae_flapp.money.inbox.intake import seal_context
from lae_flapp.settings import DaemonSettings
from lae_protocol.ids import signup_id_of_form
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import load
from lae_protocol.secret import Secret
from lae_provision.identity.journal_sealer import JournalSealer
from tests.laptop.conftest import Place
from tests.twins.journal import answer

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
    secret(place.folder / "journal.key", key("j"))
    secret(place.folder / "cookie.key", "k" * 64)
    secret(place.folder / "stripe-webhook.secret", "whsec_one")
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


@pytest.mark.parametrize("kind", ["journal", "cookie"])
def test_rotate(machine, kind) -> None:
    """A new key is first, in a private file of its own; the one before is accepted; the
    settings are the same but for one line, and good.
    """
    settings = machine.folder / ("daemon.yaml" if kind == "journal" else "site.yaml")
    before = settings.read_text().splitlines()
    told = keys(machine, "rotate", kind)
    assert told.exit_code == 0, told.output
    (new, old) = listed(machine, kind)
    assert (new[0], old) == ("current", ("accepted", f"{kind}.key"))
    path = machine.folder / new[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(path) in told.output
    assert path.read_text().strip() not in told.output
    added = [line for line in settings.read_text().splitlines() if line not in before]
    (line,) = added
    assert line.strip() == f"- {{file: {path}}}"
    assert len(settings.read_text().splitlines()) == len(before) + 1
    if kind == "cookie":
        assert machine.lae("config", "check", settings).exit_code == 0
    assert not settings.with_name(settings.name + ".new").exists()


def test_rotate_in_two_steps(machine) -> None:
    """With several copies of the site a key is accepted by all before any uses it."""
    assert keys(machine, "rotate", "cookie", "--prepare").exit_code == 0
    first, prepared = listed(machine, "cookie")
    assert first == ("current", "cookie.key")
    assert keys(machine, "retire", "cookie", "--yes").exit_code == 1
    assert keys(machine, "rotate", "cookie").exit_code == 0
    assert listed(machine, "cookie") == [
        ("current", prepared[1]),
        ("accepted", "cookie.key"),
    ]
    assert keys(machine, "retire", "cookie", "--yes").exit_code == 0
    assert listed(machine, "cookie") == [("current", prepared[1])]
    told = keys(machine, "retire", "cookie", "--yes")
    assert (told.exit_code, "nothing to retire" in told.output) == (1, True)


def test_webhook(machine) -> None:
    """Stripe makes its secret: it is read from standard input, and nothing else is
    taken for one.
    """
    for bad in ("", "sk_live_secret", "whsec_a whsec_b"):
        told = keys(machine, "rotate", "webhook", stdin=bad)
        assert told.exit_code == 1
        assert "sk_live" not in told.output
    assert [name for _, name in listed(machine, "webhook")] == ["stripe-webhook.secret"]
    assert {p.suffix for p in machine.folder.glob("stripe-webhook*")} == {".secret"}
    assert keys(machine, "rotate", "webhook", stdin="whsec_two\n").exit_code == 0
    new = machine.folder / listed(machine, "webhook")[0][1]
    assert new.read_text() == "whsec_two\n"


def test_dry_run(machine) -> None:
    """A dry run writes no key and no settings."""
    before = {p: p.read_bytes() for p in machine.folder.iterdir() if p.is_file()}
    told = keys(machine, "rotate", "journal", "--dry-run")
    assert (told.exit_code, told.output[:6]) == (0, "Would ")
    told = keys(machine, "rotate", "identity", "--dry-run")
    assert (told.exit_code, "there is no" in told.output) == (1, True)
    assert before == {
        p: p.read_bytes() for p in machine.folder.iterdir() if p.is_file()
    }


def test_keys_from_the_environment(machine, monkeypatch) -> None:
    """A key that a variable holds is not this command's to change."""
    text = machine.settings.read_text()
    monkeypatch.setenv("S4_JOURNAL_KEY", key("e"))
    machine.settings.write_text(
        text.replace(f"{{file: {machine.folder}/journal.key}}", "{env: S4_JOURNAL_KEY}")
    )
    told = keys(machine, "rotate", "journal")
    assert (told.exit_code, "variable S4_JOURNAL_KEY" in told.output) == (1, True)


LISTS = [
    "    - {file: a.key}\n",
    "    - file: a.key\n    - {file: b.key}   # the old one\n",
    "    # one\n    -   file: a.key\n    # two\n    - {file: b.key}\n    - file: c.key\n",
]


@pytest.mark.parametrize("block", LISTS)
def test_lists_in_blocks(machine, block) -> None:
    """Lists of any shape are lengthened and shortened, and comments stay."""
    text = machine.settings.read_text()
    line = f"    - {{file: {machine.folder}/journal.key}}\n"
    assert line in text
    check_list(machine, text.replace(line, block), block)


@pytest.mark.parametrize(
    "inline", ["[{file: a.key}]", "[{file: a.key}, {file: b.key}]"]
)
def test_lists_in_a_line(machine, inline) -> None:
    """So are lists in brackets."""
    text = machine.settings.read_text()
    line = f"\n    - {{file: {machine.folder}/journal.key}}\n"
    check_list(machine, text.replace(line, f" {inline}\n"), "")


def check_list(machine: Place, text: str, comments: str) -> None:
    machine.settings.write_text(text)
    keys = KeyList(machine.settings, DaemonSettings, ("sealing", "journal_keys"))
    files = tuple(source.file for source in keys.sources())
    new = machine.folder / "new.key"
    keys.write(keys.with_first("new.key", text), (new, *files))
    assert keys.written()[0] == "new.key"
    keys.write(keys.without_last(keys.text()), (new, *files[:-1]))
    keys.write(keys.with_last(files[-1].name, keys.text()), (new, *files))
    assert load(machine.settings, DaemonSettings).sealing.journal_keys == keys.sources()
    for word in ("# one", "# two"):
        assert (word in keys.text()) == (word in comments)


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
            request = sealer.seal(plain, effect_context(ticket.token))
            effects.begin(tx, ticket, request, sealed=True)
        ticket = effects.upcoming(tx, EffectKey(su, "checkout", "open"))
        effects.begin(tx, ticket, sealer.seal(b"page", ticket.token), sealed=True)
        for number in range(5):
            name = f"evt_{number}"
            payload = sealer.seal(b"event", seal_context(name))
            inbox.take(tx, name, "k", payload, "rq")

    answer(journal.write(seal))
    secret(machine.folder / "new.key", new.reveal())
    keys_ = KeyList(machine.settings, DaemonSettings, ("sealing", "journal_keys"))
    first = machine.folder / "new.key"
    text = keys_.with_first(str(first), keys_.text())
    keys_.write(text, (first, machine.folder / "journal.key"))
    told = keys(machine, "retire", "journal", "--yes")
    assert (told.exit_code, "13 of the journal's rows" in told.output) == (1, True)

    both, cursor, total = JournalSealer((new, old)), None, 0
    while True:
        batch = answer(journal.write(resealing.batch, both, cursor, 3, "operator ann"))
        assert batch.of_rows == 13
        total, cursor = total + batch.sealed, batch.cursor
        if cursor is None:
            break
    assert total == 13
    again = answer(journal.write(resealing.batch, both, None, 500, "operator ann"))
    assert (again.looked, again.sealed) == (13, 0)
    alone = JournalSealer((new,))
    values = answer(journal.read(lambda tx: list(sealed.every(tx, 4))))
    plain = {alone.unseal(v.sealed, resealing.context_of(v)) for v in values}
    assert plain == {f"request {n}".encode() for n in range(7)} | {b"page", b"event"}
    machine.close(journal)
    assert keys(machine, "retire", "journal", "--yes").exit_code == 0
    assert listed(machine, "journal") == [("current", "new.key")]
