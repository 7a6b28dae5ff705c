"""Each kind of mail is whole: a row, its templates, a letter, and its line in the docs."""

from __future__ import annotations

import email
import re
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from html import unescape
from typing import get_args

import pytest
from docutils import nodes
from twisted.internet.defer import Deferred

from lae_flapp.effects.payments import Subscription
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.contacts import Contact
from lae_flapp.journal.lifecycles import Lifecycle
from lae_flapp.journal.outbox import Mail, MailKind
from lae_flapp.journal.receipts import Receipt
from lae_flapp.journal.signups import Agreement, Payment, Signup
from lae_flapp.life.links import Links
from lae_flapp.mail.kinds import MAILS
from lae_flapp.mail.letter_facts import LetterFacts, LetterSources
from lae_flapp.mail.letters import CustomerLetter, Troubled, render
from lae_flapp.mail.message import build_message
from lae_protocol.address import parse_address
from lae_protocol.furl import Furl
from lae_protocol.plan_words import moment_in_words
from lae_protocol.process.resources import template_folder
from lae_protocol.secret import Secret
from tests.docs.reading import ROOT, parse
from tests.mail.test_letters import FURL, NOW, PLAN, SENDER, SIGNUP
from tests.twins.identities import MemorySealer
from tests.twins.journal import answer

TO = parse_address("o@example.org")
GRACE = timedelta(seconds=PLAN.grace)
READ_ONLY = timedelta(seconds=PLAN.read_only)
STOPPED = timedelta(seconds=PLAN.stopped)
KEPT = timedelta(seconds=PLAN.data_kept)
SOURCES = list((ROOT / "lae_flapp").glob("**/*.py"))
KINDS = get_args(MailKind)
FORMS = ("subject", "txt", "html")
#: Templates of no kind: the frame of all HTML, and the notices of causes.
OTHERS = {"frame.html", "notice.subject", "notice.txt"}
LINKS = Links(MemorySealer(), "https://s4.example")
LATER = NOW + timedelta(days=14)


class Furls:
    """Every signup's furl is known."""

    async def of(self, signup_id: str) -> Furl:
        return Furl.parse(FURL)


async def unpaid(subscription: str) -> Subscription:
    """Stripe shows an invoice that waits to be paid."""
    return Subscription(
        subscription,
        *("past_due", None, None, False, None, None),
        pay_url=Secret("https://pay.example/invoice"),
    )


def facts_of(
    kind: MailKind,
    *,
    is_gift: bool = False,
    known_elsewhere: bool = False,
    withdrawn: bool = False,
) -> LetterFacts:
    """A signup of which everything is known that any mail may ask for."""
    cell = Cell("eu-1", "demo", "1" * 12, "eu-west-1", "eu-west-1a", "example.org")
    payment = Payment("cs_1", "cus_1", "sub_1", "in_1", "pi_1", NOW)
    return LetterFacts(
        Mail(1, SIGNUP, kind, "", "<1@x>", NOW, "waiting", 0, NOW, None, None, None),
        Signup(
            *(1, SIGNUP, "active", NOW, NOW, "hash", "gabcdef", cell),
            *(Agreement(PLAN, NOW, "en"), payment, "no capacity", NOW),
        ),
        Contact(
            1, SIGNUP, "o@example.org", "o@example.org", "unconfirmed", NOW, NOW, None
        ),
        Lifecycle(SIGNUP, "sub_1", "leave", "leave", LATER, LATER, LATER, LATER),
        Receipt(7, SIGNUP, "s4-demo-g1", NOW, LATER, LATER, 10**9, 3, "time"),
        known_elsewhere,
        withdrawn,
        is_gift,
        450,
        NOW,
        LetterSources(Furls(), unpaid, LINKS),
    )


def rendered(kind: MailKind, **true: bool) -> EmailMessage:
    facts = facts_of(kind, **true)
    letter = answer(Deferred.fromCoroutine(MAILS[kind].write(facts)))
    content = render(kind, letter, SENDER)
    envelope = build_message(content, SENDER, TO, "1", NOW)
    return email.message_from_bytes(envelope.message, policy=policy.SMTP)


