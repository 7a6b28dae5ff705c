"""The log of every process: one JSON object a line, or text for people; redacted.

``twistd``'s own ``--logfile``, ``--syslog`` and ``--logger`` go on working: what is
put in their place is only the observer that twistd would have made itself; and an
observer of the user's own is given redacted events.
"""

from __future__ import annotations

import json
import os
import re
import sys
import syslog
from collections.abc import Callable, Mapping
from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TextIO, cast

from twisted.application.service import MultiService
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from twisted.python.reflect import safe_str

from lae_protocol.process.redaction import redact

#: *auto* is text on a terminal and JSON elsewhere.
LogFormat = Literal["auto", "json", "text"]

#: Fields of Twisted's own that say nothing to a reader of our logs.
_NOISE = ("format", "message", "isError", "text", "why", "printed", "failure")

#: Who says at each connection that there is one; the last names visitors' addresses.
_CHATTER = (
    "twisted.web.client._HTTP11ClientFactory",
    "txaws.client.base",
    "twisted.web.http.HTTPChannel",
)


#: Whatever some reader takes for the end of a line, or a terminal for a command.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def _field(value: Any) -> Any:
    if isinstance(value, (int, bool, type(None))):
        return value
    # Also what cannot be printed, and numbers that JSON does not have.
    return _clean(safe_str(value))


def _clean(text: str) -> str:
    """Redact before JSON escapes the ends of lines, where secrets like to begin; and
    spare the file half characters.
    """
    return redact(text).encode("utf-8", "backslashreplace").decode("utf-8")


def _one_line(text: str) -> str:
    """Write control characters as escapes: what others wrote begins no other line."""
    return _CONTROL.sub(lambda m: rf"\u{ord(m.group()):04x}", text)


def _traceback(event: LogEvent) -> str | None:
    failure = event.get("log_failure")
    return None if failure is None else str(failure.getTraceback())


#: syslog's, by Twisted's levels.
_PRIORITIES = {
    "debug": "<7>",
    "info": "<6>",
    "warn": "<4>",
    "error": "<3>",
    "critical": "<2>",
}


def _when(event: LogEvent) -> str:
    return datetime.fromtimestamp(event.get("log_time", 0), UTC).isoformat(
        timespec="milliseconds"
    )


def _level(event: LogEvent) -> str:
    return str(event.get("log_level", LogLevel.info).name)


def as_json(event: LogEvent) -> str:
    """One line: time, level, namespace, message, then the event's own fields."""
    line = {
        "at": _when(event),
        "level": _level(event),
        "from": event.get("log_namespace", ""),
        "message": _clean(formatEvent(event)),
    }
    for key, value in event.items():
        if not key.startswith("log_") and key not in _NOISE and key not in line:
            line[key] = _field(value)
    traceback = _traceback(event)
    if traceback is not None:
        line["traceback"] = _clean(traceback)
    # JSON escapes only the oldest of them.
    return _one_line(json.dumps(line, ensure_ascii=False)) + "\n"


def as_text(event: LogEvent) -> str:
    """One line for people, and the traceback below it, further to the right."""
    begins = f"{_when(event)} {_level(event):8} [{event.get('log_namespace', '')}]"
    text = f"{begins} {_one_line(_clean(formatEvent(event)))}\n"
    below = _clean(_traceback(event) or "").splitlines()
    return text + "".join(f"    {_one_line(line)}\n" for line in below)


def to_journald(event: LogEvent, write: Callable[[LogEvent], str]) -> str:
    """Lines as journald reads their priority: each begins with ``<N>``."""
    # https://www.freedesktop.org/software/systemd/man/latest/sd-daemon.html
    mark = _PRIORITIES.get(_level(event), "<6>")
    return "".join(f"{mark}{line}\n" for line in write(event).splitlines() if line)


