"""Hosts, their identities and their furls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from lae_flapp.journal import hosts, identities, images
from lae_flapp.journal.errors import (
    AlreadySealed,
    ForbiddenMove,
    HostStillLive,
    StateChanged,
    Unknown,
)
from lae_flapp.journal.hosts import MOVES
from lae_protocol.ids import Generation
from lae_protocol.secret import Secret

ONE, TWO = Generation(1), Generation(2)
THEN = datetime(2027, 1, 1, tzinfo=UTC)


def now(desk) -> datetime:
    return datetime.fromtimestamp(desk.clock.seconds(), UTC)


def test_one_host_lives_at_a_time(desk) -> None:
    """The next generation begins when the one before is gone, not earlier."""
    a = desk.register("a").signup_id
    assert desk.write(hosts.begin, a).generation == 1
    with pytest.raises(HostStillLive, match="1"):
        desk.write(hosts.begin, a)
    desk.write(hosts.move, a, ONE, {"wanted"}, "gone")
    assert desk.read(hosts.live, a) is None
    second = desk.write(hosts.begin, a)
    assert second.generation == 2
    assert desk.read(hosts.all_live) == (second,)


def test_the_images_of_hosts_that_are_not_gone_are_in_use(desk) -> None:
    """Two hosts of one image, one of another, one of none, and one that is gone."""
    launched = ("r/node@sha256:a", "r/node@sha256:a", "r/node@sha256:b", None, "gone")
    for number, image in enumerate(launched):
        signup = desk.register(f"s{number}").signup_id
        desk.write(hosts.begin, signup)
        desk.write(images.note, signup, ONE, image)
        if image == "gone":
            desk.write(hosts.move, signup, ONE, {"wanted"}, "gone")
    assert desk.read(images.in_use) == set(launched[1:3])


@pytest.mark.parametrize(("frm", "to"), list(product(sorted(MOVES), sorted(MOVES))))
def test_every_pair_of_host_states(desk, frm, to) -> None:
    """A host goes exactly the ways of the table."""
    a = desk.register("a").signup_id
    desk.write(hosts.begin, a)
    desk.write(lambda tx: tx.run(hosts.HOSTS.update().values(state=frm)))
    if to in MOVES[frm]:
        assert desk.write(hosts.move, a, ONE, {frm}, to).state == to
    else:
        with pytest.raises(ForbiddenMove):
            desk.write(hosts.move, a, ONE, {frm}, to)
        assert desk.read(hosts.get, a, ONE).state == frm


def test_a_launch_is_recorded_once(desk) -> None:
    """The instance of a generation is named once; another one is refused."""
    a = desk.register("a").signup_id
    desk.write(hosts.begin, a)
    made = desk.write(hosts.launched, a, ONE, "i-1", THEN)
    assert (made.state, made.instance_id, made.launch_time) == ("launched", "i-1", THEN)
    desk.write(hosts.move, a, ONE, {"launched"}, "claimed")
    assert desk.write(hosts.launched, a, ONE, "i-1", THEN).state == "claimed"
    with pytest.raises(StateChanged):
        desk.write(hosts.launched, a, ONE, "i-2", THEN)
    with pytest.raises(Unknown):
        desk.write(hosts.launched, a, TWO, "i-2", THEN)


def test_what_a_host_says_is_kept(desk) -> None:
    """The last report and the address are in the row."""
    a = desk.register("a").signup_id
    desk.write(hosts.begin, a)
    desk.write(hosts.set_address, a, ONE, "192.0.2.1")
    desk.write(hosts.reported, a, ONE, "{}")
    row = desk.read(hosts.find, a, ONE)
    assert (row.address, row.report, row.reported_at) == ("192.0.2.1", "{}", now(desk))


def wanted(desk, swissnum="s" * 32, minutes=30):
    a = desk.register("a").signup_id
    desk.write(hosts.begin, a)
    issue(desk, a, swissnum, minutes)
    return a


def issue(desk, a, swissnum="s" * 32, minutes=30):
    until = now(desk) + timedelta(minutes=minutes)
    desk.write(hosts.issue_bootstrap, a, ONE, Secret(swissnum), until)


def test_the_first_claim_binds(desk) -> None:
    """The first key owns the furl; it may ask again, others may not."""
    a = wanted(desk)

    def claim(key):
        return desk.write(hosts.claim, a, ONE, key)

    assert claim(b"k") == "bound"
    assert claim(b"k") == "repeated"
    assert claim(b"other") == "another-key"
    assert claim(b"k") == "repeated"
    assert desk.read(hosts.get, a, ONE).public_key == b"k"


def test_a_bootstrap_furl_dies_in_time(desk) -> None:
    """From its end on nobody claims, not even who claimed before."""
    a = wanted(desk, minutes=30)
    assert desk.write(hosts.claim, a, ONE, b"k") == "bound"
    desk.clock.advance(30 * 60 - 1)
    assert desk.write(hosts.claim, a, ONE, b"k") == "repeated"
    desk.clock.advance(1)
    assert desk.write(hosts.claim, a, ONE, b"k") == "dead"


@pytest.mark.parametrize("state", sorted(MOVES))
def test_furls_die_with_what_they_are_for(desk, state) -> None:
    """A bootstrap furl claims until the host is ready, quarantined or retired; a host's
    own furl reaches its row until it is retired.
    """
    a = wanted(desk)
    desk.write(hosts.issue_furl, a, ONE, Secret("one"), b"sealed")
    desk.write(lambda tx: tx.run(hosts.HOSTS.update().values(state=state)))
    claims = state in {"wanted", "launched", "claimed"}
    assert desk.write(hosts.claim, a, ONE, b"k") == ("bound" if claims else "dead")
    reached = desk.read(hosts.by_furl, Secret("one"))
    assert (reached is None) == (state in {"retiring", "gone"})
    assert desk.read(hosts.by_bootstrap, Secret("s" * 32)).state == state


def test_a_host_without_a_bootstrap_furl_is_not_claimed(desk) -> None:
    """Nobody claims a host that has no such furl, or that does not exist."""
    a = desk.register("a").signup_id
    desk.write(hosts.begin, a)
    assert desk.write(hosts.claim, a, ONE, b"k") == "dead"
    assert desk.write(hosts.claim, a, TWO, b"k") == "dead"


def test_a_launch_has_one_bootstrap_furl(desk) -> None:
    """Issuing the same furl again is nothing new; another one is refused."""
    a = wanted(desk)
    issue(desk, a)
    with pytest.raises(AlreadySealed):
        issue(desk, a, swissnum="other")
    found = desk.read(hosts.by_bootstrap, Secret("s" * 32))
    assert (found.signup_id, found.generation) == (a, ONE)
    assert desk.read(hosts.by_bootstrap, Secret("t" * 32)) is None


def test_a_host_furl_is_the_first_one(desk) -> None:
    """A host that claims again gets the furl it had."""
    a = wanted(desk)
    first = desk.write(hosts.issue_furl, a, ONE, Secret("one"), b"sealed one")
    again = desk.write(hosts.issue_furl, a, ONE, Secret("two"), b"sealed two")
    assert again == first
    assert desk.read(hosts.by_furl, Secret("one")) == first
    assert desk.read(hosts.by_furl, Secret("two")) is None
    for secret in ("sealed one", first.furl_hash, first.bootstrap_hash):
        assert secret not in repr(first)


def test_no_swissnum_is_in_the_file(desk) -> None:
    """The journal's files hold hashes of swissnums alone."""
    a = wanted(desk, swissnum="bootstrap-swissnum")
    desk.write(hosts.issue_furl, a, ONE, Secret("host-swissnum"), b"sealed")
    desk.close()
    text = b"".join(one.read_bytes() for one in desk.folder.iterdir())
    assert b"-swissnum" not in text


def seal(desk, a, sealed=b"sealed", generation=ONE):
    names = {"key_id": "key", "vault_key": "identities/x/1.sealed"}
    return desk.write(identities.put, a, generation, sealed, **names)


def test_an_identity_never_changes(desk) -> None:
    """A generation's identity is written once; the same bytes again are success."""
    a = desk.register("a").signup_id
    made = seal(desk, a)
    assert seal(desk, a) == made
    with pytest.raises(AlreadySealed):
        seal(desk, a, b"other")
    assert desk.read(identities.latest, a) == made


def test_an_identity_is_vaulted_once(desk) -> None:
    """When an identity left this machine is recorded once, and not before."""
    a = desk.register("a").signup_id
    with pytest.raises(Unknown):
        desk.write(identities.vaulted, a, ONE)
    assert seal(desk, a).vaulted_at is None
    first = desk.write(identities.vaulted, a, ONE).vaulted_at
    desk.clock.advance(9)
    assert desk.write(identities.vaulted, a, ONE).vaulted_at == first
    newer = seal(desk, a, b"newer", TWO)
    assert desk.read(identities.latest, a) == newer
