"""Instances as machines: what EC2's own do when they are switched on and off."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lae_localcloud.demo.layout import HOST_PORTS
from lae_localcloud.metal.doors import AWS
from lae_localcloud.metal.namespace import Namespace
from lae_localcloud.metal.rules import METADATA, SERVICES
from tests.end_to_end.process import until
from tests.localcloud.conftest import CloudClients
from tests.metal.instance import SPEAKING, Instance, Launcher, ignition


class TestBoot:
    """Power-on."""

    def test_first_boot(self, host: Instance) -> None:
        """Real Ignition writes what the user-data names, and systemd runs it."""
        assert host.run("cat", "/etc/s4/told") == "by Ignition"
        assert host.run("systemctl", "is-system-running", "--wait").strip() == "running"
        assert host.run("cat", "/proc/1/comm").strip() == "systemd"
        assert host.run("hostname").strip().startswith("ip-10-78-0-")
        assert "NOT encrypted" in host.console

    def test_machine_is_left_alone(self, host: Instance) -> None:
        """systemd in it changes no setting of the whole machine, and no disk of it is
        within reach.
        """
        wish = "echo 5 > /proc/sys/fs/nr_open || echo no"
        assert host.run("sh", "-c", wish).strip() == "no"
        if Path("/sys/fs/cgroup/devices").exists():
            node = "mknod /root/disk b 254 0 && head -c 1 /root/disk || echo no"
            assert host.run("sh", "-c", node).strip() == "no"

    def test_late_metadata(self, launcher: Launcher, metal: CloudClients) -> None:
        """Ignition asks until the metadata service answers, and boots then."""
        with metal.slow(boot=1.5):
            late = launcher.launch(ignition(speaking=SPEAKING))
            until(lambda: late.control("cut")["cut"], "it has a cable", 30)
        in_vain = ("ss", "-Htn", "state", "syn-sent", "dst", "169.254.169.254")
        there = ("nsenter", f"--net=/run/netns/{late.listed['namespace']}")

        def asks_in_vain() -> bool:
            asking = subprocess.run(
                [*there, *in_vain], stdout=subprocess.PIPE, check=True
            )
            return asking.stdout != b""

        until(asks_in_vain, "Ignition asks", 30)
        assert "the instance speaks" not in late.console
        late.control("mend")
        late.wait_until_it_speaks()

    def test_what_is_no_ignition(self, launcher: Launcher) -> None:
        """A machine that cannot be booted stays on, and its console says why."""
        broken = launcher.launch("#!/bin/sh\necho no Ignition\n")
        until(lambda: "has not booted" in broken.console, "it is over", 30)
        assert "Ignition failed" in broken.console
        assert broken.state == "running"


class TestPower:
    """Switched off and on, from within and from without."""

    def test_reboot_from_within(self, host: Instance) -> None:
        """It comes back with its disk and its address; Ignition is not run again."""
        address = host.wait_for_address()
        host.run("sh", "-c", "echo by hand > /etc/s4/told")
        host.run("systemctl", "reboot")
        host.wait_until_it_speaks()
        assert host.run("cat", "/etc/s4/told").strip() == "by hand"
        assert (host.state, host.public) == ("running", address)

    def test_reboot_from_without(self, host: Instance, metal: CloudClients) -> None:
        """EC2's button reboots it in its own time."""
        before = host.console.count("Rebooting.")
        metal.client("ec2").reboot_instances(InstanceIds=[host.instance_id])
        host.wait_until_it_speaks()
        assert host.console.count("Rebooting.") == before + 1
        assert host.state == "running"

    def test_stop_and_start(self, host: Instance, metal: CloudClients) -> None:
        """A stopped one keeps its disk and its private address, and has another public
        one after its start.
        """
        public, private = host.wait_for_address(), host.private
        host.run("sh", "-c", "echo kept > /root/kept")
        ec2 = metal.client("ec2")
        ec2.stop_instances(InstanceIds=[host.instance_id])
        host.wait_for("stopped")
        assert host.public is None
        ec2.start_instances(InstanceIds=[host.instance_id])
        host.wait_until_it_speaks()
        assert host.run("cat", "/root/kept").strip() == "kept"
        assert host.private == private
        assert host.wait_for_address() != public

    def test_power_off_from_within(self, host: Instance, metal: CloudClients) -> None:
        """What was launched so stops; EC2 can start it again."""
        host.run("systemctl", "poweroff")
        host.wait_for("stopped")
        metal.client("ec2").start_instances(InstanceIds=[host.instance_id])
        host.wait_until_it_speaks()

    def test_crash(self, host: Instance) -> None:
        """Where its host fails, EC2 starts it again elsewhere with its disk."""
        host.run("sh", "-c", "echo still > /root/kept; sync")
        host.control("kill")
        host.wait_until_it_speaks()
        assert host.run("cat", "/root/kept").strip() == "still"
        assert host.state == "running"

    def test_end_from_within(self, launcher: Launcher, metal: CloudClients) -> None:
        """What was launched so is terminated by its own shutdown: nothing is left of
        it.  Its disk was as large as asked for, and it had no public address yet.
        """
        volume = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 12}}
        with metal.slow(address=600.0):
            ending = launcher.speaking(
                InstanceInitiatedShutdownBehavior="terminate",
                BlockDeviceMappings=[volume],
            )
        assert ending.state == "running"
        assert ending.public is None
        assert ending.private.startswith("10.78.0.")
        size = ending.run("df", "--output=size", "-BG", "/").split()[1]
        assert size in ("11G", "12G")
        listed = ending.listed
        ending.run("systemctl", "poweroff")
        ending.wait_for("terminated")
        assert not Path(listed["directory"], "volume.img").exists()
        assert not Path("/run/netns", listed["namespace"]).exists()
        assert not list(Path("/sys/fs/cgroup").glob(f"*/{listed['namespace']}"))


