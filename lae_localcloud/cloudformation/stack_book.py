"""All stacks of the account, by name and by id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from lae_localcloud.account.moto import ACCOUNT_ID
from lae_localcloud.cloudformation.stack_record import (
    ChangeSetRecord,
    StackRecord,
    new_id,
)
from lae_localcloud.exchange import ApiError


def refused(words: str) -> ApiError:
    """What CloudFormation says to almost all that is wrong."""
    return ApiError(400, "ValidationError", words)


class StackBook:
    """A name leads to the stack that is there, an id also to one that is gone.

    *seen* tells whether something of an age is seen by who looks: not at once, perhaps.
    """

    def __init__(self, region: str, seen: Callable[[datetime], bool]) -> None:
        self._region, self._seen = region, seen
        self._by_id: dict[str, StackRecord] = {}

    def arn(self, resource: str) -> str:
        """Of a stack or a change set."""
        return f"arn:aws:cloudformation:{self._region}:{ACCOUNT_ID}:{resource}"

    def add(self, name: str, now: Callable[[], datetime]) -> StackRecord:
        """A new stack."""
        stack_id = self.arn(f"stack/{name}/{new_id()}")
        record = StackRecord(name=name, stack_id=stack_id, created=now(), now=now)
        self._by_id[stack_id] = record
        return record

    def there(self) -> tuple[StackRecord, ...]:
        """Those that are not gone."""
        return tuple(one for one in self._by_id.values() if not one.gone)

    def find(self, named: str) -> StackRecord | None:
        """By name or id; None where there is none."""
        if named in self._by_id:
            return self._by_id[named]
        return next((one for one in self.there() if one.name == named), None)

    def get(
        self, named: str, words: str = "Stack with id {} does not exist"
    ) -> StackRecord:
        """By name or id; raises :class:`ApiError`."""
        found = self.find(named)
        if found is None or not self._seen(found.created):
            raise refused(words.format(named))
        return found

    def change_set(self, said: dict[str, Any]) -> tuple[StackRecord, ChangeSetRecord]:
        """By its id, or its name and the stack's; raises :class:`ApiError`."""
        named = said["ChangeSetName"]
        if named.startswith("arn:"):
            for record in self._by_id.values():
                for one in record.change_sets.values():
                    if one.set_id == named and self._seen(one.created):
                        return record, one
        elif "StackName" not in said:
            raise refused(
                "StackName must be specified if ChangeSetName is not specified as an"
                " ARN."
            )
        else:
            words = "Stack [{}] does not exist"
            record = self.get(said["StackName"], words)
            held = record.change_sets.get(named)
            if held is not None and self._seen(held.created):
                return record, held
        words = f"ChangeSet [{named}] does not exist"
        raise ApiError(404, "ChangeSetNotFound", words)
