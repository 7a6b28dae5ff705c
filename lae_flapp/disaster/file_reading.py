"""A customer's file, read by an unmodified Tahoe-LAFS over the furl that was restored.

The customer is one of the operators' own, who has given a file's capability.  Reading
is what any client does: the host that runs is touched as little as by its customers.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from attrs import define, field
from twisted.internet.threads import deferToThread

from lae_flapp.disaster.reasons import NotProved
from lae_flapp.disaster.rebuilding import Rebuilt
from lae_flapp.journal import checking
from lae_protocol.secret import Secret
from lae_provision.doors import Sealed
from lae_provision.errors import Refused
from lae_provision.identity.identities import recover_identity

WITHIN = 60.0  # s
BETWEEN = 0.5  # s
_OK = 200


@define(frozen=True)
class Asked:
    """Which file of which customer, and the program of Tahoe-LAFS."""

    signup_id: str
    cap: Secret = field(repr=False)
    tahoe: Path


@define(frozen=True)
class FileRead:
    """What came back."""

    size: int
    sha256: str


async def read_file(built: Rebuilt, key: Secret, asked: Asked) -> FileRead:
    """Read it once; raises :class:`NotProved`."""
    furl = _furl_of(built, key, asked.signup_id)
    body = await deferToThread(_read, furl, asked)
    return FileRead(len(body), hashlib.sha256(body).hexdigest())


def _furl_of(built: Rebuilt, key: Secret, signup_id: str) -> Secret:
    query = (
        "SELECT vault_key, sealed FROM identities WHERE signup_id = ?"
        " ORDER BY generation DESC LIMIT 1"
    )
    with checking.reading(built.settings.journal) as db:
        row = db.execute(query, (signup_id,)).fetchone()
    if row is None:
        raise NotProved(f"the journal has no grid of {signup_id}")
    try:
        return Secret(recover_identity(Sealed(*row), key).introducer_furl())
    except Refused as e:
        raise NotProved(f"{signup_id}: {e.message}") from None


def _read(furl: Secret, asked: Asked) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        port = _prepare(Path(folder), furl, asked.tahoe)
        with _running(Path(folder), asked.tahoe):
            until = time.monotonic() + WITHIN
            while time.monotonic() < until:
                with suppress(OSError, http.client.HTTPException):
                    body = _ask(port, asked.cap)
                    if body is not None:
                        return body
                time.sleep(BETWEEN)
    raise NotProved(f"the file of {asked.signup_id} was not read within {WITHIN:.0f} s")


def _prepare(folder: Path, furl: Secret, tahoe: Path) -> int:
    """Make a client; the port of its web server.  The furl is in no command line."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    web = f"tcp:{port}:interface=127.0.0.1"
    argv = (str(tahoe), "create-client", "--webport", web, str(folder / "client"))
    try:
        subprocess.run(argv, check=True, capture_output=True, env=_environment(folder))  # noqa: S603  (our own arguments)
    except (OSError, subprocess.CalledProcessError):
        raise NotProved(f"{tahoe} makes no client") from None
    introducers = folder / "client" / "private" / "introducers.yaml"
    # JSON is YAML.
    said = {"introducers": {"restored": {"furl": furl.reveal()}}}
    introducers.write_text(json.dumps(said))
    return port


@contextmanager
def _running(folder: Path, tahoe: Path) -> Iterator[None]:
    client = str(folder / "client")
    process = subprocess.Popen(  # noqa: S603  (our own arguments)
        (str(tahoe), "--node-directory", client, "run", "--allow-stdin-close"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_environment(folder),
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _ask(port: int, cap: Secret) -> bytes | None:
    """Read it over the client's own web server; None while no server has it."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)) as line:
        line.request("GET", "/uri/" + quote(cap.reveal(), safe=""))
        answer = line.getresponse()
        body = answer.read()
    return body if answer.status == _OK else None


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(folder)}
