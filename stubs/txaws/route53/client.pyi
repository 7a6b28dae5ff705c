from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent
from txaws.route53.model import AliasRRSet, Name, RRSet, RRSetKey, _ChangeRRSet
from txaws.service import AWSServiceEndpoint

class _Route53Client:
    def __init__(
        self,
        agent: IAgent,
        creds: object,
        region: str,
        endpoint: AWSServiceEndpoint,
        cooperator: object,
    ) -> None: ...
    def _details(self, op: object) -> object: ...
    def _submit(self, details: object, ok_status: object) -> Deferred[object]: ...
    def change_resource_record_sets(
        self, zone_id: str, changes: Iterable[_ChangeRRSet]
    ) -> Deferred[object]: ...
    def list_resource_record_sets(
        self,
        zone_id: str,
        maxitems: int | None = ...,
        name: Name | None = ...,
        type: str | None = ...,
    ) -> Deferred[dict[RRSetKey, RRSet | AliasRRSet]]: ...
