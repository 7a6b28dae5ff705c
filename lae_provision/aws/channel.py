"""The channel to AWS of all doors: endpoints, signatures, deadlines, retries."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element, ParseError

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import OK
from twisted.web.iweb import IAgent

from lae_protocol.aws.agent import Answer, SigningAgent, fetch
from lae_protocol.aws.credentials import CredentialsSource
from lae_protocol.aws.sigv4 import Scope
from lae_protocol.process.meter import Meter, Outcome, unmetered
from lae_protocol.process.retry import retrying
from lae_provision.aws.faults import Throttled, fault_of, fault_of_answer
from lae_provision.aws.parameters import flatten
from lae_provision.errors import ProvisionError, TryLater
from lae_provision.txaws3.clients import XML

T = TypeVar("T")
Parameters = Mapping[str, Any]

FORM = "application/x-www-form-urlencoded; charset=utf-8"
#: Services with one global endpoint, signed for us-east-1.
GLOBAL = frozenset({"iam", "route53"})
GLOBAL_REGION = "us-east-1"
#: The query protocol's API versions.
VERSIONS = {
    "cloudformation": "2010-05-15",
    "ec2": "2016-11-15",
    "iam": "2010-05-08",
    "sts": "2011-06-15",
}
#: Far more than any call of ours returns.
LARGEST_ANSWER = 16 << 20  # bytes


@define(frozen=True)
class Patience:
    """How long a call may take (in seconds, for the headers and for the body), and how
    often and after which pauses it is retried.
    """

    seconds: float = 30.0
    attempts: int = 4
    base: float = 0.2
    cap: float = 5.0


@define(frozen=True)
class Endpoints:
    """Where the services are.

    *endpoint* stands for all of them and *s3_endpoint* for S3 (``http://host:port``);
    None on AWS itself.
    """

    region: str
    endpoint: str | None = None
    s3_endpoint: str | None = None

    def url(self, service: str) -> str:
        """The service's URL, without a slash at its end."""
        if service == "s3" and self.s3_endpoint is not None:
            return self.s3_endpoint.rstrip("/")
        if self.endpoint is not None:
            return self.endpoint.rstrip("/")
        if service in GLOBAL:
            return f"https://{service}.amazonaws.com"
        name = f"api.{service}" if service == "ecr" else service
        return f"https://{name}.{self.region}.amazonaws.com"

    def signed_region(self, service: str) -> str:
        """Return the region that a signature names."""
        return GLOBAL_REGION if service in GLOBAL else self.region

    @property
    def path_style(self) -> bool:
        """Whether a bucket is named in the path, as on endpoints other than AWS."""
        return self.s3_endpoint is not None or self.endpoint is not None


@define(frozen=True)
class Channel:
    """Signs, sends, reads whole answers, and retries what is safe to repeat."""

    reactor: IReactorTime
    rng: Random
    plain_agent: IAgent
    credentials: CredentialsSource
    endpoints: Endpoints
    patience: Patience = field(factory=Patience)
    meter: Meter = unmetered
    #: Wall-clock time, for signatures; the reactor's time if None.
    wall: Callable[[], float] | None = None

    def agent(self, service: str) -> SigningAgent:
        """Make the agent that signs for this service."""
        return SigningAgent(
            self.reactor,
            self.plain_agent,
            self.credentials,
            Scope(self.endpoints.signed_region(service), service),
            patience=self.patience.seconds,
            wall=self.wall,
        )

    async def attempt(
        self, call: Callable[[], Awaitable[T]], service: str | None = None
    ) -> T:
        """Call until it succeeds, a few times; *call* must be safe to repeat.

        The meter counts each try for *service*; None if *call* is counted elsewhere.
        Every failure of the service or the network is a :class:`ProvisionError`.
        """

        async def once() -> T:
            outcome: Outcome = "ok"
            began = self.reactor.seconds()
            try:
                return await call()
            except Exception as e:
                fault = fault_of(e)
                outcome = _outcome(fault)
                if fault is None or fault is e:
                    raise
                raise fault from None
            finally:
                if service is not None:
                    self.meter(service, outcome, self.reactor.seconds() - began)

        return await retrying(
            self.reactor,
            self.rng,
            once,
            attempts=self.patience.attempts,
            base=self.patience.base,
            cap=self.patience.cap,
            is_retryable=lambda e: isinstance(e, TryLater),
        )

    async def retry_while_missing(
        self, missing: frozenset[str], call: Callable[[], Awaitable[T]]
    ) -> T:
        """Call about something that was just made.

        Errors with these codes are retried: the new thing is not known everywhere yet.
        """

        async def once() -> T:
            try:
                return await call()
            except ProvisionError as e:
                if e.code in missing:
                    raise TryLater(e.code, e.message) from None
                raise

        return await self.attempt(once)

    async def query(self, service: str, action: str, parameters: Parameters) -> Element:
        """Call the query protocol (EC2, IAM, STS), with retries; returns the XML."""

        async def once() -> Element:
            return parse_xml(await self.post(service, action, flatten(parameters)))

        return await self.attempt(once, service)

    async def post(
        self, service: str, action: str, parameters: Mapping[str, str]
    ) -> bytes:
        """Call the query protocol once; returns the answer's bytes."""
        form = {"Action": action, "Version": VERSIONS[service], **parameters}
        answer = await self._fetch(
            service, urlencode(form, quote_via=quote).encode(), {"content-type": FORM}
        )
        return answer.body

    async def json(
        self, service: str, target: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Call the JSON protocol (KMS, logs, quotas), with retries."""
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}

        async def once() -> dict[str, Any]:
            answer = await self._fetch(service, json.dumps(fields).encode(), headers)
            try:
                # Some calls answer with an empty body.
                found: dict[str, Any] = json.loads(answer.body or b"{}")
            except ValueError:
                raise TryLater("NotJson", "the answer is not JSON") from None
            return found

        return await self.attempt(once, service)

    async def rest(
        self, service: str, method: str, path: str, body: bytes | None = None
    ) -> Element:
        """Call an API of paths and XML (Route 53, S3), with retries; returns the XML,
        without namespaces, which only some of the answers have.
        """
        headers = {} if body is None else {"content-type": "application/xml"}

        async def once() -> Element:
            answer = await self._fetch(service, body, headers, method, path)
            return _without_namespaces(parse_xml(answer.body))

        return await self.attempt(once, service)

    async def _fetch(
        self,
        service: str,
        body: bytes | None,
        headers: dict[str, str],
        method: str = "POST",
        path: str = "/",
    ) -> Answer:
        answer = await fetch(
            self.reactor,
            self.agent(service),
            method,
            self.endpoints.url(service) + path,
            headers=headers,
            body=body,
            seconds=self.patience.seconds,
            limit=LARGEST_ANSWER,
        )
        if answer.status != OK:
            raise fault_of_answer(answer.status, answer.body)
        return answer


def _outcome(fault: ProvisionError | None) -> Outcome:
    """Name the outcome of a failed try, for the meter."""
    match fault:
        case Throttled():
            return "throttled"
        case TryLater() | None:
            return "failed"
        case _:
            return "refused"


def parse_xml(body: bytes) -> Element:
    """Parse an answer; TryLater if it is damaged, since the call may have worked."""
    try:
        root: Element = XML(body)
    except ParseError:
        raise TryLater("NotXml", "the answer is not XML") from None
    return root


def _without_namespaces(root: Element) -> Element:
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


async def none_on(codes: frozenset[str], waiting: Awaitable[T]) -> T | None:
    """Wait for the answer; None for an error with one of these codes."""
    try:
        return await waiting
    except ProvisionError as e:
        if e.code in codes:
            return None
        raise
