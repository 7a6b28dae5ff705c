"""Another browser takes the owner's place, by a link from a mail."""

from __future__ import annotations

import html

import pytest

from lae_protocol.messages import OWNED
from tests.twins.front_desk import BUILT

SERVED = ("paid", "identity-sealed", *BUILT, "mail-accepted")


@pytest.fixture
def served(world):
    """The id of a signup that is served, ordered by the visitor's browser."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, *SERVED)
    return signup_id


def mailed(world, signup_id) -> str:
    """What the mailed link has behind its ``#``."""
    return world.desk.link(signup_id, "log-in").reveal()


def open_link(world, signup_id, browser):
    """Open the page of the link, as a browser does; its form's fields."""
    page = browser.get(f"/signup/{signup_id}/log-in")
    assert "Use this browser?" in page.text
    return {"link": mailed(world, signup_id)}


def test_a_new_browser_by_a_mailed_link(world, keys, served) -> None:
    """The status page leads to the button that has the link mailed; the link's page only
    asks; its button gives this browser the furl, and takes it from the other one.
    """
    status, other = f"/signup/{served}", world.stranger()
    text = other.get(status).text
    assert keys.furl not in text
    assert f'href="{status}/browser"' in text
    asks = other.get(f"{status}/browser")
    assert "Mail me the link" in asks.text
    assert world.desk.log_ins_mailed == []
    told = other.post(f"{status}/browser", {})
    assert told.headers["location"] == f"{status}?notice=log-in-mailed"
    assert world.desk.log_ins_mailed == [served]
    assert "We mailed a link" in other.get(told.headers["location"]).text
    fields = open_link(world, served, other)
    assert keys.furl in world.visitor.get(status).text
    done = other.post(f"{status}/log-in", fields)
    assert done.headers["location"] == f"{status}?notice=logged-in"
    (cookie,) = done.cookies
    assert cookie.startswith(f"__Host-s4-{served}=")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert part.lower() in cookie.lower()
    assert keys.furl in other.get(status).text
    assert keys.furl not in world.visitor.get(status).text
    assert world.visitor.get(f"{status}/grid.json").status == 403
    token = other.get(status).field("token")
    assert other.post(f"{status}/resend", {"token": token}).status == 303


def test_the_old_browser_can_do_nothing_more(world, served) -> None:
    """The forms of a page that was open in the old browser are refused."""
    old = {"token": world.visitor.get(f"/signup/{served}").field("token")}
    other = world.stranger()
    fields = open_link(world, served, other)
    other.post(f"/signup/{served}/log-in", fields)
    for action in ("resend", "cancel", "pay", "address"):
        fields = old | {"email": "eve@example.org"}
        assert world.visitor.post(f"/signup/{served}/{action}", fields).status == 404
    assert world.desk.email(served) == "ann@example.org"
    assert world.desk.ends_at(served) is None


def test_an_open_page_hears_of_it(world, keys) -> None:
    """The old browser's page, live while the grid is built, shows the furl no longer."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "identity-sealed")
    stream = world.visitor.get(f"/signup/{signup_id}/events")
    assert keys.furl in html.unescape(stream.text)
    other = world.stranger()
    other.post(f"/signup/{signup_id}/log-in", open_link(world, signup_id, other))
    world.clock.advance(1)
    said = stream.more()
    assert "logged in by a mailed link" in said
    assert keys.furl not in html.unescape(said)


def test_a_form_that_is_sent_twice(world, keys, served) -> None:
    """A second press, or a repeat after a lost answer, is the same log-in; the link does
    nothing in any other browser.
    """
    path, other = f"/signup/{served}/log-in", world.stranger()
    fields = open_link(world, served, other)
    first, second = other.post(path, fields), other.post(path, fields)
    assert first.cookies == second.cookies
    assert world.desk.kinds(served).count("logged-in") == 1
    thief = world.stranger()
    thief.get(path)
    used = thief.post(path, fields)
    assert used.status == 403
    assert "was used, or is too old" in used.text
    assert f'href="/signup/{served}/browser"' in used.text
    assert not any(served in cookie for cookie in used.cookies)
    assert keys.furl in other.get(f"/signup/{served}").text


def test_what_logs_nobody_in(world, keys, served) -> None:
    """Without the link, with another purpose's, or from another site's form (which is
    sent without our cookie), no browser becomes the owner's.
    """
    path, other = f"/signup/{served}/log-in", world.stranger()
    good = {"link": mailed(world, served)}
    from_elsewhere = other.post(path, good)
    assert from_elsewhere.status == 403
    assert "allow cookies" in from_elsewhere.text
    other.get(path)
    cancel = {"link": world.desk.link(served, "cancel").reveal()}
    for fields in ({}, {"link": ""}, cancel):
        answer = other.post(path, fields)
        assert answer.status == 403
        assert not any(served in cookie for cookie in answer.cookies)
    token = {"token": world.visitor.get(f"/signup/{served}").field("token")}
    assert world.visitor.post(path, token).status == 403
    assert "logged-in" not in world.desk.kinds(served)
    assert keys.furl in world.visitor.get(f"/signup/{served}").text


def test_the_secret_is_in_the_cookie_alone(world, served) -> None:
    """Neither the page nor the redirect has it; it depends on the browser and the link."""
    path = f"/signup/{served}/log-in"
    secrets, one, another = set(), world.stranger(), world.stranger()
    for other in (one, another, another):
        page = other.get(path)
        done = other.post(path, {"link": mailed(world, served)})
        secret = other.jar[f"__Host-s4-{served}"]
        assert secret not in page.text + done.text + done.headers["location"]
        assert world.desk.registered_as(served).owner_secret.reveal() == secret
        secrets.add(secret)
    assert len(secrets) == 3


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ((), "paying"),
        (("checkout-expired",), "expired"),
        (("paid", "refunding", "refunded"), "refunded"),
        (("paid", "ready", "ending", "ended", "deleting", "deleted"), "deleted"),
    ],
)
def test_where_there_is_nothing_to_see(world, kinds, state) -> None:
    """Nobody can have a stranger mailed about an order that nobody paid, and the page
    offers nothing there.
    """
    signup_id = world.signed_up()
    world.desk.happen(signup_id, *kinds)
    assert world.desk.state(signup_id) == state
    assert state not in OWNED
    other = world.stranger()
    assert "/browser" not in other.get(f"/signup/{signup_id}").text
    page = other.get(f"/signup/{signup_id}/browser")
    assert "There is nothing of this order to see" in page.text
    assert other.post(f"/signup/{signup_id}/browser", {}).status == 409
    assert world.desk.log_ins_mailed == []


def test_a_corrected_address_comes_first(world, served) -> None:
    """While the address waits to be confirmed the page says so, and offers no link."""
    page = f"/signup/{served}/address"
    token = world.visitor.get(page).field("token")
    world.visitor.post(page, {"token": token, "email": "bob@example.org"})
    text = world.stranger().get(f"/signup/{served}/browser").text
    assert "is not confirmed yet" in text
    assert "Mail me the link" not in text
    assert "bob@" not in text


def test_unknown_signups(world) -> None:
    """Pages and forms of an id that nobody has are not found."""
    for path in ("browser", "log-in"):
        url = f"/signup/su{'a' * 20}/{path}"
        assert world.stranger().get(url).status == 404
    assert world.stranger().post(f"/signup/su{'a' * 20}/browser", {}).status == 404
