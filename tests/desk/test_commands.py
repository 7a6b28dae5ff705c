"""``lae subscriptions`` and ``lae events``, run as operators run them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import define

from tests import forks
from tests.forks import Forked

HERE = Path(__file__).parent
SERVER = HERE / "operator_daemon.py"
LAE = Path(sys.executable).with_name("lae")

sys.path.insert(0, str(HERE))
try:
    from operator_daemon import EMAILS, id_of, label_of
finally:
    sys.path.remove(str(HERE))

ACTIVE, STUCK, BOUNCING, LAST = id_of(0), id_of(1), id_of(2), id_of(11)


@define(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def run(env: Mapping[str, str], *commands: Sequence[str]) -> list[Ran]:
    """Run ``lae`` with each of these arguments, side by side."""

    def one(arguments: Sequence[str]) -> Ran:
        done = forks.ours().run([LAE, *arguments], env=env)
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(one, commands))


@define
class Daemon:
    """A daemon's private Tub, in a process of its own."""

    folder: Path
    process: Forked

    def tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def wait_until_asked(self) -> None:
        """Wait until it was asked what it does not answer any more."""
        assert self.process.stdout.readline() == "asked\n"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def environment(self, furl: str = "operator.furl") -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "S4_OPERATOR_FURL_FILE": str(self.folder / furl),
            "LC_ALL": "C.UTF-8",
        }

    def popen(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        more = {"env": self.environment(), "stdout": subprocess.PIPE} | more
        more = {"stderr": subprocess.PIPE, "text": True} | more
        return subprocess.Popen([LAE, *arguments], **more)

    def lae(self, *arguments: str, furl: str = "operator.furl") -> Ran:
        (told,) = self.all(arguments, furl=furl)
        return told

    def all(
        self, *commands: Sequence[str], furl: str = "operator.furl", at_once: int = 4
    ) -> list[Ran]:
        told: list[Ran] = []
        for n in range(0, len(commands), at_once):
            told += run(self.environment(furl), *commands[n : n + at_once])
        for one in told:
            assert "Traceback" not in one.out + one.err
        return told

    def json(self, *arguments: str) -> Any:
        told = self.lae(*arguments, "--json")
        assert (told.code, told.err) == (0, "")
        content = json.loads(told.out)
        assert content.pop("version") == 1
        return content


def begin(folder: Path) -> Daemon:
    folder.mkdir(mode=0o700, exist_ok=True)
    process = forks.ours().start(
        [sys.executable, SERVER, folder],
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == "ready\n"
    return Daemon(folder, process)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for the tests that do not change it."""
    daemon = begin(tmp_path_factory.mktemp("daemon") / "d")
    yield daemon
    daemon.end()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon for one test."""
    daemon = begin(tmp_path / "d")
    yield daemon
    daemon.end()


def in_terminal(daemon: Daemon, width: int, *arguments: str) -> list[str]:
    """The lines that a terminal of this width shows, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = daemon.environment() | {"TERM": "xterm"}
    running = daemon.popen(
        *arguments, stdout=theirs, stderr=theirs, env=environment, text=False
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux's way to say that the other end is closed
            break
        told += piece
    os.close(ours)
    assert running.wait() == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", told.decode())
    assert "\x1b" not in plain
    return [line.rstrip() for line in plain.replace("\r", "").splitlines()]


def test_list(shared) -> None:
    """All signups, newest first, one to a line, whole, when there is no terminal."""
    told = shared.lae("subscriptions", "list")
    header, *rows = told.out.splitlines()
    assert header.split() == [
        "signup", "state", "address", "plan", "grid", "since", "(UTC)", "problem"
    ]  # fmt: skip
    assert [row.split()[0] for row in rows] == [id_of(n) for n in reversed(range(12))]
    for number, row in enumerate(reversed(rows)):
        assert EMAILS[number] in row
        assert label_of(number) in row
    assert "(bouncing)" in rows[-3]
    assert "no room for instances of this type (InsufficientCapacity)" in rows[-2]


def test_list_as_json(shared) -> None:
    """The JSON has a version, every field, and says whether there are more."""
    told = shared.json("subscriptions", "list")
    assert told["more"] is False
    assert len(told["signups"]) == 12
    row = told["signups"][-1]
    assert row | {"created_at": "", "changed_at": ""} == {
        "signup_id": ACTIVE,
        "state": "active",
        "email": "ann@example.org",
        "email_state": "unconfirmed",
        "plan_id": "basic-250",
        "grid_label": label_of(0),
        "instance_id": "i-0123456789abcdef0",
        "created_at": "",
        "changed_at": "",
        "problem": None,
        "leaving": False,
        "ends_at": None,
        "awaits_confirmation": False,
    }
    assert row["created_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--state", "paid"], [1]),
        (["--state", "active"], [0]),
        (["--state", "cancelled"], []),
        (["--search", "ann@"], [11, 0]),
        (["--search", "O'NEIL"], [1]),
        (["--search", "exämple"], [1]),
        (["--search", ACTIVE[:12]], [0]),
        (["--search", label_of(4)], [4]),
        (["--search", "%"], []),
        (["--search", "'; DROP TABLE signups"], []),
        (["--search", "ann@", "--state", "registered"], [11]),
        (["--limit", "3"], [11, 10, 9]),
    ],
)
def test_filters(shared, options, expected) -> None:
    """State and search narrow the list; what matches nothing is an empty list."""
    told = shared.json("subscriptions", "list", *options)
    assert [r["signup_id"] for r in told["signups"]] == [id_of(n) for n in expected]
    assert told["more"] is ("--limit" in options)


def test_nothing_found(shared) -> None:
    """An empty list is said in words."""
    told = shared.lae("subscriptions", "list", "--state", "cancelled")
    assert (told.code, told.out) == (0, "No such subscriptions.\n")


def test_more(shared) -> None:
    """A list that was cut says so, and what to do about it."""
    told = shared.lae("subscriptions", "list", "--limit", "2")
    assert len(told.out.splitlines()) == 4
    assert told.out.splitlines()[-1].startswith("There are more than these 2:")
    every = shared.lae("subscriptions", "list", "--limit", "2", "--all")
    assert len(every.out.splitlines()) == 13


@pytest.mark.parametrize("width", [80, 120, 200])
def test_terminal(shared, width) -> None:
    """On a terminal no line is longer than it, and no id or state is broken."""
    for arguments in (
        ["subscriptions", "list"],
        ["subscriptions", "show", STUCK],
        ["events", STUCK],
    ):
        lines = in_terminal(shared, width, *arguments)
        assert max(map(len, lines)) <= width
        assert lines[0].startswith(("signup", "number"))
    lines = in_terminal(shared, width, "subscriptions", "list")
    beginnings = [line.split()[:2] for line in lines if line.startswith("su")]
    assert [id_of(1), "paid"] in beginnings
    assert len([b for b in beginnings if b[0] in map(id_of, range(12))]) == 12
    # A long address takes lines of its own table cell, not the table's shape.
    assert len(lines) < 30


def test_markup_is_text(shared) -> None:
    """An address that looks like markup is shown as it is."""
    lines = in_terminal(shared, 200, "subscriptions", "list")
    assert any("[bold]rich@example.org" in line for line in lines)


def test_show(shared) -> None:
    """One subscription: facts, effects with their attempts, events."""
    told = shared.lae("subscriptions", "show", STUCK)
    facts, effects, events = told.out.split("\n\n")
    assert "o'neil+x&co@exämple.org (unconfirmed)" in facts
    assert re.search(r"^problem +the cloud has no room", facts, re.MULTILINE)
    assert re.search(r"^host +make-host +1 +failed .* no room", effects, re.MULTILINE)
    assert re.search(r"^host +make-host +2 +begun", effects, re.MULTILINE)
    assert [line.split()[3] for line in events.splitlines()[1:]] == [
        "registered", "paid", "delayed"
    ]  # fmt: skip
    detail = shared.json("subscriptions", "show", STUCK)["signup"]
    assert [e["attempt"] for e in detail["effects"]] == [1, 2]
    assert detail["plan"]["price"] == 900
    assert detail["row"]["signup_id"] == STUCK
    assert len(detail["events"]) == 3


def test_show_without_effects(shared) -> None:
    """A subscription for which nothing was done yet has no empty table."""
    told = shared.lae("subscriptions", "show", LAST)
    assert "purpose" not in told.out
    assert "instance    none" in told.out


def test_events(shared) -> None:
    """The event log, as a table and as JSON."""
    told = shared.lae("events", STUCK)
    assert len(told.out.splitlines()) == 4
    events = shared.json("events", STUCK)["events"]
    assert [e["kind"] for e in events] == ["registered", "paid", "delayed"]
    assert set(events[0]) == {"number", "signup_id", "kind", "at", "who", "why"}


def test_all_events(shared) -> None:
    """Without a signup it is the whole deployment's log, and each line names whose."""
    every = shared.json("events")["events"]
    numbers = [e["number"] for e in every]
    assert numbers == sorted(set(numbers))
    assert {None, STUCK} <= {e["signup_id"] for e in every}
    told = shared.lae("events", "--since", str(numbers[-2]))
    assert len(told.out.splitlines()) == 2
    assert "signup" in told.out.splitlines()[0]


@pytest.mark.parametrize(
    "arguments",
    [["subscriptions", "show"], ["subscriptions", "retry"], ["events"]],
)
def test_unknown_signup(shared, arguments) -> None:
    """An id that nobody has, and a text that is no id, end in one line."""
    unknown = shared.lae(*arguments, id_of(99))
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err == "Error: There is no such signup.\n"
    typo = shared.lae(*arguments, "su123")
    assert (typo.code, typo.out) == (1, "")
    assert typo.err.startswith("Error: No signup has 'su123' in its address")
    short = shared.lae(*arguments, "su")
    assert short.code == 2
    assert "too short to search by" in short.err


def test_wrong_options(shared) -> None:
    """A state that does not exist is refused with those that do."""
    told = shared.lae("subscriptions", "list", "--state", "dead")
    assert told.code == 2
    assert "refunding" in told.err
    assert shared.lae("subscriptions", "list", "--limit", "0").code == 2


@pytest.mark.parametrize(
    ("furl", "code", "words"),
    [
        ("stranger.furl", 1, "This furl is nobody's"),
        ("another.furl", 1, "this furl is not an operator's"),
        ("unknown.furl", 1, "does not know this furl"),
        ("none.furl", 1, "No such file"),
    ],
)
def test_wrong_furls(shared, furl, code, words) -> None:
    """A furl of another kind, or of nobody, ends in one clear line."""
    told = shared.lae("subscriptions", "list", furl=furl)
    assert (told.code, told.out) == (code, "")
    assert words in told.err
    assert told.err.startswith("Error: ")
    assert "pb://" not in told.err


def test_of_another_daemon(shared) -> None:
    """A furl whose Tub is not the one at that address ends in one line."""
    text = (shared.folder / "operator.furl").read_text()
    text = re.sub("pb://.{8}", "pb://aaaaaaaa", text)
    write(shared.folder / "other.furl", text)
    told = shared.lae("subscriptions", "list", furl="other.furl")
    assert (told.code, told.out) == (3, "")
    assert len(told.err.splitlines()) == 1


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_furl_files(shared) -> None:
    """A file that others can read, that is empty or holds no furl, is refused."""
    good = (shared.folder / "operator.furl").read_text()
    write(shared.folder / "open.furl", good, 0o644)
    write(shared.folder / "empty.furl", "")
    write(shared.folder / "odd.furl", "pb://not-a-furl/secretsecret")
    for furl, words in (
        ("open.furl", "others can read it (mode 0644); chmod 600 it"),
        ("empty.furl", "it is empty"),
        ("odd.furl", "not a furl"),
    ):
        told = shared.lae("events", STUCK, furl=furl)
        assert told.code == 1
        assert words in told.err
        assert "--furl-file" in told.err
        assert "secretsecret" not in told.err
    option = shared.lae(
        "events", STUCK, "--furl-file", str(shared.folder / "operator.furl"),
        furl="none.furl",
    )  # fmt: skip
    assert option.code == 0


def test_retry(own) -> None:
    """A retry is noted with the operator's name, and says how to follow it."""
    told = own.lae("subscriptions", "retry", STUCK)
    assert told.code == 0
    assert "is paid; it is tried again now" in told.out
    assert f"lae events -f {STUCK}" in told.out
    last = own.json("events", STUCK)["events"][-1]
    assert (last["kind"], last["who"]) == ("retry", "operator ann")


def test_leaving_and_coming_back(own) -> None:
    """A former customer is invited back, or their data deleted; that asks before, and
    what has no kept data is refused without a question.
    """
    refused = own.lae("subscriptions", "delete-data", STUCK, "--reason", "w")
    assert (refused.code, refused.out) == (1, "")
    assert "has no kept data" in refused.err
    own.tell(f"state {LAST} ended")
    told = own.lae("subscriptions", "reactivate", LAST, "--reason", "they wrote")
    assert f"{LAST} is ended; its owner is mailed the link" in told.out
    asked = own.lae("subscriptions", "delete-data", LAST, "--reason", "they wrote")
    assert asked.code == 2
    assert "nothing brings it back" in " ".join(asked.err.split())
    command = ("subscriptions", "delete-data", LAST, "--yes", "--reason", "w")
    assert own.json(*command)["state"] == "deleting"
    dry = own.lae("subscriptions", "cancel", LAST, "--dry-run", "--reason", "w")
    assert dry.out.startswith("Would change nothing of ")


def test_revoked(own) -> None:
    """A revoked operator is told so, and can do nothing."""
    own.tell("revoke")
    for arguments in (["list"], ["show", STUCK], ["retry", STUCK]):
        told = own.lae("subscriptions", *arguments)
        assert (told.code, told.out) == (1, "")
        assert told.err == "Error: This furl is nobody's (any more).\n"


def test_a_rotated_furl(own, tmp_path) -> None:
    """The new furl is in a private file and works under the same name; the old one does
    not any more.  With the daemon away nothing is made.
    """
    file = tmp_path / "ann.furl"
    told = own.lae("operator", "rotate", "ann", "--to", str(file))
    assert (told.code, told.err) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shutil.copy(own.folder / "operator.furl", own.folder / "old.furl")
    assert own.lae("operator", "list", furl="old.furl").code == 1
    shutil.copy(file, own.folder / "operator.furl")
    (me,) = [o for o in own.json("operator", "list")["operators"] if o["you"]]
    assert me["name"] == "ann"
    again = own.lae("operator", "rotate", "ann", "--to", str(file))
    assert (again.code, "is there already" in again.err) == (1, True)
    none = tmp_path / "none.furl"
    assert own.lae("operator", "rotate", "nobody", "--to", str(none)).code == 1
    assert not none.exists()
    own.end()
    away = own.lae("operator", "rotate", "ann", "--to", str(none))
    assert (away.code, none.exists()) == (3, False)


def test_daemon_away(own) -> None:
    """With the daemon down a command says so in one line."""
    own.end()
    told = own.lae("subscriptions", "list")
    assert (told.code, told.out) == (3, "")
    assert re.fullmatch(
        r"Error: the daemon at 127\.0\.0\.1:\d+ cannot be reached\n", told.err
    )


def test_daemon_frozen(own) -> None:
    """A daemon that is stopped is given up, in one line."""
    own.process.send_signal(signal.SIGSTOP)
    try:
        told = own.lae("subscriptions", "list")
    finally:
        own.process.send_signal(signal.SIGCONT)
    assert (told.code, told.out) == (3, "")
    assert re.fullmatch(
        r"Error: the daemon at 127\.0\.0\.1:\d+ does not answer\n", told.err
    )
    assert own.lae("subscriptions", "list").code == 0


def test_daemon_that_never_answers(own) -> None:
    """A call that is never answered ends in one line."""
    own.tell("hang now please")
    told = own.lae("subscriptions", "list")
    assert (told.code, told.out) == (3, "")
    assert "does not answer" in told.err
    assert len(told.err.splitlines()) == 1


def read_line(running: subprocess.Popen[str]) -> str:
    """One line that it writes."""
    return running.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following(own, number) -> None:
    """A followed log goes on as more happens, and ends at Ctrl-C without a word."""
    running = own.popen("events", "-f", LAST, bufsize=0)
    assert "registered (owner)" in read_line(running)
    for word in ("one", "two\x1b[31m"):
        own.tell(f"note {LAST} {word}")
        line = read_line(running)
        assert f"noted ({word[:3]}" in line
        assert "\x1b" not in line
    running.send_signal(number)
    out, err = running.communicate()
    assert (running.returncode, out, err) == (130, "", "")


def test_following_as_json(own) -> None:
    """For programs, a followed log is one JSON object a line, each when it happens."""
    running = own.popen("events", "-f", "--json", LAST, bufsize=0)
    first = json.loads(read_line(running))
    assert first["event"]["kind"] == "registered"
    assert first["version"] == 1
    own.tell(f"note {LAST} more")
    assert json.loads(read_line(running))["event"]["who"] == "more"
    running.kill()
    running.communicate()


def test_following_a_daemon_that_goes(own) -> None:
    """When the daemon goes away a followed log ends, and says why."""
    running = own.popen("events", "-f", LAST, bufsize=0)
    read_line(running)
    own.end()
    out, err = running.communicate()
    assert (running.returncode, out) == (3, "")
    assert err.startswith("Error: the daemon does not answer")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["events", "-f", STUCK],
        ["subscriptions", "list"],
        ["subscriptions", "list", "--json"],
        ["subscriptions", "show", STUCK],
    ],
)
def test_closed_pipe(shared, arguments) -> None:
    """When the reader of the output is gone, nothing is said about it."""
    reading, writing = os.pipe()
    os.close(reading)
    running = shared.popen(*arguments, stdout=writing)
    os.close(writing)
    _, err = running.communicate()
    assert err == ""
    assert running.returncode in {0, 1}


