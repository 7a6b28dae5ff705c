"""Upstream's share files: ``storage/shares/<two letters>/<storage index>/<number>``.

Upstream's own container classes write and read the files, so that upstream's node
serves them.  The calls block, since a command has nothing else to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

from allmydata.storage.common import UnknownContainerVersionError, si_a2b
from allmydata.storage.immutable import ShareFile
from allmydata.storage.immutable_schema import NEWEST_SCHEMA_VERSION
from allmydata.storage.lease import HashedLeaseInfo
from allmydata.storage.mutable import MutableShareFile
from allmydata.storage.shares import get_share_file
from attrs import define

from lae_storage.server.keys import ShareName, si_text
from lae_storage.server.lease import Lease, Leases, hash_secret

#: The folder where upstream keeps shares that are being uploaded.
INCOMING = "incoming"
#: The lease count in the header of an immutable container.
_LEASE_COUNT = Struct(">L")
LEASE_COUNT_AT = 8  # bytes from the container's beginning
#: The free disk space that upstream asks for; an export checks no quota.
ENOUGH_ROOM = 1 << 40  # bytes


class NotAShare(Exception):
    """A file in the folder of shares is no share file, or is damaged."""


def path_of(folder: Path, name: ShareName) -> Path:
    """Return the path of the share's file in the node folder *folder*."""
    si = si_text(name.storage_index)
    return folder / "storage" / "shares" / si[:2] / si / str(name.share_number)


def mark_as_node(folder: Path) -> None:
    """Write the file by which ``tahoe run`` recognises a node's folder.

    Folders of our hosts do not have the file; folders that ``tahoe create-node`` made
    do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.glob("*.tac")):
        (folder / "tahoe-client.tac").write_text("# tahoe run looks for this file\n")


@contextmanager
def new_share_file(folder: Path, name: ShareName) -> Iterator[Path]:
    """Yield a path to write the share to; the file gets its own name when complete.

    Until then the file lies in upstream's folder of uploads, so that neither
    :func:`find` nor a node takes it for a share.  Raises FileExistsError.
    """
    path = path_of(folder, name)
    if path.exists():
        raise FileExistsError(EEXIST, "the share file exists", str(path))
    incoming = folder / "storage" / "shares" / INCOMING
    incoming.mkdir(parents=True, exist_ok=True)
    unfinished = incoming / f"{path.parent.name}-{path.name}"
    unfinished.unlink(missing_ok=True)
    yield unfinished
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.rename(path)


@contextmanager
def new_immutable(path: Path, length: int, leases: Leases) -> Iterator[BinaryIO]:
    """Yield a file to write the data to, in a container of upstream's newest schema."""
    with path.open("xb") as file:
        file.write(NEWEST_SCHEMA_VERSION.header(length))
        yield file
        serializer = NEWEST_SCHEMA_VERSION.lease_serializer
        for lease in leases:
            file.write(serializer.serialize(lease.to_upstream(None)))
        file.seek(LEASE_COUNT_AT)
        file.write(_LEASE_COUNT.pack(len(leases)))


def new_mutable(path: Path, nodeid: bytes, write_enabler: bytes, leases: Leases) -> Any:
    """Create an empty container of upstream's newest schema."""
    container = MutableShareFile(str(path))
    container.create(nodeid, write_enabler)
    for lease in leases:
        container.add_lease(ENOUGH_ROOM, lease.to_upstream(nodeid))
    return container


@define(frozen=True)
class Found:
    """A share file.  *write_enabler* is None for an immutable share."""

    name: ShareName
    container: Any
    length: int
    leases: Leases
    write_enabler: bytes | None

    def read(self, start: int, length: int) -> bytes:
        """Read up to *length* bytes of the share's data from *start*."""
        if self.write_enabler is None:
            data: bytes = self.container.read_share_data(start, length)
        else:
            (data,) = self.container.readv([(start, length)])
        return data


def find(folder: Path) -> Iterator[Path]:
    """Yield the paths of all share files, in order, without unfinished uploads."""
    shares = folder / "storage" / "shares"
    for path in sorted(shares.glob("??/*/*")):
        if path.parent.parent.name != INCOMING and path.is_file():
            yield path


def open_share(path: Path) -> Found:
    """Read a container's header; raises :class:`NotAShare`."""
    try:
        name = ShareName(si_a2b(path.parent.name.encode()), int(path.name))
        container = get_share_file(str(path))
        leases = tuple(_lease(info) for info in container.get_leases())
    except (ValueError, AssertionError, OSError, UnknownContainerVersionError) as e:
        raise NotAShare(str(path)) from e
    if isinstance(container, ShareFile):
        return Found(name, container, container.get_length(), leases, None)
    with path.open("rb") as file:
        enabler = _write_enabler(container, file)
    return Found(name, container, container.get_length(), leases, enabler)


def _write_enabler(container: Any, file: BinaryIO) -> bytes:
    write_enabler: bytes = container._read_write_enabler_and_nodeid(file)[0]  # noqa: SLF001
    return write_enabler


def _lease(info: Any) -> Lease:
    if isinstance(info, HashedLeaseInfo):
        inner = info._lease_info  # noqa: SLF001  (upstream shows hashes nowhere else)
        renew, cancel = inner.renew_secret, inner.cancel_secret
    else:
        inner = info
        renew, cancel = hash_secret(info.renew_secret), hash_secret(info.cancel_secret)
    return Lease(inner.owner_num, int(inner.get_expiration_time()), renew, cancel)
