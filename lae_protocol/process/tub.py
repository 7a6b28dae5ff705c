"""Tubs as S4 makes them: Foolscap's defaults, where they hurt, undone in one place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from foolscap.api import Tub
from foolscap.broker import Broker
from twisted.python.failure import Failure

#: Seconds: ping an idle connection, and give a silent one up.
KEEPALIVE, DISCONNECT = 10, 30
#: The longest pause of a reconnector (Foolscap's own is an hour), and the first one.
RECONNECT_AT_MOST, RECONNECT_FIRST = 5.0, 0.2


def _kept(certificate: Path) -> bytes:
    """The PEM text in the file; made at need, whole and private from its first byte."""
    if not certificate.exists():
        text: bytes = Tub().getCertData()
        fresh = certificate.with_name(f"{certificate.name}.{os.getpid()}.new")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(certificate)
    certificate.chmod(0o600)
    return certificate.read_bytes()


class CallFailed(Exception):
    """A call failed, and its caller learns no more."""


class QuietBroker(Broker):
    """Tells its peer that a call failed, not how.

    Foolscap's ``expose-remote-exception-types`` is about what peers tell *us*: the type
    and the text of our own exceptions it always sends.
    """

    def callFailed(
        self,
        f: Failure,  # noqa: ARG002  (foolscap's signature)
        reqID: int,
        delivery: Any = None,
    ) -> None:
        """Send a failure that is always the same."""
        told = Failure(CallFailed("the call failed"))  # type: ignore[no-untyped-call]
        super().callFailed(told, reqID, delivery)


def make_tub(certificate: Path | None = None, pem: bytes | None = None) -> Any:
    """Make a Tub: from a file that is made at need, from PEM text, or ephemeral.

    Gifts are refused (a peer could make us connect anywhere), tracebacks and types of
    exceptions stay here, and a dead peer is noticed.
    """
    tub = Tub(certData=pem if certificate is None else _kept(certificate))
    tub.unsafeTracebacks = False
    tub.brokerClass = QuietBroker
    for name, value in (
        ("accept-gifts", False),
        ("expose-remote-exception-types", False),
        ("keepaliveTimeout", KEEPALIVE),
        ("disconnectTimeout", DISCONNECT),
        ("logLocalFailures", False),
        ("logRemoteFailures", False),
    ):
        tub.setOption(name, value)
    return tub
