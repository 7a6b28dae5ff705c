"""Which signup an operator means: an id, or a text that finds one alone."""

from __future__ import annotations

import click

from lae_flapp.laptop.columns import printable
from lae_flapp.laptop.line import Line
from lae_protocol.ids import SIGNUP_ID, SignupId
from lae_protocol.looking_messages import ListSignups, SignupRow

#: So many are named when it could be any of them.
NAMED = 5


async def meant(line: Line, text: str) -> SignupId:
    """The id; a ClickException names the candidates of an ambiguous text."""
    if SIGNUP_ID.match(text):
        return SignupId(text)
    page = await line.ask(ListSignups(text=text, limit=50))
    found: tuple[SignupRow, ...] = page.rows
    # A whole address means itself, though others contain it.
    whole = tuple(r for r in found if r.email.casefold() == text.casefold())
    chosen = whole or found
    match chosen:
        case ():
            raise click.ClickException(
                f"No signup has {text!r} in its address, or at the start of its id or"
                " label."
            )
        case (only,):
            return only.signup_id
    shown = [f"  {r.signup_id}  {r.state:<10}  {printable(r.email)}" for r in chosen]
    more = ["  ..."] if len(shown) > NAMED else []
    raise click.ClickException(
        "\n".join([f"{text!r} could be any of these:", *shown[:NAMED], *more])
    )
