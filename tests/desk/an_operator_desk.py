"""The desk of operators on a journal, with the cloud and the seals in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from lae_flapp.cell_settings import CellSettings, HostProgram, PortSettings
from lae_flapp.costs.price_list import PricedCell
from lae_flapp.desk.operators.backups import Backups
from lae_flapp.desk.operators.cancelling import Cancelling
from lae_flapp.desk.operators.desk import OperatorDesk, Process
from lae_flapp.desk.operators.rights import Rights
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.copies import Copies
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import Noun
from lae_flapp.money.checkout.selling import Selling
from lae_flapp.settings import OperatorRights
from lae_flapp.signs import needs
from lae_protocol.furl import Furl
from lae_protocol.ids import SignupId
from lae_protocol.messages import Plan
from lae_protocol.process.resources import config_folder
from tests.twins.cloud import Cloud
from tests.twins.doors import Line, MemoryHosts
from tests.twins.identities import MemorySealer

CELL = Cell("one", "s4test", "000000000000", "eu-west-1", "eu-west-1a", "g.example")
#: Where a rollout's programs are.
PROGRAMS = "registry.example/s4test/node"
PLACE = CellSettings(
    name=CELL.name,
    zone=CELL.zone,
    dns_zone=CELL.dns_zone,
    dns_zone_id="Z1",
    image_id="ami-12345678",
    instance_type="t3a.small",
    subnet_id="subnet-1",
    security_groups=("sg-1",),
    boundary_arn="arn:aws:iam::000000000000:policy/s4/boundary",
    role_path="/s4/",
    program=HostProgram(command=("lae-host",), programs=PROGRAMS),
    ports=PortSettings(3456, 3457),
)
PLAN = Plan("basic-250", "Basic", 900, "usd", "month", 250 * 10**9, 10**12, "1")


def make_desk(
    journal: Journal,
    clock: Any,
    *,
    new_furl: Callable[[], Furl],
    woken: list[str],
    started_at: datetime,
    folder: Path,
    cloud: Cloud | None = None,
    sealer: Any = None,
    closed_because: Callable[[], str | None] = lambda: None,
    standing: Mapping[tuple[str, str], str] = MappingProxyType({}),
    rights: OperatorRights = OperatorRights(),
    payments: Any = None,
    room: int = 1000,
) -> OperatorDesk:
    """*woken* hears what commits touched, and whose sessions were ended."""
    journal.hear_of_signups(
        lambda signup_id, again: woken.append("again " * again + signup_id)
    )
    for noun in get_args(Noun):
        journal.hear_of(noun, partial(woken.append, noun))
    shop = Workshop(
        journal=journal,
        clock=clock,
        buckets=None,
        roles=None,
        hosts=MemoryHosts(Line(cloud or Cloud(), clock)),
        addresses=None,
        vault=None,
        identities=None,
        payments=payments,
        sealer=sealer or MemorySealer(),
        render_user_data=None,
        new_bootstrap=None,
        cells={CELL.name: PLACE},
        deployment="s4test",
        livemode=False,
    )

    async def expire(signup_id: SignupId) -> None:
        woken.append(f"expire {signup_id}")

    return OperatorDesk(
        shop=shop,
        process=Process(
            environment="test",
            release="1.2",
            started_at=started_at,
            canary_opened=lambda: closed_because() is None,
            closed_because=closed_because,
            needs=lambda lasting: needs.now(lasting, standing),
        ),
        rights=Rights(rights, clock),
        selling=Selling((PLAN,), CELL, {"instances": room}, "https://s4.example"),
        cancel=Cancelling(journal, expire).cancel,
        expire_sessions=expire,
        new_furl=new_furl,
        back_up=Backups(
            Copies(folder / "journal.sqlite", folder, folder / "b")
        ).begin_or_tell,
        priced=PricedCell(
            config_folder() / "prices.yaml", "eu-west-1", "t3a.small", 10
        ),
    )