def is_journal(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether *out* goes to journald: it says of which stream, by device and inode."""
    named = environ.get("JOURNAL_STREAM", "")
    try:
        there = os.fstat(out.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return named == f"{there.st_dev}:{there.st_ino}"


def writing(
    out: TextIO, form: LogFormat, environ: Mapping[str, str]
) -> Callable[[LogEvent], str]:
    """How an event becomes text for *out*."""
    if form == "auto":
        form = "text" if out.isatty() else "json"
    write = as_json if form == "json" else as_text
    return partial(to_journald, write=write) if is_journal(out, environ) else write


def observer(
    out: TextIO, form: LogFormat, environ: Mapping[str, str] = os.environ
) -> FilteringLogObserver:
    """Write redacted lines to *out*, without debugging and chatter."""
    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    for namespace in _CHATTER:
        levels.setLogLevelForNamespace(namespace, LogLevel.warn)
    written = FileLogObserver(out, writing(out, form, environ))
    return FilteringLogObserver(written, [levels])


class _Syslog:
    """Each line to the system's log, under the name that ``--prefix`` gives."""

    def __init__(self, prefix: str) -> None:
        syslog.openlog(prefix, syslog.LOG_PID)

    def write(self, text: str) -> None:
        """Write an event; a traceback is several lines."""
        for line in text.splitlines():
            syslog.syslog(line)

    def flush(self) -> None:
        """Nothing is kept back."""

    @staticmethod
    def isatty() -> bool:
        """Nobody reads it as it is written."""
        return False


def _file_of(options: Any) -> TextIO:
    """Where twistd's own options say that the log goes."""
    if options is not None and options.get("syslog"):
        return cast("TextIO", _Syslog(options.get("prefix") or "twisted"))
    name = options.get("logfile") if options is not None else None
    if not name or name == "-":
        return sys.stdout
    opened: Any = LogFile.fromFullPath(name, rotateLength=None)  # type: ignore[no-untyped-call]
    return cast("TextIO", opened)


def redacted_event(event: LogEvent) -> LogEvent:
    """The event without secrets, for an observer that is not ours.

    Twisted's own fields stay; of the others what is more than a number becomes text.
    """
    made = {
        key: value if key.startswith("log_") else _field(value)
        for key, value in event.items()
        if key != "failure"
    }
    for key in ("log_format", "log_text"):
        if isinstance(event.get(key), str):
            made[key] = redact(event[key])
    if "message" in event:
        # Of twisted.python.log: a tuple of texts.
        made["message"] = tuple(map(_field, event["message"]))
    failure = event.get("log_failure")
    if failure is not None:
        made["log_failure"] = _redacted_failure(failure)
    return made


def _redacted_failure(failure: Any) -> Any:
    """The same but for what its exception says; the frames have no values."""
    kind = failure.type.__name__ if failure.type is not None else "Exception"
    made = copy(failure)
    made.value = type(kind, (Exception,), {})(_clean(safe_str(failure.value)))
    made.type = type(made.value)
    return made


def _redact_what_begins() -> None:
    """Stand between Twisted's log and the observers that twistd begins it with.

    twistd has taken the user's factory by now, and offers no other place.
    """
    begin = globalLogBeginner.beginLoggingTo

    def begin_redacted(observers: Any, *given: Any, **named: Any) -> None:
        globalLogBeginner.beginLoggingTo = begin  # type: ignore[method-assign]
        begin([_before(each) for each in observers], *given, **named)

    globalLogBeginner.beginLoggingTo = begin_redacted  # type: ignore[method-assign]


def _before(theirs: Callable[[LogEvent], None]) -> Any:
    def observe(event: LogEvent) -> None:
        theirs(redacted_event(event))

    return observe


class LoggedService(MultiService):
    """A process's top service, whose log is redacted.

    *options* are twistd's (the parent of the plugin's).  ``--logger`` wins over us, as
    its users expect; what its observer gets is redacted.
    """

    def __init__(self, options: Any, form: LogFormat) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._options, self._form = options, form

    def setServiceParent(self, parent: Any) -> None:
        """Give the application our observer; twistd starts its log after this."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        chosen = self._options is not None and self._options.get("logger")
        if chosen:
            _redact_what_begins()
        elif isinstance(parent, Componentized):
            made: Callable[[LogEvent], None] = observer(
                _file_of(self._options), self._form
            )
            parent.setComponent(ILogObserver, made)  # type: ignore[no-untyped-call]
