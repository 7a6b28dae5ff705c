"""``python -m lae_localcloud demo``: the whole of S4 on this machine."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from lae_localcloud.metal.requirements import raise_if_no_metal
from lae_localcloud.state_folder import (
    StateFolderUsed,
    prepare_state_folder,
)


def _ended_early(number: int, frame: Any) -> NoReturn:
    del frame
    sys.exit(128 + number)


@click.command("demo")
@click.option(
    "--once", is_flag=True, help="Sign up, store a file, stop; 0 if all held."
)
@click.option("--signup", is_flag=True, help="Perform one signup, then keep running.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Everything the run writes; fresh.  [default: a new folder in /tmp]",
)
@click.option("--clean", is_flag=True, help="Empty the folder of an earlier run first.")
@click.option("--port", default=0, help="Of the site.  [default: a free one]")
@click.option(
    "--level",
    type=click.Choice(["process", "metal"]),
    default="process",
    show_default=True,
    help="What a customer's host is: processes, or a machine (root on Linux).",
)
def demo(
    *,
    once: bool,
    signup: bool,
    state_dir: Path | None,
    clean: bool,
    port: int,
    level: Literal["process", "metal"],
) -> None:
    """Run the whole of S4 here: a person signs up in a browser, with a test card."""
    # A shell may have had SIGINT ignored for us; nothing runs yet that must be ended.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ended_early)
    if level == "metal":
        raise_if_no_metal()
    chosen = state_dir or Path(tempfile.mkdtemp(prefix="s4-demo-"))
    try:
        folder = prepare_state_folder(chosen, clean=clean)
    except StateFolderUsed as e:
        raise click.ClickException(str(e)) from None
    # Importing a reactor installs it, and the rest takes a while: not for --help.
    from lae_localcloud.demo.run import run_demo  # noqa: PLC0415

    code = run_demo(folder, once=once, signup=signup, port=port, level=level)
    raise SystemExit(code)
