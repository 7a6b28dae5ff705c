"""Who may operate: what operators ask of each other's furls."""

from __future__ import annotations

from datetime import datetime

from attrs import define, field

from lae_protocol.question import Question
from lae_protocol.secret import Secret


@define(frozen=True)
class OperatorLine:
    """One person; *you* is who asks."""

    name: str
    added_at: datetime
    revoked_at: datetime | None
    you: bool


@define(frozen=True)
class Operators:
    """Everybody who has or had a furl."""

    operators: tuple[OperatorLine, ...]


@define(frozen=True)
class AskOperators(Question[Operators]):
    """Ask who may operate."""


@define(frozen=True)
class Invited:
    """The new operator's furl: told once, and the journal keeps its hash alone."""

    name: str
    furl: str = field(repr=False)


@define(frozen=True)
class AddOperator(Question[Invited]):
    """Make a furl for one more person."""

    name: str


@define(frozen=True)
class RenewFurl(Question[Invited]):
    """Give a person another furl, in place of the one they have.

    Its name is the caller's, who has kept it before asking: where the answer is lost,
    nobody is locked out.
    """

    name: str
    swissnum: Secret


@define(frozen=True)
class Accepted:
    """It is journaled."""


@define(frozen=True)
class RevokeOperator(Question[Accepted]):
    """End one person's furl."""

    name: str


@define(frozen=True)
class Opened:
    """Deletions and refunds are open to who asked, for so many *seconds*."""

    seconds: int


@define(frozen=True)
class ShowSecondFurl(Question[Opened]):
    """Open deletions and refunds: *swissnum* is that of the asker's second furl."""

    swissnum: Secret
