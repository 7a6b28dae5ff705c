"""What attackers know of a running S4: what each of them stole, or may see anyway."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path

import requests
from attrs import define
from requests.adapters import HTTPAdapter

from lae_localcloud.stripe.delivery import signature
from lae_protocol.furl import Furl
from lae_storage.agent.volume import Volume

#: Where attacks come from: customers of the same machine come from 127.0.0.1, which is another network.
FROM = "127.9.0.9"
_SECONDS = 10.0


class _FromThere(HTTPAdapter):
    """Connections from the attacker's own address."""

    def init_poolmanager(self, *args, **kwargs) -> None:
        super().init_poolmanager(*args, source_address=(FROM, 0), **kwargs)


@define(slots=False)
class Target:
    """A demo's or a test's S4 by its *root* folder; *signup_id* is of a customer who
    is served.
    """

    root: Path
    site_url: str
    signup_id: str

    @property
    def site_furl(self) -> Furl:
        """Of the front desk, as a site has it."""
        return Furl.parse((self.root / "daemon" / "front-desk.furl").read_text("ascii"))

    @cached_property
    def host_furl(self) -> Furl:
        """Of the customer's host, as it has it since its claim."""
        for folder in (self.root / "aws" / "instances").iterdir():
            claimed = Volume(folder / "var" / "lib" / "s4").claimed()
            if claimed is not None and claimed.identity.signup_id == self.signup_id:
                return Furl.parse(claimed.host_furl.reveal())
        raise LookupError(f"no host of {self.signup_id} under {self.root}")

    def http(self) -> requests.Session:
        """A browser at the attacker's address."""
        session = requests.Session()
        session.mount("http://", _FromThere(pool_maxsize=64))
        return session

    def send_event(self, http: requests.Session, event: bytes) -> int:
        """A webhook that is signed with the stolen secret; the status."""
        secret = (self.root / "stripe" / "webhook-secret-0").read_text().strip()
        answer = http.post(
            f"{self.site_url}/webhook/stripe",
            data=event,
            headers={"Stripe-Signature": signature(secret, event, int(time.time()))},
            timeout=_SECONDS,
        )
        return answer.status_code
