"""What an operator does once in a new AWS account, done here at each start.

On AWS the deploy command does it; the names and shapes are the same.
"""

from __future__ import annotations

import json
import re

from attrs import define, field

from lae_protocol.process.resources import config_folder
from lae_provision.aws.policies import render
from lae_provision.localcloud.account.moto import ACCOUNT_ID, Moto
from lae_provision.localcloud.account.principals import arn

_IAM = "2010-05-08"
_EC2 = "2016-11-15"
_EVERYTHING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
)


@define(frozen=True)
class AccessKey:
    """A user's key."""

    access_key: str
    secret_key: str = field(repr=False)


@define(frozen=True)
class Deployment:
    """What names the deployment."""

    name: str
    dns_zone: str

    @property
    def role_path(self) -> str:
        """Where its roles and profiles live."""
        return f"/s4/{self.name}/"


@define(frozen=True)
class SetUp:
    """All ids that the configuration of the daemon needs.

    *admin* may do everything (for tests, and for people who look around); *daemon*
    has the policy that ships in ``config/policies``.
    """

    account_id: str
    region: str
    availability_zone: str
    admin: AccessKey
    daemon: AccessKey
    deployment: str
    role_path: str
    boundary_arn: str
    kms_key_arn: str
    state_bucket: str
    hosted_zone_id: str
    dns_zone: str
    vpc_id: str
    subnet_id: str
    security_group_id: str
    image_id: str
    instance_type: str


def set_up(moto: Moto, deployment: Deployment) -> SetUp:
    """Make it all.  Called in moto's thread; the state bucket is made by the caller,
    since it must be made in the store as well.
    """
    zone = f"{moto.region}a"
    key = _kms_key(moto)
    names = {
        "ACCOUNT": ACCOUNT_ID,
        "BOUNDARY_ARN": arn("policy", f"{deployment.role_path}boundary"),
        "DEPLOYMENT": deployment.name,
        "KMS_KEY_ARN": key,
        "REGION": moto.region,
        "ROLE_PATH": deployment.role_path,
        "STATE_BUCKET": f"{deployment.name}-state",
        "ZONE_ID": _hosted_zone(moto, deployment.dns_zone),
    }
    _boundary(moto, deployment, names)
    vpc, subnet, group = _network(moto, zone)
    return SetUp(
        account_id=ACCOUNT_ID,
        region=moto.region,
        availability_zone=zone,
        admin=_user(moto, "admin", _EVERYTHING),
        daemon=_user(moto, "s4-daemon", _shipped("daemon", names)),
        deployment=deployment.name,
        role_path=deployment.role_path,
        boundary_arn=names["BOUNDARY_ARN"],
        kms_key_arn=key,
        state_bucket=names["STATE_BUCKET"],
        hosted_zone_id=names["ZONE_ID"],
        dns_zone=deployment.dns_zone,
        vpc_id=vpc,
        subnet_id=subnet,
        security_group_id=group,
        image_id=_image(moto),
        instance_type="t3.small",
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"no {pattern} in moto's answer")
    return match[1]


def _shipped(name: str, names: dict[str, str]) -> str:
    """The policy as it ships, its placeholders filled in."""
    return render((config_folder() / "policies" / f"{name}.json").read_text(), names)


def _user(moto: Moto, name: str, policy: str) -> AccessKey:
    moto.query("iam", "CreateUser", _IAM, UserName=name)
    moto.query(
        "iam",
        "PutUserPolicy",
        _IAM,
        UserName=name,
        PolicyName=name,
        PolicyDocument=policy,
    )
    made = moto.query("iam", "CreateAccessKey", _IAM, UserName=name)
    return AccessKey(
        _found("<AccessKeyId>([^<]+)<", made),
        _found("<SecretAccessKey>([^<]+)<", made),
    )


def _boundary(moto: Moto, deployment: Deployment, names: dict[str, str]) -> None:
    moto.query(
        "iam",
        "CreatePolicy",
        _IAM,
        PolicyName="boundary",
        Path=deployment.role_path,
        PolicyDocument=_shipped("boundary", names),
    )


def _kms_key(moto: Moto) -> str:
    made = moto.own(
        "kms",
        "POST",
        "/",
        b"{}",
        **{
            "x-amz-target": "TrentService.CreateKey",
            "content-type": "application/x-amz-json-1.1",
        },
    )
    key: str = json.loads(made)["KeyMetadata"]["Arn"]
    return key


def _hosted_zone(moto: Moto, name: str) -> str:
    body = (
        '<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/">'
        f"<Name>{name}</Name><CallerReference>set-up</CallerReference>"
        "</CreateHostedZoneRequest>"
    )
    made = moto.own("route53", "POST", "/2013-04-01/hostedzone", body.encode())
    return _found("<Id>/hostedzone/([^<]+)<", made)


def _network(moto: Moto, zone: str) -> tuple[str, str, str]:
    vpc = _found(
        "<vpcId>([^<]+)<",
        moto.query("ec2", "CreateVpc", _EC2, CidrBlock="10.78.0.0/16"),
    )
    made = moto.query(
        "ec2",
        "CreateSubnet",
        _EC2,
        VpcId=vpc,
        CidrBlock="10.78.0.0/20",
        AvailabilityZone=zone,
    )
    subnet = _found("<subnetId>([^<]+)<", made)
    moto.query(
        "ec2",
        "ModifySubnetAttribute",
        _EC2,
        SubnetId=subnet,
        MapPublicIpOnLaunch__Value="true",
    )
    made = moto.query(
        "ec2",
        "CreateSecurityGroup",
        _EC2,
        GroupName="s4-hosts",
        GroupDescription="customers' hosts",
        VpcId=vpc,
    )
    return vpc, subnet, _found("<groupId>([^<]+)<", made)


def _image(moto: Moto) -> str:
    made = moto.query(
        "ec2",
        "RegisterImage",
        _EC2,
        Name="s4-local-coreos",
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
    )
    return _found("<imageId>([^<]+)<", made)
