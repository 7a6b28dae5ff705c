"""``lae subscriptions refund``: a customer who was served gets money back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from attrs import Factory, define

from lae_flapp.laptop import tables
from lae_flapp.laptop.commands.helping import described
from lae_flapp.laptop.line import Away, Line
from lae_flapp.laptop.options import asks_daemon, changes, gives_json, loses
from lae_flapp.laptop.settings import Where
from lae_flapp.laptop.several import NAMED, Several, run_each, several
from lae_protocol.looking_messages import SignupDetail
from lae_protocol.messages import Done
from lae_protocol.plan_words import amount_in_words, amount_of_words
from lae_protocol.refund_messages import AskLastPayment, PaymentView, RefundPayment

#: How long the payment service may need, beside the daemon's own time.
OUTSIDE = 20.0  # s


@define
class _Refunds:
    """What each customer was charged last, as it was shown; of others, why not.

    *asked* is the amount in words, None for all that is left.
    """

    asked: str | None
    seen: dict[str, PaymentView] = Factory(dict)
    refused: dict[str, str] = Factory(dict)

    async def look(self, line: Line, details: Sequence[SignupDetail]) -> None:
        """Ask what can be given back of each."""
        for detail in details:
            name = detail.row.signup_id
            try:
                self.seen[name] = await self._seen(line, detail)
            except (Away, click.UsageError):
                raise
            except click.ClickException as e:
                self.refused[name] = e.message

    async def _seen(self, line: Line, detail: SignupDetail) -> PaymentView:
        question = AskLastPayment(detail.row.signup_id)
        view: PaymentView = await line.ask(question, OUTSIDE)
        amount = self._amount(view)
        if not 0 < amount <= view.left:
            raise click.ClickException(
                f"{_words(amount, view)} cannot be given back: {_of(view)}."
            )
        return view

    def _amount(self, view: PaymentView) -> int:
        if self.asked is None:
            return view.left
        try:
            return amount_of_words(self.asked, view.currency)
        except ValueError as e:
            raise click.UsageError(f"--amount: {e}") from None

    def amount(self, detail: SignupDetail) -> int:
        """How much goes back, in the smallest unit."""
        return self._amount(self.seen[detail.row.signup_id])

    def words(self, detail: SignupDetail) -> str:
        """``EUR 4.50``."""
        return _words(self.amount(detail), self.seen[detail.row.signup_id])

    def question(self, changed: Sequence[SignupDetail]) -> str:
        """Whether to give back to all of these."""
        if len(changed) == 1:
            (one,) = changed
            return f"Give {self._whole(one)} back to {described(one)}?"
        named = ", ".join(f"{self.words(d)} to {described(d)}" for d in changed[:NAMED])
        more = ", ..." if len(changed) > NAMED else ""
        return f"Give back to these {len(changed)}: {named}{more}?"

    def would(self, detail: SignupDetail) -> str:
        """What would be done."""
        why_not = self.refused.get(detail.row.signup_id)
        if why_not is not None:
            return f"Would give nothing back to {described(detail)}: {why_not}"
        return f"Would give {self._whole(detail)} back to {described(detail)}."

    def does(self, detail: SignupDetail) -> str:
        """What is done now."""
        return f"{self.words(detail)} goes back to {detail.row.signup_id}."

    def row(self, detail: SignupDetail, done: Done | None) -> dict[str, Any]:
        """In JSON."""
        known = self.seen.get(detail.row.signup_id)
        return {
            "signup_id": detail.row.signup_id,
            "state": detail.row.state,
            "amount": None if known is None else self.amount(detail),
            "currency": None if known is None else known.currency,
            "done": done is not None,
        }

    def _whole(self, detail: SignupDetail) -> str:
        return f"{self.words(detail)} of {_of(self.seen[detail.row.signup_id])},"


def _words(amount: int, view: PaymentView) -> str:
    return amount_in_words(amount, view.currency, ascii_only=True)


def _of(view: PaymentView) -> str:
    """What was charged, and what went back."""
    charged = f"{_words(view.amount, view)}, charged {tables.moment(view.paid_at)} UTC"
    back = f"; {_words(view.given_back, view)} went back before"
    return charged + (back if view.given_back else "")


@click.command()
@asks_daemon
@gives_json
@changes
@loses
@click.option(
    "--amount",
    metavar="AMOUNT",
    help="Of each, such as 4.50, in the plan's currency; all that is left by default.",
)
@click.option("--reason", required=True, help="For the event log.")
@several
def refund(
    where: Where,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    amount: str | None,
    reason: str,
    chosen: Several,
) -> None:
    """Give back the last payment of one who was served, or some of it.

    Nothing ends by it: cancel does that.  Stripe shows what was charged last and what
    of it went back; more is never given.  The customer gets a mail.
    """
    refunds = _Refunds(amount)

    async def act(line: Line, detail: SignupDetail) -> Done:
        signup_id = detail.row.signup_id
        if signup_id in refunds.refused:
            raise click.ClickException(refunds.refused[signup_id])
        # What was shown and agreed to, and nothing else.
        seen = refunds.seen[signup_id]
        asked = RefundPayment(signup_id, refunds.amount(detail), seen, reason)
        return await line.ask(asked, OUTSIDE)

    async def sure(line: Line, details: Sequence[SignupDetail]) -> None:
        changed = [d for d in details if d.row.signup_id in refunds.seen]
        if changed:
            await line.sure(refunds.question(changed), yes=yes)

    def say(detail: SignupDetail, done: Done | None) -> None:
        click.echo(refunds.would(detail) if done is None else refunds.does(detail))
        if done is not None and chosen.is_one:
            click.echo(f"Follow it with: lae events -f {detail.row.signup_id}")

    run_each(
        where,
        chosen,
        act,
        row=refunds.row,
        say=say,
        as_json=as_json,
        dry_run=dry_run,
        first=refunds.look,
        sure=sure,
    )
