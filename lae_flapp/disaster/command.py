"""``lae disaster``: the machine with the journal is gone, or that is rehearsed."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

import click
from attrs import asdict, define, field

from lae_flapp.account.calling import run_with_cloud, source_of
from lae_flapp.backup.layout import Life, NotOurBackup
from lae_flapp.backup.witnessed import SOUND, Drill, drill_key
from lae_flapp.disaster.file_reading import Asked, FileRead, read_file
from lae_flapp.disaster.proving import Proof, prove
from lae_flapp.disaster.reasons import BucketAway, CannotRebuild
from lae_flapp.disaster.rebuilding import build
from lae_flapp.disaster.recovery import Recovered, Recovery
from lae_flapp.disaster.shelf import BucketShelf, FolderShelf, IShelf
from lae_flapp.laptop import tables
from lae_flapp.laptop.options import WRONG, changes, confirm, gives_json, loses
from lae_flapp.settings import AwsSettings, DaemonSettings
from lae_protocol.aws.administrator import NoKeys, administrators_keys
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.aws.cloud import AwsCloud, open_cloud
from lae_provision.doors import IVault

T = TypeVar("T")

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
#: Where a recovery writes down what is under way.
WORK = Path("/var/lib/s4-recovery")
#: What is issued anew is not in the backup; this page has how.
ISSUED_ANEW = "docs/operations/machine-is-gone.rst"


class Refused(click.ClickException):
    """Why it is not done, by its name."""

    exit_code = WRONG


@define(frozen=True)
class BackupPlace:
    """Where the backup is, and what opens it."""

    aws: AwsSettings
    keys: Credentials | None
    bucket: str | None
    copy: Path | None
    deployment: str
    recovery_key: Secret = field(repr=False)
    life: Life | None

    def shelf(self, cloud: AwsCloud) -> IShelf:
        """The backups themselves."""
        if self.copy is not None:
            return FolderShelf(self.copy.resolve(), self.deployment)
        assert self.bucket is not None
        return BucketShelf(cloud.channel, self.keys, self.bucket, self.deployment)

    def vault_of(self, reactor: Any, settings: DaemonSettings) -> IVault:
        """The state bucket that restored settings name, with the keys of this call."""
        cloud = open_cloud(
            reactor,
            SystemRandom(),
            source_of(reactor, self.keys),
            settings.aws.region,
            endpoint=settings.aws.endpoint,
            s3_endpoint=settings.aws.s3_endpoint,
        )
        return cloud.vault(settings.aws.state_bucket)

    def run(self, work: Callable[[Any, IShelf], Awaitable[T]]) -> T:
        """Do *work* with a reactor; a refusal ends the command with its name."""

        async def working(reactor: Any, cloud: AwsCloud) -> T:
            return await work(reactor, self.shelf(cloud))

        try:
            return run_with_cloud(self.aws, self.keys, working)
        except CannotRebuild as e:
            raise Refused(f"{e.name}: {e}") from None


@click.group()
def disaster() -> None:
    """Build a deployment again from its backup bucket and the recovery key alone.

    Takes the daemon's own rights: keys from the environment or a --profile of
    ~/.aws/credentials, or else the role of the machine that it runs on.
    """


def _of_backup(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``place``."""

    @wraps(command)
    def working(
        *,
        bucket: str | None,
        copy: Path | None,
        region: str,
        endpoint: str | None,
        deployment: str,
        recovery_key: Path,
        life: str | None,
        profile: str | None,
        **rest: Any,
    ) -> Any:
        if (bucket is None) == (copy is None):
            raise click.UsageError("say --bucket, or --copy")
        try:
            keys = _keys(profile)
            chosen = None if life is None else Life.parse(life)
        except (NoKeys, NotOurBackup) as e:
            raise click.ClickException(str(e)) from None
        aws = AwsSettings("", region, "", endpoint, endpoint)
        key = _read_key(recovery_key)
        place = BackupPlace(aws, keys, bucket, copy, deployment, key, chosen)
        return command(place=place, **rest)

    for option in (
        click.option("--profile", help="Of ~/.aws/credentials."),
        click.option("--life", help="Not the newest life of the backup, but this one."),
        click.option(
            "--recovery-key",
            required=True,
            type=_FILE,
            help="The file with the private half (AGE-SECRET-KEY-1...).",
        ),
        click.option("--deployment", required=True, help="Whose backup."),
        click.option("--endpoint", help="S3's address, where it is not AWS'."),
        click.option(
            "--region", default="eu-west-1", show_default=True, help="The bucket's."
        ),
        click.option(
            "--copy", type=_FOLDER, help="A folder that the bucket was copied to."
        ),
        click.option("--bucket", help="The backup bucket."),
    ):
        working = option(working)
    return working


def _keys(profile: str | None) -> Credentials | None:
    """None where there are none, and none were named."""
    try:
        return administrators_keys(os.environ, Path.home(), profile)
    except NoKeys:
        if profile is None:
            return None
        raise


