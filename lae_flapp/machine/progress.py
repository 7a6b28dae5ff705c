"""How far long work is, for who watches; for nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give what is told (done, of how many); on a terminal it is a bar."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _, __: None
        return
    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*shown, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def told(done: int, of_all: int) -> None:
            bar.update(task, completed=done, total=of_all)

        yield told
