"""What stands where upstream has its crawlers.

Upstream's walk the share directory, which here is a cache; they would count and
expire nothing but that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service


class BucketCount(Service):
    """Knows the number of storage indexes without walking."""

    def __init__(self, buckets: Callable[[], int]) -> None:
        self._buckets = buckets

    def get_state(self) -> dict[str, Any]:
        """What upstream's statistics ask for."""
        return {"last-complete-bucket-count": self._buckets()}


class LeaseCheck(Service):
    """No lease expires by itself; *arguments* are upstream's settings of expiry."""

    def __init__(self, *arguments: Any) -> None:
        del arguments

    def get_state(self) -> dict[str, Any]:
        """Nothing was expired."""
        return {"history": {}}
