"""Who registers more often than allowed waits, and knows how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_site.rate import RateLimit, client_of


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "client"),
    [
        ("192.0.2.1", None, 0, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", 0, "192.0.2.1"),
        ("127.0.0.1", "203.0.113.9", 1, "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9", 1, "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, ,10.0.0.1", 2, "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9", 2, "127.0.0.1"),
        ("127.0.0.1", "junk", 1, "127.0.0.1"),
        ("127.0.0.1", None, 1, "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", None, 0, "2001:db8:1:2::"),
        ("2001:db8:1:3:ffff::", None, 0, "2001:db8:1:3::"),
        ("local", None, 0, "local"),
    ],
)
def test_whom_we_count(peer, forwarded, proxies, client) -> None:
    """A visitor cannot choose what is counted: only our own proxies are believed."""
    assert client_of(peer, forwarded, proxies) == client


@pytest.mark.parametrize(
    ("per_hour", "at_once", "wait"),
    [(1, 1, 3601), (3, 3, 1201), (60, 5, 61), (360, 6, 11), (1200, 20, 4)],
)
def test_how_many_may_come_at_once(per_hour, at_once, wait) -> None:
    """A minute's worth is allowed at the same moment, or five where that is less, yet
    never more than an hour's.
    """
    limit = RateLimit(per_hour, lambda: 7.0)
    answers = [limit.take("a") for _ in range(at_once + 2)]
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
    limit = RateLimit(per_hour, lambda: now)
    for pause in [0.0] * 4 + pauses:
        now += pause
        left = min(most, left + pause / every)
        wait = 0 if left >= 1 else int((1 - left) * every) + 1
        assert limit.take("a") == wait
        left -= 0 if wait else 1


def test_its_memory_is_bounded() -> None:
    """Ten thousand clients are remembered; the one not seen for longest is forgotten,
    and may come again.
    """
    limit = RateLimit(1, lambda: 0.0)
    assert limit.take("a") == 0
    for turn in range(2):
        for client in range(9_999):
            limit.take(f"{turn} {client}")
        assert limit.take("a") > 0
    for client in range(10_000):
        limit.take(f"2 {client}")
    assert limit.take("a") == 0