def words_of(message: EmailMessage, form: str) -> str:
    """All that a form says, without markup, in one line."""
    text = message.get_body((form,)).get_content()
    text = re.sub(
        r"<a href=\"([^\"]+)\"[^>]*>", r"\1 ", text.partition("<body")[2] or text
    )
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.parametrize("is_gift", [False, True])
@pytest.mark.parametrize("form", ["plain", "html"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_in_each_form(kind: MailKind, form: str, is_gift: bool) -> None:
    """Each kind is rendered as text and as HTML, with a subject, and names its signup."""
    message = rendered(kind, is_gift=is_gift)
    assert message["Subject"]
    said = words_of(message, form)
    assert SIGNUP in said
    for fact in SAYS[kind]:
        if not (is_gift and fact == RETURN):
            assert fact in said, (kind, form, fact)


@pytest.mark.parametrize("form", ["plain", "html"])
def test_cancelled_while_it_was_built(form: str) -> None:
    """Who cancelled is told that this was their wish and what goes back, not that we
    failed; whom we failed is told so.
    """
    wished, failed = rendered("refunded", withdrawn=True), rendered("refunded")
    said = words_of(wished, form)
    assert "cancelled as you asked" in wished["Subject"]
    assert "as you asked, before your storage was built" in said
    assert "Everything charged for it (USD 9.00) is being refunded." in said
    for word in ("sorry", "could not", "failed"):
        assert word not in said + wished["Subject"]
    assert "could not build" in words_of(failed, form)


@pytest.mark.parametrize("form", ["plain", "html"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_who_else_knows_the_furl(form: str, elsewhere: bool) -> None:
    """The mail to a corrected address says that the earlier reader knows the furl."""
    said = words_of(rendered("active", known_elsewhere=elsewhere), form)
    assert ("whoever read it still knows the furl" in said) is elsewhere


CONFIRM = f"https://s4.example/signup/{SIGNUP}/confirm#"
LOG_IN = f"https://s4.example/signup/{SIGNUP}/log-in#"
CANCEL = f"https://s4.example/signup/{SIGNUP}/cancel#"
RETURN = f"https://s4.example/signup/{SIGNUP}/return#"
PAY = "https://pay.example/invoice"
#: What each mail is for, in both of its forms.
SAYS: dict[MailKind, tuple[str, ...]] = {
    "active": (FURL, CANCEL, "Basic", "USD 9.00 a month", "S4-storage-abcd.json"),
    "confirm": (CONFIRM, "If it was not you", "Basic"),
    "log-in": (LOG_IN, "once", "1 hour", "Every other browser"),
    "refunded": ("Everything charged for it (USD 9.00) is being refunded",),
    "paid-twice": ("is cancelled and is being refunded",),
    "goodwill": ("USD 4.50 of your last payment", "nothing else changes"),
    "troubled": ("no capacity", f"lae subscriptions retry {SIGNUP}"),
    "leaving": (moment_in_words(LATER), moment_in_words(LATER + KEPT), RETURN),
    "staying": ("continues", CANCEL),
    "past-due": (moment_in_words(NOW + GRACE), PAY, CANCEL),
    "suspended": (moment_in_words(NOW + READ_ONLY), PAY, CANCEL, "read"),
    "stopped": (moment_in_words(NOW + STOPPED), PAY, CANCEL),
    "recovered": (
        "You can write to your storage",
        f"https://s4.example/signup/{SIGNUP}",
    ),
    "ended": (moment_in_words(LATER), RETURN),
    "reminder": (moment_in_words(LATER), RETURN),
    "deleted": ("7", "s4-demo-g1", moment_in_words(LATER), "1 GB"),
}


def test_each_kind_has_a_row() -> None:
    """The table and the journal know the same kinds, in the same order."""
    assert tuple(MAILS) == KINDS
    assert set(SAYS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_which_mails_have_rights(kind: MailKind) -> None:
    """A mail that may go to an unconfirmed address has no furl, no file of the grid and
    no link that does more than confirm; every other one is there for what it has.
    """
    message = rendered(kind)
    said = words_of(message, "plain") + words_of(message, "html")
    rights = ("pb://", "/cancel#", "/return#", "/log-in#", PAY)
    has_rights = any(right in said for right in rights)
    assert has_rights is MAILS[kind].has_rights
    attached = [part.get_filename() for part in message.iter_attachments()]
    assert bool(attached) <= MAILS[kind].has_rights


def test_no_template_is_without_a_kind() -> None:
    """Each kind has its three templates, and no other template lies there."""
    there = {path.name for path in (template_folder() / "mail").iterdir()}
    assert there == {f"{kind}.{form}" for kind in KINDS for form in FORMS} | OTHERS


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_queued_somewhere(kind: MailKind) -> None:
    """No kind is without a place that puts it into the outbox."""
    put = re.compile(r'outbox\.put\(\s*tx,\s*[\w.]+,\s*"' + kind + '"')
    assert any(put.search(path.read_text("utf-8")) for path in SOURCES)


def test_only_the_operators_mail_has_no_plan() -> None:
    """What goes to a customer names the plan; what goes to operators says what is wrong."""
    for kind, row in MAILS.items():
        letter = answer(Deferred.fromCoroutine(row.write(facts_of(kind))))
        wanted = Troubled if row.to == "operators" else CustomerLetter
        assert isinstance(letter, wanted), kind


def test_the_documents_table() -> None:
    """docs/mails.rst has a row for each kind, and says what the code's table says."""
    tree, _ = parse(ROOT / "docs" / "mails.rst")
    rows = [
        tuple(" ".join(entry.astext().split()) for entry in row.findall(nodes.entry))
        for row in tree.findall(nodes.row)
    ][1:]
    assert rows == [(kind, row.when, row.to, row.what) for kind, row in MAILS.items()]
