"""Which images of a repository nobody needs any more.  Pure."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from attrs import define

from lae_provision.aws.repositories import StoredImage

_SIGNATURE = re.compile(r"sha256-([0-9a-f]{64})\.sig")


@define(frozen=True)
class Keeping:
    """What is kept: whatever is *named*, the *newest* by count, and what was pushed
    *since*.
    """

    named: AbstractSet[str]
    newest: int
    since: datetime


@define(frozen=True)
class Pruned:
    """What is deleted: images, and the signatures of those, by digest."""

    images: tuple[StoredImage, ...]
    signatures: tuple[StoredImage, ...]

    @property
    def digests(self) -> tuple[str, ...]:
        """The signatures first: an image without one cannot be run by mistake, and a
        signature without its image would stay for ever.
        """
        return tuple(i.digest for i in (*self.signatures, *self.images))


def signed_by_tag(tags: tuple[str, ...]) -> str | None:
    """The digest of which these tags say that they are the signature's."""
    for tag in tags:
        if found := _SIGNATURE.fullmatch(tag):
            return f"sha256:{found[1]}"
    return None


def choose(stored: tuple[StoredImage, ...], keeping: Keeping) -> Pruned:
    """Choose what to delete of *stored*, which is the newest first.

    What no tag names is left to the repository's lifecycle.
    """
    images = [i for i in stored if i.tags and signed_by_tag(i.tags) is None]
    gone = tuple(
        image
        for place, image in enumerate(images)
        if place >= keeping.newest
        and image.digest not in keeping.named
        and image.pushed_at < keeping.since
    )
    kept = {i.digest for i in stored} - {i.digest for i in gone}
    signatures = tuple(
        i
        for i in stored
        if (of := signed_by_tag(i.tags)) is not None
        and of not in kept
        # One that was just pushed may be of an image that is on its way.
        and i.pushed_at < keeping.since
    )
    return Pruned(gone, signatures)


def ago(now: datetime, days: int) -> datetime:
    """So many days before *now*."""
    return now - timedelta(days=days)