def test_help(shared) -> None:
    """Each command says what it does."""
    for arguments in (["subscriptions"], ["subscriptions", "list"], ["events"]):
        told = shared.lae(*arguments, "--help")
        assert told.code == 0
        assert "Usage: lae" in told.out


def test_what_needs_somebody_now(own) -> None:
    """``lae health`` says what needs somebody, the worst first, each with its page and
    commands, and ends with 4; where the daemon is down it says where to look, and 3.
    """
    assert own.lae("health").code == 0
    own.tell("cause restore-untried : no drill is known")
    own.tell(f"cause signup {STUCK} role: AccessDenied")
    told = own.lae("health")
    assert told.code == 4
    lines = told.out.splitlines()
    assert lines[0] == f"NOW     AccessDenied ({STUCK} role)"
    assert lines[1].strip().startswith("for ")
    assert lines[2:5] == [
        "        docs/alerts.rst#s4paidnotready",
        f"        $ lae events {STUCK}",
        f"        $ lae subscriptions retry {STUCK}",
    ]
    assert lines[5] == "BY DAY  no drill is known"
    as_json = json.loads(own.lae("health", "--json").out)
    assert [n["kind"] for n in as_json["health"]["needs"]] == [
        "signup",
        "restore-untried",
    ]
    own.end()
    down, as_json = own.all(("health",), ("health", "--json"))
    assert (down.code, as_json.code) == (3, 3)
    assert "docs/alerts.rst#s4daemondown\n        $ systemctl status s4-daemon" in (
        down.out
    )
    assert json.loads(as_json.out)["needs"][0]["kind"] == "daemon-down"


