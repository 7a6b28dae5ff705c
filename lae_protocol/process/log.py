"""The log of every process: one JSON object a line, or text for people; redacted.

``twistd``'s own ``--logfile``, ``--syslog`` and ``--logger`` go on working: what is
put in their place is only the observer that twistd would have made itself.
"""

from __future__ import annotations

import json
import sys
import syslog
from collections.abc import Callable
from datetime import UTC, datetime
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
)
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from twisted.python.reflect import safe_str

from lae_protocol.process.redaction import redact

LogFormat = Literal["json", "text"]

#: Fields of Twisted's own that say nothing to a reader of our logs.
_NOISE = ("format", "message", "isError", "text", "why", "printed", "failure")

#: Who says at each connection that there is one; the last names visitors' addresses.
_CHATTER = (
    "twisted.web.client._HTTP11ClientFactory",
    "txaws.client.base",
    "twisted.web.http.HTTPChannel",
)


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


def _traceback(event: LogEvent) -> str | None:
    failure = event.get("log_failure")
    return None if failure is None else str(failure.getTraceback())


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
    return json.dumps(line, ensure_ascii=False) + "\n"


def as_text(event: LogEvent) -> str:
    """One line for people, and the traceback below it."""
    text = (
        f"{_when(event)} {_level(event):8} "
        f"[{event.get('log_namespace', '')}] {formatEvent(event)}\n"
    )
    return _clean(text + (_traceback(event) or ""))


def observer(out: TextIO, form: LogFormat) -> FilteringLogObserver:
    """Write redacted lines to *out*, without debugging and chatter."""
    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    for namespace in _CHATTER:
        levels.setLogLevelForNamespace(namespace, LogLevel.warn)
    written = FileLogObserver(out, as_json if form == "json" else as_text)
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


def _file_of(options: Any) -> TextIO:
    """Where twistd's own options say that the log goes."""
    if options is not None and options.get("syslog"):
        return cast("TextIO", _Syslog(options.get("prefix") or "twisted"))
    name = options.get("logfile") if options is not None else None
    if not name or name == "-":
        return sys.stdout
    opened: Any = LogFile.fromFullPath(name, rotateLength=None)  # type: ignore[no-untyped-call]
    return cast("TextIO", opened)


class LoggedService(MultiService):
    """A process's top service, whose log is redacted.

    *options* are twistd's (the parent of the plugin's).  ``--logger`` wins over us, as
    its users expect: whoever writes an observer redacts what it gets.
    """

    def __init__(self, options: Any, form: LogFormat) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._options, self._form = options, form

    def setServiceParent(self, parent: Any) -> None:
        """Give the application our observer; twistd starts its log after this."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        chosen = self._options is not None and self._options.get("logger")
        if isinstance(parent, Componentized) and not chosen:
            made: Callable[[LogEvent], None] = observer(
                _file_of(self._options), self._form
            )
            parent.setComponent(ILogObserver, made)  # type: ignore[no-untyped-call]
