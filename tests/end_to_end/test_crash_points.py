"""``kill -9`` of the daemon at each of its named points.

Each walk is one signup; the daemon dies at every point of the walk in turn, each time
in the middle of taking up what the death before it left.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

import lae_flapp.service  # noqa: F401  (declares all points)
from lae_localcloud.customer.visit import VisitFailed
from lae_protocol.refund_messages import AskLastPayment, RefundPayment
from tests.end_to_end.checks import check_refunded, check_served, to_the_customer
from tests.end_to_end.customer import Customer
from tests.end_to_end.process import Process, until
from tests.end_to_end.stack import HASTY, Stack

_MAKING = ("before-effect", "before-make", "after-make", "after-outcome")
_UNMAKING = ("before-unmake", "after-unmake", "after-unmade")
#: The steps whose work a look at the cloud finds, or finds gone.
_REMOVED = ("address", "host", "role", "bucket")
_REFUNDING = ("before-refund", "after-refund", "after-outcome")


def _points(name: str, parts: Sequence[str]) -> list[str]:
    return [f"signup.{name}.{part}" for part in parts]


REGISTERING = [
    *("checkout.before-opening", "checkout.after-opening", "checkout.after-outcome")
]
PAYING = ["inbox.taken", "signup.paid.before", "signup.paid.after"]
BUILDING = {
    "identity": _points("identity", _MAKING),
    "bucket-and-role": [*_points("bucket", _MAKING), *_points("role", _MAKING)],
    "host-and-address": [*_points("host", _MAKING), *_points("address", _MAKING)],
    "claim-to-ready": ["claim.bound", "signup.ready.before", "signup.ready.after"],
}
MAILING = ["outbox.before-sending", "outbox.after-250"]
REPLACING = [
    *("signup.retire.before", "signup.retire.after"),
    *("signup.next-host.before", "signup.next-host.after"),
]
PAYING_BACK = _points("second-session", _REFUNDING)
GOODWILL = _points("goodwill", _REFUNDING)
WITHDRAWING = [
    *("signup.give-up.before", "signup.give-up.after"),
    *_points("unserved", _REFUNDING),
    *(p for step in _REMOVED for p in _points(step, _UNMAKING[:2])),
    *("signup.close.before", "signup.close.after"),
]
#: A cancellation, what Stripe shows at the end of the period, and what time brings.
LEAVING = [
    *_points("billing", ("before-call", "after-call", "after-outcome")),
    *("lifecycle.learnt.before", "lifecycle.learnt.after"),
    *("lifecycle.turn.before", "lifecycle.turn.after"),
]
#: Of a host that is ended since nobody pays, and of the one that is built when it is
#: paid: points that other walks pass as well.
NOT_PAID = [
    "signup.address.before-unmake",
    *_points("host", _UNMAKING[:2]),
    *("signup.next-host.before", "signup.next-host.after"),
]
PAID_AGAIN = [*_points("host", _MAKING[1:3]), "signup.address.after-make"]
#: Of what no signup does: tests/rollout/test_processes.py walks them.
ROLLING = ["rollout.tried", "rollout.turned"]
#: What is found gone is not removed again, so these need a signup of their own.
REMOVED = [f"signup.{step}.{_UNMAKING[2]}" for step in _REMOVED]


def walk(
    stack: Stack,
    points: Sequence[str],
    begin: Callable[[], object],
    meanwhile: Callable[[str], object] = lambda _: None,
    **patience: int,
) -> None:
    """Start the daemon so that it dies at the first point, *begin*, and see it die;
    then at the next.  *meanwhile* is done after each death.  In the end it runs.
    """
    stack.daemon.stop()
    for number, point in enumerate(points):
        daemon = stack.start_daemon(crash_at=point, **patience)
        if number == 0:
            begin()
        dies_at(daemon, point)
        meanwhile(point)
    stack.start_daemon()


def dies_at(daemon: Process, point: str) -> None:
    """It was told of this point alone, and nobody else sends SIGKILL."""
    until(lambda: daemon.code is not None, f"the daemon's death at {point}")
    assert daemon.code == -signal.SIGKILL, daemon.words()


def test_every_point_has_a_walk() -> None:
    """There is no named point at which no test kills the daemon."""
    walked = [
        *(REGISTERING + PAYING + MAILING + REPLACING + PAYING_BACK + WITHDRAWING),
        *(REMOVED + LEAVING + GOODWILL + ROLLING),
        *(point for points in BUILDING.values() for point in points),
    ]
    # Asked in a process of its own: other tests declare points of other programs.
    listing = "from lae_protocol.process.crash import declared; print(*declared())"
    told = subprocess.run(
        [sys.executable, "-c", f"import lae_flapp.service; {listing}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(walked) == sorted(told.stdout.split())


def test_dying_while_a_customer_registers_and_pays(stack) -> None:
    """Who sends the form again gets the one session, and who paid is served once, with
    no browser to come back.
    """
    customer = Customer(stack, "registers@example.org")
    form = customer.filled_form()

    stack.daemon.stop()
    for point in REGISTERING:
        daemon = stack.start_daemon(crash_at=point)
        stack.until_site_knows(up=True)
        assert customer.send(form).status_code == 503
        dies_at(daemon, point)
    stack.start_daemon()
    stack.until_site_knows(up=True)
    answer = customer.send(form)
    assert answer.status_code == 303, answer.text
    customer.arrive(answer)
    assert len(stack.stripe.sessions(customer.signup_id)) == 1
    walk(stack, PAYING, customer.leave)
    check_served(stack, customer)


@pytest.mark.parametrize("name", BUILDING)
def test_dying_while_a_grid_is_built(stack, name) -> None:
    """However often the daemon dies in it, the routine ends with one of everything."""
    customer = Customer(stack, f"{name}@example.org")
    customer.register()
    walk(stack, BUILDING[name], customer.leave)
    check_served(stack, customer)
    assert len(stack.cloud.instances(customer.signup_id, live=False)) == 1


def test_dying_while_the_mail_is_sent(stack) -> None:
    """A daemon that dies before it sends sends once; one that dies between the
    server's 250 and its own note sends the same mail again.
    """
    customer = Customer(stack, "mailed@example.org")
    customer.register()
    walk(stack, MAILING, customer.leave)
    check_served(stack, customer, copies=2)


def test_dying_while_a_host_is_replaced(stack) -> None:
    """A host that never came is replaced by one other, whose furl is the same."""
    customer = Customer(stack, "replaced@example.org")
    customer.register()
    stack.cloud.control.put("slowness", boot=600)

    def meanwhile(point: str) -> None:
        if point == REPLACING[0]:
            stack.cloud.control.put("slowness", boot=0)

    walk(stack, REPLACING, customer.leave, meanwhile, claim=5, late_claim=2)
    furl = customer.furl_on_page()
    check_served(stack, customer)
    assert customer.furl_on_page() == furl
    assert len(stack.cloud.instances(customer.signup_id, live=False)) == 2


def test_dying_while_a_second_payment_goes_back(stack) -> None:
    """Of two sessions that were both paid one is kept and one refunded, once."""
    customer = Customer(stack, "paid-twice@example.org")
    customer.sign_up()
    stack.operator.wait_for(customer.signup_id, "mail-accepted")
    first = stack.stripe.sessions(customer.signup_id)[0]
    second = stack.stripe.twin_of(first)

    def pay() -> None:
        stack.stripe.control.post(f"sessions/{second}/pay")

    walk(stack, PAYING_BACK, pay)
    stack.operator.wait_for(customer.signup_id, "money-back")
    check_served(stack, customer)
    check_one_went_back(stack, customer.signup_id)


def test_dying_while_an_operator_gives_money_back(stack) -> None:
    """What an operator gave back goes back once, and the subscription goes on."""
    customer = Customer(stack, "goodwill@example.org")
    signup_id = customer.sign_up()
    stack.operator.wait_for(signup_id, "mail-accepted")

    def give_back() -> None:
        seen = stack.operator.insist(AskLastPayment(signup_id))
        stack.operator.ask(RefundPayment(signup_id, 100, seen, "kindness"))

    walk(stack, GOODWILL, give_back)
    stack.operator.wait_for(signup_id, "money-back")
    assert stack.operator.show(signup_id).row.state == "active"
    assert [s["status"] for s in stack.stripe.subscriptions(signup_id)] == ["active"]
    assert [c["amount_refunded"] for c in stack.stripe.charges(signup_id)] == [100]


def check_one_went_back(stack: Stack, signup_id: str) -> None:
    """Two subscriptions were made, one lives; one charge is refunded, whole."""
    found = [s["status"] for s in stack.stripe.subscriptions(signup_id)]
    assert sorted(found) == ["active", "canceled"]
    charges = stack.stripe.charges(signup_id)
    assert sorted(c["amount_refunded"] for c in charges) == [0, charges[0]["amount"]]
    told = [
        mail["Message-ID"]
        for mail in to_the_customer(stack, signup_id)
        if "second payment is being refunded" in mail["Subject"]
    ]
    assert len(set(told)) == 1


@pytest.mark.parametrize("points", [WITHDRAWING, REMOVED], ids=["going", "gone"])
def test_dying_while_a_signup_is_withdrawn(stack, points) -> None:
    """What was built for a signup that could not be served is gone in the end, and
    the money is back, once.
    """
    customer = Customer(stack, "withdrawn@example.org")
    signup_id = customer.register()
    stack.cloud.control.fault(
        service="s3", action="PutObject", kind="error-before", status=403,
        code="AccessDenied", contains=stack.bucket_of(signup_id), times=100_000,
    )  # fmt: skip
    customer.leave()
    stack.operator.wait_for(signup_id, "claimed")
    walk(stack, points, lambda: None, give_up=1, visibility=1)
    check_refunded(stack, customer)


def served(stack: Stack, address: str) -> Customer:
    """A customer whose plan has periods of seconds."""
    customer = Customer(stack, address)
    customer.register(HASTY)
    customer.pay()
    stack.operator.wait_for(customer.signup_id, "mail-accepted")
    return customer


def mailed(stack: Stack, signup_id: str, words: str) -> bool:
    """Whether one mail (however many copies) has these words in its subject."""
    mails = [
        m["Message-ID"]
        for m in to_the_customer(stack, signup_id)
        if words in m["Subject"]
    ]
    assert len(set(mails)) <= 1, mails
    return bool(mails)


def test_dying_while_a_customer_leaves(stack) -> None:
    """Cancelled once, ended with the period, reminded, deleted: with one mail for each,
    a receipt, nothing left in the cloud and nothing charged beyond the one month.
    """
    customer = served(stack, "leaves@example.org")
    signup_id = customer.signup_id
    label = stack.operator.show(signup_id).row.grid_label
    clock = stack.stripe.clock_for(signup_id)

    def cancel() -> None:
        stack.until_site_knows(up=True)
        # The daemon may be dead before its answer is out; it has taken the wish.
        with contextlib.suppress(VisitFailed):
            customer.ask_to("cancel")

    def meanwhile(point: str) -> None:
        if point == LEAVING[2]:
            clock.pass_days(31)

    walk(stack, LEAVING, cancel, meanwhile, lifecycle=1, visibility=1)
    stack.daemon.stop()
    stack.start_daemon(lifecycle=1, visibility=1)
    stack.operator.wait_for(signup_id, "deleted")
    for words in ("Your cancellation", "has ended", "will be deleted", "receipt"):
        until(lambda words=words: mailed(stack, signup_id, words), words)
    assert stack.cloud.named_after(label) == set()
    assert stack.cloud.instances(signup_id) == []
    assert {s["status"] for s in stack.stripe.subscriptions(signup_id)} == {"canceled"}
    assert len(stack.stripe.kept_charges(signup_id)) == 1
    query = "SELECT bucket FROM receipts WHERE signup_id = ?"
    ((bucket,),) = stack.journal_says(query, signup_id)
    assert bucket.endswith(label)


def test_dying_while_a_host_is_ended_and_built_anew(stack) -> None:
    """Not paid, the host is ended and no data deleted; paid on the page that the mail
    names, another host is built under the same furl.
    """
    customer = served(stack, "pays-late@example.org")
    signup_id, furl = customer.signup_id, customer.furl_on_page()
    (before,) = stack.cloud.instances(signup_id)
    clock = stack.stripe.clock_for(signup_id)

    def refuse() -> None:
        clock.bank_says("4000000000000002")
        clock.pass_days(31)

    def meanwhile(point: str) -> None:
        if point == NOT_PAID[-1]:
            stack.stripe.pay_invoice(signup_id)

    again = NOT_PAID + PAID_AGAIN
    walk(stack, again, refuse, meanwhile, lifecycle=1, visibility=1)
    stack.operator.wait_for(signup_id, "recovered")
    for words in ("failed", "read-only", "shut down", "paid again"):
        until(lambda words=words: mailed(stack, signup_id, words), words)
    until(lambda: "You can join" in customer.status(), "its grid can be joined")
    assert stack.operator.show(signup_id).row.state == "active"
    (after,) = stack.cloud.instances(signup_id)
    assert after["InstanceId"] != before["InstanceId"]
    assert customer.furl_on_page() == furl
    assert len(stack.stripe.kept_charges(signup_id)) == 2