def test_many_at_once(own) -> None:
    """A command takes several signups, from the command line, from standard input, or
    by a filter, over one connection; one that is refused keeps no other from its turn.
    """
    named = own.json("subscriptions", "retry", ACTIVE, STUCK)
    assert [one["signup_id"] for one in named["signups"]] == [ACTIVE, STUCK]
    (one,) = own.json("subscriptions", "retry", "--waiting")["signups"]
    assert one == {"signup_id": STUCK, "state": "paid", "done": True}
    some = own.popen("subscriptions", "retry", "-", "--dry-run", stdin=subprocess.PIPE)
    out, err = some.communicate(f"{ACTIVE}\n{EMAILS[4]}\n{ACTIVE}\n")
    assert (some.returncode, err) == (0, "")
    assert [line.split()[2] for line in out.splitlines()] == [ACTIVE, id_of(4)]
    own.tell(f"state {LAST} ended")
    told = own.lae(
        "subscriptions", "delete-data", "--yes", "--reason", "x", ACTIVE, LAST
    )
    assert told.code == 1
    assert f"{LAST} is deleting now" in told.out
    assert told.err == f"{ACTIVE}: It is active: cancel it first.\n"
    none = own.lae("subscriptions", "retry")
    assert none.code == 2
    asked = own.lae("subscriptions", "cancel", "--reason", "x", "--plan", "basic-250")
    assert asked.code == 2
    assert "Cancel these 11: " in asked.err


