"""What is done to one resource of a stack, and what events tell of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from attrs import define, field

from lae_localcloud.account.moto import ACCOUNT_ID
from lae_localcloud.cloudformation.calls_signed import (
    NOT_UPDATABLE,
    ServiceRefused,
    Services,
)
from lae_localcloud.cloudformation.changes import wanted_properties
from lae_localcloud.cloudformation.evaluation import Known, Scope, same_words
from lae_localcloud.cloudformation.kinds.computers import EbsVolume
from lae_localcloud.cloudformation.kinds.kind import Spot
from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.reading import TemplateWrong
from lae_localcloud.cloudformation.schemas import complaints_about, recreation
from lae_localcloud.cloudformation.scopes import scope_of
from lae_localcloud.cloudformation.stack_record import (
    Deploying,
    ResourceRecord,
    StackRecord,
    new_id,
)
from lae_localcloud.cloudformation.template import TemplateResource

_ALREADY = ("AlreadyExists", "AlreadyOwned", "InvalidGroup.Duplicate", "DuplicateName")


@define
class ResourceWorks:
    """The resources of one stack.  *failed*: those that could not be done."""

    record: StackRecord
    services: Services
    region: str
    #: How long each resource takes, at least.
    slowness: Callable[[], float]
    failed: list[str] = field(factory=list, init=False)

    async def rest(self) -> None:
        """Let as much time go by as everything takes."""
        await self.services.pause(self.slowness())

    def scope(self, deploying: Deploying) -> Scope:
        """What names in a template stand for now."""
        known = {
            name: one.known
            for name, one in self.record.resources.items()
            if one.known is not None
        }
        return scope_of(deploying, self.record, self.region, known)

    async def bring(self, deploying: Deploying, name: str) -> bool:
        """Make or change it, as the template wants it; False where that failed."""
        record, wanted = self.record, deploying.template.resources[name]
        held = record.resources.get(name)
        try:
            scope = self.scope(deploying)
            after = wanted_properties(wanted, scope, deploying.tags)
        except TemplateWrong as e:
            one = held or ResourceRecord(name, wanted.kind)
            record.resources[name] = one
            self._fail(one, "CREATE" if held is None else "UPDATE", str(e))
            return False
        if held is None or held.known is None:
            one = ResourceRecord(
                name,
                wanted.kind,
                properties=after,
                deletion_policy=wanted.deletion_policy,
                update_replace_policy=wanted.update_replace_policy,
                generation=1 if held is None else held.generation,
            )
            if record.status.startswith("UPDATE"):
                record.undo[name] = None
            return await self._make(one, "CREATE")
        if same_words(dict(held.properties), after):
            held.deletion_policy = wanted.deletion_policy
            held.update_replace_policy = wanted.update_replace_policy
            return True
        record.undo[name] = copy.copy(held)
        if self._must_be_another(held, after):
            return await self._replace(held, after, wanted)
        return await self._change(held, after, wanted)

    def _must_be_another(self, held: ResourceRecord, after: dict[str, Any]) -> bool:
        kind, before = KINDS[held.kind], held.properties
        for name in before.keys() | after.keys():
            if same_words(before.get(name), after.get(name)):
                continue
            says = recreation(held.kind, name)
            if says == "Always":
                return True
            if says == "Conditionally" and kind.needs_another(name, before, after):
                return True
        return False

    async def _make(self, one: ResourceRecord, verb: str) -> bool:
        """Make it; *verb* is UPDATE for one that replaces another."""
        record = self.record
        record.resources[one.name] = one
        record.tell(one, f"{verb}_IN_PROGRESS")
        wrong = complaints_about(one.kind, one.properties)
        if wrong:
            self._fail(
                one,
                verb,
                f"Properties validation failed for resource {one.name} with message:"
                f" [#: {'; '.join(wrong)}]",
            )
            return False
        await self.rest()

        def told(physical_id: str) -> None:
            one.known = Known(physical_id)
            record.tell(one, f"{verb}_IN_PROGRESS", "Resource creation Initiated")

        spot = Spot(
            stack=record.name,
            stack_id=record.stack_id,
            name=one.name,
            generation=one.generation,
            region=self.region,
            account=ACCOUNT_ID,
            tell=told,
        )
        try:
            made = await KINDS[one.kind].make(self.services, one.properties, spot)
        except ServiceRefused as e:
            self._fail(one, verb, told_by_the_maker(e))
            return False
        first = one.known is None
        one.known = made
        if first:
            record.tell(one, f"{verb}_IN_PROGRESS", "Resource creation Initiated")
        return self._ended(one, verb)

    def _ended(self, one: ResourceRecord, verb: str) -> bool:
        if self.failed:
            # Another one failed meanwhile: AWS does not let this one count.
            words = f"Resource {'creation' if verb == 'CREATE' else 'update'} cancelled"
            self.record.tell(one, f"{verb}_FAILED", words)
            self.failed.append(one.name)
            return False
        self.record.tell(one, f"{verb}_COMPLETE")
        return True

    def break_down(self, name: str) -> None:
        """The local cloud itself has made a mistake with this one."""
        one = self.record.resources.get(name)
        verb = self.record.status.partition("_")[0].replace("ROLLBACK", "DELETE")
        if one is not None:
            self.record.tell(one, f"{verb}_FAILED", "Internal Failure")
        self.failed.append(name)

    def _fail(self, one: ResourceRecord, verb: str, words: str) -> None:
        self.record.tell(one, f"{verb}_FAILED", words)
        self.failed.append(one.name)

    async def _replace(
        self, held: ResourceRecord, after: dict[str, Any], wanted: TemplateResource
    ) -> bool:
        self.record.aside.append(copy.copy(held))
        words = (
            "Requested update requires the creation of a new physical resource; hence"
            " creating one."
        )
        self.record.tell(held, "UPDATE_IN_PROGRESS", words)
        one = ResourceRecord(
            held.name,
            held.kind,
            properties=after,
            deletion_policy=wanted.deletion_policy,
            update_replace_policy=wanted.update_replace_policy,
            generation=held.generation + 1,
        )
        return await self._make(one, "UPDATE")

    async def _change(
        self, held: ResourceRecord, after: dict[str, Any], wanted: TemplateResource
    ) -> bool:
        assert held.known is not None
        record = self.record
        record.tell(held, "UPDATE_IN_PROGRESS")
        wrong = complaints_about(held.kind, after)
        if wrong:
            self._fail(held, "UPDATE", f"Properties validation failed: {wrong}")
            return False
        await self.rest()
        before, held.properties = held.properties, after
        try:
            held.known = await KINDS[held.kind].change(
                self.services, held.known, before, after
            )
        except ServiceRefused as e:
            if e.code == NOT_UPDATABLE:
                # Refused before anything of it was done.
                held.properties = before
            self._fail(held, "UPDATE", told_by_the_maker(e))
            return False
        held.deletion_policy = wanted.deletion_policy
        held.update_replace_policy = wanted.update_replace_policy
        return self._ended(held, "UPDATE")

    async def undo(self, name: str, skip: frozenset[str]) -> bool:
        """Make it as it was before the update; False where that failed."""
        record = self.record
        before, one = record.undo[name], record.resources[name]
        if name in skip:
            # Nobody knows how it is; the stack takes it for what it was.
            if before is not None:
                record.resources[name] = before
                record.tell(before, "UPDATE_COMPLETE", "Resource update skipped")
            del record.undo[name]
            return True
        if before is None:
            del record.resources[name]
            record.aside.append(one)
        elif before.physical_id != one.physical_id:
            record.aside = [
                old for old in record.aside if old.physical_id != before.physical_id
            ]
            if one.known is not None:
                record.aside.append(one)
            record.resources[name] = before
            record.tell(before, "UPDATE_COMPLETE")
        elif not await self._change_back(one, before):
            return False
        del record.undo[name]
        return True

    async def _change_back(self, one: ResourceRecord, before: ResourceRecord) -> bool:
        record = self.record
        assert before.known is not None
        record.tell(one, "UPDATE_IN_PROGRESS")
        await self.rest()
        if same_words(one.properties, before.properties):
            record.resources[one.name] = before
            record.tell(before, "UPDATE_COMPLETE")
            return True
        try:
            before.known = await KINDS[one.kind].change(
                self.services, before.known, one.properties, before.properties
            )
        except ServiceRefused as e:
            self._fail(one, "UPDATE", told_by_the_maker(e))
            return False
        record.resources[one.name] = before
        record.tell(before, "UPDATE_COMPLETE")
        return True

    async def remove(
        self, one: ResourceRecord, *, retain: bool, creating: bool
    ) -> bool:
        """Take it away, unless a policy keeps it; False where that failed."""
        record = self.record
        if one.status in ("DELETE_COMPLETE", "DELETE_SKIPPED"):
            return True
        if one.known is None:
            record.tell(one, "DELETE_COMPLETE")
            return True
        policy = self._policy(one, creating=creating)
        keeps = policy == "Retain" or (
            policy == "RetainExceptOnCreate" and not creating
        )
        if keeps or retain:
            record.tell(one, "DELETE_SKIPPED")
            return True
        record.tell(one, "DELETE_IN_PROGRESS")
        await self.rest()
        kind = KINDS[one.kind]
        try:
            if policy == "Snapshot" and isinstance(kind, EbsVolume) and not creating:
                await kind.keep_snapshot(self.services, one.known)
            await kind.remove(self.services, one.known, one.properties)
        except ServiceRefused as e:
            self._fail(one, "DELETE", told_by_the_maker(e))
            return False
        record.tell(one, "DELETE_COMPLETE")
        return True

    def _policy(self, one: ResourceRecord, *, creating: bool) -> str:
        """What shall become of it: of a replaced one the other policy says so."""
        stays = self.record.resources.get(one.name)
        if stays is None or stays is one:
            return one.deletion_policy
        return "Delete" if creating else stays.update_replace_policy


def told_by_the_maker(e: ServiceRefused) -> str:
    """A refusal as events tell it."""
    kind = "GeneralServiceException"
    if any(word in e.code for word in _ALREADY) or "already exists" in e.message:
        kind = "AlreadyExists"
    elif "AccessDenied" in e.code or e.code == "UnauthorizedOperation":
        kind = "AccessDenied"
    elif "NotFound" in e.code or e.code.startswith("NoSuch"):
        kind = "NotFound"
    elif e.code in ("Throttling", "ThrottlingException", "RequestLimitExceeded"):
        kind = "Throttling"
    elif e.code in ("NotStabilized", NOT_UPDATABLE):
        kind = e.code
    return (
        f'Resource handler returned message: "{e}" (RequestToken: {new_id()},'
        f" HandlerErrorCode: {kind})"
    )
