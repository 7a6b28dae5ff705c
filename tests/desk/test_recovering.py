"""An operator opens a grid's keys with the recovery key: the daemon keeps and uses them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal import events, identities, sealed, signups
from lae_protocol import wire
from lae_protocol.host_messages import NodeIdentity
from lae_protocol.ids import Generation
from lae_protocol.messages import Done, Refused
from lae_protocol.recovery_messages import AskSealedIdentity, GiveIdentity
from lae_protocol.secret import Secret
from lae_provision.doors import IdentityRequest
from tests.twins.doors import Line
from tests.twins.identities import MemoryIdentities, MemorySealer
from tests.twins.journal import answer

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
try:
    from operator_daemon import id_of
    from test_operator import ANN, Edge, edge  # noqa: F401  (a fixture)
finally:
    sys.path.remove(HERE)

ACTIVE, STUCK = id_of(0), id_of(1)


def with_keys(edge: Edge, signup_id: str) -> NodeIdentity:
    """Its grid gets its keys, sealed."""
    label = edge.read(signups.get, signup_id).grid_label
    request = IdentityRequest(signup_id, 1, label, "S4", "h", 3456, 3457, None)
    line = Line(edge.cloud, edge.clock)
    made = answer(MemoryIdentities(line).make(request))
    edge.write(
        identities.put,
        *(signup_id, Generation(1), made.sealed.body),
        key_id="k",
        vault_key=made.sealed.key,
    )
    return made.identity


def given(identity: NodeIdentity) -> Secret:
    return Secret(wire.encode(identity).decode())


def opened(edge: Edge, signup_id: str) -> Any:
    """The keys as a host that claims now gets them, with no key service."""
    furls = CustomerFurls(edge.journal, None, MemorySealer())
    row = edge.read(identities.latest, signup_id)
    return answer(Deferred.fromCoroutine(furls.open(row)))


def test_the_keys_go_out_sealed_and_come_back_open(edge) -> None:
    """The operator gets the sealed document and its name; what is given back is used
    from then on, is sealed with the journal's key, and what waits is tried again.
    """
    identity = with_keys(edge, STUCK)
    told = edge.ask(AskSealedIdentity(STUCK))
    row = edge.read(identities.latest, STUCK)
    assert (told.key, told.sealed) == (row.vault_key, row.sealed)
    edge.woken.clear()
    assert isinstance(edge.ask(GiveIdentity(STUCK, given(identity))), Done)
    assert opened(edge, STUCK) == identity
    kinds = [e.kind for e in edge.read(events.since, STUCK, 0)]
    assert kinds[-2:] == ["keys-recovered", "retry"]
    assert f"again {STUCK}" in edge.woken
    (kept,) = edge.read(lambda tx: list(sealed.every(tx)))
    assert kept.context == f"identities {STUCK} 1"
    swissnum = identity.introducer.swissnum.reveal().encode()
    assert swissnum not in kept.sealed


@pytest.mark.parametrize(
    "changed",
    [
        {"signup_id": ACTIVE},
        {"generation": 2},
        {"grid_label": "gother"},
    ],
)
def test_the_keys_of_another_grid_are_refused(edge, changed) -> None:
    """Keys that are of another signup, generation or grid change nothing."""
    identity = with_keys(edge, STUCK)
    told = edge.ask(GiveIdentity(STUCK, given(evolve(identity, **changed))))
    assert isinstance(told, Refused)
    assert "Nothing changed" in told.message
    assert edge.read(identities.latest, STUCK).recovered is None


def test_what_are_no_keys_is_refused(edge) -> None:
    """A signup without keys has none to open, and rubbish is no keys."""
    assert edge.ask(AskSealedIdentity(STUCK)).code == "not-now"
    with_keys(edge, STUCK)
    assert edge.ask(GiveIdentity(STUCK, Secret("{}"))).code == "malformed"
    assert edge.read(identities.latest, STUCK).recovered is None
