"""What can go wrong at a door, sorted by what the caller should do."""

from __future__ import annotations


class ProvisionError(Exception):
    """The base: a code for programs and a sentence for operators, never a secret."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class TryLater(ProvisionError):
    """Throttled, unreachable, or failing on its own side.  Try again, later.

    What was asked may have happened: look before making again, or send the same
    request with the same token.
    """


class Refused(ProvisionError):
    """The service refuses, and will refuse again.  An operator must look."""


class AlreadyThere(Refused):
    """The name is taken by something of another shape, or of somebody else."""


class NoCapacity(ProvisionError):
    """The cloud has no room now.  Try again later *with a new token*."""


class TokenSpent(ProvisionError):
    """The instance of this token is gone.  Launching again needs a new token."""
