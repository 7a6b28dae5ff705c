"""A client of a customer's storage, against a slot in memory."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define
from twisted.internet.defer import Deferred, succeed

from lae_flapp.rollout.storage_client import (
    LENGTH,
    ClientFailed,
    storage_furl,
    use_slot,
)
from lae_protocol.host_messages import NodeIdentity, TubIdentity
from lae_protocol.secret import Secret
from tests.twins.journal import answer

TUB = TubIdentity("t" * 32, Secret(""), Secret("swiss"), "tcp:g.example:3457", "tcp:1")
IDENTITY = NodeIdentity(
    format=1,
    signup_id="su1",
    generation=1,
    grid_label="g1",
    nickname="S4",
    introducer=TUB,
    storage=TUB,
    permutation_seed="",
    signing_key=Secret(""),
    announcement_seqnum=1,
    lease_secret=Secret("lease"),
)


@define
class MemorySlot:
    """The one slot of a storage server: *fault* is what it does wrong."""

    data: bytes = b""
    fault: str = ""
    writes: int = 0

    def callRemote(self, name: str, *arguments: Any) -> Deferred[Any]:
        """As Foolscap's reference."""
        if name == "slot_readv":
            data = b"x" * LENGTH if self.fault == "read" and self.writes else self.data
            return succeed({0: [data]} if data else {})
        assert name == "slot_testv_and_readv_and_writev"
        tests, written, size = arguments[2][0]
        self.writes += 1
        ((_, length, operator, old),) = tests
        if operator != b"eq" or self.data[:length] != old or self.fault == "write":
            return succeed((False, {}))
        self.data = (written[0][1] if written else b"")[:size]
        return succeed((True, {}))


@pytest.mark.parametrize("left", [b"", b"l" * LENGTH])
def test_it_leaves_nothing(left) -> None:
    """It writes, reads and deletes, also where a client before it died in the middle."""
    slot = MemorySlot(left)
    answer(use_slot(slot, IDENTITY))
    assert (slot.data, slot.writes) == (b"", 2)


@pytest.mark.parametrize(
    ("fault", "said"), [("write", "write"), ("read", "read what was written")]
)
def test_what_failed_is_named(fault, said) -> None:
    """A server that refuses a write, or reads back something else, has failed."""
    with pytest.raises(ClientFailed, match=said):
        answer(use_slot(MemorySlot(fault=fault), IDENTITY))


def test_where_it_goes() -> None:
    """It goes where the customer's furl leads: to the name, or the host's address."""
    assert storage_furl(IDENTITY, None) == f"pb://{'t' * 32}@tcp:g.example:3457/swiss"
    at_address = storage_furl(IDENTITY, "192.0.2.1")
    assert at_address == f"pb://{'t' * 32}@tcp:192.0.2.1:3457/swiss"
