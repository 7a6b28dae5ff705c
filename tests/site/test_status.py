"""A signup's page: who sees what, and what its owner can do."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime

import pytest
from attrs import evolve

from lae_protocol.joining import gridsync_steps, tahoe_steps
from lae_protocol.messages import UsageView
from tests.twins.front_desk import BUILT


def test_the_owner_sees_the_furl_once_it_exists(world, keys) -> None:
    """The furl is on the owner's page from the moment it exists, and not before."""
    signup_id = world.signed_up()
    page = f"/signup/{signup_id}"
    world.desk.happen(signup_id, "paid")
    assert keys.furl not in world.visitor.get(page).text
    world.desk.happen(signup_id, "identity-sealed")
    text = world.visitor.get(page).text
    assert keys.furl in text
    assert "You can join in about 3 minutes" in text
    assert "The furl is not your files" in text
    for step in tahoe_steps(keys.furl):
        assert step.words in text
        assert step.command in html.unescape(text)
    for words in gridsync_steps("")[2:]:
        assert words in html.unescape(text)
    assert "--shares-needed 1" in text
    world.desk.happen(signup_id, *BUILT)
    assert "You can join now" in world.visitor.get(page).text


def test_without_the_cookie_there_is_progress_and_no_furl(world, keys) -> None:
    """Another browser sees how far it is, and neither the furl nor the address."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "identity-sealed", *BUILT, "mail-accepted")
    text = world.stranger().get(f"/signup/{signup_id}").text
    assert "We mailed you" in text
    assert "Your grid is ready" in text
    for private in ("pb://", "ann@example.org", "/cancel", "/resend", "/address"):
        assert private not in text
    assert world.stranger().get(f"/signup/{signup_id}/grid.json").status == 403


def test_usage_is_its_owners_to_see(world) -> None:
    """The owner reads what is stored and what was downloaded, of how much, and whether
    transfers are slower; nobody else does.
    """
    signup_id = world.signed_up()
    page = f"/signup/{signup_id}"
    then = datetime(2026, 11, 23, tzinfo=UTC)
    world.desk.usage = UsageView(then, 12_300_000_000, 5, 3, 0, 2 * 10**9, False, ())
    world.desk.happen(signup_id, "paid", "identity-sealed", *BUILT)
    text = world.visitor.get(page).text
    assert "Stored: 12.3 GB of" in text
    assert "Downloaded this month: 2 GB of" in text
    assert "slower" not in text
    assert 'id="usage"' not in world.stranger().get(page).text
    world.desk.usage = evolve(world.desk.usage, slowed=True)
    assert (
        "transfers are slower until the end of the month"
        in world.visitor.get(page).text
    )


def test_a_wrong_cookie_is_no_cookie(world) -> None:
    """A cookie of another signup shows what anybody sees."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "identity-sealed")
    stranger = world.stranger()
    stranger.jar[f"__Host-s4-{signup_id}"] = "a" * 52
    answer = stranger.get(f"/signup/{signup_id}")
    assert answer.status == 200
    assert "pb://" not in answer.text


@pytest.mark.parametrize("path", ["su" + "a" * 20, "su", "..%2fetc", "x" * 500])
def test_unknown_signups_are_not_found(world, path) -> None:
    """An id that is not, or is no id, is not found."""
    assert world.visitor.get(f"/signup/{path}").status == 404


def test_returning_from_stripe_overtakes_the_webhook(world, keys) -> None:
    """The return makes the daemon look, then leads to the clean address."""
    signup_id = world.signed_up()
    world.desk.paid_unseen.add(signup_id)
    answer = world.visitor.get(f"/signup/{signup_id}?returned=1")
    assert (answer.status, answer.headers["location"]) == (303, f"/signup/{signup_id}")
    assert keys.furl in world.visitor.get(f"/signup/{signup_id}").text


