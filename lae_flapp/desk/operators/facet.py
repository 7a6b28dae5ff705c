"""What one named operator may ask; the name stands in every event."""

from __future__ import annotations

from foolscap.api import Referenceable
from zope.interface import implementer

from lae_flapp.desk.operators.boxes import Boxes
from lae_flapp.desk.operators.desk import OperatorDesk
from lae_flapp.desk.operators.helping import Helping
from lae_flapp.desk.operators.looking import Looking
from lae_flapp.desk.operators.outside import OutsideFacet
from lae_flapp.desk.operators.running import Running
from lae_protocol.remote import RIOperator
from lae_protocol.secret import Secret


@implementer(RIOperator)  # type: ignore[misc]  # foolscap has no types
class OperatorFacet(Looking, Helping, OutsideFacet, Boxes, Running, Referenceable):
    """The holder of one operator's furl; looked up anew at each call."""

    def __init__(self, desk: OperatorDesk, swissnum: Secret) -> None:
        super().__init__(desk, swissnum)
