"""What our Foolscap front does with a share's bytes beyond upstream's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allmydata.client import create_client
from foolscap.broker import Broker
from foolscap.referenceable import TubRef
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase

from lae_localcloud.ports import free_ports
from lae_storage.server import plug
from lae_storage.server.bucket import open_bucket
from lae_storage.server.foolscap_front import (
    ENCIPHERED_AT_ONCE,
    LONGEST_WORD,
    FoolscapWriter,
    send_long_strings_plainly,
)
from lae_storage.server.limits import Allowance
from lae_storage.server.plug import Backing, client_class
from tests.storage.running_node import CONFIG
from tests.twins.store import MemoryStore

SI = b"f" * 16


class Tub:
    """What is asked of one."""

    brokerClass = Broker


def sent(kind: Any, token: Any) -> bytes:
    """What a connection writes for a token."""
    broker = kind(TubRef("peer"))
    broker.transport = StringTransport()
    broker.sendToken(token)
    written: bytes = broker.transport.value()
    return written


@given(
    st.sampled_from(
        [
            0,
            1,
            LONGEST_WORD,
            LONGEST_WORD + 1,
            ENCIPHERED_AT_ONCE,
            ENCIPHERED_AT_ONCE + 1,
            3 * ENCIPHERED_AT_ONCE,
        ]
    )
    | st.integers(0, 300_000),
    st.binary(min_size=1, max_size=4),
)
def test_a_string_is_written_as_upstream_writes_it(size: int, some: bytes) -> None:
    """However long it is: a client sees no difference."""
    tub = Tub()
    send_long_strings_plainly(tub)
    data = (some * size)[:size]
    assert sent(tub.brokerClass, data) == sent(Broker, data)


@given(st.integers(-(2**40), 2**40) | st.floats(allow_nan=False))
def test_what_is_no_string_is_upstreams(token: Any) -> None:
    """Numbers go as they did."""
    tub = Tub()
    send_long_strings_plainly(tub)
    assert sent(tub.brokerClass, token) == sent(Broker, token)


def test_other_tubs_are_as_they_were() -> None:
    """The class is the Tub's own."""
    tub = Tub()
    send_long_strings_plainly(tub)
    assert Tub.brokerClass is Broker
    assert issubclass(tub.brokerClass, Broker)


def test_a_write_lets_go_of_its_bytes(serving: Any) -> None:
    """Foolscap has a call's arguments until the answer, which waits for S3."""
    writer = FoolscapWriter(serving.writer(SI, 4))
    arguments: list[Any] = [0, b"data"]
    serving.now(writer.doRemoteCall("write", arguments, {}))
    assert arguments == []
    named = {"offset": 0, "data": b"data"}
    serving.now(writer.doRemoteCall("write", [], named))
    assert named == {}
    serving.now(writer.doRemoteCall("close", [], {}))
    reader = serving.server.get_buckets(SI)[0]
    assert serving.now(reader.read(0, 4)) == b"data"


class NodeTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)

    async def test_a_node_of_ours_has_both(self) -> None:
        """Its Tub sends long strings plainly, and its process keeps what is freed."""
        folder = self.folder
        (port,) = free_ports(1)
        (folder / "tahoe.cfg").write_text(CONFIG.format(port=port, force="True"))
        bucket = await open_bucket(MemoryStore(), Clock())
        backing = Backing(bucket, folder / "up", Allowance(10**9))
        node = await create_client(str(folder), _client_factory=client_class(backing))
        called: list[str] = []
        self.patch(plug, "keep", lambda: called.append("keep"))
        node.startService()
        self.addCleanup(node.stopService)
        self.assertEqual(called, ["keep"])
        self.assertIn("sendToken", vars(node.tub.brokerClass))
