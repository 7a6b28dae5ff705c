"""A rollout with the whole of S4 as processes: twenty hosts, a client that writes, and
a daemon, a host and a laptop's command that are killed.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest
import yaml
from attrs import define, field

from lae_localcloud.booter.booter import PROGRAMS
from lae_localcloud.booter.programs import Programs
from lae_localcloud.customer.laptop import Laptop
from lae_localcloud.customer.story import receive_mail, sign_up
from lae_localcloud.demo.parts import twistd_argv
from lae_localcloud.state_folder import write_private
from lae_protocol.ids import SignupId, signup_id_of_form
from lae_protocol.messages import Refused
from lae_protocol.operator_messages import AskPlans, GiveFree
from lae_protocol.rollout_messages import (
    AskRollout,
    RolloutState,
    StartRollout,
    SteerRollout,
)
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack

HOSTS = 20
#: Until all of them have changed on a busy machine.
PATIENCE = 600.0  # s
#: Between two writes of a client.
PACE = 0.2  # s
#: What a customer may be refused in a rollout.
REFUSED_AT_MOST = 60.0  # s
CRASH_POINTS = ("rollout.turned", "rollout.tried")

NODE = (*twistd_argv("lae-node"), "--config", "etc/s4/node.yaml")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A whole S4 of its own: what is finished here stays for all later hosts."""
    made = Stack.new(tmp_path / "s4")
    try:
        made.start_cloud()
        _hurry(made.layout.config / "daemon.yaml")
        made.start_daemon(rollout=1)
        made.start_site()
        made.until_site_knows(up=True)
        yield made
    finally:
        made.stop()


def _hurry(path: Path) -> None:
    """Hosts that report each two seconds."""
    settings = yaml.safe_load(path.read_text())
    settings["cells"][0]["node"] = {"report_seconds": 2}
    write_private(path, yaml.safe_dump(settings, sort_keys=False))


