"""Every error that a deployment knows, as one line and an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from lae_provision.deploy import layout, preparing, source
from lae_provision.deploy.engine import StepFailed, Stuck
from lae_provision.deploy.intent import IntentUnreadable
from lae_provision.deploy.remote import LockHeld, RemoteAway, RemoteError

#: The exit status of every ``lae`` command that got no answer.
AWAY = 3


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn every known error into one line, and a status for scripts."""
    try:
        yield
    except (source.NotReleasable, preparing.NotReady, LockHeld) as e:
        raise click.ClickException(str(e)) from None
    except Stuck as e:
        raise click.ClickException(
            f"{e}\nThere is no release to go back to: fix this, then lae deploy resume"
        ) from None
    except IntentUnreadable as e:
        raise click.ClickException(f"{layout.INTENT}: {e}") from None
    except StepFailed as e:
        raise click.ClickException(str(e)) from None
    except RemoteAway as e:
        _end(
            f"{e}\nThe processes there keep running; call again when the host is back.",
            AWAY,
        )
    except RemoteError as e:
        raise click.ClickException(str(e)) from None
    except KeyboardInterrupt:
        _end(
            "\nInterrupted; the next lae deploy finishes or undoes the deployment.", 130
        )


def _end(line: str, code: int) -> NoReturn:
    click.echo(f"Error: {line}", err=True)
    raise SystemExit(code)
