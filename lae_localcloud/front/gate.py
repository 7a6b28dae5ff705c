"""Every AWS call but S3's objects: who is it, may they, and what is the answer.

Runs in moto's thread from beginning to end, so one call is one step.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from attrs import define
from twisted.logger import Logger

from lae_localcloud.account.asks import asks_of
from lae_localcloud.account.calls import Call, call_of
from lae_localcloud.account.moto import Moto
from lae_localcloud.account.principals import (
    Principal,
    authenticate,
    check_trust,
    find_principal,
)
from lae_localcloud.account.signature import Authorization
from lae_localcloud.exchange import (
    SPEAK_JSON,
    ApiError,
    ApiRequest,
    ApiResponse,
    error_response,
)
from lae_localcloud.front.ec2 import Ec2
from lae_localcloud.front.quotas import quota_answer
from lae_localcloud.front.route53 import Route53
from lae_localcloud.models.wrong import WrongRequests

#: EC2 and the services of JSON have words of their own for refusals.
_EC2_WORDS = {
    "InvalidClientTokenId": (401, "AuthFailure"),
    "SignatureDoesNotMatch": (401, "AuthFailure"),
    "IncompleteSignature": (401, "AuthFailure"),
    "MissingAuthenticationToken": (401, "AuthFailure"),
    "ExpiredToken": (400, "RequestExpired"),
    "AccessDenied": (403, "UnauthorizedOperation"),
}
_S3_WORDS = {
    "MissingAuthenticationToken": (403, "AccessDenied"),
    "InvalidClientTokenId": (403, "InvalidAccessKeyId"),
    "IncompleteSignature": (400, "AuthorizationHeaderMalformed"),
}
_JSON_WORDS = {
    "AccessDenied": (400, "AccessDeniedException"),
    "InvalidClientTokenId": (400, "UnrecognizedClientException"),
    "SignatureDoesNotMatch": (400, "InvalidSignatureException"),
    "ExpiredToken": (400, "ExpiredTokenException"),
}


@define(frozen=True)
class Addressed:
    """A request, and what it says that it is for.  Nothing of it is checked yet."""

    said: Authorization
    call: Call
    request: ApiRequest


def addressed(request: ApiRequest) -> Addressed:
    """Read whom it is for; raises :class:`ApiError`."""
    said = Authorization.of(request.headers)
    return Addressed(said, call_of(said.service, request), request)


def no_answer(_call: Call, _access_key: str) -> ApiResponse | None:
    """There is no registry."""


class Gate:
    """Checks each call and answers it.

    *changed* hears of every change in IAM; *of_registry* answers what a registry must.
    """

    _log = Logger()

    def __init__(
        self,
        moto: Moto,
        ec2: Ec2,
        route53: Route53,
        *,
        now: Callable[[], datetime],
        changed: Callable[[], None],
        wrong: WrongRequests,
        of_registry: Callable[[Call, str], ApiResponse | None] = no_answer,
    ) -> None:
        self._moto, self._ec2, self._now, self._changed = moto, ec2, now, changed
        self._route53 = route53
        self._wrong, self._of_registry = wrong, of_registry

    def answer(self, asked: Addressed) -> ApiResponse:
        """The answer, refusals included."""
        call = asked.call
        try:
            answer = self._answer(asked)
        except ApiError as e:
            answer = error_response(call.service, in_its_words(call.service, e))
        except Exception:  # noqa: BLE001  (one broken call must not end the cloud)
            self._log.failure(
                "{service} {action}", service=call.service, action=call.action
            )
            fault = ApiError(500, "InternalError", "the local cloud itself failed")
            answer = error_response(call.service, fault)
        if call.service in ("iam", "sts") and not call.reads_only:
            self._changed()
        self._log.info(
            "{service} {action}: {status}",
            service=call.service,
            action=call.action,
            status=answer.status,
        )
        return answer

    def admit(self, asked: Addressed) -> Principal:
        """Whoever has signed this and may do it; raises :class:`ApiError`."""
        principal = find_principal(self._moto, asked.said.access_key)
        authenticate(principal, asked.said, asked.request, self._now())
        if asked.said.region not in (self._moto.region, "us-east-1"):
            raise ApiError(400, "SignatureDoesNotMatch", "this is another region")
        self._wrong.check(asked.call.service, asked.call.action, asked.request)
        principal.require(asks_of(self._moto, asked.call, asked.request))
        return principal

    def _answer(self, asked: Addressed) -> ApiResponse:
        principal = self.admit(asked)
        if asked.call.action == "AssumeRole":
            role_arn = asked.call.params.get("RoleArn", "")
            check_trust(self._moto, principal, role_arn)
        if asked.call.service == "ec2":
            return self._ec2.answer(asked.call, asked.request)
        told = quota_answer(asked.call, asked.request)
        if told is None:
            told = self._of_registry(asked.call, asked.said.access_key)
        if told is not None:
            return told
        if asked.call.service == "route53":
            return self._route53.answer(asked.call, asked.request)
        return self._moto.call(asked.request)


def in_its_words(service: str, error: ApiError) -> ApiError:
    """The same refusal as this service says it."""
    words = {
        "ec2": _EC2_WORDS,
        "s3": _S3_WORDS,
        **dict.fromkeys(SPEAK_JSON, _JSON_WORDS),
    }.get(service, {})
    status, code = words.get(error.code, (error.status, error.code))
    return ApiError(status, code, error.message)
