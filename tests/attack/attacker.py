"""One attack by this process: ``python -m tests.attack.attacker NAME ROOT ...``.

Says at its end as JSON what it was answered, how often.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from tests.attack.attacks import ATTACKS
from tests.attack.pace import Pace, Tally
from tests.attack.target import Target


@click.command()
@click.argument("name", type=click.Choice(list(ATTACKS)))
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("site_url")
@click.argument("signup_id")
@click.option("--seconds", type=float, required=True)
@click.option("--share", type=float, default=0.5, help="of one processor core")
def main(
    name: str, root: Path, site_url: str, signup_id: str, seconds: float, share: float
) -> None:
    """Attack."""
    tally = Tally()
    target = Target(root, site_url, signup_id)
    ATTACKS[name].run(target, Pace(share, seconds), tally)
    click.echo(json.dumps(tally.counts))


if __name__ == "__main__":
    main()
