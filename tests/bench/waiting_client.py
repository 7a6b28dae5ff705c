"""A customer's client that lacks nothing but the introducer's furl."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import requests
import yaml
from attrs import define, field

from lae_localcloud.customer.laptop import Laptop
from lae_localcloud.customer.mailbox import ReadyMail
from lae_localcloud.ports import free_ports
from lae_protocol.grid_file import SHARES

#: Bigger than what a cap can hold itself, so that it must be stored.
_SMALL_FILE = 1000
_BETWEEN_WRITES = 0.02
_CONNECTED_WITHIN = 120.0
_WRITTEN_WITHIN = 60.0


@define
class WaitingClient:
    """A vanilla tahoe client in *folder*; the program is *tahoe*."""

    folder: Path
    tahoe: Path
    _port: int = field(factory=lambda: free_ports(1)[0])
    _thread: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(1))
    _stored: Future[float] | None = None
    _laptop: Laptop = field(init=False)

    def prepare(self) -> None:
        """The node's directory, as the mail's command makes it but without a furl."""
        self._laptop = Laptop(self.folder, self.tahoe, port=self._port)
        options = [f"--shares-{of}={SHARES}" for of in ("needed", "happy", "total")]
        command = ["tahoe", "create-client", "--webport", "", *options, "my-client"]
        self._laptop.join(ReadyMail("", (), command, b"", 0.0))

    def go(self, furl: str) -> None:
        """Start with this furl, and store a file as soon as that is possible."""
        known = {"introducers": {"introducer": {"furl": furl}}}
        path = self.folder / "private" / "introducers.yaml"
        path.write_text(yaml.safe_dump(known), encoding="utf-8")
        self._stored = self._thread.submit(self._start_and_store)

    def stored_at(self) -> float:
        """When the first file was stored (epoch seconds); waits for it."""
        assert self._stored is not None, "it was given a furl"
        return self._stored.result()

    def write(self) -> None:
        """Store a random small file; raises requests.RequestException."""
        answer = requests.put(
            f"http://127.0.0.1:{self._port}/uri",
            data=secrets.token_bytes(_SMALL_FILE),
            timeout=_WRITTEN_WITHIN,
        )
        answer.raise_for_status()

    def write_until_it_works(self) -> None:
        """Try again and again, as a person would who needs it stored."""
        end = time.monotonic() + _CONNECTED_WITHIN
        while True:
            try:
                self.write()
            except requests.RequestException:
                if time.monotonic() > end:
                    raise
                time.sleep(_BETWEEN_WRITES)
            else:
                return

    def close(self) -> None:
        """End the client; its directory goes with it."""
        self._laptop.lose()
        self._thread.shutdown()

    def _start_and_store(self) -> float:
        self._laptop.start(_CONNECTED_WITHIN)
        self.write()
        return time.time()
