"""What can go wrong in the journal, sorted by what the caller should do."""

from __future__ import annotations


class JournalError(Exception):
    """The base; its text is a sentence for operators and never holds a secret."""


# At opening: the daemon does not start.


class JournalInUse(JournalError):
    """Another daemon lives on this journal.  Stop it, or take over by force."""


class JournalTooNew(JournalError):
    """A newer release wrote this journal.  Run that release."""


class ForeignJournal(JournalError):
    """The journal of another environment, deployment, account or Stripe mode."""


class JournalExposed(JournalError):
    """Others may read the journal's folder.  Do not try again before a chmod."""


# Of any transaction: nothing of it is written.


class StaleEpoch(JournalError):
    """Another daemon took over.  Never try again: this process must end."""


class JournalClosed(JournalError):
    """Not open (yet, or any more)."""


class JournalBusy(JournalError):
    """Too much is waiting, or another process holds the file.  Try again later."""


class JournalFull(JournalError):
    """The disk is full.  Try again when an operator made room."""


class JournalDamaged(JournalError):
    """SQLite finds the file corrupt, or cannot read it.  Restore the backup."""


# Of the nouns: the answer is no, and the transaction is rolled back if it escapes.


class StateChanged(JournalError):
    """The compare-and-set found another state.  Look again, then decide again."""

    def __init__(self, what: str, actual: str) -> None:
        super().__init__(f"{what} is {actual}")
        self.actual = actual


class ForbiddenMove(JournalError):
    """No state may change so; the caller is wrong.  Never try again."""


class Unknown(JournalError):
    """There is no such row.  Do not try again."""


class NotOwner(JournalError):
    """The id is taken, under another secret.  Answer as for an unknown id."""


class AddressConfirmed(JournalError):
    """A confirmed address is not corrected."""


class AlreadySealed(JournalError):
    """This generation's identity, or furl, exists with other bytes."""


class HostStillLive(JournalError):
    """A signup has one live host at most; the present one is not gone."""


class RolloutOpen(JournalError):
    """A cell has one rollout at a time; the text says which is under way."""


class EffectOpen(JournalError):
    """An effect of this key is unfinished: repeat it, do not begin another."""


class CellChanged(JournalError):
    """A cell's fields never change; give the new one another name."""


class NoRoom(JournalError):
    """A quota of the cell is used up.  Try another cell, or later."""

    def __init__(self, quota: str) -> None:
        super().__init__(f"no room for more {quota}")
        self.quota = quota


class HeldByOthers(NoRoom):
    """A place is free, but others who have not paid hold their whole share.  Holds end
    by themselves: try again in half an hour.
    """


class NoPortLeft(JournalError):
    """The cell's range of ports is used up."""


class BadCursor(JournalError):
    """A cursor that no page gave."""
