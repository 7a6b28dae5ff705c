"""The routes of mutable slots."""

from __future__ import annotations

from allmydata.storage.http_common import Secrets
from allmydata.storage.http_server import _SCHEMAS
from twisted.web import http

from lae_storage.server import http_answers as answers
from lae_storage.server.http_answers import Refusal
from lae_storage.server.http_body import send
from lae_storage.server.http_both import advise, is_share, lease_secrets
from lae_storage.server.http_request import LONGEST_BODY
from lae_storage.server.http_routes import LEASE, SHARE, SI, Asked, Routes, Served

_routes = Routes()
ROUTES = _routes.all


@_routes.add(
    b"POST",
    f"mutable/{SI}/read-test-write",
    LEASE | {Secrets.WRITE_ENABLER},
)
async def read_test_write(served: Served, asked: Asked) -> bytes:
    """Test, read and write all shares of a slot as one."""
    # A long body is in a file until it is its turn to be in memory.
    async with served.memory.take(answers.body_size(asked.request)):
        return await _read_test_write(served, asked)


async def _read_test_write(served: Served, asked: Asked) -> bytes:
    wanted = await answers.read_cbor(
        asked.request, _SCHEMAS["mutable_read_test_write"], LONGEST_BODY
    )
    vectors = {
        number: (
            [(t["offset"], t["size"], b"eq", t["specimen"]) for t in v["test"]],
            [(w["offset"], w["data"]) for w in v["write"]],
            v["new-length"],
        )
        for number, v in wanted["test-write-vectors"].items()
    }
    passed, data = await served.storage.slot_testv_and_readv_and_writev(
        asked.si,
        (asked.secrets[Secrets.WRITE_ENABLER], *lease_secrets(asked)),
        vectors,
        [(r["offset"], r["size"]) for r in wanted["read-vector"]],
    )
    return answers.write_cbor(asked.request, {"success": passed, "data": data})


@_routes.add(b"GET", f"mutable/{SI}/shares")
async def enumerate_mutable_shares(served: Served, asked: Asked) -> bytes:
    """The numbers of the slot's shares."""
    numbers = await served.storage.enumerate_mutable_shares(asked.si)
    return answers.write_cbor(asked.request, numbers)


@_routes.add(b"GET", f"mutable/{SI}/{SHARE}")
async def read_mutable_chunk(served: Served, asked: Asked) -> bytes:
    """A range of a share, or all of it."""
    is_share(asked.request)
    try:
        length = await served.storage.get_mutable_share_length(asked.si, asked.share)
    except KeyError:
        raise Refusal(http.NOT_FOUND) from None

    async def read(offset: int, size: int) -> bytes:
        found = await served.storage.slot_readv(
            asked.si, [asked.share], [(offset, size)]
        )
        # The share may have been deleted meanwhile: the answer ends there.
        data: bytes = found[asked.share][0] if asked.share in found else b""
        return data

    return await send(asked.request, read, length)


@_routes.add(b"POST", f"mutable/{SI}/{SHARE}/corrupt")
async def advise_corrupt_mutable(served: Served, asked: Asked) -> bytes:
    """A client's word that a share is corrupt."""
    if asked.share not in await served.storage.enumerate_mutable_shares(asked.si):
        raise Refusal(http.NOT_FOUND)
    return await advise(served, b"mutable", asked)
