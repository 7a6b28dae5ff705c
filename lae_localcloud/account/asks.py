"""What must be allowed for a call to be done, with resources and condition keys.

After the Service Authorization Reference, for the calls that S4 makes; any other call
is asked for on ``*``, so that a policy of ours cannot allow it by accident.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any

from lae_localcloud.account.calls import Call
from lae_localcloud.account.moto import ACCOUNT_ID, Moto
from lae_localcloud.account.policy import Ask
from lae_localcloud.account.principals import arn
from lae_localcloud.exchange import ApiRequest

_Values = dict[str, tuple[str, ...]]


def asks_of(moto: Moto, call: Call, request: ApiRequest) -> list[Ask]:  # noqa: PLR0911  (a table)
    """All that the caller must be allowed.  Called in moto's thread."""
    action = f"{call.service}:{call.action}"
    region: _Values = {"aws:requestedregion": (moto.region,)}
    match call.service:
        case "ec2":
            return _ec2(moto, call, action, region)
        case "iam":
            return _iam(moto, call, action, region)
        case "kms":
            return [_kms(moto, action, request, region)]
        case "route53":
            return [_route53(call, action, request, region)]
        case "ecr":
            return [_ecr(moto, action, request, region)]
        case "sts":
            return _sts(call, action, region)
        case "cloudformation":
            return [_cloudformation(moto, call, action, region)]
    return [Ask(action, "*", region)]


def _sts(call: Call, action: str, region: _Values) -> list[Ask]:
    # Everybody may ask who they are.
    asks = [Ask(action, call.params.get("RoleArn", "*"), region)]
    return [] if call.action == "GetCallerIdentity" else asks


def _request_tags(tags: dict[str, str]) -> _Values:
    values: _Values = {f"aws:requesttag/{k.lower()}": (v,) for k, v in tags.items()}
    return {**values, "aws:tagkeys": tuple(tags)} if tags else {}


def _resource_tags(tags: Iterable[tuple[str, str]]) -> _Values:
    return {
        f"{space}:resourcetag/{key.lower()}": (value,)
        for key, value in tags
        for space in ("aws", "ec2", "iam")
    }


def _cloudformation(moto: Moto, call: Call, action: str, region: _Values) -> Ask:
    named = call.params.get("StackName")
    if named is None:
        return Ask(action, "*", region)
    if not named.startswith("arn:"):
        place = f"{moto.region}:{ACCOUNT_ID}"
        named = f"arn:aws:cloudformation:{place}:stack/{named}/*"
    return Ask(action, named, region)


# EC2 ------------------------------------------------------------------------------

_KINDS = {
    "i": "instance",
    "vol": "volume",
    "sg": "security-group",
    "subnet": "subnet",
    "vpc": "vpc",
    "eni": "network-interface",
    "ami": "image",
}


def _ec2_arn(moto: Moto, resource_id: str) -> str:
    kind = _KINDS.get(resource_id.partition("-")[0], "*")
    owner = "" if kind == "image" else ACCOUNT_ID
    return f"arn:aws:ec2:{moto.region}:{owner}:{kind}/{resource_id}"


def _new(moto: Moto, kind: str) -> str:
    return f"arn:aws:ec2:{moto.region}:{ACCOUNT_ID}:{kind}/*"


def _ec2_tags(moto: Moto, resource_id: str) -> _Values:
    tags = moto.backend("ec2").tags.get(resource_id, {})
    return _resource_tags(tags.items())


def _ec2(moto: Moto, call: Call, action: str, region: _Values) -> list[Ask]:
    region = {**region, "ec2:region": (moto.region,)}
    reads = call.action.startswith(("Describe", "Get"))
    # Of the reading calls this one alone is about one instance.
    if reads and call.action != "GetConsoleOutput":
        return [Ask(action, "*", region)]
    if call.action == "RunInstances":
        return _run_instances(moto, call, action, region)
    if call.action == "CreateSecurityGroup":
        tags = _request_tags(_specified_tags(call, "security-group"))
        group = Ask(action, _new(moto, "security-group"), {**region, **tags})
        created = {**region, **tags, "ec2:createaction": (call.action,)}
        tagging = [Ask("ec2:CreateTags", group.resource, created)] if tags else []
        vpc = Ask(action, _ec2_arn(moto, call.params.get("VpcId", "vpc-0")), region)
        return [group, vpc, *tagging]
    if call.action in ("CreateSnapshot", "CreateVolume"):
        return _new_volume(moto, call, action, region)
    ids = [
        *call.listed("InstanceId"),
        *call.listed("ResourceId"),
        *(
            v
            for k in ("InstanceId", "GroupId", "VolumeId")
            if (v := call.params.get(k))
        ),
    ]
    asked = _request_tags(call.tags("Tag"))
    return [
        Ask(action, _ec2_arn(moto, i), {**region, **asked, **_ec2_tags(moto, i)})
        for i in ids
    ] or [Ask(action, "*", region)]


