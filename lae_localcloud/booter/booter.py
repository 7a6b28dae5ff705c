"""Boots what RunInstances accepts, and ends what TerminateInstances names."""

from __future__ import annotations

import shutil
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from lae_localcloud.account.moto import Moto
from lae_localcloud.booter.imds import Keys, Metadata
from lae_localcloud.booter.instance import Instance
from lae_localcloud.booter.program_judge import JudgeOptions
from lae_localcloud.booter.programs import Programs
from lae_localcloud.booter.signer import IdentitySigner
from lae_localcloud.front.groups import Allowed
from lae_localcloud.front.machines import (
    Addresses,
    Heard,
    InstanceState,
    LaunchOrder,
)
from lae_localcloud.front.slowness import Slowness

#: Every instance of this level is here.
LOOPBACK = "127.0.0.1"
#: What it shows for a public address: one of these, and after a stop and a start the
#: next one.  All of them are loopback's.
PUBLIC = IPv4Network("127.16.0.0/12")
#: The folder of programs, in the cloud's.
PROGRAMS = "programs"


@define(frozen=True)
class BooterOptions:
    """*credential_seconds*: how long keys from the metadata service hold.

    *environment* is given to every unit; *keep_terminated* keeps directories, for
    people who look into what happened; *judging* is how programs are changed.
    """

    credential_seconds: int = 3600
    stop_seconds: float = 5.0
    keep_terminated: bool = True
    environment: Mapping[str, str] = field(factory=dict)
    judging: JudgeOptions = field(factory=JudgeOptions)


@define
class _Machine:
    instance: Instance
    state: InstanceState
    # What is asked of one instance is done in the order it was asked.
    turn: DeferredLock = field(factory=DeferredLock)
    booting: Any = None
    public: str | None = None
    publishing: Any = None


def _now() -> datetime:
    return datetime.now(UTC)


