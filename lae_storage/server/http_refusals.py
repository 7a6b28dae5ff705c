"""Which status an operation's error is over HTTP: one table."""

from __future__ import annotations

from collections.abc import Callable

from allmydata.interfaces import (
    BadWriteEnablerError,
    ConflictingWriteError,
    DataTooLargeError,
    NoSpace,
)
from allmydata.storage.http_server import _HTTPError
from pycddl import ValidationError
from twisted.logger import Logger
from twisted.web import http

from lae_storage.s3.interface import StoreError
from lae_storage.server.allowance import Suspended
from lae_storage.server.http_answers import Refusal
from lae_storage.server.immutable import UploadOver
from lae_storage.server.upload import SomebodyElses

_log = Logger()
FULL = http.INSUFFICIENT_STORAGE_SPACE
#: What is asked for an error of each kind; the first that fits is taken.
_TABLE: tuple[tuple[type[Exception], Callable[[Exception], Refusal]], ...] = (
    (ValidationError, lambda _: Refusal(http.BAD_REQUEST, "not what the schema says")),
    (BadWriteEnablerError, lambda _: Refusal(http.UNAUTHORIZED)),
    (ConflictingWriteError, lambda _: Refusal(http.CONFLICT)),
    (SomebodyElses, lambda _: Refusal(http.CONFLICT)),
    (DataTooLargeError, lambda _: Refusal(http.REQUEST_ENTITY_TOO_LARGE)),
    (NoSpace, lambda _: Refusal(FULL, "no space")),
    (Suspended, lambda e: Refusal(FULL, str(e))),
    (UploadOver, lambda _: Refusal(http.NOT_FOUND)),
)


def refusal_of(error: Exception) -> Refusal | None:
    """How to answer *error*; None for one that nobody expects."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, _HTTPError):
        return Refusal(error.code)
    if isinstance(error, StoreError):
        _log.error("S3 failed us: {why}", why=str(error))
        # The code has no secret, and says whether trying again is of use.
        return Refusal(http.SERVICE_UNAVAILABLE, f"the store behind us: {error.code}")
    for kind, answer in _TABLE:
        if isinstance(error, kind):
            return answer(error)
    return None
