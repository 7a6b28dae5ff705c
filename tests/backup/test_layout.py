"""The names in the backup bucket."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.backup import layout
from lae_flapp.backup.layout import About, Life, NotOurBackup

_LIVES = st.builds(
    Life, st.integers(0, 10**9 - 1), st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
)
ABOUT = About(
    environment="local",
    deployment="s4-test",
    account="123456789012",
    stripe_mode="test",
    revision="0001",
    release="0.1.0",
    began=datetime(2026, 11, 30, 20, 0, tzinfo=UTC),
)


@given(_LIVES)
def test_a_life_is_read_from_its_name_and_its_keys(life):
    """A life is the same again, read from its name or from any key of its path."""
    assert Life.parse(str(life)) == life
    path = layout.journal_path("s4-test", life)
    assert layout.life_of_key("s4-test", path + "/0/x.ltx") == life
    assert layout.life_of_key("s4-test", layout.about_key("s4-test", life)) == life
    assert layout.life_of_key("s4-other", path) is None


@given(_LIVES, _LIVES)
def test_names_sort_as_lives_do(one, other):
    """A listing of the bucket, in its order, has the lives in theirs."""
    assert (str(one) < str(other)) == (one < other)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "7-0123456789abcdef",
        "000000007-0123456789ABCDEF",
        "../000000007-0123456789abcdef",
    ],
)
def test_other_names_are_no_lives(name):
    """What is no name of a life is refused, or seen past in a listing."""
    with pytest.raises(NotOurBackup):
        Life.parse(name)
    assert layout.life_of_key("s4-test", f"s4-test/lives/{name}/about.json") is None


def test_about_is_the_same_again():
    """What about.json says is read as it was written."""
    assert About.from_json(ABOUT.to_json()) == ABOUT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 2}',
        ABOUT.to_json().replace(b'"format": 1', b'"format": 2'),
        ABOUT.to_json().replace(b"+00:00", b""),
        ABOUT.to_json().replace(b'"account"', b'"acount"'),
    ],
)
def test_another_about_is_refused(body):
    """An about.json that is cut, of a newer format, or lacks something is refused by name."""
    with pytest.raises(NotOurBackup):
        About.from_json(body)
