"""``lae deploy``: bring a release to a host, take it back, say what was done."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
from attrs import evolve

from lae_provision.deploy import history as histories
from lae_provision.deploy import layout, preparing, source, telling
from lae_provision.deploy.engine import StepFailed, Stuck, carry_out, planned
from lae_provision.deploy.host import RealHost
from lae_provision.deploy.intent import (
    Forward,
    IntentUnreadable,
    Kind,
    Order,
    ReleaseId,
)
from lae_provision.deploy.plan import Observed, take_up
from lae_provision.deploy.remote import (
    LockHeld,
    RemoteAway,
    RemoteError,
    Shell,
    over_ssh,
    this_machine,
)
from lae_provision.deploy.supervisor import Systemd

#: As for every ``lae`` command: not done, and no answer.
NOT_DONE, AWAY = 1, 3


@click.group()
def deploy() -> None:
    """Bring releases to a host with systemd, and take them back."""


def _host_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--sudo", is_flag=True, help="Become root there by sudo -n."),
        click.option(
            "--ssh-config",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="In the place of ~/.ssh/config.",
        ),
        click.option(
            "--host", help="[USER@]HOST, as for ssh.  [default: this machine]"
        ),
    ):
        command = option(command)
    return command


def _release_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--dry-run", is_flag=True, help="Print the steps, do nothing."),
        click.option(
            "--from-pypi", is_flag=True, help="The host asks PyPI; send no wheels."
        ),
        click.option(
            "--untested", metavar="REASON", help="Why, though no tests passed on it."
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
    from_pypi: bool,
    dry_run: bool,
) -> None:
    """Release the commit that is checked out here.

    It is installed beside the release that runs, checked, and switched to; if it does
    not answer as it should, the one before comes back by itself.
    """
    with _errors(), _machine(host, ssh_config, sudo=sudo) as remote:
        taken = source.look(root, untested)
        target = source.release_of(taken)
        there = _host(remote)
        if dry_run:
            _print_plan(there, _order(there, "release", target, taken))
            return
        _refuse_empty(there)
        built = source.build(taken, ship=not from_pypi)
        with remote.lock(layout.LOCK, _who()):
            there = evolve(there, built=built)
            _take_up(there)
            seen = there.observe()
            if _runs_everywhere(seen, target):
                click.echo(f"{target} runs already on {remote.name}.")
                return
            _carry_out(there, _order(there, "release", target, taken))


@deploy.command()
@_host_options
@_release_options
@click.option(
    "--config",
    "settings",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with daemon.yaml, site.yaml and all that they name; goes to /etc/s4.",
)
@click.option("--sites", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--listen", help="Of the site, in the place of 127.0.0.1:8080.")
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
    from_pypi: bool,
    dry_run: bool,
) -> None:
    """Install S4 on a host that has nothing but python3 and systemd.

    Users, folders, settings, units, and the first release.  It may be called again:
    what is there already stays.  At the end it says what only you can do.
    """
    with _errors(), _machine(host, ssh_config, sudo=sudo) as remote:
        taken = source.look(root, untested)
        target = source.release_of(taken)
        there = _host(remote)
        files = [] if settings is None else preparing.puts(settings)
        if dry_run:
            click.echo(telling.preparation(remote.name, files, sites))
            _print_plan(there, _order(there, "first", target, taken))
            return
        built = source.build(taken, ship=not from_pypi)
        preparing.prepare(
            remote,
            there.supervisor,
            built.units,
            sites=sites,
            listen=listen,
            settings=files,
        )
        with remote.lock(layout.LOCK, _who()):
            there = evolve(there, built=built)
            _take_up(there)
            if not _runs_everywhere(there.observe(), target):
                _carry_out(there, _order(there, "first", target, taken))
        click.echo(telling.still_to_do(telling.facts_of(remote)))


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
    """Go back to RELEASE, or to the one that ran before the present one."""
    with _errors(), _machine(host, ssh_config, sudo=sudo) as remote:
        there = _host(remote)
        with ExitStack() as held:
            if not dry_run:
                _refuse_empty(there)
                held.enter_context(remote.lock(layout.LOCK, _who()))
                _take_up(there)
            seen = there.observe()
            target = _rollback_target(there, seen, to)
            order = _order(there, "rollback", target, None)
            if dry_run:
                _print_plan(there, order)
            else:
                _carry_out(there, order)


@deploy.command()
@_host_options
def resume(host: str | None, ssh_config: Path | None, *, sudo: bool) -> None:
    """Finish or undo what was interrupted; every other command does so, too."""
    with _errors(), _machine(host, ssh_config, sudo=sudo) as remote:
        there = _host(remote)
        _refuse_empty(there)
        with remote.lock(layout.LOCK, _who()):
            if not _take_up(there):
                click.echo("Nothing is unfinished.")


@deploy.command()
@_host_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(
    host: str | None, ssh_config: Path | None, *, sudo: bool, as_json: bool
) -> None:
    """Say what is installed, what runs, and what is unfinished."""
    with _errors(), _machine(host, ssh_config, sudo=sudo) as remote:
        there = _host(remote)
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
    """Say who deployed what, when, from which commit, and what came of it."""
    with _errors(), _machine(host, ssh_config, sudo=sudo) as remote:
        entries = histories.read(remote)
        if as_json:
            rows = [histories.as_json(e) for e in entries]
            click.echo(json.dumps({"version": 1, "deployments": rows}, indent=1))
        else:
            click.echo(telling.history_text(remote.name, entries))


@contextmanager
def _machine(
    host: str | None, ssh_config: Path | None, *, sudo: bool
) -> Iterator[Shell]:
    become = ("sudo", "-n", "--") if sudo else ()
    if host is None:
        yield this_machine(become)
        return
    with over_ssh(host, config=ssh_config, become=become) as shell:
        yield shell


def _host(remote: Shell) -> RealHost:
    return RealHost(remote, Systemd(remote), lambda: datetime.now(UTC))


def _order(
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
        who=_who(),
        began=datetime.now(UTC),
        commit=commit,
        untested=taken.untested if taken else None,
        open_before=there.signups_open() if current is not None else None,
    )


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _refuse_empty(there: RealHost) -> None:
    if there.observe().current is None:
        raise click.ClickException(
            f"S4 is not installed on {there.remote.name}: lae deploy first"
        )


def _runs_everywhere(seen: Observed, target: ReleaseId) -> bool:
    processes = [seen.daemon, *(release for _, release in seen.sites)]
    return seen.current == target and set(processes) == {target}


def _rollback_target(there: RealHost, seen: Observed, to: str | None) -> ReleaseId:
    if to is not None:
        if to not in seen.installed:
            have = ", ".join(seen.installed)
            raise click.ClickException(f"{to} is not installed; there are: {have}")
        return ReleaseId(to)
    for entry in reversed(histories.read(there.remote)):
        if entry.outcome == "done" and entry.release == seen.current:
            if entry.previous in seen.installed and entry.previous is not None:
                return entry.previous
            break
    raise click.ClickException(
        "the history knows no release to go back to; name one: lae deploy status"
    )


def _take_up(there: RealHost) -> bool:
    """Finish or undo what the last call left; whether there was anything."""
    intent = there.intent()
    if intent is None:
        return False
    order = intent.order
    click.echo(f"Unfinished: {order.kind} of {order.target} by {order.who}.")
    then = take_up(intent, there.observe())
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
        click.echo(f"finish or undo the {unfinished.order.kind} that is under way")
    for step in planned(Forward(order), there.observe()):
        click.echo(telling.words(step))


@contextmanager
def _errors() -> Iterator[None]:
    """One clear line, and a status for scripts."""
    try:
        yield
    except (source.NotReleasable, preparing.NotReady, LockHeld) as e:
        raise click.ClickException(str(e)) from None
    except Stuck as e:
        raise click.ClickException(
            f"{e}\nThere is nothing to go back to: mend it, then lae deploy resume"
        ) from None
    except IntentUnreadable as e:
        raise click.ClickException(f"{layout.INTENT}: {e}") from None
    except StepFailed as e:
        raise click.ClickException(str(e)) from None
    except RemoteAway as e:
        _end(f"{e}\nWhat runs there goes on; call again when it is back.", AWAY)
    except RemoteError as e:
        raise click.ClickException(str(e)) from None
    except KeyboardInterrupt:
        _end("\nInterrupted; the next call finishes or undoes it.", 130)


def _end(line: str, code: int) -> NoReturn:
    click.echo(f"Error: {line}", err=True)
    raise SystemExit(code)