def _new_volume(moto: Moto, call: Call, action: str, region: _Values) -> list[Ask]:
    """A volume or a snapshot that is made, what it is made of, and its tags."""
    kind = call.action.removeprefix("Create").lower()
    tags = _request_tags(_specified_tags(call, kind))
    known: _Values = {"ec2:encrypted": (call.params.get("Encrypted", "false"),)}
    new = _new(moto, kind)
    asks = [Ask(action, new, {**region, **known, **tags})]
    if tags:
        created = {**region, **tags, "ec2:createaction": (call.action,)}
        asks.append(Ask("ec2:CreateTags", new, created))
    if kind == "snapshot":
        of = call.params.get("VolumeId", "vol-0")
        held = {**region, **_ec2_tags(moto, of)}
        asks.append(Ask(action, _ec2_arn(moto, of), held))
    return asks


def _specified_tags(call: Call, kind: str) -> dict[str, str]:
    for name, value in call.params.items():
        found = re.fullmatch(r"TagSpecification\.(\d+)\.ResourceType", name)
        if found and value == kind:
            return call.tags(f"TagSpecification.{found[1]}.Tag")
    return {}


def _run_instances(moto: Moto, call: Call, action: str, region: _Values) -> list[Ask]:
    params = call.params
    instance: _Values = {
        "ec2:instancetype": (params.get("InstanceType", "m1.small"),),
        "ec2:metadatahttptokens": (
            params.get("MetadataOptions.HttpTokens", "optional"),
        ),
        "ec2:metadatahttpputresponsehoplimit": (
            params.get("MetadataOptions.HttpPutResponseHopLimit", "1"),
        ),
    }
    asks = []
    profile = _profile(moto, params)
    if profile is not None:
        instance["ec2:instanceprofile"] = (profile.arn,)
        passed: _Values = {**region, "iam:passedtoservice": ("ec2.amazonaws.com",)}
        asks += [Ask("iam:PassRole", r.arn, passed) for r in profile.roles]
    own: dict[str, _Values] = {
        "instance": instance,
        "volume": _volume(params),
        "network-interface": {},
    }
    for kind, known in own.items():
        tags = _request_tags(_specified_tags(call, kind))
        asks.append(Ask(action, _new(moto, kind), {**region, **known, **tags}))
        if tags:
            created = {**region, **tags, "ec2:createaction": (call.action,)}
            asks.append(Ask("ec2:CreateTags", _new(moto, kind), created))
    used = [params.get("ImageId", "ami-0"), params.get("SubnetId", "")]
    used += call.listed("SecurityGroupId")
    for i in filter(None, used):
        known = {**region, **_ec2_tags(moto, i), **_owner(moto, i)}
        asks.append(Ask(action, _ec2_arn(moto, i), known))
    return [*asks, *_volume_key(moto, params, region)]


def _owner(moto: Moto, resource_id: str) -> _Values:
    image = moto.backend("ec2").amis.get(resource_id)
    return {} if image is None else {"ec2:owner": (image.owner_id,)}


def _volume_key(moto: Moto, params: dict[str, str], region: _Values) -> list[Ask]:
    """What EC2 does with the key of a volume in the caller's name.

    EC2 itself finds out after its answer, and the instance ends at once.
    """
    key = params.get("BlockDeviceMapping.1.Ebs.KmsKeyId")
    if key is None:
        return []
    via = {**region, "kms:viaservice": (f"ec2.{moto.region}.amazonaws.com",)}
    grant = {**via, "kms:grantisforawsresource": ("true",)}
    named = key_arn(moto, key)
    return [
        Ask("kms:DescribeKey", named, via),
        Ask("kms:GenerateDataKeyWithoutPlaintext", named, via),
        Ask("kms:CreateGrant", named, grant),
    ]


def _volume(params: dict[str, str]) -> _Values:
    ebs = "BlockDeviceMapping.1.Ebs."
    return {
        "ec2:encrypted": (params.get(ebs + "Encrypted", "false"),),
        "ec2:volumetype": (params.get(ebs + "VolumeType", "gp2"),),
        "ec2:volumesize": (params.get(ebs + "VolumeSize", "8"),),
    }


def _profile(moto: Moto, params: dict[str, str]) -> Any:
    name = params.get("IamInstanceProfile.Name")
    name = name or params.get("IamInstanceProfile.Arn", "").rpartition("/")[2]
    return moto.backend("iam").instance_profiles.get(name)


# IAM ------------------------------------------------------------------------------


