"""How each step that is made outside is found, made and removed.

Each can *find* what it would make, *render* the request (which is journaled), *send* it
(again and again: a repeat is byte-identical), say what the journal keeps when it is
*settled*, and, where it can go again, *unmake* it.
"""

from __future__ import annotations

from lae_flapp.grid.host_steps import AddressStep, HostStep
from lae_flapp.grid.identity_step import IdentityStep
from lae_flapp.grid.step import Removable, Step
from lae_flapp.grid.steps import StepName
from lae_flapp.grid.storage_steps import BucketStep, RoleStep
from lae_flapp.grid.workshop import Workshop


def removable(shop: Workshop) -> dict[StepName, Removable]:
    """Make those whose work can be removed (:data:`.steps.REMOVABLE`)."""
    return {
        StepName.BUCKET: BucketStep(shop),
        StepName.ROLE: RoleStep(shop),
        StepName.HOST: HostStep(shop),
        StepName.ADDRESS: AddressStep(shop),
    }


def made(shop: Workshop) -> dict[StepName, Step]:
    """Make all (:data:`.steps.MADE`)."""
    return {StepName.IDENTITY: IdentityStep(shop), **removable(shop)}
