"""Live progress: every event once, in order, resumable, at once."""

from __future__ import annotations

import json
import re
from http.client import RemoteDisconnected

import pytest

from lae_site.stream import HEARTBEAT, LIFETIME
from tests.twins.front_desk import BUILT


def numbers(text: str) -> list[int]:
    """The ids of the events in a stream."""
    return [int(n) for n in re.findall(r"^id: (\d+)$", text, re.MULTILINE)]


def view(text: str) -> dict:
    """The last view of a stream."""
    return json.loads(re.findall(r"^event: view\ndata: (.*)$", text, re.MULTILINE)[-1])


def test_what_happens_is_told_at_once(world, keys) -> None:
    """An event is written in the moment in which it happens, with the furl."""
    signup_id = world.signed_up()
    stream = world.visitor.get(f"/signup/{signup_id}/events")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert numbers(stream.text) == [1, 2]
    assert view(stream.text)["introducer_furl"] is None
    world.desk.happen(signup_id, "paid", "identity-sealed")
    text = stream.more()
    assert numbers(text) == [3, 4]
    assert view(text)["introducer_furl"] == keys.furl
    assert keys.furl in view(text)["regions"]["grid"]


def test_a_stream_goes_on_where_it_broke(world) -> None:
    """Last-Event-ID wins over the page's own number; nothing is told twice or lost."""
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid", "identity-sealed")
    path = f"/signup/{signup_id}/events"
    assert numbers(world.visitor.get(path + "?since=3").text) == [4]
    resumed = world.visitor.get(path + "?since=0", **{"Last-Event-ID": "2"})
    assert numbers(resumed.text) == [3, 4]
    assert numbers(world.visitor.get(path + "?since=junk").text) == [1, 2, 3, 4]
    # All steps are in the picture, whatever the browser had been told before.
    assert "order is recorded" in view(resumed.text)["regions"]["progress"]


def test_it_ends_when_all_is_over(world) -> None:
    """The last event is followed by a word that no more will come."""
    signup_id = world.signed_up()
    stream = world.visitor.get(f"/signup/{signup_id}/events")
    world.desk.happen(signup_id, "paid", "identity-sealed", *BUILT, "mail-accepted")
    assert "event: over" in stream.more()
    assert not world.parts.streams


def test_without_the_cookie_the_stream_has_no_furl(world) -> None:
    """A stranger's stream has the progress alone."""
    signup_id = world.signed_up()
    stream = world.stranger().get(f"/signup/{signup_id}/events")
    world.desk.happen(signup_id, "paid", "identity-sealed")
    text = stream.text + stream.more()
    assert numbers(text) == [1, 2, 3, 4]
    assert "pb://" not in text
    assert "ann@" not in text


def test_silence_has_a_heartbeat(world) -> None:
    """While nothing happens a comment is sent now and then."""
    signup_id = world.signed_up()
    stream = world.visitor.get(f"/signup/{signup_id}/events")
    world.clock.advance(HEARTBEAT)
    assert stream.more() == ": still here\n\n"


def test_a_browser_that_leaves_logs_no_error(world) -> None:
    """A closed stream is forgotten; what happens later hurts nobody."""
    signup_id = world.signed_up()
    stream = world.visitor.get(f"/signup/{signup_id}/events")
    assert len(world.parts.streams) == 1
    stream.leave()
    assert not world.parts.streams
    world.desk.happen(signup_id, "paid")
    assert not world.clock.getDelayedCalls() or all(
        "heartbeat" not in str(c) for c in world.clock.getDelayedCalls()
    )


def test_a_stream_outlives_the_daemons_absence(world) -> None:
    """With the daemon away the browser is told, and goes on when it is back."""
    signup_id = world.signed_up()
    world.desk.down = True
    stream = world.visitor.get(f"/signup/{signup_id}/events")
    assert stream.status == 200
    assert "event: away" in stream.text
    world.clock.advance(2)
    assert stream.more() == ": away\n\n"
    world.desk.down = False
    world.desk.happen(signup_id, "paid")
    world.clock.advance(2)
    text = stream.more()
    assert numbers(text) == [1, 2, 3]
    assert view(text)["state"] == "paid"


def test_no_stream_lasts_for_ever(world) -> None:
    """After a time the stream ends, and the browser opens another."""
    signup_id = world.signed_up()
    world.visitor.get(f"/signup/{signup_id}/events")
    world.clock.pump([HEARTBEAT] * int(LIFETIME / HEARTBEAT + 1))
    assert not world.parts.streams


def test_streams_are_bounded(worlds) -> None:
    """One stream too many is refused with a time to come back."""
    world = worlds(streams_at_most=1)
    signup_id = world.signed_up()
    path = f"/signup/{signup_id}/events"
    world.visitor.get(path)
    answer = world.visitor.get(path)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"


def test_streams_of_nothing_are_not_found(world) -> None:
    """An unknown signup has no stream; HEAD does not open one."""
    assert world.visitor.get(f"/signup/su{'a' * 20}/events").status == 404
    signup_id = world.signed_up()
    assert world.visitor.ask("HEAD", f"/signup/{signup_id}/events").status == 200
    assert not world.parts.streams


def test_one_network_cannot_take_all_streams(worlds) -> None:
    """Who would open every stream that there is gets a share of them, and hears late of
    further refusals; the owner of a signup, who comes from elsewhere, still watches it.
    """
    world = worlds(proxies=1, streams_at_most=500, streams_per_network=20)
    path = f"/signup/{world.signed_up()}/events"
    attacker = {"X-Forwarded-For": "203.0.113.66"}
    statuses = [world.stranger().get(path, **attacker).status for _ in range(40)]
    assert statuses == [200] * 20 + [503] * 20
    with pytest.raises(RemoteDisconnected):
        world.stranger().get(path, **attacker)
    owner = world.visitor.get(path, **{"X-Forwarded-For": "198.51.100.1"})
    assert owner.status == 200


def test_visitors_behind_a_dual_stack_proxy_are_counted_apart(worlds) -> None:
    """An IPv4 address that is written as an IPv6 one is still the IPv4 address."""
    world = worlds(proxies=1, streams_per_network=1)
    path = f"/signup/{world.signed_up()}/events"
    told = [
        world.stranger()
        .get(path, **{"X-Forwarded-For": f"::ffff:203.0.113.{n}"})
        .status
        for n in (1, 2, 1)
    ]
    assert told == [200, 200, 503]
