"""Clients at work on the node: each worker does one thing again and again."""

from __future__ import annotations

import http.client
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from random import Random
from typing import Any, Self

from allmydata import uri
from attrs import define, field

from lae_storage.server.keys import si_text
from tests.storage.killing.ledger import Ledger, Mutable, Stored, content

MIB = 1024 * 1024
#: How often, and the sizes: small files, such as are sent in one request, such as are
#: sent in parts.
SIZES = ((60, 100, 200_000), (30, MIB, 16 * MIB), (10, 16 * MIB + 1, 24 * MIB))
#: Mutable files of each client: format and largest size.  The last is kept in chunks.
MUTABLE = (("SDMF", 3000), ("SDMF", 200_000), ("MDMF", 3 * MIB))
PAUSE = 0.05


@define
class Load:
    """Workers of two clients, *clients* by the name of their protocol."""

    seed: str
    clients: dict[str, Any]
    nurl: str
    ledger: Ledger = field(factory=Ledger)
    over: threading.Event = field(factory=threading.Event)
    workers: list[threading.Thread] = field(factory=list)

    def __enter__(self) -> Self:
        for protocol, client in self.clients.items():
            for number, (kind, largest) in enumerate(MUTABLE):
                first = content(f"{self.seed} {protocol} {number}", largest // 2)
                cap = client.until(lambda c=client, d=first, k=kind: c.store(d, k))
                file = Mutable(cap, [first])
                self.ledger.mutable.append(file)
                name = f"{self.seed} {protocol} mutable {number}"
                self._begin(_change, protocol, client, file, kind, largest, name)
            self._begin(_store, protocol, client, f"{self.seed} {protocol} immutable")
            self._begin(_read, client, Random(f"{self.seed} {protocol} reading"))
        self._begin(_lease, Random(f"{self.seed} leases"))
        return self

    def _begin(self, work: Callable[..., None], *arguments: Any) -> None:
        worker = threading.Thread(target=work, args=(self, *arguments), daemon=True)
        self.workers.append(worker)
        worker.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for worker in self.workers:
            worker.join()


def _store(load: Load, protocol: str, client: Any, name: str) -> None:
    """Store new files; one that was refused is sometimes sent again, as clients do."""
    rng, number, again = Random(name), 0, False
    size = 0
    while not load.over.is_set():
        if not again:
            number += 1
            (_, low, high), *_ = rng.choices(SIZES, [weight for weight, _, _ in SIZES])
            size = rng.randint(low, high)
        try:
            cap = client.store(content(f"{name} {number}", size))
        except OSError:
            load.ledger.count(f"{protocol} store refused")
            again = rng.random() < 0.5
            load.over.wait(PAUSE)
        else:
            again = False
            load.ledger.stored.append(Stored(cap, f"{name} {number}", size))
            load.ledger.count(f"{protocol} store", size)


def _change(
    load: Load,
    protocol: str,
    client: Any,
    file: Mutable,
    kind: str,
    largest: int,
    name: str,
) -> None:
    """Write new contents, and into MDMF files parts, too."""
    rng, number = Random(name), 0
    while not load.over.is_set():
        number += 1
        # Of two possible contents a part would make four.
        old = len(file.possible[0])
        settled = len(file.possible) == 1 and old > 1000
        part = kind == "MDMF" and settled and rng.random() < 0.6
        size = rng.randint(1, min(old // 2, 50_000) if part else largest)
        offset = rng.randrange(old - size) if part else None
        data, where = content(f"{name} {number}", size), f"?offset={offset}"
        file.begin(offset, data)
        try:
            client.ask("PUT", f"/uri/{file.cap}{where if part else ''}", data)
        except OSError:
            load.ledger.count(f"{protocol} {kind} refused")
            load.over.wait(PAUSE)
        else:
            file.acknowledged()
            load.ledger.count(f"{protocol} {kind}", size)


def _read(load: Load, client: Any, rng: Random) -> None:
    """Read files that are stored: they are whole at any moment."""
    while not load.over.wait(PAUSE):
        if not load.ledger.stored:
            continue
        file = rng.choice(load.ledger.stored)
        try:
            data = client.ask("GET", f"/uri/{file.cap}")
        except (OSError, http.client.HTTPException):
            # What is cut short says so, or its length does.
            continue
        if data != file.data():
            load.ledger.wrong.append(f"read wrong while it ran: {file}")


def _lease(load: Load, rng: Random) -> None:
    """Add leases to files of both kinds, by GBS itself: the reply is seen here."""
    node, _, rest = load.nurl.partition("@")[2].partition("/")
    swissnum = b64encode(rest.partition("#")[0].encode()).decode()
    trusting = ssl._create_unverified_context()
    while not load.over.wait(PAUSE):
        files = [*load.ledger.stored, *load.ledger.mutable]
        storage_index = uri.from_string(rng.choice(files).cap).get_storage_index()
        renew = rng.randbytes(32)
        headers = [
            ("Authorization", f"Tahoe-LAFS {swissnum}"),
            *(
                ("X-Tahoe-Authorization", f"{what} {b64encode(secret).decode()}")
                for what, secret in (
                    ("lease-renew-secret", renew),
                    ("lease-cancel-secret", bytes(32)),
                )
            ),
        ]
        asking = http.client.HTTPSConnection(node, timeout=60, context=trusting)
        try:
            asking.putrequest("PUT", f"/storage/v1/lease/{si_text(storage_index)}")
            for header in headers:
                asking.putheader(*header)
            asking.endheaders()
            status = asking.getresponse().status
        except (OSError, http.client.HTTPException):
            status = 0
        finally:
            asking.close()
        if status == 204:
            load.ledger.leases.append((storage_index, renew))
            load.ledger.count("gbs lease")
        else:
            load.ledger.count("gbs lease refused")
