"""The script by which root changes the node's program: a real shell with real jq.

podman, systemctl and the pull are stand-ins that answer, and note their words; the clock
is a file.  Each run looks once, or until the script waits for the next wish.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, define, evolve

from lae_provision.hosts.program_change import ProgramState
from lae_provision.hosts.program_unit import (
    PROVE_WITHIN,
    PULL_AGAIN,
    UNIT_TEXT,
    judging_script,
)
from tests.hosts.launches import IMAGE, REFERENCE

REPOSITORY = REFERENCE.repository
OLD, NEW = (f"{REPOSITORY}@sha256:{n * 64}" for n in "01")
STANDS = ProgramState(OLD, release=1)

#: Ends the script when it would wait for the next wish; other waits pass at once.
SLEEP = """#!/bin/sh
read -r up _ <"$HOST/proc/uptime"
case $1 in
2)
  passes=$(cat "$HOST/passes")
  [ "$passes" -gt 0 ] || exit 1
  echo $((passes - 1)) >"$HOST/passes"
  echo "$((${up%.*} + 10)).5 1" >"$HOST/proc/uptime"
  ;;
*) echo "$((${up%.*} + 20)).5 1" >"$HOST/proc/uptime" ;;
esac
"""
PODMAN = """#!/bin/sh
echo "podman $*" >>"$HOST/words"
for last; do :; done
case "$1 $2" in
"image exists") test -e "$HOST/labels/${last##*:}" ;;
"image inspect") cat "$HOST/labels/${last##*:}" ;;
"images --digests") cat "$HOST/kept" ;;
esac
"""
PULL = """#!/bin/sh
echo "s4-pull $*" >>"$HOST/words"
cat "$HOST/pulls"
test ! -s "$HOST/pulls"
"""
#: Starts what stands, as the unit does: it proves itself where the test says so.
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >>"$HOST/words"
[ "$1" = restart ] || exec cat "$HOST/active"
program=$(jq -r 'if .trial == "" then .current else .trial end' "$HOST{state}")
echo "S4_PROGRAM=$program" >"$HOST/run/s4/program.env"
rm -f "$HOST{proved}"
if grep -qx "$program" "$HOST/die"; then kill -9 $(cut -d" " -f4 /proc/$PPID/stat); fi
if grep -qx "$program" "$HOST/prove"; then touch "$HOST{proved}"; fi
! grep -qx "$program" "$HOST/fail"
""".format(state="/etc/s4-program/state.json", proved="/var/lib/s4/program/proved")
#: What is renamed into its place was synced before.
SYNC = """#!/bin/sh
echo "sync $1" >>"$HOST/synced"
"""
SETPRIV = """#!/bin/sh
echo "setpriv $*" >>"$HOST/words"
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""


@define(frozen=True)
class Host:
    """A folder that is a host's root."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name.lstrip("/")

    def write(self, name: str, text: str) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def stand(self, standing: ProgramState, started: str | None = None) -> None:
        self.write("/etc/s4-program/state.json", json.dumps(asdict(standing)))
        self.write("/run/s4/program.env", f"S4_PROGRAM={started or standing.runs}\n")

    def wish(self, program: str, floor: int = 0) -> None:
        told = json.dumps({"program": program, "floor": floor})
        self.write("/var/lib/s4/program/wanted.json", told)

    def label(self, program: str, text: str) -> None:
        self.write(f"labels/{program.rpartition(':')[2]}", text + "\n")

    def look(self, passes: int = 0, *, dies: bool = False) -> None:
        """Start the script; it ends when it has looked and waited *passes* times."""
        self.write("passes", str(passes))
        self.write("words", "")
        script = judging_script(IMAGE)
        for place in ("/etc/", "/var/", "/run/", "/proc/"):
            script = script.replace(place, f"{self.folder}{place}")
        self.write("script", script)
        done = subprocess.run(
            ["sh", self.path("script")],
            env={
                "PATH": f"{self.folder / 'bin'}:{os.defpath}",
                "HOST": str(self.folder),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == (-signal.SIGKILL if dies else 1), done.stderr
        assert "error" not in done.stderr
        self.write("said", done.stderr)

    @property
    def standing(self) -> ProgramState:
        return ProgramState(
            **json.loads(self.path("/etc/s4-program/state.json").read_text())
        )

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.path("/etc/s4/program.json").read_text())
        return told

    @property
    def words(self) -> list[str]:
        noted = self.path("words").read_text().splitlines()
        return [line for line in noted if not line.startswith(("setpriv", "podman"))]


RESTART = "systemctl restart s4-node.service"
BACK = "systemctl restart --no-block s4-node.service"
ACTIVE = "systemctl is-active --quiet s4-node.service"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """It runs the old image, and all that is wished can be pulled and proves itself."""
    made = Host(tmp_path)
    for name in ("proc/uptime", "pulls", "die", "fail", "active", "kept"):
        made.write(name, "")
    made.write("proc/uptime", "1000.5 1\n")
    made.write("prove", f"{OLD}\n{NEW}\n")
    made.path("/etc/s4").mkdir(parents=True)
    programs = {"sleep": SLEEP, "podman": PODMAN, "s4-pull": PULL, "sync": SYNC}
    for name, text in (programs | {"systemctl": SYSTEMCTL, "setpriv": SETPRIV}).items():
        made.write(f"bin/{name}", text)
        made.path(f"bin/{name}").chmod(0o755)
    made.stand(STANDS)
    made.label(OLD, "1")
    made.label(NEW, "2")
    return made


def test_a_new_program(host: Host) -> None:
    """It is pulled before anything is restarted, and then the node may tell of it."""
    host.wish(NEW)
    host.look()
    assert host.words == [f"s4-pull {NEW}", RESTART]
    assert host.standing == ProgramState(NEW, 2, OLD)
    assert host.told == {"program": NEW, "release": 2, "trouble": "", "refused": ""}
    told = host.path("/etc/s4/program.json")
    assert stat.S_IMODE(told.stat().st_mode) == 0o644
    kept = host.path("/etc/s4-program/state.json")
    synced = host.path("synced").read_text().splitlines()
    assert synced[-4:] == [
        *(f"sync {kept}.new", f"sync {kept.parent}"),
        *(f"sync {told}.new", f"sync {told.parent}"),
    ]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_host_that_starts(host: Host) -> None:
    """The node may tell what runs before there is any wish; the number is read once the
    image is here.
    """
    host.stand(ProgramState(OLD))
    host.path(f"labels/{'0' * 64}").unlink()
    host.look()
    assert host.told["program"] == OLD
    assert host.told["release"] == 0
    host.label(OLD, "7")
    host.look()
    assert host.told["release"] == 7
    assert host.words == []


@pytest.mark.parametrize(
    ("why", "how"),
    [("it does not start", "fail"), ("it starts and serves nothing", "serve")],
)
def test_a_program_that_does_not_prove_itself(host: Host, why: str, how: str) -> None:
    """What ran before is started again, and tried is it no more, also by a new start of
    the script.
    """
    host.write("prove", f"{OLD}\n")
    if how == "fail":
        host.write("fail", NEW + "\n")
    host.wish(NEW)
    host.look()
    waits = [] if how == "fail" else [ACTIVE] * (PROVE_WITHIN // 20)
    assert host.words == [f"s4-pull {NEW}", RESTART, *waits, BACK], why
    gone_back = evolve(STANDS, refused=NEW, trouble="did-not-start")
    assert host.standing == gone_back
    assert host.told == {
        "program": OLD,
        "release": 1,
        "trouble": "did-not-start",
        "refused": NEW,
    }
    host.look()
    assert (host.words, host.standing) == ([], gone_back)


def test_a_program_that_dies_before_it_proves_itself(host: Host) -> None:
    """Nobody waits for a unit that is down: what ran before starts at once, and what is
    left of the trial is not asked to stop.
    """
    host.write("prove", "")
    host.path("active").unlink()
    host.wish(NEW)
    host.look()
    assert host.words == [f"s4-pull {NEW}", RESTART, ACTIVE, BACK]
    lines = host.path("words").read_text().splitlines()
    assert lines.index("podman kill s4-node") == lines.index(BACK) - 1


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ("A signature was required, but no signature exists", "not-signed"),
        ("cryptographic signature verification failed", "not-signed"),
        ("Signature for identity x is not accepted", "not-signed"),
        ("Running image docker://x is rejected by policy.", "not-signed"),
        ("dial tcp: connection refused", "cannot-pull"),
        ("s4-log-in: ECR gives no token", "cannot-pull"),
        ("no space left on device", "cannot-pull"),
    ],
)
def test_what_cannot_be_pulled(host: Host, said: str, trouble: str) -> None:
    """What runs is not touched, and the console has podman's words."""
    host.write("pulls", said)
    host.wish(NEW)
    host.look()
    assert host.words == [f"s4-pull {NEW}"]
    assert (host.told["trouble"], host.told["refused"]) == (trouble, NEW)
    assert said in host.path("said").read_text()


