"""Every kind of mail about a signup: when it is sent, to whom, and what it says.

A kind is a word of :data:`~lae_flapp.journal.outbox.MailKind`, one row here, and three
templates of its name; tests compare the three, and ``docs/mails.rst`` with the rows.
Mails about causes of trouble, which belong to no signup, are :mod:`.notice`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from attrs import define

from lae_flapp.journal.outbox import MailKind
from lae_flapp.mail.letter_facts import (
    LetterFacts,
    write_active,
    write_confirm,
    write_deleted,
    write_ended,
    write_goodwill,
    write_leaving,
    write_log_in,
    write_past_due,
    write_plain,
    write_refunded,
    write_staying,
    write_stopped,
    write_suspended,
    write_troubled,
)
from lae_flapp.mail.letters import Letter

Recipient = Literal["customer", "operators"]


@define(frozen=True)
class MailRow:
    """One kind of mail; *write* makes its letter when it is sent.

    *has_rights*: it has the furl in it, or a link that does something without a
    cookie, and goes to no address whose reader has yet to confirm it.
    """

    when: str
    to: Recipient
    what: str
    write: Callable[[LetterFacts], Awaitable[Letter]]
    has_rights: bool = False


MAILS: dict[MailKind, MailRow] = {
    "active": MailRow(
        when="the grid is ready; the owner or an operator asks for the mail again; a"
        " corrected address was confirmed",
        to="customer",
        what="the furl, how to join, the file for Gridsync, the price, how to cancel",
        write=write_active,
        has_rights=True,
    ),
    "confirm": MailRow(
        when="the address was corrected; again, at most daily, when another mail is due"
        " and the address is not confirmed, or when the mail is asked for",
        to="customer",
        what="the link to confirm the address; that mails wait for that",
        write=write_confirm,
    ),
    "log-in": MailRow(
        when="somebody asks for it on the status page; an operator logs every browser"
        " out and has it mailed",
        to="customer",
        what="the link that makes one browser the owner's and logs all others out",
        write=write_log_in,
        has_rights=True,
    ),
    "refunded": MailRow(
        when="the grid could not be built in time, or was cancelled while it was built,"
        " and the payment was given back",
        to="customer",
        what="which of the two it is, and that everything charged goes back",
        write=write_refunded,
    ),
    "paid-twice": MailRow(
        when="a second payment, or one that came too late, was given back",
        to="customer",
        what="that payment goes back, and nothing else changes",
        write=write_plain,
    ),
    "goodwill": MailRow(
        when="an operator gave a customer who was served some of the last payment back",
        to="customer",
        what="how much goes back, and that nothing else changes",
        write=write_goodwill,
    ),
    "troubled": MailRow(
        when="a signup needs a person",
        to="operators",
        what="the signup, its state, the problem, the commands to look and to retry",
        write=write_troubled,
    ),
    "leaving": MailRow(
        when="Stripe knows that the subscription ends with the paid period",
        to="customer",
        what="when it ends, until when the data is kept, the link to go on after all",
        write=write_leaving,
        has_rights=True,
    ),
    "staying": MailRow(
        when="a cancellation was taken back, and Stripe knows it",
        to="customer",
        what="that it goes on, the link to cancel",
        write=write_staying,
        has_rights=True,
    ),
    "past-due": MailRow(
        when="a payment failed",
        to="customer",
        what="by when the storage becomes read-only, the links to pay and to cancel",
        write=write_past_due,
        has_rights=True,
    ),
    "suspended": MailRow(
        when="the time to pay is over: the storage is read-only",
        to="customer",
        what="by when the server is shut down, the links to pay and to cancel",
        write=write_suspended,
        has_rights=True,
    ),
    "stopped": MailRow(
        when="the read-only time is over: the server is shut down",
        to="customer",
        what="when the subscription ends, the links to pay and to cancel",
        write=write_stopped,
        has_rights=True,
    ),
    "recovered": MailRow(
        when="what was overdue is paid",
        to="customer",
        what="that the storage can be written again",
        write=write_plain,
    ),
    "ended": MailRow(
        when="the subscription is over; an operator asks for the mail again",
        to="customer",
        what="until when the data is kept, the link to come back",
        write=write_ended,
        has_rights=True,
    ),
    "reminder": MailRow(
        when="the data will soon be deleted",
        to="customer",
        what="the day, the link to come back",
        write=write_ended,
        has_rights=True,
    ),
    "deleted": MailRow(
        when="the bucket is gone",
        to="customer",
        what="the receipt: its number, the bucket, the time, how much it was",
        write=write_deleted,
    ),
}
