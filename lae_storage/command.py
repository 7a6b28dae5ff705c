"""``lae-storage``: check, repair or measure a customer's bucket, or move its shares.

The command reads its keys from the environment, as AWS' own tools do:
``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and, for temporary keys,
``AWS_SESSION_TOKEN``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from allmydata.util import base32
from attrs import asdict, define
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_storage.offline import checking, moving
from lae_storage.s3.interface import IObjectStore, StoreError
from lae_storage.s3.over_http import BucketPlace, HttpStore
from lae_storage.server.bucket import NotOurLayout, open_bucket
from lae_storage.server.meter import counted_on

#: A node's id of 20 zero bytes.  Upstream shows the id in one error's text only.
NO_NODE = "a" * 32
TUBID_SIZE = 20  # bytes
NOT_A_TUBID = "not a TubID: give the 32 letters and digits of the node's my_nodeid file"


@define(frozen=True)
class Place:
    """A bucket and the keys to it."""

    bucket: BucketPlace
    credentials: Credentials

    def run(self, work: Callable[[Any, IObjectStore], Awaitable[bool]]) -> None:
        """Run *work* in a reactor.  Exit with 0 if it returns true, else with 1, and
        with 2 if S3 or the disk refused something.
        """

        async def go(reactor: Any) -> None:
            agent = pooled_agent(reactor)
            keys = StaticCredentials(self.credentials)
            store = HttpStore(reactor, agent, keys, self.bucket)
            try:
                well = await work(reactor, store)
            except (StoreError, NotOurLayout, OSError) as e:
                click.echo(f"Error: {e}", err=True)
                raise SystemExit(2) from None
            if not well:
                raise SystemExit(1)

        react(lambda reactor: Deferred.fromCoroutine(go(reactor)))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--bucket", required=True)
@click.option("--region", default="us-east-1", show_default=True)
@click.option("--endpoint", help="The URL of an S3 server; AWS without it.")
@click.option("--prefix", default="", help="What all keys of the shares begin with.")
@click.pass_context
def main(
    ctx: click.Context, bucket: str, region: str, endpoint: str | None, prefix: str
) -> None:
    """Check, repair or measure a bucket with shares, or move the shares.

    Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary keys,
    AWS_SESSION_TOKEN in the environment.
    """
    try:
        token = os.environ.get("AWS_SESSION_TOKEN")
        credentials = Credentials(
            os.environ["AWS_ACCESS_KEY_ID"],
            Secret(os.environ["AWS_SECRET_ACCESS_KEY"]),
            Secret(token) if token else None,
        )
    except KeyError as e:
        raise click.UsageError(
            f"the environment has no {e.args[0]}: set it to the bucket's keys"
        ) from None
    ctx.obj = Place(BucketPlace(bucket, region, endpoint, prefix), credentials)


@main.command()
@click.option(
    "--data", is_flag=True, help="Also read every share and compare its hash."
)
@click.pass_obj
def check(place: Place, *, data: bool) -> None:
    """List the bucket and print what it holds and what is wrong.  Changes nothing.

    Exits with 1 if something is wrong.
    """

    async def work(_: Any, store: IObjectStore) -> bool:
        found = await checking.check(store, data=data)
        _print_result(found, "problems")
        return not found.problems

    place.run(work)


@main.command()
@click.pass_obj
def repair(place: Place) -> None:
    """Delete chunks that no slot names and unfinished uploads, once a day old.

    Safe while a node serves the bucket.
    """

    async def work(reactor: Any, store: IObjectStore) -> bool:
        _print_result(await checking.repair(store, reactor.seconds()))
        return True

    place.run(work)


@main.command()
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), help="A day in UTC; today without it."
)
@click.pass_obj
def usage(place: Place, day: datetime | None) -> None:
    """Print a day's traffic: bytes from and to clients, and requests by kind."""
    asked: date = (day or datetime.now(UTC)).date()

    async def work(_: Any, store: IObjectStore) -> bool:
        counts = await counted_on(store, asked)
        click.echo(f"{'day':<20}{asked}")
        for name in ("received", "sent", "stored", "noncurrent"):
            number = getattr(counts, name)
            click.echo(f"{name:<20}{'not known' if number is None else number}")
        for kind, times in sorted(counts.requests.items()):
            click.echo(f"{'requests: ' + kind:<20}{times}")
        return True

    place.run(work)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--nodeid", default=NO_NODE, help="The node's TubID.")
@click.pass_obj
def export(place: Place, folder: Path, nodeid: str) -> None:
    """Write all shares under FOLDER/storage/shares, as Tahoe-LAFS itself stores them.

    Copy the node's tahoe.cfg and private folder to FOLDER, and ``tahoe run`` serves
    the shares.
    """
    try:
        tub: bytes = base32.a2b(nodeid.encode())
    except (ValueError, AssertionError, KeyError):
        raise click.BadParameter(NOT_A_TUBID) from None
    if len(tub) != TUBID_SIZE:
        raise click.BadParameter(NOT_A_TUBID)

    async def work(_: Any, store: IObjectStore) -> bool:
        moved = await moving.export(store, folder, tub)
        _print_result(moved, "problems")
        return not moved.problems

    place.run(work)


@main.command("import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.pass_obj
def import_(place: Place, folder: Path) -> None:
    """Store those shares of the node in FOLDER that the bucket does not have.

    Stop the node that serves the bucket first: an import takes the bucket over, and a
    node that still runs stops serving.
    """

    async def work(reactor: Any, store: IObjectStore) -> bool:
        bucket = await open_bucket(store, reactor)
        bucket.fence.start()
        with tempfile.TemporaryDirectory() as spools:
            moved = await moving.Importing(bucket, Path(spools)).import_from(folder)
        bucket.fence.stop()
        _print_result(moved, "problems")
        return not moved.problems

    place.run(work)


def _print_result(result: Any, problems: str | None = None) -> None:
    """Print a line for each number, and the problems to standard error."""
    for name, value in asdict(result).items():
        if name != problems:
            click.echo(f"{name.replace('_', ' '):<20}{value}")
    for problem in getattr(result, problems or "", ()):
        click.echo(problem, err=True)


if __name__ == "__main__":
    main()
