"""What is not as the stack has left it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lae_localcloud.cloudformation.calls_signed import ServiceRefused, Services
from lae_localcloud.cloudformation.evaluation import same_words
from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.stack_record import (
    DriftRecord,
    ResourceRecord,
    StackRecord,
)


async def look_at(services: Services, one: ResourceRecord) -> dict[str, Any] | None:
    """The properties that the template sets, as they are now; None: it is gone.

    What cannot be read is left out, as AWS does: it never drifts.
    """
    assert one.known is not None
    seen = await KINDS[one.kind].look(services, one.known, one.properties)
    if seen is None:
        return None
    return {name: value for name, value in seen.items() if name in one.properties}


async def detect(record: StackRecord, services: Services, drift: DriftRecord) -> None:
    """Look at every resource of a stack."""
    try:
        for one in list(record.resources.values()):
            if one.known is not None:
                await _detect_one(record, services, one)
    except ServiceRefused as e:
        drift.status, drift.reason = "DETECTION_FAILED", f"Failed to detect drift: {e}"
        return
    except Exception:
        drift.status, drift.reason = "DETECTION_FAILED", "Internal Failure"
        raise
    there = [
        record.resources[name] for name in record.drifts if name in record.resources
    ]
    drift.drifted = sum(one.drift in ("MODIFIED", "DELETED") for one in there)
    record.drift = "DRIFTED" if drift.drifted else "IN_SYNC"
    record.drift_at = record.now()
    drift.status = "DETECTION_COMPLETE"


async def _detect_one(
    record: StackRecord, services: Services, one: ResourceRecord
) -> None:
    seen = await look_at(services, one)
    expected = dict(one.properties)
    found: dict[str, Any] = {"expected": expected, "at": record.now()}
    if seen is None:
        one.drift = "DELETED"
        record.drifts[one.name] = {**found, "actual": None, "differences": []}
        return
    actual = {**expected, **seen}
    differences = list(_differences(expected, actual, ""))
    one.drift = "MODIFIED" if differences else "IN_SYNC"
    record.drifts[one.name] = {**found, "actual": actual, "differences": differences}


def _differences(expected: Any, actual: Any, path: str) -> Iterator[dict[str, str]]:
    """As AWS tells them, each at the deepest place."""
    if same_words(expected, actual):
        return
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for name in sorted(expected.keys() | actual.keys()):
            there = f"{path}/{name}"
            yield from _differences(expected.get(name), actual.get(name), there)
        return
    if (
        isinstance(expected, list)
        and isinstance(actual, list)
        and len(expected) == len(actual)
    ):
        for place, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from _differences(one, other, f"{path}/{place}")
        return
    kind = "NOT_EQUAL"
    if expected is None:
        kind = "ADD"
    elif actual is None:
        kind = "REMOVE"
    yield {
        "PropertyPath": path,
        "ExpectedValue": _text(expected),
        "ActualValue": _text(actual),
        "DifferenceType": kind,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
