"""``python -m lae_localcloud``: each part alone, and the demo of all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from lae_localcloud.metal.requirements import raise_if_no_metal
from lae_localcloud.state_folder import (
    StateFolderUsed,
    prepare_state_folder,
)

Decorated = Callable[..., Any]


#: Commands that other folders have, loaded when they are asked for.
_ELSEWHERE = {
    "stripe": "lae_localcloud.stripe.command",
    "demo": "lae_localcloud.demo.command",
}


class _Parts(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            module = import_module(_ELSEWHERE[cmd_name])
            found: click.Command = getattr(module, cmd_name)
            return found
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Parts, context_settings={"help_option_names": ["-h", "--help"]})
def localcloud() -> None:
    """Run a cloud on this machine: AWS, S3, mail, Stripe; or all of S4."""


def _state_options(command: Decorated) -> Decorated:
    command = click.option(
        "--clean", is_flag=True, help="Empty the folder of an earlier run first."
    )(command)
    return click.option(
        "--state-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Everything the run writes; fresh.  [default: a new folder in /tmp]",
    )(command)


def _prepared(state_dir: Path | None, *, clean: bool) -> Path:
    chosen = state_dir or Path(tempfile.mkdtemp(prefix="s4-localcloud-"))
    try:
        return prepare_state_folder(chosen, clean=clean)
    except StateFolderUsed as e:
        raise click.ClickException(str(e)) from None


@localcloud.command()
@_state_options
@click.option("--port", default=0, help="Of the AWS endpoint.  [default: a free one]")
@click.option("--s3-port", default=0, help="[default: a free one]")
@click.option("--region", default="eu-west-1", show_default=True)
@click.option("--deployment", default="local", show_default=True)
@click.option("--dns-zone", default="s4.test", show_default=True)
@click.option(
    "--ports",
    type=(int, int),
    default=(1024, 65535),
    show_default=True,
    help="First and last of those that the hosts' security group lets in.",
)
@click.option(
    "--level",
    type=click.Choice(["process", "metal"]),
    default="process",
    show_default=True,
    help="What an instance is: processes, or a machine in namespaces (root on Linux).",
)
@click.option(
    "--port-for-hosts",
    "ports_for_hosts",
    type=int,
    multiple=True,
    help="Of loopback, reached by hosts of the metal level.",
)
@click.option("--visibility", default=0.0, help="Seconds new instances are unseen.")
@click.option("--profile-delay", default=0.0, help="The same for instance profiles.")
@click.option("--address-delay", default=0.0, help="The same for public addresses.")
@click.option("--names-port", default=0, help="Of the name server (default: free)")
@click.option("--names-delay", default=0.0, help="Seconds until a name is served.")
@click.option("--credential-seconds", default=3600, help="Of the instances' keys.")
@click.option(
    "--registry",
    is_flag=True,
    help="A registry of images, with ECR's tokens and rules.",
)
@click.option(
    "--remove-terminated", is_flag=True, help="Remove directories of ended instances."
)
def aws(state_dir: Path | None, *, clean: bool, **chosen: Any) -> None:
    """AWS and S3: moto and SeaweedFS behind our fronts, instances that boot."""
    if chosen["level"] == "metal":
        raise_if_no_metal()
    _run_cloud(_prepared(state_dir, clean=clean), _aws_told, **chosen)


@localcloud.command()
@_state_options
@click.option("--port", default=0, help="[default: a free one]")
@click.option("--region", default="eu-west-1", show_default=True)
def s3(state_dir: Path | None, *, clean: bool, port: int, region: str) -> None:
    """S3, with one key that may do everything."""
    folder = _prepared(state_dir, clean=clean)
    _run_cloud(folder, _s3_told, s3_port=port, region=region)


@localcloud.command()
@_state_options
@click.option("--port", default=0, help="[default: a free one]")
@click.option("--smtputf8", is_flag=True, help="Take addresses that are not ASCII.")
@click.option(
    "--maildir",
    type=click.Path(path_type=Path),
    help="Where mail arrives.  [default: STATE/mail]",
)
def smtp(
    state_dir: Path | None,
    *,
    clean: bool,
    port: int,
    smtputf8: bool,
    maildir: Path | None,
) -> None:
    """Mail: STARTTLS and AUTH, into a Maildir."""
    from twisted.internet import reactor  # noqa: PLC0415  (installs the reactor)

    from lae_localcloud.running import run  # noqa: PLC0415
    from lae_localcloud.smtp.server import (  # noqa: PLC0415
        MailOptions,
        MailServer,
    )

    folder = _prepared(state_dir, clean=clean)
    options = MailOptions(folder, port, smtputf8, maildir)

    def started(facts: Any) -> str:
        return (
            f"mail: {facts.host}:{facts.port} (STARTTLS, user {facts.user})\n"
            f"  arrives in {facts.maildir}\n"
            f"  everything else: {folder / 'smtp.json'}"
        )

    raise SystemExit(run(reactor, lambda _: MailServer(reactor, options), started))


@localcloud.command()
@_state_options
@click.option(
    "--cloud",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder of a cloud of the metal level that runs.",
)
def image(state_dir: Path | None, *, clean: bool, cloud: Path) -> None:
    """The hosts' image of this tree: build, push and sign it."""
    from twisted.internet.defer import Deferred  # noqa: PLC0415
    from twisted.internet.task import react  # noqa: PLC0415  (installs the reactor)

    from lae_localcloud.demo.image import prepare_image  # noqa: PLC0415

    folder = _prepared(state_dir, clean=clean)

    def main(reactor: Any) -> Any:
        work = prepare_image(reactor, folder, cloud, click.echo)
        return Deferred.fromCoroutine(work)

    react(main)


