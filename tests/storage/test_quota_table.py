"""The table of ``docs/storage-layout.rst``, "Quota and suspension", cell by cell, over
both protocols.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from allmydata.util import cbor
from attrs import define, field
from pycddl import Schema
from twisted.internet.defer import Deferred

from lae_storage.server.fence import LOOK_EVERY
from lae_storage.server.foolscap_front import FoolscapFront
from lae_storage.server.keys import si_text
from lae_storage.server.status import V1

from .test_http_edge import LEASE, UPLOAD, Edge, secret

DOCUMENT = Path(__file__).parents[2] / "docs/storage-layout.rst"
HERE, NEW, BEGUN, SLOT, LARGE = (
    letter * 16 for letter in (b"h", b"n", b"b", b"s", b"l")
)
RENEW = b"l" * 32
ENABLER = secret("write-enabler")
#: More than the reserve of so small a quota.
GROWN = 20_000
DONE = {200, 201, 204, 206}


class Canary:
    def notifyOnDisconnect(self, told: Any) -> None:
        pass

    def dontNotifyOnDisconnect(self, marker: Any) -> None:
        pass


@define
class Asked:
    """What was answered: over Foolscap a value or the error's name, over HTTP a status
    and a body.
    """

    value: Any
    error: str | None
    status: int
    body: bytes


@define
class Customer:
    """Asks one thing over both protocols."""

    serving: Any
    edge: Edge
    front: Any
    writers: dict[str, Any] = field(factory=dict)

    def over_foolscap(self, ask: Callable[[], Any]) -> tuple[Any, str | None]:
        try:
            asking = ask()
            if isinstance(asking, Deferred | Coroutine):
                asking = self.serving.now(asking)
            return asking, None
        except Exception as e:  # noqa: BLE001  (its name is what is tested)
            return None, type(e).__name__

    def both(self, ask: Callable[[], Any], *over_http: Any) -> Asked:
        return Asked(*self.over_foolscap(ask), *self.edge.ask(*over_http))

    def allocate(self, si: bytes) -> Asked:
        share = cbor.dumps({"share-numbers": {0}, "allocated-size": 9})
        return self.both(
            lambda: self.front.remote_allocate_buckets(
                si, RENEW, RENEW, {0}, 9, Canary()
            ),
            *("POST", _immutable(si), share, LEASE + UPLOAD),
        )

    def begin(self) -> None:
        """An upload over each protocol, each of a share of its own."""
        allocating = self.front.remote_allocate_buckets(
            BEGUN, RENEW, RENEW, {1}, 9, Canary()
        )
        self.writers = self.serving.now(allocating)[1]
        share = cbor.dumps({"share-numbers": {2}, "allocated-size": 9})
        assert (
            self.edge.ask("POST", _immutable(BEGUN), share, LEASE + UPLOAD)[0] in DONE
        )

    def finish(self) -> Asked:
        async def finishing() -> None:
            await self.writers[1].remote_write(0, b"immutable")
            await self.writers[1].remote_close()

        return self.both(
            finishing,
            *("PATCH", f"{_immutable(BEGUN)}/2", b"immutable", UPLOAD),
            "Content-Range: bytes 0-8/9\n",
        )

    def write(self, si: bytes, data: bytes, length: int | None = None) -> Asked:
        writes = [(0, data)] if data else []
        share = {
            "test": [],
            "write": [{"offset": at, "data": d} for at, d in writes],
            "new-length": length,
        }
        body = {"test-write-vectors": {0: share}, "read-vector": []}
        # Each protocol its own, so that the second finds what the first would.
        over_http = bytes([si[0] + 1]) * 16
        return self.both(
            lambda: self.front.remote_slot_testv_and_readv_and_writev(
                si, (b"w" * 32, RENEW, RENEW), {0: ([], writes, length)}, []
            ),
            "POST",
            f"/storage/v1/mutable/{si_text(over_http)}/read-test-write",
            cbor.dumps(body),
            [*LEASE, ENABLER],
        )

    def lease(self) -> Asked:
        async def both() -> None:
            await self.front.remote_add_lease(HERE, RENEW, RENEW)
            await self.front.remote_renew_lease(HERE, RENEW)

        path = f"/storage/v1/lease/{si_text(HERE)}"
        return self.both(both, "PUT", path, b"", LEASE)

    def slots_lease(self) -> Asked:
        async def both() -> None:
            await self.front.remote_add_lease(SLOT, RENEW, RENEW)
            await self.front.remote_renew_lease(SLOT, RENEW)

        path = f"/storage/v1/lease/{si_text(SLOT)}"
        return self.both(both, "PUT", path, b"", LEASE)

    def read(self) -> Asked:
        async def both() -> tuple[Any, Any]:
            data = await self.front.remote_get_buckets(HERE)[0].remote_read(0, 9)
            return data, await self.front.remote_slot_readv(SLOT, [0], [(0, 9)])

        asked = self.both(both, "GET", f"{_immutable(HERE)}/0")
        slot = f"/storage/v1/mutable/{si_text(SLOT)}/0"
        assert (self.edge.ask("GET", slot)[0] in DONE) == (asked.status in DONE)
        return asked

    def advise(self) -> Asked:
        said = cbor.dumps({"reason": "it is"})
        return self.both(
            lambda: self.front.remote_advise_corrupt_share(b"immutable", HERE, 0, b""),
            *("POST", f"{_immutable(HERE)}/0/corrupt", said),
        )

    def version(self) -> Asked:
        return self.both(self.front.remote_get_version, "GET", "/storage/v1/version")


def _immutable(si: bytes) -> str:
    return f"/storage/v1/immutable/{si_text(si)}"


OPERATIONS: dict[str, Callable[[Customer], Asked]] = {
    "new immutable share": lambda c: c.allocate(NEW),
    "a share that is here already": lambda c: c.allocate(HERE),
    "upload that was allocated": Customer.finish,
    "write that makes a slot no larger": lambda c: c.write(SLOT, b"MUTABLE"),
    "write that makes a slot larger": lambda c: c.write(LARGE, b"x" * GROWN),
    "deletion of a mutable share": lambda c: c.write(SLOT, b"", 0),
    "adding and renewing leases": Customer.lease,
    "the same of a mutable slot": Customer.slots_lease,
    "reading": Customer.read,
    "advisories": Customer.advise,
    "version": Customer.version,
}


def _read(body: bytes) -> Any:
    return Schema("a = any").validate_cbor(body, True)


def _named(error: str, status: int) -> Callable[[Asked], None]:
    def check(asked: Asked) -> None:
        assert (asked.error, asked.status) == (error, status)

    return check


def _done(asked: Asked) -> None:
    assert asked.error is None
    assert asked.status in DONE
    if isinstance(asked.value, tuple) and isinstance(asked.value[0], bool):
        assert asked.value[0]


def _not_allocated(asked: Asked) -> None:
    assert asked.value == (set(), {})
    assert _read(asked.body) == {"already-have": set(), "allocated": set()}


def _is_here(asked: Asked) -> None:
    assert asked.value == ({0}, {})
    assert _read(asked.body) == {"already-have": {0}, "allocated": set()}


def _no_room(asked: Asked) -> None:
    assert asked.value[V1][b"available-space"] == 0
    assert _read(asked.body)[V1][b"available-space"] == 0


#: What the words of the table mean.
MEANINGS: dict[str, Callable[[Asked], None]] = {
    "not allocated, as by a full disk": _not_allocated,
    "named as such": _is_here,
    "is finished": _done,
    "done": _done,
    "kept": _done,
    "no room": _no_room,
    "``Suspended``; 507": _named("Suspended", 507),
    "``NoSpace``; 507, but for the reserve": _named("NoSpace", 507),
    "error's name; 503": _named("Superseded", 503),
}


def _table() -> list[tuple[str, str, str]]:
    """Operation, situation and words of each cell."""
    text = DOCUMENT.read_text()
    part = text.split("Quota and suspension\n")[1]
    _, head, body, *_ = re.split(r"(?m)^=[= ]+$", part)
    widths = [m.span() for m in re.finditer(r"=+", re.search(r"(?m)^=[= ]+$", part)[0])]  # type: ignore[index]

    def cells(line: str) -> list[str]:
        return [
            line[a : None if i == 3 else b].strip() for i, (a, b) in enumerate(widths)
        ]

    rows: list[list[str]] = []
    for line in body.strip("\n").splitlines():
        found = cells(line)
        if found[0]:
            rows.append(found)
        else:
            rows[-1] = [
                f"{a} {b}".strip() for a, b in zip(rows[-1], found, strict=True)
            ]
    situations = cells(head.strip("\n"))[1:]
    return [
        (row[0], situation, words)
        for row in rows
        for situation, words in zip(situations, row[1:], strict=True)
    ]


def test_every_operation_is_in_the_table() -> None:
    """The table names the operations that are tested here, and no others."""
    assert {operation for operation, _, _ in _table()} == set(OPERATIONS)


@pytest.mark.parametrize(("operation", "situation", "words"), _table())
def test_cell(
    serving: Any, tmp_path: Path, operation: str, situation: str, words: str
) -> None:
    """What the document says of an operation holds over both protocols."""
    customer = Customer(serving, Edge(serving, tmp_path), FoolscapFront(serving.server))
    serving.upload(HERE, b"immutable", RENEW)
    for si in (SLOT, LARGE):
        customer.write(si, b"mutable")
    customer.begin()
    allowance, index = serving.server.allowance, serving.server.index
    match situation:
        case "beyond the quota":
            allowance.quota = index.stored
        case "suspended":
            allowance.suspended = True
        case _:
            serving.another()
            for _ in range(int(LOOK_EVERY) + 1):
                serving.retries.advance(1)
    MEANINGS[words](OPERATIONS[operation](customer))


def test_the_reserve(serving: Any, tmp_path: Path) -> None:
    """Beyond the quota a directory grows over both protocols, into the reserve alone."""
    customer = Customer(serving, Edge(serving, tmp_path), FoolscapFront(serving.server))
    customer.write(SLOT, b"mutable")
    allowance, index = serving.server.allowance, serving.server.index
    allowance.quota = 100_000
    serving.upload(HERE, b"x" * (100_000 - index.stored))
    _done(customer.write(SLOT, b"x" * 3000))
    _named("NoSpace", 507)(customer.write(SLOT, b"x" * 20_000))
