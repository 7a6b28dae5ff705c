"""One customer's story: sign up, pay, store files, lose the laptop, get them back."""

from __future__ import annotations

import filecmp
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from attrs import Factory, define

from lae_localcloud.customer import mailbox
from lae_localcloud.customer.laptop import Laptop
from lae_localcloud.customer.mailbox import ReadyMail
from lae_localcloud.customer.visit import Visit

BIG_FILE = 10_000_000

#: Public events by the name they have in ``demo.json``.
TIMELINE = {
    "paid": "journaled",
    "instance-launched": "instance_launched",
    "claimed": "claimed",
    "self-test-passed": "self_test_passed",
    "mail-accepted": "mail_accepted",
}


class StoryFailed(Exception):
    """The customer did not get what was promised."""


@define
class Signup:
    """What came of one signup; times are seconds since the payment was accepted."""

    signup_id: str
    address: str
    introducer_furl: str
    paid_at: float
    timeline: dict[str, float] = Factory(dict)


@define(frozen=True)
class Places:
    """Where a customer of this local cloud finds things.  *prefix* goes before what
    runs on the customer's laptop.
    """

    site_url: str
    stripe_endpoint: str
    maildir: Path
    tahoe: Path
    folder: Path
    prefix: tuple[str, ...] = ()

    def laptop(self, name: str) -> Laptop:
        """A laptop of the customer's, with nothing on it."""
        return Laptop(self.folder / name, self.tahoe, self.prefix)


def paid_at(places: Places, signup_id: str) -> float:
    """When the local Stripe accepted the payment, by its own clock."""
    session = requests.get(
        f"{places.stripe_endpoint}/_control/sessions/{signup_id}", timeout=10
    )
    session.raise_for_status()
    return float(session.json()["t0"])


def sign_up(places: Places, address: str, seconds: float = 120.0) -> Signup:
    """Sign up and pay; watch the status page until the mail was accepted."""
    visit = Visit(places.site_url)
    visit.sign_up(address)
    visit.pay()
    signup = Signup(visit.signup_id, address, "", 0.0)
    seen: dict[str, float] = {}
    end = time.time() + seconds
    for at, name, data in visit.progress():
        if name == "view" and data.get("introducer_furl"):
            signup.introducer_furl = data["introducer_furl"]
            seen.setdefault("furl_on_the_page", at)
        if name == "progress":
            _event(seen, data, at)
        if "mail_accepted" in seen and signup.introducer_furl:
            break
        if at > end or data.get("state") in {"refunding", "refunded"}:
            raise StoryFailed(f"{visit.signup_id} ended as {data}; seen: {seen}")
    signup.paid_at = paid_at(places, visit.signup_id)
    signup.timeline = {
        name: round(at - signup.paid_at, 3)
        for name, at in sorted(seen.items(), key=_at)
    }
    return signup


def _at(item: tuple[str, float]) -> float:
    return item[1]


def _event(seen: dict[str, float], data: dict[str, Any], read_at: float) -> None:
    """Note when it happened by the daemon's clock, the same machine's as ours."""
    name = TIMELINE.get(data["kind"])
    if name is not None:
        happened = datetime.fromisoformat(data["at"]).timestamp()
        seen.setdefault(name, min(happened, read_at))


def receive_mail(places: Places, signup: Signup) -> ReadyMail:
    """Wait for the mail, which must say the furl that the page said."""
    arrived, message = mailbox.wait_for_mail(places.maildir, signup.address, 30)
    mail = mailbox.read(arrived, message)
    if mail.furl != signup.introducer_furl:
        raise StoryFailed("the mail and the page say two different furls")
    return mail


@define(frozen=True)
class Belongings:
    """What a customer stores: a big file and a directory."""

    folder: Path

    @property
    def big(self) -> Path:
        """A random file."""
        return self.folder / "big.bin"

    @property
    def directory(self) -> Path:
        """A directory with directories in it."""
        return self.folder / "papers"

    def make(self) -> None:
        """Fill them with random bytes."""
        self.big.parent.mkdir(parents=True, exist_ok=True)
        self.big.write_bytes(secrets.token_bytes(BIG_FILE))
        for number in range(6):
            path = self.directory / f"year {2020 + number // 3}" / f"note {number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(secrets.token_bytes(1 + number * 3000))


def store(laptop: Laptop, belongings: Belongings) -> str:
    """Store everything; the rootcap that the customer keeps."""
    cap = laptop.create_alias("home")
    laptop.put(belongings.big, "home:big.bin")
    laptop.copy(str(belongings.directory), "home:")
    return cap


def compare(laptop: Laptop, belongings: Belongings, back: Path) -> None:
    """Get everything back and compare it byte for byte."""
    back.mkdir(parents=True)
    laptop.get("home:big.bin", back / "big.bin")
    laptop.copy(f"home:{belongings.directory.name}", str(back))
    same = filecmp.cmp(belongings.big, back / "big.bin", shallow=False)
    for path in belongings.directory.rglob("*"):
        if path.is_file():
            name = path.relative_to(belongings.folder)
            same = same and filecmp.cmp(path, back / name, shallow=False)
    if not same:
        raise StoryFailed("what came back is not what was stored")


def live_with_it(
    places: Places,
    mail: ReadyMail,
    say: Callable[[str], None],
    stored: Callable[[], None] = lambda: None,
) -> None:
    """Join from the mail, store, compare; lose the laptop; join again, compare.

    *stored* is called when everything is stored for the first time.
    """
    belongings = Belongings(places.folder / "belongings")
    belongings.make()
    laptop = places.laptop("laptop")
    try:
        say("joining with the command of the mail ...")
        laptop.join(mail)
        laptop.start()
        say("storing a random 10 MB file and a directory ...")
        rootcap = store(laptop, belongings)
        stored()
        compare(laptop, belongings, places.folder / "back-1")
        say("stored, fetched and compared. Now the laptop is lost ...")
        laptop.lose()
        laptop = places.laptop("new-laptop")
        laptop.join(mail)
        laptop.start()
        laptop.add_alias("home", rootcap)
        compare(laptop, belongings, places.folder / "back-2")
        say("a new laptop has every file back, from the mail and the kept rootcap.")
    finally:
        laptop.stop()
