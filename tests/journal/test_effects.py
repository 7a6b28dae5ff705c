"""Effects: written before they are asked, repeated byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lae_flapp.journal import effects
from lae_flapp.journal.effects import Effect, EffectKey, Ticket
from lae_flapp.journal.errors import EffectOpen, StateChanged, Unknown
from lae_protocol.ids import Generation


def key(desk, purpose="launch", generation=1):
    return EffectKey(desk.id("a"), "host", purpose, Generation(generation))


def begun(desk, which, request=b"whole", **kw):
    ticket = desk.read(effects.upcoming, which)
    return desk.write(effects.begin, ticket, request, **kw)


def test_an_unfinished_effect_is_found_as_it_was_written(desk) -> None:
    """After a restart the unfinished effect comes back with its bytes and token."""
    desk.register("a")
    made = begun(desk, key(desk), b"\x00 the whole request \xff", sealed=True)
    desk.close()
    desk.__attrs_post_init__()
    found = desk.read(effects.upcoming, key(desk))
    assert found == made
    assert found.request == b"\x00 the whole request \xff"
    assert found.sealed
    assert desk.read(effects.unfinished) == (made,)


def test_attempts_of_one_purpose_have_tokens_of_their_own(desk) -> None:
    """After a failure, or when it is done, the next ticket has another token, which
    names the signup and fits EC2.
    """
    desk.register("a")
    long = key(desk, purpose="x" * 26, generation=9_999_999)
    tokens = []
    for settle in (effects.fail, effects.finish, effects.finish):
        made = begun(desk, long)
        desk.write(settle, made.number, "so")
        tokens.append(made.token)
    assert len(set(tokens)) == 3
    assert all(len(one) <= 64 and one.isascii() for one in tokens)
    assert all(one.startswith(desk.id("a")) for one in tokens)
    assert desk.read(effects.last, long).attempt == 3
    assert [one.token for one in desk.read(effects.of, desk.id("a"))] == tokens


def test_no_second_effect_is_begun_beside_an_unfinished_one(desk) -> None:
    """A ticket that was overtaken begins nothing."""
    desk.register("a")
    ticket = desk.read(effects.upcoming, key(desk))
    desk.write(effects.begin, ticket, b"one")
    with pytest.raises(EffectOpen):
        desk.write(effects.begin, ticket, b"two")
    assert [one.request for one in desk.read(effects.unfinished)] == [b"one"]


def test_an_outcome_is_final(desk) -> None:
    """An outcome may be said twice, and never changed."""
    desk.register("a")
    number = begun(desk, key(desk)).number
    desk.write(effects.tried, number, "throttled")
    assert desk.read(effects.get, number).tries == 1
    desk.write(effects.finish, number, "i-1")
    desk.write(effects.finish, number, "i-1")
    for change in (
        lambda: desk.write(effects.finish, number, "i-2"),
        lambda: desk.write(effects.fail, number, "i-1"),
        lambda: desk.write(effects.tried, number, "late"),
    ):
        with pytest.raises(StateChanged):
            change()
    assert desk.read(effects.get, number).outcome == "i-1"


def test_generations_and_purposes_are_apart(desk) -> None:
    """Another generation or purpose is another effect, from attempt one."""
    desk.register("a")
    begun(desk, key(desk))
    for other in (key(desk, generation=2), key(desk, purpose="tag")):
        assert desk.read(effects.last, other) is None
        assert desk.read(effects.upcoming, other).attempt == 1


@pytest.mark.parametrize("purpose", ["", "Launch", "a b", "x" * 27, "a\n"])
def test_a_purpose_is_a_short_word(desk, purpose) -> None:
    """A purpose that would break a token is refused before anything is written."""
    with pytest.raises(ValueError, match="purpose"):
        key(desk, purpose=purpose)


def test_an_unknown_effect_is_said_to_be_unknown(desk) -> None:
    """Settling what was never begun is an error, not silence."""
    with pytest.raises(Unknown):
        desk.write(effects.finish, 99, "x")


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.sampled_from(["begin", "finish", "fail", "tried", "crash"]), max_size=15
    )
)
def test_one_effect_of_a_key_is_open_at_most(make_desk, story) -> None:
    """Through any story with restarts, at most one attempt is open, attempts count
    up without a gap, and an open one always comes back with its own request.
    """
    desk = make_desk()
    desk.register("a")
    which, attempts = key(desk), 0
    for kind in story:
        now = desk.read(effects.upcoming, which)
        if kind == "crash":
            desk.close()
            desk.__attrs_post_init__()
        elif isinstance(now, Ticket):
            assert now.attempt == attempts + 1
            if kind == "begin":
                attempts += 1
                desk.write(effects.begin, now, b"request %d" % attempts)
        else:
            assert isinstance(now, Effect)
            assert now.request == b"request %d" % attempts
            if kind != "begin":
                desk.write(getattr(effects, kind), now.number, "so")
        assert len(desk.read(effects.unfinished)) <= 1
    rows = desk.read(effects.of, desk.id("a"))
    assert [one.attempt for one in rows] == list(range(1, attempts + 1))
