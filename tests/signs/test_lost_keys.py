"""A key that was removed by hand, while rows are sealed under it, is told."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from lae_flapp.journal import effects, identities
from lae_flapp.journal.effects import EFFECTS, EffectKey
from lae_flapp.journal.sealed import context_of
from lae_flapp.signs.lost_keys import LostKeys
from lae_protocol.ids import Generation
from lae_protocol.secret import Secret
from lae_provision.aws.key_file import FileDataKeys
from lae_provision.identity.journal_sealer import JournalSealer
from lae_provision.identity.sealing import seal
from tests.journal.conftest import Desk
from tests.twins.journal import answer


def key(letter: str) -> Secret:
    return Secret(base64.b64encode(letter.encode() * 32).decode())


OLD, NEW = key("o"), key("n")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A request and an identity, each sealed under the old key of its kind."""
    made = Desk(tmp_path / "desk")
    a = made.register("a").signup_id
    ticket = made.read(effects.upcoming, EffectKey(a, "host", "make-host"))
    context = context_of(EFFECTS, ticket.token)
    request = JournalSealer((OLD,)).seal(b"x", context)
    made.write(effects.begin, ticket, request, sealed=True)
    bound = (("kind", "identity"),)
    body = seal(b"keys", bound, answer(FileDataKeys((OLD,)).generate(bound)), ())
    one = Generation(1)
    made.write(identities.put, a, one, body, key_id="in it", vault_key="v")
    yield made
    made.close()


def looked(desk: Desk, *keys: Secret) -> dict[str, int]:
    """What a daemon with these keys sees."""
    journal_keys, identity_keys = JournalSealer(keys).names, FileDataKeys(keys).names
    lost = LostKeys(desk.journal, journal_keys, identity_keys)
    answer(Deferred.fromCoroutine(lost.look()))
    return dict(lost.rows)


def test_each_setting_is_named(desk) -> None:
    """With the old key nothing is lost; without it, each of its rows is."""
    assert looked(desk, NEW, OLD) == {}
    assert looked(desk, NEW) == {
        "sealing.journal_keys": 1,
        "sealing.identity_keys": 1,
    }


def test_what_the_recovery_key_opened_needs_no_key_of_identities(desk) -> None:
    """An identity that is kept under the journal's key is not lost with its own key."""
    row = desk.read(identities.latest, desk.id("a"))
    context = context_of(identities.IDENTITIES, row.signup_id, row.generation)
    desk.write(identities.recovered, row, JournalSealer((NEW,)).seal(b"k", context))
    assert looked(desk, NEW) == {"sealing.journal_keys": 1}


def test_only_kms_knows_its_own_keys(desk) -> None:
    """An identity under a key of KMS, or one that does not say, is not counted."""
    for name, body in (("b", b'{"key_id": "arn:aws:kms:1"}'), ("c", b"no JSON")):
        signup_id = desk.register(name).signup_id
        one = Generation(1)
        desk.write(identities.put, signup_id, one, body, key_id="k", vault_key="v")
    assert looked(desk, OLD) == {}
