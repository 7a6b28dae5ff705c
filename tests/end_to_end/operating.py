"""What an operator sees of the daemon, asked over the operator's furl."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from lae_protocol import wire
from lae_protocol.ids import SignupId
from lae_protocol.looking_messages import (
    AskHealth,
    EventPage,
    EventsSince,
    Health,
    ListSignups,
    ShowSignup,
    SignupDetail,
)
from lae_protocol.messages import Refused
from lae_protocol.question import A, Question
from tests.end_to_end.process import PATIENCE, until


class Operator:
    """Asks again when the daemon was away: it is killed often."""

    def __init__(self, furl_file: Path, log: Path) -> None:
        script = Path(__file__).with_name("operator_process.py")
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                [sys.executable, str(script), str(furl_file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
            )

    def stop(self) -> None:
        """Hang up."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait(10)

    def ask(self, question: Question[A], seconds: float = 10.0) -> A | Refused | None:
        """One question; None when there was no answer."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        name = type(question).__name__
        text = wire.encode(question).decode()
        self._popen.stdin.write(f"{name} {seconds} {text}\n")
        self._popen.stdin.flush()
        line = self._popen.stdout.readline()
        assert line, "the operator's line ended"
        if line.startswith("!"):
            return None
        return wire.decode_answer(type(question), line.encode())

    def insist(self, question: Question[Any]) -> Any:
        """Ask until there is an answer."""
        return until(lambda: self.ask(question), type(question).__name__)

    def show(self, signup_id: str) -> SignupDetail:
        """All of one signup."""
        detail: SignupDetail = self.insist(ShowSignup(SignupId(signup_id)))
        return detail

    def health(self) -> Health:
        """The daemon, now."""
        health: Health = self.insist(AskHealth())
        return health

    def signups(self) -> list[Any]:
        """Every signup, newest first."""
        rows: list[Any] = []
        cursor = None
        while True:
            page = self.insist(ListSignups(None, None, cursor, 500))
            rows += page.rows
            cursor = page.cursor
            if cursor is None:
                return rows

    def kinds(self, signup_id: str) -> list[str]:
        """The kinds of one signup's events, in their order."""
        return [event.kind for event in self.show(signup_id).events]

    def wait_for(self, signup_id: str, kind: str, seconds: float = PATIENCE) -> None:
        """Follow the event log until an event of this kind is in it."""
        since = 0

        def came() -> bool:
            nonlocal since
            asked = EventsSince(SignupId(signup_id), since, 5)
            page: EventPage | None = self.ask(asked, 10)
            if page is None:
                return False
            since = page.last_number
            return any(event.kind == kind for event in page.events)

        until(came, f"{signup_id} {kind}", seconds)
