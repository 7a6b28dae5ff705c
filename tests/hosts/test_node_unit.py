"""The unit that runs the node's image."""

from __future__ import annotations

import shlex

import pytest

from lae_provision.hosts.node_unit import unit
from lae_provision.hosts.programs import CommandLaunch
from tests.hosts.launches import IMAGE, REFERENCE

TEXT = unit(IMAGE)
RUN = shlex.split(
    next(line for line in TEXT.splitlines() if line.startswith("ExecStart="))
)


def settings(key: str) -> list[str]:
    """All values of *key*."""
    lines = (line.partition("=") for line in TEXT.splitlines())
    return [value for name, _, value in lines if name == key]


@pytest.mark.parametrize(
    "word",
    [
        "--user=10001:10001",
        "--read-only",
        "--read-only-tmpfs=false",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--pull=never",
        "--network=host",
        "--sdnotify=container",
        "--volume=/etc/s4:/etc/s4:ro,Z",
        "--volume=/var/lib/s4:/var/lib/s4:Z",
        "--health-on-failure=kill",
    ],
)
def test_what_confines_the_container(word: str) -> None:
    """The container gets what the node needs and nothing more; podman pulls nothing
    that the pull script has not pulled.
    """
    assert word in RUN


def test_the_container_writes_nowhere_else() -> None:
    """The state's folder is the only place on the disk that the node can write to."""
    mounts = [w for w in RUN if w.startswith(("--volume", "--mount"))]
    assert [m for m in mounts if ":ro" not in m] == [
        "--volume=/var/lib/s4:/var/lib/s4:Z"
    ]
    (tmpfs,) = (w for w in RUN if w.startswith("--tmpfs"))
    assert tmpfs.startswith("--tmpfs=/tmp:")
    assert {"nosuid", "nodev", "noexec"} <= set(tmpfs.split(":")[1].split(","))


def test_the_image_gets_its_settings() -> None:
    """After the image that stands come the words that its entrypoint is given.  systemd
    reads what stands anew at each start, from what the pull before has written.
    """
    assert RUN[-3:] == ["${S4_PROGRAM}", "--config", "/etc/s4/node.yaml"]
    assert settings("EnvironmentFile") == ["-/run/s4/program.env"]
    assert REFERENCE.text not in TEXT


def test_the_console_shows_what_the_journal_has() -> None:
    """Operators see the unit's words on EC2's console, and nothing is logged twice."""
    assert settings("StandardOutput") == ["journal+console"]
    assert settings("StandardError") == ["journal+console"]
    assert "--log-driver=passthrough" in RUN


def test_a_node_that_does_not_come_up_is_tried_ever_more_rarely() -> None:
    """The pauses grow from one second to one minute, and begin anew once it is up;
    it is never given up.
    """
    assert settings("Restart") == ["always"]
    assert settings("StartLimitIntervalSec") == ["0"]
    assert settings("RestartSec") == ["1"]
    assert settings("RestartSteps") == ["5"]
    assert settings("RestartMaxDelaySec") == ["60"]
    assert settings("ExecStartPost") == [
        "/usr/bin/systemctl reset-failed s4-node.service"
    ]


def test_the_metadata_rules_come_before_the_container() -> None:
    """No container runs on a host without the rules; then the image is pulled."""
    assert settings("ExecStartPre") == [
        "/usr/sbin/nft -f /etc/nftables/s4-metadata.nft",
        "/usr/local/bin/s4-pull",
    ]


def test_systemd_waits_for_podman_and_podman_for_the_node() -> None:
    """podman's patience with the node ends before systemd's with podman."""
    (stop,) = settings("ExecStop")
    (patience,) = settings("TimeoutStopSec")
    assert "--time=20 " in stop
    assert int(patience) > 20


def test_a_command_keeps_its_short_pause() -> None:
    """What the local cloud boots as processes has neither podman nor growing pauses."""
    text = unit(CommandLaunch(("/opt/s4/bin/twistd",)))
    assert "podman" not in text
    assert "RestartSteps" not in text
    assert "TimeoutStopSec=20" in text
