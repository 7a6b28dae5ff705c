"""Every command of operators with what cannot work: it ends in one clear line, and
nothing is changed.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import click
import pytest

from lae_flapp.laptop.line import ANSWER, CONNECT, HANG_UP
from lae_protocol.process.command import main

sys.path.insert(0, str(Path(__file__).parent))
try:
    from operator_daemon import id_of
    from test_commands import Daemon, own, read_line, run, shared, write  # noqa: F401
finally:
    sys.path.pop(0)

ACTIVE, STUCK, LAST = id_of(0), id_of(1), id_of(11)

#: One of each, where SIGNUP stands for a subscription, FILE for a fresh file, and KEY
#: and SECOND for a recovery key's and a second furl's.
COMMANDS = {
    "subscriptions list": [],
    "subscriptions search": ["example"],
    "subscriptions show": ["SIGNUP"],
    "subscriptions retry": ["SIGNUP"],
    "subscriptions resend": ["SIGNUP"],
    "subscriptions cancel": ["SIGNUP", "--yes", "--reason", "w"],
    "subscriptions refund": ["SIGNUP", "--yes", "--reason", "w"],
    "subscriptions reactivate": ["SIGNUP", "--reason", "w"],
    "subscriptions delete-data": ["SIGNUP", "--yes", "--reason", "w"],
    "subscriptions remove-unpaid": ["--older-than", "1d", "--yes", "--reason", "w"],
    "subscriptions usage": [],
    "costs": [],
    "subscriptions log-out": ["SIGNUP", "--reason", "w"],
    "subscriptions comp": ["a@example.org", "--reason", "w"],
    "events": ["SIGNUP"],
    "hosts list": [],
    "hosts console": ["SIGNUP"],
    "hosts replace": ["SIGNUP", "--yes", "--reason", "w"],
    "effects list": ["--signup", "SIGNUP"],
    "effects show": ["1"],
    "inbox list": [],
    "inbox show": ["evt_1"],
    "inbox retry": ["evt_1"],
    "inbox remove": ["--state", "ignored", "--older-than", "7d", "--yes"],
    "outbox list": ["--signup", "SIGNUP"],
    "outbox show": ["1"],
    "outbox retry": ["1"],
    "pause": ["mails", "why"],
    "resume": ["mails"],
    "rollout start": ["sha256:" + "a" * 64, "--reason", "w"],
    "rollout status": [],
    "rollout pause": ["--reason", "w"],
    "rollout resume": ["--reason", "w"],
    "rollout back": ["--reason", "w"],
    "operator list": [],
    "operator add": ["eve", "--to", "FILE"],
    "operator rotate": ["ann", "--to", "FILE"],
    "operator revoke": ["ann", "--yes"],
    "operator open": ["SECOND"],
    "health": [],
    "journal backup": [],
    "keys reseal": [],
    "keys recover": ["--recovery-key", "KEY", "SIGNUP"],
}
_FOLDER = tempfile.TemporaryDirectory(prefix="s4-recovery-")
#: A file that looks like a recovery key's private half.
KEY = Path(_FOLDER.name) / "recovery.key"
KEY.write_text("AGE-SECRET-KEY-1X\n", "utf-8")
SECOND = KEY.with_name("second.furl")
SECOND.write_text(f"pb://{'a' * 32}@127.0.0.1:1/s{'a' * 52}\n", "utf-8")
SECOND.chmod(0o600)
#: Makes a furl, and asks nobody.
OFFLINE = {"operator second-furl"}
WITH_SIGNUP = [name for name, arguments in COMMANDS.items() if "SIGNUP" in arguments]


def words(name: str, signup: str = STUCK, file: str = "/nowhere/f") -> list[str]:
    meanings = {"SIGNUP": signup, "FILE": file, "KEY": str(KEY), "SECOND": str(SECOND)}
    return [*name.split(), *(meanings.get(a, a) for a in COMMANDS[name])]


def every(file: str = "/nowhere/f") -> list[list[str]]:
    return [words(name, file=file) for name in COMMANDS]


def leaves(command: click.Command, *path: str):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from leaves(found, *path, name)
    elif any("--furl-file" in p.opts for p in command.params):
        yield " ".join(path)


def test_every_command_is_tried() -> None:
    """The table above has each command that speaks to the daemon."""
    assert set(leaves(main)) - OFFLINE == set(COMMANDS)


def one_line(told, name: str) -> str:
    """What it says, on one line."""
    assert told.out == "", (name, told)
    (line,) = told.err.splitlines()
    assert line.startswith("Error: "), (name, told)
    assert "pb://" not in line
    return line


def events_so_far(daemon: Daemon) -> int:
    return daemon.json("events")["events"][-1]["number"]


def test_no_furl(shared, tmp_path) -> None:
    """Without a furl each command says where it looked, and how to name another."""
    file = tmp_path / "eve.furl"
    told = shared.all(*every(str(file)), furl="none.furl")
    for name, one in zip(COMMANDS, told, strict=True):
        assert (one.code, one.out) == (1, ""), name
        assert "none.furl: No such file or directory" in one.err
        assert "--furl-file" in one.err
    assert not file.exists()


@pytest.mark.parametrize(
    ("furl", "said"),
    [
        ("stranger.furl", "This furl is nobody's (any more)."),
        ("another.furl", "this furl is not an operator's"),
    ],
)
def test_wrong_furl(shared, tmp_path, furl, said) -> None:
    """A furl of nobody, and one of another facet, is refused by each command."""
    file, before = tmp_path / "eve.furl", events_so_far(shared)
    told = shared.all(*every(str(file)), furl=furl)
    for name, one in zip(COMMANDS, told, strict=True):
        assert one.code == 1, name
        assert said in one_line(one, name)
    assert not file.exists(), "nothing was told that would have to be kept"
    assert events_so_far(shared) == before


def test_furl_of_another_facet(shared, tmp_path) -> None:
    """A furl that by its shape is a site's is named as such, before any call."""
    write(shared.folder / "site.furl", f"pb://{'a' * 32}@127.0.0.1:1/f{'a' * 52}")
    for one in shared.all(*every(str(tmp_path / "f")), furl="site.furl"):
        assert one.code == 1
        assert "this is the front desk's furl; an operator's furl is needed" in one.err


