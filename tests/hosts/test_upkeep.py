"""How a host keeps itself."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from random import Random

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_protocol.ids import GRID_LABEL, base32
from lae_provision.hosts.upkeep import WINDOW_MINUTES, weekly_window, zincati
from tests.hosts.launches import IMAGE, SSH_KEY
from tests.identity.test_user_data import FURL, LABEL, SETTINGS, files, user_data

FOUND = files(user_data(SETTINGS, FURL, IMAGE, LABEL))
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def minute_of_week(label: str) -> int:
    window = weekly_window(label)
    hour, minute = window.start.split(":")
    return DAYS.index(window.day) * 1440 + int(hour) * 60 + int(minute)


@given(st.from_regex(GRID_LABEL))
def test_a_window_is_the_labels_and_within_one_day(label: str) -> None:
    """The same label always draws the same window, which ends by midnight."""
    assert weekly_window(label) == weekly_window(label)
    start = minute_of_week(label)
    assert start // 1440 == (start + WINDOW_MINUTES - 1) // 1440


@settings(max_examples=20)
@given(st.integers(min_value=0))
def test_hosts_do_not_reboot_together(seed: int) -> None:
    """Of 400 grids never more than a tenth may reboot in the same hour, and each day
    of the week has some.
    """
    drawn = Random(seed)
    labels = ["g" + base32(drawn.randbytes(10))[:15] for _ in range(400)]
    starts = [minute_of_week(label) for label in labels]
    together = Counter(
        hour for start in starts for hour in {start // 60, (start + 59) // 60}
    )
    assert max(together.values()) <= 40
    assert {start // 1440 for start in starts} == set(range(7))


def test_zincati_is_told_the_window() -> None:
    """Zincati's own form: a periodic strategy with one window of the week, in UTC."""
    told = tomllib.loads(FOUND["/etc/zincati/config.d/55-s4.toml"])["updates"]
    window = weekly_window(LABEL)
    assert told["strategy"] == "periodic"
    assert told["periodic"]["time_zone"] == "UTC"
    assert told["periodic"]["window"] == [
        {
            "days": [window.day],
            "start_time": window.start,
            "length_minutes": WINDOW_MINUTES,
        }
    ]
    assert zincati(window) == FOUND["/etc/zincati/config.d/55-s4.toml"]


def test_the_time_is_amazons() -> None:
    """chrony asks the time service that every VPC has, and no other."""
    servers = [
        line.split()[1]
        for line in FOUND["/etc/chrony.conf"].splitlines()
        if line.startswith(("server", "pool"))
    ]
    assert servers == ["169.254.169.123"]


def test_the_journal_is_bounded() -> None:
    """The journal may not fill the volume that holds the state."""
    assert "SystemMaxUse=256M" in FOUND["/etc/systemd/journald.conf.d/s4.conf"]


@pytest.mark.parametrize("address", ["ip daddr 169.254.169.254", "ip6 daddr fd00:ec2"])
def test_the_node_and_root_alone_reach_the_metadata_service(address: str) -> None:
    """Every other user of the host is refused the role's credentials."""
    (rule,) = (
        line.strip()
        for line in FOUND["/etc/nftables/s4-metadata.nft"].splitlines()
        if address in line
    )
    assert rule.endswith("meta skuid != { 0, 10001 } reject")


def masks(break_glass_key: str | None) -> set[str]:
    launch = evolve(IMAGE, break_glass_key=break_glass_key)
    document = json.loads(user_data(SETTINGS, FURL, launch, LABEL).reveal())
    assert ("passwd" in document) == (break_glass_key is not None)
    return {u["name"] for u in document["systemd"]["units"] if u.get("mask")}


def test_nobody_can_log_in() -> None:
    """Without a break-glass key there is neither SSH nor a prompt on the console."""
    assert {"sshd.service", "sshd.socket"} <= masks(None)
    assert {"getty@tty1.service", "serial-getty@ttyS0.service"} <= masks(None)


def test_a_break_glass_key_opens_ssh_alone() -> None:
    """With a key its owner logs in as core over SSH; the console stays closed."""
    assert masks(SSH_KEY) == masks(None) - {"sshd.service", "sshd.socket"}
    launch = evolve(IMAGE, break_glass_key=SSH_KEY)
    document = json.loads(user_data(SETTINGS, FURL, launch, LABEL).reveal())
    assert document["passwd"]["users"] == [
        {"name": "core", "sshAuthorizedKeys": [SSH_KEY]}
    ]
