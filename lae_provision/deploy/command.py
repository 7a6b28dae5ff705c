"""``lae deploy``: install a release on a host, roll it back, show what was done."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from lae_provision.deploy import history as histories
from lae_provision.deploy import layout, preparing, source, telling
from lae_provision.deploy.complaints import report_errors
from lae_provision.deploy.engine import carry_out, list_steps
from lae_provision.deploy.host import RealHost
from lae_provision.deploy.intent import (
    Forward,
    Kind,
    Order,
    ReleaseId,
)
from lae_provision.deploy.plan import Observed, resume_as
from lae_provision.deploy.remote import (
    Shell,
    over_ssh,
    this_machine,
)
from lae_provision.deploy.supervisor import Systemd


@click.group()
def deploy() -> None:
    """Install releases on a host with systemd, and roll them back."""


def _host_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--sudo", is_flag=True, help="Become root on the host with sudo -n."
        ),
        click.option(
            "--ssh-config",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Use this file instead of ~/.ssh/config.",
        ),
        click.option(
            "--host", help="[USER@]HOST, as for ssh.  [default: this machine]"
        ),
    ):
        command = option(command)
    return command


def _release_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--dry-run",
            is_flag=True,
            help="Look at the host, build the wheel here, print the steps, do nothing.",
        ),
        click.option(
            "--untested",
            metavar="REASON",
            help="Why to release a commit without passed tests.",
        ),
        click.option(
            "--source",
            "root",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            default=Path(),
            help="The git tree to release.  [default: here]",
        ),
    ):
        command = option(command)
    return command


@deploy.command()
@_host_options
@_release_options
def release(
    host: str | None,
    ssh_config: Path | None,
    root: Path,
    untested: str | None,
    *,
    sudo: bool,
    dry_run: bool,
) -> None:
    """Release the commit that is checked out here.

    The new release is installed beside the running one, checked, and switched to.  If
    it does not answer as it should, the previous release is restored automatically.
    """
    with report_errors(), _connect(host, ssh_config, sudo=sudo) as remote:
        taken = source.check(root, untested)
        target = source.name_release(taken)
        there = _make_host(remote)
        _raise_if_not_installed(there)
        if dry_run:
            source.check_wheel(taken)
            _print_plan(there, _make_order(there, "release", target, taken))
            return
        built = source.build(taken)
        with remote.lock(layout.LOCK, _name_operator()):
            there = evolve(there, built=built)
            _finish_unfinished(there)
            seen = there.observe()
            if _runs_everywhere(seen, target):
                click.echo(f"{target} already runs on {remote.name}.")
                return
            _carry_out(there, _make_order(there, "release", target, taken))


@deploy.command()
@_host_options
@_release_options
@click.option(
    "--config",
    "settings",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with daemon.yaml, site.yaml and the files they name, for /etc/s4.",
)
@click.option("--sites", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--listen", help="The site's address, instead of 127.0.0.1:8080.")
def first(  # noqa: PLR0917  (click gives options by name)
    host: str | None,
    ssh_config: Path | None,
    root: Path,
    untested: str | None,
    settings: Path | None,
    sites: int,
    listen: str | None,
    *,
    sudo: bool,
    dry_run: bool,
) -> None:
    """Install S4 on a host that has nothing but python3 and systemd.

    Makes users, folders, settings and units, and installs the first release.  Calling
    it again is safe: what exists is kept.  At the end it lists what is left to you.
    """
    with report_errors(), _connect(host, ssh_config, sudo=sudo) as remote:
        taken = source.check(root, untested)
        target = source.name_release(taken)
        there = _make_host(remote)
        files = [] if settings is None else preparing.list_files(settings)
        if dry_run:
            preparing.raise_if_programs_missing(remote)
            source.check_wheel(taken)
            click.echo(telling.preparation_text(remote.name, files, sites))
            _print_plan(there, _make_order(there, "first", target, taken))
            return
        built = source.build(taken)
        preparing.prepare(
            remote,
            there.supervisor,
            built.units,
            sites=sites,
            listen=listen,
            settings=files,
        )
        with remote.lock(layout.LOCK, _name_operator()):
            there = evolve(there, built=built)
            _finish_unfinished(there)
            if not _runs_everywhere(there.observe(), target):
                _carry_out(there, _make_order(there, "first", target, taken))
        click.echo(telling.manual_steps_text(telling.read_facts(remote)))


@deploy.command()
@_host_options
@click.option("--dry-run", is_flag=True, help="Print the steps, do nothing.")
@click.argument("to", metavar="[RELEASE]", required=False)
def rollback(
    host: str | None,
    ssh_config: Path | None,
    to: str | None,
    *,
    sudo: bool,
    dry_run: bool,
) -> None:
    """Go back to RELEASE, or to the release that ran before the current one."""
    with report_errors(), _connect(host, ssh_config, sudo=sudo) as remote:
        there = _make_host(remote)
        with ExitStack() as held:
            _raise_if_not_installed(there)
            if not dry_run:
                held.enter_context(remote.lock(layout.LOCK, _name_operator()))
                _finish_unfinished(there)
            seen = there.observe()
            target = _choose_rollback_target(there, seen, to)
            order = _make_order(there, "rollback", target, None)
            if dry_run:
                _print_plan(there, order)
            else:
                _carry_out(there, order)


@deploy.command()
@_host_options
def resume(host: str | None, ssh_config: Path | None, *, sudo: bool) -> None:
    """Finish or undo an interrupted deployment, as every other command also does."""
    with report_errors(), _connect(host, ssh_config, sudo=sudo) as remote:
        there = _make_host(remote)
        _raise_if_not_installed(there)
        with remote.lock(layout.LOCK, _name_operator()):
            if not _finish_unfinished(there):
                click.echo("Nothing is unfinished.")


@deploy.command()
@_host_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(
    host: str | None, ssh_config: Path | None, *, sudo: bool, as_json: bool
) -> None:
    """Show what is installed, what runs, and what is unfinished."""
    with report_errors(), _connect(host, ssh_config, sudo=sudo) as remote:
        there = _make_host(remote)
        seen, intent = there.observe(), there.intent()
        told = telling.status(seen, intent, histories.read(remote))
        if as_json:
            click.echo(json.dumps(told, indent=1))
        else:
            click.echo(telling.status_text(remote.name, told))


@deploy.command()
@_host_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def history(
    host: str | None, ssh_config: Path | None, *, sudo: bool, as_json: bool
) -> None:
    """Show who deployed what, when, from which commit, and with what outcome."""
    with report_errors(), _connect(host, ssh_config, sudo=sudo) as remote:
        entries = histories.read(remote)
        if as_json:
            rows = [histories.as_json(e) for e in entries]
            click.echo(json.dumps({"version": 1, "deployments": rows}, indent=1))
        else:
            click.echo(telling.history_text(remote.name, entries))


@deploy.command()
@_host_options
@click.argument("release", required=False)
def sbom(
    host: str | None, ssh_config: Path | None, release: str | None, *, sudo: bool
) -> None:
    """Print the packages of RELEASE, or of the current one, as CycloneDX JSON."""
    with report_errors(), _connect(host, ssh_config, sudo=sudo) as remote:
        there = _make_host(remote)
        _raise_if_not_installed(there)
        seen = there.observe()
        release = _find_installed(seen, release or str(seen.current))
        told = remote.read(layout.bill(release))
        if told is None:
            raise click.ClickException(f"{release} is older than these lists")
        click.echo(told.decode(), nl=False)


@contextmanager
def _connect(
    host: str | None, ssh_config: Path | None, *, sudo: bool
) -> Iterator[Shell]:
    become = ("sudo", "-n", "--") if sudo else ()
    if host is None:
        yield this_machine(become)
        return
    with over_ssh(host, config=ssh_config, become=become) as shell:
        yield shell


def _make_host(remote: Shell) -> RealHost:
    return RealHost(remote, Systemd(remote), lambda: datetime.now(UTC))


def _make_order(
    there: RealHost, kind: Kind, target: ReleaseId, taken: source.Source | None
) -> Order:
    current = there.observe().current
    entries = histories.read(there.remote)
    commit = taken.commit if taken else telling.commit_of(there.remote, target)
    return Order(
        number=max((e.number for e in entries), default=0) + 1,
        kind=kind,
        target=target,
        previous=None if current == target else current,
        who=_name_operator(),
        began=datetime.now(UTC),
        commit=commit,
        untested=taken.untested if taken else None,
        open_before=there.signups_open() if current is not None else None,
    )


def _name_operator() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _raise_if_not_installed(there: RealHost) -> None:
    if there.observe().current is None:
        raise click.ClickException(
            f"S4 is not installed on {there.remote.name}; install it: lae deploy first"
        )


def _runs_everywhere(seen: Observed, target: ReleaseId) -> bool:
    processes = [seen.daemon, *(release for _, release in seen.sites)]
    return seen.current == target and set(processes) == {target}


def _choose_rollback_target(
    there: RealHost, seen: Observed, to: str | None
) -> ReleaseId:
    if to is not None:
        return _find_installed(seen, to)
    for entry in reversed(histories.read(there.remote)):
        if entry.outcome == "done" and entry.release == seen.current:
            if entry.previous in seen.installed and entry.previous is not None:
                return entry.previous
            break
    raise click.ClickException(
        "the history names no release to go back to; choose one from lae deploy status:"
        " lae deploy rollback RELEASE"
    )


def _find_installed(seen: Observed, release: str) -> ReleaseId:
    if release not in seen.installed:
        have = ", ".join(seen.installed)
        raise click.ClickException(f"{release} is not installed; installed are: {have}")
    return ReleaseId(release)


def _finish_unfinished(there: RealHost) -> bool:
    """Finish or undo an interrupted deployment; whether there was one."""
    intent = there.intent()
    if intent is None:
        return False
    order = intent.order
    click.echo(f"Unfinished: {order.kind} of {order.target} by {order.who}.")
    then = resume_as(intent, there.observe())
    outcome, why = carry_out(there, then, click.echo)
    click.echo(f"  {telling.OUTCOMES[outcome]}" + (f": {why}" if why else ""))
    return True


def _carry_out(there: RealHost, order: Order) -> None:
    outcome, why = carry_out(there, Forward(order), click.echo)
    if outcome != "done":
        raise click.ClickException(f"{telling.OUTCOMES[outcome]}: {why}")
    click.echo(f"{order.target} runs on {there.remote.name}.")


def _print_plan(there: RealHost, order: Order) -> None:
    unfinished = there.intent()
    if unfinished is not None:
        click.echo(f"finish or undo the unfinished {unfinished.order.kind}")
    for step in list_steps(Forward(order), there.observe()):
        click.echo(telling.describe(step))
