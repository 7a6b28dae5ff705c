"""Counting calls outside: who calls is given a meter and need not know what counts."""

from __future__ import annotations

from typing import Literal, Protocol

#: It was done; it was answered, with a no; we ask too often; no answer, or a failure
#: on the other side.
Outcome = Literal["ok", "refused", "throttled", "failed"]


class Meter(Protocol):
    """Told of each try of each call, on the reactor's thread."""

    def __call__(self, service: str, outcome: Outcome, seconds: float) -> None:
        """One try ended; *seconds* is how long it took."""


def unmetered(service: str, outcome: Outcome, seconds: float) -> None:
    """Count nothing."""
