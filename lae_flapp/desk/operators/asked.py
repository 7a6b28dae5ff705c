"""What all parts of an operator's facet share: who asks, and what is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lae_flapp.desk.operators.desk import OperatorDesk
from lae_flapp.journal import listing, operators
from lae_flapp.journal.errors import BadCursor, StateChanged, Unknown
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SIGNUP_ID, SignupId
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.secret import Secret

T = TypeVar("T")

_STRANGER = Refused("unknown-operator", "This furl is nobody's (any more).")
_NO_SIGNUP = Refused("unknown-signup", "There is no such signup.")


class Asked:
    """The holder of one operator's furl; looked up anew at each call."""

    def __init__(self, desk: OperatorDesk, swissnum: Secret) -> None:
        self._desk, self._swissnum = desk, swissnum

    async def _read(self, work: Callable[[ReadTx], T]) -> T:
        """Read as this operator; what the journal does not have is refused."""

        def named(tx: ReadTx) -> T:
            self._name(tx)
            return _told(work, tx)

        return await self._desk.journal.read(named)

    async def _write(self, work: Callable[[WriteTx, str], T]) -> T:
        """Write as this operator; *work* is given who it is, for the events."""

        def named(tx: WriteTx) -> T:
            who = f"operator {self._name(tx)}"
            return _told(lambda tx: work(tx, who), tx)

        return await self._desk.journal.write(named)

    async def _who(self) -> str:
        """Who asks, before something is asked of the outside."""
        return f"operator {await self._desk.journal.read(self._name)}"

    def _name(self, tx: ReadTx) -> str:
        found = operators.by_swissnum(tx, self._swissnum)
        if found is None:
            raise Refusal(_STRANGER)
        return found.name

    @staticmethod
    def _known(tx: ReadTx, signup_id: SignupId) -> Any:
        row = listing.row(tx, signup_id) if SIGNUP_ID.match(signup_id) else None
        if row is None:
            raise Refusal(_NO_SIGNUP)
        return row


def _told(work: Callable[[Any], T], tx: Any) -> T:
    """Run it, and say in a refusal what an operator can understand."""
    try:
        return work(tx)
    except Unknown as e:
        raise Refusal(Refused("unknown", f"There is {e}.")) from None
    except StateChanged as e:
        raise Refusal(Refused("changed", f"Nothing changed: {e} now.")) from None
    except BadCursor as e:
        raise Refusal(Refused("malformed", str(e))) from None
