"""Whether S3 takes what this node writes.

The fence only reads.  A bucket or a role that refuses writes alone would be noticed by
clients, and by nobody else.  Beside clients the node writes its counts every ten
minutes, and again soon after what S3 refused: so it is told when nobody stores
anything, and it is over soon after it is over.
"""

from __future__ import annotations

from datetime import UTC, datetime

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lae_storage.s3.interface import ConditionFailed, Denied

#: One may be an odd request of ours; from so many in a row on it is the bucket.
IN_A_ROW = 2


@define(eq=False)
class Writes:
    """What became of the last writes."""

    reactor: IReactorTime
    _refused: int = 0
    _since: float = 0.0
    _code: str = ""

    def taken(self) -> None:
        """S3 took one, or what was refused before is not to count."""
        self._refused = 0

    def note(self, failure: Failure) -> None:
        """One failed; only a refusal for good says that the bucket takes none, and only
        a condition that does not hold says that it would take one.
        """
        error = failure.value
        if isinstance(error, ConditionFailed):
            self.taken()
        if not isinstance(error, Denied):
            return
        if not self._refused:
            self._since = self.reactor.seconds()
        self._refused += 1
        self._code = error.code

    def problem(self) -> str | None:
        """What cannot be done, for operators; None where writes are taken."""
        if self._refused < IN_A_ROW:
            return None
        since = datetime.fromtimestamp(self._since, UTC)
        return (
            f"S3 refuses writes since {since:%Y-%m-%d %H:%M} UTC ({self._code},"
            f" {self._refused} until now): nothing can be stored, and reading goes on"
        )
