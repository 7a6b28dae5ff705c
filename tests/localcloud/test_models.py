"""Requests are judged by the models that AWS publishes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from lae_localcloud.exchange import ApiError, ApiRequest
from lae_localcloud.models.judging import compiled, complaints
from lae_localcloud.models.service_models import service_model
from lae_localcloud.models.wrong import WrongRequests

SERVICES = ("ec2", "ecr", "iam", "kms", "logs", "route53", "s3", "servicequotas", "sts")
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
RUN = {
    "Action": "RunInstances",
    "Version": "2016-11-15",
    "ImageId": "ami-0123456789abcdef0",
    "InstanceType": "t3a.small",
    "MinCount": "1",
    "MaxCount": "1",
    "ClientToken": "a" * 64,
    "SecurityGroupId.1": "sg-0123456789abcdef0",
    "BlockDeviceMapping.1.DeviceName": "/dev/xvda",
    "BlockDeviceMapping.1.Ebs.VolumeSize": "10",
    "BlockDeviceMapping.1.Ebs.VolumeType": "gp3",
    "MetadataOptions.HttpTokens": "required",
    "TagSpecification.1.ResourceType": "instance",
    "TagSpecification.1.Tag.1.Key": "s4",
    "TagSpecification.1.Tag.1.Value": "x",
}


def run(**changed: str | None) -> list[str]:
    """What is said of the launch above, changed; a dot in a name is written __."""
    form = {**RUN, **{k.replace("__", "."): v for k, v in changed.items()}}
    body = urlencode({k: v for k, v in form.items() if v is not None})
    request = ApiRequest("POST", "/", "", FORM, body.encode())
    return complaints("ec2", "RunInstances", request)


def test_right() -> None:
    """A launch as the daemon asks for it is in the model."""
    assert run() == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Securitygroup__1": "sg-0"}, "Securitygroup.1 is in no model"),
        ({"BlockDeviceMapping__1__Ebs__Size": "10"}, "Ebs.Size is in no model"),
        ({"MinCount": None}, 'Missing required parameter in input: "MinCount"'),
        ({"MinCount": "one"}, "MinCount is no integer"),
        ({"EbsOptimized": "True"}, "EbsOptimized is neither true nor false"),
        ({"MetadataOptions__HttpTokens": "needed"}, "is none of optional, required"),
        ({"SecurityGroupId__3": "sg-1"}, "SecurityGroupId.3 is in no model"),
        ({"Version": "2012-08-15"}, "Version is 2012-08-15, and 2016-11-15 now"),
    ],
)
def test_ec2(changed: dict[str, str | None], said: str) -> None:
    """A misspelt, missing, mistyped or out-of-place parameter of a form is found."""
    assert any(said in line for line in run(**changed)), run(**changed)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"RoleName": "a role"}, r"RoleName does not match [\w+=,.@-]+"),
        ({"RoleName": "r" * 65}, "RoleName is 65, 64 at most"),
        ({"Tags.1.Key": "k"}, "Tags.1.Key is in no model"),
        ({"Tags.member.1.Key": "k"}, 'Missing required parameter in Tags[0]: "Value"'),
    ],
)
def test_iam(form: dict[str, str], said: str) -> None:
    """Patterns, lengths and the names of IAM's lists are the model's."""
    form = {
        "Action": "CreateRole",
        "Version": "2010-05-08",
        "RoleName": "s4",
        "AssumeRolePolicyDocument": "{}",
        **form,
    }
    request = ApiRequest("POST", "/", "", FORM, urlencode(form).encode())
    found = complaints("iam", "CreateRole", request)
    assert any(said in line for line in found), found


def kms(body: object, target: str = "TrentService.Sign") -> list[str]:
    headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
    return complaints(
        "kms", "Sign", ApiRequest("POST", "/", "", headers, json.dumps(body).encode())
    )


def test_json() -> None:
    """A JSON body is judged whole, and so is the call's own name."""
    right = {"KeyId": "k", "Message": "AAAA", "SigningAlgorithm": "ECDSA_SHA_256"}
    assert kms(right) == []
    assert kms({**right, "SigningAlgorithm": "ECDSA"})[0].startswith("SigningAlgorithm")
    assert "Unknown parameter" in kms({**right, "Context": {}})[0]
    assert "Invalid type" in kms({**right, "KeyId": 1})[0]
    assert kms(right, "TrentService.Signs") == ["X-Amz-Target is not TrentService.Sign"]


