"""Asking a name server, as a resolver does: one question over UDP."""

from __future__ import annotations

import secrets
import socket

from twisted.names import dns
from twisted.names.common import EMPTY_RESULT  # noqa: F401  (loads the record types)

#: A local server needs milliseconds.
PATIENCE = 20.0  # s
TYPES = {"A": dns.A, "NS": dns.NS, "SOA": dns.SOA, "TXT": dns.TXT}


def ask(where: str, name: str, kind: str = "A", patience: float = PATIENCE):
    """The answers' payloads with their TTLs, of the server at ``ADDRESS:PORT``."""
    message = dns.Message(id=secrets.randbelow(65_536))
    message.addQuery(name.encode(), TYPES[kind])
    host, _, port = where.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(patience)
        asking.sendto(message.toStr(), (host, int(port)))
        answer = dns.Message()
        answer.fromStr(asking.recv(4096))
    assert answer.id == message.id
    assert answer.auth or answer.rCode, "not an authority"
    return [(r.payload, r.ttl) for r in answer.answers]


def addresses(where: str, name: str, patience: float = PATIENCE) -> list[str]:
    """The addresses that a name leads to."""
    return [p.dottedQuad() for p, _ in ask(where, name, patience=patience)]
