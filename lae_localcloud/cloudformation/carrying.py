"""Carries out what was decided for a stack: each resource when it is time.

A failed creation takes back what it has made; a failed update makes everything as it
was.  What is replaced is made anew first, and the former one taken away at the end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger

from lae_localcloud.cloudformation.evaluation import evaluate
from lae_localcloud.cloudformation.order import Needs, ready, turned
from lae_localcloud.cloudformation.resource_works import ResourceWorks
from lae_localcloud.cloudformation.stack_record import Deploying, ResourceRecord

_log = Logger()


class Carrying:
    """One operation on one stack."""

    def __init__(self, works: ResourceWorks) -> None:
        self._works, self.record = works, works.record

    async def create(self, deploying: Deploying, on_failure: str) -> None:
        """Make all; where one fails, take all back (or stop, or delete the stack)."""
        record = self.record
        record.deployed = deploying
        record.become("CREATE_IN_PROGRESS", "User Initiated")
        await self._works.rest()
        if await self._all_made(deploying):
            record.become("CREATE_COMPLETE")
            return
        words = f"The following resource(s) failed to create: [{self._names()}]. "
        if on_failure == "DO_NOTHING":
            record.become("CREATE_FAILED", words)
            return
        record.become("ROLLBACK_IN_PROGRESS", words + "Rollback requested by user.")
        left = await self._take_away(
            turned(deploying.needs), list(record.resources.values()), creating=True
        )
        if left:
            names = ", ".join(sorted(left))
            record.become(
                "ROLLBACK_FAILED",
                f"The following resource(s) failed to delete: [{names}]. ",
            )
        elif on_failure == "DELETE":
            record.deleted = record.now()
            record.become("DELETE_COMPLETE")
        else:
            record.become("ROLLBACK_COMPLETE")

    async def update(self, deploying: Deploying, *, stop_there: bool) -> None:
        """Change all; where one fails, make everything as it was."""
        record = self.record
        former = record.deployed
        assert former is not None, "there is a stack to update"
        record.undo, record.aside = {}, []
        record.updated = record.now()
        record.become("UPDATE_IN_PROGRESS", "User Initiated")
        await self._works.rest()
        if await self._all_made(deploying):
            record.deployed = deploying
            gone = [
                one
                for name, one in record.resources.items()
                if name not in deploying.needs
            ]
            for one in gone:
                del record.resources[one.name]
            record.become("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            await self._clean(former, [*record.aside, *gone])
            record.become("UPDATE_COMPLETE")
            return
        words = f"The following resource(s) failed to update: [{self._names()}]. "
        if stop_there:
            record.become("UPDATE_FAILED", words)
            return
        record.become("UPDATE_ROLLBACK_IN_PROGRESS", words)
        await self.undo(deploying)

    async def undo(self, failed: Deploying, skip: frozenset[str] = frozenset()) -> None:
        """Make everything as it was before the update, without those to *skip*."""
        record = self.record
        self._works.failed.clear()
        names = set(record.undo)
        order = turned({n: failed.needs.get(n, frozenset()) & names for n in names})
        await self._each(order, names, lambda name: self._works.undo(name, skip))
        if self._works.failed:
            record.become(
                "UPDATE_ROLLBACK_FAILED",
                f"The following resource(s) failed to update: [{self._names()}]. ",
            )
            return
        record.become("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        await self._clean(failed, record.aside, creating=True)
        record.undo = {}
        record.become("UPDATE_ROLLBACK_COMPLETE")

    async def delete(self, retain: frozenset[str]) -> None:
        """Take all away but what is to be retained."""
        record = self.record
        record.become("DELETE_IN_PROGRESS", "User Initiated")
        await self._works.rest()
        needs = {} if record.deployed is None else record.deployed.needs
        left = await self._take_away(
            turned(needs), list(record.resources.values()), retain=retain
        )
        if left:
            names = ", ".join(sorted(left))
            record.become(
                "DELETE_FAILED",
                f"The following resource(s) failed to delete: [{names}]. ",
            )
            return
        record.deleted = record.now()
        record.become("DELETE_COMPLETE")

    async def _each(
        self,
        needs: Needs,
        names: Iterable[str],
        do: Callable[[str], Awaitable[bool]],
        *,
        go_on: bool = False,
    ) -> None:
        """Do all, each as soon as what it needs is done, several at a time.

        Where one fails no other is begun, unless *go_on*: then those that need it stay.
        """
        waiting, done = set(names), set()
        under_way: dict[str, Deferred[Any]] = {}

        async def one(name: str) -> None:
            try:
                if await do(name):
                    done.add(name)
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001  (a mistake here must not look like success)
                _log.failure("{name}", name=name)
                self._works.break_down(name)

        while waiting or under_way:
            able = (
                ready(needs, waiting, done) if go_on or not self._works.failed else []
            )
            for name in able:
                waiting.discard(name)
                under_way[name] = Deferred.fromCoroutine(one(name))
            if not under_way:
                return
            await DeferredList(
                list(under_way.values()), fireOnOneCallback=True, consumeErrors=True
            )
            under_way = {n: d for n, d in under_way.items() if not d.called}

    def _names(self) -> str:
        return ", ".join(sorted(self._works.failed))

    async def _all_made(self, deploying: Deploying) -> bool:
        """Make or change each; False where one failed."""
        self._works.failed.clear()
        await self._each(
            deploying.needs,
            deploying.needs,
            lambda name: self._works.bring(deploying, name),
        )
        if self._works.failed:
            return False
        scope = self._works.scope(deploying)
        self.record.outputs = {
            name: evaluate(one.value, scope)
            for name, one in deploying.template.outputs.items()
            if one.condition is None or deploying.conditions[one.condition]
        }
        return True

    async def _clean(
        self,
        deploying: Deploying,
        aside: list[ResourceRecord],
        *,
        creating: bool = False,
    ) -> None:
        """Take away what an update leaves; what cannot be is told, and left."""
        order = turned(deploying.needs)
        await self._take_away(order, aside, creating=creating)
        self.record.aside = []

    async def _take_away(
        self,
        order: Needs,
        some: list[ResourceRecord],
        *,
        creating: bool = False,
        retain: frozenset[str] = frozenset(),
    ) -> list[str]:
        """Those that could not be taken away."""
        self._works.failed.clear()
        named = {one.name: one for one in some}

        async def one(name: str) -> bool:
            found = named[name]
            if not await self._works.remove(
                found, retain=name in retain, creating=creating
            ):
                return False
            if self.record.resources.get(name) is found:
                found.known = None
            return True

        there = {n: order.get(n, frozenset()) & named.keys() for n in named}
        await self._each(there, named, one, go_on=True)
        left, self._works.failed = list(self._works.failed), []
        return left
