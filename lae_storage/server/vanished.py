"""An immutable share whose object is gone behind our back.

The index says what exists, and is asked in the bucket's place.  Where a read finds that
an object is not there, the index was wrong: the share must be missing to clients from
then on, as it is where a file is deleted on a disk, or they could never repair it.
"""

from __future__ import annotations

from twisted.logger import Logger

from lae_storage.s3.interface import IObjectStore
from lae_storage.server import keys
from lae_storage.server.index import Index
from lae_storage.server.keys import ShareName

_log = Logger()


async def forget_if_gone(store: IObjectStore, index: Index, name: ShareName) -> None:
    """Take the share out of the index, unless it is there after all.

    It may have been stored again since the read was answered.  What is stored before
    this asks is seen; while it asks, nothing may be added to the index.
    """
    key = keys.immutable_key(name.storage_index, name.share_number)
    before = index.additions
    if await store.head(key) is None and index.additions == before:
        _log.error("a share is gone from the bucket: {key}", key=key)
        index.remove_immutable(name.storage_index, name.share_number)
