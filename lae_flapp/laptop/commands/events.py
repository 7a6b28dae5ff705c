"""``lae events``: what happened, as it happens."""

from __future__ import annotations

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import SIGNUP, asks_daemon, gives_json
from lae_flapp.laptop.settings import Where
from lae_protocol.looking_messages import EventRow, EventsSince

#: Seconds that one question waits when a log is followed.
FOLLOW = 15


@click.command()
@asks_daemon
@gives_json
@click.option("-f", "--follow", is_flag=True, help="Go on as more happens.")
@click.option("--since", default=0, help="Only what has a greater number.")
@click.argument("signup", type=SIGNUP, required=False)
def events(
    where: Where, as_json: bool, follow: bool, since: int, signup: str | None
) -> None:
    """Print the event log of one subscription, or of the whole deployment."""
    whole = signup is None

    async def follows(line: Line) -> None:
        signup_id = None if signup is None else await meant(line, signup)
        number, patience = since, 0
        while True:
            asked = EventsSince(signup_id, number, patience)
            page = await line.ask(asked, patience)
            number, patience = page.last_number, FOLLOW
            for event in page.events:
                if as_json:
                    tables.print_json(one_line=True, event=event)
                else:
                    click.echo(tables.event_line(event, whole=whole))

    async def reads(line: Line) -> list[EventRow]:
        signup_id = None if signup is None else await meant(line, signup)
        read: list[EventRow] = []
        while True:
            number = read[-1].number if read else since
            asked = EventsSince(signup_id, number)
            page = await line.ask(asked)
            if not page.events:
                return read
            read += page.events

    if follow:
        run(where, follows)
        return
    read = run(where, reads)
    if as_json:
        tables.print_json(events=read)
    else:
        tables.print_events(read, whole=whole)
