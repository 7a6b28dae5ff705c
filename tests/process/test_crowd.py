"""Who may come and stay: the decisions, with no sockets."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.process.crowd import (
    KNOWN_FOR,
    Crowd,
    CrowdLimits,
    Refuse,
    Take,
    neighbourhood,
)
from lae_protocol.process.token_bucket import TokenBucket

LIMITS = CrowdLimits(
    most=6,
    per_address=4,
    strangers=4,
    strangers_per_address=3,
    burst=5,
    rate=1,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["comes", "comes", "admitted", "leaves"]),
        st.sampled_from(["a", "b", "c"]),
        st.floats(0, 3),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_limit_is_ever_passed(steps: list[tuple[str, str, float]]) -> None:
    """Whoever comes, is admitted and leaves, each limit holds, only strangers make
    room, and nothing is remembered of who is gone.
    """
    crowd: Crowd[int] = Crowd(LIMITS)
    here: dict[int, tuple[str, bool]] = {}
    known: set[str] = set()
    now, number = 0.0, 0

    def strangers(addresses: set[str]) -> int:
        return sum(stranger and at in addresses for at, stranger in here.values())

    for what, address, pause in steps:
        now += pause
        theirs = [g for g, (at, _) in here.items() if at == address]
        if what == "comes":
            verdict = crowd.judge(address, now)
            if isinstance(verdict, Refuse):
                continue
            if verdict.instead is not None:
                assert here.pop(verdict.instead)[1]
                crowd.left(verdict.instead)
            number += 1
            crowd.arrived(number, address)
            here[number] = (address, True)
        elif theirs and what == "admitted":
            crowd.admitted(theirs[0], now, "n")
            known.add(address)
            here[theirs[0]] = (address, False)
        elif theirs:
            crowd.left(theirs[0])
            del here[theirs[0]]
        assert len(crowd) == len(here) <= LIMITS.most
        assert crowd.strangers == strangers(set("abc"))
        assert strangers(set("abc") - known) <= LIMITS.strangers
        for at in "abc":
            assert at in known or strangers({at}) <= LIMITS.strangers_per_address
            assert sum(a == at for a, _ in here.values()) <= LIMITS.per_address
    for guest in here:
        crowd.left(guest)
    assert len(crowd) == crowd.strangers == 0
    assert not crowd._strangers
    assert not crowd._count


def _fill(crowd: Crowd[str], address: str, *guests: str) -> None:
    for guest in guests:
        crowd.arrived(guest, address)


def test_the_largest_crowd_makes_room() -> None:
    """When there are too many strangers in all, one of the address with the most of
    them goes: the one that waited longest.
    """
    crowd: Crowd[str] = Crowd(LIMITS)
    _fill(crowd, "a", "a1")
    _fill(crowd, "b", "b1", "b2", "b3")
    assert crowd.judge("c", 0) == Take("b1")
    assert crowd.judge("b", 0) == Take("b1")


def test_an_office_may_come_all_at_once() -> None:
    """Where somebody belongs, as many strangers may come as connections are allowed from
    one address; they take no stranger's place elsewhere.
    """
    crowd: Crowd[str] = Crowd(LIMITS)
    _fill(crowd, "a", "a1")
    crowd.admitted("a1", 0, "n")
    for name in ("a2", "a3", "a4"):
        assert crowd.judge("a", 0) == Take()
        _fill(crowd, "a", name)
    assert crowd.judge("a", 0) == Take("a2")
    assert crowd.judge("b", 0) == Take()


def test_the_admitted_are_not_driven_out() -> None:
    """With no stranger to let go, one too many is refused."""
    crowd: Crowd[str] = Crowd(LIMITS)
    for address in "ab":
        names = [address + str(n) for n in range(3)]
        _fill(crowd, address, *names)
        for name in names:
            crowd.admitted(name, 0, "n")
    assert isinstance(crowd.judge("c", 0), Refuse)
    crowd.left("a0")
    assert crowd.judge("c", 0) == Take()


def test_a_flood_from_one_address() -> None:
    """Many connections in a short time are refused, from an address from which nobody
    was admitted lately; and only there.
    """
    crowd: Crowd[str] = Crowd(LIMITS)
    verdicts = [crowd.judge("a", 0) for _ in range(7)]
    assert [isinstance(v, Refuse) for v in verdicts] == [False] * 5 + [True] * 2
    assert crowd.judge("b", 0) == Take()
    assert crowd.judge("a", 1) == Take()
    crowd.arrived("a1", "a")
    crowd.admitted("a1", 1, "n")
    assert all(crowd.judge("a", 1) == Take() for _ in range(20))
    later = 1 + KNOWN_FOR
    verdicts = [crowd.judge("a", later) for _ in range(7)]
    assert isinstance(verdicts[-1], Refuse)


def test_a_flood_from_everywhere() -> None:
    """Many addresses together are held to a rate, too, and where somebody belongs that
    is not felt.
    """
    limits = evolve(LIMITS, burst_of_all=10, rate_of_all=2)
    crowd: Crowd[str] = Crowd(limits)
    _fill(crowd, "a", "a1")
    crowd.admitted("a1", 0, "n")
    verdicts = [crowd.judge(f"from {n}", 0) for n in range(12)]
    assert [isinstance(v, Refuse) for v in verdicts] == [False] * 10 + [True] * 2
    assert crowd.judge("a", 0) == Take()
    assert crowd.judge("another", 1) == Take()


def test_one_name_keeps_a_few_connections() -> None:
    """Who comes again and again by one name ends their own oldest connection, and nobody
    else's; a connection that is admitted twice counts once.
    """
    crowd: Crowd[str] = Crowd(evolve(LIMITS, most=100, per_name=2))
    _fill(crowd, "a", "a1", "a2", "a3", "b1")
    assert crowd.admitted("b1", 0, "other") is None
    assert [crowd.admitted(g, 0, "host") for g in ("a1", "a1", "a2")] == [None] * 3
    assert crowd.admitted("a3", 0, "host") == "a1"
    crowd.left("a1")
    _fill(crowd, "b", "a4")
    assert crowd.admitted("a4", 0, "host") == "a2"
    for guest in ("a2", "a3", "a4", "b1"):
        crowd.left(guest)
    assert not crowd._named
    assert not crowd._name_of


def test_neighbourhoods() -> None:
    """An IPv6 network of 64 bits counts as one address, and IPv4 in it as IPv4."""
    assert neighbourhood("192.0.2.7") == "192.0.2.7"
    assert neighbourhood("::ffff:192.0.2.7") == "192.0.2.7"
    assert neighbourhood("2001:db8:1:2:3::1") == neighbourhood("2001:db8:1:2::9%eth0")
    assert neighbourhood("2001:db8:1:2::1") != neighbourhood("2001:db8:1:3::1")
    assert neighbourhood("local") == "local"


def test_who_asks_for_what_nobody_has_is_turned_away() -> None:
    """An address whose strangers ask for what nobody has thirty times at once is turned
    away before the handshake, for ten seconds at most; another one is not, nor is one
    from which somebody was admitted.
    """
    wide = CrowdLimits(burst=1000, burst_of_all=1000)
    crowd: Crowd[int] = Crowd(wide)

    def count_taken(address: str, now: float) -> int:
        taken = 0
        for number in range(100):
            if isinstance(crowd.judge(address, now), Refuse):
                continue
            taken += 1
            crowd.arrived(number, address)
            crowd.misnamed(number, now)
            crowd.left(number)
        return taken

    assert count_taken("a", 0.0) == 31
    assert isinstance(crowd.judge("b", 0.0), Take)
    assert count_taken("a", 1.0) == 1
    crowd.arrived(1, "a")
    for _ in range(1000):
        crowd.misnamed(1, 1.0)
    assert isinstance(crowd.judge("a", 10.9), Refuse)
    assert isinstance(crowd.judge("a", 11.0), Take)
    crowd.admitted(1, 11.0, "h-one")
    assert count_taken("a", 11.0) == 100


AMOUNTS = st.lists(st.tuples(st.floats(0, 50), st.floats(0, 10)), max_size=40)


@given(st.floats(0.5, 20), st.floats(1, 100), AMOUNTS)
def test_a_bucket_gives_no_more_than_its_rate(
    rate: float, burst: float, takes: list[tuple[float, float]]
) -> None:
    """In any time no more is taken than the burst and what was gained meanwhile."""
    bucket = TokenBucket.full(rate, burst, 0.0)
    now = taken = 0.0
    for amount, pause in takes:
        now += pause
        if bucket.take(amount, now):
            taken += amount
        assert taken <= burst + rate * now + 1e-6


@given(st.floats(0.5, 20), st.floats(1, 100), AMOUNTS)
def test_a_debt_is_paid_in_time(
    rate: float, burst: float, takes: list[tuple[float, float]]
) -> None:
    """Who waits as long as told has taken no more than the rate allows, and not less
    long than that; where a debt has a longest time it is never larger.
    """
    bucket = TokenBucket.full(rate, burst, 0.0)
    limited = TokenBucket.full(rate, burst, 0.0)
    now = taken = 0.0
    for amount, pause in takes:
        now += pause
        wait = bucket.owe(amount, now)
        limited.owe(amount, now, 3.0)
        assert abs(limited.held - max(bucket.held, limited.held)) < 1e-6
        assert limited.held >= -3.0 * rate - 1e-6
        taken += amount
        assert taken <= burst + rate * (now + wait) + 1e-6
        if wait:
            assert bucket.held < 0
            assert abs(bucket.held + rate * wait) < 1e-6
