"""``lae image build|push|key|sign|list|verify|prune``."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from lae_flapp.account.calling import ask
from lae_flapp.account.registrar import AccountDoors, Registrar
from lae_flapp.journal import images, sqlite
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.laptop.columns import Column, columns
from lae_flapp.settings import DaemonSettings
from lae_protocol.aws.administrator import NoKeys, administrators_keys
from lae_protocol.plan_words import size_in_words
from lae_protocol.process.settings import SettingsError, load
from lae_provision.deploy import source
from lae_provision.hosts.programs import RELEASE_LABEL, ImageReference
from lae_provision.images import pruning, recipe, shipping
from lae_provision.images.building import Builder
from lae_provision.images.folder import NoImage, read_image
from lae_provision.images.recipe import NotBuildable, read_base, read_recipe
from lae_provision.images.wheels import wheels_of_commit

T = TypeVar("T")

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_NAME = click.Choice(recipe.NAMES)
#: What an image's labels are called, by the OCI.
_TITLE = "org.opencontainers.image.title"
_VERSION = "org.opencontainers.image.version"
_NO_JOURNAL = (
    "{journal}: there is no journal here, and without it nobody knows which images"
    " hosts run: prune on the daemon's machine"
)


def _on_account(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``account``."""

    @wraps(command)
    def working(*, config: Path, profile: str | None, **rest: Any) -> Any:
        try:
            settings = load(config.resolve(), DaemonSettings)
            keys = administrators_keys(os.environ, Path.home(), profile)
            return command(account=Registrar(settings, keys), **rest)
        except (SettingsError, NoKeys, NoImage, JournalError) as e:
            raise click.ClickException(str(e)) from None
        except OSError as e:
            raise click.ClickException(f"{e.filename}: {e.strerror}") from None

    given: Callable[..., Any] = working
    for option in (
        click.option(
            "--profile",
            help="Of ~/.aws/credentials.  [default: the keys in the environment,"
            " then AWS_PROFILE]",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            default=Path("/etc/s4/daemon.yaml"),
            show_default=True,
            help="The daemon's settings.",
        ),
    ):
        given = option(given)
    return given


def _reference(text: str) -> ImageReference:
    try:
        return ImageReference(text)
    except ValueError as e:
        raise click.BadParameter(str(e)) from None


@click.group()
def image() -> None:
    """Build container images, sign them, push them to ECR, and look after them.

    All but build take an administrator's keys from the environment or
    ~/.aws/credentials, never the daemon's.
    """


@image.command()
@click.argument("name", type=_NAME)
@click.option(
    "--untested",
    metavar="REASON",
    help="Why to build of a commit without passed tests.",
)
@click.option(
    "--source",
    "root",
    type=_FOLDER,
    default=Path(),
    help="The git tree to build of.  [default: here]",
)
@click.option(
    "--release",
    type=click.IntRange(1),
    help="The release's number, which hosts compare.  [default: how many commits lead"
    " to this one]",
)
def build(name: str, *, untested: str | None, root: Path, release: int | None) -> None:
    """Build the image NAME of the commit that is checked out here.

    It is written to build/images, with the list of its parts (sbom.json), and printed
    by its digest: the same commit and the same packages of Debian give the same one.
    """
    try:
        taken = source.check(root, untested)
        number = release or source.count_commits(taken)
        place = taken.root / "build" / "images"
        into = place / f"{source.name_release(taken)}-{name}"
        shutil.rmtree(into, ignore_errors=True)
        recipes = taken.root / "config" / "containers"
        wanted = read_recipe(recipes, name)
        builder = Builder(read_base(recipes), place / "cache")
        with tempfile.TemporaryDirectory(dir=place, prefix="wheel-") as wheel:
            wheels = wheels_of_commit(taken, wanted.requirements, Path(wheel, "new"))
            made = builder.build(wanted, wheels, into, number)
    except (source.NotReleasable, NotBuildable, SettingsError) as e:
        raise click.ClickException(str(e)) from None
    for layer in made.layers:
        click.echo(f"{layer.digest}  {size_in_words(layer.size)}", err=True)
    click.echo(f"{made.digest}  {size_in_words(made.size)}, release {number}", err=True)
    click.echo(made.folder)


@image.command()
@_on_account
@click.argument("folder", type=_FOLDER)
@click.option(
    "--kms-key",
    metavar="ARN",
    help="What a new repository is encrypted under.  [default: AWS's own key]",
)
def push(account: Registrar, folder: Path, kms_key: str | None) -> None:
    """Push the image in FOLDER to its repository in ECR, which is made if need be.

    Prints the reference that the settings take (cells.program.image).  What was
    interrupted is repeated, without the layers that had arrived.
    """
    made = read_image(folder)
    repository = account.repository(made.labels[_TITLE])
    tag = made.labels[_VERSION].replace("+", "-")
    tags = {"s4:deployment": account.settings.deployment}

    async def work(doors: AccountDoors) -> str:
        await doors.repositories.make(repository, kms_key, tags)
        registry, name = await doors.registry()
        sent = await shipping.push(registry, repository, made, tag, _say)
        _say(f"{size_in_words(sent)} sent; the tag is {tag}")
        return f"{name}/{repository}@{made.digest}"

    click.echo(account.run(work))


@image.command()
@_on_account
@click.option("--make", is_flag=True, help="Make the key, if there is none.")
@click.argument("key")
def key(account: Registrar, key: str, *, make: bool) -> None:
    """Print the public half (PEM) of the KMS key KEY, for cells.program.signing_keys.

    KEY is an alias (alias/NAME), an id or an ARN.  Its private half never leaves KMS.
    """

    async def work(doors: AccountDoors) -> str:
        signer = doors.cloud.signing_key(key)
        if make and await signer.make(account.settings.deployment):
            _say(f"{key} is made")
        return await signer.public_key()

    click.echo(account.run(work), nl=False)