def test_paid_again_in_another_browser(world) -> None:
    """Who comes back from the payment page in a browser that is not the owner's, of a
    subscription that has ended, reads that the payment is arriving, on a page that goes
    on watching.
    """
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "ready", "mail-accepted", "ending", "ended")
    link = {"link": world.desk.link(signup_id, "return").reveal()}
    stranger = world.stranger()
    paying = stranger.post(f"/signup/{signup_id}/return", link)
    assert "/c/pay/" in paying.headers["location"]
    back = stranger.get(f"/signup/{signup_id}?returned=1")
    text = stranger.get(back.headers["location"]).text
    assert "Your payment is arriving" in text
    assert f'data-events="/signup/{signup_id}/events' in text
    world.desk.happen(signup_id, "paid")
    assert "is arriving" not in stranger.get(back.headers["location"]).text


def test_returning_with_the_daemon_down_loses_nothing(world) -> None:
    """The return is a redirect even when the daemon is down, and the page is honest."""
    signup_id = world.signed_up()
    world.desk.down = True
    assert world.visitor.get(f"/signup/{signup_id}?returned=1").status == 303
    answer = world.visitor.get(f"/signup/{signup_id}")
    assert answer.status == 503
    assert "Nothing is lost" in answer.text
    assert 'http-equiv="refresh"' in answer.text


def test_leaving_the_payment_page_offers_it_again(world) -> None:
    """Who comes back without paying is told so and finds the way to pay."""
    signup_id = world.signed_up()
    text = world.visitor.get(f"/signup/{signup_id}?stopped=1").text
    assert "Nothing was charged" in text
    assert f'href="https://checkout.stripe.com/c/pay/{signup_id}-0"' in text


def test_an_expired_payment_page_can_be_opened_again(world) -> None:
    """After the session expired the owner gets another."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "checkout-expired")
    page = world.visitor.get(f"/signup/{signup_id}")
    assert "Open a new payment page" in page.text
    answer = world.visitor.post(
        f"/signup/{signup_id}/pay", {"token": page.field("token")}
    )
    assert answer.status == 303
    assert answer.headers["location"].endswith(f"{signup_id}-1")


def test_the_mail_can_be_sent_again(world) -> None:
    """The owner of a ready grid has the mail sent again, and is told."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "identity-sealed", *BUILT, "mail-accepted")
    token = world.visitor.get(f"/signup/{signup_id}").field("token")
    answer = world.visitor.post(f"/signup/{signup_id}/resend", {"token": token})
    assert answer.status == 303
    text = world.visitor.get(answer.headers["location"]).text
    assert "sending the mail again" in text


def test_an_address_can_be_corrected_until_it_is_confirmed(world) -> None:
    """A bad correction is told beside the field, a good one is taken, a late one not."""
    signup_id = world.signed_up()
    path = f"/signup/{signup_id}/address"
    page = world.visitor.get(path)
    assert 'value="ann@example.org"' in page.text
    token = page.field("token")
    bad = world.visitor.post(path, {"token": token, "email": "bob@"})
    assert bad.status == 400
    assert 'value="bob@"' in bad.text
    good = world.visitor.post(path, {"token": token, "email": "b&b@exämple.org"})
    assert good.status == 303
    assert world.desk.email(signup_id) == "b&b@exämple.org"
    assert "b&amp;b@exämple.org" in world.visitor.get(good.headers["location"]).text
    world.desk.confirm(signup_id)
    late = world.visitor.post(path, {"token": token, "email": "eve@example.org"})
    assert late.status == 409
    assert "is confirmed" in late.text
    assert (
        "Correct the email address"
        not in world.visitor.get(f"/signup/{signup_id}").text
    )


