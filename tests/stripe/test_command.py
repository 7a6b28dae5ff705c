"""``python -m lae_localcloud stripe`` as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stripe

from lae_localcloud.stripe.command import stripe as command

PLANS = """\
terms_version: "2026-11"
plans:
  - plan_id: small
    name: Small grid
    price: 900
    currency: eur
    interval: month
    quota: 10000000000
    traffic: 100000000000
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_process(tmp_path: Path, number: signal.Signals) -> None:
    """It starts alone, sells the plans, keeps its keys private, and ends when told."""
    plans = tmp_path / "plans.yaml"
    plans.write_text(PLANS)
    state = tmp_path / "state"
    program = f"from {command.callback.__module__} import stripe; stripe()"
    hook = "http://127.0.0.1:9/webhook/stripe"
    arguments = ["--plans", str(plans), "--state-dir", str(state), "--webhook", hook]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments])
    try:
        told = state / "endpoint.json"
        until = time.monotonic() + 30
        while not told.exists():
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < until, "it did not start"
            time.sleep(0.05)
        url = json.loads(told.read_text())["stripe_endpoint"]
        key = (state / "restricted-key").read_text().strip()
        client = stripe.StripeClient(key, base_addresses={"api": url})
        price = client.v1.prices.list({"lookup_keys": ["small"]}).data[0]
        assert (price.unit_amount, price.currency) == (900, "eur")
        private = ["secret-key", "restricted-key", "webhook-secret-0"]
        assert [(state / n).stat().st_mode & 0o777 for n in private] == [0o600] * 3
        assert (state / "webhook-secret-0").read_text().startswith("whsec_")
    finally:
        process.send_signal(number)
        assert process.wait(10) is not None
