"""The steps of the full-signup routine, in their order.

====  =============  ==========================  =====================================
No.   step           durable before it goes on   if the daemon dies in it
====  =============  ==========================  =====================================
1.    identity       sealed keys in the journal  the same bytes are put into the vault
                     and in the vault            again (If-None-Match): the same furl
2.    bucket         its effect's outcome        made again under its own name, with
                                                 all its settings
3.    role           its effect's outcome        made again under its own name
4.    host           the launch's effect, whole  found by its tags; or the same bytes
                     and sealed, then the        are sent with the same token; a
                     instance's id               launch that failed for good ends its
                                                 generation, which had one token
5.    address        its effect's outcome        made again under its own name
6.    claimed        the host facet's row        the host asks again
7.    self-test      the host facet's row        the host reports again
8.    mail           "active", the event and     nothing of it happened, or all of it:
                     the outbox row, in one      one transaction
                     transaction
====  =============  ==========================  =====================================

Each of 1 to 5 can *find* what it would make, *render* the request (which the worker
journals), *send* it (again and again: a repeat is byte-identical), say what the
journal keeps when it is *settled*, and *unmake* it.  6 and 7 are other people's turns,
and 8 is :func:`lae_flapp.grid.turns.ready`.  Backwards the same list is walked from
5 to 2; a sealed identity stays.
"""

from __future__ import annotations

from lae_flapp.grid.host_steps import AddressStep, HostStep
from lae_flapp.grid.identity_step import IdentityStep
from lae_flapp.grid.sights import StepName
from lae_flapp.grid.step import Removable, Step
from lae_flapp.grid.storage_steps import BucketStep, RoleStep
from lae_flapp.grid.workshop import Workshop


def removable(shop: Workshop) -> dict[StepName, Removable]:
    """All steps that a withdrawal walks backwards."""
    return {
        StepName.BUCKET: BucketStep(shop),
        StepName.ROLE: RoleStep(shop),
        StepName.HOST: HostStep(shop),
        StepName.ADDRESS: AddressStep(shop),
    }


def outside(shop: Workshop) -> dict[StepName, Step]:
    """All steps with an effect outside."""
    return {StepName.IDENTITY: IdentityStep(shop), **removable(shop)}