def test_cancelling_asks_first(world) -> None:
    """An unpaid order is cancelled by a page that asks, then a form."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "checkout-expired")
    path = f"/signup/{signup_id}/cancel"
    assert path in world.visitor.get(f"/signup/{signup_id}").text
    page = world.visitor.get(path)
    assert "you were not charged" in page.text
    assert world.visitor.post(path, {"token": page.field("token")}).status == 303
    assert "order is cancelled" in world.visitor.get(f"/signup/{signup_id}").text


@pytest.mark.parametrize(
    ("kinds", "asked", "then"),
    [
        (("paid",), "refunded", "refunding"),
        (("paid", "ready"), "end of the period that you paid for", "active"),
        (("paid", "ready", "past-due"), "removed now", "ending"),
        (("paid", "ready", "past-due", "suspended", "stopped"), "removed", "ending"),
    ],
)
def test_cancelling_asks_first_and_says_what_it_means(
    world, kinds, asked, then
) -> None:
    """The page says what will happen to money, server and files; only its form
    cancels.
    """
    signup_id = world.signed_up()
    world.desk.happen(signup_id, *kinds)
    path = f"/signup/{signup_id}/cancel"
    assert path in world.visitor.get(f"/signup/{signup_id}").text
    page = world.visitor.get(path)
    assert asked in page.text
    assert world.desk.state(signup_id) != then or then == "active"
    assert world.desk.ends_at(signup_id) is None
    assert world.visitor.post(path, {"token": page.field("token")}).status == 303
    assert world.desk.state(signup_id) == then


def test_a_cancellation_is_taken_back_on_the_page(world) -> None:
    """Whoever changes their mind in time stays, with the same grid's address."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "identity-sealed", "ready", "leaving")
    status = world.visitor.get(f"/signup/{signup_id}")
    assert "Withdraw the cancellation" in status.text
    page = world.visitor.get(f"/signup/{signup_id}/return")
    answer = world.visitor.post(
        f"/signup/{signup_id}/return", {"token": page.field("token")}
    )
    assert answer.headers["location"] == f"/signup/{signup_id}?notice=staying"
    assert world.desk.ends_at(signup_id) is None
    assert world.desk.furl in world.visitor.get(f"/signup/{signup_id}").text


def test_a_former_customer_subscribes_again(world) -> None:
    """The page of an ended subscription says until when, and leads to a payment."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "ready", "ending", "ended")
    status = world.visitor.get(f"/signup/{signup_id}")
    assert "Your files are kept until" in status.text
    page = world.visitor.get(f"/signup/{signup_id}/return")
    answer = world.visitor.post(
        f"/signup/{signup_id}/return", {"token": page.field("token")}
    )
    assert answer.headers["location"].startswith("https://checkout.stripe.com/")


def test_what_is_not_paid_can_be_paid(world) -> None:
    """The owner of an overdue subscription is sent to the page of its invoice."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "ready", "past-due")
    page = world.visitor.get(f"/signup/{signup_id}")
    assert "Please pay" in page.text
    answer = world.visitor.post(
        f"/signup/{signup_id}/pay", {"token": page.field("token")}
    )
    assert answer.headers["location"].startswith("https://checkout.stripe.com/i/")


def test_a_mails_link_only_asks(world) -> None:
    """Whoever opens the links of a mail, a scanner too, changes nothing: a form must be
    sent, with the part behind the #.
    """
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "ready")
    stranger = world.stranger()
    page = stranger.get(f"/signup/{signup_id}/cancel")
    assert page.status == 200
    assert 'name="link"' in page.text
    assert world.desk.ends_at(signup_id) is None
    assert stranger.post(f"/signup/{signup_id}/cancel", {}).status == 403
    wrong = stranger.post(f"/signup/{signup_id}/cancel", {"link": "abc"})
    assert wrong.status == 403
    assert "This link is damaged, or no longer valid." in wrong.text
    assert "support@" in wrong.text
    assert 'name="link"' in wrong.text
    assert world.desk.ends_at(signup_id) is None
    token = world.desk.link(signup_id, "cancel").reveal()
    answer = stranger.post(f"/signup/{signup_id}/cancel", {"link": token})
    assert answer.headers["location"] == f"/signup/{signup_id}?notice=ending"
    assert world.desk.ends_at(signup_id) is not None


def test_a_corrected_address_is_confirmed_by_its_link(world) -> None:
    """The owner reads where the link went and can have it sent again; the page of the
    link only asks; pressed there, the button confirms, and once more says the same.
    """
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "identity-sealed", *BUILT, "mail-accepted")
    status, path = f"/signup/{signup_id}", f"/signup/{signup_id}/confirm"
    token = world.visitor.get(f"{status}/address").field("token")
    fields = {"token": token, "email": "bob@example.org"}
    assert world.visitor.post(f"{status}/address", fields).status == 303
    text = world.visitor.get(status).text
    assert "We mailed a link to" in text
    assert "bob@example.org" in text
    assert "Open the link in that mail" in text
    assert "Send the link again" in text
    reader = world.stranger()
    asks = reader.get(path)
    assert "Is this your email address?" in asks.text
    for private in ("pb://", "bob@example.org", "ann@example.org"):
        assert private not in asks.text
    assert "address-confirmed" not in world.desk.kinds(signup_id)
    link = world.desk.link(signup_id, "confirm").reveal()
    for _ in range(2):
        answer = reader.post(path, {"link": link})
        assert answer.headers["location"] == f"{status}?notice=confirmed"
    assert world.desk.kinds(signup_id).count("address-confirmed") == 1
    assert "address is confirmed" in reader.get(f"{status}?notice=confirmed").text
    assert "Nothing to confirm" in reader.get(path).text
    assert "We mailed the furl to" in world.visitor.get(status).text


