"""Tubs as S4 makes them: Foolscap's defaults, where they hurt, undone in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foolscap.api import Tub

#: Seconds: ping an idle connection, and give a silent one up.
KEEPALIVE, DISCONNECT = 10, 30
#: The longest pause of a reconnector (Foolscap's own is an hour), and the first one.
RECONNECT_AT_MOST, RECONNECT_FIRST = 5.0, 0.2


def make_tub(certificate: Path | None = None, pem: bytes | None = None) -> Any:
    """Make a Tub: from a file that is made at need, from PEM text, or ephemeral.

    Gifts are refused (a peer could make us connect anywhere), tracebacks and types of
    exceptions stay here, and a dead peer is noticed.
    """
    if certificate is not None:
        tub = Tub(certFile=str(certificate))
        certificate.chmod(0o600)
    else:
        tub = Tub(certData=pem)
    tub.unsafeTracebacks = False
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