def _read_key(path: Path) -> Secret:
    """The private half; a file of age-keygen's has comments beside it."""
    lines = path.read_text("utf-8").splitlines()
    found = [line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-1")]
    if len(found) != 1:
        raise click.ClickException(f"{path} has no AGE-SECRET-KEY-1... of its own line")
    return Secret(found[0])


def _told(what: str) -> None:
    click.echo(f"... {what}", err=True)


@disaster.command()
@_of_backup
@gives_json
@click.option(
    "--into",
    type=_FOLDER,
    help="An empty folder to build in, which is left.  [default: a private one, which"
    " is removed]",
)
@click.option("--customer", help="A signup of your own, whose --cap is read.")
@click.option("--cap", type=_FILE, help="A file with the capability of a file to read.")
@click.option(
    "--tahoe",
    type=click.Path(path_type=Path),
    default=Path("tahoe"),
    show_default=True,
    help="The program of Tahoe-LAFS that reads it.",
)
def drill(  # noqa: PLR0917  (click's)
    place: BackupPlace,
    as_json: bool,
    into: Path | None,
    customer: str | None,
    cap: Path | None,
    tahoe: Path,
) -> None:
    """Build everything from the backup and prove it; what runs is not touched.

    What was built is proved: the journal by the numbers of its events, the daemon's
    furls by its certificates, every grid's keys by the recovery key and the state
    bucket, and hosts by reporting over the furls that they hold, on this machine alone.
    With --customer and --cap a file is read by an unmodified client, over the furl that
    was restored.
    The outcome is written into the bucket, where the daemon reads when a restore was
    tried last.  The exit status is 4 when something is wrong.
    """
    if (customer is None) != (cap is None):
        raise click.UsageError("--customer and --cap go together")
    asked = None
    if customer is not None and cap is not None:
        asked = Asked(customer, Secret(cap.read_text("utf-8").strip()), tahoe)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (Path(temporary) / "drill" if into is None else into).resolve()
        life, proof, read = place.run(
            lambda *given: _drill(place, folder, asked, *given)
        )
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        file = None if read is None else asdict(read)
        tables.print_json(life=life, seconds=seconds, **asdict(proof), file=file)
        return
    click.echo(f"Life {life} was restored and proved in {seconds} s.")
    for line in _lines(proof):
        click.echo(line)
    if read is not None:
        click.echo(f"  a file    {read.size} bytes were read, SHA-256 {read.sha256}")


async def _drill(
    place: BackupPlace,
    folder: Path,
    asked: Asked | None,
    reactor: Any,
    shelf: IShelf,
) -> tuple[str, Proof, FileRead | None]:
    life, events, outcome = "", 0, "interrupted"
    try:
        built = await build(shelf, place.recovery_key, folder, _told, place.life)
        life, events = str(built.found.life), built.counted.last
        vault = place.vault_of(reactor, built.settings)
        proof = await prove(reactor, built, place.recovery_key, vault, _told)
        read = None
        if asked is not None:
            _told("a file of a customer")
            read = await read_file(built, place.recovery_key, asked)
        outcome = SOUND
    except CannotRebuild as e:
        outcome = e.name
        raise
    finally:
        await _record(shelf, Drill(datetime.now(UTC), life, events, outcome))
    return life, proof, read


async def _record(shelf: IShelf, drill: Drill) -> None:
    """Write down what came of it, where these keys may write."""
    try:
        await shelf.write(drill_key(shelf.deployment, drill.at), drill.to_json())
    except BucketAway as e:
        click.echo(f"The daemon does not learn of this drill: {e}", err=True)


def _lines(proof: Proof) -> tuple[str, ...]:
    journal = (
        f"  journal   {proof.signups} signups, {proof.events} events without a gap, the"
        f" last of {proof.last_at}"
    )
    grids = (
        f"  grids     the recovery key opens the keys of all {proof.grids};"
        f" {proof.compared} were compared with the state bucket"
    )
    hosts = f"  hosts     {proof.heard} of {proof.hosts} were heard over their furls"
    return journal, grids, hosts


@disaster.command()
@_of_backup
@gives_json
@changes
@loses
@click.option(
    "--work",
    type=_FOLDER,
    default=WORK,
    show_default=True,
    help="Where is written down what is under way.",
)
def recover(
    place: BackupPlace, as_json: bool, dry_run: bool, yes: bool, work: Path
) -> None:
    """Go on from the backup on this machine; the daemon of before is shut out first.

    Certificates, furls, keys and settings are put where they were, and the journal.
    Ended anywhere, the same command again goes on.  Begin only where the old machine is
    to be given up: its daemon ends by itself, and does not start again.
    """

    def recovery(reactor: Any, shelf: IShelf) -> Recovery:
        return Recovery(
            reactor=reactor,
            shelf=shelf,
            key=place.recovery_key,
            work=work.resolve(),
            vault_of=lambda settings: place.vault_of(reactor, settings),
            wall=time.time,
            told=_told,
            life=place.life,
        )

    if dry_run:

        async def look(reactor: Any, shelf: IShelf) -> str:
            return str((await recovery(reactor, shelf).look()).life)

        click.echo(f"Would recover {place.deployment} from life {place.run(look)}.")
        return
    if not yes:
        confirm(
            f"Recover {place.deployment} here?  The daemon of before ends for good."
        )

    async def recovering(reactor: Any, shelf: IShelf) -> Recovered:
        return await recovery(reactor, shelf).run()

    done = place.run(recovering)
    settings = done.settings
    if as_json:
        proof = None if done.proof is None else asdict(done.proof)
        tables.print_json(
            number=done.number, journal=str(settings.journal), proof=proof
        )
        return
    click.echo(f"{place.deployment} is recovered: {settings.journal}")
    for line in () if done.proof is None else _lines(done.proof):
        click.echo(line)
    click.echo(
        f"What is issued anew is in {ISSUED_ANEW}.  Then start the daemon, and look at:"
        " lae health; lae events; lae hosts list"
    )