def test_a_corrected_address_is_to_be_confirmed(own) -> None:
    """Before and after the correction the command says that the address is asked first,
    and the lists show that it has not answered; without --to, the furl is mailed.
    """
    told = own.lae("subscriptions", "resend", "--dry-run", ACTIVE)
    assert told.out.startswith("Would mail the furl of")
    correct = ("subscriptions", "resend", "--to", "new@example.org")
    told = own.lae(*correct, "--dry-run", ACTIVE)
    assert told.out.startswith("Would mail new@example.org the link to confirm it for")
    told = own.lae(*correct, ACTIVE)
    assert "a link to confirm it is mailed there" in told.out
    assert "lae outbox list --signup" in told.out
    told = own.lae("subscriptions", "resend", "--dry-run", ACTIVE)
    assert told.out.startswith("Would mail new@example.org the link to confirm it for")
    shown = own.lae("subscriptions", "show", ACTIVE).out
    assert (
        "new@example.org (unconfirmed; corrected: mails are held until it is confirmed)"
        in shown
    )
    assert "new@example.org (to be confirmed)" in own.lae("subscriptions", "list").out
    (row,) = own.json("subscriptions", "list", "--search", "new@")["signups"]
    assert row["awaits_confirmation"] is True
    assert own.lae("outbox", "list", "--state", "held").out == "No such mails.\n"


