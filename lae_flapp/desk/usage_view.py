"""A grid's usage, as its owner and operators see it."""

from __future__ import annotations

from lae_flapp.journal import hosts, usage
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.ids import SignupId
from lae_protocol.messages import UsageView

#: Days that an operator sees.
MONTH = 31


def usage_of(tx: ReadTx, signup_id: SignupId, most_days: int) -> UsageView | None:
    """What the live host told last; None until one has, or where it cannot be read:
    all else that is shown of a signup does not depend on it.
    """
    host = hosts.live(tx, signup_id)
    last = None if host is None else usage.read_report(host.report)
    if host is None or last is None or host.reported_at is None:
        return None
    first = tx.now.date().replace(day=1)
    return UsageView(
        told_at=host.reported_at,
        stored=last.used_bytes,
        noncurrent=last.noncurrent_bytes,
        shares=last.share_count,
        advisories=last.advisories,
        sent_this_month=usage.sent_since(tx, signup_id, first),
        slowed=last.slowed,
        days=usage.days(tx, signup_id, most_days),
    )