def test_revoked(own, tmp_path) -> None:
    """Who was revoked is refused by the next call of each command, at an address that
    the daemon knows.
    """
    events_so_far(own)
    own.tell("revoke")
    file = tmp_path / "eve.furl"
    for name, one in zip(COMMANDS, own.all(*every(str(file))), strict=True):
        assert one.code == 1, name
        assert one_line(one, name) == "Error: This furl is nobody's (any more)."
    assert not file.exists()


def test_away_and_frozen(own, tmp_path) -> None:
    """A daemon that is stopped, or gone, is told in one line; ``lae health`` says more:
    where to look then.
    """
    commands = every(str(tmp_path / "eve.furl"))
    own.process.send_signal(signal.SIGSTOP)
    frozen = own.all(*commands, at_once=len(commands))
    own.end()
    gone = own.all(*commands)
    for all_of_them, words_of_it in (
        (frozen, "does not answer"),
        (gone, "cannot be reached"),
    ):
        told = dict(zip(COMMANDS, all_of_them, strict=True))
        health = told.pop("health")
        assert (health.code, health.err) == (3, "")
        assert words_of_it in health.out.splitlines()[0]
        for name, one in told.items():
            assert one.code == 3, name
            assert one_line(one, name).endswith(words_of_it)
    assert not (tmp_path / "eve.furl").exists()


def test_how_long_a_person_waits() -> None:
    """A daemon that is frozen before a command connects, or after, is told within 5 s."""
    assert CONNECT + HANG_UP < 5
    assert ANSWER + HANG_UP < 5


@pytest.mark.parametrize("signup", [id_of(99), "nobody@example.org"])
def test_unknown_signup(shared, signup) -> None:
    """What nobody has is said so by each command that takes a subscription."""
    before = events_so_far(shared)
    told = shared.all(*(words(name, signup) for name in WITH_SIGNUP))
    for name, one in zip(WITH_SIGNUP, told, strict=True):
        assert one.code == 1, name
        line = one_line(one, name)
        assert "no such signup" in line or "No signup has" in line
    assert events_so_far(shared) == before


def test_ambiguous_search(shared) -> None:
    """A text that finds several changes none of them, and names them; a whole address
    means itself, though others begin with it.
    """
    before = events_so_far(shared)
    told = shared.all(*(words(name, "ann@example") for name in WITH_SIGNUP))
    for name, one in zip(WITH_SIGNUP, told, strict=True):
        assert (one.code, one.out) == (1, ""), name
        assert one.err.startswith("Error: 'ann@example' could be any of these:")
        assert ACTIVE in one.err
        assert LAST in one.err
    assert events_so_far(shared) == before
    (one,) = shared.all(words("subscriptions show", "ANN@example.org"))
    assert one.out.startswith(f"signup      {ACTIVE}")