def test_group_is_changed(host: Instance, metal: CloudClients) -> None:
    """What EC2 is told of a security group is so at once for the hosts that are in it."""
    address, port = host.wait_for_address(), HOST_PORTS[0]
    client = Namespace(f"{metal.facts['inside']['prefix']}-client")
    ec2, group = metal.client("ec2"), metal.facts["security_group_id"]
    (told,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]

    with Namespace(host.listed["namespace"]).listen("0.0.0.0", port) as serving:
        serving.settimeout(1.0)

        def reached() -> bool:
            with client.new_socket() as asking:
                asking.settimeout(1.0)
                if asking.connect_ex((address, port)):
                    return False
            serving.accept()[0].close()
            return True

        assert reached()
        rules = told["IpPermissions"]
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rules)
        until(lambda: not reached(), "the group lets nobody in", 10)
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
        until(reached, "the group lets in again", 10)


class TestMetadata:
    """What the metadata service tells."""

    def test_metadata(self, host: Instance) -> None:
        """IMDSv2 tells an instance of itself, and takes no question without a token."""
        address = host.wait_for_address()
        ask = """
        at=http://169.254.169.254/latest
        h=X-aws-ec2-metadata-token
        t=$(curl -sX PUT -H "$h-ttl-seconds: 60" $at/api/token)
        for it in instance-id public-ipv4 local-ipv4; do
            curl -s -H "$h: $t" $at/meta-data/$it; echo
        done
        curl -s -o /dev/null -w '%{http_code}' $at/meta-data/instance-id
        """
        told = host.run("sh", "-c", ask).split()
        assert told == [host.instance_id, address, host.private, "401"]

    def test_user_data_is_its_own(self, host: Instance, launcher: Launcher) -> None:
        """Instances are told apart by where they ask from."""
        other = launcher.speaking({"/etc/who": "the other"})
        assert other.run("cat", "/etc/who") == "the other"
        assert host.run("cat", "/etc/who", check=False) == ""

    def test_hop_limit(self, host: Instance) -> None:
        """What is behind a host, as a container in a network of its own, gets no answer
        of the metadata service, though it gets others'.
        """
        namespace = Namespace(host.listed["namespace"])
        behind = Namespace(f"{namespace.name}-behind")
        behind.make()
        try:
            lead_out(behind, namespace)
            assert status(behind, f"http://{SERVICES}:{AWS}/") == "403"
            assert status(behind, f"http://{METADATA}/latest/") == "000"
            assert status(namespace, f"http://{METADATA}/latest/") == "401"
        finally:
            behind.remove()
            namespace.nft("delete table ip behind\n")


def lead_out(behind: Namespace, host: Namespace) -> None:
    """Let what is in *behind* reach out by way of *host*, as a container would."""
    host.ip(
        f"link add inner type veth peer name eth0 netns {behind.name}",
        "addr add 10.99.0.1/24 dev inner",
        "link set inner up",
    )
    behind.ip(
        "addr add 10.99.0.2/24 dev eth0",
        "link set eth0 up",
        "route add default via 10.99.0.1",
    )
    forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    subprocess.run([*host.words(), "sh", "-c", forward], check=True)
    host.nft(
        "table ip behind { chain out { type nat hook postrouting priority 100;"
        " oifname eth0 masquerade; }; }\n"
    )


def status(there: Namespace, url: str) -> str:
    """The status of the answer; 000 where there is none."""
    asked = ("curl", "-s", "-m", "1", "-o", "/dev/null", "-w", "%{http_code}", url)
    argv = [*there.words(), *asked]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout
