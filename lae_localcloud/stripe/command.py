"""``python -m lae_localcloud stripe``: the local Stripe alone."""

from __future__ import annotations

import json
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import click

from lae_protocol.process.plans import load_plans
from lae_protocol.process.settings import SettingsError
from lae_protocol.secret import Secret

#: What a webhook endpoint of S4 is told of, here as at Stripe: each other event would
#: only stand in the way of these.
EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "invoice.paid",
    "invoice.payment_failed",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "charge.refunded",
    "charge.dispute.created",
    "refund.failed",
)


@click.command("stripe")
@click.option("--port", type=int, default=0, help="A free one by default.")
@click.option(
    "--plans",
    "plans_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Make a price for each plan of this file (lookup key: the plan's id).",
)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("local-stripe"),
    show_default=True,
    help="Where the keys and endpoint.json are written.",
)
@click.option(
    "--webhook",
    "webhooks",
    multiple=True,
    metavar="URL",
    help="Deliver S4's events there; its secret goes to STATE/webhook-secret-N.",
)
def stripe(
    port: int, plans_file: Path | None, state_dir: Path, webhooks: tuple[str, ...]
) -> None:
    """Stand in for Stripe on this machine: API, hosted pages, webhooks, test cards.

    STATE_DIR/secret-key may do everything, STATE_DIR/restricted-key what the daemon
    needs; STATE_DIR/endpoint.json is written once it listens.
    """
    try:
        plans = () if plans_file is None else load_plans(plans_file)
    except SettingsError as e:
        raise click.ClickException(str(e)) from None
    state_dir.mkdir(parents=True, exist_ok=True)
    keys = [_key(state_dir / f"{n}-key", p) for n, p in _KINDS]
    _run(port, plans, state_dir, webhooks, *keys)


_KINDS = (("secret", "sk_test_"), ("restricted", "rk_test_"))


def _key(file: Path, prefix: str) -> Secret:
    """The key kept in *file*, made where there is none."""
    if not file.exists():
        write_private(file, prefix + secrets.token_hex(16))
    return Secret(file.read_text("ascii").strip())


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(made, "w", encoding="ascii") as out:
        out.write(text + "\n")


def _run(  # noqa: PLR0917  (one call, from just above)
    port: int,
    plans: Any,
    state_dir: Path,
    webhooks: tuple[str, ...],
    secret_key: Secret,
    restricted_key: Secret,
) -> None:
    # Importing a reactor installs it: only where one runs.
    from twisted.internet import reactor  # noqa: PLC0415

    from lae_localcloud.stripe import notices  # noqa: PLC0415
    from lae_localcloud.stripe.errors import ApiError  # noqa: PLC0415
    from lae_localcloud.stripe.service import LocalStripe  # noqa: PLC0415
    from lae_localcloud.stripe.store import API_VERSION  # noqa: PLC0415

    loop: Any = reactor
    service = LocalStripe(loop, secret_key, restricted_key, port)
    service.sell(plans)
    for number, url in enumerate(webhooks):
        try:
            made = notices.create_endpoint(
                service.account,
                {
                    "url": url,
                    "enabled_events": list(EVENTS),
                    "api_version": API_VERSION,
                },
            )
        except ApiError as e:
            raise click.ClickException(str(e)) from None
        write_private(state_dir / f"webhook-secret-{number}", made["secret"])

    def start() -> None:
        service.startService()
        told = {"stripe_endpoint": service.url, "account": service.account.account_id}
        partial = state_dir / "endpoint.json.new"
        partial.write_text(json.dumps(told, indent=1) + "\n", encoding="ascii")
        partial.rename(state_dir / "endpoint.json")
        click.echo(f"local Stripe at {service.url}")

    loop.callWhenRunning(start)
    loop.addSystemEventTrigger("before", "shutdown", service.stopService)
    # A shell's background job has SIGINT ignored: so take it, whatever was there.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: loop.callFromThread(loop.stop))
    loop.run()
