"""The demo as one part that is started and stopped: a supervisor and what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click

from lae_localcloud.demo.parent import Parent
from lae_localcloud.demo.program import Step
from lae_localcloud.demo.supervisor import ProgramDied, Supervisor

_LOOK_AT_PARENT = 0.5


class Launcher:
    """Runs *steps*; *then* is done once all are ready (None: nothing).

    *end* stops the whole demo with an exit code: called when a program dies that
    cannot be started again, when a make that started us ends, and by *then*.
    """

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        steps: Sequence[Step],
        *,
        end: Callable[[int], None],
        then: Callable[[Supervisor], Awaitable[Any]] | None = None,
    ) -> None:
        self._reactor, self._end, self._then = reactor, end, then
        self.supervisor = Supervisor(
            reactor, folder / "logs", steps, say=self._say, died=self._died
        )
        self._parent = Parent()
        self._look: Any = None

    async def start(self) -> Any:
        """All processes, then *then*."""
        self._watch_parent()
        await self.supervisor.start()
        return None if self._then is None else await self._then(self.supervisor)

    async def stop(self) -> None:
        """All processes, within ten seconds."""
        if self._look is not None and self._look.active():
            self._look.cancel()
        await self.supervisor.stop()

    def _say(self, text: str) -> None:
        click.echo(text, err=True)

    def _died(self, words: ProgramDied) -> None:
        self._say(str(words))
        self._end(1)

    def _watch_parent(self) -> None:
        if self._parent.wants_us_to_end():
            self._end(0)
        else:
            self._look = self._reactor.callLater(_LOOK_AT_PARENT, self._watch_parent)