def test_logged_out_with_a_link(own) -> None:
    """The command says where the link for one browser goes, before and after."""
    log_out = ("subscriptions", "log-out", "--reason", "stolen", "--mail-link")
    told = own.lae(*log_out, "--dry-run", ACTIVE)
    assert "Would log every browser out" in told.out
    assert "A link for one browser goes to ann@example.org." in told.out
    assert own.lae("outbox", "list").out == "No such mails.\n"
    told = own.lae(*log_out, ACTIVE)
    assert "Every browser is logged out" in told.out
    assert "A link for one browser goes to ann@example.org." in told.out
    assert "log-in" in own.lae("outbox", "list").out
    told = own.lae("subscriptions", "log-out", "--reason", "stolen", ACTIVE)
    assert "link" not in told.out


def test_mails_in_bulk(own) -> None:
    """After an outage all mails that wait are sent by one command."""
    assert own.lae("subscriptions", "resend", "--state", "active").code == 0
    told = own.json("outbox", "retry", "--state", "waiting")
    assert [mail["signup_id"] for mail in told["mails"]] == [ACTIVE]
    assert own.lae("outbox", "retry", "--state", "refused").out == "No such mails.\n"
    wrong = own.lae("outbox", "retry")
    assert (wrong.code, "--state" in wrong.err) == (2, True)
    told = own.lae("outbox", "retry", "1", "77")
    assert (told.code, "77: There is no mail 77." in told.err) == (1, True)
    assert own.lae("inbox", "retry", "--state", "waiting").code == 0


def test_second_furl(own) -> None:
    """A second furl is made without the daemon; its secret is not in what is printed,
    and one that the daemon's settings do not have opens nothing.
    """
    file = own.folder / "second.furl"
    told = own.lae("operator", "second-furl", "--to", str(file), "ann")
    assert told.code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    secret = file.read_text().strip().rpartition("/")[2]
    assert secret not in told.out
    settings = yaml.safe_load(told.out.partition("restart the daemon:\n")[2])
    (one,) = settings["operators"]["second_furls"]
    assert one == {"name": "ann", "sha256": sha256(secret.encode()).hexdigest()}
    told = own.lae("operator", "open", str(file))
    assert (told.code, told.err) == (
        1,
        "Error: This is not your second furl, or you have none.\n",
    )