@localcloud.command()
@click.option(
    "--cloud",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder of a cloud of the process level.",
)
@click.option("--release", type=click.IntRange(1), required=True)
@click.argument("command", nargs=-1, required=True)
def program(cloud: Path, release: int, command: tuple[str, ...]) -> None:
    """Publish a program that hosts of the process level may change to.

    COMMAND is what the node's unit runs in its place.  Prints the program's reference,
    for `lae rollout start`.
    """
    from lae_localcloud.booter.booter import PROGRAMS  # noqa: PLC0415
    from lae_localcloud.booter.programs import Programs  # noqa: PLC0415

    click.echo(Programs(cloud / PROGRAMS).publish(release, command))


def _run_cloud(folder: Path, told: Callable[[Any], str], **chosen: Any) -> None:
    from twisted.internet import reactor  # noqa: PLC0415  (installs the reactor)

    # moto, Twisted's web server and cryptography take a second: not for --help.
    from lae_localcloud.account.setup import Deployment  # noqa: PLC0415
    from lae_localcloud.booter.booter import BooterOptions  # noqa: PLC0415
    from lae_localcloud.cloud import Cloud, CloudOptions  # noqa: PLC0415
    from lae_localcloud.front.slowness import Slowness  # noqa: PLC0415
    from lae_localcloud.names.knot import Place  # noqa: PLC0415
    from lae_localcloud.registry.registry import RegistryOptions  # noqa: PLC0415
    from lae_localcloud.running import run  # noqa: PLC0415

    options = CloudOptions(
        state_dir=folder,
        registry=RegistryOptions() if chosen.get("registry") else None,
        region=chosen["region"],
        deployment=Deployment(
            chosen.get("deployment", "local"), chosen.get("dns_zone", "s4.test")
        ),
        ports=chosen.get("ports", (1024, 65535)),
        aws_port=chosen.get("port", 0),
        s3_port=chosen.get("s3_port", 0),
        names=Place(port=port)
        if (port := chosen.get("names_port")) is not None
        else None,
        slowness=Slowness(
            visibility=chosen.get("visibility", 0.0),
            profile=chosen.get("profile_delay", 0.0),
            address=chosen.get("address_delay", 0.0),
            names=chosen.get("names_delay", 0.0),
        ),
        level=chosen.get("level", "process"),
        ports_for_hosts=chosen.get("ports_for_hosts", ()),
        booter=BooterOptions(
            credential_seconds=chosen.get("credential_seconds", 3600),
            keep_terminated=not chosen.get("remove_terminated", False),
        ),
    )

    def started(facts: Any) -> str:
        return told(facts) + f"  everything else: {folder / 'aws.json'}"

    raise SystemExit(run(reactor, lambda _: Cloud(reactor, options), started))


def _aws_told(facts: Any) -> str:
    return (
        f"AWS:     {facts.aws_endpoint}\n"
        f"S3:      {facts.s3_endpoint}\n"
        f"control: {facts.control_url}\n"
        f"names:   {facts.names or 'not served: Debian has the server, knot'}\n"
    )


def _s3_told(facts: Any) -> str:
    return f"S3: {facts.s3_endpoint}\n"


if __name__ == "__main__":
    localcloud()
