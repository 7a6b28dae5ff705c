"""Kill the node again and again while clients work, then look at everything."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field

from tests.storage.conftest import NodeProcess, S3Server, VanillaClient
from tests.storage.killing.ledger import Ledger
from tests.storage.killing.load import Load

#: Seconds in which both clients must have work done again after a restart: on a busy
#: machine Foolscap waits for its next try ever longer.
GOING_ON = 150.0
#: Of so many kills one meets the node while it starts.
WHILE_STARTING = 6
#: Longest seconds until a kill, from the start of the process or from the moment when
#: both clients have work done.
START_TAKES, WORK = 1.5, 1.5
PROTOCOLS = ("gbs", "foolscap")
#: Every kind of write that a client does, each done once before the first kill.
WRITES = ("store", "SDMF", "MDMF")
#: Losses after which nobody needs to know more.
MANY = 5
CHECKOUT = Path(__file__).parents[3]


@define
class Result:
    """What the kills did; *losses* are sentences, one for each thing that is lost."""

    seed: str
    kills: int = 0
    while_starting: int = 0
    #: Of uploads in parts, after each kill, before the next node's start.
    uploads_left: int = 0
    ledger: Ledger = field(factory=Ledger)
    seconds: float = 0.0
    read_back: int = 0
    left: dict[str, Any] = field(factory=dict)
    losses: list[str] = field(factory=list)

    def table(self) -> str:
        """For people."""
        counts = self.ledger.counts
        rows = {
            "kills": f"{self.kills}, {self.while_starting} of them while it started",
            "acknowledged": f"{self.ledger.acknowledged()} operations, "
            f"{self.ledger.written:,} bytes",
            **{f"  {what}": counts[what] for what in sorted(counts)},
            "read back": f"{self.read_back:,} bytes",
            "shares": f"{self.left['immutable_shares']} immutable, "
            f"{self.left['slots']} slots, {self.left['chunks']} chunks",
            "unfinished uploads": f"{self.uploads_left} found after kills, "
            f"{self.left['uploads']} in the end",
            "orphaned chunks": f"{self.left['orphans before']} in the end, "
            f"{self.left['orphans']} after the sweep",
            "minutes": f"{self.seconds / 60:.1f}",
            "lost or torn": len(self.losses),
        }
        return "\n".join(f"{name:<32}{value}" for name, value in rows.items())


@define
class Killing:
    """One run; *told* hears how many kills are done."""

    seed: str
    kills: int
    folder: Path
    s3: S3Server
    told: Callable[[int], None] = field(default=lambda _: None)
    node: NodeProcess = field(init=False)
    clients: dict[str, VanillaClient] = field(factory=dict)

    def run(self) -> Result:
        """1. A node and two clients, one of each protocol; 2. load, and kills under
        it; 3. everything is read back, by the other client than stored it; 4. the
        bucket is looked at.
        """
        began = time.monotonic()
        result = Result(self.seed)
        try:
            with self._begin() as load:
                result.ledger = load.ledger
                self._kill_all(load, result)
            self._start_again(result)
            self._read_back(result)
        finally:
            self.node.kill()
            for client in self.clients.values():
                client.stop()
        self._look(result)
        result.seconds = time.monotonic() - began
        return result

    def _begin(self) -> Load:
        bucket = f"killed-{uuid.uuid4().hex}"
        self.s3.make_bucket(bucket)
        self.node = NodeProcess(self.folder / "node", self.s3.endpoint, bucket)
        self.node.start()
        for protocol in PROTOCOLS:
            client = VanillaClient(self.folder / protocol)
            self.clients[protocol] = client
            client.start(self.node.found, foolscap=protocol == "foolscap")
        (there,) = self.node.found.values()
        (nurl,) = there["ann"]["anonymous-storage-NURLs"]
        return Load(self.seed, self.clients, nurl)

    def _kill_all(self, load: Load, result: Result) -> None:
        rng = Random(f"{self.seed} kills")
        self._until_each_write_was_done(load)
        while result.kills < self.kills:
            self._until_work_is_done(load)
            time.sleep(rng.uniform(0, WORK))
            self.node.lose_host()
            result.kills += 1
            result.uploads_left += self._uploads()
            while result.kills < self.kills and not rng.randrange(WHILE_STARTING):
                self.node.begin()
                time.sleep(rng.uniform(0, START_TAKES))
                self.node.lose_host()
                result.kills += 1
                result.while_starting += 1
            self.told(result.kills)
            if result.kills < self.kills:
                self._start_again(result)

    def _uploads(self) -> int:
        left = self.s3.client().list_multipart_uploads(Bucket=self.node.bucket)
        return len(left.get("Uploads", []))

    def _start_again(self, result: Result) -> None:
        before = self.node.found
        self.node.start()
        if self.node.found != before:
            result.losses.append("the node has another identity")

    def _until_each_write_was_done(self, load: Load) -> None:
        """A store of a large file may be refused again and again once kills began."""
        counts = load.ledger.counts
        until = time.monotonic() + GOING_ON
        while not all(counts[f"{p} {w}"] for p in PROTOCOLS for w in WRITES):
            assert time.monotonic() < until, counts
            time.sleep(0.02)

    def _until_work_is_done(self, load: Load) -> None:
        before = {p: load.ledger.acknowledged(p) for p in PROTOCOLS}
        until = time.monotonic() + GOING_ON
        while any(load.ledger.acknowledged(p) == before[p] for p in PROTOCOLS):
            assert time.monotonic() < until, "nothing goes on"
            time.sleep(0.02)

    def _read_back(self, result: Result) -> None:
        ledger, losses = result.ledger, result.losses
        losses += ledger.wrong
        readers = list(self.clients.values())
        for number, file in enumerate(ledger.stored):
            if self._get(readers[number % 2], file.cap, result) != file.data():
                losses.append(f"not as stored: {file}")
            if len(losses) > MANY:
                return
        for reader in readers:
            for mutable in ledger.mutable:
                data = self._get(reader, mutable.cap, result)
                if data not in mutable.possible:
                    losses.append(f"neither its last content nor a later: {mutable}")
        self._write_once_more(result)

    def _write_once_more(self, result: Result) -> None:
        ledger, losses = result.ledger, result.losses
        readers = list(self.clients.values())
        for mutable in ledger.mutable:
            try:
                readers[0].ask("PUT", f"/uri/{mutable.cap}", b"after all")
            except OSError as e:
                losses.append(f"cannot be written any more: {mutable}: {e}")
            if self._get(readers[0], mutable.cap, result) != b"after all":
                losses.append(f"is not what was written after all: {mutable}")
            if len(losses) > MANY:
                return

    @staticmethod
    def _get(client: VanillaClient, cap: str, result: Result) -> bytes | None:
        """The file's content, None where it cannot be read."""
        try:
            data: bytes = client.until(lambda: client.ask("GET", f"/uri/{cap}"), 30)
        except OSError as e:
            result.losses.append(f"cannot be read: {cap}: {e}")
            return None
        result.read_back += len(data)
        return data

    def _look(self, result: Result) -> None:
        looking = [sys.executable, "-m", "tests.storage.killing.last_look"]
        leases = [[si.hex(), renew.hex()] for si, renew in result.ledger.leases]
        told = subprocess.run(
            [*looking, self.s3.endpoint, self.node.bucket, str(self.folder / "look")],
            cwd=CHECKOUT,
            input=json.dumps(leases),
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        left = result.left = json.loads(told.stdout)
        for what in ("problems", "cut short", "leases lost"):
            result.losses += [f"{what}: {one}" for one in left[what]]
        for what in ("uploads", "orphans"):
            if left[what]:
                result.losses.append(f"left after the sweep: {left[what]} {what}")
