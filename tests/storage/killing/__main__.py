"""``make test-kill``: the whole of it, on a real S3 server of its own."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from tests.storage.conftest import S3Server, start_weed
from tests.storage.killing.run import Killing


def _tell(kills: int) -> Callable[[int], None]:
    """Say on a terminal how far it is."""

    def told(done: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done} of {kills} kills", err=True, nl=done >= kills)

    return told


@click.command()
@click.option("--kills", default=200, show_default=True)
@click.option("--seed", default=lambda: secrets.token_hex(4), help="As printed before.")
def main(kills: int, seed: str) -> None:
    """Kill a storage node under load, and see that nothing acknowledged is lost."""
    click.echo(f"{'seed':<32}{seed}")
    with tempfile.TemporaryDirectory(prefix="s4-killed-") as name:
        folder = Path(name)
        weed, endpoint = start_weed(folder / "weed")
        try:
            killing = Killing(seed, kills, folder, S3Server(endpoint), _tell(kills))
            result = killing.run()
        finally:
            weed.kill()
            weed.wait()
    click.echo(result.table())
    for loss in result.losses:
        click.echo(loss, err=True)
    if result.losses:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
