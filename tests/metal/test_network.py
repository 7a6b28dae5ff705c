"""The cloud's network: who reaches whom, and that nobody reaches anything else."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from attrs import define, field

from lae_localcloud.front.groups import ANYWHERE, Allowed
from lae_localcloud.metal.namespace import Namespace
from lae_localcloud.metal.network import Network
from lae_localcloud.metal.rules import EVERYTHING_OUT, METADATA, RESOLVER, SERVICES
from lae_localcloud.metal.runs import begin_run, new_prefix, remove_all_of

GRIDS = Allowed("in", "tcp", 1024, 65535, ANYWHERE)
GROUP = (GRIDS, EVERYTHING_OUT)
#: For answers that do not come; all others come at once.
_PATIENCE = 0.4  # s


@define
class Net:
    """A network without instances; whoever listens tells who asks."""

    network: Network
    _listening: list[socket.socket] = field(factory=list)

    def serve(
        self, there: Namespace, port: int, address: str = "0.0.0.0", ttl: int = 64
    ) -> None:
        listening = there.listen(address, port, ttl)
        listening.setblocking(True)
        self._listening.append(listening)

        def answer() -> None:
            while True:
                try:
                    asked, peer = listening.accept()
                except OSError:
                    # The test is through.
                    return
                asked.sendall(peer[0].encode())
                asked.close()

        Thread(target=answer, daemon=True).start()

    def close(self) -> None:
        for listening in self._listening:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def ask(
        self, there: Namespace, address: str, port: int, own: str = ""
    ) -> str | None:
        """As whom we were seen, asking from our address *own*; None where there was no
        answer.
        """
        with there.new_socket() as asking:
            asking.settimeout(_PATIENCE)
            try:
                if own:
                    asking.bind((own, 0))
                asking.connect((address, port))
                return asking.recv(99).decode()
            except OSError:
                return None


@pytest.fixture
def net(root_or_skip: None, tmp_path: Path) -> Iterator[Net]:
    network = Network(f"s4t-{secrets.token_hex(3)}", tmp_path)
    network.make()
    made = Net(network)
    yield made
    made.close()
    remove_all_of(network.prefix)


def test_who_reaches_whom(net: Net) -> None:
    """A customer reaches a host by its public address on the group's ports alone; hosts
    reach the cloud's services; nobody reaches what is outside.
    """
    one = net.network.plug_in("one", "10.78.0.4", GROUP)
    two = net.network.plug_in("two", "10.78.0.5", GROUP)
    client = net.network.plug_in_client("client")
    public = net.network.publish("one")
    net.serve(one, 5000)
    net.serve(one, 22)
    net.serve(two, 5000)
    net.serve(net.network.cloud, 80, METADATA, 1)
    net.serve(net.network.cloud, 9000, SERVICES)
    net.serve(net.network.cloud, 53, RESOLVER)
    assert net.ask(client, public, 5000) == "203.0.113.10"
    assert net.ask(client, public, 22) is None
    assert net.ask(client, "10.78.0.4", 5000) is None
    assert net.ask(client, METADATA, 80) is None
    assert net.ask(client, SERVICES, 9000) is None
    assert net.ask(client, RESOLVER, 53) == "203.0.113.10"
    assert net.ask(one, METADATA, 80) == "10.78.0.4"
    assert net.ask(one, SERVICES, 9000) == "10.78.0.4"
    assert net.ask(one, "10.78.0.5", 5000) == "10.78.0.4"
    # By its public address it is asked as at AWS: from outside.
    assert net.ask(one, public, 5000) == public
    for there in (one, client, net.network.cloud):
        assert net.ask(there, "1.1.1.1", 80) is None


def test_cable_and_address(net: Net) -> None:
    """A cut cable is silence until it is mended; where an address is given anew, the
    old one leads nowhere.
    """
    one = net.network.plug_in("one", "10.78.0.4", GROUP)
    client = net.network.plug_in_client("client")
    old = net.network.publish("one")
    net.serve(one, 5000)
    net.serve(net.network.cloud, 9000, SERVICES)
    net.network.cut("one")
    assert net.ask(client, old, 5000) is None
    assert net.ask(one, SERVICES, 9000) is None
    net.network.mend("one")
    assert net.ask(client, old, 5000) == "203.0.113.10"
    new = net.network.publish("one")
    assert net.ask(client, new, 5000) == "203.0.113.10"
    assert net.ask(client, old, 5000) is None


def test_groups_change(net: Net) -> None:
    """What a group lets in or out is so at once for hosts that are there."""
    one = net.network.plug_in("one", "10.78.0.4", (EVERYTHING_OUT,))
    two = net.network.plug_in("two", "10.78.0.5", GROUP)
    net.serve(one, 5000)
    net.serve(two, 5000)
    assert net.ask(two, "10.78.0.4", 5000) is None
    from_two = Allowed("in", "tcp", 5000, 5000, "10.78.0.5/32")
    net.network.regroup("one", (from_two,))
    assert net.ask(two, "10.78.0.4", 5000) == "10.78.0.5"
    assert net.ask(one, "10.78.0.5", 5000) is None


def test_another_ones_address(net: Net) -> None:
    """Who takes another host's address as its own gets no answer meant for that one."""
    thief = net.network.plug_in("thief", "10.78.0.4", GROUP)
    net.network.plug_in("other", "10.78.0.5", GROUP)
    net.serve(net.network.cloud, 80, METADATA, 1)
    thief.ip("addr add 10.78.0.5/32 dev eth0")
    assert net.ask(thief, METADATA, 80) == "10.78.0.4"
    assert net.ask(thief, METADATA, 80, own="10.78.0.5") is None


_DIES = """
import os, subprocess, sys
from pathlib import Path
from lae_localcloud.metal.cgroups import Groups
from lae_localcloud.metal.network import Network
from lae_localcloud.metal.runs import begin_run, new_prefix
run = begin_run(new_prefix(), Path(sys.argv[1]))
network = Network(run.prefix, Path(sys.argv[1]))
network.make()
Groups(run.prefix + "-i-1").make(1 << 30)
inside = network.plug_in("i-1", "10.78.0.4", ())
subprocess.Popen([*inside.words(), "sleep", "600"], start_new_session=True,
    stdout=subprocess.DEVNULL)
print(run.prefix, flush=True)
os.kill(os.getpid(), 9)
"""


def test_leftovers_of_a_killed_run(root_or_skip: None, tmp_path: Path) -> None:
    """What a run that was killed has left is gone when the next one begins; what lives
    is left alone.
    """
    living = begin_run(new_prefix(), tmp_path)
    beside = Network(living.prefix, tmp_path)
    beside.make()
    died = subprocess.run(
        [sys.executable, "-c", _DIES, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    prefix = died.stdout.strip()
    left = list(Path("/run/netns").glob(f"{prefix}-*"))
    assert len(left) == 2
    groups = list(Path("/sys/fs/cgroup").glob(f"**/{prefix}-i-1"))
    assert groups
    next_one = begin_run(new_prefix(), tmp_path)
    try:
        assert not any(p.exists() for p in left + groups)
        assert beside.cloud.path.exists()
    finally:
        living.end()
        next_one.end()
    assert not beside.cloud.path.exists()
