"""The log: redacted JSON lines, and twistd's own options go on working."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import Application
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure

from lae_protocol.process.log import (
    LoggedService,
    as_json,
    as_text,
    observer,
    to_journald,
)
from lae_protocol.secret import Secret

FURL = "pb://" + "a2" * 16 + "@h.example:3456/swissnumswissnum"
ENDS = ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
SECRETS = [FURL, "sk_live_abcdefgh12345678", "AKIAABCDEFGHIJKLMNOP", "4242424242424242"]

PLUGIN = """
from twisted.application.service import IServiceMaker
from twisted.internet import reactor
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python import log, usage
from zope.interface import implementer
from lae_protocol.process.log import LoggedService
from twisted.application.service import Service

FURL = "%s"

class Talking(Service):
    def startService(self):
        logger = Logger()
        logger.info("a furl: {furl}", furl=FURL)
        log.msg("as of old: " + FURL)
        try:
            raise RuntimeError("with " + FURL)
        except RuntimeError:
            logger.failure("it failed")
        # Only then SIGTERM is heard.
        reactor.callLater(0, logger.info, "up")

@implementer(IServiceMaker, IPlugin)
class Maker:
    tapname, description = "logged-test", "writes a log"
    class options(usage.Options):
        optParameters = [["format", None, "json"]]
    def makeService(self, options):
        made = LoggedService(options.parent, options["format"])
        Talking().setServiceParent(made)
        return made

maker = Maker()
""".replace("%s", FURL)


def line_of(**event: Any) -> dict[str, Any]:
    text = as_json({"log_time": 0, "log_format": "{m}", "m": "x"} | event)
    assert text.count("\n") == 1
    return json.loads(text)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", " {} ", "\n{}\n", "'{}'", '"{}"', "\t{}"])
def test_redacted_wherever_it_stands(secret, around) -> None:
    """A secret in a message, a field or a traceback is not written, at a line's start too."""
    text = around.format(secret)
    assert secret not in as_json({"log_format": "{m}", "m": text})
    assert secret not in as_json({"log_format": "x", "field": [text]})
    assert secret not in as_text({"log_format": "{m}", "m": text})
    out = StringIO()
    logger = Logger(observer=observer(out, "json"))
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logger.failure("failed")
    assert secret not in out.getvalue()


def test_shape() -> None:
    """A line has its time, level, place and message, then the fields of the event."""
    line = line_of(log_namespace="here", signup_id="su1", count=3, ok=True, none=None)
    assert line == {
        "at": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "from": "here",
        "message": "x",
        "m": "x",
        "signup_id": "su1",
        "count": 3,
        "ok": True,
        "none": None,
    }


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    "value",
    [
        "two\nlines",
        "half \ud800 character",
        float("nan"),
        Secret("word"),
        b"bytes",
        Unprintable(),
    ],
)
def test_odd_values(value) -> None:
    """Whatever a field holds, one line of valid JSON is written as UTF-8."""
    text = as_json({"log_format": "x", "field": value})
    text.encode()
    json.loads(text, parse_constant=pytest.fail)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text(message, field) -> None:
    """Any message is one line of JSON."""
    line = line_of(m=message, field=field)
    assert isinstance(line["message"], str)


def test_a_field_cannot_forge(  # a field named like ours
) -> None:
    """An event's fields cannot take the place of its time and level."""
    assert line_of(level="none", at="never")["level"] == "info"


