"""One instance: a directory, its services, its metadata service, its console."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.web.resource import Resource

from lae_localcloud.booter import ignition, unit
from lae_localcloud.booter.program_judge import JudgeOptions, ProgramJudge
from lae_localcloud.booter.programs import Programs
from lae_localcloud.booter.service import Service
from lae_localcloud.front.machines import LaunchOrder
from lae_localcloud.listening import Listening, listen
from lae_provision.hosts.node_unit import UNIT

#: The variable that AWS's own SDKs honour; it overrides the host's settings.
METADATA_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
#: EC2 keeps the last 64 KiB of a console.
_CONSOLE_KEPT = 65_536


class Instance:
    """Booted, rebooted, shut down."""

    def __init__(
        self,
        reactor: Any,
        root: Path,
        order: LaunchOrder,
        metadata: Resource,
        environment: Mapping[str, str],
        *,
        programs: Programs,
        judging: JudgeOptions,
    ) -> None:
        self._reactor, self.root, self.order = reactor, root, order
        self._programs, self._judging = programs, judging
        self._judges: tuple[ProgramJudge, ...] = ()
        self._metadata, self._environment = metadata, environment
        self._listening: Listening | None = None
        self.services: tuple[Service, ...] = ()
        self._units: tuple[unit.Unit, ...] | None = None

    @property
    def metadata_url(self) -> str | None:
        """Where its metadata service is, while it runs."""
        return None if self._listening is None else self._listening.url

    def boot(self) -> None:
        """Provision it (at its first boot alone) and start its services.

        What cannot be booted stays up without services, as a real one would stay in
        its emergency shell; the console says why.
        """
        self._listening = listen(self._reactor, self._metadata, 0)
        try:
            if self._units is None:
                self._units = self._provision()
            # The metadata service has another port after each boot.
            environment = {**self._environment, METADATA_VARIABLE: self._listening.url}
            self.services = tuple(self._service(u, environment) for u in self._units)
            self._judges = tuple(
                self._judge(one) for one in self.services if one.unit.name == UNIT
            )
            for judge in self._judges:
                judge.begin()
            for service in self.services:
                service.start()
        # NotIgnition and UnsupportedUnit are ValueErrors, as is text that is no UTF-8.
        except (ValueError, OSError) as e:
            self.say(f"boot failed: {e}")

    async def shut_down(self, longest: float) -> None:
        """Stop its services within *longest* seconds, then its metadata service."""
        for judge in self._judges:
            judge.end()
        for stopping in [s.stop(longest) for s in self.services]:
            await stopping
        if self._listening is not None:
            listening, self._listening = self._listening, None
            await listening.close()

    def kill(self) -> None:
        """Kill -9 of all its processes."""
        for service in self.services:
            service.kill()

    def say(self, line: str) -> None:
        """One line to the console."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        descriptor = os.open(
            self.root / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(f"[booter] {stamp} {line}\n")

    def console(self) -> bytes:
        """The end of the console's log."""
        try:
            with (self.root / "console.log").open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - _CONSOLE_KEPT))
                return log.read()
        except FileNotFoundError:
            return b""

    def _provision(self) -> tuple[unit.Unit, ...]:
        provision = ignition.parse(self.order.user_data)
        units = tuple(unit.parse(name, text) for name, text in provision.units)
        provision.write(self.root)
        if not units:
            self.say("no unit is enabled: nothing to run")
        return units

    def _service(self, parsed: unit.Unit, environment: Mapping[str, str]) -> Service:
        return Service(self._reactor, parsed, self.root, environment, self.say)

    def _judge(self, service: Service) -> ProgramJudge:
        return ProgramJudge(
            self._reactor, self.root, self._programs, service, self._judging
        )