@image.command()
@_on_account
@click.argument("reference")
@click.option("--key", required=True, help="The KMS key: alias/NAME, an id or an ARN.")
def sign(account: Registrar, reference: str, key: str) -> None:
    """Sign the image REFERENCE (REGISTRY/NAME@sha256:DIGEST) in the registry.

    An image may have several signatures: while one key follows another, sign by both.
    """
    named = _reference(reference)

    async def work(doors: AccountDoors) -> bool:
        registry = await doors.registry_of(named)
        return await shipping.sign(registry, named, doors.cloud.signing_key(key))

    done = account.run(work)
    _say(f"{named.text}: {'signed' if done else 'was signed already'} by {key}")


@image.command()
@_on_account
@click.argument("reference", required=False)
@click.option(
    "--key-file",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A public key (PEM).  [default: the settings' signing_keys]",
)
def verify(
    account: Registrar, reference: str | None, key_files: tuple[Path, ...]
) -> None:
    """Check the image REFERENCE as a host does: signature, every byte, architecture.

    REFERENCE is the settings' own image without one.  Exit status 1: no host would run
    it; the line says why.
    """
    program = account.settings.cells[0].program
    named = _reference(reference or program.image or "")
    files = key_files or program.signing_keys
    if not files:
        raise click.UsageError("the settings have no signing_keys: give --key-file")
    keys = tuple(path.read_text("utf-8") for path in files)

    async def work(doors: AccountDoors) -> shipping.Verified:
        return await shipping.verify(await doors.registry_of(named), named, keys)

    told = account.run(work)
    click.echo(
        f"{named.text}: right; {told.signatures} signature"
        f"{'' if told.signatures == 1 else 's'}, {size_in_words(told.size)},"
        f" {told.labels.get(_VERSION, 'no version')},"
        f" release {told.labels.get(RELEASE_LABEL, 'without a number')}"
    )


@image.command("list")
@_on_account
@click.argument("name", type=_NAME)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def list_(account: Registrar, name: str, *, as_json: bool) -> None:
    """List the images of the repository NAME, the newest first."""
    repository = account.repository(name)
    stored = account.run(lambda doors: doors.repositories.images(repository))
    if stored is None:
        raise click.ClickException(
            f"there is no repository {repository}: push makes it"
        )
    signed = {pruning.signed_by_tag(one.tags) for one in stored}
    ours = account.settings.cells[0].program.image or ""
    images = [one for one in stored if pruning.signed_by_tag(one.tags) is None]
    if as_json:
        click.echo(
            json.dumps(
                {
                    "version": 1,
                    "images": [
                        {
                            "digest": one.digest,
                            "tags": list(one.tags),
                            "size": one.size,
                            "pushed_at": one.pushed_at.isoformat(),
                            "signed": one.digest in signed,
                            "configured": ours.endswith(one.digest),
                        }
                        for one in images
                    ],
                },
                indent=1,
            )
        )
        return
    table = columns(*map(Column, ("tag", "size", "pushed", "signed", "digest")))
    table.page(
        (
            ", ".join(one.tags) or "-",
            size_in_words(one.size),
            f"{one.pushed_at:%Y-%m-%d %H:%M}",
            "yes" if one.digest in signed else "no",
            one.digest + (" (configured)" if ours.endswith(one.digest) else ""),
        )
        for one in images
    )


@image.command()
@_on_account
@click.argument("name", type=_NAME)
@click.option("--newest", default=10, show_default=True, type=click.IntRange(1))
@click.option(
    "--days",
    default=90,
    show_default=True,
    type=click.IntRange(0),
    help="What was pushed within so many days stays.",
)
@click.option("--dry-run", is_flag=True, help="Print what would go, delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(
    account: Registrar, name: str, newest: int, days: int, *, dry_run: bool, yes: bool
) -> None:
    """Delete old images of the repository NAME, with their signatures.

    What the settings name stays, what a host in the journal was launched with, the
    newest, and what was pushed lately.
    """
    repository = account.repository(name)
    named = _named(account.settings)

    since = pruning.ago(datetime.now(UTC), days)
    keeping = pruning.Keeping(named, newest, since)

    async def work(doors: AccountDoors) -> None:
        stored = await doors.repositories.images(repository) or ()
        chosen = pruning.choose(stored, keeping)
        for one in chosen.images:
            click.echo(f"{', '.join(one.tags)}  {one.digest}")
        if not chosen.digests:
            _say("Nothing to prune.")
        elif not dry_run:
            if not yes:
                ask(f"Delete these {len(chosen.images)} images?")
            await doors.repositories.delete(repository, chosen.digests)
            _say(f"{len(chosen.images)} images deleted")

    account.run(work)


def _named(settings: DaemonSettings) -> frozenset[str]:
    """The digests that no prune may delete."""
    if not settings.journal.exists():
        raise click.ClickException(_NO_JOURNAL.format(journal=settings.journal))
    engine = sqlite.engine(settings.journal, writes=False, connections=1)
    try:
        with sqlite.meanings(), engine.connect() as connection:
            used = images.in_use(ReadTx(connection, datetime.now(UTC)))
    finally:
        engine.dispose()
    configured = {cell.program.image for cell in settings.cells} - {None}
    return frozenset(
        ImageReference(text).digest for text in (*used, *filter(None, configured))
    )


def _say(text: str) -> None:
    """For people; what scripts read is on standard output."""
    click.echo(text, err=True)
