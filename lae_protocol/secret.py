"""Values that must never be printed."""

from __future__ import annotations

import hashlib
import secrets
from typing import Self

from attrs import define, field


def digest(text: str) -> str:
    """Name a secret in a log or an error without telling it: ``sha256:1a2b3c4d``."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:8]


@define(frozen=True, repr=False, eq=False, hash=False)
class Secret:
    """A text that only :meth:`reveal` tells; ``str`` and ``repr`` give a digest.

    Comparison takes constant time.
    """

    _text: str = field()

    def reveal(self) -> str:
        """The secret itself.  Call it where it is used, and keep no copy."""
        return self._text

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {digest(self._text)}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and secrets.compare_digest(
            self._text.encode(), other._text.encode()
        )

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def of(cls, text: str) -> Self:
        """Wrap, for readers who find a bare constructor too quiet."""
        return cls(text)
