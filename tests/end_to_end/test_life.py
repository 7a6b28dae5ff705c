"""A subscription's life with the whole of S4 as processes: it ends, and comes back."""

from __future__ import annotations

import re
import secrets

import requests

from lae_localcloud.customer.story import receive_mail, sign_up
from lae_localcloud.customer.visit import Visit
from tests.end_to_end.checks import text_of, to_the_customer
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack


def link_in(stack: Stack, signup_id: str, purpose: str) -> tuple[str, str]:
    """The newest mail's link of this purpose: its page, and what is behind the #."""
    pattern = rf"(http\S+/signup/{signup_id}/{purpose})#(\S+)"

    def found() -> list[tuple[str, str]]:
        texts = [text_of(m) for m in to_the_customer(stack, signup_id)]
        return [one for text in texts for one in re.findall(pattern, text)]

    return until(found, f"a mail with a link to {purpose}")[-1]


def subjects(stack: Stack, signup_id: str) -> list[str]:
    return [str(mail["Subject"]) for mail in to_the_customer(stack, signup_id)]


def state_of(stack: Stack, signup_id: str) -> str:
    return str(stack.operator.show(signup_id).row.state)


def test_a_customer_leaves_by_mail_and_comes_back(stack) -> None:
    """Cancelled by the mail's link (which a scanner may open), it goes on until the paid
    month is over; then host, role and record are gone, the data stays, and nothing more
    is charged.  Subscribed again, the same furl gives the same file back.
    """
    places = stack.places("leaver")
    signup = sign_up(places, "leaver@example.org")
    mail, name = receive_mail(places, signup), signup.signup_id
    bucket = stack.bucket_of(name)
    kept, back = places.folder / "kept.bin", places.folder / "back.bin"
    kept.write_bytes(secrets.token_bytes(200_000))
    laptop = places.laptop("laptop")
    try:
        laptop.join(mail)
        laptop.start()
        cap = laptop.put(kept)
        laptop.stop()

        page, code = link_in(stack, name, "cancel")
        assert requests.get(page, timeout=15).status_code == 200
        assert stack.stripe.subscriptions(name)[0]["cancel_at"] is None
        answer = requests.post(page, {"link": code}, timeout=15)
        assert answer.ok, answer.text
        stack.operator.wait_for(name, "leaving")
        assert stack.stripe.subscriptions(name)[0]["cancel_at_period_end"]
        assert len(stack.cloud.instances(name)) == 1

        stack.stripe.clock_for(name).pass_days(31)
        stack.operator.wait_for(name, "ended")
        assert stack.cloud.instances(name) == []
        label = stack.operator.show(name).row.grid_label
        assert stack.cloud.named_after(label) == {f"bucket {bucket}"}
        assert stack.cloud.shares(bucket)[1] > 200_000
        (over,) = stack.stripe.subscriptions(name)
        assert over["status"] == "canceled"
        assert len(stack.stripe.kept_charges(name)) == 1
        told = subjects(stack, name)
        assert any("cancellation" in s for s in told)

        page, code = link_in(stack, name, "return")
        assert any("has ended" in s for s in subjects(stack, name))
        visit = Visit(stack.layout.site_url)
        visit._went(visit.http.post(page, {"link": code}, timeout=30))
        visit.pay()
        assert visit.signup_id == name
        until(lambda: state_of(stack, name) == "active", "the grid is built again")
        laptop.start()
        laptop.get(cap, back)
    finally:
        laptop.stop()
    assert back.read_bytes() == kept.read_bytes()
    assert len(stack.cloud.instances(name)) == 1
    live = [s for s in stack.stripe.subscriptions(name) if s["status"] != "canceled"]
    assert len(live) == 1
    furls = {
        line
        for m in to_the_customer(stack, name)
        for line in text_of(m).split()
        if line.startswith("pb://")
    }
    assert furls == {mail.furl}