def test_an_owner_cannot_confirm_a_strangers_address(world) -> None:
    """The owner's cookie confirms nothing, nor does a link of another purpose, or of an
    address that was corrected once more; the page says what to do.
    """
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "ready")
    path = f"/signup/{signup_id}/confirm"
    token = world.visitor.get(f"/signup/{signup_id}/address").field("token")
    correct = {"token": token, "email": "bob@example.org"}
    world.visitor.post(f"/signup/{signup_id}/address", correct)
    earlier = world.desk.link(signup_id, "confirm").reveal()
    correct["email"] = "eve@example.org"
    world.visitor.post(f"/signup/{signup_id}/address", correct)
    page = world.visitor.get(path)
    assert 'name="token"' not in page.text
    assert 'name="link"' in page.text
    cancel = world.desk.link(signup_id, "cancel").reveal()
    for wrong in ({}, {"link": ""}, {"link": cancel}, {"link": earlier}):
        answer = world.visitor.post(path, {"token": token, **wrong})
        assert answer.status == 403
        assert "This link is damaged, or no longer valid." in answer.text
    assert "address-confirmed" not in world.desk.kinds(signup_id)


def test_a_link_is_for_one_purpose(world) -> None:
    """The link that cancels cannot bring back, nor the other way round."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "ready")
    stranger = world.stranger()
    for purpose, other in (("cancel", "return"), ("return", "cancel")):
        token = world.desk.link(signup_id, other).reveal()
        answer = stranger.post(f"/signup/{signup_id}/{purpose}", {"link": token})
        assert answer.status == 403
        assert "This link is damaged, or no longer valid." in answer.text


def test_a_refusal_leads_back(world) -> None:
    """A page that says why something is not possible now leads back to the status
    page.
    """
    signup_id = world.signed_up()
    page = world.visitor.get(f"/signup/{signup_id}/cancel")
    assert "A payment page is open" not in page.text
    token = world.visitor.get(f"/signup/{signup_id}/address").field("token")
    answer = world.visitor.post(f"/signup/{signup_id}/cancel", {"token": token})
    assert answer.status == 409
    assert f'href="/signup/{signup_id}">Back to your status page' in answer.text


def test_a_slip_in_the_corrected_address(world) -> None:
    """Correcting the address asks about a slip, too."""
    signup_id = world.signed_up()
    page = f"/signup/{signup_id}/address"
    token = world.visitor.get(page).field("token")
    asked = world.visitor.post(page, {"token": token, "email": "ann@gmial.com"})
    assert "Did you mean ann@gmail.com?" in asked.text
    assert world.desk.email(signup_id) == "ann@example.org"
    fields = {"token": token, "email": "ann@gmial.com", "sure-address": "gmial.com"}
    assert world.visitor.post(page, fields).status == 303
    assert world.desk.email(signup_id) == "ann@gmial.com"


def test_a_whole_link_pasted_by_hand_does_too(world) -> None:
    """Without a script the link's address itself can be put into the field."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "ready", "leaving")
    token = world.desk.link(signup_id, "return").reveal()
    whole = f" https://s4.example.org/signup/{signup_id}/return#{token} "
    stranger = world.stranger()
    answer = stranger.post(f"/signup/{signup_id}/return", {"link": whole})
    assert answer.status == 303
    assert world.desk.ends_at(signup_id) is None


