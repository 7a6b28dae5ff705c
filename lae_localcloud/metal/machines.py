"""Instances as EC2 has them: launched, stopped, started, rebooted, ended, crashed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import Resource

from lae_localcloud.account.moto import Moto
from lae_localcloud.booter.booter import BooterOptions
from lae_localcloud.booter.imds import Keys, Metadata
from lae_localcloud.booter.signer import IdentitySigner
from lae_localcloud.front.groups import Allowed
from lae_localcloud.front.machines import (
    Addresses,
    Heard,
    InstanceState,
    LaunchOrder,
)
from lae_localcloud.front.slowness import Slowness
from lae_localcloud.metal.cgroups import Groups
from lae_localcloud.metal.doors import AWS, S3, Doors, MetadataDoor
from lae_localcloud.metal.machine import Machine
from lae_localcloud.metal.network import Network
from lae_localcloud.metal.power import Ending, Power
from lae_localcloud.metal.root import make_root
from lae_localcloud.metal.rules import RESOLVER, SERVICES
from lae_localcloud.metal.runs import Run, begin_run, new_prefix

T = TypeVar("T")

#: The namespace of customers' programs, somewhere in the internet.
CLIENT = "client"
#: EC2 moves an instance whose host failed, and starts it there.
RECOVERED_AFTER = 2.0  # s


@define(frozen=True)
class Inside:
    """What the cloud is where its hosts are; *cloud* and *client* go before a command
    that shall run at the router, or at a customer's.
    """

    aws_endpoint: str
    s3_endpoint: str
    services: str
    resolver: str
    prefix: str
    cloud: tuple[str, ...]
    client: tuple[str, ...]


def _now() -> datetime:
    return datetime.now(UTC)


class Metal:
    """All instances (:class:`~lae_localcloud.front.machines.Machines`).

    *heard* is told what becomes of each.  Whatever blocks is done in one thread, so
    that two changes of the network cannot meet.
    """

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
        self._machines: dict[str, Machine] = {}
        self._signer = IdentitySigner()
        self._thread = ThreadPool(1, 1, "metal")
        self._run: Run | None = None
        self._root = Path()
        self.network = Network(new_prefix(), folder)
        self.doors = Doors(reactor, self.network.cloud)
        self._is_ending = False

    async def open(self) -> None:
        """The root file system, the network, the metadata service."""
        self._thread.start()
        self._run = await self._do(begin_run, self.network.prefix)
        self._root = await self._do(make_root, self._say_to_people)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._do(self.network.make)
        await self._do(self.doors.open_metadata)
        self.doors.serve_metadata(MetadataDoor(self._metadata_of))
        await self._do(self.network.plug_in_client, CLIENT)

    def inside(self, aws: Resource, s3: Resource, ports: Sequence[int]) -> Inside:
        """Open the doors of the services: *ports* are those of our loopback that hosts
        shall reach, too.
        """
        for port in ports:
            self.doors.forward(port)
        client = self.network.namespace(CLIENT)
        return Inside(
            aws_endpoint=self.doors.serve(aws, AWS),
            s3_endpoint=self.doors.serve(s3, S3),
            services=SERVICES,
            resolver=RESOLVER,
            prefix=self.network.prefix,
            cloud=self.network.cloud.words(self.network.resolver),
            client=client.words(self.network.resolver),
        )

    def launch(self, order: LaunchOrder) -> None:
        """Start a new instance."""
        keys = Keys(self._moto, order, self._options.credential_seconds, _now)
        machine = Machine(
            order,
            self._folder / order.instance_id,
            Groups(f"{self.network.prefix}-{order.instance_id}"),
            self.network.namespace(order.instance_id),
            Resource(),  # type: ignore[no-untyped-call]
        )
        machine.metadata = Metadata(
            order,
            self._moto.region,
            keys,
            signer=self._signer,
            now=_now,
            addresses=lambda: Addresses(order.private_address, machine.public),
        )
        self._machines[order.instance_id] = machine
        self._in_turn(machine, self._prepare(machine))

    def terminate(self, instance_id: str) -> None:
        """End it for good."""
        machine = self._machines[instance_id]
        machine.is_told_to_end = True
        self._in_turn(machine, self._end(machine))

    def stop(self, instance_id: str) -> None:
        """Shut it down; its volume stays."""
        machine = self._machines[instance_id]
        machine.is_told_to_end = True
        self._in_turn(machine, self._stop(machine))

    def start(self, instance_id: str) -> None:
        """Power on one that was shut down."""
        machine = self._machines[instance_id]
        self._in_turn(machine, self._boot_when_due(machine))

    def reboot(self, instance_id: str) -> None:
        """As the button: down in its own time, and up again."""
        machine = self._machines[instance_id]
        self._in_turn(machine, self._reboot(machine))

    def console(self, instance_id: str) -> bytes:
        """The end of its console's log."""
        machine = self._machines.get(instance_id)
        return b"" if machine is None else machine.console()

    def kill(self, instance_id: str) -> bool:
        """Its host fails: nothing in it runs a moment longer, and it is started anew
        elsewhere; False where there is no such instance.
        """
        machine = self._machines.get(instance_id)
        if machine is None:
            return False
        if machine.power is not None:
            machine.power.pull()
        return True

    def cut(self, instance_id: str) -> bool:
        """Cut its cable; False where there is no such instance."""
        return self._cable(instance_id, self.network.cut)

    def mend(self, instance_id: str) -> bool:
        """Mend its cable; False where there is no such instance."""
        return self._cable(instance_id, self.network.mend)

    def regroup(self, instance_id: str, groups: tuple[Allowed, ...]) -> None:
        """Its security groups let something else in or out."""
        if self.network.is_plugged(instance_id):
            self._soon(self._do(self.network.regroup, instance_id, groups))

    def certificate(self) -> bytes:
        """Checks the signatures of identity documents."""
        return self._signer.certificate()

    def listing(self) -> list[dict[str, Any]]:
        """All instances, for the control endpoint."""
        return [
            {
                "instance_id": instance_id,
                "state": machine.state,
                "directory": str(machine.folder),
                "namespace": machine.namespace.name,
                "private_address": machine.order.private_address,
                "public_address": machine.public,
                "enter": " ".join(machine.within()),
            }
            for instance_id, machine in self._machines.items()
        ]

    async def stop_all(self) -> None:
        """End everything at once; what is outside our folder is removed."""
        self._is_ending = True
        for machine in self._machines.values():
            machine.cancel_later()
            if machine.power is not None:
                machine.power.pull()
                await machine.power.ended()
        await self.doors.close()
        if self._run is not None:
            await self._do(self._run.end)
        self._thread.stop()

    # What follows is one instance's life; each is called in the instance's turn.

    async def _prepare(self, machine: Machine) -> None:
        order = machine.order
        await self._do(machine.prepare)
        groups = order.groups
        name, address = order.instance_id, order.private_address
        await self._do(self.network.plug_in, name, address, groups)
        await self._boot_when_due(machine)

    async def _boot_when_due(self, machine: Machine) -> None:
        machine.is_told_to_end = False
        machine.cancel_later()
        later = self._reactor.callLater
        machine.later = later(self._slowness.boot, self._power_on, machine)

    def _power_on(self, machine: Machine) -> None:
        if self._is_ending or machine.is_told_to_end:
            return
        machine.power = Power(self._reactor, lambda how: self._ended(machine, how))
        try:
            machine.power.turn_on(
                machine.hardware(self._root), machine.folder / "console.log"
            )
        except OSError as e:
            machine.say(f"cannot be powered on: {e}")
        if machine.state != "running":
            self._become(machine, "running")
        if machine.public is None:
            later = self._reactor.callLater
            machine.later = later(
                self._slowness.address,
                lambda: self._in_turn(machine, self._publish(machine)),
            )

    async def _publish(self, machine: Machine) -> None:
        if machine.state != "running" or machine.public is not None:
            return
        name = machine.order.instance_id
        machine.public = await self._do(self.network.publish, name)
        self._heard.public_address(name, machine.public)

    async def _unpublish(self, machine: Machine) -> None:
        if machine.public is not None:
            name = machine.order.instance_id
            machine.public = None
            self._heard.public_address(name, None)
            await self._do(self.network.unpublish, name)

    def _ended(self, machine: Machine, how: Ending) -> None:
        if self._is_ending or machine.is_told_to_end:
            return
        machine.say(f"the instance has {how}")
        match how:
            case "rebooted":
                self._power_on(machine)
            case "powered off":
                self._in_turn(machine, self._powered_off(machine))
            case "crashed":
                machine.cancel_later()
                later = self._reactor.callLater
                machine.later = later(RECOVERED_AFTER, self._power_on, machine)
            case "not booted":
                # A real one would stay in its emergency shell: on, and of no use.
                pass

    async def _powered_off(self, machine: Machine) -> None:
        """From inside: EC2 does what the launch has asked for."""
        if machine.order.ends_when_shut_down:
            self._become(machine, "shutting-down")
            await self._end(machine)
        else:
            self._become(machine, "stopping")
            await self._stop(machine)

    async def _stop(self, machine: Machine) -> None:
        if machine.state == "terminated":
            return
        await self._bring_down(machine)
        await self._unpublish(machine)
        self._become(machine, "stopped")

    async def _end(self, machine: Machine) -> None:
        if machine.state == "terminated":
            return
        await self._bring_down(machine)
        await self._unpublish(machine)
        await self._do(self.network.unplug, machine.order.instance_id)
        await self._do(machine.groups.remove)
        machine.volume.unlink(missing_ok=True)
        if not self._options.keep_terminated:
            shutil.rmtree(machine.folder, ignore_errors=True)
        self._become(machine, "terminated")

    async def _bring_down(self, machine: Machine) -> None:
        machine.cancel_later()
        power = machine.power
        if power is None or not power.is_on:
            return
        power.press()
        ended = power.ended()
        late = self._reactor.callLater(self._options.stop_seconds, power.pull)
        await ended
        if late.active():
            late.cancel()

    async def _reboot(self, machine: Machine) -> None:
        power = machine.power
        if machine.state != "running" or power is None:
            return
        if power.is_on:
            power.press_reset()
            ended = power.ended()
            late = self._reactor.callLater(self._options.stop_seconds, power.pull)
            await ended
            if late.active():
                late.cancel()
        else:
            self._power_on(machine)

    def _become(self, machine: Machine, state: InstanceState) -> None:
        machine.state = state
        self._heard.state(machine.order.instance_id, state)

    def _cable(self, instance_id: str, change: Callable[[str], None]) -> bool:
        if not self.network.is_plugged(instance_id):
            return False
        self._soon(self._do(change, instance_id))
        return True

    def _metadata_of(self, address: str) -> Resource | None:
        for machine in self._machines.values():
            if machine.order.private_address == address and machine.state in (
                "pending",
                "running",
                "stopping",
                "shutting-down",
            ):
                return machine.metadata
        return None

    def _do(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._thread, work, *args)

    def _soon(self, work: Deferred[Any]) -> None:
        work.addErrback(lambda f: self._log.failure("the network", failure=f))

    def _in_turn(self, machine: Machine, work: Coroutine[Any, Any, None]) -> None:
        done = machine.turn.run(Deferred.fromCoroutine, work)
        done.addErrback(lambda f: self._failed(machine, f))

    def _failed(self, machine: Machine, failure: Any) -> None:
        if not self._is_ending:
            self._log.failure("an instance", failure=failure)
            machine.say(f"the cloud failed: {failure.getErrorMessage()}")

    def _say_to_people(self, line: str) -> None:
        self._log.info("{line}", line=line)
