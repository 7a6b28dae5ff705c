"""Routes of the HTTP front: what a request must be to find its answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable

from allmydata.storage.common import si_a2b
from allmydata.storage.http_common import Secrets
from allmydata.storage.http_server import UploadsInProgress
from attrs import define, field
from twisted.web import http

from lae_storage.server import http_answers as answers
from lae_storage.server.concurrency import Budget
from lae_storage.server.http_answers import AnyRequest, Refusal
from lae_storage.server.storage_server import S3StorageServer

#: Bytes of changes to mutable files that are worked on at once; they take about three
#: times as much memory.
BODIES = 32 * 1024 * 1024

#: 128 bits: the last letter has three of them.
SI = r"(?P<si>[a-z2-7]{25}[aeimquy4])"
SHARE = r"(?P<share>0|[1-9]\d{0,18})"
NONE: frozenset[Secrets] = frozenset()
LEASE = frozenset({Secrets.LEASE_RENEW, Secrets.LEASE_CANCEL})
UPLOAD = frozenset({Secrets.UPLOAD})


@define(frozen=True, eq=False)
class Served:
    """What answers are made from; *memory* bounds the changes worked on at once."""

    storage: S3StorageServer
    uploads: UploadsInProgress = field(factory=UploadsInProgress)
    memory: Budget = field(factory=lambda: Budget(BODIES))


@define(frozen=True)
class Asked:
    """One request: its secrets, and what its path names."""

    request: AnyRequest
    secrets: dict[Secrets, bytes]
    si: bytes
    share: int


Answer = Callable[[Served, Asked], Awaitable[bytes]]


@define(frozen=True)
class Route:
    """A method and a path; *secrets* must come with it, neither more nor fewer."""

    method: bytes
    path: re.Pattern[str]
    secrets: frozenset[Secrets]
    answer: Answer


@define(eq=False)
class Routes:
    """The routes of one kind, in upstream's order."""

    all: list[Route] = field(factory=list)

    def add(
        self, method: bytes, path: str, secrets: frozenset[Secrets] = NONE
    ) -> Callable[[Answer], Answer]:
        """Register an answer under ``/storage/v1/``."""
        pattern = re.compile(f"^/storage/v1/{path}$")

        def register(answer: Answer) -> Answer:
            self.all.append(Route(method, pattern, secrets, answer))
            return answer

        return register


def asked_of(routes: Iterable[Route], request: AnyRequest) -> tuple[Answer, Asked]:
    """Which route a request takes, and what it asks; raises :class:`Refusal`."""
    found, match = _find(routes, request)
    secrets = answers.secrets_of(request, found.secrets)
    names = match.groupdict()
    asked = Asked(
        request,
        secrets,
        si_a2b(names["si"].encode()) if names.get("si") else b"",
        int(names.get("share") or 0),
    )
    return found.answer, asked


def _find(routes: Iterable[Route], request: AnyRequest) -> tuple[Route, re.Match[str]]:
    path = request.path.decode("ascii", "replace")
    methods = set()
    for candidate in routes:
        match = candidate.path.match(path)
        if match is not None:
            if candidate.method == request.method:
                return candidate, match
            methods.add(candidate.method)
    raise Refusal(http.NOT_ALLOWED if methods else http.NOT_FOUND)