def test_paying_again_for_what_is_paid_shows_it(world) -> None:
    """An old page's button opens no payment page for a signup that is paid."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "checkout-expired")
    page = world.visitor.get(f"/signup/{signup_id}")
    world.desk.happen(signup_id, "paid")
    answer = world.visitor.post(
        f"/signup/{signup_id}/pay", {"token": page.field("token")}
    )
    assert answer.headers["location"] == f"/signup/{signup_id}"


@pytest.mark.parametrize("action", ["pay", "resend", "address", "cancel"])
def test_only_the_owners_own_page_can_act(world, action) -> None:
    """Without the cookie, or from another site's form, nothing is done."""
    signup_id = world.signed_up()
    token = world.visitor.get(f"/signup/{signup_id}/cancel").field("token")
    fields = {"token": token, "email": "eve@example.org"}
    path = f"/signup/{signup_id}/{action}"
    before = world.visitor.get(f"/signup/{signup_id}").text
    assert world.stranger().post(path, fields).status == 403
    assert world.visitor.post(path, fields | {"token": ""}).status == 403
    assert world.visitor.post(path, fields | {"token": token[:-2]}).status == 403
    assert world.visitor.get(path).status in (200, 405)
    assert world.visitor.get(f"/signup/{signup_id}").text == before


def test_an_action_with_the_daemon_down_is_honest(world) -> None:
    """With the daemon down an action says so and does not reload itself."""
    signup_id = world.signed_up()
    token = world.visitor.get(f"/signup/{signup_id}/cancel").field("token")
    world.desk.down = True
    answer = world.visitor.post(f"/signup/{signup_id}/cancel", {"token": token})
    assert answer.status == 503
    assert "http-equiv" not in answer.text


def test_the_grids_file_is_what_gridsync_reads(world, keys) -> None:
    """The file has the furl and three whole numbers."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "identity-sealed")
    answer = world.visitor.get(f"/signup/{signup_id}/grid.json")
    grid = json.loads(answer.text)
    assert grid["introducer"] == keys.furl
    assert [grid[f"shares-{n}"] for n in ("needed", "happy", "total")] == [1, 1, 1]
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"


def test_without_javascript_the_page_refreshes_while_it_moves(world) -> None:
    """The page refreshes itself as long as something is to come, and then stops."""
    signup_id = world.signed_up()
    page = f"/signup/{signup_id}"
    refresh = '<noscript><meta http-equiv="refresh"'
    assert refresh in world.visitor.get(page).text
    world.desk.happen(signup_id, "paid", "identity-sealed", *BUILT, "mail-accepted")
    assert refresh not in world.visitor.get(page).text


def test_a_server_that_is_built_again_is_waited_for(world) -> None:
    """Who pays after their server was removed sees the steps of the new one, and that
    it takes as long as the first did; the page goes on until it is up.
    """
    signup_id = world.signed_up()
    page = f"/signup/{signup_id}"
    world.desk.happen(signup_id, "paid", "identity-sealed", *BUILT, "mail-accepted")
    world.desk.happen(signup_id, "past-due", "suspended", "stopped")
    text = world.visitor.get(page).text
    assert "Your server was removed; your files are kept." in text
    assert "we build a new server with this furl" in text
    assert "Your own server is started" not in text
    world.desk.happen(signup_id, "recovered")
    text = world.visitor.get(page).text
    assert "Building your server again" in text
    assert "You can join again in about 3 minutes" in text
    assert "Start your own server" in text
    assert '<noscript><meta http-equiv="refresh"' in text
    world.desk.happen(signup_id, *BUILT[-5:-1])
    text = world.visitor.get(page).text
    assert "Your grid is ready" in text
    assert "You can join now." in text
    assert "Start your own server" not in text
    assert '<noscript><meta http-equiv="refresh"' not in text


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        (["paid", "delayed"], "depend on is slow"),
        (["paid", "troubled"], "We have been alerted"),
        (["paid", "refunding"], "You are being refunded"),
        (["paid", "refunding", "refunded"], "payment was refunded"),
        (["paid", "withdrawn"], "Cancelled as you asked."),
    ],
)
def test_trouble_is_told(world, kinds, says) -> None:
    """What does not go well is said in plain words, and a dead address is not shown."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "identity-sealed", *kinds)
    text = world.visitor.get(f"/signup/{signup_id}").text
    assert says in text
    assert ("pb://" in text) == (not {"refunding", "withdrawn"} & set(kinds))
