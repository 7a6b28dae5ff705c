"""``lae-storage``: look after a customer's bucket, or leave with it.

Keys come from the environment, as AWS' own tools have them: ``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY`` and, where there is one, ``AWS_SESSION_TOKEN``.
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

#: A node's id of 20 zero bytes: upstream shows it in one error's text only.
NOBODY, TUBID = "a" * 32, 20


@define(frozen=True)
class Place:
    """Which bucket, and the keys to it."""

    bucket: BucketPlace
    credentials: Credentials

    def run(self, work: Callable[[Any, IObjectStore], Awaitable[bool]]) -> None:
        """Do the work in a reactor and end with 0, or with 1 where it says no."""

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
@click.option("--endpoint", help="Another S3 than AWS', as a URL.")
@click.option("--prefix", default="", help="Where in the bucket the layout begins.")
@click.pass_context
def main(
    ctx: click.Context, bucket: str, region: str, endpoint: str | None, prefix: str
) -> None:
    """Look after a bucket with shares, or leave with it.

    Keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
    """
    try:
        token = os.environ.get("AWS_SESSION_TOKEN")
        credentials = Credentials(
            os.environ["AWS_ACCESS_KEY_ID"],
            Secret(os.environ["AWS_SECRET_ACCESS_KEY"]),
            Secret(token) if token else None,
        )
    except KeyError as e:
        raise click.UsageError(f"the environment has no {e.args[0]}") from None
    ctx.obj = Place(BucketPlace(bucket, region, endpoint, prefix), credentials)


@main.command()
@click.option("--data", is_flag=True, help="Read all shares, too, and compare hashes.")
@click.pass_obj
def check(place: Place, *, data: bool) -> None:
    """Walk the bucket; says what is in it and what is wrong, and changes nothing.

    Ends with 1 where something is wrong.
    """

    async def work(_: Any, store: IObjectStore) -> bool:
        found = await checking.check(store, data=data)
        _say(found, "problems")
        return not found.problems

    place.run(work)


@main.command()
@click.pass_obj
def repair(place: Place) -> None:
    """Delete chunks and uploads that nobody needs and that are a day old.

    Safe while a node runs.
    """

    async def work(reactor: Any, store: IObjectStore) -> bool:
        _say(await checking.repair(store, reactor.seconds()))
        return True

    place.run(work)


@main.command()
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), help="UTC; today if not said."
)
@click.pass_obj
def usage(place: Place, day: datetime | None) -> None:
    """What was counted on a day: bytes from and to clients, requests by kind."""
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
@click.option("--nodeid", default=NOBODY, help="The node's TubID, 32 letters.")
@click.pass_obj
def export(place: Place, folder: Path, nodeid: str) -> None:
    """Write all shares under FOLDER/storage/shares, as upstream's own node has them.

    With the node's own tahoe.cfg and private folder there, ``tahoe run`` serves them.
    """
    try:
        tub: bytes = base32.a2b(nodeid.encode())
    except (ValueError, AssertionError, KeyError):
        raise click.BadParameter("not a TubID") from None
    if len(tub) != TUBID:
        raise click.BadParameter("not a TubID")

    async def work(_: Any, store: IObjectStore) -> bool:
        moved = await moving.export(store, folder, tub)
        _say(moved, "problems")
        return not moved.problems

    place.run(work)


@main.command("import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.pass_obj
def import_(place: Place, folder: Path) -> None:
    """Store all shares of the node in FOLDER that the bucket has not.

    The bucket is taken as by a node: one that runs serves no more.  Stop it before.
    """

    async def work(reactor: Any, store: IObjectStore) -> bool:
        bucket = await open_bucket(store, reactor)
        bucket.fence.start()
        with tempfile.TemporaryDirectory() as spools:
            moved = await moving.Importing(bucket, Path(spools)).import_from(folder)
        bucket.fence.stop()
        _say(moved, "problems")
        return not moved.problems

    place.run(work)


def _say(result: Any, problems: str | None = None) -> None:
    """One line for each number; problems to the other stream."""
    for name, value in asdict(result).items():
        if name != problems:
            click.echo(f"{name.replace('_', ' '):<20}{value}")
    for problem in getattr(result, problems or "", ()):
        click.echo(problem, err=True)


if __name__ == "__main__":
    main()
