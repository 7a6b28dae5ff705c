"""Who registers more often than allowed waits, and knows how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.process.token_bucket import Paces
from lae_site.neighbours import Places, find_client
from lae_site.parts import rate_of_registrations


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "client"),
    [
        ("192.0.2.1", "", 0, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", 0, "192.0.2.1"),
        ("127.0.0.1", "203.0.113.9", 1, "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9", 1, "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, ,10.0.0.1", 2, "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9", 2, "127.0.0.1"),
        ("127.0.0.1", "junk", 1, "127.0.0.1"),
        ("127.0.0.1", "", 1, "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::"),
        ("2001:db8:1:3:ffff::", "", 0, "2001:db8:1:3::"),
        ("::ffff:192.0.2.1", "", 0, "192.0.2.1"),
        ("::ffff:127.0.0.1", "::ffff:203.0.113.9", 1, "203.0.113.9"),
        ("local", "", 0, "local"),
    ],
)
def test_whom_we_count(peer, forwarded, proxies, client) -> None:
    """A visitor cannot choose what is counted: only our own proxies are believed."""
    assert find_client(peer, forwarded, proxies) == client


@pytest.mark.parametrize(
    ("per_hour", "at_once", "wait"),
    [(1, 1, 3601), (3, 3, 1201), (60, 5, 61), (360, 6, 11), (1200, 20, 4)],
)
def test_how_many_may_come_at_once(per_hour, at_once, wait) -> None:
    """A minute's worth is allowed at the same moment, or five where that is less, yet
    never more than an hour's.
    """
    limit = Paces(rate_of_registrations(per_hour))
    answers = [limit.of("a", 7.0).count(7.0) for _ in range(at_once + 2)]
    assert answers == [0] * at_once + [wait] * 2


@given(
    st.sampled_from([225, 900]),
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.5, 4.0, 14.5, 16.0, 70.0, 4000.0])),
)
def test_it_fills_up_again_to_what_may_come_at_once(per_hour, pauses) -> None:
    """An hour's worth comes back in an hour, moment by moment, and what is not used is
    not saved up.
    """
    now, every = 0.0, 3600 / per_hour
    most = left = 15.0 if per_hour == 900 else 5.0
    limit = Paces(rate_of_registrations(per_hour))
    for pause in [0.0] * 4 + pauses:
        now += pause
        left = min(most, left + pause / every)
        wait = 0 if left >= 1 else int((1 - left) * every) + 1
        assert limit.of("a", now).count(now) == wait
        left -= 0 if wait else 1


def test_its_memory_is_bounded() -> None:
    """Ten thousand clients are remembered; the one not seen for longest is forgotten,
    and may come again.
    """
    limit = Paces(rate_of_registrations(1))
    assert limit.of("a", 0.0).count(0.0) == 0
    for turn in range(2):
        for client in range(9_999):
            limit.of(f"{turn} {client}", 0.0).count(0.0)
        assert limit.of("a", 0.0).count(0.0) > 0
    for client in range(10_000):
        limit.of(f"2 {client}", 0.0).count(0.0)
    assert limit.of("a", 0.0).count(0.0) == 0


def test_places_are_bounded_in_all_and_for_each_neighbourhood() -> None:
    """One neighbourhood has its own share of the places; who leaves makes room, and
    leaves nothing behind.
    """
    places = Places(most=3, each=2)
    for holder in "ab":
        assert places.has_room("one")
        places.take(holder, "one")
    assert not places.has_room("one")
    places.take("c", "two")
    assert not places.has_room("two")
    assert list(places) == ["a", "b", "c"]
    places.leave("a")
    places.leave("a")
    assert places.has_room("one")
    assert places.has_room("two")
    places.leave("b")
    places.leave("c")
    assert places == Places(most=3, each=2)