def twistd(folder: Path, *options: str, form: str = "json") -> subprocess.Popen[str]:
    plugins = folder / "twisted" / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "logged_test.py").write_text(PLUGIN)
    return subprocess.Popen(
        [
            Path(sys.executable).with_name("twistd"),
            *options,
            "logged-test",
            "--format",
            form,
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path: Path, word: str, seconds: float = 60) -> str:
    """What the file holds, once *word* is in it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and word in path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"no {word!r} in {path.name}")


def test_twistd(tmp_path) -> None:
    """``twistd -n --logfile --pidfile``: redacted JSON in the file, the pid beside it."""
    log, pid = tmp_path / "my.log", tmp_path / "my.pid"
    running = twistd(tmp_path, "-n", "--logfile", str(log), "--pidfile", str(pid))
    try:
        text = wait_for(log, '"up"')
        assert int(pid.read_text()) == running.pid
        lines = [json.loads(line) for line in text.splitlines()]
        assert FURL not in text
        assert "pb://[redacted]" in text
        messages = [line["message"] for line in lines]
        assert "a furl: pb://[redacted]" in messages
        assert "as of old: pb://[redacted]" in messages
        (failed,) = (line for line in lines if line["message"] == "it failed")
        assert failed["level"] == "critical"
        assert "RuntimeError: with pb://[redacted]" in failed["traceback"]
    finally:
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=60)
    assert FURL not in out
    assert not pid.exists()
    assert not (tmp_path / "twistd.log").exists()


def test_twistd_in_the_foreground(tmp_path) -> None:
    """``twistd -n`` alone writes the same lines to its standard output."""
    running = twistd(tmp_path, "-n", "--pidfile=", form="text")
    seen = []
    for line in running.stdout:
        seen.append(line)
        if line.rstrip().endswith("] up"):
            break
    running.send_signal(signal.SIGTERM)
    out, _ = running.communicate(timeout=60)
    whole = "".join(seen) + out
    assert "a furl: pb://[redacted]" in whole
    assert FURL not in whole
    assert not (tmp_path / "twistd.pid").exists()


def test_twistd_in_the_background(tmp_path) -> None:
    """A daemonised twistd logs to its file, keeps its pid file, and ends at SIGTERM."""
    log, pid = tmp_path / "my.log", tmp_path / "my.pid"
    starting = twistd(tmp_path, "--logfile", str(log), "--pidfile", str(pid))
    starting.communicate(timeout=60)
    text = wait_for(log, '"up"')
    assert FURL not in text
    number = int(wait_for(pid, ""))
    assert number != starting.pid
    os.kill(number, signal.SIGTERM)
    wait_for(log, "Server Shut Down")
    end = time.monotonic() + 60
    while pid.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not pid.exists()


def test_own_logger_wins(tmp_path) -> None:
    """With ``--logger`` the user's observer is the one that is used, and no secret of a
    message, a field or a failure comes to it.
    """
    (tmp_path / "mine.py").write_text(
        "from twisted.logger import eventAsText\n"
        "def make():\n"
        "    def observe(event):\n"
        "        failure = event.get('log_failure')\n"
        "        with open('mine.txt', 'a') as f:\n"
        "            f.write(f'seen {eventAsText(event)} {event}\\n')\n"
        "            f.write(f'{failure and failure.getTraceback()}\\n')\n"
        "    return observe\n"
    )
    running = twistd(tmp_path, "-n", "--pidfile=", "--logger", "mine.make")
    try:
        text = wait_for(tmp_path / "mine.txt", "#info] up")
    finally:
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=60)
    assert '"message"' not in out
    assert FURL not in text
    assert "a furl: pb://[redacted]" in text
    assert "as of old: pb://[redacted]" in text
    assert "RuntimeError: with pb://[redacted]" in text
    assert "in startService" in text, "the traceback still says where"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("form", "out", "is_json"),
    [
        ("auto", Terminal(), False),
        ("auto", StringIO(), True),
        ("json", Terminal(), True),
        ("text", StringIO(), False),
    ],
)
def test_text_on_a_terminal(form, out, is_json) -> None:
    """People read text and programs JSON, unless the settings say otherwise."""
    Logger(observer=observer(out, form, {})).info("up")
    assert out.getvalue().startswith("{") is is_json


def test_journald_is_told_the_priority(tmp_path) -> None:
    """Where the output is the journal's, each line begins with its event's priority; a
    file that only looks like it, or another stream, has none.
    """
    with (tmp_path / "stream").open("w+") as out:
        there = os.fstat(out.fileno())
        mine = {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
        logger = Logger(observer=observer(out, "auto", mine))
        logger.info("fine")
        try:
            raise RuntimeError("two\nlines")
        except RuntimeError:
            logger.failure("broken")
        text = observer(out, "text", mine)
        Logger(observer=text).warn("as text")
        Logger(observer=text).error("worse")
        other = {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino + 1}"}
        Logger(observer=observer(out, "text", other)).error("elsewhere")
        out.seek(0)
        lines = out.read().splitlines()
    assert [line[:3] for line in lines[:4]] == ["<6>", "<2>", "<4>", "<3>"]
    assert json.loads(lines[0][3:])["message"] == "fine"
    assert not lines[4].startswith("<")
    failed = json.loads(lines[1][3:])
    assert "two\nlines" in failed["traceback"]


def test_a_traceback_as_text_is_of_one_priority() -> None:
    """Each line of an event has its priority, since journald takes lines apart."""
    event = {
        "log_format": "a",
        "log_level": LogLevel.error,
        "log_failure": Failure(RuntimeError("b")),
    }
    lines = as_text(event).splitlines()
    assert to_journald(event, as_text).count("<3>") == len(lines) > 1


@pytest.mark.parametrize("write", [as_json, as_text])
@given(forged=st.text(max_size=40), end=st.sampled_from(ENDS))
def test_nobody_forges_a_line(write, forged, end) -> None:
    """What others wrote stays in the line of the event that tells of it, in its text, a
    field or an exception, whatever its reader takes for the end of a line.
    """
    value = f"x{end}2026-11-30T00:00:00.000+00:00 critical [a] {forged}"
    event = {"log_format": "told {it}", "it": value, "log_level": LogLevel.info}
    for told in (write(event), to_journald(event, write)):
        assert told.endswith("\n")
        assert len(told.splitlines()) == 1
    failed = write({**event, "log_failure": Failure(RuntimeError(value))})
    below = failed.splitlines()[1:]
    assert all(line.startswith("    ") for line in below)
    assert json.loads(as_json(event))["it"].startswith(f"x{end}2026")


def test_syslog(monkeypatch) -> None:
    """With ``--syslog`` each line goes to the system's log, redacted too."""
    lines: list[str] = []
    monkeypatch.setattr("syslog.syslog", lines.append)
    application = Application("any")
    options = {"syslog": True, "prefix": "lae-flapp", "logger": None}
    LoggedService(options, "text").setServiceParent(application)
    log = Logger(observer=application.getComponent(ILogObserver))
    try:
        raise ValueError(FURL)
    except ValueError:
        log.failure("failed with {furl}", furl=FURL)
    assert len(lines) > 2
    assert "failed with pb://[redacted]" in lines[0]
    assert not any(FURL in line for line in lines)
