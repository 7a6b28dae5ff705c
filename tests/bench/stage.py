"""The running S4 that is measured: a demo as a child, and a look behind its scenes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import requests
import stripe
from attrs import define, field

from lae_localcloud.customer import mailbox
from lae_localcloud.customer.story import Places
from lae_localcloud.demo.once import client_tahoe

_LOOK_AGAIN = 0.05
_STARTED_WITHIN = 90.0
_ENDED_WITHIN = 15.0

#: Which process is which, by a piece of its command line.
PROCESSES = {
    "lae-site": "site",
    "lae-flapp": "daemon",
    "lae-node": "node (one customer's host)",
    "localcloud.command aws": "stand-in: AWS, its front and booter",
    "weed": "stand-in: S3's bytes",
    "localcloud.command stripe": "stand-in: Stripe",
    "localcloud.command smtp": "stand-in: mail server",
    "lae_localcloud demo": "stand-in: launcher",
}


class StageFailed(Exception):
    """What runs is not as it should be; the text says what."""


def wait_until(what: str, is_so: Callable[[], Any], seconds: float) -> Any:
    """Look until it is so; raises :class:`StageFailed`."""
    end = time.monotonic() + seconds
    while not (found := is_so()):
        if time.monotonic() > end:
            raise StageFailed(f"{what}: not within {seconds:g} s")
        time.sleep(_LOOK_AGAIN)
    return found


@define
class Stage:
    """Everything of S4 on this machine, with its state in *folder*."""

    folder: Path
    _launcher: subprocess.Popen[bytes] | None = None
    _demo: dict[str, Any] = field(factory=dict)

    def start(self) -> None:
        """Run the demo until it says where everything is."""
        command = [sys.executable, "-m", "lae_localcloud", "demo"]
        self._launcher = subprocess.Popen(
            [*command, "--state-dir", self.folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        state = self.folder / "demo.json"
        wait_until("the demo is ready", lambda: self._up(state), _STARTED_WITHIN)
        self._demo = json.loads(state.read_text("utf-8"))

    def stop(self) -> None:
        """End it, with all its processes."""
        launcher, self._launcher = self._launcher, None
        if launcher is None:
            return
        launcher.terminate()
        try:
            launcher.wait(_ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            # Its children are on a leash, and die with it.
            launcher.kill()
            launcher.wait()

    def places(self) -> Places:
        """What a customer knows."""
        customers = self.folder / "customers"
        customers.mkdir(exist_ok=True)
        return Places(
            self._demo["site_url"],
            self._demo["stripe_endpoint"],
            Path(self._demo["maildir"]),
            client_tahoe(),
            customers,
        )

    def instances(self) -> list[dict[str, Any]]:
        """All instances that were ever launched, ended ones as well."""
        answer = requests.get(self._demo["aws_control_url"], timeout=10)
        found: list[dict[str, Any]] = answer.json()["instances"]
        return found

    def running(self) -> list[str]:
        """The ids of those that are not ended."""
        return [
            i["instance_id"]
            for i in self.instances()
            if i["state"] not in {"terminated", "shutting-down", "stopping", "stopped"}
        ]

    def stop_all(self, but: Sequence[str] = ()) -> None:
        """Stop all other instances as the account's administrator, and wait for it; a
        terminated one would be taken for lost, and replaced.
        """

        def others() -> list[str]:
            return [one for one in self.running() if one not in but]

        ids = others()
        if ids:
            self._ec2().stop_instances(InstanceIds=ids)
        wait_until("all instances ended", lambda: not others(), 60)

    def kill_host(self, instance_id: str) -> None:
        """Kill -9 of the host's processes; its unit starts them again."""
        url = f"{self._demo['aws_control_url']}instances/{instance_id}/kill"
        requests.post(url, json={}, timeout=10).raise_for_status()

    def wait_for_host(self, instance_id: str, starts: int) -> None:
        """Wait until its service was started so often and is ready."""

        def ready() -> bool:
            (one,) = [i for i in self.instances() if i["instance_id"] == instance_id]
            return all(s["ready"] and s["starts"] >= starts for s in one["services"])

        wait_until(f"{instance_id} is ready", ready, 60)

    def launched_for(self) -> list[str]:
        """The signup of each instance that was ever launched, by its tag."""
        pages = self._ec2().get_paginator("describe_instances").paginate()
        instances = [
            i for page in pages for r in page["Reservations"] for i in r["Instances"]
        ]
        tags = [{t["Key"]: t["Value"] for t in i["Tags"]} for i in instances]
        return [of["s4:signup"] for of in tags]

    def subscribed(self) -> list[str]:
        """The signup of each subscription that Stripe has."""
        key = (self.folder / "stripe" / "secret-key").read_text("ascii").strip()
        endpoint = self._demo["stripe_endpoint"]
        client = stripe.StripeClient(key, base_addresses={"api": endpoint})
        every = client.v1.subscriptions.list({"status": "all", "limit": 100})
        return [s.metadata["s4_signup_id"] for s in every.auto_paging_iter()]

    def message_ids(self, address: str) -> list[str]:
        """The Message-ID of each mail that came for an address."""
        mails = mailbox.mails_to(Path(self._demo["maildir"]), address)
        return [str(message["Message-ID"]) for _, message in mails]

    def memory(self) -> dict[str, list[float]]:
        """Resident MiB of each of our processes and of the stand-ins, by kind."""
        found: dict[str, list[float]] = {}
        for pid, kind in self._processes():
            status = Path(f"/proc/{pid}/status").read_text("utf-8")
            resident = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
            if resident is not None:
                found.setdefault(kind, []).append(int(resident[1]) / 1024)
        return {k: found[k] for k in PROCESSES.values() if k in found}

    def processor_time(self, kinds: Collection[str]) -> float:
        """Seconds that processes of these kinds have used of the processor so far."""
        ticks = 0
        for pid, kind in self._processes():
            if kind in kinds:
                stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
                user, system = stat.rpartition(")")[2].split()[11:13]
                ticks += int(user) + int(system)
        return ticks / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> Iterator[tuple[int, str]]:
        """Our processes and the stand-ins, with their kinds."""
        assert self._launcher is not None, "it runs"
        for pid in _with_descendants(self._launcher.pid):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            kind = next((k for k in PROCESSES if k in argv.decode()), None)
            if kind is not None:
                yield pid, PROCESSES[kind]

    def _up(self, state: Path) -> bool:
        assert self._launcher is not None
        if self._launcher.poll() is not None:
            raise StageFailed(f"the demo ended with {self._launcher.returncode}")
        return state.exists()

    def _ec2(self) -> Any:
        return boto3.client(
            "ec2",
            endpoint_url=self._demo["aws_endpoint"],
            aws_access_key_id=self._demo["access_key"],
            aws_secret_access_key=self._demo["secret_key"],
            region_name=self._demo["region"],
        )


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text("ascii").split():
            found += _with_descendants(int(child))
    return found
