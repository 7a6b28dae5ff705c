"""Which service and action a request is for, as IAM names them."""

from __future__ import annotations

import re

from attrs import define

from lae_localcloud.exchange import ApiRequest

#: Route 53's REST calls, by method and path.
_ROUTE53 = (
    ("POST", r"/hostedzone/[^/]+/rrset/?", "ChangeResourceRecordSets"),
    ("GET", r"/hostedzone/[^/]+/rrset/?", "ListResourceRecordSets"),
    ("GET", r"/change/[^/]+", "GetChange"),
    ("GET", r"/hostedzonelimit/[^/]+/[^/]+", "GetHostedZoneLimit"),
    ("GET", r"/hostedzonesbyname", "ListHostedZonesByName"),
    ("GET", r"/hostedzone/?", "ListHostedZones"),
    ("POST", r"/hostedzone/?", "CreateHostedZone"),
    ("GET", r"/hostedzone/[^/]+", "GetHostedZone"),
    ("POST", r"/hostedzone/[^/]+", "UpdateHostedZoneComment"),
    ("POST", r"/tags/[^/]+/[^/]+", "ChangeTagsForResource"),
    ("GET", r"/tags/[^/]+/[^/]+", "ListTagsForResource"),
    ("DELETE", r"/hostedzone/[^/]+", "DeleteHostedZone"),
)


@define(frozen=True)
class Call:
    """One API call: ``Call("ec2", "RunInstances", {...})``.

    *params* are the query protocol's parameters, empty for other protocols.
    """

    service: str
    action: str
    params: dict[str, str]

    @property
    def subject(self) -> str:
        """What a fault's ``contains`` is looked for in."""
        return "&".join(f"{k}={v}" for k, v in self.params.items())

    @property
    def reads_only(self) -> bool:
        """Tell whether it changes nothing, by its name."""
        return self.action.startswith(("Describe", "Get", "List", "Head"))

    def listed(self, name: str) -> list[str]:
        """The values of a list parameter: ``InstanceId.1``, ``InstanceId.2``…"""
        found = re.compile(re.escape(name) + r"\.(\d+)")
        numbered = ((found.fullmatch(k), v) for k, v in self.params.items())
        return [v for n, v in sorted((int(m[1]), v) for m, v in numbered if m)]

    def tags(self, prefix: str) -> dict[str, str]:
        """Tags given as ``PREFIX.1.Key``, ``PREFIX.1.Value``…"""
        tags = {}
        for name, key in self.params.items():
            if re.fullmatch(re.escape(prefix) + r"\.\d+\.Key", name):
                tags[key] = self.params.get(name.removesuffix("Key") + "Value", "")
        return tags


def call_of(service: str, request: ApiRequest) -> Call:
    """Read the action from where the service's protocol has it."""
    target = request.headers.get("x-amz-target")
    if target:
        return Call(service, target.rpartition(".")[2], {})
    if service == "route53":
        return Call(service, _route53_action(request), {})
    params = request.form()
    return Call(service, params.get("Action", "Unknown"), params)


def _route53_action(request: ApiRequest) -> str:
    path = re.sub(r"^/\d{4}-\d\d-\d\d", "", request.path)
    for method, pattern, action in _ROUTE53:
        if method == request.method and re.fullmatch(pattern, path):
            return action
    return "Unknown"