class Booter:
    """All instances (:class:`~lae_localcloud.front.machines.Machines`)."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        moto: Moto,
        *,
        options: BooterOptions,
        slowness: Slowness,
        heard: Heard,
    ) -> None:
        self._reactor, self._folder, self._moto = reactor, folder, moto
        self._options, self._slowness, self._heard = options, slowness, heard
        self._machines: dict[str, _Machine] = {}
        self._published = 0
        self._signer = IdentitySigner()

    async def open(self) -> None:
        """Nothing: processes need nothing before."""

    def launch(self, order: LaunchOrder) -> None:
        """Start a new instance."""
        root = self._folder / order.instance_id
        root.mkdir(mode=0o700, parents=True)
        keys = Keys(self._moto, order, self._options.credential_seconds, _now)

        def addresses() -> Addresses:
            machine = self._machines.get(order.instance_id)
            return Addresses(LOOPBACK, None if machine is None else machine.public)

        metadata = Metadata(
            order,
            self._moto.region,
            keys,
            signer=self._signer,
            now=_now,
            addresses=addresses,
        )
        instance = Instance(
            self._reactor,
            root,
            order,
            metadata,
            self._options.environment,
            programs=Programs(self._folder.with_name(PROGRAMS)),
            judging=self._options.judging,
        )
        machine = _Machine(instance, "pending")
        self._machines[order.instance_id] = machine
        self._boot_soon(machine)

    def terminate(self, instance_id: str) -> None:
        """End it for good."""
        machine = self._machines[instance_id]
        self._in_turn(machine, self._end(machine, "terminated"))

    def stop(self, instance_id: str) -> None:
        """Shut it down."""
        machine = self._machines[instance_id]
        self._in_turn(machine, self._end(machine, "stopped"))

    def start(self, instance_id: str) -> None:
        """Start one that was shut down."""
        machine = self._machines[instance_id]
        self._in_turn(machine, self._start_again(machine))

    def reboot(self, instance_id: str) -> None:
        """Down, and up again."""
        machine = self._machines[instance_id]
        self._in_turn(machine, self._reboot(machine))

    def console(self, instance_id: str) -> bytes:
        """The end of its console's log."""
        machine = self._machines.get(instance_id)
        return b"" if machine is None else machine.instance.console()

    def kill(self, instance_id: str) -> bool:
        """Kill -9 of all its processes; False where there is no such instance."""
        machine = self._machines.get(instance_id)
        if machine is None:
            return False
        machine.instance.kill()
        return True

    def regroup(self, instance_id: str, groups: tuple[Allowed, ...]) -> None:
        """Nothing: loopback lets everything in."""

    def cut(self, instance_id: str) -> bool:
        """Instances of this level have no cable."""
        del instance_id
        return False

    def mend(self, instance_id: str) -> bool:
        """Instances of this level have no cable."""
        del instance_id
        return False

    def certificate(self) -> bytes:
        """Checks the signatures of identity documents."""
        return self._signer.certificate()

    def listing(self) -> list[dict[str, Any]]:
        """All instances, for the control endpoint."""
        return [
            {
                "instance_id": instance_id,
                "state": machine.state,
                "directory": str(machine.instance.root),
                "metadata_url": machine.instance.metadata_url,
                "services": [
                    {
                        "unit": s.unit.name,
                        "pid": s.pid,
                        "ready": s.ready,
                        "starts": s.starts,
                    }
                    for s in machine.instance.services
                ],
            }
            for instance_id, machine in self._machines.items()
        ]

    async def stop_all(self) -> None:
        """End every process, all at the same time."""
        ending = []
        for machine in self._machines.values():
            self._stop_booting(machine)
            if machine.publishing is not None and machine.publishing.active():
                machine.publishing.cancel()
            shut = machine.instance.shut_down(self._options.stop_seconds)
            ending.append(Deferred.fromCoroutine(shut))
        for ended in ending:
            await ended

    def _boot_soon(self, machine: _Machine) -> None:
        delay = self._slowness.boot
        if delay > 0:
            machine.booting = self._reactor.callLater(delay, self._boot, machine)
        else:
            self._boot(machine)

    def _boot(self, machine: _Machine) -> None:
        machine.booting = None
        machine.instance.boot()
        self._become(machine, "running")
        waits = machine.publishing is not None and machine.publishing.active()
        if machine.public is None and not waits:
            self._published += 1
            address = str(PUBLIC[self._published % PUBLIC.num_addresses])
            delay = self._slowness.address
            later = self._reactor.callLater(delay, self._publish, machine, address)
            machine.publishing = later

    def _publish(self, machine: _Machine, address: str | None) -> None:
        if machine.publishing is not None and machine.publishing.active():
            machine.publishing.cancel()
        if machine.public != address:
            machine.public = address
            self._heard.public_address(machine.instance.order.instance_id, address)

    def _become(self, machine: _Machine, state: InstanceState) -> None:
        machine.state = state
        self._heard.state(machine.instance.order.instance_id, state)

    def _stop_booting(self, machine: _Machine) -> None:
        if machine.booting is not None:
            machine.booting.cancel()
            machine.booting = None

    def _in_turn(self, machine: _Machine, work: Coroutine[Any, Any, None]) -> None:
        done = machine.turn.run(Deferred.fromCoroutine, work)
        done.addErrback(lambda f: self._log.failure("an instance", failure=f))

    async def _end(self, machine: _Machine, state: InstanceState) -> None:
        if machine.state == "terminated":
            return
        self._stop_booting(machine)
        await machine.instance.shut_down(self._options.stop_seconds)
        if state == "terminated" and not self._options.keep_terminated:
            shutil.rmtree(machine.instance.root, ignore_errors=True)
        self._publish(machine, None)
        self._become(machine, state)

    async def _start_again(self, machine: _Machine) -> None:
        if machine.state == "stopped":
            self._boot_soon(machine)

    async def _reboot(self, machine: _Machine) -> None:
        if machine.state == "running":
            await machine.instance.shut_down(self._options.stop_seconds)
            self._boot(machine)
