from collections.abc import Callable
from xml.etree.ElementTree import Element

from twisted.internet.defer import Deferred
from txaws.client.base import BaseClient
from txaws.ec2.model import Instance
from txaws.service import AWSServiceEndpoint

class Parser:
    def instance(self, instance_data: Element, reservation: object) -> Instance: ...
    def describe_instances(self, xml_bytes: bytes) -> list[Instance]: ...
    def run_instances(self, xml_bytes: bytes) -> list[Instance]: ...

class EC2Client(BaseClient):
    def __init__(
        self,
        creds: object = ...,
        endpoint: AWSServiceEndpoint | None = ...,
        query_factory: Callable[..., object] | None = ...,
        parser: Parser | None = ...,
    ) -> None: ...
    def describe_instances(self, *instance_ids: str) -> Deferred[list[Instance]]: ...
    def terminate_instances(
        self, *instance_ids: str
    ) -> Deferred[list[tuple[str, str, str]]]: ...