@define
class Writer:
    """A client that writes without a pause, and reads it all back in the end."""

    laptop: Laptop
    caps: dict[str, bytes] = field(factory=dict)
    #: The longest time between two writes that succeeded.
    longest_gap: float = 0.0
    _ended: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        assert self._thread is not None
        self._thread.join()

    def _write(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(PACE):
            data = secrets.token_bytes(2000)
            asked = urllib.request.Request(self.laptop.url + "/uri", data, method="PUT")
            with suppress(OSError):
                self.caps[_said(asked).decode()] = data
                now = time.monotonic()
                self.longest_gap = max(self.longest_gap, now - last)
                last = now

    def check(self) -> None:
        """Everything that was acknowledged reads back."""
        assert len(self.caps) > 2
        for cap, data in self.caps.items():
            assert _said(f"{self.laptop.url}/uri/{quote(cap, safe='')}") == data


def _said(asked: urllib.request.Request | str) -> bytes:
    with urllib.request.urlopen(asked, timeout=60) as opened:
        found: bytes = opened.read()
    return found


def _give(stack: Stack, number: int) -> SignupId:
    signup_id = signup_id_of_form(f"gift {number}".encode())
    (plan, *_) = stack.operator.insist(AskPlans()).plans
    email = f"c{number}@example.org"
    given = GiveFree(signup_id, email, plan.plan_id, "a test")
    assert not isinstance(stack.operator.insist(given), Refused)
    return signup_id


def _starts(stack: Stack) -> dict[str, int]:
    """How often each host's node was started."""
    return {
        instance_id: sum(service["starts"] for service in one["services"])
        for instance_id, one in stack.cloud.booted().items()
    }


def _rollout(stack: Stack) -> RolloutState:
    state: RolloutState = stack.operator.insist(AskRollout())
    return state


def _until_state(stack: Stack, state: str) -> RolloutState:
    def is_so() -> bool:
        told = _rollout(stack).rollout
        return told is not None and told.state == state

    until(is_so, f"a rollout that is {state}", PATIENCE, pause=0.5)
    return _rollout(stack)


def _start(program: str, canaries: int, step: int) -> StartRollout:
    return StartRollout(program, canaries, step, 0, "a test")


def test_a_bad_program_reaches_no_host_but_the_canary_and_a_good_one_all(
    stack: Stack,
) -> None:
    """Of twenty hosts a program that does not start reaches the canary alone, which goes
    back by itself.  A good one reaches all, though daemon, host and command are killed
    on its way: a client that goes on writing loses nothing and is refused for moments.
    """
    programs = Programs(stack.layout.aws / PROGRAMS)
    places = stack.places("writer")
    signup = sign_up(places, "writer@example.org")
    mail = receive_mail(places, signup)
    for number in range(1, HOSTS):
        _give(stack, number)
    rows = until(
        lambda: (
            [r for r in stack.operator.signups() if r.state == "active"][HOSTS - 1 :]
            and stack.operator.signups()
        ),
        "twenty customers are served",
        PATIENCE,
        pause=1.0,
    )
    furls = {row.signup_id: row.grid_label for row in rows}
    until(
        lambda: sum(one.hosts for one in _rollout(stack).running if one.image) == HOSTS,
        "twenty hosts say what they run",
        PATIENCE,
    )

    before = _starts(stack)
    bad = programs.publish(2, [sys.executable, "-c", "raise SystemExit(1)"])
    assert isinstance(stack.operator.insist(_start(bad, 1, 25)), RolloutState)
    refused = stack.operator.insist(_start(bad, 1, 25))
    assert isinstance(refused, Refused), "two at once"
    told = _until_state(stack, "gone-back")
    assert told.rollout is not None
    assert "the canary" in told.rollout.why
    assert "did not start" in told.rollout.why
    restarted = [one for one, starts in _starts(stack).items() if starts > before[one]]
    assert len(restarted) == 1

    laptop = places.laptop("laptop")
    try:
        laptop.join(mail)
        laptop.start()
        with Writer(laptop) as writer:
            good = programs.publish(2, NODE)
            stack.daemon.kill()
            for point in CRASH_POINTS:
                daemon = stack.start_daemon(crash_at=point, rollout=1)
                if point == CRASH_POINTS[0]:
                    _killed_command(stack, good)
                until(
                    lambda d=daemon: d.code is not None, f"it dies at {point}", PATIENCE
                )
                assert daemon.code == -signal.SIGKILL
            stack.start_daemon(rollout=1)
            _kill_one_that_was_told(stack)
            told = _until_state(stack, "finished")
        writer.check()
    finally:
        laptop.stop()
    assert [(one.image, one.hosts) for one in told.running] == [(good, HOSTS)]
    assert told.floor == 2
    assert writer.longest_gap < REFUSED_AT_MOST
    assert {r.signup_id: r.grid_label for r in stack.operator.signups()} == furls
    late = stack.operator.insist(SteerRollout(2, "back", "a test"))
    assert isinstance(late, Refused)


def _killed_command(stack: Stack, program: str) -> None:
    """``lae rollout start`` that is killed before it hears the answer: it was begun, or
    it was not, and then the next command begins it.
    """
    command = (
        *(sys.executable, "-m", "lae_protocol.process.command", "rollout", "start"),
        *("--canary", "2", "--step", "50", "--pause", "0m", "--reason", "a test"),
        *("--furl-file", str(stack.layout.operator_furl), program),
    )
    environment: dict[str, Any] = {**os.environ, "S4_OPERATOR_FURL_FILE": ""}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as lae:
        until(
            lambda: lae.poll() is not None or _is_begun(stack, program),
            "it was begun",
        )
        lae.kill()
    assert _is_begun(stack, program)


def _is_begun(stack: Stack, program: str) -> bool:
    query = "SELECT 1 FROM rollouts WHERE image = ?"
    return bool(stack.journal_says(query, program))


def _kill_one_that_was_told(stack: Stack) -> None:
    """Kill -9 of a host that changes its program, or has just done so."""
    query = (
        "SELECT instance_id FROM hosts JOIN rollout_hosts USING (signup_id, generation)"
        " WHERE rollout = 2"
    )
    ((instance_id,), *_) = until(
        lambda: stack.journal_says(query), "a host was told", PATIENCE
    )
    stack.cloud.control.post(f"instances/{instance_id}/kill")