def test_dry_runs(shared, tmp_path) -> None:
    """A dry run says what would be done, and does nothing."""
    before, file = events_so_far(shared), tmp_path / "eve.furl"
    changing = [
        name
        for name in COMMANDS
        if name.split()[-1]
        not in {"list", "show", "search", "console", "usage", "status"}
        and name not in {"costs", "events", "health", "inbox retry", "outbox retry"}
        # One has none, the other opens the keys to say it: tests/docs types that.
        and name not in {"operator open", "keys recover"}
    ]
    commands = [[*words(name, file=str(file)), "--dry-run"] for name in changing]
    for name, one in zip(changing, shared.all(*commands), strict=True):
        assert (one.code, one.err) == (0, ""), name
        assert one.out.startswith("Would "), name
    assert events_so_far(shared) == before
    assert not file.exists()


def test_no_terminal_to_ask_on(own) -> None:
    """What loses something is not done without --yes where nobody can be asked."""
    before = events_so_far(own)
    commands = [
        ["subscriptions", "cancel", STUCK, "--reason", "w"],
        ["operator", "revoke", "ann"],
    ]
    for one in own.all(*commands):
        assert one.code == 2
        assert "Say --yes where there is no terminal." in one.err
    assert events_so_far(own) == before


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("\x03", 1), ("y\n", 0)])
def test_asking(own, typed, code) -> None:
    """On a terminal it asks; no, and Ctrl-C, change nothing, and yes does it."""
    before = events_so_far(own)
    ours, theirs = pty.openpty()
    running = own.popen(
        *("subscriptions", "cancel", LAST, "--reason", "w"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        text=False,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 1024)
    assert LAST.encode() in said
    os.write(ours, typed.encode())
    # A signal between the question and the waiting for its answer is not seen; people
    # press again.
    while running.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            running.wait(1 if typed == "\x03" else None)
            break
        os.write(ours, typed.encode())
    assert running.returncode == code
    os.close(ours)
    assert (events_so_far(own) == before) is bool(code)


def test_ctrl_c_in_long_work(own) -> None:
    """Ctrl-C ends what waits for the daemon at once, with a status of its own."""
    own.tell("hang now please")
    running = own.popen("subscriptions", "list", "--all")
    own.wait_until_asked()
    running.send_signal(signal.SIGINT)
    # Who waited for the answer would end as from a daemon that is away, and say so.
    out, err = running.communicate()
    assert (running.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_closed_pipe(own, json) -> None:
    """A reader that has seen enough ends the command quietly."""
    running = own.popen("events", "-f", *json, bufsize=0)
    assert read_line(running)
    running.stdout.close()
    own.tell(f"note {LAST} more")
    own.tell(f"note {LAST} more")
    assert running.stderr.read() == ""
    assert running.wait() == 1


def test_furl_by_settings(shared, tmp_path) -> None:
    """The furl and the address are found by --config, by the environment, and by the
    file in the user's folder, in this order.
    """
    furl = (shared.folder / "operator.furl").read_text()
    port = re.search(r":(\d+)/", furl)[1]
    elsewhere = furl.replace(f"127.0.0.1:{port}", "tunnel.invalid:1")
    write(tmp_path / "good.furl", elsewhere)
    text = f"process: operator\nfurl: {{file: good.furl}}\naddress: 127.0.0.1:{port}\n"
    (tmp_path / "lae.yaml").write_text(text)
    env = shared.environment("none.furl") | {"HOME": str(tmp_path / "home")}
    ask = ["operator", "list"]
    named = [*ask, "--config", str(tmp_path / "lae.yaml")]
    (told,) = run(env, named)
    assert (told.code, told.err) == (0, "")
    del env["S4_OPERATOR_FURL_FILE"]
    (told,) = run(env | {"S4_LAE_CONFIG": str(tmp_path / "lae.yaml")}, ask)
    assert (told.code, told.err) == (0, "")
    user = tmp_path / "home" / ".config" / "s4"
    user.mkdir(parents=True)
    (told,) = run(env, ask)
    assert str(user / "operator.furl") in told.err
    write(user / "operator.furl", elsewhere)
    by_address = {"S4_OPERATOR_ADDRESS": f"127.0.0.1:{port}"}
    (told,) = run(env | by_address, ask)
    assert (told.code, told.err) == (0, "")
    (user / "lae.yaml").write_text("process: operator\nadress: x:1\n")
    (told,) = run(env, ask)
    assert (told.code, "did you mean 'address'" in told.err) == (1, True)
