"""Whose journal this is; a journal of another home is refused at start."""

from __future__ import annotations

from attrs import asdict, define
from sqlalchemy import Integer, String, Table, insert, select

from lae_flapp.journal.columns import METADATA, Kept, Moment, column
from lae_flapp.journal.errors import ForeignJournal
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.settings import DaemonSettings

META = Table(
    "meta",
    METADATA,
    column(
        "row",
        Integer,
        purpose="there is one row, numbered 1",
        kept=Kept.JOURNAL,
        primary_key=True,
        autoincrement=False,
    ),
    column("environment", String(40), purpose="Home", kept=Kept.JOURNAL),
    column("deployment", String(40), purpose="Home", kept=Kept.JOURNAL),
    column("aws_account", String(40), purpose="Home", kept=Kept.JOURNAL),
    column("stripe_mode", String(10), purpose="Home", kept=Kept.JOURNAL),
    column("made_at", Moment, purpose="when the journal began", kept=Kept.JOURNAL),
)


@define(frozen=True)
class Home:
    """Where a journal belongs; *stripe_mode* is ``live`` or ``test``."""

    environment: str
    deployment: str
    aws_account: str
    stripe_mode: str


def home_of(settings: DaemonSettings) -> Home:
    """What a daemon's journal must say of itself."""
    return Home(
        settings.environment,
        settings.deployment,
        settings.aws.account,
        settings.stripe.mode,
    )


def home(tx: ReadTx) -> Home | None:
    """Tell whose journal it is; None before the first daemon opened it."""
    row = tx.first(select(META))
    if row is None:
        return None
    return Home(row.environment, row.deployment, row.aws_account, row.stripe_mode)


def settle(tx: WriteTx, mine: Home) -> None:
    """Make it ours if it is new; raise :class:`ForeignJournal` if it is another's."""
    actual = home(tx)
    if actual is None:
        tx.run(insert(META).values(row=1, made_at=tx.now, **asdict(mine)))
        return
    theirs, ours = asdict(actual), asdict(mine)
    for name, value in theirs.items():
        if value != ours[name]:
            raise ForeignJournal(
                f"the journal's {name} is {value!r}, the configuration's {ours[name]!r}"
            )
