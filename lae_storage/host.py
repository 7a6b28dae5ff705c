"""One customer's host, from power-on to ready.

1. make or find the agent's key, and read what was claimed before
2. at the first boot: ask the cloud for the instance's id, and claim the identity
3. write Tahoe-LAFS' folders, build introducer and storage node, and serve
4. test the node by a real write and read, and repeat the test until it passes
5. report each phase, then the host's health, and apply the state the daemon desires;
   which program it desires is root's to judge
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from importlib import import_module
from random import Random
from typing import Any, Protocol

from attrs import define, evolve, field
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_protocol.furl import Furl
from lae_protocol.host_messages import Claimed, Desired, StoragePlace
from lae_protocol.process.call import Facet
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.readiness import notify
from lae_protocol.process.retry import pause
from lae_protocol.secret import Secret
from lae_storage.agent.claiming import Claiming, make_claim
from lae_storage.agent.instance import Metadata, this_instance
from lae_storage.agent.reporting import Phase, Reporting, Usage
from lae_storage.agent.volume import Volume
from lae_storage.agent.wish import ProgramFiles
from lae_storage.folders import write_folders

#: The node stops within this time, whatever its clients, the daemon and S3 do.
STOP_WITHIN = 4.0  # s
#: Between two tries: the pause begins here and grows with each failure.
FIRST_PAUSE = 1.0  # s
LONGEST_PAUSE = 60.0  # s
#: Failures to open the bucket before the host reports that it fails.
QUIET_ATTEMPTS = 5
#: Before the process ends, so that the report of the failure reaches the daemon.
LAST_WORDS = 3.0  # s

BOUND = declare("node-bound", "the daemon bound the claim; nothing is kept here yet")
KEPT = declare("node-kept", "identity and host furl are on the volume")
SERVING = declare("node-serving", "the node serves, and has not proved itself yet")

_log = Logger()


class Shares(Protocol):
    """A storage server under upstream's node.

    *client_class* is a subclass of ``allmydata.client._Client`` whose
    ``get_anonymous_storage_server`` and ``init_storage`` use it.
    """

    client_class: Any

    def usage(self) -> Usage:
        """Return what the shares take now, from memory."""

    def obey(self, desired: Desired) -> None:
        """Become read-only or writable, and take the quota."""

    def close(self) -> Deferred[None]:
        """Release the storage server; all acknowledged writes are in S3 already."""


@define(frozen=True)
class Surroundings:
    """What the process gives the host.

    *open_shares* opens the storage server for a bucket, with a volume for its cache.
    The host calls it in the reactor's thread, after upstream is imported.  *give_up*
    ends the process.  *program* is where root tells which program runs.  *crowd* limits
    the connections to the introducer's port.
    """

    reactor: Any
    rng: Random
    metadata: Metadata
    make_tub: Callable[[], Any]
    open_shares: Callable[[StoragePlace, Volume], Awaitable[Shares]]
    give_up: Callable[[], object]
    program: ProgramFiles
    crowd: CrowdLimits = field(factory=CrowdLimits)


class Host(MultiService):
    """The process's one service.  *furl* reads the bootstrap furl, for a claim only."""

    name = "host"

    def __init__(
        self,
        around: Surroundings,
        volume: Volume,
        furl: Callable[[], Secret],
        s3_endpoint: str | None,
        report_seconds: int,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._around, self._volume, self._furl = around, volume, furl
        self._s3_endpoint, self._report_seconds = s3_endpoint, report_seconds
        self._tub: Any = None
        self._reporting: Reporting | None = None
        self._shares: Shares | None = None
        self._running: Deferred[None] | None = None
        self._began = 0.0
        self._stopping = False

    def startService(self) -> None:
        """Start the steps that the module's docstring lists."""
        super().startService()  # type: ignore[no-untyped-call]
        # Files that Tahoe-LAFS makes are private to this process's user, too.
        os.umask(0o077)
        self._began = self._around.reactor.seconds()
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._failed)

    def stopService(self) -> Deferred[Any]:
        """Stop within :data:`STOP_WITHIN` seconds, even with a frozen client."""
        notify("STOPPING=1")
        self._stopping = True
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
        ending: Deferred[Any] = Deferred.fromCoroutine(self._close())
        try:
            await with_deadline(self._around.reactor, STOP_WITHIN, "stop", ending)
        except DeadlinePassed:
            _log.warn("the node did not stop in time; the process ends all the same")

    async def _close(self) -> None:
        stopped = super().stopService()  # type: ignore[no-untyped-call]
        if stopped is not None:
            await stopped
        if self._shares is not None:
            await self._shares.close()

    async def _run(self) -> None:
        key = self._volume.agent_key()
        # The claim waits for other processes, so upstream is imported meanwhile.
        importing = deferToThread(_import_upstream)
        self._tub = self._around.make_tub()
        self._tub.setServiceParent(self)
        claimed = self._volume.claimed() or await self._claim(key)
        self._reporting = self._report_to(claimed.host_furl)
        self._reach("starting")
        await importing
        nurls = await self._serve(claimed)
        self._reach("serving")
        crash_point(SERVING)
        notify("READY=1")
        await self._prove(claimed, nurls)
        self._around.program.prove()
        self._reach("self-test-passed")
        self._reach("ready")

    async def _claim(self, key: Any) -> Claimed:
        around = self._around
        facet = self._facet(self._furl())
        instance = await self._instance()
        claimed = await Claiming(around.reactor, around.rng, facet).claim(
            make_claim(key, instance)
        )
        crash_point(BOUND)
        self._volume.keep(claimed)
        crash_point(KEPT)
        _log.info(
            "the host claimed its identity, generation {n}",
            n=claimed.identity.generation,
        )
        facet.disownServiceParent()  # type: ignore[no-untyped-call]
        return claimed

    async def _instance(self) -> Any:
        attempt = 0
        while True:
            try:
                return await this_instance(self._around.metadata)
            except CancelledError:
                raise
            except Exception as e:  # noqa: BLE001  (no host starts without its id)
                _log.warn("the metadata service did not answer: {why}", why=repr(e))
            await self._pause(attempt)
            attempt += 1

    async def _serve(self, claimed: Claimed) -> set[Any]:
        node = import_module("lae_storage.node")
        place = claimed.storage
        if place.endpoint is None:
            place = evolve(place, endpoint=self._s3_endpoint)
        self._shares = await self._open(place)
        folders = write_folders(
            self._volume, claimed.identity, self._volume.count_start()
        )
        nodes = await node.build_nodes(
            self._around.reactor,
            folders,
            self._shares.client_class,
            self._around.crowd,
        )
        nodes.start(self)
        assert self._reporting is not None
        self._reporting.about(self._shares)
        nurls: set[Any] = nodes.storage.storage_nurls
        return nurls

    async def _open(self, place: StoragePlace) -> Shares:
        attempt = 0
        while True:
            try:
                return await self._around.open_shares(place, self._volume)
            except CancelledError:
                raise
            except Exception as e:  # noqa: BLE001  (each failure is tried again)
                # IAM takes some seconds to apply the policy of a new role.
                _log.warn("the bucket cannot be opened: {why}", why=repr(e))
                if attempt >= QUIET_ATTEMPTS:
                    self._reach("failing", f"opening the bucket: {type(e).__name__}")
            await self._pause(attempt)
            attempt += 1

    async def _prove(self, claimed: Claimed, nurls: set[Any]) -> None:
        prove = import_module("lae_storage.self_test").prove
        attempt = 0
        while True:
            # A suspended node refuses all writes, the self-test's too.
            suspended = self._reporting is not None and self._reporting.suspended
            try:
                await prove(
                    self._around.reactor,
                    self._tub,
                    claimed.identity,
                    nurls,
                    writes=not suspended,
                )
            except CancelledError:
                raise
            except Exception as e:  # noqa: BLE001  (each failure is tried again)
                # It may have been suspended meanwhile.
                if self._reporting is None or not self._reporting.suspended:
                    _log.failure("the self-test failed")
                    self._reach("failing", f"self-test: {type(e).__name__}")
            else:
                return
            await self._pause(attempt)
            attempt += 1

    async def _pause(self, attempt: int) -> None:
        around = self._around
        seconds = pause(attempt, around.rng, FIRST_PAUSE, LONGEST_PAUSE)
        await deferLater(around.reactor, seconds)

    def _facet(self, furl: Secret) -> Facet:
        parsed = Furl.parse(furl.reveal())
        facet = Facet(self._around.reactor, self._tub, parsed)
        facet.setServiceParent(self)  # type: ignore[no-untyped-call]
        return facet

    def _report_to(self, furl: Secret) -> Reporting:
        reporting = Reporting(
            self._around.reactor,
            self._facet(furl),
            self._report_seconds,
            self._around.program,
        )
        reporting.setServiceParent(self)  # type: ignore[no-untyped-call]
        return reporting

    def _reach(self, phase: Phase, problem: str | None = None) -> None:
        after = round(self._around.reactor.seconds() - self._began, 3)
        _log.info("{phase} after {after} s", phase=phase, after=after)
        assert self._reporting is not None
        self._reporting.phase(phase, problem)

    def _failed(self, failure: Failure) -> None:
        if self._stopping:
            return
        _log.failure("the host cannot serve; its supervisor restarts it", failure)
        if self._reporting is not None:
            self._reach("failing", type(failure.value).__name__)
        self._around.reactor.callLater(LAST_WORDS, self._give_up)

    def _give_up(self) -> None:
        if not self._stopping:
            self._around.give_up()


def _import_upstream() -> None:
    """Import the modules that import Tahoe-LAFS, which takes half a second."""
    for module in ("lae_storage.node", "lae_storage.self_test", "lae_storage.shares"):
        import_module(module)
