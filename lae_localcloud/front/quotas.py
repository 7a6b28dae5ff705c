"""The quotas of the account, which moto has not: a few, as AWS gives them at first."""

from __future__ import annotations

import json

from lae_localcloud.account.calls import Call
from lae_localcloud.exchange import ApiRequest, ApiResponse

#: By service and code; vCPUs for a thousand small instances.
QUOTAS = {("ec2", "L-1216C47A"): 2048.0, ("s3", "L-DC2B2D3D"): 10000.0}
RECORDS = 10003
_JSON = (("content-type", "application/x-amz-json-1.1"),)
_XML = (("content-type", "text/xml"),)


def quota_answer(call: Call, request: ApiRequest) -> ApiResponse | None:
    """The answer about a quota; None for any other call."""
    match call.service, call.action:
        case "servicequotas", "GetServiceQuota":
            asked = request.json()
            named = (str(asked.get("ServiceCode")), str(asked.get("QuotaCode")))
            if named not in QUOTAS:
                refusal = {"__type": "NoSuchResourceException", "message": "no such"}
                return ApiResponse(400, _JSON, json.dumps(refusal).encode())
            quota = {
                "ServiceCode": named[0],
                "QuotaCode": named[1],
                "Value": QUOTAS[named],
            }
            return ApiResponse(200, _JSON, json.dumps({"Quota": quota}).encode())
        case "route53", "GetHostedZoneLimit":
            body = (
                "<GetHostedZoneLimitResponse><Limit><Type>MAX_RRSETS_BY_ZONE</Type>"
                f"<Value>{RECORDS}</Value></Limit><Count>2</Count>"
                "</GetHostedZoneLimitResponse>"
            )
            return ApiResponse(200, _XML, body.encode())
    return None
