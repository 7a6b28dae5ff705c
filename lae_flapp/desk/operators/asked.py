"""One question of one operator: who asks, and what is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, fields

from lae_flapp.desk.operators.desk import OperatorDesk
from lae_flapp.journal import listing, operators
from lae_flapp.journal.errors import BadCursor, StateChanged, Unknown
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SIGNUP_ID, SignupId
from lae_protocol.looking_messages import SignupRow
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.secret import Secret

T = TypeVar("T")

_STRANGER = Refused("unknown-operator", "This furl is nobody's (any more).")
_NO_SIGNUP = Refused("unknown-signup", "There is no such signup.")
#: The longest reason that is kept.
LONGEST_REASON = 500


@define(frozen=True)
class Asker:
    """The holder of one operator's furl, who is looked up anew at each question."""

    desk: OperatorDesk
    swissnum: Secret
    request_id: str

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        """Read as this operator; what the journal does not have is refused."""

        def named(tx: ReadTx) -> T:
            self.name(tx)
            return _told(work, tx)

        return await self.desk.journal.read(named)

    async def write(self, work: Callable[[WriteTx, str], T]) -> T:
        """Write as this operator; *work* is given who it is, for the events."""

        def named(tx: WriteTx) -> T:
            who = f"operator {self.name(tx)}"
            return _told(lambda tx: work(tx, who), tx)

        return await self.desk.journal.write(named)

    async def who(self) -> str:
        """Who asks, before something is asked of the outside."""
        return f"operator {await self.desk.journal.read(self.name)}"

    def name(self, tx: ReadTx) -> str:
        """The operator's name; raises :class:`Refusal` for a furl that is nobody's."""
        found = operators.by_swissnum(tx, self.swissnum)
        if found is None:
            raise Refusal(_STRANGER)
        return found.name


def known(tx: ReadTx, signup_id: SignupId) -> SignupRow:
    """The signup that is meant; raises :class:`Refusal` where there is none."""
    row = listing.row(tx, signup_id) if SIGNUP_ID.match(signup_id) else None
    if row is None:
        raise Refusal(_NO_SIGNUP)
    return row


def reason(text: str) -> str:
    """A reason that can be kept and shown; raises :class:`Refusal`."""
    why = " ".join(text.split())
    if not why or len(why) > LONGEST_REASON or not why.isprintable():
        said = f"a reason of 1 to {LONGEST_REASON} printable characters is needed"
        raise Refusal(Refused("malformed", said))
    return why


def line_of(kind: type[T], *rows: object, **more: Any) -> T:
    """A message of this class: each field is in *more*, or the first row's that has
    one of the same name.
    """
    names = [f.name for f in fields(kind) if f.name not in more]  # type: ignore[arg-type]  # any message
    same = {n: getattr(next(r for r in rows if hasattr(r, n)), n) for n in names}
    return kind(**same, **more)


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
