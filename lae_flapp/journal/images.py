"""Which image each host runs, and which are needed."""

from __future__ import annotations

from datetime import datetime

from attrs import define
from sqlalchemy import func, select

from lae_flapp.journal import hosts, rollout_hosts
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.rollouts import ROLLOUTS
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId


def note(
    tx: WriteTx, signup_id: SignupId, generation: Generation, image: str | None
) -> None:
    """Write which image the host is launched with, or runs now; None: no image."""
    tx.run(hosts.at(signup_id, generation).values(image=image))


@define(frozen=True)
class ImageInUse:
    """So many ready hosts run it; *since* it was first rolled out, or launched."""

    image: str
    hosts: int
    since: datetime


def ages(tx: ReadTx) -> tuple[ImageInUse, ...]:
    """Every image that ready hosts run, and since when it could be."""
    rolled = {
        row.image: row.since
        for row in tx.all(
            select(
                ROLLOUTS.c.image, func.min(ROLLOUTS.c.begun_at).label("since")
            ).group_by(ROLLOUTS.c.image)
        )
    }
    query = (
        select(
            HOSTS.c.image,
            func.count().label("hosts"),
            func.min(HOSTS.c.wanted_at).label("since"),
        )
        .where(HOSTS.c.state == "ready", HOSTS.c.image.is_not(None))
        .group_by(HOSTS.c.image)
        .order_by(HOSTS.c.image)
    )
    return tuple(
        ImageInUse(row.image, int(row.hosts), rolled.get(row.image, row.since))
        for row in tx.all(query)
    )


def in_use(tx: ReadTx) -> frozenset[str]:
    """The images of all hosts that are not gone, and those of rollouts that hosts are
    told, or go back to.
    """
    query = select(HOSTS.c.image).where(HOSTS.c.state != "gone").distinct()
    run = frozenset(row.image for row in tx.all(query) if row.image is not None)
    return run | rollout_hosts.images(tx)
