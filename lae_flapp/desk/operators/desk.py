"""What the facets of all operators share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from attrs import define
from twisted.internet.interfaces import IReactorTime

from lae_flapp.costs.price_list import PricedCell
from lae_flapp.desk.operators.rights import Rights
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal.causes import Cause
from lae_flapp.journal.journal import Journal
from lae_flapp.money.checkout.selling import Selling
from lae_protocol.furl import Furl
from lae_protocol.ids import SignupId
from lae_protocol.looking_messages import Need
from lae_protocol.operator_messages import BackupState


@define(frozen=True)
class Process:
    """What only the process knows: its settings' name, its release, its age, why it
    takes no registrations, and what needs an operator, given the causes that last.
    """

    environment: str
    release: str
    started_at: datetime
    canary_opened: Callable[[], bool]
    closed_because: Callable[[], str | None]
    needs: Callable[[tuple[Cause, ...]], tuple[Need, ...]]


@define(frozen=True)
class OperatorDesk:
    """See the module.

    *cancel* ends a signup, by whom, why, and whether at once; *expire_sessions* ends
    what could still be paid; *new_furl* makes the furl
    of a new operator; *back_up* copies the journal into a file of
    the daemon's; *priced* has the prices of the cell's hosts, where there are any.
    """

    shop: Workshop
    process: Process
    rights: Rights
    selling: Selling
    cancel: Callable[[SignupId, str, str, bool], Awaitable[None]]
    expire_sessions: Callable[[SignupId], Awaitable[None]]
    new_furl: Callable[[], Furl]
    back_up: Callable[[str], BackupState]
    priced: PricedCell | None = None

    @property
    def journal(self) -> Journal:
        """Where all of it stands."""
        return self.shop.journal

    @property
    def clock(self) -> IReactorTime:
        """Of the daemon."""
        return self.shop.clock
