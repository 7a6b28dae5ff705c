"""What opens a grid's keys with the recovery key, which never reaches the daemon.

The daemon gives the sealed document, the operator opens it where the recovery key is,
and gives back what was in it.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import define

from lae_protocol.ids import SignupId
from lae_protocol.messages import Done
from lae_protocol.question import KB, Question
from lae_protocol.secret import Secret


@define(frozen=True)
class SealedIdentity:
    """The grid's keys, sealed; *key* is the document's name in the state bucket, to
    which it is bound.
    """

    key: str
    sealed: bytes


@define(frozen=True)
class AskSealedIdentity(Question[SealedIdentity]):
    """Ask for the grid's keys, as they are sealed."""

    signup_id: SignupId


@define(frozen=True)
class GiveIdentity(Question[Done]):
    """Give the grid's keys, opened: the daemon uses them in place of the sealed ones,
    and tries again what waits for them.
    """

    LARGEST: ClassVar[int] = 64 * KB

    signup_id: SignupId
    identity: Secret