def test_a_pull_is_tried_again(host: Host) -> None:
    """After a minute, as long as it is wished; then the image is taken."""
    host.write("pulls", "connection refused")
    host.wish(NEW)
    host.look(passes=PULL_AGAIN // 10 - 1)
    assert host.words == [f"s4-pull {NEW}"]
    host.look(passes=PULL_AGAIN // 10)
    assert host.words == [f"s4-pull {NEW}"] * 2
    host.write("pulls", "")
    host.look()
    assert host.told == {"program": NEW, "release": 2, "trouble": "", "refused": ""}


def test_another_repository_is_not_asked(host: Host) -> None:
    """Nothing of it is pulled, though it may be signed."""
    other = NEW.replace("/node@", "/other@")
    host.wish(other)
    host.look()
    assert host.words == []
    assert (host.told["trouble"], host.told["refused"]) == ("other-repository", other)


@pytest.mark.parametrize("label", ["2", "", "<no value>", "02", "-3", "3; reboot"])
def test_below_the_floor(host: Host, label: str) -> None:
    """An old image with a good signature is not started, nor one without a number."""
    host.stand(evolve(STANDS, release=5, floor=3))
    host.label(NEW, label)
    host.wish(NEW)
    host.look()
    assert host.words == [f"s4-pull {NEW}"]
    assert (host.told["program"], host.told["trouble"]) == (OLD, "below-floor")
    assert host.standing.floor == 3


def test_the_floor_rises(host: Host) -> None:
    """The daemon's word is kept, up to what runs."""
    host.wish("", 9)
    host.look()
    assert host.standing.floor == 1


def test_a_wish_that_comes_while_another_is_tried(host: Host) -> None:
    """It is not missed: the script looks once more before it waits."""
    third = f"{REPOSITORY}@sha256:{'2' * 64}"
    host.label(third, "3")
    host.write("prove", f"{NEW}\n{third}\n")
    host.wish(NEW)
    wish = host.path("/var/lib/s4/program/wanted.json")
    later = wish.with_name("later")
    later.write_text(json.dumps({"program": third, "floor": 0}))
    # The node writes it while it is stopped.
    once = f"[ ! -e {later} ] || mv {later} {wish}; touch {wish}\n{SYSTEMCTL[10:]}"
    host.write("bin/systemctl", f"#!/bin/sh\n{once}")
    host.look(passes=1)
    assert [w for w in host.words if w != RESTART] == [
        f"s4-pull {NEW}",
        f"s4-pull {third}",
    ]
    assert host.standing == ProgramState(third, 3, NEW)


def test_killed_while_it_tries(host: Host) -> None:
    """A new start waits for the trial that was started, and starts it no second time."""
    host.write("die", NEW + "\n")
    host.write("prove", "")
    host.wish(NEW)
    host.look(dies=True)
    assert host.standing.trial == NEW
    host.write("die", "")
    host.path("/var/lib/s4/program/proved").touch()
    host.look()
    assert host.words == []
    assert host.standing == ProgramState(NEW, 2, OLD)


def test_killed_before_it_tries(host: Host) -> None:
    """What was decided and not begun is begun."""
    host.stand(evolve(STANDS, trial=NEW, trial_release=2), started=OLD)
    host.wish("")
    host.look()
    assert host.words == [RESTART]
    assert host.standing == ProgramState(NEW, 2, OLD)


def test_killed_on_its_way_back(host: Host) -> None:
    """What stands is started, and then the wish is looked at again."""
    host.stand(evolve(STANDS, refused=NEW, trouble="did-not-start"), started=NEW)
    host.wish("")
    host.look(passes=1)
    assert host.words == [BACK]
    assert host.standing == STANDS


def test_old_images_go(host: Host) -> None:
    """Before a pull all images go but the one that stands."""
    host.write("kept", f"{OLD}\n{OLD}\nx.io/d/node@sha256:{'9' * 64}\n")
    host.wish(NEW)
    host.look()
    removed = [w for w in host.path("words").read_text().splitlines() if " rmi " in w]
    assert removed == [f"podman rmi x.io/d/node@sha256:{'9' * 64}"]


@pytest.mark.parametrize("what", ["fifo", "link", "large", "torn", "folder"])
def test_a_node_that_is_broken_into(host: Host, what: str) -> None:
    """Root reads its wish as the node's own user, not for long and not much of it; what
    is no wish changes nothing.
    """
    wish = host.path("/var/lib/s4/program/wanted.json")
    wish.parent.mkdir(parents=True)
    match what:
        case "fifo":
            os.mkfifo(wish)
        case "link":
            wish.symlink_to("/dev/zero")
        case "large":
            wish.write_text(json.dumps({"program": NEW + " " * 5000, "floor": 0}))
        case "torn":
            wish.write_text('{"program": "')
        case "folder":
            wish.mkdir()
    host.write("bin/timeout", '#!/bin/sh\nshift\nexec /usr/bin/timeout 0.5 "$@"\n')
    host.path("bin/timeout").chmod(0o755)
    host.look()
    (read,) = {w for w in host.path("words").read_text().splitlines() if "setpriv" in w}
    assert read.startswith("setpriv --reuid=10001 --regid=10001 --clear-groups timeout")
    assert (host.words, host.standing) == ([], STANDS)


def test_the_unit_is_started_again() -> None:
    """Whatever ends it, it looks again within seconds, and is never given up."""
    lines = UNIT_TEXT.splitlines()
    assert {"Restart=always", "RestartSec=5", "StartLimitIntervalSec=0"} <= set(lines)
    assert shutil.which("jq")
