"""What the backup bucket holds, and under which keys.  Pure: no I/O, no clock.

``docs/backup-layout.rst`` describes the same for people.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from attrs import asdict, define

#: Of ``about.json``; a newer release's format is refused.
FORMAT = 1
_NAME = re.compile(r"(?P<epoch>[0-9]{9})-(?P<token>[0-9a-f]{16})")
_ABOUT = "about.json"


class NotOurBackup(Exception):
    """Something in the backup bucket that this release cannot read.  Do not try
    again.
    """


@define(frozen=True, order=True)
class Life:
    """What one run of Litestream writes, while a daemon lives: a path of its own.

    *epoch* orders lives: the one that the journal's next daemon takes, and higher than
    any that the bucket has.  *token* (16 hexadecimal digits) tells apart two machines
    that begin a life at the same time.
    """

    epoch: int
    token: str

    def __str__(self) -> str:
        return f"{self.epoch:09}-{self.token}"

    @classmethod
    def parse(cls, name: str) -> Life:
        """Read what :meth:`__str__` writes; raises :class:`NotOurBackup`."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise NotOurBackup(f"{name!r} is no name of a daemon's life")
        return cls(int(match["epoch"]), match["token"])


def journal_path(deployment: str, life: Life) -> str:
    """Litestream's path of this life (``replica: path:``)."""
    return f"{lives_prefix(deployment)}{life}/journal"


def about_key(deployment: str, life: Life) -> str:
    """The key of what the life says of itself."""
    return f"{lives_prefix(deployment)}{life}/{_ABOUT}"


def keepsakes_key(deployment: str, life: Life) -> str:
    """The key of what the journal cannot give back, sealed."""
    return f"{deployment}/keepsakes/{life}.sealed"


def lives_prefix(deployment: str) -> str:
    """The prefix of all lives; a listing by ``/`` has one prefix for each."""
    return f"{deployment}/lives/"


def life_of_key(deployment: str, key: str) -> Life | None:
    """Whose life a key (or a listing's prefix) belongs to; None for anything else."""
    prefix = lives_prefix(deployment)
    if not key.startswith(prefix):
        return None
    match = _NAME.fullmatch(key.removeprefix(prefix).partition("/")[0])
    return None if match is None else Life(int(match["epoch"]), match["token"])


@define(frozen=True)
class About:
    """What ``about.json`` says of a life: whose journal it is, and of which release.

    It is written when the life's first whole copy is in the bucket: a life without it
    cannot be restored.  *environment*, *deployment*, *account* and *stripe_mode* are
    the journal's home, *revision* its schema, *release* S4's version.
    """

    environment: str
    deployment: str
    account: str
    stripe_mode: str
    revision: str
    release: str
    began: datetime

    def to_json(self) -> bytes:
        """Write it as ``about.json``."""
        said = asdict(self) | {"format": FORMAT, "began": self.began.isoformat()}
        return json.dumps(said, indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, body: bytes) -> About:
        """Read ``about.json``; raises :class:`NotOurBackup`."""
        try:
            said: dict[str, Any] = json.loads(body)
            if said.pop("format") != FORMAT:
                raise NotOurBackup("about.json is of a newer release's format")
            began = datetime.fromisoformat(said.pop("began"))
            texts = {name: str(said[name]) for name in _TEXTS}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NotOurBackup("about.json cannot be read") from None
        if began.tzinfo is None:
            raise NotOurBackup("about.json has a time without its zone")
        return cls(**texts, began=began)


_TEXTS = (
    "environment",
    "deployment",
    "account",
    "stripe_mode",
    "revision",
    "release",
)
