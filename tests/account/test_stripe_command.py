"""``lae stripe``, as it is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import define, field

from lae_protocol.process.resources import config_folder
from tests.account.conftest import LAE


@define
class Desk:
    """Somebody with settings of a deployment and a key of its account at Stripe."""

    folder: Path
    key: str
    settings: Path = field(init=False)

    def lae(self, *words: str, code: int = 0, key: str | None = None) -> str:
        """What ``lae stripe`` prints; it ends with *code*, and tells no key."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "STRIPE_API_KEY": self.key if key is None else key,
        }
        done = subprocess.run(
            [
                *(LAE, "stripe", words[0], "--config", self.settings),
                *("--secrets", self.folder / "webhook-secrets", *words[1:]),
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert done.returncode == code, said
        for secret in self.secrets():
            assert secret not in said
        return said

    def secrets(self) -> list[str]:
        """Whatever nobody may read on a terminal."""
        found = [f.read_text().strip() for f in self.folder.glob("*/*.key")]
        return [self.key, *found]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("stripe")
    started = subprocess.Popen(
        [sys.executable, "-m", "lae_localcloud", "stripe", "--state-dir", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdout is not None
    assert any("local Stripe at" in line for line in started.stdout)
    facts = json.loads((folder / "endpoint.json").read_text())
    made = Desk(folder, (folder / "secret-key").read_text().strip())
    keys = folder / "stripe-keys"
    keys.mkdir(mode=0o700)
    restricted = (folder / "restricted-key").read_text()
    (keys / "0001.key").touch(0o600)
    (keys / "0001.key").write_text(restricted)
    text = (config_folder() / "daemon.localcloud.yaml").read_text()
    settings: dict[str, Any] = yaml.safe_load(text)
    settings["stripe"] |= {
        "endpoint": facts["stripe_endpoint"],
        "api_keys": {"folder": str(keys)},
    }
    settings["site_url"] = "http://127.0.0.1:1"
    settings["plans_file"] = str(config_folder() / "plans.yaml")
    made.settings = folder / "daemon.yaml"
    made.settings.write_text(yaml.safe_dump(settings))
    yield made
    started.terminate()
    started.wait(timeout=20)


def test_from_nothing_to_whole(desk: Desk) -> None:
    """It is shown and asked before anything is made; then all is made, the secret
    stands in a file for its owner alone, and the check with the daemon's own key finds
    nothing.
    """
    shown = desk.lae("apply", "--dry-run")
    assert shown.startswith("Would do:\n+ plan s4-small-monthly: no price")
    refused = desk.lae("apply", code=1)
    assert "--yes does it without asking" in refused
    assert not (desk.folder / "webhook-secrets").exists()
    made = desk.lae("apply", "--yes")
    assert made.endswith("Everything is as it should be.\n")
    assert "https://dashboard.stripe.com/test/apikeys/create?name=S4+" in made
    (secret,) = (desk.folder / "webhook-secrets").iterdir()
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text().startswith("whsec_")
    assert desk.lae("apply", "--dry-run") == "Would do nothing.\n"
    told = json.loads(desk.lae("check", "--json"))
    assert told == {"version": 1, "differences": []}


def test_what_is_missing_is_named(desk: Desk) -> None:
    """A key's missing rights, a secret that is gone and a price that differs are a
    line each; keys of another mode are refused before Stripe sees them.
    """
    restricted = (desk.folder / "restricted-key").read_text().strip()
    said = desk.lae("apply", "--yes", code=1, key=restricted)
    assert "this key lacks rights: Products: Write (rak_product_write), Prices:" in said
    assert restricted[-6:] not in said
    said = desk.lae("apply", code=1, key="sk_live_x")
    assert "no key of test mode" in said
    said = desk.lae("apply", code=1, key="")
    assert "neither --key-file nor STRIPE_API_KEY" in said
    (secret,) = (desk.folder / "webhook-secrets").iterdir()
    secret.rename(secret.parent / "0002.key")
    (secret.parent / "0002.key").write_text("whsec_another\n")
    settings = yaml.safe_load(desk.settings.read_text())
    plans = (
        (config_folder() / "plans.yaml")
        .read_text()
        .replace("price: 3_900", "price: 3_901")
    )
    settings["plans_file"] = str(desk.folder / "plans.yaml")
    (desk.folder / "plans.yaml").write_text(plans)
    desk.settings.write_text(yaml.safe_dump(settings))
    said = desk.lae("check", code=2)
    assert "lacks its secret" in said
    assert "3900 eur each 1 month" in said
    assert said.endswith("Differences: 2.\n")
