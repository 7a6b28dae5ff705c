"""How much the versions take that are not current any more.

A bucket keeps what was replaced or deleted for 30 days, and it is paid for.  A node
cannot know how much that is from what it does: what it deletes goes weeks later, by the
bucket's own rule.  So once a day all versions are listed, off every client's path: a
request for each thousand of them, and a pause after each.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lae_storage.s3.interface import IObjectStore

#: Seconds between two pages; a page is some milliseconds of work.
PAUSE = 0.2


async def noncurrent_bytes(store: IObjectStore, reactor: IReactorTime) -> int:
    """The bytes of all versions that are not current; raises what S3 refuses."""
    found, after = 0, None
    while True:
        page = await store.versions_page(after)
        found += page.noncurrent
        after = page.after
        if after is None:
            return found
        await deferLater(reactor, PAUSE)
