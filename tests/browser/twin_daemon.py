"""A stand-in for the daemon and for Stripe's page, as a process of its own.

    twin_daemon.py FOLDER FURL_PORT STRIPE_PORT SITE_URL

The front desk's twin in memory is served over Foolscap, as the daemon serves its own;
the furl is written to FOLDER/front-desk.furl.  Lines of JSON on stdin say what happens
next, one line on stdout answers each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred
from twisted.protocols.basic import LineReceiver
from twisted.web.resource import Resource
from twisted.web.server import Site

from lae_protocol import messages
from lae_protocol.ids import SignupId
from lae_protocol.process.answer import Answering
from lae_protocol.process.plans import load_plans
from lae_protocol.process.resources import config_folder
from lae_protocol.process.tub import make_tub
from lae_protocol.remote import FRONT_DESK
from tests.twins.front_desk import MemoryDesk

FURL = "pb://" + "a" * 32 + "@g7k2x9.grids.s4.example:3456/" + "q" * 32


class StripePage(Resource):
    """Stripe's page, as plain as can be: pay, or go back."""

    isLeaf = True

    def __init__(self, desk: MemoryDesk, site_url: str) -> None:
        super().__init__()
        self.desk, self.site_url = desk, site_url

    def render_GET(self, request: Any) -> bytes:
        """The page with the button."""
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        back = f"{self.site_url}/signup/{self._id(request)}?stopped=1"
        return (
            "<!doctype html><title>Checkout</title><h1>Checkout</h1>"
            f"<form method=post><button>Pay</button></form><a href='{back}'>Back</a>"
        ).encode()

    def render_POST(self, request: Any) -> bytes:
        """Paid; the webhook has not come yet."""
        signup_id = self._id(request)
        self.desk.paid_unseen.add(signup_id)
        url = f"{self.site_url}/signup/{signup_id}?returned=1"
        request.redirect(url.encode())
        return b""

    @staticmethod
    def _id(request: Any) -> SignupId:
        return SignupId(request.path.decode().rpartition("/")[2].partition("-")[0])


class Control(LineReceiver):
    """What the test says."""

    delimiter = b"\n"

    def __init__(self, desk: MemoryDesk) -> None:
        self.desk = desk

    def lineReceived(self, line: bytes) -> None:
        """Do it, and answer with all ids and addresses."""
        order = json.loads(line)
        if "happen" in order:
            signup_id, *kinds = order["happen"]
            self.desk.happen(signup_id, *kinds)
        if "close" in order:
            words = order["close"]
            self.desk.closed = words and messages.Refused("paused", words)
        told = {i: self.desk.email(i) for i in self.desk.ids()}
        self.sendLine(json.dumps(told).encode())

    def connectionLost(self, reason: Any = None) -> None:
        """The test is gone."""
        if reactor.running:
            reactor.stop()


async def main(folder: Path, furl_port: int, stripe_port: int, site_url: str) -> None:
    """Serve both."""
    desk = MemoryDesk(
        reactor,
        load_plans(config_folder() / "plans.yaml"),
        FURL,
        checkout_origin=f"http://localhost:{stripe_port}",
        site_url=site_url,
    )
    tub = make_tub(certificate=folder / "twin.pem")
    tub.listenOn(f"tcp:{furl_port}:interface=127.0.0.1")
    tub.setLocation(f"tcp:127.0.0.1:{furl_port}")
    tub.startService()
    file = folder / "front-desk.furl"

    async def answer(question: Any, request_id: str) -> Any:
        return await desk.ask(question, request_id)

    furl = tub.registerReference(Answering(FRONT_DESK, answer), furlFile=str(file))
    file.chmod(0o600)
    assert furl
    reactor.listenTCP(
        stripe_port, Site(StripePage(desk, site_url)), interface="127.0.0.1"
    )
    stdio.StandardIO(Control(desk), reactor=reactor)
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _folder, _furl_port, _stripe_port, _site_url = sys.argv[1:]
    _started = Deferred.fromCoroutine(
        main(Path(_folder), int(_furl_port), int(_stripe_port), _site_url)
    )
    _started.addErrback(lambda f: (f.printTraceback(), reactor.stop()))
    reactor.run()
