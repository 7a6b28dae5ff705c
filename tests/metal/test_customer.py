"""A customer on real machines: a name, a signed image, and everything that breaks."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import pytest
import yaml
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lae_flapp.rollout.states import TROUBLES
from lae_localcloud.customer.laptop import Laptop
from lae_localcloud.customer.story import Places, receive_mail, sign_up
from lae_localcloud.demo.layout import HOST_PORTS
from lae_localcloud.state_folder import write_private
from lae_protocol.rollout_messages import (
    AskRollout,
    RolloutLine,
    RolloutState,
    StartRollout,
)
from tests.end_to_end.customer import Customer
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack
from tests.localcloud.conftest import CloudClients
from tests.metal.instance import Instance, wish

#: Until a client writes again, on a machine that others use, too.
BACK_WITHIN = 120.0  # s
_SIZE = 20_000  # bytes, more than fit into a cap
_CURL_TIMED_OUT = 28
_REFUSED = "cryptographic signature verification failed"
_PAUSE = 0.1  # s; between two files


@define
class Writer:
    """Writes one file after the other, and remembers what was acknowledged."""

    laptop: Laptop
    folder: Path
    acknowledged: dict[str, bytes] = field(factory=dict)
    times: list[float] = field(factory=list)
    _ended: Event = field(factory=Event)
    _thread: Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir()
        self._thread = Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        source = self.folder / "next"
        while not self._ended.wait(_PAUSE):
            data = secrets.token_bytes(_SIZE)
            source.write_bytes(data)
            put = ("-m", "60", "-T", str(source), f"{self.laptop.url}/uri")
            cap = self._curl(*put).decode().strip()
            if cap:
                self.acknowledged[cap] = data
                self.times.append(time.monotonic())

    def _curl(self, *words: str) -> bytes:
        """On the laptop; what the client answers, nothing where it refuses."""
        argv = [*self.laptop.prefix, "curl", "-sf", *words]
        return subprocess.run(argv, stdout=subprocess.PIPE, check=False).stdout

    def goes_on(self) -> None:
        """Until something more is acknowledged, twice: the first may be from before."""
        before = len(self.acknowledged)
        until(
            lambda: len(self.acknowledged) >= before + 2,
            "the client writes again",
            BACK_WITHIN,
        )

    def longest_silence(self, since: float) -> float:
        """The longest time without an acknowledged write, in seconds."""
        times = [since, *(at for at in self.times if at > since)]
        return max(later - sooner for sooner, later in pairwise(times))

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def compare(self) -> None:
        """All that was ever acknowledged is there."""
        wanted = self.folder / "wanted"
        back = self.folder / "back"
        back.mkdir()
        lines = [
            f'url = "{self.laptop.url}/uri/{cap}"\noutput = "{back / str(number)}"\n'
            for number, cap in enumerate(self.acknowledged)
        ]
        wanted.write_text("".join(lines))
        self._curl("-m", "300", "-K", str(wanted))
        got = [(back / str(n)).read_bytes() for n in range(len(self.acknowledged))]
        assert got == list(self.acknowledged.values())


def resolved(places: Places, name: str) -> str:
    """The address of a name, as the customer's machine finds it."""
    done = subprocess.run(
        [*places.prefix, "getent", "ahostsv4", name],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.partition(" ")[0]


def reaches(places: Places, address: str) -> bool:
    """Whether the storage port there answers the customer's machine in any way."""
    there = f"https://{address}:{HOST_PORTS[1]}/"
    argv = [*places.prefix, "curl", "-sk", "-o", "/dev/null", "-m", "1", there]
    done = subprocess.run(argv, check=False)
    return done.returncode != _CURL_TIMED_OUT


@pytest.fixture(scope="module")
def releases(whole: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Other releases of the hosts' image, by what they are."""
    folder = tmp_path_factory.mktemp("releases")
    facts = whole.layout.aws / "aws.json"
    argv = [sys.executable, "-m", "tests.metal.releases", str(facts), str(folder)]
    told = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    named: dict[str, str] = json.loads(told.stdout)
    return named


def change_program(host: Instance, releases: dict[str, str], writer: Writer) -> None:
    """The next release comes and stays; from a broken one the host goes back.

    The node asks for nothing else meanwhile: what it writes, the next report's answer
    overwrites.
    """
    for what, said in (("next", "release 2 stands"), ("broken", "did-not-start")):
        word = said if said == "release 2 stands" else f"{said} {releases[what]}"

        def told(what: str = what, word: str = word) -> bool:
            journal = host.run("journalctl", "-u", "s4-program", "-o", "cat")
            if f"{releases[what]} is wished" not in journal:
                wish(host, releases[what])
            return word in journal

        before = time.monotonic()
        until(told, f"{what}: {said}", BACK_WITHIN, pause=0.5)
        writer.goes_on()
        silence = writer.longest_silence(before)
        print(f"{what}: {silence:.1f} s without an acknowledged write")  # noqa: T201
    running = host.run("podman", "ps", "--no-trunc", "--format", "{{.Image}}")
    assert running.strip() == releases["next"]


def test_nothing_acknowledged_is_lost(
    whole: Stack, metal: CloudClients, releases: dict[str, str], tmp_path: Path
) -> None:
    """Form, payment, a host by Ignition and systemd with the signed image, a furl with a
    name: a vanilla client stores and reads.  Then its host is cut off, gets a new
    program, goes back from one that does not start, crashes, is rebooted, stopped and
    started by somebody at the console, and terminated, each while the client writes: it
    goes on by itself, and all that was acknowledged is there.
    """
    places = whole.places("metal")
    signup = sign_up(places, "metal@example.org")
    mail = receive_mail(places, signup)
    name = mail.furl.partition("@")[2].partition(":")[0]
    assert name.endswith(".s4.test")
    (shown,) = whole.cloud.instances(signup.signup_id)
    host = Instance(metal, shown["InstanceId"])
    assert resolved(places, name) == host.public
    assert host.run("podman", "ps", "--format", "{{.Image}}").count("@sha256:") == 1
    ec2 = metal.client("ec2")
    laptop = places.laptop("laptop")
    writer = None
    try:
        laptop.join(mail)
        laptop.start()
        writer = Writer(laptop, tmp_path / "written")
        writer.goes_on()
        host.control("cut")
        for _ in range(3):
            assert not reaches(places, str(host.public))
        host.control("mend")
        assert reaches(places, str(host.public))
        writer.goes_on()
        change_program(host, releases, writer)
        for disaster in (
            lambda: host.control("kill"),
            # systemd may not listen yet to what is said to it after its own start.
            lambda: host.run("sh", "-c", "until systemctl reboot; do sleep 0.2; done"),
        ):
            disaster()
            writer.goes_on()
        ec2.stop_instances(InstanceIds=[host.instance_id])
        host.wait_for("stopped")
        old = shown["PublicIpAddress"]
        ec2.start_instances(InstanceIds=[host.instance_id])
        assert host.wait_for_address() != old
        writer.goes_on()
        assert resolved(places, name) == host.public
        ec2.terminate_instances(InstanceIds=[host.instance_id])
        host.wait_for("terminated")
        writer.goes_on()
        writer.stop()
        writer.compare()
    finally:
        if writer is not None:
            writer.stop()
        laptop.stop()
    (second,) = whole.cloud.instances(signup.signup_id)
    assert second["InstanceId"] != host.instance_id
    assert resolved(places, name) == second["PublicIpAddress"]


def report_often(host: Instance) -> None:
    """Have the node report every second, in place of every minute."""
    host.run("sh", "-c", "echo 'report_seconds: 1' >>/etc/s4/node.yaml")
    host.run("systemctl", "restart", "s4-node")


def end_of(whole: Stack, image: str) -> RolloutLine:
    """Roll this out, a canary and then all others; how it ended."""
    operator = whole.operator
    begun = operator.insist(StartRollout(image, 1, 100, 0, "for a test"))
    assert isinstance(begun, RolloutState), begun

    def ended() -> RolloutLine | None:
        told = operator.insist(AskRollout()).rollout
        return told if told.state in {"finished", "gone-back"} else None

    line: RolloutLine = until(ended, f"the rollout of {image} ends", BACK_WITHIN, 0.5)
    return line


def test_a_bad_image_is_stopped_at_the_canary(
    whole: Stack, metal: CloudClients, releases: dict[str, str]
) -> None:
    """Three customers' hosts and a rollout of an image that does not start: one host
    hears of it, and goes back by itself; no other is touched.
    """
    places = whole.places("rollout")
    names = [f"rollout-{n}@example.org" for n in range(3)]
    with ThreadPoolExecutor() as threads:
        signups = list(threads.map(lambda name: sign_up(places, name), names))
    hosts = [
        Instance(metal, shown["InstanceId"])
        for signup in signups
        for shown in whole.cloud.instances(signup.signup_id)
    ]
    for host in hosts:
        report_often(host)
    first = {one.image for one in whole.operator.insist(AskRollout()).running}

    def wished(image: str) -> int:
        """How many of the hosts were told it."""
        journals = [
            host.run("journalctl", "-u", "s4-program", "-o", "cat") for host in hosts
        ]
        return sum(f"{image} is wished" in journal for journal in journals)

    def running() -> set[str]:
        return {one.image for one in whole.operator.insist(AskRollout()).running}

    bad = end_of(whole, releases["broken"])
    assert bad.state == "gone-back"
    (trouble,) = bad.troubles
    assert trouble.what == TROUBLES["did-not-start"]
    assert wished(releases["broken"]) <= 1
    until(lambda: running() == first, "all run what they ran", BACK_WITHIN)


def test_operators_read_why_a_host_is_late(
    whole: Stack, metal: CloudClients, tmp_path: Path
) -> None:
    """A host that refuses its image cannot report: the daemon reads on its console why,
    in podman's own words, and has it ready for operators.
    """
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = tmp_path / "stranger.pem"
    key.write_bytes(stranger.public_bytes(*form))
    path = whole.layout.config / "daemon.yaml"
    right = path.read_text()
    settings = yaml.safe_load(right)
    settings["cells"][0]["program"]["signing_keys"] = [str(key)]
    whole.daemon.stop()
    write_private(path, yaml.safe_dump(settings))
    try:
        whole.start_daemon()
        customer = Customer(whole, "late@example.org")
        signup_id = customer.sign_up()
        whole.operator.wait_for(signup_id, "instance-launched")
        (shown,) = whole.cloud.instances(signup_id)
        host = Instance(metal, shown["InstanceId"])
        until(lambda: _REFUSED in host.console, "the host has refused its image")
        whole.daemon.stop()
        # Minutes, but for this test.
        whole.start_daemon(lost_hosts=1, late_claim=1)
        whole.operator.wait_for(signup_id, "claim-late")
        events = whole.operator.show(signup_id).events
        (told,) = [event for event in events if event.kind == "claim-late"]
        assert _REFUSED in str(told.why)
    finally:
        whole.daemon.stop()
        write_private(path, right)
