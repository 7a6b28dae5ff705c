"""What is pruned is what nobody names, is old, and is not among the newest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lae_provision.aws.repositories import StoredImage
from lae_provision.images.pruning import Keeping, choose

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def stored(number: int, days: float, tag: str | None) -> StoredImage:
    tags = () if tag is None else (tag,)
    return StoredImage(digest(number), tags, 1, NOW - timedelta(days=days))


def signature(number: int, of: int, days: float) -> StoredImage:
    return stored(number, days, f"sha256-{of:064x}.sig")


def newest_first(*images: StoredImage) -> tuple[StoredImage, ...]:
    return tuple(sorted(images, key=lambda i: i.pushed_at, reverse=True))


KEEPING = Keeping({digest(3)}, 1, NOW - timedelta(days=90))


def test_only_the_old_and_unnamed_go() -> None:
    """The newest stays, what was pushed lately, and what is named, with its signature;
    another one's signature goes with it.
    """
    images = newest_first(
        stored(1, 0, "newest"),
        stored(2, 89, "lately"),
        stored(3, 200, "named"),
        stored(4, 91, "old"),
        signature(13, 3, 200),
        signature(14, 4, 91),
    )
    chosen = choose(images, KEEPING)
    assert chosen.digests == (digest(14), digest(4))


def test_what_no_tag_names_is_the_lifecycles() -> None:
    """An untagged image is neither counted nor deleted here."""
    images = newest_first(
        stored(1, 300, None), stored(2, 400, "a"), stored(4, 500, "b")
    )
    assert choose(images, KEEPING).digests == (digest(4),)


def test_a_new_signature_waits_for_its_image() -> None:
    """A signature whose image is not there stays until it is old."""
    young, old = signature(11, 77, 1), signature(12, 78, 100)
    assert choose(newest_first(young, old), KEEPING).digests == (digest(12),)


@given(
    ages=st.lists(st.floats(0, 400), max_size=12),
    named=st.sets(st.integers(0, 12)),
    newest=st.integers(1, 12),
)
def test_nothing_that_is_kept_for_any_reason_goes(
    ages: list[float], named: set[int], newest: int
) -> None:
    """Whatever the ages: the named, the young, the newest and their signatures stay."""
    images = newest_first(*(stored(n, age, f"v{n}") for n, age in enumerate(ages)))
    signatures = [signature(100 + n, n, age) for n, age in enumerate(ages)]
    keeping = Keeping({digest(n) for n in named}, newest, NOW - timedelta(days=90))
    chosen = choose(newest_first(*images, *signatures), keeping)
    gone = set(chosen.digests)
    kept = {i.digest for i in images[:newest]} | keeping.named
    kept |= {i.digest for i in images if i.pushed_at >= keeping.since}
    assert not gone & kept
    of_gone = {i.tags[0] for i in images if i.digest in gone}
    for number in range(len(ages)):
        assert (digest(100 + number) in gone) == (f"v{number}" in of_gone)
    expected = [i.digest for i in images if i.digest not in kept]
    assert sorted(i.digest for i in chosen.images) == sorted(expected)
