"""Furls: plain ones pass, anything else is refused without being repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.furl import (
    FACETS,
    LONGEST,
    PLAIN,
    Furl,
    NotAFurl,
    WrongFurl,
    facet_kind,
    parse_facet_furl,
)

TUB, NAME = "a2" * 16, "swissnum2345"
GOOD = f"pb://{TUB}@g2.grids.example:3456/{NAME}"

BASE32 = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=1, max_size=60)
HINT = st.builds(
    "{}:{}".format,
    st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9.\-]{0,40}", fullmatch=True),
    st.integers(1, 65535),
)


@given(
    st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=32, max_size=32),
    st.lists(HINT, min_size=1, max_size=3),
    BASE32,
)
def test_round_trip(tub, hints, name) -> None:
    """A furl that was read is written as it was, and never shown."""
    text = f"pb://{tub}@{','.join(hints)}/{name}"
    furl = Furl.parse(text)
    assert furl.reveal() == text
    assert (furl.tub_id, furl.hints, furl.swissnum) == (tub, tuple(hints), name)
    assert f"/{name}" not in repr(furl) + str(furl) + f"{furl}"


def test_around_it() -> None:
    """White space around a furl is of the file it stands in, not of the furl."""
    assert Furl.parse(f"  {GOOD}\n").reveal() == GOOD
    assert PLAIN.fullmatch(GOOD + "\n") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pb://",
        GOOD.replace("pb:", "http:"),
        GOOD.replace("@", ""),
        GOOD.replace(TUB, TUB[:-1]),
        GOOD.replace(":3456", ""),
        GOOD.replace("3456", "\uff13\uff14\uff15\uff16"),
        GOOD.replace(NAME, ""),
        GOOD.replace(NAME, NAME.upper()),
        GOOD.replace("/" + NAME, f"/\n{NAME}"),
        GOOD + "\nextra",
        GOOD + " " + GOOD,
        GOOD + "x" * LONGEST,
    ],
)
def test_no_furl(text) -> None:
    """What is no plain furl is refused, and the error tells nothing of it."""
    with pytest.raises(NotAFurl) as e:
        Furl.parse(text)
    assert NAME not in str(e.value) + repr(e.value)


@given(st.text(max_size=80))
def test_any_text(text) -> None:
    """Whatever text comes, it is a furl or it is refused."""
    try:
        assert Furl.parse(text).reveal() == text.strip()
    except NotAFurl:
        assert PLAIN.fullmatch(text.strip()) is None


@pytest.mark.parametrize("kind", sorted(FACETS))
def test_a_furl_of_another_kind_is_named(kind: str) -> None:
    """A furl of the wrong facet is refused with what it is and what is needed."""
    text = "pb://" + "a" * 32 + f"@localhost:1/{kind}" + "b" * 52
    assert parse_facet_furl(text, kind).reveal() == text
    for other in set(FACETS) - {kind}:
        with pytest.raises(WrongFurl, match=f"this is {FACETS[kind]}; {FACETS[other]}"):
            parse_facet_furl(text, other)
    assert facet_kind(kind + "b" * 51) is None
    assert facet_kind(kind + "b" * 53) is None