def _iam(moto: Moto, call: Call, action: str, region: _Values) -> list[Ask]:
    params, iam = call.params, moto.backend("iam")
    known: _Values = {**region, **_request_tags(call.tags("Tags.member"))}
    if "PolicyArn" in params:
        known["iam:policyarn"] = (params["PolicyArn"],)
    role = next(
        (r for r in iam.roles.values() if r.name == params.get("RoleName")), None
    )
    if params.get("PermissionsBoundary"):
        known["iam:permissionsboundary"] = (params["PermissionsBoundary"],)
    elif role is not None and role.permissions_boundary_arn:
        known["iam:permissionsboundary"] = (role.permissions_boundary_arn,)
    if "InstanceProfileName" in params:
        name = params["InstanceProfileName"]
        profile = iam.instance_profiles.get(name)
        path = profile.path if profile is not None else params.get("Path", "/")
        asks = [Ask(action, arn("instance-profile", path + name), known)]
        if call.action == "AddRoleToInstanceProfile" and role is not None:
            passed = {**region, "iam:passedtoservice": ("ec2.amazonaws.com",)}
            asks.append(Ask("iam:PassRole", role.arn, passed))
        return asks
    if "RoleName" in params:
        name = arn("role", params.get("Path", "/") + params["RoleName"])
        tags = role.tags if role is not None else []
        pairs = tags.values() if isinstance(tags, dict) else tags
        known |= _resource_tags((t["Key"], t["Value"]) for t in pairs or ())
        return [Ask(action, role.arn if role is not None else name, known)]
    if "PolicyArn" in params:
        return [Ask(action, params["PolicyArn"], known)]
    if "UserName" in params:
        return [Ask(action, arn("user", "/" + params["UserName"]), known)]
    return [Ask(action, "*", known)]


# KMS ------------------------------------------------------------------------------


def _kms(moto: Moto, action: str, request: ApiRequest, region: _Values) -> Ask:
    said = request.json()
    named = str(said.get("KeyId") or "*")
    context = said.get("EncryptionContext")
    known: _Values = {**region}
    for key, value in (context if isinstance(context, dict) else {}).items():
        known[f"kms:encryptioncontext:{key.lower()}"] = (str(value),)
    if isinstance(context, dict):
        known["kms:encryptioncontextkeys"] = tuple(context)
    return Ask(action, key_arn(moto, named), known)


def key_arn(moto: Moto, named: str) -> str:
    """The ARN of the key of this id, alias or ARN; ``*`` stays."""
    alias = named.rpartition(":")[2]
    if alias.startswith("alias/"):
        keys = moto.backend("kms").keys.values()
        named = next((key.id for key in keys if alias in key.aliases), "unknown")
    if not named.startswith("arn:") and named != "*":
        named = f"arn:aws:kms:{moto.region}:{ACCOUNT_ID}:key/{named}"
    return named


# Route 53 -------------------------------------------------------------------------

_PLAIN = re.compile(r"[a-z0-9_.-]")


def _route53(call: Call, action: str, request: ApiRequest, region: _Values) -> Ask:
    found = re.search(r"/((hostedzone|change)/[^/]+)", request.path)
    name = f"arn:aws:route53:::{found[1]}" if found else "*"
    changes = call.action == "ChangeResourceRecordSets"
    known = record_changes(request.body) if changes else {}
    return Ask(action, name, {**region, **known})


def record_changes(body: bytes) -> _Values:
    """What a batch of changes does, over all of its changes."""
    root = ET.fromstring(body)  # noqa: S314  (a request to a stand-in)
    names = (
        _normal(e.text or "") for e in root.iterfind(".//{*}ResourceRecordSet/{*}Name")
    )
    types = (e.text or "" for e in root.iterfind(".//{*}ResourceRecordSet/{*}Type"))
    actions = (e.text or "" for e in root.iterfind(".//{*}Change/{*}Action"))
    key = "route53:changeresourcerecordsets"
    return {
        f"{key}normalizedrecordnames": tuple(names),
        f"{key}recordtypes": tuple(types),
        f"{key}actions": tuple(actions),
    }


def _normal(name: str) -> str:
    plain = name.rstrip(".").lower()
    return "".join(
        c if _PLAIN.fullmatch(c) or c == "\\" else f"\\{ord(c):03o}" for c in plain
    )


# ECR ------------------------------------------------------------------------------


def _ecr(moto: Moto, action: str, request: ApiRequest, region: _Values) -> Ask:
    said = request.json()
    listed = said.get("repositoryNames")
    name = said.get("repositoryName")
    if isinstance(listed, list) and len(listed) == 1:
        (name,) = listed
    if name is None:
        return Ask(action, "*", region)
    named = f"arn:aws:ecr:{moto.region}:{ACCOUNT_ID}:repository/{name}"
    return Ask(action, named, region)