RECORDS = (
    '<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/'
    '2013-04-01/"><ChangeBatch><Changes><Change><Action>UPSERT</Action>'
    "<ResourceRecordSet><Name>a.example.</Name><Type>A</Type><TTL>60</TTL>"
    "<ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord>"
    "</ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch>"
    "</ChangeResourceRecordSetsRequest>"
)


def route53(body: str, path: str = "/2013-04-01/hostedzone/Z1/rrset") -> list[str]:
    request = ApiRequest("POST", path, "", {}, body.encode())
    return complaints("route53", "ChangeResourceRecordSets", request)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("UPSERT", "UPDATE", "is none of CREATE, DELETE, UPSERT"),
        ("<Type>A</Type>", "", "Missing required parameter"),
        ("<TTL>60", "<TTL>soon", "TTL is no integer"),
        ("TTL>", "Ttl>", "ResourceRecordSet.Ttl is in no model"),
        ("ResourceRecord>", "Record>", "ResourceRecords.Record is in no model"),
        ("</Changes>", "", "the body is no XML"),
        ("ChangeResourceRecordSetsRequest", "Change", "the body is a Change"),
        ("<Type>A</Type>", "<Type>A</Type><Type>A</Type>", "stands there 2 times"),
    ],
)
def test_route53(old: str, new: str, said: str) -> None:
    """An XML body is judged element by element."""
    assert route53(RECORDS) == []
    found = route53(RECORDS.replace(old, new))
    assert any(said in line for line in found), found


def test_path() -> None:
    """The path is the call's."""
    assert "the path is not" in route53(RECORDS, "/hostedzone/Z1/rrset")[0]


def s3(
    action: str, method: str, query: str = "", body: bytes = b"", **headers: str
) -> list[str]:
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    path = {"Bucket": "b"} if "Bucket" in action else {"Bucket": "b", "Key": "k"}
    return complaints(
        "s3", action, ApiRequest(method, "/b/k", query, named, body), path
    )


def test_s3() -> None:
    """Headers, queries and bodies of S3's calls are judged; an object's bytes are not."""
    assert s3("PutObject", "PUT", body=b"<", if_none_match="*") == []
    assert s3("PutObject", "PUT", x_amz_meta_any="1") == []
    assert s3("PutObject", "PUT", "x-id=PutObject") == []
    assert s3("PutObject", "PUT", "part=1") == ["?part is in no model"]
    assert s3("PutObject", "PUT", x_amz_encryption="a") == [
        "x-amz-encryption is in no model"
    ]
    assert (
        "is none of AES256"
        in s3("PutObject", "PUT", x_amz_server_side_encryption="aes")[0]
    )
    assert s3("UploadPart", "PUT", "partNumber=one&uploadId=u")[0] == (
        "?partNumber is no integer"
    )
    assert s3("GetObject", "PUT") == ["PUT is not GET"]
    enabled = b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>"
    assert s3("PutBucketVersioning", "PUT", "versioning", enabled) == [
        "VersioningConfiguration.Status is none of Enabled, Suspended"
    ]
    assert s3("PutBucketVersioning", "PUT")[0] == "?versioning= is missing"


def test_no_such_call() -> None:
    """A call or service that AWS does not have is said to be none."""
    nothing = ApiRequest("POST", "/", "", {}, b"")
    assert complaints("ec2", "RunInstance", nothing) == [
        "ec2 has no call 'RunInstance'"
    ]
    assert complaints("ec3", "Run", nothing) == ["AWS has no service 'ec3'"]


def test_patterns() -> None:
    """The patterns of all inputs that we may send are ones that Python can say."""
    unsaid = set()
    for service in SERVICES:
        model = service_model(service)
        for name in model.shape_names:
            pattern = model.shape_for(name).metadata.get("pattern", "")
            try:
                compiled(pattern)
            except re.error:
                unsaid.add((service, name))
    # Neither is in a call of ours.
    assert unsaid == {("route53", "CidrNonce"), ("logs", "ResourceType")}


def test_told(tmp_path: Path) -> None:
    """A wrong request is refused, and its line stands in the file that tests look at."""
    told = tmp_path / "told"
    wrong = WrongRequests(told)
    with pytest.raises(ApiError, match="no call"):
        wrong.check("sts", "Nothing", ApiRequest("POST", "/", "", {}, b""))
    assert told.read_text() == "sts Nothing: sts has no call 'Nothing'\n"
    assert WrongRequests.of({}).file is None
