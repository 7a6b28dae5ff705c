"""Named places at which a test can make a process die as by ``kill -9``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NoReturn

#: Names the point at which this process shall kill itself.
VARIABLE = "S4_CRASH_AT"

_declared: dict[str, str] = {}
_struck: Callable[[str], object] | None = None


def declare(name: str, sentence: str) -> str:
    """Name a point, at import; *sentence* says what is durable there."""
    if _declared.get(name, sentence) != sentence:
        raise ValueError(f"crash point {name} is declared twice")
    _declared[name] = sentence
    return name


def declared() -> dict[str, str]:
    """All points that the imported modules declared, by name."""
    return dict(_declared)


def on_crash_point(strike: Callable[[str], object] | None) -> None:
    """Have *strike* called with each point's name instead (tests in one process)."""
    global _struck  # noqa: PLW0603  (one process has one way to die)
    _struck = strike


def crash_point(name: str) -> None:
    """Die here, without any clean-up, if this is the point that was asked for."""
    assert name in _declared, name
    if _struck is not None:
        _struck(name)
    elif os.environ.get(VARIABLE) == name:
        _die()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable: SIGKILL cannot be handled")
