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


class Gate:
    """Checks each call and answers it.  *changed* hears of every change in IAM."""

    _log = Logger()

    def __init__(
        self,
        moto: Moto,
        ec2: Ec2,
        now: Callable[[], datetime],
        changed: Callable[[], None],
    ) -> None:
        self._moto, self._ec2, self._now, self._changed = moto, ec2, now, changed

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

    def _answer(self, asked: Addressed) -> ApiResponse:
        principal = find_principal(self._moto, asked.said.access_key)
        authenticate(principal, asked.said, asked.request, self._now())
        if asked.said.region not in (self._moto.region, "us-east-1"):
            raise ApiError(400, "SignatureDoesNotMatch", "this is another region")
        principal.require(asks_of(self._moto, asked.call, asked.request))
        if asked.call.action == "AssumeRole":
            role_arn = asked.call.params.get("RoleArn", "")
            check_trust(self._moto, principal, role_arn)
        if asked.call.service == "ec2":
            return self._ec2.answer(asked.call, asked.request)
        told = quota_answer(asked.call, asked.request)
        if told is not None:
            return told
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
